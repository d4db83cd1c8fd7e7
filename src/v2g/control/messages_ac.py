"""What the status tells of an AC EVSE beside what it tells of every EVSE, and of an inverter in a vehicle."""

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


class DerLine(msgspec.Struct, frozen=True, kw_only=True):
    """What the inverter of a vehicle under AC_DER_SAE or AC_DER_IEC says of itself, and what it was told.

    None: its protocol does not carry it, or it has not said it yet.
    """

    inverter: str
    """Maker and model by its own word; empty: not told."""
    certified: bool | None
    """To SAE J3072, by its own word."""
    in_service: bool | None
    connected: bool | None
    """Its own switch to the grid is closed."""
    alarms: str
    """In words; empty: none."""
    grid_event: bool
    """Something of the grid holds it back."""
    not_enabled: tuple[str, ...]
    """Functions of the grid code that it does not carry out."""
    code_sent: bool
    """It was handed the site's grid code."""
    left_out: tuple[str, ...]
    """Of the code, what its protocol has no words for."""
    waits: tuple[str, ...]
    """Of the code, what it hears of with its next session."""
