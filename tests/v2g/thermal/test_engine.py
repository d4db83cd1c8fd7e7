"""The engine as a whole: what it permits, when it throttles, what it says, and what survives a restart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import msgspec
import pytest

from v2g.simulation.thermal_plant import TransformerPlant
from v2g.thermal.calendar import DayType, LocalMinute, LocalTime
from v2g.thermal.engine import EngineMemory, EngineSettings, Measured, ThermalEngine
from v2g.thermal.forecast import Forecast, MinuteMeans
from v2g.thermal.limits import AGEING, COLD_OIL, ColdOil, Regime, SizeClass, limits_of
from v2g.thermal.parameters import from_nameplate
from v2g.thermal.sensed import EstimatorSettings, Sensed
from v2g.thermal.throttle import ThrottleSettings
from v2g.thermal.view import ThermalView

RATED_VA = 250_000.0
PARAMS = from_nameplate(
    cooling="DIST_ONAN", rated_kva=250.0, top_oil_rise_k=55.0, hot_spot_gradient_k=23.0, loss_ratio_r=5.0
)
SETTINGS = EngineSettings(
    estimator=EstimatorSettings(params=PARAMS),
    limits={regime: limits_of(regime, SizeClass.DISTRIBUTION) for regime in Regime},
    throttle=ThrottleSettings(hysteresis_w=0.03 * RATED_VA, release_w_s=RATED_VA / 600.0),
)
NOON = 28_401_840 * 60.0
"""A Monday, 12:00 UTC."""


def local(unix_s: float) -> LocalTime:
    """UTC, every day a workday."""
    unix_min = int(unix_s // 60.0)
    second = unix_s % 86_400.0
    minute = LocalMinute(unix_min, DayType.WORKDAY, int(second // 60.0))
    return LocalTime(minute, int(unix_s // 86_400.0), 86_400.0 - second)


@dataclass
class Bench:
    """An engine beside the simulation's transformer, which obeys other equations. Flow in W, positive downstream."""

    settings: EngineSettings = SETTINGS
    memory: EngineMemory | None = None
    ambient_c: float = 25.0
    base_w: float = 80_000.0
    top_oil_c: float | None = None
    """Start of the plant; None: its steady state."""
    v2g_w: float = 0.0
    now_s: float = 1_000.0
    unix_s: float = NOON
    step_s: float = 10.0
    told: bool = True
    """Top-oil is measured."""
    view: ThermalView = field(default_factory=ThermalView)

    def __post_init__(self) -> None:
        self.plant = TransformerPlant(ambient_c=self.ambient_c, load_pu=abs(self.base_w) / RATED_VA)
        if self.top_oil_c is not None:
            self.plant.winding_c += self.top_oil_c - self.plant.top_oil_c
            self.plant.top_oil_c = self.top_oil_c
        self.engine = ThermalEngine(self.settings, self.memory, now_s=self.now_s, now_unix_s=self.unix_s)

    def run(
        self, seconds: float, follow: Callable[[Bench], None] | None = None, *, load_known: bool = True
    ) -> ThermalView:
        for _ in range(round(seconds / self.step_s)):
            if follow is not None:
                follow(self)
            load_w = self.base_w + self.v2g_w
            self.plant.ambient_c = self.ambient_c
            self.plant.step(abs(load_w) / RATED_VA, self.step_s)
            self.now_s += self.step_s
            self.unix_s += self.step_s
            sensed = Sensed(
                k_pu=abs(load_w) / RATED_VA if load_known else None,
                ambient_c=self.ambient_c,
                top_oil_c=round(self.plant.top_oil_c, 1) if self.told else None,
            )
            measured = Measured(
                sensed=sensed,
                load_w=load_w if load_known else None,
                base_w=self.base_w if load_known else None,
                base_var=0.0 if load_known else None,
                load_problem="" if load_known else "transformer load is not measured: no V2G power",
            )
            self.view = self.engine.step(measured, self.now_s, local(self.unix_s))
        return self.view


def test_permits_both_ways_once_everything_is_measured() -> None:
    view = Bench().run(60.0)
    assert view.lo_w < -200_000.0 < 100_000.0 < view.hi_w
    assert view.hi_source.startswith("thermal")
    assert view.limits == SETTINGS.limits[Regime.NORMAL_CYCLIC]
    assert view.hot_spot_c == pytest.approx(Bench().plant.hot_spot_c, abs=3.0)
    assert view.notes == ()


def test_gives_no_power_before_top_oil_was_ever_measured() -> None:
    view = Bench(told=False).run(60.0)
    assert (view.lo_w, view.hi_w) == (0.0, 0.0)
    assert view.lo_source == "thermal: top-oil was never measured"


def test_gives_no_power_while_the_load_is_not_known_and_says_so() -> None:
    bench = Bench()
    bench.run(60.0)
    view = bench.run(20.0, load_known=False)
    assert (view.lo_w, view.hi_w) == (0.0, 0.0)
    assert "transformer load" in view.lo_source
    assert any("transformer load is not measured" in note for note in view.notes)
    assert bench.run(20.0).hi_w > 0.0


def test_cold_oil_permits_more_export_than_hot_oil_with_the_same_base_load() -> None:
    # No base load, so that every watt of discharge heats.
    cold = Bench(base_w=1_000.0, ambient_c=15.0, top_oil_c=20.0).run(60.0)
    hot = Bench(base_w=1_000.0, ambient_c=15.0, top_oil_c=90.0).run(60.0)
    assert cold.lo_w < hot.lo_w - 20_000.0 < 0.0


def test_a_hot_start_refuses_discharge_and_tells_when_it_may_be_granted() -> None:
    bench = Bench(base_w=1_000.0, top_oil_c=112.0)
    view = bench.run(60.0)
    assert view.lo_w >= -1_000.0, "more than cancels the base load"
    assert view.base_source == "thermal top-oil"
    first_s = view.lo_granted_in_s
    assert first_s is not None
    assert 60.0 < first_s < 7_200.0
    later = bench.run(first_s / 2.0)
    assert later.lo_granted_in_s is not None
    assert later.lo_granted_in_s < 0.8 * first_s
    bench.run(first_s)
    assert bench.view.lo_w < -2_000.0


def test_an_evening_of_rising_base_load_never_passes_the_limit_and_does_not_oscillate() -> None:
    bench = Bench(base_w=100_000.0, ambient_c=30.0)
    permitted: list[float] = []
    hottest_c = 0.0
    throttled_at_c: float | None = None

    def evening(self: Bench) -> None:
        nonlocal hottest_c, throttled_at_c
        hour = (self.now_s - 1_000.0) / 3_600.0
        self.base_w = 1_000.0 * (100.0 + 130.0 * min(hour / 3.0, 1.0) - 130.0 * max(0.0, min((hour - 4.5) / 2.0, 1.0)))
        self.v2g_w = min(self.view.hi_w, 150_000.0)
        permitted.append(self.v2g_w)
        hottest_c = max(hottest_c, self.plant.hot_spot_c)
        if throttled_at_c is None and hour > 0.1 and self.v2g_w < 140_000.0:
            throttled_at_c = self.plant.hot_spot_c

    bench.run(7.0 * 3_600.0, evening)
    assert hottest_c <= 120.0
    assert hottest_c > 95.0, "the limit was never approached: this shows nothing"
    assert throttled_at_c is not None
    assert throttled_at_c < 118.0
    assert reversals(permitted, 0.02 * RATED_VA) <= 4 * 7
    assert min(permitted) < 50_000.0


def reversals(powers: list[float], band_w: float) -> int:
    """Changes of direction by more than ``band_w``."""
    count, rising, extreme = 0, None, powers[0]
    for power_w in powers:
        if rising is not False and power_w < extreme - band_w:
            count, rising, extreme = count + (rising is True), False, power_w
        elif rising is not True and power_w > extreme + band_w:
            count, rising, extreme = count + (rising is False), True, power_w
        elif (rising and power_w > extreme) or (rising is False and power_w < extreme):
            extreme = power_w
    return count


def test_an_authorised_emergency_widens_the_limits_until_it_expires() -> None:
    bench = Bench(base_w=200_000.0, top_oil_c=95.0, ambient_c=35.0)
    normal = bench.run(60.0)
    bench.engine.authorisation.authorise(Regime.LONG_TIME_EMERGENCY, "anna", 1_800.0, bench.now_s)
    emergency = bench.run(900.0)
    assert emergency.regime is Regime.LONG_TIME_EMERGENCY
    assert emergency.regime_by == "anna"
    assert emergency.regime_left_s == pytest.approx(900.0)
    assert emergency.limits == SETTINGS.limits[Regime.LONG_TIME_EMERGENCY]
    assert emergency.hi_w > normal.hi_w + 10_000.0
    over = bench.run(1_000.0)
    assert over.regime is Regime.NORMAL_CYCLIC
    assert over.limits == SETTINGS.limits[Regime.NORMAL_CYCLIC]


def test_cold_oil_limits_the_load_and_names_itself() -> None:
    bench = Bench(ambient_c=-38.0, base_w=10_000.0, top_oil_c=-32.0)
    view = bench.run(60.0)
    assert view.limits is not None
    assert view.limits.k_source == COLD_OIL
    assert view.hi_source == COLD_OIL
    assert view.hi_w == pytest.approx(0.5 * RATED_VA - 10_000.0)
    none = Bench(replace(SETTINGS, cold_oil=ColdOil(k_pu=0.0)), ambient_c=-38.0, base_w=10_000.0, top_oil_c=-32.0)
    assert none.run(60.0).hi_w == 0.0


def test_an_ageing_budget_binds_before_the_hot_spot_limit() -> None:
    budget = replace(SETTINGS, budget_h_per_day=0.5)
    bench = Bench(budget, base_w=150_000.0, ambient_c=30.0, top_oil_c=80.0)
    view = bench.run(60.0)
    free = Bench(base_w=150_000.0, ambient_c=30.0, top_oil_c=80.0).run(60.0)
    assert view.limits is not None
    assert view.limits.hot_spot_source == AGEING
    assert view.hi_source == AGEING
    assert 0.0 <= view.hi_w < free.hi_w


def test_limits_fall_as_the_base_load_rises() -> None:
    permitted = []
    for base_w in (50_000.0, 120_000.0, 180_000.0):
        permitted.append(Bench(base_w=base_w, ambient_c=30.0).run(60.0).hi_w)
    assert permitted[0] > permitted[1] + 50_000.0 > permitted[2] + 80_000.0


def test_what_was_learned_survives_a_restart() -> None:
    bench = Bench(base_w=150_000.0, ambient_c=30.0)
    before = bench.run(3 * 3_600.0)
    memory = msgspec.structs.replace(bench.engine.memory(bench.now_s, bench.unix_s), forecast=bench.engine.learned())
    kept = msgspec.json.encode(memory)
    memory = msgspec.json.decode(kept, type=EngineMemory)
    again = Bench(memory=memory, base_w=150_000.0, ambient_c=30.0, unix_s=bench.unix_s + 60.0)
    again.plant = bench.plant
    view = again.run(60.0)
    assert view.top_oil_c is not None
    assert view.top_oil_c > bench.plant.top_oil_c - 0.2, "the safer of what was kept and of the steady state"
    view = again.run(1_800.0)
    assert before.ageing is not None
    assert view.ageing is not None
    assert view.ageing.total_h >= before.ageing.total_h > 0.0
    assert view.top_oil_c == pytest.approx(bench.plant.top_oil_c, abs=1.0)
    assert view.bias_k == pytest.approx(before.bias_k, abs=1.0)


def test_the_doubled_hour_and_a_clock_set_back_stop_nothing() -> None:
    bench = Bench()
    bench.run(600.0)
    bench.unix_s -= 3_600.0
    assert bench.run(600.0).hi_w > 0.0
    bench.unix_s += 86_400.0
    assert bench.run(600.0).hi_w > 0.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -400.0, 330.0])
def test_a_temperature_that_cannot_be_costs_its_sensor_and_nothing_else(value: float) -> None:
    bench = Bench()
    bench.run(60.0)
    sensed = Sensed(k_pu=0.3, ambient_c=25.0, top_oil_c=value)
    measured = Measured(sensed=sensed, load_w=80_000.0, base_w=80_000.0, base_var=0.0)
    view = bench.engine.step(measured, bench.now_s + 10.0, local(bench.unix_s + 10.0))
    assert view.hi_w > 0.0
    assert view.sensors["top_oil_c"].value is None
    assert any("top-oil" in note for note in view.notes)


def test_a_forecast_is_held_against_the_minute_it_was_made_for() -> None:
    bench = Bench(unix_s=NOON - 60.0)
    bench.run(600.0)
    asked: list[int] = []
    learned: list[int] = []
    forecaster = bench.engine._forecaster
    predict, observe = forecaster.predict, forecaster.observe

    def predicting(at: LocalMinute, *values: float) -> Forecast:
        asked.append(at.unix_min)
        return predict(at, *values)

    def observing(means: MinuteMeans) -> None:
        learned.append(means.at.unix_min)
        observe(means)

    forecaster.predict, forecaster.observe = predicting, observing  # type: ignore[method-assign, assignment]
    bench.run(300.0)
    # Predicted throughout a minute, with its number; what that minute brought bears the number of its end.
    assert learned == [asked[0] + n for n in range(1, len(learned) + 1)]


def test_an_emergency_leads_back_to_what_the_ageing_budget_leaves() -> None:
    bench = Bench(replace(SETTINGS, budget_h_per_day=0.5), base_w=150_000.0, ambient_c=30.0, top_oil_c=80.0)
    bench.run(60.0)
    bench.engine.authorisation.authorise(Regime.LONG_TIME_EMERGENCY, "anna", 1_800.0, bench.now_s)
    limits_c: list[float] = []

    def watch(self: Bench) -> None:
        if self.view.limits is not None:
            limits_c.append(self.view.limits.hot_spot_c)

    bench.run(840.0, watch)
    assert limits_c[-1] == 140.0
    bench.run(1_200.0, watch)
    assert bench.view.regime is Regime.NORMAL_CYCLIC
    assert limits_c[-1] < 100.0
    assert all(later > earlier - 5.0 for earlier, later in pairwise(limits_c[2:])), "no cliff"


def test_a_moment_without_load_does_not_undo_the_throttle() -> None:
    bench = Bench(base_w=200_000.0, ambient_c=30.0, top_oil_c=90.0)
    bench.run(120.0)
    narrowed_w = bench.view.hi_w
    bench.base_w = 100_000.0
    bench.run(20.0)
    assert bench.view.hi_w <= narrowed_w + 5_000.0
    bench.run(10.0, load_known=False)
    assert bench.view.hi_w == 0.0
    assert bench.run(10.0).hi_w <= narrowed_w + 5_000.0


def test_why_there_is_no_load_is_told_from_the_first_second_on() -> None:
    view = Bench().run(10.0, load_known=False)
    assert view.notes == ("transformer load is not measured: no V2G power",)
