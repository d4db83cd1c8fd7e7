"""An AC EVSE of the simulated site, and the vehicle at it: a battery behind an inverter of the vehicle's own."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyiso15118.der import GridCode
from v2g.simulation.ac_stage import AcStage, Lines
from v2g.simulation.battery import Battery
from v2g.simulation.vehicle_inverter import VehicleInverter

EFFICIENCY = 0.95
"""Of an on-board charger, either direction."""
RAMP_W_S = 10_000.0
RATED_W = 11_000.0
"""Of an inverter whose computer says nothing of its rating."""
_DEAD: Lines = (0.0, 0.0, 0.0)


@dataclass(slots=True, kw_only=True)
class AcVehicle:
    """Power positive: charges; of all phases, at the inlet.

    ``auto``: nobody drives it; it is ready and takes nothing.
    """

    name: str
    battery: Battery
    auto: bool = False
    ready: bool = False
    wanted_w: float = 0.0
    wanted_var: float = 0.0
    power_w: float = 0.0
    battery_a: float = 0.0
    inverter: VehicleInverter = field(default_factory=lambda: VehicleInverter(rated_w=RATED_W, rated_va=RATED_W))

    def __post_init__(self) -> None:
        self.ready = self.ready or self.auto

    def take_over(self, code: GridCode | None, rated_w: float, rated_va: float) -> None:
        """The grid code that its inverter keeps to from now on, and what it is per unit of."""
        self.inverter.rated_w, self.inverter.rated_va = rated_w, rated_va
        self.inverter.adopt(code)

    def drive(self, power_w: float, reactive_var: float, ready: bool) -> None:
        self.wanted_w, self.wanted_var, self.ready = power_w, reactive_var, ready

    def step(self, wanted_w: float, live: bool, dt_s: float) -> float:
        """What it exchanges now, W."""
        if not live:
            self.power_w = self.battery_a = 0.0
            return 0.0
        battery = self.battery
        if (battery.soc >= 1.0 and wanted_w > 0.0) or (battery.soc <= 0.0 and wanted_w < 0.0):
            wanted_w = 0.0
        step_w = RAMP_W_S * dt_s
        self.power_w += min(step_w, max(-step_w, wanted_w - self.power_w))
        dc_w = self.power_w * EFFICIENCY if self.power_w >= 0.0 else self.power_w / EFFICIENCY
        self.battery_a = battery.current_for_power_a(dc_w)
        battery.move(self.battery_a, dt_s)
        return self.power_w


@dataclass(slots=True, kw_only=True)
class AcCharger:
    """``rotation``: phases of the bus at L1, L2, L3; one letter, or the first one, for a single-phase EVSE."""

    evse_id: str
    nominal_voltage_v: float
    rated_w: float
    phases: int = 3
    rotation: str = "abc"
    stage: AcStage = field(default_factory=AcStage)
    vehicle: AcVehicle | None = None
    overdraw_w: float | None = None
    """A fault: what the vehicle exchanges whatever it is told."""
    last_power_at_s: float | None = None
    """The last moment with more than 100 W."""

    def plug(self, vehicle: AcVehicle) -> None:
        """Raises ValueError when a plug is in already."""
        if self.vehicle is not None:
            raise ValueError(f"{self.evse_id}: {self.vehicle.name} is plugged in already")
        self.vehicle = vehicle
        self.stage.plugged = True

    def unplug(self) -> None:
        self.vehicle = None
        self.stage.plugged = False

    @property
    def lines(self) -> tuple[int, ...]:
        """Phase of the bus, 0..2, at each of its lines."""
        return tuple("abc".index(letter) for letter in self.rotation[: self.phases])

    @property
    def power_w(self) -> float:
        return self.stage.total_w

    @property
    def bus_w(self) -> Lines:
        """Active power by phase of the bus."""
        return self._on_bus(self.stage.power_w)

    @property
    def bus_var(self) -> Lines:
        return self._on_bus(self.stage.reactive_var)

    def step(self, now_s: float, dt_s: float, voltages_v: Lines, frequency_hz: float) -> None:
        stage, vehicle, lines = self.stage, self.vehicle, self.lines
        stage.vehicle_ready = vehicle is not None and vehicle.ready
        stage.step(now_s, _three([voltages_v[line] for line in lines]))
        supply_v = stage.inlet_v[: len(lines)]
        if vehicle is None:
            stage.carry(_DEAD, _DEAD, dt_s)
            return
        told_w = vehicle.wanted_w if vehicle.ready else 0.0
        told_w = told_w if self.overdraw_w is None else self.overdraw_w
        inverter = vehicle.inverter
        told_w = inverter.step(now_s, dt_s, supply_v, frequency_hz, told_w, self.nominal_voltage_v)
        live = inverter.in_service and not inverter.ceases
        power_w = vehicle.step(told_w, live, dt_s)
        reactive_var = 0.0
        if live and vehicle.ready:
            reactive_var = vehicle.wanted_var if inverter.code is None else inverter.reactive_var(power_w)
        share = 1.0 / len(lines)
        stage.carry(_three([power_w * share] * len(lines)), _three([reactive_var * share] * len(lines)), dt_s)
        if abs(power_w) > 100.0:
            self.last_power_at_s = now_s

    def _on_bus(self, values: Lines) -> Lines:
        placed = [0.0, 0.0, 0.0]
        for line, value in zip(self.lines, values, strict=False):
            placed[line] = value
        return _three(placed)


def _three(values: list[float]) -> Lines:
    one, two, three = (*values, 0.0, 0.0)[:3]
    return one, two, three
