"""What the simulated inverter does by itself: droop, curves, must-trips, momentary cessation, reactive power."""

from __future__ import annotations

import pytest

from v2g.simulation.grid_source import GridSource
from v2g.simulation.inverter import SimInverter
from v2g.simulation.inverter_functions import CurveFunction, Droop, PowerFactor, TripCurve

NOMINAL_V = 277.0
RATED_W = 20_000.0


def volts(pu: float) -> tuple[float, float, float]:
    return (pu * NOMINAL_V,) * 3


class Rig:
    """An inverter in service at 60 Hz, stepped every 5 ms."""

    def __init__(self, power_w: float = -10_000.0) -> None:
        self.inverter = SimInverter(rated_w=RATED_W, nominal_voltage_v=NOMINAL_V, nominal_frequency_hz=60.0)
        self.now_s = 0.0
        self.run(1.1)
        self.inverter.setpoint_w = power_w
        self.inverter.enable(True, self.now_s)
        self.run(1.5)
        assert self.inverter.power_w == pytest.approx(power_w)

    def run(self, seconds: float, pu: float = 1.0, hz: float = 60.0) -> SimInverter:
        for _ in range(round(seconds / 0.005)):
            self.now_s += 0.005
            self.inverter.deliver(self.inverter.wanted_w(self.now_s, 0.005, volts(pu), hz), 0.005)
        return self.inverter

    def until_tripped(self, pu: float = 1.0, hz: float = 60.0, within_s: float = 30.0) -> float:
        began_s = self.now_s
        while self.inverter.connected:
            self.run(0.005, pu, hz)
            assert self.now_s - began_s < within_s
        return self.now_s - began_s


@pytest.mark.parametrize(
    ("power_w", "hz", "settled_w"),
    [
        (-10_000, 60.336, -8_000),
        (-10_000, 59.664, -12_000),
        (10_000, 60.336, 12_000),
        (10_000, 60.03, 10_000),
        (-19_000, 59.664, -20_000),
    ],
)
def test_droop_settles_and_takes_its_response_time(power_w: float, hz: float, settled_w: float) -> None:
    rig = Rig(power_w)
    rig.inverter.functions.droop = Droop(enabled=True, response_s=2.0)
    change_w = settled_w - power_w
    if abs(settled_w) < RATED_W:
        assert rig.run(2.0, hz=hz).power_w - power_w == pytest.approx(0.9 * change_w, abs=0.02 * abs(change_w) + 1)
    assert rig.run(10.0, hz=hz).power_w == pytest.approx(settled_w, abs=5)


def test_a_set_point_of_zero_stays_zero_whatever_the_frequency() -> None:
    rig = Rig(0.0)
    rig.inverter.functions.droop = Droop(enabled=True, response_s=0.2)
    assert rig.run(2.0, hz=59.0).power_w == 0.0


def test_volt_watt_caps_what_is_injected() -> None:
    rig = Rig(-18_000.0)
    rig.inverter.functions.volt_watt = CurveFunction(enabled=True, points=((106, 100), (110, 20)), response_s=0.5)
    assert rig.run(3.0, pu=1.08).power_w == pytest.approx(-12_000, abs=5)


@pytest.mark.parametrize(("pu", "absorbed_pct"), [(0.92, -44), (1.0, 0), (1.05, 22), (1.09, 44)])
def test_volt_var_absorbs_at_high_voltage(pu: float, absorbed_pct: float) -> None:
    rig = Rig()
    curve = ((92, 44), (98, 0), (102, 0), (108, -44))
    rig.inverter.functions.volt_var = CurveFunction(enabled=True, points=curve, response_s=0.5)
    assert rig.run(4.0, pu=pu).reactive_var == pytest.approx(absorbed_pct / 100 * RATED_W, abs=5)


def test_constant_power_factor_over_excited_injects() -> None:
    rig = Rig(-8_000.0)
    rig.inverter.functions.pf_injecting = PowerFactor(enabled=True, pf=0.8)
    assert rig.run(0.1).reactive_var == pytest.approx(-6_000)
    rig.inverter.setpoint_w = 0.0
    assert rig.run(2.0).reactive_var == 0.0


@pytest.mark.parametrize(
    ("pu", "hz", "model", "after_s"),
    [(0.6, 60.0, 707, 10.0), (1.15, 60.0, 708, 2.0), (1.25, 60.0, 708, 0.16), (1.0, 62.5, 710, 0.16)],
)
def test_it_trips_by_its_own_curves_in_their_time(pu: float, hz: float, model: int, after_s: float) -> None:
    rig = Rig()
    rig.inverter.functions.trips[710] = TripCurve(points=((63, 0.16), (62, 0.16), (62, 300), (61.2, 300), (61.2, 301)))
    assert rig.until_tripped(pu, hz) == pytest.approx(after_s, abs=0.011)
    assert (rig.inverter.tripped_by, rig.inverter.trips, rig.inverter.power_w) == (model, 1, 0.0)
    rig.run(1.2)
    assert rig.inverter.connected, "the voltage is back, and the delay has passed"


def test_a_timer_that_did_not_run_out_starts_anew() -> None:
    rig = Rig()
    rig.run(1.9, pu=1.15)
    rig.run(0.1)
    rig.run(1.9, pu=1.15)
    assert rig.inverter.connected


def test_momentary_cessation_stays_connected_and_comes_back_at_once() -> None:
    rig = Rig()
    points = ((40.0, 2.0), (50.0, 2.0), (50.0, 21.0), (88.0, 21.0), (88.0, 22.0))
    rig.inverter.functions.trips[707] = TripCurve(points=points, ceases_at_pct=50.0)
    assert rig.run(0.005, pu=0.3).power_w == 0.0
    rig.run(1.0, pu=0.0)
    assert rig.inverter.connected
    assert rig.run(0.4).power_w < -7_500, "within 0.4 s back to 80 %"
    rig.run(1.0)
    assert rig.until_tripped(pu=0.3) == pytest.approx(2.0, abs=0.011)
    assert rig.inverter.tripped_by == 707


def test_power_after_entering_service_follows_the_ramp() -> None:
    rig = Rig()
    rig.inverter.enter_service_ramp_s = 10.0
    rig.run(0.01, pu=0.0)
    assert not rig.inverter.connected
    rig.run(1.0 + 2.5)
    assert rig.inverter.power_w == pytest.approx(-5_000, rel=0.05)


@pytest.mark.parametrize("detects", [True, False])
def test_a_balanced_island_is_left_within_two_seconds_only_with_active_detection(detects: bool) -> None:
    rig = Rig(-10_000.0)
    made = rig.inverter
    made.anti_islanding = detects
    for model, points in (
        (709, ((55.5, 0.16), (56.5, 0.16), (56.5, 300.0), (58.5, 300.0), (58.5, 301.0))),
        (710, ((63.0, 0.16), (62.0, 0.16), (62.0, 300.0), (61.2, 300.0), (61.2, 301.0))),
    ):
        made.functions.trips[model] = TripCurve(points=points)
    grid = GridSource(nominal_voltage_v=NOMINAL_V, nominal_frequency_hz=60.0)
    grid.switch_mains(False, rig.now_s)
    for _ in range(round(2.0 / 0.005)):
        grid.drift(-made.power_w, 10_000.0, 0.005, made.island_push_hz_s())
        rig.run(0.005, grid.island_pu, grid.frequency_hz)
    assert made.connected is not detects
    assert made.tripped_by == (710 if detects else None)


def test_on_the_mains_detection_moves_nothing_and_needs_generation() -> None:
    rig = Rig(-10_000.0)
    assert rig.inverter.island_push_hz_s() != 0.0
    grid = GridSource(nominal_voltage_v=NOMINAL_V, nominal_frequency_hz=60.0)
    grid.drift(10_000.0, 10_000.0, 1.0, rig.inverter.island_push_hz_s())
    assert grid.frequency_hz == 60.0
    assert Rig(5_000.0).inverter.island_push_hz_s() == 0.0
