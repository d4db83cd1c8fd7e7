"""Series of a report: many minutes in few buckets, with nothing of their extremes and gaps lost."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.cli.report_series import MOST_BUCKETS, Series, Window, gaps

T0 = 1_764_000_000.0


def test_a_day_is_told_by_two_minutes_and_a_month_by_the_hour() -> None:
    day = Window.over(T0, T0 + 86_400.0)
    assert (day.bucket_s, day.count) == (120.0, 720)
    month = Window.over(T0, T0 + 30 * 86_400.0)
    assert (month.bucket_s, month.count) == (3600.0, 720)
    assert Window.over(T0, T0 + 60.0).count == 1


@settings(max_examples=examples(200), deadline=None)
@given(minutes=st.integers(1, 60 * 24 * 366), share=st.floats(0.0, 0.999_999))
def test_every_moment_has_a_bucket_of_a_bounded_number(minutes: int, share: float) -> None:
    window = Window.over(T0, T0 + 60.0 * minutes)
    index = window.index(T0 + 60.0 * minutes * share)
    assert index is not None
    assert 0 <= index < window.count <= MOST_BUCKETS
    assert T0 < window.middle_s(index) <= window.until_s


def test_means_keep_their_extremes() -> None:
    window = Window.over(T0, T0 + 86_400.0)
    series = Series(window)
    series.add(T0 + 10.0, 60.0, 59.4, 60.2)
    series.add(T0 + 70.0, 50.0)
    series.add(T0 + 70.0, math.nan)
    series.add(T0 + 70.0, None)
    series.add(T0 - 1.0, 1e9)
    series.add(T0 + 86_400.0, 1e9)
    assert list(series.runs()) == [[(T0 + 60.0, 55.0, 50.0, 60.2)]]
    assert (series.lowest, series.highest) == (50.0, 60.2)
    assert series.scaled(10.0).highest == 602.0


def test_what_is_missing_is_a_gap_and_breaks_the_line() -> None:
    window = Window.over(T0, T0 + 600.0)
    series = Series(window)
    for minute in (0, 1, 5, 6, 9):
        series.add(T0 + 60.0 * minute + 30.0, float(minute))
    assert [[point[1] for point in run] for run in series.runs()] == [[0.0, 1.0], [5.0, 6.0], [9.0]]
    assert gaps(series) == [(T0 + 120.0, T0 + 300.0), (T0 + 420.0, T0 + 540.0)]
    assert gaps(Series(window)) == [(T0, T0 + 600.0)]
