"""When a vehicle in scheduled mode is answered, asked to negotiate anew and left alone; who says when it leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pyiso15118 import events as ev
from pyiso15118.commands import OfferSchedules, SetMobilityNeeds
from pyiso15118.messages.common_types import evseNotificationType
from pyiso15118.schedules import PowerProfile, PowerSlot, ScheduleTuple
from v2g.dispatch.wants import Wants
from v2g.sessions.drain import Parting
from v2g.sessions.procedure import Phase
from v2g.sessions.schedules import PowerPlan
from v2g.sessions.scheduling import ASK_EVERY_S, ASKED_FOR_S, OFFER_WITHIN_S, Outlook
from v2g.sessions.target import SOURCE

UNIX = 1_800_000_000.0
RENEGOTIATE = evseNotificationType.ScheduleRenegotiation


def plan_of(*powers_w: float, starts: float = UNIX) -> PowerPlan:
    steps = len(powers_w)
    return PowerPlan(
        starts_unix_s=starts,
        step_s=900.0,
        power_w=powers_w,
        charge_limit_w=(22_000.0,) * steps,
        discharge_limit_w=(22_000.0,) * steps,
    )


class Scheduled:
    """The rig with a calendar, a plan in the test's hand, and a vehicle that loops."""

    def __init__(self, rig: Any) -> None:
        self.rig = rig
        rig.mode = ev.ControlMode.SCHEDULED
        self.schedule: PowerPlan | None = None
        self.awaited = False
        self.offers: list[tuple[float, ScheduleTuple]] = []
        self.target_a: float | None = None

    def cycle(self, seconds: float = 0.1) -> Any:
        rig = self.rig
        for _ in range(round(seconds * 10)):
            rig.outlook = Outlook(schedule=self.schedule, plan_awaited=self.awaited, unix_s=UNIX + rig.now - 100.0)
            step = rig.cycle()
            offers = [command for command in step.commands if isinstance(command, OfferSchedules)]
            self.offers += [(rig.now, offered) for command in offers for offered in command.tuples]
            if rig.phase is Phase.CHARGING:
                rig.loop(target_a=self.target_a)
        return step

    def plug_in(self) -> None:
        self.rig.plug_in()
        self.rig.ask_schedule()

    def charge(self) -> None:
        rig = self.rig
        self.plug_in()
        self.cycle()
        assert self.offers
        assert rig.insulate().passed
        rig.say(ev.PreChargeRequested(target_voltage_v=400.0, ev_present_voltage_v=400.0))
        rig.cycle(2)
        profile = PowerProfile(starts_at_unix_s=0, slots=(PowerSlot(duration_s=60, power_w=0.0),))
        rig.say(ev.PowerProfileReceived(profile=profile), ev.PowerDeliveryStarted())
        self.target_a = 0.0
        self.cycle()

    def notification(self, seconds: float = 0.1) -> Any:
        return self.rig.update(self.cycle(seconds)).notification

    def notices(self) -> list[str]:
        return [notice.code for notice in self.rig.bay.procedure.take_notices()]


@pytest.fixture
def vehicle(rig: Any) -> Scheduled:
    return Scheduled(rig)


def test_without_anybody_who_plans_a_flat_schedule_is_offered_at_once(vehicle: Scheduled) -> None:
    vehicle.rig.site = (-3_000.0, 9_000.0)
    vehicle.rig.cycle()
    vehicle.plug_in()
    vehicle.cycle()
    ((_, offered),) = vehicle.offers
    assert [slot.power_w for slot in offered.charging.power.slots] == [9_000.0]
    assert offered.discharging is not None
    assert [slot.power_w for slot in offered.discharging.power.slots] == [-3_000.0]
    assert vehicle.notices() == ["SCHEDULE_OFFERED"]


def test_the_plan_is_waited_for_and_offered_when_it_is_there(vehicle: Scheduled) -> None:
    vehicle.awaited = True
    vehicle.plug_in()
    vehicle.cycle(5.0)
    assert vehicle.offers == []
    vehicle.schedule = plan_of(8_000.0, 0.0)
    vehicle.cycle(1.0)
    ((_, offered),) = vehicle.offers
    assert [slot.power_w for slot in offered.charging.power.slots] == [8_000.0 + 2_100.0, 2_100.0]


def test_a_plan_that_does_not_come_is_given_up_within_ten_seconds(vehicle: Scheduled) -> None:
    vehicle.awaited = True
    vehicle.plug_in()
    asked_at = vehicle.rig.now
    vehicle.cycle(12.0)
    ((at, offered),) = vehicle.offers
    assert at - asked_at == pytest.approx(OFFER_WITHIN_S, abs=0.11)
    assert len(offered.charging.power.slots) == 1


def test_a_site_without_a_permit_is_waited_for_too(vehicle: Scheduled) -> None:
    vehicle.rig.site = (0.0, 0.0)
    vehicle.rig.cycle()
    vehicle.plug_in()
    vehicle.cycle(3.0)
    assert vehicle.offers == []
    vehicle.rig.site = (0.0, 7_000.0)
    vehicle.cycle(0.3)
    ((_, offered),) = vehicle.offers
    assert offered.charging.power.slots[0].power_w == 7_000.0


def test_a_vehicle_that_renegotiates_is_answered_at_once_and_its_power_flows_on(vehicle: Scheduled) -> None:
    vehicle.rig.grant_w = 5_000.0
    vehicle.charge()
    vehicle.target_a = 20.0
    assert vehicle.cycle(1.0).power_w == 5_000.0
    vehicle.awaited = True
    vehicle.rig.say(ev.RenegotiationStarted(service=False))
    vehicle.rig.ask_schedule(again=True)
    step = vehicle.rig.cycle()
    assert any(isinstance(command, OfferSchedules) for command in step.commands)
    for _ in range(27):
        assert vehicle.rig.cycle().power_w == 5_000.0
    assert vehicle.rig.cycle(3).power_w == 0.0


def test_a_vehicle_that_renegotiates_without_end_does_not_keep_its_power(vehicle: Scheduled) -> None:
    vehicle.rig.grant_w = 5_000.0
    vehicle.charge()
    vehicle.target_a = 20.0
    vehicle.cycle(1.0)
    powers = []
    for _ in range(40):
        vehicle.rig.say(ev.RenegotiationStarted(service=False))
        powers.append(vehicle.rig.cycle().power_w)
    assert (powers[0], powers[-1]) == (5_000.0, 0.0)


def test_limits_in_the_loop_follow_the_grant_and_the_target_bounds_the_command(vehicle: Scheduled) -> None:
    vehicle.rig.grant_w = 6_000.0
    vehicle.charge()
    step = vehicle.cycle()
    assert step.power_w == 0.0
    told = vehicle.rig.update(step).limits
    assert (told.max_charge_power_w, told.max_discharge_power_w) == (6_000.0, 0.0)
    vehicle.target_a = 10.0
    assert vehicle.cycle(0.2).power_w == 10.0 * vehicle.rig.evse.present_voltage_v
    vehicle.target_a = 99.0
    assert vehicle.cycle(0.2).power_w == 6_000.0
    vehicle.rig.grant_w = 1_500.0
    step = vehicle.cycle()
    assert step.power_w == 1_500.0
    assert vehicle.rig.update(step).limits.max_charge_power_w == 1_500.0


def test_a_target_below_the_limits_of_a_while_is_a_bound_that_dispatch_sees(vehicle: Scheduled) -> None:
    vehicle.rig.grant_w = 6_000.0
    vehicle.charge()
    vehicle.target_a = 5.0
    vehicle.cycle(3.0)
    (bound,) = [bound for bound in vehicle.rig.bay.bounds(vehicle.rig.now) if bound.source == SOURCE]
    assert bound.hi_w == 5.0 * vehicle.rig.evse.present_voltage_v


def test_in_dynamic_mode_a_target_means_nothing(rig: Any) -> None:
    rig.grant_w = 5_000.0
    rig.charge()
    rig.loop(target_a=0.0)
    assert rig.cycle().power_w == 5_000.0
    assert SOURCE not in {bound.source for bound in rig.bay.bounds(rig.now)}


def test_a_plan_that_changes_materially_asks_for_renegotiation_after_a_minute(vehicle: Scheduled) -> None:
    vehicle.schedule = plan_of(*[8_000.0] * 96)
    vehicle.charge()
    vehicle.cycle(ASK_EVERY_S)
    vehicle.notices()
    vehicle.schedule = plan_of(*[8_000.0] * 2, *[0.0] * 94)
    assert vehicle.notification(60.0) is None
    assert vehicle.notification(6.0) is RENEGOTIATE
    assert vehicle.notices() == ["RENEGOTIATION_ASKED"]
    vehicle.rig.say(ev.RenegotiationStarted(service=False))
    vehicle.rig.ask_schedule(again=True)
    assert vehicle.notification() is None
    assert len(vehicle.offers) == 2
    assert vehicle.notification(ASK_EVERY_S + 70.0) is None
    assert vehicle.notices() == ["SCHEDULE_OFFERED"]


@pytest.mark.parametrize("step", [7_000.0, 9_900.0])
def test_a_change_that_is_small_asks_for_nothing(vehicle: Scheduled, step: float) -> None:
    vehicle.schedule = plan_of(*[8_000.0] * 96)
    vehicle.charge()
    vehicle.schedule = plan_of(*[step] * 96)
    assert vehicle.notification(ASK_EVERY_S + 70.0) is None


def test_a_vehicle_that_does_not_come_is_left_alone_and_it_is_said(vehicle: Scheduled) -> None:
    vehicle.schedule = plan_of(*[8_000.0] * 96)
    vehicle.charge()
    vehicle.schedule = plan_of(*[0.0] * 96)
    vehicle.cycle(ASK_EVERY_S + 1.0)
    assert vehicle.notification() is RENEGOTIATE
    vehicle.notices()
    assert vehicle.notification(ASKED_FOR_S) is None
    (notice,) = vehicle.rig.bay.procedure.take_notices()
    assert notice.code == "RENEGOTIATION_IGNORED"
    assert notice.is_warning
    assert vehicle.notification(ASK_EVERY_S - ASKED_FOR_S - 2.0) is None
    assert vehicle.notification(3.0) is RENEGOTIATE


def test_headroom_that_comes_back_renegotiates_a_flat_schedule(vehicle: Scheduled) -> None:
    vehicle.rig.site = (0.0, 3_000.0)
    vehicle.charge()
    vehicle.rig.site = (0.0, 20_000.0)
    assert vehicle.notification(ASK_EVERY_S - 5.0) is None
    assert vehicle.notification(10.0) is RENEGOTIATE


def test_a_permit_that_is_lost_renegotiates_nothing(vehicle: Scheduled) -> None:
    vehicle.charge()
    vehicle.rig.site = (0.0, 0.0)
    assert vehicle.notification(2 * ASK_EVERY_S) is None


def test_a_dip_of_the_headroom_renegotiates_nothing(vehicle: Scheduled) -> None:
    vehicle.charge()
    vehicle.cycle(ASK_EVERY_S)
    for _ in range(4):
        vehicle.rig.site = (0.0, 2_000.0)
        assert vehicle.notification(40.0) is None
        vehicle.rig.site = (-1e6, 1e6)
        assert vehicle.notification(10.0) is None


def test_stopping_comes_before_renegotiation(vehicle: Scheduled) -> None:
    vehicle.schedule = plan_of(*[8_000.0] * 96)
    vehicle.charge()
    vehicle.schedule = plan_of(*[0.0] * 96)
    vehicle.cycle(ASK_EVERY_S + 1.0)
    assert vehicle.notification() is RENEGOTIATE
    vehicle.rig.parting = Parting(notification=evseNotificationType.Pause, within_s=5)
    assert vehicle.notification() is evseNotificationType.Pause


def test_a_session_that_ended_while_it_waited_is_answered_nothing(vehicle: Scheduled) -> None:
    vehicle.awaited = True
    vehicle.plug_in()
    vehicle.cycle(2.0)
    vehicle.rig.say(ev.SessionEnded(reason=ev.EndReason.PEER_CLOSED, detail=""))
    vehicle.cycle(15.0)
    assert vehicle.offers == []


def test_no_list_is_as_long_as_the_vehicle_takes_at_most(rig: Any) -> None:
    vehicle = Scheduled(rig)
    vehicle.schedule = plan_of(*[8_000.0 * (n % 2) for n in range(96)])
    rig.plug_in()
    rig.ask_schedule(points=12)
    vehicle.cycle()
    ((_, offered),) = vehicle.offers
    assert len(offered.charging.power.slots) == 11


# ---- dynamic mode, needs by the SECC ------------------------------------------------------------------------------


@pytest.fixture
def needy(rig: Any) -> Any:
    rig.needs_by = ev.MobilityNeedsMode.BY_SECC
    rig.wants = Wants(min_soc_pct=30.0, max_soc_pct=90.0, assumed_stay_s=7200.0)
    rig.plug_in()
    return rig


def mobility(step: Any) -> list[SetMobilityNeeds]:
    return [command for command in step.commands if isinstance(command, SetMobilityNeeds)]


def test_a_vehicle_that_leaves_its_needs_to_the_site_is_told_them_and_once(needy: Any) -> None:
    needy.ask_schedule()
    assert mobility(needy.cycle()) == [SetMobilityNeeds(departure_time_s=7200, min_soc_pct=30, target_soc_pct=90)]
    assert mobility(needy.cycle()) == []


def test_changed_wishes_are_told_with_the_time_that_is_left(needy: Any) -> None:
    needy.ask_schedule()
    needy.cycle(1000)
    needy.wants = replace(needy.wants, min_soc_pct=50.0)
    assert mobility(needy.cycle()) == [SetMobilityNeeds(departure_time_s=7100, min_soc_pct=50, target_soc_pct=90)]
    needy.wants = replace(needy.wants, assumed_stay_s=3600.0)
    assert mobility(needy.cycle()) == [SetMobilityNeeds(departure_time_s=3500, min_soc_pct=50, target_soc_pct=90)]


def test_a_minimum_above_the_target_raises_the_target(needy: Any) -> None:
    needy.wants = Wants(min_soc_pct=95.0, max_soc_pct=90.0)
    needy.ask_schedule()
    (told,) = mobility(needy.cycle())
    assert (told.min_soc_pct, told.target_soc_pct) == (95, 95)


def test_without_wishes_of_the_site_the_evses_minimum_is_told(needy: Any) -> None:
    needy.wants = None
    needy.ask_schedule()
    (told,) = mobility(needy.cycle())
    assert (told.departure_time_s, told.min_soc_pct, told.target_soc_pct) == (8 * 3600, 30, 100)


def test_its_departure_is_the_sites_and_comes_nearer(needy: Any) -> None:
    needy.ask_schedule(departure_s=60)
    asked_at = needy.now
    needy.cycle(50)
    data = needy.bay.announced
    assert data.departs_at_s == asked_at + 7200.0
    assert data.target_soc_pct == 90


# ---- vehicles that do not do what they are asked ------------------------------------------------------------------


def test_a_vehicle_that_leaves_when_it_is_asked_is_not_asked_again(vehicle: Scheduled) -> None:
    vehicle.schedule = plan_of(*[8_000.0] * 96)
    vehicle.charge()
    vehicle.schedule = plan_of(*[0.0] * 96)
    vehicle.cycle(ASK_EVERY_S + 1.0)
    assert vehicle.notification() is RENEGOTIATE
    rig = vehicle.rig
    rig.say(ev.PowerDeliveryStopped(reason="stop"), ev.SessionEnded(reason=ev.EndReason.STOPPED, detail=""))
    rig.bay.end(rig.bay.procedure, rig.now)
    rig.cycle(10)
    vehicle.schedule = plan_of(*[8_000.0] * 96, starts=UNIX + 300.0)
    vehicle.offers.clear()
    vehicle.charge()
    vehicle.schedule = plan_of(*[0.0] * 96, starts=UNIX + 300.0)
    assert vehicle.notification(ASK_EVERY_S + 70.0) is None
    assert "RENEGOTIATION_ASKED" not in vehicle.notices()


def test_a_limit_that_is_ignored_is_told(vehicle: Scheduled) -> None:
    vehicle.charge()
    vehicle.notices()
    vehicle.rig.say(ev.LimitIgnored(granted_w=3_000.0, measured_w=7_000.0))
    (notice,) = vehicle.rig.bay.procedure.take_notices()
    assert (notice.code, notice.text) == ("LIMIT_IGNORED", "7.00 kW measured, 3.00 kW granted")
