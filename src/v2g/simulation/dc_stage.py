"""A simulated DC EVSE output stage: voltage, contactors, insulation monitor, connector lock, command watchdog.

Device interlocks of its own: contactors close only with a plug that is in and locked; the lock opens only without
current; a command that is not repeated for the watchdog time takes the current to zero and opens the contactors, the
lock stays. What to do about a failed insulation test is the controller's business.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from v2g.hardware.ports import DcEvseCommand, Insulation, PilotReading, PilotState
from v2g.simulation.pilot_wire import PilotWire
from v2g.simulation.switchgear import Switch, contactor

_IDLE = DcEvseCommand()
_SLOW_CONTACTOR_S = 0.5
_HEALTHY_OHM = 2_000_000.0
_FAULT_BELOW_OHM = 100.0
"""Per volt of the stage's maximum voltage (IEC 61851-23)."""


@dataclass(slots=True, kw_only=True)
class DcStage:
    """The physical stage. ``voltage_v`` on the EVSE side of its contactors, ``current_a`` positive into the vehicle."""

    max_voltage_v: float = 920.0
    min_voltage_v: float = 150.0
    max_current_a: float = 80.0
    max_power_w: float = 22_000.0
    slew_v_s: float = 800.0
    bleed_v_s: float = 400.0
    insulation_test_s: float = 1.2
    insulation_test_v: float = 500.0

    plugged: bool = False
    vehicle_ready: bool = False
    """The vehicle has closed its second resistor by itself: state C instead of B."""
    voltage_v: float = 0.0
    current_a: float = 0.0
    contactors: Switch = field(default_factory=contactor)
    lock: Switch = field(default_factory=lambda: Switch(opening_time_s=0.2, closing_time_s=0.2))
    insulation: Insulation = Insulation.UNKNOWN
    measured_ohm: float = _HEALTHY_OHM
    insulation_ohm: float = _HEALTHY_OHM
    """The truth of the cable and the vehicle; a fault lowers it."""
    output_gain: float = 1.0
    """1: the output reaches its target; another value is a pre-charge out of tolerance."""
    charged_wh: float = 0.0
    discharged_wh: float = 0.0
    command: DcEvseCommand = _IDLE
    wire: PilotWire = field(default_factory=PilotWire)
    tripped: str | None = None
    """A fault of the device's own, in the words of its register map; it opens everything."""
    vehicle_opened_under_load: int = 0
    watchdog_s: float = 3.0
    watchdog_expired: bool = False
    inrush_events: int = 0
    """How often a vehicle closed its contactor onto a voltage more than 20 V away from its own."""
    _commanded_at_s: float = -math.inf
    _latched: tuple[str, ...] = ()
    """Faults keep the contactors open until they are no longer commanded to close."""
    _disobeyed_since_s: float | None = None
    _test_since_s: float | None = None
    _test_done: bool = False
    leaking: bool = False
    """The insulation was lost after it had been found good."""
    _leak_since_s: float | None = None

    def apply(self, command: DcEvseCommand, now_s: float) -> None:
        """A command from the wire; restarts the watchdog."""
        self.command = command
        self._commanded_at_s = now_s

    def plug(self) -> None:
        self.plugged = True

    def unplug(self) -> None:
        """The plug is out: the interlock opens everything and the insulation result is void."""
        self.plugged = self.vehicle_ready = False
        self.insulation = Insulation.UNKNOWN
        self.leaking = False
        self._leak_since_s = None
        self._test_since_s = None
        self._test_done = False

    def lose_insulation(self, ohm: float | None) -> None:
        """Resistance to earth from now on; None: healthy again."""
        if ohm is not None and ohm < 0.0:
            raise ValueError(f"insulation {ohm:g} ohm must be 0 or more")
        self.insulation_ohm = _HEALTHY_OHM if ohm is None else ohm

    @property
    def locked(self) -> bool:
        return self.plugged and self.lock.closed

    @property
    def fault_ohm(self) -> float:
        return _FAULT_BELOW_OHM * self.max_voltage_v

    @property
    def true_state(self) -> PilotState:
        """What is on the pilot wire. A vehicle that is supplied is ready, whatever else it says."""
        if self.command.pilot_error and not self.watchdog_expired:
            return PilotState.F
        if not self.plugged:
            return PilotState.A
        ready = self.vehicle_ready or self.contactors.closed or self.command.close_contactors
        return PilotState.C if ready else PilotState.B

    @property
    def duty_pct(self) -> float:
        """On the pilot wire; 100: steady."""
        return 5.0 if self.true_state in (PilotState.B, PilotState.C) else 100.0

    def pilot(self) -> PilotReading:
        """What the device measures: steady without a vehicle and in state F, else 5 % for digital communication."""
        return self.wire.measured(self.true_state, self.duty_pct, self.max_current_a if self.plugged else None)

    def faults(self, now_s: float) -> tuple[str, ...]:
        """What the device reports as faults, in the words of its register map."""
        return tuple(dict.fromkeys((*self._latched, *self._present_faults(now_s))))

    def _present_faults(self, now_s: float) -> tuple[str, ...]:
        found = [self.tripped] if self.tripped else []
        if self._disobeyed_since_s is not None and now_s - self._disobeyed_since_s > _SLOW_CONTACTOR_S:
            found.append("contactor welded" if self.contactors.closed else "contactor does not close")
        if self.leaking:
            found.append("insulation fault while energised")
        return tuple(found)

    def current_ceiling_a(self, now_s: float) -> float:
        """Largest current magnitude that the stage lets through now."""
        command = self._active(now_s)
        return min(self.max_current_a, command.current_limit_a) if command.close_contactors else 0.0

    def step(self, now_s: float, dt_s: float, *, supplied: bool, battery_v: float | None) -> None:
        """Advance. ``supplied``: the inverter has its grid; ``battery_v``: what a closed EV contactor brings."""
        command = self._active(now_s)
        self.lock.command((command.lock_connector and self.plugged) or abs(self.current_a) > 5.0, now_s)
        self.lock.step(now_s)
        self.contactors.command(command.close_contactors and self.locked, now_s)
        self.contactors.step(now_s, current_a=self.current_a)
        wanted = command.close_contactors and self.locked
        obeyed = self.contactors.closed == wanted or (self._latched and not self.contactors.closed)
        self._disobeyed_since_s = None if obeyed else (self._disobeyed_since_s or now_s)
        self.wire.follow(self.true_state)
        self._monitor_insulation(command, now_s, joined=battery_v is not None)
        if battery_v is not None and self.contactors.closed:
            self.voltage_v = battery_v
            return
        self.current_a = 0.0
        testing = self.insulation is Insulation.TESTING
        target_v = min(command.target_voltage_v, self.max_voltage_v) * self.output_gain
        if testing:
            target_v = max(target_v, self.insulation_test_v)
        if not supplied:
            target_v = 0.0
        gap_v = target_v - self.voltage_v
        step_v = (self.slew_v_s if gap_v > 0 else self.bleed_v_s) * dt_s
        self.voltage_v += min(step_v, max(-step_v, gap_v))

    def carry(self, current_a: float, voltage_v: float, dt_s: float) -> None:
        """``current_a`` flows through the closed circuit at ``voltage_v``."""
        self.current_a = current_a
        self.voltage_v = voltage_v
        energy_wh = voltage_v * current_a * dt_s / 3600.0
        if energy_wh >= 0.0:
            self.charged_wh += energy_wh
        else:
            self.discharged_wh -= energy_wh

    def _active(self, now_s: float) -> DcEvseCommand:
        self.watchdog_expired = now_s - self._commanded_at_s > self.watchdog_s
        if not self.command.close_contactors:
            self._latched = ()
        self._latched = self._latched or self._present_faults(now_s)
        if self.watchdog_expired or self._latched:
            return DcEvseCommand(lock_connector=self.command.lock_connector)
        return self.command

    def _monitor_insulation(self, command: DcEvseCommand, now_s: float, *, joined: bool) -> None:
        if not self.plugged:
            return
        if command.test_insulation and not joined and not self._test_done and self.contactors.closed:
            if self._test_since_s is None:
                self._test_since_s = now_s
                self.insulation = Insulation.TESTING
                self.leaking = False
            elif now_s - self._test_since_s >= self.insulation_test_s:
                self.measured_ohm = self.insulation_ohm
                self.insulation = Insulation.FAULT if self.insulation_ohm < self.fault_ohm else Insulation.VALID
                self._test_since_s = None
                self._test_done = True
        elif not command.test_insulation:
            self._test_done = False
            if self._test_since_s is not None:
                self._test_since_s = None
                self.insulation = Insulation.UNKNOWN
        if self.insulation is Insulation.VALID:
            if self.insulation_ohm >= self.fault_ohm:
                self._leak_since_s = None
            elif self._leak_since_s is None:
                self._leak_since_s = now_s
            elif now_s - self._leak_since_s > 0.5:
                self.leaking = True
                self.measured_ohm = self.insulation_ohm
                self.insulation = Insulation.FAULT
