"""What the guard's decision is made from and what it says: the values around :mod:`v2g.grid.protection`."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from v2g.grid.estimate import Estimate
from v2g.grid.overcurrent import OvercurrentSettings
from v2g.grid.settings import GridSettings, Operation
from v2g.grid.trip import Trip

CLOSING_TIME_S = 0.06
"""Of a breaker that states none."""


class Block(enum.IntFlag):
    """Why discharge is refused although the breaker may be closed. ``NEW_DISCHARGE`` refuses only a start."""

    NONE = 0
    NEW_DISCHARGE = 1
    """The frequency is unknown or outside the alarm window, or was outside within the last ten seconds."""
    RELAY_SETTING = 2
    """The hardware relay is set above 110 %, or not stated."""
    RELAY_FEEDBACK = 4
    """The relay has no feedback, or it cannot be read."""
    RELAY_FAILED = 8
    """The voltage exceeded the relay's setting for its delay and it did not open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """The hardware relay in series with the breaker, as configured. ``setting_pu`` None: there is no statement."""

    setting_pu: float | None = None
    delay_s: float = 0.16
    feedback: bool = False
    """A feedback input is configured. Without a stated setting or without feedback there is no discharge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionSettings:
    grid: GridSettings
    opening_time_s: float
    feeder: OvercurrentSettings
    transformer: OvercurrentSettings
    relay: RelaySettings = RelaySettings()
    closing_time_s: float = CLOSING_TIME_S
    """From the command to the touching contacts of the breaker: synchronisation leads by it."""
    phase_limit_deg: float | None = None
    """None: the synchronisation limit."""
    phase_cycles: int = 6
    phase_offset_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Calibrated: what the transducers' own phase error is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What one tick knows. ``estimate`` None: there is no measurement."""

    estimate: Estimate | None
    as_of_s: float | None = None
    """When the newest samples of the estimate were taken: rates and phase jumps need it to the sample. The same time
    again is the same estimate again. None: now."""
    judged_from_s: float | None = None
    """When the newest samples of the estimate before this one were taken: timers that start now run from there."""
    breaker_closed: bool | None = None
    """Its feedback."""
    mains_present: bool | None = None
    """The loss-of-mains input (upstream switch, transfer trip); None: none is configured. An input that is configured
    and not readable is False."""
    relay_closed: bool | None = None
    """The hardware relay's feedback; None: unknown."""
    permit_service: bool = True
    """Permit service (IEEE 1547-2018 4.10.3), as the operator has set it."""
    latched: bool = False
    """A trip is latched."""
    start_over: bool = False
    """The guard stood still or the breaker opened by itself: leave service, enter service starts anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridEvent:
    """Something for power_quality.log. ``level``: info, warning or error. ``code`` is in the catalogue."""

    level: str
    code: str
    message: str
    fields: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    close: bool
    """Hold the breaker closed."""
    trip: Trip | None = None
    """Newly tripped in this step: latch it."""
    operation: Operation = Operation.CONTINUOUS
    """``MOMENTARY_CESSATION`` and ``CEASE``: zero power now, breaker closed."""
    blocks: Block = Block.NONE
    curtail_charge: float = 1.0
    curtail_discharge: float = 1.0
    service_fraction: float = 0.0
    """Of rated power, both directions: the ramp after entering service; 0 while out of service."""
    in_window: bool = False
    """The grid is inside the enter-service window."""
    enter_service_remaining_s: float = 0.0
    rocof_hz_s: float | None = None
    waiting_for: str = ""
    """While out of service: what the closing waits for, in words; empty in service."""
    events: tuple[GridEvent, ...] = ()
