"""Our thermal model beside ``transformer-thermal-model``. The year of minutes: tests/bench/bench_ttm.py."""

from __future__ import annotations

import pytest

from bench.bench_ttm import KINDS, Kind, compare, profile


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.cooling)
def test_a_month_of_minutes_differs_by_rounding_alone(kind: Kind) -> None:
    found = compare(kind, *profile(30 * 1440))
    assert found.highest_hot_spot_c > 90.0
    assert found.top_oil_k < 1e-9
    assert found.hot_spot_k < 1e-9
