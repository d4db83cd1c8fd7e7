"""Messages of the control socket about single devices: efficiency of inverters, control pilots."""

from __future__ import annotations

import msgspec

from v2g.control.messages import Params


class EfficiencyParams(Params, frozen=True, kw_only=True):
    """``evse_id`` None: of every inverter."""

    evse_id: str | None = None


class EfficiencyBand(msgspec.Struct, frozen=True, kw_only=True):
    """``direction``: charge or discharge; load from ``low_w`` to ``high_w`` at the AC terminals."""

    direction: str
    low_w: float
    high_w: float
    efficiency: float
    """0..1: AC to DC when charging, DC to AC when discharging."""
    readings: int


class EfficiencyLine(msgspec.Struct, frozen=True, kw_only=True):
    evse_id: str
    rated_w: float
    bands: tuple[EfficiencyBand, ...]
    problem: str = ""
    """Why there is nothing, or what cannot be."""


class EfficiencyResult(msgspec.Struct, frozen=True, kw_only=True):
    inverters: tuple[EfficiencyLine, ...]


class PilotCheckParams(Params, frozen=True, kw_only=True):
    """``evse_id`` None: of every EVSE."""

    evse_id: str | None = None


class PilotLine(msgspec.Struct, frozen=True, kw_only=True):
    """One EVSE. Measured values are None where its device measures none."""

    evse_id: str
    verdict: str
    """``pass``, ``fail``, ``not measured`` or ``unknown`` (no reading, or an old one)."""
    state: str = ""
    """A to F; empty: unknown."""
    age_s: float | None = None
    high_v: float | None = None
    low_v: float | None = None
    duty_pct: float | None = None
    expected_duty_pct: float | None = None
    frequency_hz: float | None = None
    proximity_a: float | None = None
    earth_ohm: float | None = None
    earth_ok: bool | None = None
    findings: tuple[str, ...] = ()
    """Each limit that is not kept, with what was measured and what is allowed; or why there is no verdict."""


class PilotCheckResult(msgspec.Struct, frozen=True, kw_only=True):
    evses: tuple[PilotLine, ...]
