from __future__ import annotations

from math import fsum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from v2g.dispatch.fill import water_fill


@pytest.mark.parametrize(
    ("amount", "caps", "weights", "shares"),
    [
        (9.0, [10.0, 10.0, 10.0], [1.0, 1.0, 1.0], [3.0, 3.0, 3.0]),
        (9.0, [1.0, 10.0, 10.0], [1.0, 1.0, 1.0], [1.0, 4.0, 4.0]),  # 3 each; the 2 the first leaves go half and half
        (9.0, [1.0, 3.5, 10.0], [1.0, 1.0, 1.0], [1.0, 3.5, 4.5]),  # 4 each then saturates the second too
        (9.0, [10.0, 10.0], [1.0, 2.0], [3.0, 6.0]),
        (9.0, [10.0, 5.0], [1.0, 2.0], [4.0, 5.0]),
        (90.0, [10.0, 5.0], [1.0, 2.0], [10.0, 5.0]),
        (9.0, [10.0, 5.0], [0.0, 2.0], [0.0, 5.0]),
        (0.0, [10.0, 5.0], [1.0, 2.0], [0.0, 0.0]),
        (9.0, [0.0, 0.0], [1.0, 1.0], [0.0, 0.0]),
        (9.0, [], [], []),
    ],
)
def test_shares_by_hand(amount: float, caps: list[float], weights: list[float], shares: list[float]) -> None:
    assert water_fill(amount, caps, weights) == pytest.approx(shares)


powers = st.floats(0.0, 1e6)
rows = st.lists(st.tuples(powers, st.one_of(st.just(0.0), st.floats(0.01, 100.0))), max_size=30)


@settings(deadline=None)
@given(amount=st.floats(0.0, 1e7), rows=rows)
def test_it_gives_all_that_can_be_taken_and_no_more(amount: float, rows: list[tuple[float, float]]) -> None:
    caps, weights = [cap for cap, _ in rows], [weight for _, weight in rows]
    shares = water_fill(amount, caps, weights)
    takeable = fsum(cap for cap, weight in rows if weight > 0.0)
    assert fsum(shares) == pytest.approx(min(amount, takeable), rel=1e-9, abs=1e-6)
    assert all(0.0 <= share <= cap for share, cap in zip(shares, caps, strict=True))


@settings(deadline=None)
@given(amount=st.floats(1.0, 1e7), rows=rows)
def test_no_unsaturated_share_is_behind_another_in_proportion(amount: float, rows: list[tuple[float, float]]) -> None:
    caps, weights = [cap for cap, _ in rows], [weight for _, weight in rows]
    shares = water_fill(amount, caps, weights)
    levels = [s / w for s, w in zip(shares, weights, strict=True) if w > 0.0]
    open_levels = [s / w for s, c, w in zip(shares, caps, weights, strict=True) if w > 0.0 and s < c * (1 - 1e-9)]
    for level in open_levels:
        assert level >= max(levels) - 1e-6 * max(levels) - 1e-6
