"""Parameters and results of ``harmonics.show`` (viewer) and ``harmonic_filter.set`` (engineer).

THD, thresholds and the like are shares (0.03 is 3 %) where the name has no ``pct``.
"""

from __future__ import annotations

import msgspec

from v2g.control.messages import Params

PerPhase = tuple[float, float, float]


class HarmonicFilterParams(Params, frozen=True, kw_only=True):
    threshold: float | None = None
    """THD of the V2G feeder's current above which filters are moved; None lifts it."""
    evse_id: str | None = None
    """Only the inverter of this EVSE; None: all that have a filter."""


class FilterLine(msgspec.Struct, frozen=True, kw_only=True):
    """The harmonic filter of one inverter. None: unknown."""

    evse_id: str
    threshold: float | None
    """None: not set."""
    value: float | None
    unit: str = ""
    """``Hz`` for a carrier frequency, empty for a vendor's level."""
    active: bool = False
    """It is away from its normal setting."""
    thd_before: float | None = None
    """When its last movement began."""
    limited_by: str = ""


class HarmonicFilterResult(msgspec.Struct, frozen=True, kw_only=True):
    changed: bool
    """False: everything was so already, and nothing was written."""
    file: str
    thd_now: float | None
    """Of the feeder's current; None: see ``not_measured``."""
    not_measured: str
    filters: tuple[FilterLine, ...]
    remarks: tuple[str, ...] = ()


class HarmonicsResult(msgspec.Struct, frozen=True, kw_only=True):
    """The newest ten cycles. Index 0 of a spectrum is the 2nd harmonic; empty spectra: not measured."""

    not_measured: str
    """Why there are no present figures; empty while there are."""
    thd_now: float | None
    """Of the feeder's current, the worst phase that carries enough; None: too little current flows, or no figures."""
    age_s: float | None = None
    frequency_hz: float | None = None
    highest_harmonic: int = 0
    sample_rate_hz: int = 0
    thd_v_pct: PerPhase = (0.0, 0.0, 0.0)
    thd_v_limit_pct: float = 0.0
    thd_i_pct: PerPhase = (0.0, 0.0, 0.0)
    """Of the fundamental."""
    trd_pct: PerPhase = (0.0, 0.0, 0.0)
    """Of the feeder's rated current."""
    trd_limit_pct: float = 0.0
    harmonics_v_pct: tuple[PerPhase, ...] = ()
    """Of the fundamental."""
    harmonics_i_pct: tuple[PerPhase, ...] = ()
    """Of the feeder's rated current."""
    limits_i_pct: tuple[float, ...] = ()
    """IEEE 1547-2018 7.3, by order as the spectra."""
    active: tuple[str, ...] = ()
    """Limits that are exceeded now, by code."""
    filters: tuple[FilterLine, ...] = ()
