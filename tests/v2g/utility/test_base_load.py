"""Which of two base loads counts, for each phase and direction."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.utility.base_load import BOTH, MEASURED, METERED, UNKNOWN, combine
from v2g.utility.meter_view import MeteredLoad, Phases

METERS = MeteredLoad(base_w=(10_000.0, -2_000.0, 0.0))


def test_what_the_transformer_measures_comes_first() -> None:
    base = combine((9_000.0, -1_500.0, 500.0), METERS)
    assert (base.low_w, base.high_w, base.source, base.notes) == (
        (9_000.0, -1_500.0, 500.0), (9_000.0, -1_500.0, 500.0), MEASURED, ()
    )  # fmt: skip


def test_meters_stand_in_with_ten_percent_more_on_either_side() -> None:
    base = combine(None, METERS)
    assert base.low_w == pytest.approx((9_000.0, -2_200.0, 0.0))
    assert base.high_w == pytest.approx((11_000.0, -1_800.0, 0.0))
    assert base.source == METERED
    assert base.notes == ("the base load is that of the meters with 10% more on either side",)


@pytest.mark.parametrize("measured", [None, math.nan, (1.0, math.inf, 0.0)])
def test_with_neither_it_is_unknown_and_says_why(measured: Phases | float | None) -> None:
    base = combine(measured, MeteredLoad(missing=("c1",), notes=("1 of 2 meters tell nothing",)))
    assert (base.low_w, base.high_w, base.source) == (None, None, UNKNOWN)
    assert base.notes == (
        "the base load is unknown: the transformer does not measure it, and 1 of 2 meters tell nothing",
    )
    assert "there are no meters" in combine(measured, MeteredLoad()).notes[0]


def test_where_both_contradict_the_less_favourable_counts_in_each_phase_and_direction() -> None:
    base = combine((4_000.0, 4_000.0, 4_000.0), MeteredLoad(base_w=(20_000.0, 1_000.0, 4_000.0)))
    assert (base.low_w, base.high_w, base.source) == (
        (4_000.0, 1_000.0, 4_000.0), (20_000.0, 4_000.0, 4_000.0), BOTH
    )  # fmt: skip
    assert base.notes[0].startswith("base load: the transformer measures 12.00 kW, the meters add up to 25.00 kW")


def test_phases_that_are_mixed_up_are_found_though_the_sum_agrees() -> None:
    base = combine((10_000.0, 2_000.0, 2_000.0), MeteredLoad(base_w=(2_000.0, 10_000.0, 2_000.0)))
    assert (base.low_w, base.high_w) == ((2_000.0,) * 3, (10_000.0, 10_000.0, 2_000.0))
    assert [note[:20] for note in base.notes] == ["base load of phase a", "base load of phase b"]
    assert "rotation" in base.notes[0]


def test_meters_divide_a_total_that_is_measured() -> None:
    base = combine(9_000.0, METERS)
    assert base.low_w == base.high_w == pytest.approx((10_333.33, -1_666.67, 333.33), abs=0.01)
    assert (base.source, base.notes) == (MEASURED, ())


def test_a_total_alone_is_shared_equally_and_said() -> None:
    base = combine(9_000.0, MeteredLoad(missing=("c1",)))
    assert base.low_w == base.high_w == (3_000.0,) * 3
    assert base.notes == ("only the total of the base load is measured: its phases are taken to be equal",)


POWERS = st.floats(-1e6, 1e6)
PHASES = st.tuples(POWERS, POWERS, POWERS)


@given(st.none() | POWERS | PHASES, st.none() | PHASES)
def test_low_is_never_above_high_and_both_sources_lie_between_or_agree(
    measured: Phases | float | None, metered: Phases | None
) -> None:
    base = combine(measured, MeteredLoad(base_w=metered))
    if measured is None and metered is None:
        assert base.low_w is base.high_w is None
        return
    assert base.low_w is not None
    assert base.high_w is not None
    assert all(low <= high for low, high in zip(base.low_w, base.high_w, strict=True))
    if isinstance(measured, tuple):
        assert all(low <= m <= high for low, m, high in zip(base.low_w, measured, base.high_w, strict=True))
    if base.source == BOTH:
        assert metered is not None
        assert all(low <= m <= high for low, m, high in zip(base.low_w, metered, base.high_w, strict=True))
