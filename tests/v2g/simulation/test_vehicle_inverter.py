"""A vehicle's inverter keeps to the code it was handed, whatever that says, and to nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pyiso15118.der import Cessation, DerAlarm, EnterService, FrequencyDroop, TripCurves, TripPoint
from support.grid_codes import CODE, IEC_CODE
from v2g.simulation.vehicle_inverter import VehicleInverter

DT = 0.005
RATED_W = 10_000.0
QUICK = EnterService(v_lo_pu=0.917, v_hi_pu=1.05, f_lo_hz=59.5, f_hi_hz=60.1, delay_s=2.0, ramp_s=0.0)


class Bench:
    def __init__(self, code: Any) -> None:
        self.inverter = VehicleInverter(rated_w=RATED_W, rated_va=RATED_W)
        self.inverter.adopt(code)
        self.now_s = 0.0
        self.power_w = 0.0

    def run(self, seconds: float, *, v_pu: float = 1.0, hz: float = 60.0, wanted_w: float = -8_000.0) -> float:
        """The power at the end."""
        volts = self.inverter.code.nominal_voltage_v if self.inverter.code else 230.0
        for _ in range(round(seconds / DT)):
            self.now_s += DT
            self.power_w = self.inverter.step(self.now_s, DT, (v_pu * volts,) * 3, hz, wanted_w, 230.0)
        return self.power_w

    def ceased_after_s(self, within_s: float, **grid: float) -> float | None:
        began_s = self.now_s
        while self.now_s < began_s + within_s:
            self.run(DT, **grid)
            if not self.inverter.in_service:
                return self.now_s - began_s
        return None


def at_work(code: Any) -> Bench:
    bench = Bench(code)
    bench.run((code.enter_service.delay_s if code.enter_service else 0.0) + 0.1)
    assert bench.inverter.in_service
    return bench


@pytest.mark.parametrize("time_s", [0.5, 1.5])
@pytest.mark.parametrize("threshold", [0.7, 0.88])
def test_it_trips_below_the_threshold_after_the_time_it_was_handed(threshold: float, time_s: float) -> None:
    code = replace(
        CODE,
        enter_service=QUICK,
        must_trip=TripCurves(under_voltage=(TripPoint(threshold, time_s),)),
        may_trip=TripCurves(),
        cessation=Cessation(),
    )
    bench = at_work(code)
    assert bench.ceased_after_s(3.0, v_pu=threshold + 0.02) is None
    assert bench.ceased_after_s(3.0, v_pu=threshold - 0.02) == pytest.approx(time_s, abs=0.02)
    assert bench.inverter.alarms is DerAlarm.UNDER_VOLTAGE
    assert bench.inverter.trips == 1


@pytest.mark.parametrize(("hz", "alarm"), [(62.5, DerAlarm.OVER_FREQUENCY), (56.0, DerAlarm.UNDER_FREQUENCY)])
def test_it_trips_on_frequency(hz: float, alarm: DerAlarm) -> None:
    bench = at_work(replace(CODE, enter_service=QUICK))
    assert bench.ceased_after_s(1.0, hz=hz) == pytest.approx(0.16, abs=0.02)
    assert bench.inverter.alarms is alarm


@pytest.mark.parametrize("delay_s", [1.0, 4.0])
def test_it_comes_back_after_the_delay_within_the_window_and_ramps(delay_s: float) -> None:
    code = replace(CODE, enter_service=replace(QUICK, delay_s=delay_s, ramp_s=5.0))
    bench = at_work(code)
    bench.ceased_after_s(1.0, hz=62.5)
    bench.run(3.0, hz=60.3)
    assert not bench.inverter.in_service, "outside the window nothing counts"
    began_s = bench.now_s
    while not bench.inverter.in_service:
        bench.run(DT)
    assert bench.now_s - began_s == pytest.approx(delay_s, abs=0.05)
    assert bench.inverter.alarms is DerAlarm(0)
    assert bench.run(1.0) == pytest.approx(-RATED_W / 5.0, rel=0.02)
    assert bench.run(4.5) == pytest.approx(-8_000.0, rel=0.01)


@pytest.mark.parametrize(("k_of", "expected_w"), [(0.05, -4_800.0), (0.10, -6_400.0)])
def test_it_droops_by_the_slope(k_of: float, expected_w: float) -> None:
    droop = FrequencyDroop(db_of_hz=0.04, db_uf_hz=0.04, k_of=k_of, response_s=0.5)
    bench = at_work(replace(CODE, enter_service=QUICK, frequency_droop=droop))
    assert bench.run(5.0, hz=61.0) == pytest.approx(expected_w, rel=1e-3)
    assert bench.run(5.0) == pytest.approx(-8_000.0, rel=1e-3)


def test_a_droop_never_turns_the_power_round_and_moves_nothing_at_rest() -> None:
    droop = FrequencyDroop(db_of_hz=0.04, k_of=0.02, k_uf=0.02, response_s=0.1)
    bench = at_work(replace(CODE, enter_service=QUICK, frequency_droop=droop))
    assert bench.run(3.0, hz=61.2, wanted_w=-2_000.0) == 0.0
    assert bench.run(3.0, hz=59.0, wanted_w=0.0) == 0.0


def test_it_ceases_for_a_moment_and_is_back_at_once() -> None:
    bench = at_work(replace(CODE, enter_service=QUICK))
    assert bench.run(0.5, v_pu=0.45) == 0.0
    assert bench.inverter.in_service
    assert bench.run(DT) == -8_000.0


def test_a_permission_that_is_withdrawn_ends_its_service_and_the_delay_begins_with_the_next() -> None:
    bench = at_work(replace(CODE, enter_service=QUICK))
    bench.inverter.adopt(replace(CODE, enter_service=replace(QUICK, permitted=False)))
    assert bench.run(5.0) == 0.0
    bench.inverter.adopt(replace(CODE, enter_service=QUICK))
    assert bench.run(1.5) == 0.0
    assert bench.run(1.0) == -8_000.0


def test_it_injects_reactive_power_by_the_curve_and_limits_by_voltage() -> None:
    code = replace(IEC_CODE, nominal_frequency_hz=60.0)
    bench = at_work(code)
    power_w = bench.run(60.0, v_pu=0.95)
    assert bench.inverter.reactive_var(power_w) == pytest.approx(-0.22 * RATED_W, rel=0.01), "injected: taken below 0"
    assert bench.run(60.0, v_pu=1.085) == pytest.approx(-0.5 * RATED_W, rel=0.01)


def test_a_limit_of_discharge_holds() -> None:
    bench = at_work(replace(CODE, enter_service=QUICK, discharge_limit_pu=0.3))
    assert bench.run(1.0) == pytest.approx(-3_000.0)
    assert bench.run(1.0, wanted_w=6_000.0) == pytest.approx(6_000.0)


def test_without_a_code_it_follows_the_grid_and_nothing_else() -> None:
    bench = Bench(None)
    assert bench.run(1.0, v_pu=0.6, hz=65.0) == -8_000.0
    assert bench.run(1.0, v_pu=0.4) == 0.0


def test_an_open_contactor_is_no_trip_and_its_delay_runs_from_the_voltage() -> None:
    bench = at_work(replace(CODE, enter_service=QUICK))
    bench.run(1.0, v_pu=0.0)
    assert (bench.inverter.in_service, bench.inverter.alarms, bench.inverter.trips) == (False, DerAlarm(0), 0)
    assert bench.run(1.5) == 0.0
    assert bench.run(1.0) == -8_000.0
