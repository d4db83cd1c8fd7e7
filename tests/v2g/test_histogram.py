"""Values counted in fixed buckets: nothing grows, and quantiles are right to a bucket."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from v2g.histogram import Histogram, geometric


def test_a_value_belongs_to_the_first_bucket_that_it_does_not_exceed() -> None:
    seen = Histogram((0.1, 0.25, 0.5))
    for value in (0.0, 0.1, 0.1000001, 0.25, 0.5, 0.6):
        seen.observe(value)
    assert seen.counts == [2, 2, 1, 1]
    assert (seen.count, seen.worst) == (6, 0.6)
    assert seen.total == pytest.approx(1.5500001)


def test_geometric_edges_ascend_by_the_same_ratio_up_to_the_last() -> None:
    edges = geometric(1e-3, 64.0, 8)
    assert edges[0] == 1e-3
    assert edges[-2] < 64.0 <= edges[-1]
    assert {round(b / a, 9) for a, b in pairwise(edges)} == {round(2 ** (1 / 8), 9)}


def test_quantiles_are_right_to_one_bucket_of_9_percent() -> None:
    noise = random.Random(7)
    values = sorted(noise.lognormvariate(-1.6, 0.3) for _ in range(5000))
    seen = Histogram(geometric(1e-3, 64.0, 8))
    for value in values:
        seen.observe(value)
    for share in (0.5, 0.9, 0.99):
        exact, told = values[int(share * len(values)) - 1], seen.quantile(share)
        assert told is not None
        assert exact <= told * 1.0001 <= exact * 1.1


def test_nothing_is_told_of_nothing_and_one_value_is_told_as_it_is() -> None:
    seen = Histogram((1.0, 2.0))
    assert seen.quantile(0.5) is None
    seen.observe(1.2)
    assert seen.quantile(0.5) == seen.quantile(0.99) == 1.2
    seen.observe(100.0)
    assert seen.quantile(1.0) == 100.0
