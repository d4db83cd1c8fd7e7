"""What the engine hands to a plan of the coming day, and when it has nothing to hand out."""

from __future__ import annotations

import pytest

from support.plan_cases import params_of
from v2g.thermal.calendar import DayType, LocalMinute, LocalTime
from v2g.thermal.day_ahead import UNKNOWN_BASE_PU
from v2g.thermal.engine import EngineMemory, EngineSettings, Measured, ThermalEngine
from v2g.thermal.limits import COLD_OIL, Regime, SizeClass, limits_of
from v2g.thermal.sensed import EstimatorSettings, Sensed
from v2g.thermal.throttle import ThrottleSettings

RATED_VA = 250e3
SETTINGS = EngineSettings(
    estimator=EstimatorSettings(params=params_of()),
    limits={regime: limits_of(regime, SizeClass.DISTRIBUTION) for regime in Regime},
    throttle=ThrottleSettings.of_rating(RATED_VA),
    upgraded_paper=True,
)
START_S = 28_401_840 * 60.0


def calendar(unix_s: float) -> LocalMinute:
    return LocalMinute(int(unix_s // 60.0), DayType.WORKDAY, int(unix_s % 86_400.0 // 60.0))


class Bench:
    def __init__(self, memory: EngineMemory | None = None, top_oil_c: float = 45.0) -> None:
        self.engine = ThermalEngine(SETTINGS, memory, now_s=0.0, now_unix_s=START_S)
        self.now_s = 0.0
        self.top_oil_c = top_oil_c

    def run(self, minutes: int, base_w: float | None = 100e3, ambient_c: float = 20.0) -> None:
        for _ in range(minutes * 2):
            self.now_s += 30.0
            unix_s = START_S + self.now_s
            local = LocalTime(calendar(unix_s), int(unix_s // 86_400.0), 86_400.0 - unix_s % 86_400.0)
            k_pu = None if base_w is None else base_w / RATED_VA
            sensed = Sensed(k_pu=k_pu, ambient_c=ambient_c, top_oil_c=self.top_oil_c)
            var = None if base_w is None else 0.0
            self.engine.step(Measured(sensed=sensed, load_w=base_w, base_w=base_w, base_var=var), self.now_s, local)

    @property
    def unix_s(self) -> float:
        return START_S + self.now_s


def test_before_the_first_measurement_and_without_a_load_there_is_no_outlook() -> None:
    bench = Bench()
    assert bench.engine.day_ahead(calendar, bench.unix_s, 96) is None
    bench.run(5)
    assert bench.engine.day_ahead(calendar, bench.unix_s, 96) is not None
    bench.run(1, base_w=None)
    assert bench.engine.day_ahead(calendar, bench.unix_s, 96) is None


def test_the_outlook_is_the_state_with_its_doubts_the_normal_limits_and_the_day() -> None:
    bench = Bench()
    bench.run(60)
    bench.engine.authorisation.authorise(Regime.LONG_TIME_EMERGENCY, "anna", 7200.0, bench.now_s)
    outlook = bench.engine.day_ahead(calendar, bench.unix_s, 288)
    assert outlook is not None
    normal = limits_of(Regime.NORMAL_CYCLIC, SizeClass.DISTRIBUTION)
    assert (outlook.limits.hot_spot_c, outlook.limits.k_pu) == (normal.hot_spot_c, normal.k_pu)
    assert outlook.state.theta_o_c == pytest.approx(45.0, abs=1.0)
    assert outlook.params.dtheta_hr_k == pytest.approx(23.0 * 1.1), "as steep as it may be"
    assert outlook.upgraded_paper
    assert outlook.margin_k > 0.0
    assert len(outlook.ahead.base_w) == len(outlook.ahead.ambient_c) == 288
    assert outlook.ahead.base_w[0] == pytest.approx(100e3, rel=0.01)
    assert outlook.ahead.base_margin_w[-1] >= 0.9 * UNKNOWN_BASE_PU * RATED_VA
    assert outlook.ahead.notes


def test_cold_oil_narrows_the_current() -> None:
    bench = Bench(top_oil_c=-30.0)
    bench.run(30, base_w=20e3, ambient_c=-32.0)
    outlook = bench.engine.day_ahead(calendar, bench.unix_s, 96)
    assert outlook is not None
    assert outlook.limits.k_source == COLD_OIL


def test_looking_ahead_changes_nothing_of_what_is_permitted() -> None:
    looked, left = Bench(), Bench()
    for bench in (looked, left):
        bench.run(40)
    looked.engine.day_ahead(calendar, looked.unix_s, 96)
    for bench in (looked, left):
        bench.run(20)
    assert looked.engine.learned() == left.engine.learned()


@pytest.mark.soak
def test_the_margins_of_days_survive_a_restart_and_damage_is_remarked() -> None:
    bench = Bench()
    bench.run(1440 + 120)
    learned = bench.engine.learned()
    kept = learned.data["margins of the day"]
    assert max(kept) > 0.0
    again = ThermalEngine(SETTINGS, EngineMemory(forecast=learned), now_s=0.0, now_unix_s=START_S)
    assert again.learned().data["margins of the day"] == kept
    assert not again.remarks
    learned.data["margins of the day"] = [-1.0]
    hurt = ThermalEngine(SETTINGS, EngineMemory(forecast=learned), now_s=0.0, now_unix_s=START_S)
    assert any("past days" in remark for remark in hurt.remarks)
