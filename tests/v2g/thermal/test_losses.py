from __future__ import annotations

import dataclasses
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.thermal.losses import harmonic_load_factor, harmonic_loss_factor, hot_ambient_factor, loss_ratio_at_tap
from v2g.thermal.model import rises_at
from v2g.thermal.parameters import ParameterError, ThermalParameters, from_nameplate

# Six-pulse rectifier load, per unit of the RMS current.
SIX_PULSE = {1: 0.978, 5: 0.171, 7: 0.108, 11: 0.044, 13: 0.028, 17: 0.015, 19: 0.0098}


def spectrum(by_order: dict[int, float], scale: float = 1.0) -> list[float]:
    return [scale * by_order.get(h, 0.0) for h in range(1, max(by_order) + 1)]


class TestHarmonicLossFactor:
    def test_a_six_pulse_load(self) -> None:
        # Σ I²h² = 0.9565 + 0.7310 + 0.5715 + 0.2343 + 0.1325 + 0.0650 + 0.0347 = 2.7255; Σ I² = 1.0006.
        assert harmonic_loss_factor(spectrum(SIX_PULSE)) == pytest.approx(2.724, abs=2e-3)

    def test_it_is_the_same_in_amperes_and_per_unit_of_the_fundamental(self) -> None:
        assert harmonic_loss_factor(spectrum(SIX_PULSE, 577.0)) == pytest.approx(
            harmonic_loss_factor(spectrum(SIX_PULSE, 1.0 / 0.978)), rel=1e-12
        )

    def test_a_single_harmonic_has_the_square_of_its_order(self) -> None:
        assert harmonic_loss_factor([0.0, 0.0, 0.0, 0.0, 3.0]) == 25.0

    @pytest.mark.parametrize("currents", [[], [0.0], [0.0] * 50, [7.5]])
    def test_no_current_and_a_sinusoidal_current_have_one(self, currents: list[float]) -> None:
        assert harmonic_loss_factor(currents) == 1.0

    @given(st.lists(st.floats(0.0, 1e4), max_size=50))
    def test_it_lies_between_one_and_the_square_of_the_highest_order(self, currents: list[float]) -> None:
        assert 1.0 <= harmonic_loss_factor(currents) <= max(1, len(currents)) ** 2 * (1.0 + 1e-9)

    @pytest.mark.parametrize("currents", [[1.0, -0.1], [nan], [float("inf"), 1.0]])
    def test_a_current_that_is_none_is_refused(self, currents: list[float]) -> None:
        with pytest.raises(ValueError, match="RMS values in A"):
            harmonic_loss_factor(currents)


class TestHarmonicLoadFactor:
    def test_losses_of_a_six_pulse_load_with_fifteen_percent_of_eddy_losses(self) -> None:
        # (1 + 2.724·0.15) / 1.15
        assert harmonic_load_factor(2.724, 0.15) == pytest.approx(1.2249, abs=1e-4)

    def test_a_sinusoidal_current_and_a_winding_without_eddy_losses_keep_the_nameplate(self) -> None:
        assert harmonic_load_factor(1.0, 0.3) == 1.0
        assert harmonic_load_factor(30.0, 0.0) == 1.0

    def test_the_winding_gradient_rises_as_c57_110_has_it(self, distribution: ThermalParameters) -> None:
        # DIST_ONAN: y = 1.6, so the gradient goes with the 0.8th power of the losses.
        factor = harmonic_load_factor(2.724, 0.15)
        harmonic = dataclasses.replace(distribution, load_loss_factor=factor)
        assert rises_at(harmonic, 1.0)[1] == pytest.approx(23.0 * 1.2249**0.8, rel=1e-4)

    @pytest.mark.parametrize(
        ("f_hl", "share", "text"),
        [(0.9, 0.1, "F_HL = 0.9"), (nan, 0.1, "F_HL = nan"), (2.0, 15.0, "not %"), (2.0, nan, "P_EC-R = nan")],
    )
    def test_nonsense_is_refused_by_name(self, f_hl: float, share: float, text: str) -> None:
        with pytest.raises(ValueError, match=text):
            harmonic_load_factor(f_hl, share)


class TestHotAmbient:
    def test_within_service_conditions_losses_are_the_nameplates(self) -> None:
        assert [hot_ambient_factor(t) for t in (-40.0, 20.0, 40.0)] == [1.0, 1.0, 1.0]

    def test_beyond_them_they_grow_as_the_resistance_of_copper(self) -> None:
        # 31 K above 40 °C, of 310 K.
        assert hot_ambient_factor(71.0) == pytest.approx(1.1)
        assert hot_ambient_factor(85.0) == pytest.approx(1.14516, abs=1e-5)

    def test_an_unknown_ambient_is_no_ordinary_one(self) -> None:
        with pytest.raises(ValueError, match="ambient temperature of nan"):
            hot_ambient_factor(nan)


class TestTap:
    def test_the_ratio_is_linear_between_principal_tap_and_end(self) -> None:
        assert [loss_ratio_at_tap(tap, principal=9, r=6.0, end=17, r_at_end=8.0) for tap in (9, 13, 17)] == [6, 7, 8]

    def test_taps_may_count_downwards(self) -> None:
        assert loss_ratio_at_tap(3, principal=9, r=6.0, end=1, r_at_end=4.0) == pytest.approx(4.5)

    @pytest.mark.parametrize("tap", [8, 18])
    def test_a_tap_on_the_other_side_or_beyond_the_end_is_refused(self, tap: int) -> None:
        with pytest.raises(ParameterError, match=f"tap {tap} is not between the principal tap 9 and the end 17"):
            loss_ratio_at_tap(tap, principal=9, r=6.0, end=17, r_at_end=8.0)

    def test_a_range_of_one_tap_is_refused(self) -> None:
        with pytest.raises(ParameterError, match="has one tap"):
            loss_ratio_at_tap(9, principal=9, r=6.0, end=9, r_at_end=8.0)

    def test_more_load_losses_at_a_tap_heat_the_oil_less_per_rated_loss(self) -> None:
        def oil_rise_k(r: float) -> float:
            params = from_nameplate(
                cooling="ONAN", rated_kva=400.0, top_oil_rise_k=55.0, hot_spot_gradient_k=26.0, loss_ratio_r=r
            )
            return rises_at(params, 0.25)[0]

        low, high = (loss_ratio_at_tap(tap, principal=9, r=6.0, end=17, r_at_end=8.0) for tap in (9, 17))
        assert oil_rise_k(high) < oil_rise_k(low)
