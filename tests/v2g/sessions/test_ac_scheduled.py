"""A vehicle at an AC EVSE that follows a schedule: by its own profile, held down by set-points."""

from __future__ import annotations

import pytest

from pyiso15118 import events as ev
from pyiso15118.commands import OfferSchedules
from pyiso15118.events import AcPower, EnergyService
from pyiso15118.schedules import PowerProfile, PowerSlot
from support.ac_rig import AcRig
from v2g.sessions.ac_procedure import PROFILE
from v2g.sessions.scheduling import Outlook

UNIX = 1_800_000_000.0
ASKED = ev.ScheduleRequested(
    control_mode=ev.ControlMode.SCHEDULED,
    mobility_needs_mode=ev.MobilityNeedsMode.BY_EVCC,
    needs=ev.EnergyNeeds(),
    max_supporting_points=1024,
)


class Profiled(AcRig):
    """Its vehicle charges with 6 kW for a minute, then gives 4 kW for a minute; and that is all it said."""

    def __init__(self, starts_at_unix_s: int = 0, service: EnergyService = EnergyService.AC_BPT) -> None:
        super().__init__()
        self.mode = ev.ControlMode.SCHEDULED
        self.outlook = Outlook(unix_s=UNIX)
        self.before_contactor = (
            ASKED,
            ev.PowerProfileReceived(
                profile=PowerProfile(
                    starts_at_unix_s=starts_at_unix_s,
                    slots=(PowerSlot(duration_s=60, power_w=6_000.0), PowerSlot(duration_s=60, power_w=-4_000.0)),
                    selected_tuple_id=1,
                )
            ),
        )
        self.grant_w = 11_000.0
        self.charge(service)

    def at(self, unix_s: float) -> float:
        self.outlook = Outlook(unix_s=unix_s)
        return self.cycle(2).power_w


def test_a_vehicle_that_is_granted_what_it_announced_follows_its_profile_without_a_set_point() -> None:
    rig = Profiled()
    step = rig.cycle()
    assert step.power_w == 6_000.0
    assert rig.told(step).target_active_power is None


def test_a_lower_grant_is_told_as_a_set_point_at_once() -> None:
    rig = Profiled()
    rig.grant_w = 2_500.0
    step = rig.cycle()
    assert rig.told(step).target_active_power == AcPower(2_500.0)
    rig.grant_w = 0.0
    assert rig.told(rig.cycle()).target_active_power == AcPower(0.0)
    rig.permitted = False
    assert rig.told(rig.cycle()).target_active_power == AcPower(0.0)


def test_what_it_announced_bounds_dispatch_in_both_directions() -> None:
    rig = Profiled()
    rig.cycle()
    (bound,) = [bound for bound in rig.bay.bounds(rig.now) or () if bound.source == PROFILE]
    assert (bound.lo_w, bound.hi_w) == (0.0, 6_000.0)
    rig.grant_w = -11_000.0
    assert rig.at(UNIX + 90.0) == -4_000.0
    assert rig.at(UNIX + 30.0) == 0.0


def test_a_profile_that_is_over_leaves_nothing() -> None:
    rig = Profiled()
    assert rig.at(UNIX + 200.0) == 0.0


@pytest.mark.parametrize("starts_at_unix_s", [0, 5_000, round(UNIX) + 10_000_000])
def test_a_profile_without_a_time_that_can_be_begins_with_its_schedule(starts_at_unix_s: int) -> None:
    rig = Profiled(starts_at_unix_s)
    assert rig.at(UNIX + 30.0) == 6_000.0


def test_a_profile_that_begins_later_allows_nothing_before() -> None:
    rig = Profiled(round(UNIX) + 600)
    assert rig.at(UNIX + 30.0) == 0.0
    assert rig.at(UNIX + 630.0) == 6_000.0


def test_without_a_calendar_the_set_point_is_always_told() -> None:
    rig = Profiled()
    rig.outlook = Outlook()
    step = rig.cycle(2)
    assert rig.told(step).target_active_power == AcPower(11_000.0)


def test_the_least_power_of_the_vehicle_is_the_last_line_of_defence() -> None:
    rig = Profiled()
    rig.grant_w = 900.0
    assert rig.cycle(2).power_w == 0.0
    assert "less than the 1.40 kW" in str(rig.bay.note)


@pytest.mark.parametrize(("service", "both"), [(EnergyService.AC_BPT, True), (EnergyService.AC, False)])
def test_only_a_bidirectional_service_gets_a_discharging_schedule(service: EnergyService, both: bool) -> None:
    rig = AcRig()
    rig.mode = ev.ControlMode.SCHEDULED
    rig.begin()
    rig.select(service)
    rig.say(ASKED)
    (command,) = [command for command in rig.cycle().commands if isinstance(command, OfferSchedules)]
    assert (command.tuples[0].discharging is not None) is both
