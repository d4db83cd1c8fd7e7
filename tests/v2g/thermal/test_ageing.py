from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.thermal.ageing import hot_spot_at_rate, relative_ageing_rate


def test_the_published_table_of_rates(shared_data: Path) -> None:
    with (shared_data / "thermal" / "ageing_rates.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 20
    for row in rows:
        hot_spot_c = float(row["hot_spot_C"])
        for column, upgraded in (("V_nonupgraded", False), ("V_upgraded", True)):
            published = float(row[column])
            assert relative_ageing_rate(hot_spot_c, upgraded_paper=upgraded) == pytest.approx(published, rel=1e-4)
            assert hot_spot_at_rate(published, upgraded_paper=upgraded) == pytest.approx(hot_spot_c, abs=1e-3)


@given(st.floats(-50.0, 200.0), st.booleans())
def test_the_inverse_finds_the_temperature_again(hot_spot_c: float, upgraded: bool) -> None:
    v = relative_ageing_rate(hot_spot_c, upgraded_paper=upgraded)
    assert hot_spot_at_rate(v, upgraded_paper=upgraded) == pytest.approx(hot_spot_c, abs=1e-6)


def test_upgraded_paper_has_a_fastest_rate() -> None:
    assert hot_spot_at_rate(1e18, upgraded_paper=True) == math.inf
    assert hot_spot_at_rate(1e18, upgraded_paper=False) == pytest.approx(98.0 + 6.0 * math.log2(1e18))


@pytest.mark.parametrize("v", [0.0, -1.0, math.nan])
@pytest.mark.parametrize("upgraded", [False, True])
def test_a_rate_that_is_not_above_zero_has_no_temperature(v: float, upgraded: bool) -> None:
    with pytest.raises(ValueError, match="has no temperature"):
        hot_spot_at_rate(v, upgraded_paper=upgraded)
