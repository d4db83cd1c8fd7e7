"""The feeder's measured power against the inverters' reports."""

from __future__ import annotations

import math

import pytest

from v2g.guard.status import GuardStatus, Permit
from v2g.hardware.ports import InverterReading
from v2g.orchestrator.feeder_check import CONTRADICTION_S, HELD_S, FeederCheck

# 2 % of 250 kVA and 300 W for each of two EVSEs: 5.6 kW, and a tenth of the power that flows.
RATINGS_W = {"E1": 22_000.0, "E2": 22_000.0}


class Watch:
    def __init__(self) -> None:
        self.check = FeederCheck(250_000.0, RATINGS_W)
        self.now = 100.0

    def run(self, seconds: float, feeder_w: float, load_measured: bool = True, **inverters_w: float) -> str | None:
        problem = None
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            guard = GuardStatus(
                as_of_s=self.now,
                permit=Permit.GRANTED,
                breaker_commanded_closed=True,
                breaker_closed=True,
                feeder_w=feeder_w,
                measured=True,
                load_measured=load_measured,
            )
            readings = [
                InverterReading(evse_id=evse_id, as_of_s=self.now, power_w=power_w)
                for evse_id, power_w in inverters_w.items()
            ]
            problem = self.check.update(guard, readings, self.now)
        return problem


@pytest.mark.parametrize("feeder_w", [40_000.0, 33_000.0, 47_000.0])
def test_powers_within_tolerance_agree(feeder_w: float) -> None:
    assert Watch().run(60.0, feeder_w, E1=20_000.0, E2=20_000.0) is None


@pytest.mark.parametrize("feeder_w", [0.0, 40_000.0], ids=["dead", "reversed"])
def test_a_dead_or_reversed_feeder_transducer_is_told_with_both_powers_and_the_remedy(feeder_w: float) -> None:
    watch = Watch()
    assert watch.run(CONTRADICTION_S - 0.2, feeder_w, E1=-20_000.0, E2=-20_000.0) is None
    problem = watch.run(1.0, feeder_w, E1=-20_000.0, E2=-20_000.0)
    assert problem is not None
    assert f"measures {feeder_w / 1e3:.1f} kW, its EVSEs report -40.0 kW" in problem
    assert "polarity" in problem


def test_a_ramp_is_no_contradiction() -> None:
    watch = Watch()
    for _ in range(5):
        assert watch.run(CONTRADICTION_S - 1.0, 0.0, E1=20_000.0, E2=0.0) is None
        assert watch.run(0.1, 20_000.0, E1=20_000.0, E2=0.0) is None


def test_agreement_at_zero_power_does_not_bring_it_back_before_the_time_is_over() -> None:
    watch = Watch()
    watch.run(CONTRADICTION_S + 1.0, 0.0, E1=-20_000.0, E2=-20_000.0)
    assert watch.run(HELD_S - 10.0, 0.0, E1=0.0, E2=0.0) is not None
    assert watch.run(20.0, 0.0, E1=0.0, E2=0.0) is None


def test_an_inverter_without_a_reading_may_have_any_power_within_its_rating() -> None:
    assert Watch().run(60.0, -40_000.0, E1=-20_000.0) is None
    assert Watch().run(60.0, -60_000.0, E1=-20_000.0) is not None
    assert Watch().run(60.0, -40_000.0, E1=-20_000.0, E2=math.nan) is None


def test_without_measured_load_nothing_is_compared() -> None:
    assert Watch().run(60.0, 0.0, load_measured=False, E1=-20_000.0, E2=-20_000.0) is None
