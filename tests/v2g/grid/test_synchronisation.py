from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.grid import profiles
from v2g.grid.synchronisation import (
    HOLD_S,
    UNKNOWN_ANGLE_HELD_S,
    PhaseWatch,
    Synchronisation,
    corrected,
    wrapped_deg,
)

NORMAL = (1.0, 1.0, 1.0)
ALIGNED = (0.0, 0.0, 0.0)
DEAD = (0.0, 0.0, 0.0)
UNKNOWN = (None, None, None)
CLOSING_S = 0.06


def limits(kva: float):
    return profiles.resolve(nominal_frequency_hz=60.0, rated_kva=kva).sync


# kVA, df Hz, dv p.u., angle at the closing, closes: IEEE 1547-2018 Table 5, 10 % inside and 10 % outside of each limit
ATTEMPTS = [
    (100.0, 0.27, 0.0, 0.0, True),
    (100.0, 0.33, 0.0, 0.0, False),
    (100.0, -0.33, 0.0, 0.0, False),
    (100.0, 0.0, 0.09, 0.0, True),
    (100.0, 0.0, -0.11, 0.0, False),
    (100.0, 0.0, 0.0, 18.0, True),
    (100.0, 0.0, 0.0, -22.0, False),
    (1000.0, 0.18, 0.045, 13.5, True),
    (1000.0, 0.22, 0.0, 0.0, False),
    (1000.0, 0.0, 0.055, 0.0, False),
    (1000.0, 0.0, 0.0, 16.5, False),
    (5000.0, 0.09, 0.027, -9.0, True),
    (5000.0, 0.11, 0.0, 0.0, False),
    (5000.0, 0.0, 0.033, 0.0, False),
    (5000.0, 0.0, 0.0, 11.0, False),
]


@pytest.mark.parametrize(("kva", "df_hz", "dv_pu", "angle_deg", "closes"), ATTEMPTS)
@pytest.mark.parametrize("phase", [0, 1, 2])
def test_a_live_side_is_closed_on_only_within_the_limits_of_its_rating(
    kva: float, df_hz: float, dv_pu: float, angle_deg: float, closes: bool, phase: int
) -> None:
    sync = Synchronisation(limits(kva), CLOSING_S)
    v, angles = [1.0, 1.0, 1.0], [-360.0 * df_hz * CLOSING_S] * 3
    v[phase] += dv_pu
    angles[phase] += angle_deg
    for now_s in (0.0, HOLD_S):
        state = sync.step(now_s, NORMAL, 60.0, tuple(v), 60.0 + df_hz, tuple(angles))
    assert state.live
    assert state.ready == closes
    assert bool(state.reason) != closes


@pytest.mark.parametrize(
    ("angle_deg", "df_hz", "closes"),
    [
        # 0.25 Hz are 5.4 degrees in 0.06 s: what comes nearer is closed on that much earlier, what leaves is not.
        (-25.0, 0.25, True),
        (-25.5, 0.25, False),
        (25.0, -0.25, True),
        (14.0, 0.25, True),
        (15.0, 0.25, False),
        (-15.0, -0.25, False),
        (179.0, 0.25, False),
    ],
)
def test_the_angle_is_judged_for_the_moment_when_the_contacts_touch(
    angle_deg: float, df_hz: float, closes: bool
) -> None:
    sync = Synchronisation(limits(100.0), CLOSING_S)
    for now_s in (0.0, HOLD_S):
        state = sync.step(now_s, NORMAL, 60.0, NORMAL, 60.0 + df_hz, (angle_deg,) * 3)
    assert state.ready == closes


def test_a_dead_side_may_be_closed_on_at_once() -> None:
    sync = Synchronisation(limits(100.0), CLOSING_S)
    state = sync.step(0.0, NORMAL, 60.0, (0.09, 0.0, 0.05), None, UNKNOWN)
    assert (state.live, state.ready, state.reason) == (False, True, "")


@pytest.mark.parametrize(
    ("bus_hz", "inverter_v", "inverter_hz", "angles", "words"),
    [
        (60.0, NORMAL, 60.5, ALIGNED, "frequency differs by +0.500 Hz, limit 0.3 Hz"),
        (60.0, (1.0, 0.8, 1.0), 60.0, ALIGNED, "voltage of phase b differs by -0.200 p.u., limit 0.1 p.u."),
        (60.0, NORMAL, 60.0, (0.0, 0.0, -25.0), "angle of phase c at the closing is -25.0 degrees, limit 20 degrees"),
        (60.0, NORMAL, None, ALIGNED, "frequency of the live inverter side is unknown"),
        (None, NORMAL, 60.0, ALIGNED, "frequency of the live grid is unknown"),
        (60.0, NORMAL, 60.0, (0.0, None, 0.0), "angle of phase b is unknown"),
        (60.0, (0.15, 0.15, 0.15), 60.0, UNKNOWN, "voltage of phase a differs"),
        (60.0, NORMAL, 60.0, ALIGNED, "in step for 0.1 s"),
    ],
)
def test_the_reason_names_quantity_value_and_limit(bus_hz, inverter_v, inverter_hz, angles, words: str) -> None:
    state = Synchronisation(limits(100.0), CLOSING_S).step(0.0, NORMAL, bus_hz, inverter_v, inverter_hz, angles)
    assert state.live
    assert not state.ready
    assert words in state.reason


def test_the_limits_must_hold_without_a_break() -> None:
    sync = Synchronisation(limits(100.0), CLOSING_S)
    assert not sync.step(0.0, NORMAL, 60.0, NORMAL, 60.0, ALIGNED).ready
    assert not sync.step(0.09, NORMAL, 60.0, NORMAL, 60.0, (0.0, 21.0, 0.0)).ready
    assert not sync.step(0.10, NORMAL, 60.0, NORMAL, 60.0, ALIGNED).ready
    assert not sync.step(0.19, NORMAL, 60.0, NORMAL, 60.0, ALIGNED).ready
    assert sync.step(0.20, NORMAL, 60.0, NORMAL, 60.0, ALIGNED).ready
    sync.reset()
    assert not sync.step(0.21, NORMAL, 60.0, NORMAL, 60.0, ALIGNED).ready


@pytest.mark.parametrize(
    ("angle", "same"), [(180.0, 180.0), (-180.0, 180.0), (190.0, -170.0), (-190.0, 170.0), (360.0, 0.0), (725.0, 5.0)]
)
def test_angles_are_told_within_half_a_turn(angle: float, same: float) -> None:
    assert wrapped_deg(angle) == pytest.approx(same)


def test_the_calibrated_offset_is_taken_away_and_what_is_unknown_stays_unknown() -> None:
    assert corrected((7.0, None, -178.0), (7.0, 3.0, 4.0)) == (0.0, None, 178.0)


CYCLE_S = 1.0 / 60.0


def watch(cycles: int = 6, offset_deg: tuple[float, float, float] = ALIGNED) -> PhaseWatch:
    return PhaseWatch(20.0, cycles, 60.0, offset_deg)


@pytest.mark.parametrize("cycles", [2, 6, 120])
def test_a_mismatch_is_one_after_its_cycles_in_a_row(cycles: int) -> None:
    phases = watch(cycles)
    assert phases.step(0.0, (0.0, 25.0, 0.0)) is None
    assert phases.step(cycles * CYCLE_S - 0.001, (0.0, 25.0, 0.0)) is None
    found = phases.step(cycles * CYCLE_S, (0.0, 25.0, 0.0))
    assert found is not None
    assert (found.phase, found.angle_deg, found.limit_deg, found.cycles) == ("b", 25.0, 20.0, cycles)


def test_an_angle_that_returns_starts_over() -> None:
    phases = watch()
    phases.step(0.0, (0.0, 0.0, -30.0))
    phases.step(0.09, (0.0, 0.0, -20.0))
    phases.step(0.10, (0.0, 0.0, -30.0))
    assert phases.step(0.19, (0.0, 0.0, -30.0)) is None
    assert phases.step(0.21, (0.0, 0.0, -30.0)) is not None


def test_an_unknown_angle_keeps_the_count_for_a_tenth_of_a_second() -> None:
    phases = watch()
    phases.step(0.0, (30.0, 0.0, 0.0))
    phases.step(UNKNOWN_ANGLE_HELD_S - 0.01, UNKNOWN)
    assert phases.step(0.11, (30.0, 0.0, 0.0)) is not None
    phases.reset()
    phases.step(1.0, (30.0, 0.0, 0.0))
    phases.step(1.0 + UNKNOWN_ANGLE_HELD_S + 0.01, UNKNOWN)
    assert phases.step(1.12, (30.0, 0.0, 0.0)) is None


def test_the_offset_of_the_calibration_is_no_mismatch() -> None:
    phases = watch(offset_deg=(25.0, 25.0, 25.0))
    for now_s in (0.0, 0.2, 0.4):
        assert phases.step(now_s, (25.0, 30.0, 44.0)) is None
    phases = watch(offset_deg=(170.0, 0.0, 0.0))
    for now_s in (0.0, 0.2, 0.4):
        assert phases.step(now_s, (-175.0, 0.0, 0.0)) is None


@pytest.mark.parametrize(
    ("angles", "phase", "words"),
    [
        ((1.0, -119.0, 121.0), "c", "phases b and c are swapped"),
        ((120.5, 0.0, -120.0), "a", "phases a and c are swapped"),
        ((-118.0, 119.0, 2.0), "b", "phases a and b are swapped"),
        ((120.0, 121.0, 119.0), "b", "rotated by one"),
        ((-120.0, -121.0, -119.0), "b", "rotated by one"),
        ((179.0, -178.0, 180.0), "c", "polarity: the inverter-side voltage transducers of all phases"),
        ((180.0, 1.0, 0.0), "a", "polarity of phase a's transducer"),
        ((179.0, 180.0, 0.0), "b", "polarity of phase a's transducer and polarity of phase b's transducer"),
        ((0.0, 25.0, 24.0), "b", "offset: calibrate with v2g-tool --calibrate-pll, or check phase b"),
        ((0.0, 0.0, 75.0), "c", "offset: calibrate with v2g-tool --calibrate-pll, or check phase c"),
        ((120.0, 0.0, 0.0), "a", "offset: calibrate with v2g-tool --calibrate-pll, or check phase a"),
        ((None, 25.0, None), "b", "offset: calibrate with v2g-tool --calibrate-pll, or check phase b"),
    ],
)
def test_it_names_the_likely_wiring(angles, phase: str, words: str) -> None:
    phases = watch()
    phases.step(0.0, angles)
    found = phases.step(0.1, angles)
    assert found is not None
    assert found.phase == phase
    assert words in found.likely


ANGLE = st.one_of(st.none(), st.floats(-20.0, 20.0))


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.tuples(ANGLE, ANGLE, ANGLE)), max_size=50))
def test_within_the_limit_there_is_never_a_mismatch(history) -> None:
    phases, now_s = watch(2), 0.0
    for elapsed_s, angles in history:
        now_s += elapsed_s
        assert phases.step(now_s, angles) is None
