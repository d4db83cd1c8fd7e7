"""The procedure of one session, against an EVSE that is only readings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from pyiso15118 import events as ev
from pyiso15118.commands import Authorize, CableCheckFinished
from pyiso15118.messages.common_types import evseNotificationType
from v2g.hardware.ports import DcEvseCommand, Insulation, PilotReading, PilotState
from v2g.sessions.drain import Parting
from v2g.sessions.procedure import Phase

EVSE = "US*V2G*E1"


def test_without_a_session_all_is_open_unlocked_and_zero(rig: Any) -> None:
    rig.grant_w = -10_000.0
    step = rig.cycle(3)
    assert step.power_w == 0.0
    assert (step.evse.close_contactors, step.evse.lock_connector, step.evse.current_limit_a) == (False, False, 0.0)
    assert step.commands == ()


def test_whole_session_closes_delivers_opens_and_unlocks(rig: Any) -> None:
    rig.grant_w = -10_000.0
    rig.plug_in()
    assert rig.cycle().evse.lock_connector
    assert not rig.cycle().evse.close_contactors
    assert rig.insulate().passed
    rig.say(ev.PreChargeRequested(target_voltage_v=400.0, ev_present_voltage_v=400.0))
    step = rig.cycle(2)
    assert (step.evse.target_voltage_v, step.evse.current_limit_a, step.power_w) == (400.0, 2.0, 0.0)
    rig.say(ev.PowerDeliveryStarted())
    rig.loop()
    step = rig.cycle()
    assert step.power_w == -10_000.0
    assert step.evse.current_limit_a == 60.0
    assert step.evse.target_voltage_v == 450.0
    rig.say(ev.PowerDeliveryStopped(reason="the vehicle asked to stop"))
    rig.obeys = False
    rig.change_evse(present_current_a=-25.0)
    step = rig.cycle()
    assert (step.power_w, step.evse.current_limit_a, step.evse.close_contactors) == (0.0, 0.0, True)
    rig.change_evse(present_current_a=-0.5)
    assert not rig.cycle().evse.close_contactors
    assert rig.cycle().evse.lock_connector
    rig.obeys = True
    rig.say(ev.SessionEnded(reason=ev.EndReason.STOPPED, detail=""))
    assert rig.bay.procedure is not None
    rig.bay.end(rig.bay.procedure, rig.now)
    step = rig.cycle(3)
    assert not step.evse.lock_connector
    assert not rig.bay.releasing


def test_authorisation_is_granted_unless_the_evse_stays_faulted(rig: Any) -> None:
    rig.plug_in()
    assert rig.say(ev.AuthorizationRequested()) == (Authorize(granted=True),)
    rig.change_evse(fault="emergency stop")
    rig.cycle()
    assert rig.say(ev.AuthorizationRequested()) == ()
    assert rig.find(rig.until(lambda step: bool(step.commands[1:]), 52), Authorize) == Authorize(granted=False)
    assert rig.now > 105.0
    assert rig.bay.procedure is not None
    assert "emergency stop" in str(rig.bay.procedure.refusal)


def test_authorisation_waits_for_an_evse_that_is_still_starting(rig: Any) -> None:
    rig.bay.begin(rig.now)
    assert rig.say(ev.AuthorizationRequested()) == ()
    assert rig.find(rig.cycle(), Authorize) == Authorize(granted=True)


def test_ratings_are_told_at_discovery_and_site_limits_in_the_loop(rig: Any) -> None:
    rig.site = (-3_000.0, 4_000.0)
    rig.plug_in()
    told = rig.update(rig.cycle()).limits
    assert (told.max_charge_power_w, told.max_discharge_power_w) == (21_000.0, 18_000.0)
    assert (told.max_voltage_v, told.max_charge_current_a) == (900.0, 75.0)
    assert rig.insulate().passed
    rig.say(ev.PreChargeRequested(target_voltage_v=400.0, ev_present_voltage_v=400.0))
    rig.cycle(2)
    rig.say(ev.PowerDeliveryStarted())
    told = rig.update(rig.cycle()).limits
    assert (told.max_charge_power_w, told.max_discharge_power_w) == (4_000.0, 3_000.0)


def test_set_point_never_exceeds_site_vehicle_or_rating_whatever_is_granted(rig: Any) -> None:
    rig.charge()
    rig.grant_w = -1e9
    assert rig.cycle().power_w == -15_000.0
    rig.grant_w = 1e9
    assert rig.cycle().power_w == 21_000.0
    rig.site = (0.0, 5_000.0)
    rig.loop()
    assert rig.cycle().power_w == 5_000.0
    rig.grant_w = math.nan
    assert rig.cycle().power_w == 0.0


def test_vehicle_that_stops_looping_gets_no_power(rig: Any) -> None:
    rig.charge()
    rig.grant_w = 5_000.0
    assert rig.cycle().power_w == 5_000.0
    assert rig.cycle(11).power_w == 0.0


def test_insulation_fault_ends_the_cable_check_and_nothing_closes_again(rig: Any) -> None:
    rig.plug_in()
    rig.cycle()
    rig.say(ev.CableCheckRequested())
    rig.until(lambda step: step.evse.test_insulation)
    rig.obeys = False
    rig.change_evse(insulation=Insulation.TESTING)
    rig.cycle()
    rig.change_evse(insulation=Insulation.FAULT, insulation_ohm=1200.0)
    step = rig.cycle()
    result = rig.finished(step)
    assert result is not None
    assert not result.passed
    assert "1200 ohm" in result.detail
    assert rig.update(step).fault == result.detail
    assert not rig.cycle().evse.close_contactors


def test_result_of_an_earlier_insulation_test_does_not_count(rig: Any) -> None:
    rig.obeys = False
    rig.change_evse(insulation=Insulation.VALID, connector_locked=True)
    rig.plug_in()
    rig.say(ev.CableCheckRequested())
    rig.cycle()
    rig.change_evse(contactors_closed=True)
    assert all(rig.finished(rig.cycle()) is None for _ in range(50))
    rig.change_evse(insulation=Insulation.TESTING)
    rig.cycle()
    rig.change_evse(insulation=Insulation.VALID)
    assert rig.find(rig.until(lambda step: rig.finished(step) is not None, 2), CableCheckFinished).passed


def test_insulation_monitor_that_never_tests_fails_the_cable_check(rig: Any) -> None:
    rig.obeys = False
    rig.change_evse(insulation=Insulation.VALID, connector_locked=True)
    rig.plug_in()
    rig.say(ev.CableCheckRequested())
    rig.cycle()
    rig.change_evse(contactors_closed=True)
    result = rig.find(rig.until(lambda step: rig.finished(step) is not None, 400), CableCheckFinished)
    assert not result.passed
    assert "the insulation monitor to begin a test" in result.detail


def test_insulation_fault_that_stands_fails_the_cable_check_soon(rig: Any) -> None:
    rig.obeys = False
    rig.change_evse(insulation=Insulation.FAULT, insulation_ohm=900.0, connector_locked=True)
    rig.plug_in()
    rig.say(ev.CableCheckRequested())
    rig.cycle()
    rig.change_evse(contactors_closed=True)
    assert all(rig.finished(rig.cycle()) is None for _ in range(20))
    result = rig.find(rig.until(lambda step: rig.finished(step) is not None, 20), CableCheckFinished)
    assert (result.passed, result.detail) == (False, "insulation fault: 900 ohm")


def test_cable_check_ends_when_the_test_voltage_has_gone_and_not_before(rig: Any) -> None:
    rig.obeys = False
    rig.plug_in()
    rig.say(ev.CableCheckRequested())
    rig.change_evse(connector_locked=True, contactors_closed=True)
    rig.until(lambda step: step.evse.test_insulation)
    rig.change_evse(insulation=Insulation.TESTING, present_voltage_v=500.0)
    rig.cycle()
    rig.change_evse(insulation=Insulation.VALID)
    for voltage_v in (500.0, 400.0, 61.0):
        rig.change_evse(present_voltage_v=voltage_v)
        step = rig.cycle(2)
        assert rig.finished(step) is None
        assert not step.evse.test_insulation
    rig.change_evse(present_voltage_v=59.0)
    assert rig.find(rig.cycle(), CableCheckFinished).passed


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"connector_locked": False}, "connector lock"),
        ({"connector_locked": True, "contactors_closed": True, "insulation": Insulation.UNKNOWN}, "insulation test"),
    ],
)
def test_cable_check_that_never_ends_fails_before_the_protocols_limit(
    rig: Any, changes: dict[str, Any], text: str
) -> None:
    rig.plug_in()
    rig.say(ev.CableCheckRequested())
    rig.cycle()
    rig.obeys = False
    rig.change_evse(**changes)
    started = rig.now
    result = rig.find(rig.until(lambda step: rig.finished(step) is not None, 400), CableCheckFinished)
    assert not result.passed
    assert text in result.detail
    assert rig.now - started < 38.0


def test_contactors_that_do_not_close_fail_the_cable_check(rig: Any) -> None:
    rig.plug_in()
    rig.say(ev.CableCheckRequested())
    rig.cycle()
    rig.obeys = False
    rig.change_evse(connector_locked=True, contactors_closed=False)
    result = rig.find(rig.until(lambda step: rig.finished(step) is not None, 20), CableCheckFinished)
    assert "feedback says open" in result.detail


def test_cable_check_without_a_plug_fails(rig: Any) -> None:
    rig.change_evse(plugged=False)
    rig.plug_in()
    rig.say(ev.CableCheckRequested())
    result = rig.find(rig.until(lambda step: rig.finished(step) is not None), CableCheckFinished)
    assert (result.passed, result.detail) == (False, "no connector is plugged in")


def test_pre_charge_that_is_not_reached_is_a_fault_before_the_vehicles_limit(rig: Any) -> None:
    rig.plug_in()
    assert rig.insulate().passed
    rig.say(ev.PreChargeRequested(target_voltage_v=400.0, ev_present_voltage_v=400.0))
    rig.obeys = False
    rig.change_evse(present_voltage_v=310.0)
    started = rig.now
    step = rig.until(lambda step: rig.update(step).fault is not None)
    assert "310 V of 400 V" in str(rig.update(step).fault)
    assert 8.9 < rig.now - started < 10.0
    assert rig.cycle().evse.target_voltage_v == 0.0


def test_power_delivery_with_pre_charge_out_of_tolerance_delivers_nothing(rig: Any) -> None:
    rig.grant_w = -5_000.0
    rig.plug_in()
    assert rig.insulate().passed
    rig.say(ev.PreChargeRequested(target_voltage_v=400.0, ev_present_voltage_v=400.0))
    rig.cycle()
    rig.obeys = False
    rig.change_evse(present_voltage_v=370.0)
    rig.cycle()
    rig.say(ev.PowerDeliveryStarted())
    step = rig.cycle()
    assert step.power_w == 0.0
    assert "out of tolerance" in str(rig.update(step).fault)


def test_pre_charge_above_the_evse_is_served_up_to_its_limit_and_below_it_is_a_fault(rig: Any) -> None:
    rig.plug_in()
    assert rig.insulate().passed
    rig.say(ev.PreChargeRequested(target_voltage_v=20_000.0, ev_present_voltage_v=20_000.0))
    assert rig.cycle().evse.target_voltage_v == 450.0
    rig.say(ev.PreChargeRequested(target_voltage_v=10.0, ev_present_voltage_v=0.0))
    assert "starts at 150 V" in str(rig.update(rig.cycle()).fault)


@pytest.mark.parametrize(
    ("break_it", "text"),
    [
        (lambda rig: setattr(rig, "fresh", False), "old"),
        (lambda rig: setattr(rig, "evse", None), "no reading from the DC output"),
        (lambda rig: rig.change_evse(fault="over-temperature"), "over-temperature"),
        (lambda rig: rig.change_evse(present_voltage_v=math.nan), "not plausible"),
        (lambda rig: rig.change_evse(present_current_a=1e12), "not plausible"),
        (lambda rig: rig.change_evse(insulation=Insulation.FAULT), "insulation fault"),
        (lambda rig: rig.change_evse(contactors_closed=False), "opened by themselves"),
        (lambda rig: rig.change_inverter(power_w=math.inf), "not a number"),
        (lambda rig: setattr(rig, "inverter", None), "no reading from the inverter"),
    ],
)
def test_fault_in_the_loop_stops_energy_and_stays(rig: Any, break_it: Callable[[Any], None], text: str) -> None:
    rig.grant_w = -5_000.0
    rig.charge()
    assert rig.cycle().power_w == -5_000.0
    rig.obeys = False
    healthy = rig.evse, rig.inverter
    break_it(rig)
    if rig.evse is None or rig.inverter is None:
        rig.fresh = False
    for _ in range(12):
        rig.loop()
        step = rig.cycle()
    assert step.power_w == 0.0
    assert step.evse.current_limit_a == 0.0
    assert text in str(rig.update(step).fault)
    rig.evse, rig.inverter = healthy
    rig.fresh = rig.obeys = True
    rig.loop()
    step = rig.cycle(5)
    assert step.power_w == 0.0
    assert text in str(rig.update(step).fault)
    assert not step.evse.close_contactors


def test_contactors_open_under_load_when_current_does_not_come_to_rest(rig: Any) -> None:
    rig.charge()
    rig.obeys = False
    rig.change_evse(present_current_a=30.0)
    rig.say(ev.PowerDeliveryStopped(reason="timeout"))
    assert rig.cycle(19).evse.close_contactors
    assert not rig.cycle(3).evse.close_contactors


def test_welded_contactor_keeps_the_lock_and_refuses_the_next_session(rig: Any) -> None:
    rig.charge()
    rig.obeys = False
    rig.say(ev.SessionEnded(reason=ev.EndReason.PEER_CLOSED, detail=""))
    assert rig.bay.procedure is not None
    rig.bay.end(rig.bay.procedure, rig.now)
    step = rig.cycle(30)
    assert (step.evse.close_contactors, step.evse.lock_connector) == (False, True)
    assert "welded" in str(rig.bay.fault)
    rig.plug_in()
    rig.say(ev.AuthorizationRequested())
    assert rig.find(rig.until(lambda step: bool(step.commands[1:]), 52), Authorize) == Authorize(granted=False)


def test_next_session_waits_for_the_release_of_the_former(rig: Any) -> None:
    rig.charge()
    rig.obeys = False
    rig.change_evse(present_current_a=10.0)
    rig.bay.begin(rig.now)
    rig.say(ev.CableCheckRequested())
    step = rig.cycle(10)
    assert step.evse.close_contactors
    assert not step.evse.test_insulation
    assert rig.bay.releasing
    rig.obeys = True
    rig.change_evse(present_current_a=0.0)
    step = rig.until(lambda step: rig.finished(step) is not None)
    assert rig.find(step, CableCheckFinished).passed


def test_contactors_found_closed_at_start_are_brought_to_rest_and_opened(rig: Any) -> None:
    rig.change_evse(contactors_closed=True, connector_locked=True, present_current_a=20.0, present_voltage_v=400.0)
    rig.obeys = False
    assert rig.cycle(3).evse.close_contactors
    rig.change_evse(present_current_a=0.2)
    assert not rig.cycle().evse.close_contactors
    rig.obeys = True
    assert not rig.cycle(3).evse.lock_connector


def test_locked_connector_with_voltage_found_at_start_stays_locked_until_it_is_dead(rig: Any) -> None:
    rig.obeys = False
    rig.change_evse(connector_locked=True, present_voltage_v=398.0)
    for _ in range(50):
        step = rig.cycle()
        assert (step.evse.lock_connector, step.evse.close_contactors) == (True, False)
    rig.change_evse(present_voltage_v=math.nan)
    assert rig.cycle(3).evse.lock_connector
    rig.change_evse(present_voltage_v=59.0)
    assert not rig.cycle(2).evse.lock_connector
    assert not rig.bay.releasing


@pytest.mark.parametrize("last_seen", [None, {"contactors_closed": True}, {"connector_locked": True}, {}])
def test_unknown_evse_keeps_its_lock_and_closes_nothing(rig: Any, last_seen: dict[str, Any] | None) -> None:
    if last_seen is not None:
        rig.change_evse(as_of_s=rig.now - 50.0, **last_seen)
    reading = rig.evse if last_seen is not None else None
    for _ in range(30):
        rig.now += 0.1
        rig.bay.observe(reading, rig.inverter, True, rig.now)
        command = rig.bay.step(0.0, -1e6, 1e6, None, rig.now).evse
        assert command == DcEvseCommand(lock_connector=True)


def test_plugged_connector_that_is_unlocked_is_not_locked_without_a_session(rig: Any) -> None:
    rig.change_evse(present_voltage_v=398.0)
    rig.obeys = False
    assert not rig.cycle(3).evse.lock_connector


def test_protocol_events_out_of_order_never_release_energy(rig: Any) -> None:
    rig.grant_w = -5_000.0
    rig.plug_in()
    rig.say(ev.PowerDeliveryStarted())
    rig.loop()
    step = rig.cycle()
    assert step.power_w == 0.0
    assert "asked for during" in str(rig.update(step).fault)


@pytest.mark.parametrize("asked", [evseNotificationType.Terminate, evseNotificationType.Pause])
def test_a_vehicle_that_is_to_leave_is_told_how_and_how_soon(rig: Any, asked: evseNotificationType) -> None:
    rig.charge()
    assert rig.update(rig.cycle()).notification is None
    rig.parting = Parting(notification=asked, within_s=7)
    told = rig.update(rig.cycle())
    assert (told.notification, told.notification_max_delay_s) == (asked, 7)


def test_inverter_alarm_means_zero_at_once_and_is_a_fault_when_it_lasts(rig: Any) -> None:
    rig.grant_w = -5_000.0
    rig.charge()
    assert rig.cycle().power_w == -5_000.0
    rig.change_inverter(fault="DC over-voltage")
    step = rig.cycle()
    assert (step.power_w, rig.update(step).fault) == (0.0, None)
    for _ in range(51):
        rig.loop()
        step = rig.cycle()
    assert rig.update(step).fault == "inverter: DC over-voltage"


@pytest.mark.parametrize(
    ("pilot", "said", "cycles"),
    [
        (PilotReading(state=PilotState.E), "control pilot: state E", 1),
        (PilotReading(state=PilotState.F), "control pilot: state F", 1),
        (PilotReading(state=PilotState.C, earth_ok=False), "protective earth lost", 1),
        (PilotReading(), "control pilot lost", 7),
    ],
)
def test_a_pilot_in_error_or_lost_ends_the_session(rig: Any, pilot: PilotReading, said: str, cycles: int) -> None:
    rig.grant_w = -5_000.0
    rig.change_evse(pilot=PilotReading(state=PilotState.C, earth_ok=True))
    rig.charge()
    assert rig.cycle().power_w == -5_000.0
    rig.change_evse(pilot=pilot)
    for _ in range(cycles):
        rig.loop()
        step = rig.cycle()
    assert step.power_w == 0.0
    assert said in str(rig.update(step).fault)


def test_inverter_that_lost_the_grid_to_the_breaker_keeps_its_session(rig: Any) -> None:
    rig.grant_w = -5_000.0
    rig.charge()
    rig.permitted = False
    rig.change_inverter(fault="GRID_DISCONNECT")
    for _ in range(200):
        rig.loop()
        step = rig.cycle()
    assert (step.power_w, rig.update(step).fault, rig.phase) == (0.0, None, Phase.CHARGING)
    rig.permitted = True
    rig.loop()
    assert rig.cycle().power_w == 0.0
    rig.change_inverter(fault=None)
    assert rig.cycle().power_w == -5_000.0
