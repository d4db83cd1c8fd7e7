from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.thermal.limits import (
    LONGEST_AUTHORISATION_S,
    ColdOil,
    Regime,
    SizeClass,
    ThermalLimits,
    limits_of,
    size_class,
)
from v2g.thermal.parameters import ParameterError

NORMAL = ThermalLimits(hot_spot_c=120.0, top_oil_c=105.0, k_pu=1.5)


class TestTable:
    @pytest.mark.parametrize(
        ("rated_va", "size"),
        [
            (50e3, SizeClass.DISTRIBUTION),
            (2.5e6, SizeClass.DISTRIBUTION),
            (2.6e6, SizeClass.MEDIUM),
            (100e6, SizeClass.MEDIUM),
            (101e6, SizeClass.LARGE),
        ],
    )
    def test_size_classes(self, rated_va: float, size: SizeClass) -> None:
        assert size_class(rated_va) is size

    def test_an_emergency_never_permits_less_than_normal_loading_and_size_never_more(self) -> None:
        for size in SizeClass:
            rows = [dataclasses.astuple(limits_of(regime, size))[:3] for regime in Regime]
            for before, after in itertools.pairwise(rows):
                assert all(a >= b for a, b in zip(after, before, strict=True)), size
        for regime in Regime:
            k_by_size = [limits_of(regime, size).k_pu for size in SizeClass]
            assert k_by_size == sorted(k_by_size, reverse=True)

    def test_every_emergency_ends(self) -> None:
        assert set(LONGEST_AUTHORISATION_S) == set(Regime) - {Regime.NORMAL_CYCLIC}
        assert LONGEST_AUTHORISATION_S[Regime.SHORT_TIME_EMERGENCY] == 30 * 60.0


class TestImpossibleLimits:
    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ({"hot_spot_c": 393.0}, "hot-spot limit of 393 .*393 looks like K: give 120"),
            ({"hot_spot_c": 248.0}, "248 looks like °F: give 120"),
            ({"top_oil_c": 378.0}, "top-oil limit of 378 .*looks like K: give 105"),
            ({"top_oil_c": 221.0}, "221 looks like °F: give 105"),
            ({"top_oil_c": float("nan")}, "top-oil limit of nan"),
            ({"hot_spot_c": -5.0}, "outside 40..200 °C: give °C, usually 98..160$"),
            ({"k_pu": 150.0}, "not %, usually 1.3..2.0; 150 looks like %: give 1.5"),
            ({"k_pu": -1.0}, "K = -1 is outside 0..3"),
            ({"k_pu": float("nan")}, "K = nan is outside 0..3"),
        ],
    )
    def test_each_is_refused_with_name_range_and_remedy(self, change: dict[str, float], text: str) -> None:
        with pytest.raises(ParameterError, match=text):
            dataclasses.replace(NORMAL, **change)  # type: ignore[arg-type]


class TestColdOil:
    def test_from_minus_twenty_on_the_regimes_limit_holds(self) -> None:
        assert [ColdOil().k_limit_pu(t, 1.5) for t in (-20.0, 0.0, 90.0)] == [1.5, 1.5, 1.5]

    def test_below_it_falls_linearly_to_the_cold_limit(self) -> None:
        assert [ColdOil().k_limit_pu(t, 1.5) for t in (-22.5, -25.0, -30.0, -50.0)] == [1.25, 1.0, 0.5, 0.5]

    def test_it_may_forbid_all_load(self) -> None:
        assert ColdOil(k_pu=0.0).k_limit_pu(-40.0, 1.5) == 0.0

    def test_an_unknown_top_oil_counts_as_the_coldest(self) -> None:
        assert ColdOil().k_limit_pu(float("nan"), 1.5) == 0.5

    @given(
        top_oil_c=st.floats(-80.0, 150.0),
        warmer_k=st.floats(0.0, 50.0),
        cold_pu=st.floats(0.0, 1.5),
        k_pu=st.floats(0.0, 3.0),
    )
    def test_it_only_narrows_and_rises_with_the_oil(
        self, top_oil_c: float, warmer_k: float, cold_pu: float, k_pu: float
    ) -> None:
        rule = ColdOil(k_pu=cold_pu)
        limit = rule.k_limit_pu(top_oil_c, k_pu)
        assert min(cold_pu, k_pu) <= limit <= k_pu
        assert rule.k_limit_pu(top_oil_c + warmer_k, k_pu) >= limit - 1e-12

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ({"full_load_above_c": 253.15}, "full load above 253.15 °C is outside -60..40 °C"),
            ({"ramp_k": 0.0}, "ramp of 0 K"),
            ({"ramp_k": float("nan")}, "ramp of nan K"),
            ({"k_pu": 50.0}, "K = 50 is outside 0..1.5: K is per unit of rated power, not %"),
        ],
    )
    def test_an_impossible_rule_is_refused(self, change: dict[str, float], text: str) -> None:
        with pytest.raises(ParameterError, match=text):
            ColdOil(**change)
