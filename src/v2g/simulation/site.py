"""The simulated site: grid, transformer, base load, breaker, relay and the chargers below them, stepped together.

One step solves, for each charger, the circuit inverter - output stage - contactors - battery, and books the energy.
Power and current positive into a vehicle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from v2g.simulation.ac_charger import AcCharger
from v2g.simulation.battery import Battery
from v2g.simulation.course import Course
from v2g.simulation.dc_stage import DcStage
from v2g.simulation.grid_source import GridSource
from v2g.simulation.inverter import SimInverter
from v2g.simulation.plant_config import AMBIENT_RANGE_C
from v2g.simulation.switchgear import OvervoltageRelay, Switch, breaker
from v2g.simulation.thermal_plant import TransformerPlant

_DRIFT_AT_MOST_PU = 0.02
"""Of the base load."""
_AUTO_MATCH_S = 0.1
_AUTO_MATCH_PU = 0.05


@dataclass(slots=True, kw_only=True)
class PluggedVehicle:
    """What a plug brings: a battery behind the vehicle's own contactor.

    ``auto``: nobody commands the contactor; it closes when the EVSE's voltage matches the battery's and opens when
    the EVSE has opened its own.
    """

    name: str
    battery: Battery
    auto: bool = False
    contactor_closed: bool = False
    _matched_since_s: float | None = None

    def follow(self, stage: DcStage, now_s: float) -> None:
        if not self.auto:
            return
        if self.contactor_closed:
            self.contactor_closed = stage.contactors.closed
            return
        emf_v = self.battery.emf_v
        matches = stage.contactors.closed and abs(stage.voltage_v - emf_v) <= _AUTO_MATCH_PU * emf_v
        if not matches:
            self._matched_since_s = None
        elif self._matched_since_s is None:
            self._matched_since_s = now_s
        elif now_s - self._matched_since_s >= _AUTO_MATCH_S:
            self.close_contactor(stage, True)
            self._matched_since_s = None

    def close_contactor(self, stage: DcStage, close: bool) -> None:
        """Move the vehicle's contactor (at once; the vehicle's own delay is the vehicle's)."""
        if close and not self.contactor_closed and stage.contactors.closed:
            stage.inrush_events += abs(stage.voltage_v - self.battery.emf_v) > 20.0
        if not close and self.contactor_closed and abs(stage.current_a) > 5.0:
            stage.vehicle_opened_under_load += 1
        self.contactor_closed = close


@dataclass(slots=True, kw_only=True)
class Charger:
    """One EVSE: inverter, output stage and what is plugged in."""

    evse_id: str
    inverter: SimInverter
    stage: DcStage = field(default_factory=DcStage)
    vehicle: PluggedVehicle | None = None
    last_power_at_s: float | None = None
    """The last moment with more than 100 W at the AC terminals."""

    def plug(self, vehicle: PluggedVehicle) -> None:
        """Raises ValueError when a plug is in already."""
        if self.vehicle is not None:
            raise ValueError(f"{self.evse_id}: {self.vehicle.name} is plugged in already")
        self.vehicle = vehicle
        self.stage.plug()

    def unplug(self) -> None:
        self.vehicle = None
        self.stage.unplug()

    def step(self, now_s: float, dt_s: float, voltages_v: tuple[float, float, float], frequency_hz: float) -> None:
        wanted_w = self.inverter.wanted_w(now_s, dt_s, voltages_v, frequency_hz)
        vehicle, stage = self.vehicle, self.stage
        joined = vehicle is not None and vehicle.contactor_closed
        battery_v = vehicle.battery.terminal_voltage_v(stage.current_a) if vehicle is not None and joined else None
        stage.step(now_s, dt_s, supplied=self.inverter.connected, battery_v=battery_v)
        if vehicle is None or not joined or not stage.contactors.closed:
            self.inverter.deliver(0.0, dt_s)
            if vehicle is not None:
                vehicle.follow(stage, now_s)
            return
        battery = vehicle.battery
        ceiling_a = stage.current_ceiling_a(now_s)
        wanted_a = battery.current_for_power_a(self.inverter.dc_power_w(wanted_w))
        current_a = min(ceiling_a, max(-ceiling_a, wanted_a))
        if (battery.soc >= 1.0 and current_a > 0.0) or (battery.soc <= 0.0 and current_a < 0.0):
            current_a = 0.0
        voltage_v = battery.terminal_voltage_v(current_a)
        stage.carry(current_a, voltage_v, dt_s)
        battery.move(current_a, dt_s)
        self.inverter.deliver(self.inverter.ac_power_w(voltage_v * current_a), dt_s)
        if abs(self.inverter.power_w) > 100.0:
            self.last_power_at_s = now_s
        vehicle.follow(stage, now_s)


@dataclass(slots=True, kw_only=True)
class Site:
    """Everything below the medium-voltage side."""

    grid: GridSource
    transformer: TransformerPlant
    chargers: dict[str, Charger]
    rated_va: float
    base_load_w: float = 80_000.0
    base_load_drift_w: float = 1_500.0
    """Amplitude of a slow swing (seven minutes of thermal time) of the base load, never above 2 % of it."""
    base_power_factor: float = 0.95
    """Inductive."""
    base_var: float | None = None
    """Reactive power of the base load instead of what the power factor gives."""
    base_harmonics: dict[int, float] = field(default_factory=dict)
    """Order -> share of the base load's fundamental current."""
    thermal_speed: float = 1.0
    """Seconds of thermal time a second: of temperatures, the weather, and the courses of load and ambient."""
    thermal_time_s: float = 0.0
    """Since the start."""
    ambient_swing_k: float = 1.0
    ac_chargers: dict[str, AcCharger] = field(default_factory=dict)
    breaker: Switch = field(default_factory=breaker)
    breaker_commanded: bool = False
    relay: OvervoltageRelay = field(default_factory=OvervoltageRelay)
    """In series with the breaker, measuring at the bus."""
    _ambient_mean_c: float | None = None
    _base_course: tuple[Course, float] | None = None
    _ambient_course: tuple[Course, float] | None = None

    def step(self, now_s: float, dt_s: float) -> None:
        """Advance by ``dt_s`` to ``now_s``."""
        self._follow_courses()
        self.breaker.command(self.breaker_commanded, now_s)
        self.breaker.step(now_s)
        self.relay.step(now_s, self.grid.bus_pu)
        voltages = self.grid.voltages_v if self.joined else (0.0, 0.0, 0.0)
        for charger in self.chargers.values():
            charger.step(now_s, dt_s, voltages, self.grid.frequency_hz)
        for ac_charger in self.ac_chargers.values():
            ac_charger.step(now_s, dt_s, voltages, self.grid.frequency_hz)
        feeder_w = -self.feeder_w if self.joined else 0.0
        self.grid.drift(feeder_w, self.base_load_now_w(), dt_s, self._island_push_hz_s())
        thermal_dt_s = dt_s * self.thermal_speed
        self.transformer.step(self.thermal_load_pu(), thermal_dt_s)
        self.thermal_time_s += thermal_dt_s
        self._drift()

    @property
    def joined(self) -> bool:
        """The chargers are on the bus: breaker and relay are closed."""
        return self.breaker.closed and self.relay.closed

    @property
    def feeder_w(self) -> float:
        """Active power of the V2G feeder."""
        return sum(charger.inverter.power_w for charger in self.chargers.values()) + sum(
            charger.power_w for charger in self.ac_chargers.values()
        )

    @property
    def feeder_phase_w(self) -> tuple[float, float, float]:
        """Active power of the V2G feeder in the phases a, b, c."""
        balanced_w = sum(charger.inverter.power_w for charger in self.chargers.values()) / 3.0
        return _by_phase(balanced_w, [charger.bus_w for charger in self.ac_chargers.values()])

    @property
    def feeder_phase_var(self) -> tuple[float, float, float]:
        """As :attr:`feeder_phase_w`, positive: taken as by a coil."""
        if not self.joined:
            return 0.0, 0.0, 0.0
        balanced_var = sum(charger.inverter.reactive_var for charger in self.chargers.values()) / 3.0
        return _by_phase(balanced_var, [charger.bus_var for charger in self.ac_chargers.values()])

    def set_base_load(self, base_load_w: float) -> None:
        """From now on; negative: customers feed in. Ends a course. -1..4 of the rating."""
        self._require_base_load(base_load_w)
        self.base_load_w, self._base_course = base_load_w, None

    def follow_base_load(self, course: Course) -> None:
        """W over minutes of thermal time from now on."""
        for value_w in course.values:
            self._require_base_load(value_w)
        self._base_course = course, self.thermal_time_s

    def base_load_now_w(self) -> float:
        drift_w = min(self.base_load_drift_w, _DRIFT_AT_MOST_PU * abs(self.base_load_w))
        return self.base_load_w + drift_w * math.sin(2.0 * math.pi * self.thermal_time_s / 420.0)

    def base_load_var(self) -> float:
        if self.base_var is not None:
            return self.base_var
        return abs(self.base_load_w) * math.tan(math.acos(self.base_power_factor))

    def thermal_load_pu(self) -> float:
        """The sinusoidal load that would heat the winding as much as the present one with its harmonics."""
        if not self.base_harmonics or not self.grid.mains_closed:
            return self.transformer_va() / self.rated_va
        base_pu = math.hypot(self.base_load_w, self.base_load_var()) / self.rated_va
        harmonics_pu = {order: share * base_pu for order, share in self.base_harmonics.items()}
        return self.transformer.sinusoidal_equivalent_pu(self.transformer_va() / self.rated_va, harmonics_pu)

    @property
    def feeder_var(self) -> float:
        """Reactive power of the V2G feeder, positive: the inverters take it as a coil does."""
        return sum(self.feeder_phase_var)

    def transformer_flow(self) -> tuple[float, float]:
        """Active and reactive power through it, positive downstream: nothing while the mains are lost."""
        if not self.grid.mains_closed:
            return 0.0, 0.0
        return self.base_load_now_w() + self.feeder_w, self.base_load_var() + self.feeder_var

    def transformer_va(self) -> float:
        return math.hypot(*self.transformer_flow())

    def set_ambient(self, ambient_c: float) -> None:
        """Outdoor temperature from now on, -50..85 °C. Ends a course."""
        _require_ambient(ambient_c)
        self._ambient_course = None
        self._ambient_mean_c = ambient_c
        self.transformer.ambient_c = ambient_c

    def follow_ambient(self, course: Course) -> None:
        """°C over minutes of thermal time from now on."""
        for value_c in course.values:
            _require_ambient(value_c)
        self._ambient_course = course, self.thermal_time_s

    def _follow_courses(self) -> None:
        if self._base_course is not None:
            course, began_s = self._base_course
            self.base_load_w = course.at((self.thermal_time_s - began_s) / 60.0)
        if self._ambient_course is not None:
            course, began_s = self._ambient_course
            self._ambient_mean_c = course.at((self.thermal_time_s - began_s) / 60.0)

    def _require_base_load(self, base_load_w: float) -> None:
        if not -self.rated_va <= base_load_w <= 4.0 * self.rated_va:
            raise ValueError(f"base_load_w {base_load_w:g} is outside {-self.rated_va:g}..{4 * self.rated_va:g}")

    def _island_push_hz_s(self) -> float:
        if self.grid.mains_closed or not self.joined:
            return 0.0
        return max((c.inverter.island_push_hz_s() for c in self.chargers.values()), key=abs, default=0.0)

    def _drift(self) -> None:
        if self._ambient_mean_c is None:
            self._ambient_mean_c = self.transformer.ambient_c
        swing_k = self.ambient_swing_k * math.sin(2.0 * math.pi * self.thermal_time_s / 3600.0)
        self.transformer.ambient_c = self._ambient_mean_c + swing_k


def _by_phase(balanced: float, unbalanced: list[tuple[float, float, float]]) -> tuple[float, float, float]:
    a, b, c = (balanced + sum(values[phase] for values in unbalanced) for phase in range(3))
    return a, b, c


def _require_ambient(ambient_c: float) -> None:
    low_c, high_c = AMBIENT_RANGE_C
    if not low_c <= ambient_c <= high_c:
        raise ValueError(f"ambient {ambient_c:g} °C is outside {low_c:g}..{high_c:g} °C")
