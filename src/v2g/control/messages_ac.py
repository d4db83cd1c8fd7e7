"""What the status tells of an AC EVSE beside what it tells of every EVSE."""

from __future__ import annotations

import msgspec


class AcLine(msgspec.Struct, frozen=True, kw_only=True):
    """By its last fresh reading; of a single-phase EVSE the first phase counts. None: not measured, or no number."""

    voltage_v: tuple[float | None, float | None, float | None]
    """Line to neutral, L1 to L3."""
    current_a: tuple[float | None, float | None, float | None]
    """RMS."""
    phases: int
    rotation: str
    """Phases of the bus at L1, L2, L3."""
    pilot: str
    """``A`` to ``F``; empty: unknown."""
    pilot_duty_pct: float | None = None
    cable_a: float | None = None
    """Rating of the cable by its proximity resistor."""
    earth_ok: bool | None = None
    charged_energy_wh: float | None = None
    discharged_energy_wh: float | None = None
