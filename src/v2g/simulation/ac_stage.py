"""A simulated AC EVSE: contactor, connector lock, meter, control pilot, command watchdog.

Device interlocks of its own: the contactor closes only onto a plug that is in and locked and a vehicle that is ready,
and opens when one of them ends; the lock opens only without current; a command that is not repeated for the watchdog
time opens the contactor and takes the pilot to steady +12 V, the lock stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from v2g.hardware.ports import AcEvseCommand, PilotReading, PilotState
from v2g.simulation.pilot_wire import PilotWire
from v2g.simulation.switchgear import Switch

Lines = tuple[float, float, float]
"""Of the EVSE's L1, L2, L3."""

_IDLE = AcEvseCommand()
_SLOW_CONTACTOR_S = 0.5
_LOADED_ABOVE_A = 1.0
_DEAD: Lines = (0.0, 0.0, 0.0)


@dataclass(slots=True, kw_only=True)
class AcStage:
    """The physical EVSE. Power and current positive into the vehicle."""

    max_current_a: float = 32.0
    proximity_a: float = 32.0

    plugged: bool = False
    vehicle_ready: bool = False
    """The vehicle has closed its second resistor: state C instead of B."""
    contactor: Switch = field(default_factory=lambda: Switch(opening_time_s=0.02, closing_time_s=0.05))
    lock: Switch = field(default_factory=lambda: Switch(opening_time_s=0.2, closing_time_s=0.2))
    supply_v: Lines = _DEAD
    """On the supply side of the contactor."""
    current_a: Lines = _DEAD
    power_w: Lines = _DEAD
    reactive_var: Lines = _DEAD
    charged_wh: float = 0.0
    discharged_wh: float = 0.0
    command: AcEvseCommand = _IDLE
    tripped: str | None = None
    """A fault of the device's own, in the words of its register map; it opens the contactor and sets state F."""
    wire: PilotWire = field(default_factory=PilotWire)
    watchdog_s: float = 2.0
    watchdog_expired: bool = False
    _commanded_at_s: float = -math.inf
    _latched: tuple[str, ...] = ()
    """Faults keep the contactor open until it is no longer commanded to close."""
    _disobeyed_since_s: float | None = None

    def apply(self, command: AcEvseCommand, now_s: float) -> None:
        """A command from the wire; restarts the watchdog."""
        self.command = command
        self._commanded_at_s = now_s

    @property
    def locked(self) -> bool:
        return self.plugged and self.lock.closed

    @property
    def total_w(self) -> float:
        return sum(self.power_w)

    @property
    def inlet_v(self) -> Lines:
        """At the vehicle: nothing behind an open contactor."""
        return self.supply_v if self.contactor.closed else _DEAD

    @property
    def true_state(self) -> PilotState:
        """What is on the pilot wire."""
        if (self.command.pilot_error and not self.watchdog_expired) or self.tripped is not None:
            return PilotState.F
        if not self.plugged:
            return PilotState.A
        return PilotState.C if self.vehicle_ready else PilotState.B

    @property
    def duty_pct(self) -> float:
        """On the pilot wire; 100: steady."""
        steady = self.watchdog_expired or self.true_state is PilotState.F
        return 100.0 if steady else self.command.pilot_duty_pct

    def pilot(self) -> PilotReading:
        """What the device measures."""
        return self.wire.measured(self.true_state, self.duty_pct, self.proximity_a if self.plugged else None)

    def faults(self, now_s: float) -> tuple[str, ...]:
        """What the device reports as faults, in the words of its register map."""
        return tuple(dict.fromkeys((*self._latched, *self._present_faults(now_s))))

    def _present_faults(self, now_s: float) -> tuple[str, ...]:
        found = [self.tripped] if self.tripped else []
        if self._disobeyed_since_s is not None and now_s - self._disobeyed_since_s > _SLOW_CONTACTOR_S:
            found.append("contactor welded" if self.contactor.closed else "contactor does not close")
        return tuple(found)

    def step(self, now_s: float, supply_v: Lines) -> None:
        """Move lock and contactor."""
        self.supply_v = supply_v
        command = self._active(now_s)
        self.wire.follow(self.true_state)
        loaded_a = max(self.current_a)
        self.lock.command((command.lock_connector and self.plugged) or loaded_a > _LOADED_ABOVE_A, now_s)
        self.lock.step(now_s)
        wanted = command.close_contactor and self.locked and self.true_state is PilotState.C
        self.contactor.command(wanted, now_s)
        self.contactor.step(now_s, current_a=loaded_a)
        obeyed = self.contactor.closed == wanted or (bool(self._latched) and not self.contactor.closed)
        if obeyed:
            self._disobeyed_since_s = None
        elif self._disobeyed_since_s is None:
            self._disobeyed_since_s = now_s

    def carry(self, power_w: Lines, reactive_var: Lines, dt_s: float) -> None:
        """What flows for ``dt_s`` through the closed contactor."""
        self.power_w, self.reactive_var = power_w, reactive_var
        one, two, three = (
            math.hypot(active, reactive) / volts if volts > 0.0 else 0.0
            for active, reactive, volts in zip(power_w, reactive_var, self.supply_v, strict=True)
        )
        self.current_a = one, two, three
        energy_wh = self.total_w * dt_s / 3600.0
        if energy_wh >= 0.0:
            self.charged_wh += energy_wh
        else:
            self.discharged_wh -= energy_wh

    def _active(self, now_s: float) -> AcEvseCommand:
        self.watchdog_expired = now_s - self._commanded_at_s > self.watchdog_s
        if not self.command.close_contactor:
            self._latched = ()
        self._latched = self._latched or self._present_faults(now_s)
        if self.watchdog_expired or self._latched:
            return AcEvseCommand(lock_connector=self.command.lock_connector)
        return self.command
