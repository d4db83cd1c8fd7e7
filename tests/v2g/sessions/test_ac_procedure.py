"""A session at an AC EVSE that is only readings, with a vehicle that says what a test wants."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from pyiso15118 import events as ev
from pyiso15118.commands import Authorize
from pyiso15118.events import AcLimits, AcPower, EnergyService
from support.ac_rig import PROFILE, AcRig
from v2g.dispatch.ac_vehicle import NOT_ALLOWED
from v2g.dispatch.constraints import intersect
from v2g.hardware.ports import AcEvseCommand, PilotState
from v2g.sessions.ac_procedure import SUPPLY_WAIT_S
from v2g.sessions.procedure import Phase


@pytest.fixture
def rig() -> AcRig:
    return AcRig()


def test_contactor_closes_onto_pilot_c_and_the_set_point_is_told_once_it_is_closed(rig: AcRig) -> None:
    rig.grant_w = -10_000.0
    rig.begin()
    rig.select()
    step = rig.cycle()
    assert isinstance(step.evse, AcEvseCommand)
    assert (step.evse.lock_connector, step.evse.close_contactor, step.evse.pilot_duty_pct) == (True, False, 5.0)
    rig.say(ev.ContactorRequested())
    rig.cycle(5)
    assert not rig.closes
    rig.pilot(PilotState.C)
    step = rig.cycle()
    assert rig.closes
    assert not rig.told(step).contactor_closed
    step = rig.cycle()
    assert rig.told(step).contactor_closed
    assert step.power_w == 0.0
    rig.say(ev.PowerDeliveryStarted())
    rig.looping = True
    step = rig.cycle()
    assert rig.told(step).target_active_power == AcPower(-10_000.0)
    assert step.power_w == -10_000.0


def test_stop_brings_the_set_point_to_zero_asks_to_open_and_unlocks_when_open(rig: AcRig) -> None:
    rig.grant_w = 8_000.0
    rig.charge()
    rig.cycle()
    rig.obeys = False
    rig.looping = False
    rig.change(current_a=(11.6,) * 3)
    rig.say(ev.PowerDeliveryStopped(reason="the vehicle asked to stop"))
    step = rig.cycle()
    assert (step.power_w, rig.told(step).target_active_power, rig.closes) == (0.0, AcPower(0.0), False)
    rig.say(ev.SessionEnded(reason=ev.EndReason.STOPPED, detail=""))
    assert rig.bay.procedure is not None
    rig.bay.end(rig.bay.procedure, rig.now)
    step = rig.cycle()
    assert isinstance(step.evse, AcEvseCommand)
    assert step.evse.lock_connector
    rig.change(contactor_closed=False, contactor_commanded=False)
    rig.cycle()
    step = rig.cycle()
    assert isinstance(step.evse, AcEvseCommand)
    assert not step.evse.lock_connector
    assert not rig.bay.releasing


@pytest.mark.parametrize(
    ("state", "words"), [(PilotState.E, "state E"), (PilotState.F, "state F"), (None, "pilot lost")]
)
def test_pilot_fault_ends_the_session_and_opens_at_once(rig: AcRig, state: PilotState | None, words: str) -> None:
    rig.grant_w = 8_000.0
    rig.charge()
    rig.pilot(state)
    step = rig.cycle(7)
    assert words in str(rig.bay.fault)
    assert (step.power_w, rig.closes) == (0.0, False)
    assert words in str(rig.told(step).fault)


def test_lost_earth_ends_the_session(rig: AcRig) -> None:
    rig.charge()
    rig.pilot(PilotState.C, earth_ok=False, earth_ohm=900.0)
    rig.cycle()
    assert rig.bay.fault == "protective earth lost (900 ohm)"
    assert not rig.closes


def test_contactor_that_opens_by_itself_ends_the_session(rig: AcRig) -> None:
    rig.grant_w = 8_000.0
    rig.charge()
    rig.obeys = False
    rig.change(contactor_closed=False, current_a=(0.0,) * 3, power_w=(0.0,) * 3)
    assert rig.cycle().power_w == 0.0
    rig.cycle(12)
    assert "commanded closed" in str(rig.bay.fault)
    assert rig.bay.phase is Phase.STOPPING


def test_a_contactor_that_the_guard_opens_after_the_current_is_not_called_welded(rig: AcRig) -> None:
    rig.charge()
    rig.obeys = rig.looping = False
    rig.change(contactor_closed=True, contactor_commanded=True, current_a=(2.0, 0.0, 0.0))
    rig.say(ev.SessionEnded(reason=ev.EndReason.STOPPED, detail=""))
    assert rig.bay.procedure is not None
    rig.bay.end(rig.bay.procedure, rig.now)
    rig.cycle(35)
    assert not rig.closes
    assert rig.bay.fault is None
    rig.change(contactor_commanded=False)
    rig.cycle(12)
    assert "welded?" in str(rig.bay.fault)


def test_welded_contactor_is_a_fault_of_the_evse_and_keeps_the_connector_locked(rig: AcRig) -> None:
    rig.charge()
    rig.obeys = rig.looping = False
    rig.change(contactor_closed=True, contactor_commanded=True)
    rig.say(ev.SessionEnded(reason=ev.EndReason.STOPPED, detail=""))
    assert rig.bay.procedure is not None
    rig.bay.end(rig.bay.procedure, rig.now)
    step = rig.cycle(50)
    assert "welded?" in str(rig.bay.fault)
    assert isinstance(step.evse, AcEvseCommand)
    assert (step.evse.lock_connector, step.evse.close_contactor) == (True, False)


def test_a_lost_permit_leaves_the_session_waiting_at_zero_and_the_contactor_closes_again(rig: AcRig) -> None:
    rig.grant_w = -10_000.0
    rig.charge()
    rig.permitted = False
    step = rig.cycle(100)
    assert (step.power_w, rig.closes, rig.bay.fault) == (0.0, False, None)
    assert rig.told(step).contactor_closed
    assert rig.told(step).target_active_power == AcPower(0.0)
    assert rig.bay.bounds(rig.now)
    assert intersect(rig.bay.bounds(rig.now) or (), rig.now).lo_source == "contactor open"
    rig.permitted = True
    assert rig.cycle(3).power_w == -10_000.0


def test_without_supply_for_long_the_session_ends(rig: AcRig) -> None:
    rig.charge()
    rig.permitted = False
    rig.cycle(round(SUPPLY_WAIT_S * 10) + 10)
    assert "no supply" in str(rig.bay.fault)


def test_a_vehicle_that_the_guard_will_not_let_back_has_its_session_ended_at_once(rig: AcRig) -> None:
    rig.charge()
    rig.bound_by = "overdraw"
    rig.cycle()
    assert "until the plug was out" in str(rig.bay.fault)
    assert rig.bay.phase is Phase.STOPPING


def test_nobody_is_let_in_without_a_supply(rig: AcRig) -> None:
    rig.permitted = False
    rig.begin()
    assert rig.say(ev.AuthorizationRequested()) == ()
    rig.permitted = True
    assert Authorize(granted=True) in rig.cycle().commands


def test_a_contactor_that_never_closed_is_explained_by_what_it_waited_for(rig: AcRig) -> None:
    rig.begin()
    rig.select()
    rig.cycle()
    rig.say(ev.ContactorRequested())
    rig.cycle(10)
    rig.say(
        ev.PowerDeliveryStopped(reason="the EVSE's contactor is open"),
        ev.SessionEnded(reason=ev.EndReason.FAILED_BY_US, detail="", response_code="FAILED_ContactorError"),
    )
    assert "pilot state C (it is state B)" in str(rig.bay.fault)


def test_a_vehicle_that_leaves_state_c_gets_nothing_and_is_ended_after_a_while(rig: AcRig) -> None:
    rig.grant_w = 8_000.0
    rig.charge()
    rig.pilot(PilotState.B)
    assert rig.cycle().power_w == 0.0
    assert not rig.closes
    rig.cycle(35)
    assert "left pilot state C" in str(rig.bay.fault)


def test_a_vehicle_that_takes_what_it_was_not_told_is_a_fault(rig: AcRig) -> None:
    rig.charge()
    rig.obeys = False
    rig.change(contactor_closed=True, contactor_commanded=True, current_a=(10.0,) * 3, power_w=(2_300.0,) * 3)
    rig.cycle(60)
    assert "does not follow: it was told 0 W, 6900 W measured" in str(rig.bay.fault)


def test_a_meter_that_contradicts_itself_is_a_fault(rig: AcRig) -> None:
    rig.grant_w = 11_000.0
    rig.charge()
    rig.obeys = False
    rig.change(contactor_closed=True, contactor_commanded=True, current_a=(1.0,) * 3, power_w=(3_600.0,) * 3)
    rig.cycle(60)
    assert "contradiction: the meter says 3600 W in L1" in str(rig.bay.fault)


def test_less_than_the_vehicle_needs_at_least_is_told_as_zero_with_the_reason(rig: AcRig) -> None:
    rig.charge()
    rig.grant_w = 1_000.0
    assert rig.cycle().power_w == 0.0
    assert "less than the 1.40 kW" in str(rig.bay.note)
    rig.grant_w = 2_000.0
    assert rig.cycle().power_w == 2_000.0
    assert rig.bay.note is None


def test_discharge_needs_the_site_and_the_vehicle() -> None:
    rig = AcRig(replace(PROFILE, allow_discharge=False))
    rig.grant_w = -10_000.0
    rig.charge()
    assert rig.cycle().power_w == 0.0
    assert intersect(rig.bay.bounds(rig.now) or (), rig.now).lo_source == NOT_ALLOWED
    rig = AcRig()
    rig.grant_w = -10_000.0
    rig.charge(EnergyService.AC)
    assert rig.cycle().power_w == 0.0
    assert "AC_BPT" in intersect(rig.bay.bounds(rig.now) or (), rig.now).lo_source


@pytest.mark.parametrize(
    ("changes", "pilot", "source", "most_w"),
    [
        ({"max_current_a": 10.0}, {}, "EVSE current limit", 6_900.0),
        ({}, {"proximity_a": 13.0}, "cable rating", 8_970.0),
        ({"voltage_v": (230.0, 100.0, 230.0), "max_current_a": 20.0}, {}, "EVSE current limit", 6_000.0),
        ({}, {"proximity_a": math.nan}, "cable rating unknown", 0.0),
    ],
)
def test_current_times_voltage_times_phases_and_the_cable_bound_the_power(
    rig: AcRig, changes: dict[str, Any], pilot: dict[str, Any], source: str, most_w: float
) -> None:
    rig.charge()
    rig.pilot(PilotState.C, **pilot)
    rig.change(**changes)
    rig.cycle()
    allowed = intersect(rig.bay.bounds(rig.now) or (), rig.now)
    assert (allowed.hi_source, allowed.hi_w) == (source, pytest.approx(most_w))


def test_a_single_phase_vehicle_on_three_phases_is_held_to_one_phase(rig: AcRig) -> None:
    rig.limits = AcLimits(max_charge_power=AcPower(9_000.0, 0.0, 0.0), max_discharge_power=AcPower(9_000.0, 0.0, 0.0))
    rig.charge()
    rig.change(max_current_a=16.0)
    rig.cycle()
    assert intersect(rig.bay.bounds(rig.now) or (), rig.now).hi_w == pytest.approx(3_680.0)


def test_a_vehicle_that_stops_looping_gets_no_power(rig: AcRig) -> None:
    rig.grant_w = 8_000.0
    rig.charge()
    assert rig.cycle().power_w == 8_000.0
    rig.looping = False
    assert rig.cycle(11).power_w == 0.0


def test_a_contactor_found_closed_without_a_session_is_opened(rig: AcRig) -> None:
    rig.obeys = False
    rig.change(contactor_closed=True, contactor_commanded=True, connector_locked=True, current_a=(20.0,) * 3)
    rig.cycle(35)
    assert not rig.closes
    rig.change(contactor_closed=False, contactor_commanded=False, current_a=(0.0,) * 3)
    rig.cycle(2)
    assert not rig.bay.releasing
