"""An inverter's efficiency out of its AC and DC powers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.guard.efficiency import BANDS, ENOUGH, EfficiencyEvent, EfficiencyMeter

RATED_W = 20_000.0


def run(
    meter: EfficiencyMeter, ac_w: float, dc_w: float, times: int = ENOUGH + 1, apart_s: float = 0.0
) -> list[EfficiencyEvent]:
    events = [meter.observe(ac_w, 0.2 * n, dc_w, 0.2 * n + apart_s, RATED_W) for n in range(times)]
    return [event for event in events if event is not None]


def test_charging_loses_from_ac_to_dc_and_discharging_from_dc_to_ac() -> None:
    meter = EfficiencyMeter()
    run(meter, 10_000.0, 9_800.0)
    run(meter, -9_750.0, -10_000.0)
    bands = {(direction, low): efficiency for direction, low, _, efficiency, _ in meter.bands()}
    assert bands[("charge", 0.5)] == pytest.approx(0.98)
    assert bands[("discharge", 0.25)] == pytest.approx(0.975)


def test_a_band_below_97_percent_is_told_once_and_told_when_it_is_back() -> None:
    meter = EfficiencyMeter()
    (low,) = run(meter, -9_600.0, -10_000.0)
    assert low == EfficiencyEvent("discharge", (0.25, 0.5), pytest.approx(0.96), True)
    (back,) = run(meter, -9_900.0, -10_000.0, 4000)
    assert not back.low
    assert back.efficiency >= 0.973


@pytest.mark.parametrize(
    ("ac_w", "dc_w", "apart_s"),
    [
        (-9_600.0, -10_000.0, 0.6),  # not of one moment
        (-1_500.0, -1_600.0, 0.0),  # below a tenth of the rating
        (-9_600.0, 10_000.0, 0.0),  # into both sides
        (math.nan, -10_000.0, 0.0),
        (-9_600.0, math.nan, 0.0),
        (-9_600.0, math.inf, 0.0),
    ],
)
def test_what_tells_nothing_of_losses_is_left_out(ac_w: float, dc_w: float, apart_s: float) -> None:
    meter = EfficiencyMeter()
    assert run(meter, ac_w, dc_w, apart_s=apart_s) == []
    assert meter.bands() == ()


def test_a_power_on_its_way_is_left_out() -> None:
    meter = EfficiencyMeter()
    for n in range(200):
        power_w = -2_000.0 - 500.0 * (n % 30)
        assert meter.observe(power_w, n, 1.2 * power_w, n, RATED_W) is None
    assert meter.bands() == ()


def test_a_rating_of_zero_judges_nothing() -> None:
    meter = EfficiencyMeter()
    assert all(meter.observe(5_000.0, n, 4_000.0, n, 0.0) is None for n in range(100))


def test_more_out_than_in_is_a_matter_of_the_transducers() -> None:
    meter = EfficiencyMeter()
    assert meter.problem() == ""
    run(meter, -10_200.0, -10_000.0)
    assert "102.0 %" in meter.problem()


@given(
    st.floats(0.9, 1.0),
    st.floats(0.11, 1.05).filter(lambda share: all(abs(share - edge) > 0.01 for band in BANDS for edge in band)),
    st.booleans(),
)
@settings(max_examples=examples(60))
def test_a_constant_efficiency_is_found_in_the_band_of_its_load(efficiency: float, share: float, charge: bool) -> None:
    meter = EfficiencyMeter()
    ac_w = RATED_W * share if charge else -RATED_W * share
    events = run(meter, ac_w, ac_w * efficiency if charge else ac_w / efficiency)
    ((direction, low, high, found, _),) = meter.bands()
    assert direction == ("charge" if charge else "discharge")
    assert low <= share < high
    assert found == pytest.approx(efficiency)
    assert len(events) == (1 if found < 0.97 else 0)
