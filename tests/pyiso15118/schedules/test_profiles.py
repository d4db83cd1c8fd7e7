"""Plans against the schedules they were made for, and measured power against plans."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyiso15118.messages import common_types as ct
from pyiso15118.schedules import (
    ChargingSchedule,
    PowerProfile,
    PowerSchedule,
    PowerSlot,
    PowerWatch,
    ScheduleTuple,
    flat_schedule,
    follow,
    profile_problem,
    tolerance_code,
)
from support.examples import examples

Code = ct.responseCodeType
START = 1_800_000_000


def slots(*parts: tuple[int, float]) -> tuple[PowerSlot, ...]:
    return tuple(PowerSlot(duration_s=duration, power_w=power) for duration, power in parts)


def offer(
    *parts: tuple[int, float], discharging: tuple[tuple[int, float], ...] = (), start: int = START, **power: Any
) -> ScheduleTuple:
    back = ChargingSchedule(power=PowerSchedule(starts_at_unix_s=start, slots=slots(*discharging)))
    return ScheduleTuple(
        id=1,
        charging=ChargingSchedule(power=PowerSchedule(starts_at_unix_s=start, slots=slots(*parts), **power)),
        discharging=back if discharging else None,
    )


def plan(*parts: tuple[int, float], start: int = START, id: int | None = 1, **more: Any) -> PowerProfile:
    return PowerProfile(starts_at_unix_s=start, slots=slots(*parts), selected_tuple_id=id, **more)


HOUR_THEN_NOTHING = offer((3600, 11_000.0), (3600, 0.0))
BOTH_WAYS = offer((3600, 11_000.0), (3600, 0.0), discharging=((1800, 0.0), (5400, -7_000.0)))


@pytest.mark.parametrize(
    ("profile", "chosen"),
    [
        (plan((3600, 11_000.0), (3600, 0.0)), HOUR_THEN_NOTHING),
        (plan((60, 10_000.0)), HOUR_THEN_NOTHING),
        (plan((1800, 11_000.0), (1800, 4_000.0)), HOUR_THEN_NOTHING),
        # An early end: from then on the power is zero.
        (plan((10, 1.0)), HOUR_THEN_NOTHING),
        # After the end a new schedule is due.
        (plan((3600, 11_000.0), (3600, 0.0), (3600, 22_000.0)), HOUR_THEN_NOTHING),
        (plan((1800, 11_000.0), (1800, -7_000.0)), BOTH_WAYS),
        (plan((3600, 0.0), (86_400, -7_000.0)), BOTH_WAYS),
        # A clock that is not the EVSE's.
        (plan((60, 11_000.0), start=START - 60), HOUR_THEN_NOTHING),
        # No time named, on either side.
        (plan((3600, 11_000.0), start=0), HOUR_THEN_NOTHING),
        (plan((3600, 11_000.0), (3600, 0.0)), offer((3600, 11_000.0), (3600, 0.0), start=0)),
        (plan((3600, 11_000.0), start=0), offer((3600, 11_000.0), start=0)),
        # A vehicle that knows no calendar: its plan begins with the schedule.
        (plan((3600, 11_000.0), start=86_400 * 3), HOUR_THEN_NOTHING),
        # Slots of no length never apply.
        (plan((0, 99_000.0), (60, 11_000.0)), HOUR_THEN_NOTHING),
        (plan((0, 99_000.0)), HOUR_THEN_NOTHING),
        # A forecast.
        (plan((60, 1e6), id=None), HOUR_THEN_NOTHING),
    ],
)
def test_a_plan_within_its_schedule_is_accepted(profile: PowerProfile, chosen: ScheduleTuple) -> None:
    assert profile_problem(profile, (chosen,)) is None


@pytest.mark.parametrize(
    ("profile", "chosen", "reason"),
    [
        (
            plan((60, 30_000.0)),
            HOUR_THEN_NOTHING,
            "0 s after its start the power profile has 30000 W, above the 11000 W",
        ),
        (plan((3600, 11_000.0), (1, 5_000.0)), HOUR_THEN_NOTHING, "3600 s after its start .* 5000 W, above the 0 W"),
        (plan((7200, 11_000.0)), HOUR_THEN_NOTHING, "3600 s after its start"),
        (plan((60, -1.0)), HOUR_THEN_NOTHING, "-1 W, below the 0 W of schedule tuple 1"),
        (plan((86_400, 0.0), (60, -1.0)), HOUR_THEN_NOTHING, "86400 s after its start .* -1 W, below the 0 W"),
        (plan((1799, 0.0), (2, -7_000.0)), BOTH_WAYS, "1799 s after its start .* -7000 W, below the 0 W"),
        (plan((1800, 0.0), (1, -7_001.0)), BOTH_WAYS, "1800 s after its start .* -7001 W, below the -7000 W"),
        (plan((120, 1.0), start=START - 61), HOUR_THEN_NOTHING, "0 s after its start .* 1 W, above the 0 W"),
        (plan((3601, 11_000.0), start=0), offer((3600, 11_000.0), (60, 0.0), start=0), "3600 s after its start"),
    ],
)
def test_a_plan_beyond_its_schedule_is_invalid(profile: PowerProfile, chosen: ScheduleTuple, reason: str) -> None:
    problem = profile_problem(profile, (chosen,))
    assert problem is not None
    assert problem.code is Code.FAILED_EVPowerProfileInvalid
    assert re.search(reason, problem.reason), problem.reason


def test_a_tuple_that_was_not_offered_is_an_invalid_selection() -> None:
    problem = profile_problem(plan((60, 1.0), id=3), (HOUR_THEN_NOTHING, flat_schedule(1.0, id=2)))
    assert problem is not None
    assert problem.code is Code.FAILED_ScheduleSelectionInvalid
    assert problem.reason == "schedule tuple 3 was chosen, offered: 1, 2"


def test_the_slack_before_the_start_is_the_owners_to_set() -> None:
    early = plan((3600, 11_000.0), start=START - 30)
    assert profile_problem(early, (HOUR_THEN_NOTHING,)) is None
    assert profile_problem(early, (HOUR_THEN_NOTHING,), slack_s=29) is not None


def test_the_limit_is_the_one_the_vehicle_was_told_rounded_as_it_was() -> None:
    chosen = offer((3600, 44_444.4))
    told = ScheduleTuple.from_message(chosen.to_message())
    assert told.charging.power.slots[0].power_w == 44_440.0
    assert profile_problem(follow(told), (chosen,)) is None
    chosen = offer((3600, 44_446.0))
    told = ScheduleTuple.from_message(chosen.to_message())
    assert told.charging.power.slots[0].power_w == 44_450.0
    assert profile_problem(follow(told), (chosen,)) is None


def by_phase(*powers: float) -> tuple[PowerSlot, ...]:
    return (PowerSlot(duration_s=3600, power_w=powers[0], power_l2_w=powers[1], power_l3_w=powers[2]),)


def test_phases_are_judged_where_both_sides_tell_them_apart() -> None:
    chosen = offer((3600, 0.0), discharging=((3600, -3_000.0),))
    chosen = replace(
        chosen, charging=replace(chosen.charging, power=replace(chosen.charging.power, slots=by_phase(4e3, 4e3, 3e3)))
    )
    profile = PowerProfile(starts_at_unix_s=START, slots=by_phase(4e3, 4e3, 3e3), selected_tuple_id=1)
    assert profile_problem(profile, (chosen,)) is None
    for powers, phase in ((5e3, 0.0, 0.0), "L1"), ((0.0, 4.1e3, 0.0), "L2"), ((0.0, 0.0, 3.1e3), "L3"):
        problem = profile_problem(replace(profile, slots=by_phase(*powers)), (chosen,))
        assert problem is not None
        assert f" W on {phase}, above the " in problem.reason
    # The sum is judged in any case; the discharging schedule does not tell phases apart.
    assert profile_problem(plan((60, 11_000.0)), (chosen,)) is None
    assert profile_problem(plan((60, 11_001.0)), (chosen,)) is not None
    assert profile_problem(replace(profile, slots=by_phase(-3e3, 0.0, 0.0)), (chosen,)) is None
    assert profile_problem(replace(profile, slots=by_phase(-3e3, -1.0, 0.0)), (chosen,)) is not None
    # One phase back and another forth is no way round a tuple without discharging.
    one_way = replace(chosen, discharging=None)
    problem = profile_problem(replace(profile, slots=by_phase(4e3, -4e3, 0.0)), (one_way,))
    assert problem is not None
    assert "-4000 W on L2, below the 0 W" in problem.reason


POWERS = st.integers(-3, 3).map(lambda kilowatts: kilowatts * 1000.0)
PARTS = st.lists(st.tuples(st.integers(0, 5), POWERS), min_size=1, max_size=6)


@settings(max_examples=examples(300), deadline=None)
@given(
    charging=PARTS,
    discharging=st.none() | PARTS,
    wanted=PARTS,
    starts=st.tuples(st.integers(-8, 8), st.integers(-8, 8)),
    slack=st.integers(0, 3),
)
def test_a_plan_is_invalid_exactly_if_some_second_of_it_is(
    charging: list[tuple[int, float]],
    discharging: list[tuple[int, float]] | None,
    wanted: list[tuple[int, float]],
    starts: tuple[int, int],
    slack: int,
) -> None:
    up = PowerSchedule(starts_at_unix_s=START, slots=slots(*((d, abs(p)) for d, p in charging)))
    down = None
    if discharging is not None:
        down = PowerSchedule(starts_at_unix_s=START + starts[1], slots=slots(*((d, -abs(p)) for d, p in discharging)))
    chosen = ScheduleTuple(
        id=1,
        charging=ChargingSchedule(power=up),
        discharging=None if down is None else ChargingSchedule(power=down),
    )
    profile = plan(*wanted, start=START + starts[0])

    begin = profile.starts_at_unix_s
    both = [power for power in (up, down) if power is not None]
    start, end = min(p.starts_at_unix_s for p in both), max(p.ends_at_unix_s for p in both)
    shift = 0 if begin < end and begin + profile.duration_s > start else start - begin

    def allowed(schedule: PowerSchedule | None, at: int) -> float | None:
        if schedule is None:
            return 0.0
        if schedule.duration_s == 0 or at >= schedule.ends_at_unix_s:
            return None
        if at < schedule.starts_at_unix_s - slack:
            return 0.0
        found = schedule.power_at(max(at, schedule.starts_at_unix_s))
        return None if found is None else found[0]

    def fits(at: int) -> bool:
        power = profile.power_at(at)
        assert power is not None
        most, least = allowed(up, at + shift), allowed(down, at + shift)
        return (most is None or power[0] <= most) and (least is None or power[0] >= least)

    within = all(fits(at) for at in range(begin, begin + profile.duration_s))
    assert (profile_problem(profile, (chosen,), slack_s=slack) is None) == within


def test_the_longest_plan_against_the_longest_schedules_is_judged_quickly() -> None:
    long = tuple(PowerSlot(duration_s=60, power_w=1_000.0 + i % 7) for i in range(1023))
    chosen = offer((1, 0.0), discharging=((1, 0.0),))
    chosen = replace(
        chosen,
        charging=ChargingSchedule(power=PowerSchedule(starts_at_unix_s=START, slots=long)),
        discharging=ChargingSchedule(
            power=PowerSchedule(
                starts_at_unix_s=START + 7, slots=tuple(replace(slot, power_w=-slot.power_w) for slot in long)
            )
        ),
    )
    profile = PowerProfile(
        starts_at_unix_s=START + 3,
        slots=tuple(PowerSlot(duration_s=29, power_w=500.0 * (-1) ** i) for i in range(2048)),
        selected_tuple_id=1,
    )
    begin = time.process_time()
    assert profile_problem(profile, (chosen,)) is None
    assert time.process_time() - begin < 0.5


WATCHED = offer((3600, 11_000.0), (3600, 0.0), discharging=((7200, -7_000.0),), tolerance_w=1_000.0)


def watch(profile: PowerProfile, chosen: ScheduleTuple = WATCHED, margin_w: float = 100.0) -> PowerWatch:
    return PowerWatch(profile, chosen, margin_w=margin_w)


@pytest.mark.parametrize(
    ("power_w", "after_s", "reason"),
    [
        (5_000.0, 0, None),
        (6_100.0, 0, None),
        (3_900.0, 0, None),
        (6_101.0, 0, "6101 W, the power profile has 5000 ± 1000 W"),
        (3_899.0, 0, "3899 W, the power profile has 5000 ± 1000 W"),
        (0.0, 0, "0 W, the power profile has 5000 ± 1000 W"),
        (11_101.0, 0, "11101 W, above the 11000 W of schedule tuple 1"),
        # Where the plan is zero there is no band.
        (100.0, 1800, None),
        (101.0, 1800, "101 W, the power profile has 0 ± 0 W"),
        (-101.0, 1800, "-101 W, the power profile has 0 ± 0 W"),
        # The discharging schedule names no tolerance: that of the charging one holds.
        (-3_000.0, 3600, None),
        (-4_101.0, 3600, "-4101 W, the power profile has -3000 ± 1000 W"),
        (-7_101.0, 3600, "-7101 W, below the -7000 W of schedule tuple 1"),
        (101.0, 3600, "101 W, above the 0 W of schedule tuple 1"),
        # After the plan only the schedule holds; after that, nothing is known.
        (-7_000.0, 5400, None),
        (-7_101.0, 5400, "-7101 W, below the -7000 W"),
        (99_000.0, 7200, None),
        (101.0, -61, "101 W, above the 0 W of schedule tuple 1"),
    ],
)
def test_power_off_its_plan_is_a_violation(power_w: float, after_s: int, reason: str | None) -> None:
    problem = watch(plan((1800, 5_000.0), (1800, 0.0), (1800, -3_000.0))).problem(power_w, START + after_s)
    if reason is None:
        assert problem is None
    else:
        assert problem is not None
        assert problem.code is Code.WARNING_EVPowerProfileViolation
        assert reason in problem.reason


def test_without_tolerance_or_with_it_declined_only_the_schedule_holds() -> None:
    bare = offer((3600, 11_000.0))
    assert watch(plan((3600, 5_000.0)), bare).problem(11_000.0, START) is None
    assert watch(plan((3600, 5_000.0)), bare).problem(11_101.0, START) is not None
    declined = watch(plan((3600, 5_000.0), tolerance_accepted=False))
    assert declined.problem(0.0, START) is None
    assert declined.problem(11_101.0, START) is not None


def test_a_discharging_schedule_with_a_tolerance_of_its_own_has_that_band() -> None:
    assert WATCHED.discharging is not None
    power = replace(WATCHED.discharging.power, tolerance_w=200.0)
    chosen = replace(WATCHED, discharging=ChargingSchedule(power=power))
    watching = watch(plan((3600, -3_000.0)), chosen, margin_w=0.0)
    assert watching.problem(-3_200.0, START) is None
    assert watching.problem(-3_201.0, START) is not None


@pytest.mark.parametrize(
    ("profile", "code"),
    [
        (plan((60, 1.0)), Code.OK),
        (plan((60, 1.0), id=None), Code.OK),
        (plan((60, 1.0), tolerance_accepted=True), Code.OK_PowerToleranceConfirmed),
        (plan((60, 1.0), tolerance_accepted=False), Code.WARNING_PowerToleranceNotConfirmed),
    ],
)
def test_the_answer_says_how_the_tolerance_was_taken(profile: PowerProfile, code: ct.responseCodeType) -> None:
    assert tolerance_code(profile) is code


def test_a_plan_that_follows_a_tuple_takes_all_of_it_up_to_the_vehicles_limit() -> None:
    assert follow(BOTH_WAYS) == plan((3600, 11_000.0), (3600, 0.0), tolerance_accepted=True)
    assert follow(BOTH_WAYS, max_power_w=7_000.0).slots == slots((3600, 7_000.0), (3600, 0.0))
    assert follow(BOTH_WAYS, discharge=True).slots == slots((1800, 0.0), (5400, -7_000.0))
    assert follow(BOTH_WAYS, discharge=True, max_power_w=3_500.0).slots == slots((1800, 0.0), (5400, -3_500.0))
    assert follow(HOUR_THEN_NOTHING, discharge=True).slots == slots((3600, 0.0), (3600, 0.0))
    assert follow(HOUR_THEN_NOTHING, tolerance_accepted=None).tolerance_accepted is None


def test_a_plan_below_a_limit_by_phase_is_scaled_alike_on_all() -> None:
    chosen = offer((3600, 0.0))
    chosen = replace(
        chosen, charging=ChargingSchedule(power=replace(chosen.charging.power, slots=by_phase(4e3, 4e3, 2e3)))
    )
    assert follow(chosen, max_power_w=5_000.0).slots == by_phase(2e3, 2e3, 1e3)
    only_two = replace(chosen.charging.power.slots[0], power_l3_w=None)
    chosen = replace(chosen, charging=ChargingSchedule(power=replace(chosen.charging.power, slots=(only_two,))))
    assert follow(chosen, max_power_w=4_000.0).slots[0].powers_w == (2e3, 2e3, None)


@settings(max_examples=examples(100), deadline=None)
@given(data=st.data(), max_power_w=st.none() | st.floats(0, 1e9), discharge=st.booleans())
def test_a_plan_that_follows_what_was_received_is_always_accepted(
    values: dict[type[Any], st.SearchStrategy[Any]], data: st.DataObject, max_power_w: float | None, discharge: bool
) -> None:
    sent = data.draw(values[ScheduleTuple])
    profile = follow(ScheduleTuple.from_message(sent.to_message()), max_power_w=max_power_w, discharge=discharge)
    received = PowerProfile.from_message(profile.to_message())
    assert profile_problem(received, (sent,)) is None
