"""The guard's decision of one tick: close or open, trip, ride through, curtail, and what discharge is refused for.

Pure: :class:`Inputs` in, :class:`Verdict` out, time as an argument. ``v2g-guard tick`` feeds it from the waveform buffer,
``v2g-tool replay`` from a file, the tests from synthesised waveforms: it is one and the same code.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from v2g.grid.estimation import Estimate
from v2g.grid.overcurrent import OvercurrentSettings
from v2g.grid.settings import GridSettings, Operation
from v2g.grid.trip import Trip


class Block(enum.IntFlag):
    """Why discharge is refused although the breaker may be closed. ``NEW_DISCHARGE`` refuses only a start."""

    NONE = 0
    NEW_DISCHARGE = 1
    """The frequency is outside the alarm window, or was within the last minute."""
    RELAY_SETTING = 2
    """The hardware relay is set above 110 %, or not stated."""
    RELAY_FEEDBACK = 4
    """The relay's feedback is missing, or says what it cannot."""
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
    phase_limit_deg: float | None = None
    """None: the synchronisation limit."""
    phase_cycles: int = 6
    phase_offset_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Calibrated: what the transducers' own phase error is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What one tick knows. ``estimate`` None: there is no measurement."""

    estimate: Estimate | None
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


class Protection:
    """All functions of the guard. One call a tick, in service or not.

    ``draw`` returns a number of [0, 1): the randomised enter-service delay. Raises
    :class:`~v2g.grid.settings.SettingsError` when the breaker is too slow for an element.

    Elements besides the profile's table: ``LOM`` (loss-of-mains input), ``50``/``51`` over-current, ``Phase Mismatch``.
    What is not a trip and does not latch: no measurement, permit service off, the relay open; the breaker opens and
    enter service starts over.
    """

    def __init__(self, settings: ProtectionSettings, draw: Callable[[], float]) -> None:
        raise NotImplementedError

    def step(self, now_s: float, inputs: Inputs) -> Verdict:
        raise NotImplementedError

    def adopt(self, settings: ProtectionSettings) -> None:
        """New settings from now on: in service stays in service, every timer starts anew. Raises SettingsError and
        then keeps the old ones."""
        raise NotImplementedError
