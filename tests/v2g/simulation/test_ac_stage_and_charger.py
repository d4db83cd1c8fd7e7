"""The AC EVSE's interlocks, and a vehicle's own inverter behind its contactor on one phase or three."""

from __future__ import annotations

import numpy as np
import pytest

from v2g.hardware.ports import AcEvseCommand, PilotReading, PilotState
from v2g.simulation.ac_charger import EFFICIENCY, RAMP_W_S, AcCharger, AcVehicle
from v2g.simulation.battery import Battery, BatteryModel
from v2g.simulation.plant import build_site
from v2g.simulation.plant_config import PlantConfig, PlantEvse
from v2g.simulation.site import Site
from v2g.simulation.switchgear import Stuck
from v2g.simulation.waveforms import SAMPLE_RATE_HZ, Recorder

DT = 0.005
V = 277.0
ON = AcEvseCommand(close_contactor=True, lock_connector=True, pilot_duty_pct=5.0)
LOCKED = AcEvseCommand(lock_connector=True, pilot_duty_pct=5.0)


def vehicle(soc: float = 0.5) -> AcVehicle:
    return AcVehicle(name="car", battery=Battery(BatteryModel(), soc))


class Bench:
    """A charger on a live bus, under a hand that repeats its command."""

    def __init__(self, phases: int = 3, rotation: str = "abc") -> None:
        self.charger = AcCharger(evse_id="E1", nominal_voltage_v=V, rated_w=22_000.0, phases=phases, rotation=rotation)
        self.stage = self.charger.stage
        self.now_s = 100.0
        self.bus_v = (V, V, V)

    def run(self, command: AcEvseCommand | None, seconds: float) -> AcCharger:
        for _ in range(round(seconds / DT)):
            self.now_s += DT
            if command is not None:
                self.stage.apply(command, self.now_s)
            self.charger.step(self.now_s, DT, self.bus_v, 60.0)
        return self.charger

    def driven(self, power_w: float, seconds: float = 3.0) -> AcCharger:
        if self.charger.vehicle is None:
            self.charger.plug(vehicle())
        assert self.charger.vehicle is not None
        self.charger.vehicle.drive(power_w, 0.0, True)
        return self.run(ON, seconds)


def test_the_contactor_closes_only_onto_a_locked_plug_and_a_ready_vehicle() -> None:
    bench = Bench()
    assert not bench.run(ON, 1.0).stage.contactor.closed
    car = vehicle()
    bench.charger.plug(car)
    assert not bench.run(ON, 1.0).stage.contactor.closed, "state B"
    car.ready = True
    assert not bench.run(AcEvseCommand(close_contactor=True), 1.0).stage.contactor.closed
    assert bench.run(ON, 1.0).stage.contactor.closed
    car.ready = False
    assert not bench.run(ON, 0.1).stage.contactor.closed, "open within 0.1 s of state B"


@pytest.mark.parametrize("power_w", [9_000.0, -9_000.0])
def test_power_ramps_and_the_battery_gets_what_the_efficiency_leaves(power_w: float) -> None:
    bench = Bench()
    bench.driven(0.0)
    bench.driven(power_w, 0.5)
    assert abs(bench.charger.power_w) == pytest.approx(0.5 * RAMP_W_S, rel=0.02)
    charger = bench.driven(power_w)
    assert charger.power_w == pytest.approx(power_w)
    assert charger.stage.current_a == pytest.approx((3_000 / V,) * 3)
    assert charger.vehicle is not None
    battery = charger.vehicle.battery
    dc_w = battery.terminal_voltage_v(charger.vehicle.battery_a) * charger.vehicle.battery_a
    assert dc_w == pytest.approx(power_w * EFFICIENCY if power_w > 0 else power_w / EFFICIENCY)
    assert (battery.soc > 0.5) is (power_w > 0)
    assert (charger.stage.charged_wh > 0) is (power_w > 0)


def test_a_dead_bus_or_an_open_contactor_ends_the_power_at_once() -> None:
    bench = Bench()
    bench.driven(-9_000.0)
    bench.bus_v = (0.0, 0.0, 0.0)
    assert bench.run(ON, DT).power_w == 0.0
    bench.bus_v = (V, V, V)
    bench.driven(-9_000.0)
    assert bench.run(LOCKED, 0.05).power_w == 0.0
    assert bench.stage.contactor.opened_under_load == 1
    assert bench.stage.inlet_v == (0.0, 0.0, 0.0)


def test_a_silent_controller_opens_the_contactor_and_keeps_the_lock() -> None:
    bench = Bench()
    bench.driven(5_000.0)
    assert bench.run(None, 1.9).stage.contactor.closed
    assert not bench.run(None, 0.2).stage.contactor.closed
    assert bench.stage.locked
    assert bench.stage.duty_pct == 100.0


@pytest.mark.parametrize(
    ("stuck", "command", "text"),
    [(Stuck.CLOSED, LOCKED, "contactor welded"), (Stuck.OPEN, ON, "contactor does not close")],
)
def test_a_contactor_that_does_not_obey_is_told(stuck: Stuck, command: AcEvseCommand, text: str) -> None:
    bench = Bench()
    bench.driven(0.0)
    bench.stage.contactor.stuck = stuck
    bench.run(command, 1.0)
    assert bench.stage.faults(bench.now_s) == (text,)


def test_a_trip_opens_and_sets_state_f() -> None:
    bench = Bench()
    bench.driven(0.0)
    bench.stage.tripped = "residual current"
    assert not bench.run(ON, 0.1).stage.contactor.closed
    assert bench.stage.true_state is PilotState.F
    assert bench.stage.pilot().state is PilotState.F


def test_the_pilot_shows_the_vehicles_state_and_what_a_fault_puts_there() -> None:
    bench = Bench()
    assert bench.run(LOCKED, DT).stage.pilot().state is PilotState.A
    car = vehicle()
    bench.charger.plug(car)
    assert bench.run(LOCKED, DT).stage.pilot().high_v == 9.0
    car.ready = True
    shown = bench.run(LOCKED, DT).stage.pilot()
    assert (shown.high_v, shown.low_v, shown.duty_pct, shown.frequency_hz) == (6.0, -12.0, 5.0, 1000.0)
    bench.stage.wire.shown = PilotReading(high_v=0.0, earth_ohm=5_000.0)
    assert bench.stage.pilot().state is PilotState.E
    assert bench.stage.pilot().earth_ok is False
    assert bench.stage.pilot().low_v == -12.0
    bench.stage.wire.lost = True
    assert bench.stage.pilot() == PilotReading()


def test_state_f_is_on_the_wire_while_it_is_ordered_and_the_controller_is_heard() -> None:
    bench = Bench()
    bench.charger.plug(vehicle())
    failed = AcEvseCommand(pilot_error=True, pilot_duty_pct=5.0)
    reading = bench.run(failed, DT).stage.pilot()
    assert (reading.state, reading.high_v, reading.low_v, reading.duty_pct) == (PilotState.F, -12.0, None, 100.0)
    assert bench.run(LOCKED, DT).stage.pilot().state is PilotState.B
    bench.run(failed, DT)
    assert bench.run(None, 1.9).stage.true_state is PilotState.F
    bench.run(None, 0.2)
    assert (bench.stage.true_state, bench.stage.duty_pct) == (PilotState.B, 100.0), "steady +12 V, as its map says"


def test_the_device_counts_b_c_b_changes_since_the_vehicle_was_plugged_in() -> None:
    bench = Bench()
    car = vehicle()

    def counted(ready: bool) -> int | None:
        car.ready = ready
        return bench.run(LOCKED, 0.02).stage.pilot().toggles

    bench.charger.plug(car)
    assert [counted(ready) for ready in (False, True, True, False, True, False)] == [0, 0, 0, 1, 1, 2]
    car.ready = True
    bench.run(AcEvseCommand(pilot_error=True), DT)
    assert counted(False) == 2, "from C by state F to B is none"
    bench.charger.unplug()
    bench.run(LOCKED, DT)
    bench.charger.plug(car)
    assert counted(False) == 0
    bench.charger.unplug()
    bench.run(LOCKED, DT)
    bench.charger.plug(car)
    assert counted(True) == 0, "plugged in as ready: it never was in B"
    assert counted(False) == 0


def test_an_overdrawing_vehicle_takes_its_power_whatever_it_is_told() -> None:
    bench = Bench()
    bench.driven(1_000.0)
    bench.charger.overdraw_w = 15_000.0
    assert bench.driven(0.0).power_w == 15_000.0


def test_the_bus_sees_the_phases_of_the_rotation() -> None:
    bench = Bench(rotation="bca")
    bench.driven(0.0)
    bench.stage.carry((100.0, 200.0, 300.0), (0.0, 0.0, 0.0), DT)
    assert bench.charger.bus_w == (300.0, 100.0, 200.0)


def single_phase_site(rotation: str) -> Site:
    evse = PlantEvse(evse_id="E1", kind="AC", phases=1, rotation=rotation, rated_w=7_400.0, max_current_a=32.0)
    site = build_site(PlantConfig(run_dir="", evses=(evse,), transducers_port=0))
    car = vehicle()
    car.drive(5_540.0, 0.0, True)
    site.ac_chargers["E1"].plug(car)
    site.breaker_commanded = True
    return site


@pytest.mark.parametrize(("rotation", "phase"), [("a", 0), ("b", 1), ("c", 2)])
def test_feeder_samples_carry_a_single_phase_load_on_its_phase_alone(rotation: str, phase: int) -> None:
    site = single_phase_site(rotation)
    recorder = Recorder(site)
    n, now_s = 16, 100.0
    taken = []
    for _ in range(480):
        dt_s = n / SAMPLE_RATE_HZ
        site.ac_chargers["E1"].stage.apply(ON, now_s)
        site.step(now_s + dt_s, dt_s)
        taken.append(recorder.record(n, now_s, now_s + dt_s))
        now_s += dt_s
    last = np.vstack(taken)[-SAMPLE_RATE_HZ // 4 :]
    amperes = np.sqrt(np.mean(last[:, 6:9] ** 2, axis=0))
    expected = np.full(3, 0.0)
    expected[phase] = 20.0
    assert amperes == pytest.approx(expected, abs=0.3)
    assert site.feeder_w == pytest.approx(5_540.0)
