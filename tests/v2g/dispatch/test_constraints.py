from __future__ import annotations

from math import inf, nan

import pytest

from v2g.dispatch.constraints import Bound, intersect


def test_each_end_is_set_by_its_tightest_bound() -> None:
    found = intersect([Bound(-9e3, 7e3, "vehicle", 10.0), Bound(-5e3, 11e3, "inverter rating", 10.0)], 0.0)
    assert (found.lo_w, found.hi_w, found.lo_source, found.hi_source) == (-5e3, 7e3, "inverter rating", "vehicle")


def test_of_equal_bounds_the_first_is_named() -> None:
    found = intersect([Bound(0.0, 0.0, "no permit", 10.0), Bound(0.0, 0.0, "thermal K", 10.0)], 0.0)
    assert (found.lo_source, found.hi_source) == ("no permit", "no permit")


@pytest.mark.parametrize(("expires_at_s", "now_s"), [(5.0, 5.0), (5.0, 6.0), (nan, 0.0), (5.0, nan)])
def test_one_expired_bound_means_zero_power(expires_at_s: float, now_s: float) -> None:
    found = intersect([Bound(-9e3, 7e3, "vehicle", inf), Bound(-5e3, 5e3, "inverter rating", expires_at_s)], now_s)
    assert (found.lo_w, found.hi_w) == (0.0, 0.0)
    assert found.lo_source == found.hi_source
    assert found.lo_source.endswith(" expired")


def test_no_bound_at_all_means_zero_power() -> None:
    found = intersect([], 0.0)
    assert (found.lo_w, found.hi_w, found.lo_source) == (0.0, 0.0, "no limit known")


def test_bounds_that_exclude_each_other_mean_zero_power() -> None:
    found = intersect([Bound(2e3, 5e3, "a", 10.0), Bound(-5e3, 1e3, "b", 10.0)], 0.0)
    assert (found.lo_w, found.hi_w, found.lo_source) == (0.0, 0.0, "contradiction: a / b")


@pytest.mark.parametrize(("lo_w", "hi_w"), [(1.0, 0.0), (nan, 1.0), (0.0, nan)])
def test_an_empty_bound_cannot_be_made(lo_w: float, hi_w: float) -> None:
    with pytest.raises(ValueError, match="bound of 'vehicle' is empty"):
        Bound(lo_w, hi_w, "vehicle", 10.0)
