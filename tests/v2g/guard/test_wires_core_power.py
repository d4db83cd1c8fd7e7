"""The rules of ``wires`` for power: every way in which it becomes zero, and why."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.wires import E1, E2, LIMITS, LOADED, T0, applied, core_with, guard, inverter, one, output, setpoints
from v2g.guard.link import Setpoints
from v2g.guard.wires_core import MAX_LEASE_S, STALE_S, EvseLimits, SetpointsRefused, WiresCore
from v2g.hardware.ports import DcEvseCommand, Insulation, PilotReading, PilotState


@pytest.mark.parametrize("power_w", [-10_000.0, 0.0, 7_500.0])
def test_a_fresh_set_point_applies_as_it_is(power_w: float) -> None:
    target = one(core_with(power_w))
    assert (target.applied.power_w, target.applied.bound_by, target.applied.source) == (power_w, None, "order 1")
    assert target.command == LOADED


def test_power_ends_with_its_lease() -> None:
    core = core_with()
    assert applied(core, T0 + 0.999) == (-10_000, None)
    assert applied(core, T0 + 1.0) == (0, "lease_expired")


def test_power_ends_with_the_lease_of_the_dc_output() -> None:
    core = core_with()
    core.accept(setpoints(command=None, sequence=2, now_s=T0 + 0.9), T0 + 0.9)
    assert applied(core, T0 + 0.95) == (-10_000, None)
    assert applied(core, T0 + 1.0) == (0, "lease_expired")


def test_an_evse_that_is_absent_from_a_frame_keeps_its_lease() -> None:
    core = core_with()
    core.accept(Setpoints(sequence=2, sent_at_s=T0), T0)
    assert applied(core, T0 + 0.5) == (-10_000, None)


def test_without_any_set_point_power_is_zero() -> None:
    assert applied(WiresCore([LIMITS], T0)) == (0, "lease_expired")


def test_a_lease_is_never_longer_than_the_limit() -> None:
    core = WiresCore([LIMITS], T0)
    core.accept(setpoints(lease_s=3600), T0)
    later_s = T0 + MAX_LEASE_S
    core.observe_inverter(inverter(as_of_s=later_s))
    core.observe_output(output(as_of_s=later_s))
    assert applied(core, later_s - 0.01) == (-10_000, None)
    assert applied(core, later_s) == (0, "lease_expired")


def test_loss_of_permit_is_zero_at_once_in_power_and_in_current() -> None:
    core = core_with()
    target = one(core, permit=False)
    assert (target.applied.power_w, target.applied.bound_by) == (0, "no_permit")
    assert target.command is not None
    assert target.command.current_limit_a == 0
    assert target.command.close_contactors
    assert applied(core) == (-10_000, None)


@pytest.mark.parametrize("which", ["inverter", "output"])
def test_a_stale_reading_is_zero(which: str) -> None:
    core = core_with()
    later_s = T0 + STALE_S + 0.01
    core.accept(setpoints(sequence=2, now_s=later_s), later_s)
    if which == "inverter":
        core.observe_output(output(as_of_s=later_s))
    else:
        core.observe_inverter(inverter(as_of_s=later_s))
    assert applied(core, later_s) == (0, "stale_measurement")


@pytest.mark.parametrize(
    ("pilot", "power_w"),
    [
        (None, -10_000),
        (PilotReading(state=PilotState.C, high_v=6.0, low_v=-12.0, duty_pct=5.0), -10_000),
        (PilotReading(state=PilotState.C, earth_ok=True), -10_000),
        (PilotReading(state=PilotState.C, earth_ok=False), 0),
        (PilotReading(state=PilotState.B, high_v=9.0), 0),
        (PilotReading(state=PilotState.E, high_v=0.0), 0),
        (PilotReading(state=PilotState.C, high_v=6.0, low_v=0.0, duty_pct=5.0), 0),
        (PilotReading(), 0),
    ],
)
def test_a_dc_output_that_measures_the_pilot_needs_a_vehicle_that_is_ready(
    pilot: PilotReading | None, power_w: float
) -> None:
    core = core_with()
    core.observe_output(output(pilot=pilot))
    target = one(core)
    assert (target.applied.power_w, target.applied.bound_by) == (power_w, None if power_w else "pilot")
    assert target.command is not None
    assert target.command.current_limit_a == (LOADED.current_limit_a if power_w else 0.0)


def test_a_reading_that_was_never_there_is_stale() -> None:
    core = WiresCore([LIMITS], T0)
    core.accept(setpoints(), T0)
    assert applied(core) == (0, "stale_measurement")


@pytest.mark.parametrize(
    ("changes", "power_w", "expected"),
    [
        ({"fault": "OVER_TEMP"}, -10_000, (0, "device_fault")),
        ({"connected": False}, 10_000, (0, "device_fault")),
        ({"reversion_armed": False}, -10_000, (0, "no_reversion")),
        ({"reversion_armed": False}, 10_000, (10_000, None)),
        ({}, -16_000, (-15_000, "rating")),
        ({}, 21_000, (20_000, "rating")),
        ({"max_discharge_w": 0.0}, -10_000, (0, "rating")),
        ({"max_discharge_w": math.nan}, -10_000, (0, "rating")),
        ({"max_charge_w": 50_000.0}, 40_000, (22_000, "rating")),
        ({"max_discharge_w": 50_000.0}, -40_000, (-18_000, "rating")),
        ({"fault": "OVER_TEMP"}, 0, (0, None)),
    ],
)
def test_the_inverter_bounds_power(changes: dict[str, Any], power_w: float, expected: tuple[float, str | None]) -> None:
    core = core_with(power_w)
    core.observe_inverter(inverter(**changes))
    assert applied(core) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"fault": "contactor welded"}, (0, "device_fault")),
        ({"contactors_closed": False}, (0, "contactors_open")),
        ({"plugged": False}, (0, "contactors_open")),
        ({"insulation": Insulation.UNKNOWN}, (0, "insulation")),
        ({"insulation": Insulation.TESTING}, (0, "insulation")),
        ({"insulation": Insulation.FAULT}, (0, "insulation")),
        ({"max_power_w": 5_000.0}, (-5_000, "rating")),
    ],
)
def test_the_dc_output_bounds_power(changes: dict[str, Any], expected: tuple[float, str | None]) -> None:
    core = core_with()
    core.observe_output(output(**changes))
    assert applied(core) == expected


def test_power_is_zero_once_the_contactors_are_told_to_open() -> None:
    core = core_with()
    core.accept(setpoints(command=DcEvseCommand(), sequence=2), T0)
    assert applied(core) == (0, "contactors_open")


class TestFrames:
    @pytest.mark.parametrize(
        ("frame", "said"),
        [
            (setpoints(power_w=math.nan), "not a finite number"),
            (setpoints(power_w=math.inf), "not a finite number"),
            (setpoints(lease_s=math.nan), "not a finite number"),
            (setpoints(command=DcEvseCommand(current_limit_a=-1)), "magnitudes"),
            (setpoints(command=DcEvseCommand(target_voltage_v=math.inf)), "not a finite number"),
            (setpoints(sequence=0), "sequence 0 after 0"),
            (
                Setpoints(sequence=5, sent_at_s=T0, powers=(setpoints().powers[0],) * 2),
                "an EVSE is named twice",
            ),
        ],
    )
    def test_a_bad_frame_is_refused_whole(self, frame: Setpoints, said: str) -> None:
        core = WiresCore([LIMITS], T0)
        core.observe_inverter(inverter())
        core.observe_output(output())
        core.accept(setpoints(-3_000, sequence=0), T0)
        with pytest.raises(SetpointsRefused, match=said):
            core.accept(frame, T0)
        assert applied(core) == (-3_000, None)

    def test_an_evse_that_is_not_configured_is_left_out_and_the_others_are_served(self) -> None:
        core = core_with(-3_000)
        known, unknown = setpoints(-4_000, sequence=2), setpoints(-5_000, sequence=2, evse_id=E2)
        frame = Setpoints(
            sequence=2,
            sent_at_s=T0,
            powers=unknown.powers + known.powers,
            evses=unknown.evses + known.evses,
        )
        assert core.accept(frame, T0) == (E2,)
        assert applied(core) == (-4_000, None)
        assert set(core.decide(guard(), T0)) == {E1}
        assert core.accept(setpoints(sequence=3), T0) == ()

    def test_what_is_not_finite_for_an_unknown_evse_refuses_the_frame(self) -> None:
        with pytest.raises(SetpointsRefused, match="not a finite number"):
            core_with().accept(setpoints(math.nan, sequence=2, evse_id=E2), T0)

    def test_a_new_orchestrator_counts_anew(self) -> None:
        core = core_with()
        core.new_peer()
        core.accept(setpoints(-2_000, sequence=0), T0)
        assert applied(core) == (-2_000, None)


def test_the_next_change_is_when_something_ends() -> None:
    core = core_with()
    core.accept(setpoints(sequence=2, lease_s=0.4), T0)
    core.decide(guard(), T0)
    assert core.next_change_s(T0) == T0 + 0.4
    assert core.next_change_s(T0 + 0.5) == T0 + STALE_S
    assert core.next_change_s(T0 + 5) == math.inf


def test_evses_do_not_touch_each_other() -> None:
    core = WiresCore([LIMITS, msgspec_limits(E2)], T0 - 100)
    for evse_id in (E1, E2):
        core.observe_inverter(inverter(evse_id=evse_id))
        core.observe_output(output(evse_id=evse_id))
        core.accept(setpoints(evse_id=evse_id, sequence=1 if evse_id == E1 else 2), T0)
    core.observe_inverter(inverter(evse_id=E2, fault="OVER_TEMP"))
    decided = core.decide(guard(), T0)
    assert decided[E1].applied.bound_by is None
    assert decided[E2].applied.bound_by == "device_fault"


def msgspec_limits(evse_id: str) -> EvseLimits:
    return EvseLimits(evse_id, 22_000, 18_000, 800, 50)


@given(
    power_w=st.floats(-1e6, 1e6),
    permit=st.booleans(),
    age_s=st.floats(0, 3),
    reading=st.fixed_dictionaries(
        {
            "reversion_armed": st.booleans(),
            "connected": st.booleans(),
            "max_charge_w": st.floats(),
            "max_discharge_w": st.floats(),
            "fault": st.sampled_from([None, "FAULT"]),
        }
    ),
    stage=st.fixed_dictionaries(
        {
            "contactors_closed": st.booleans(),
            "plugged": st.booleans(),
            "insulation": st.sampled_from(list(Insulation)),
            "present_current_a": st.floats(),
            "max_power_w": st.floats(),
            "max_current_a": st.floats(),
            "max_voltage_v": st.floats(),
            "fault": st.sampled_from([None, "contactor welded"]),
        }
    ),
)
def test_no_state_of_the_devices_yields_more_than_what_is_allowed(
    power_w: float, permit: bool, age_s: float, reading: dict[str, Any], stage: dict[str, Any]
) -> None:
    core = core_with(power_w)
    core.observe_inverter(inverter(**reading))
    core.observe_output(output(**stage))
    now_s = T0 + age_s
    target = one(core, now_s, permit=permit)
    got_w = target.applied.power_w
    assert math.isfinite(got_w)
    assert got_w == 0 or math.copysign(1, got_w) == math.copysign(1, power_w)
    assert abs(got_w) <= abs(power_w)
    if got_w:
        assert permit
        assert age_s < 1.0
        assert reading["fault"] is None
        assert stage["fault"] is None
        assert reading["connected"]
        assert stage["contactors_closed"]
        assert stage["insulation"] is Insulation.VALID
        rating_w = reading["max_charge_w"] if got_w > 0 else reading["max_discharge_w"]
        assert abs(got_w) <= min(rating_w, stage["max_power_w"], 22_000 if got_w > 0 else 18_000)
        assert got_w > 0 or reading["reversion_armed"]
    else:
        assert target.applied.bound_by is not None or power_w == 0
    assert target.command is not None
    assert 0 <= target.command.current_limit_a <= 50
    assert 0 <= target.command.target_voltage_v <= 800
