"""``<run_dir>/quality.json``: the newest figures of ``v2g-guard quality``, for status and for the thermal model."""

from __future__ import annotations

from pathlib import Path

import msgspec

REPORT_FILE = "quality.json"
MAX_AGE_S = 5.0
"""Older figures are not the present ones."""

PerPhase = tuple[float, float, float]


class QualityReport(msgspec.Struct, frozen=True, kw_only=True):
    """One record whole, replaced once a second. Names and units are those of
    :class:`v2g.grid.metering.MeteringRecord`."""

    as_of_s: float
    """CLOCK_MONOTONIC at the centre of the ten cycles; 0 before the first."""
    not_measured: str = ""
    """Why there is nothing newer; empty while it measures."""
    v_pu: PerPhase = (0.0, 0.0, 0.0)
    frequency_hz: float | None = None
    thd_v_pct: PerPhase = (0.0, 0.0, 0.0)
    thd_i_pct: PerPhase = (0.0, 0.0, 0.0)
    trd_pct: PerPhase = (0.0, 0.0, 0.0)
    harmonics_v_pct: tuple[PerPhase, ...] = ()
    harmonics_i_pct: tuple[PerPhase, ...] = ()
    transformer_harmonics_a: tuple[PerPhase, ...] = ()
    unbalance_pct: float = 0.0
    dc_injection_pct: PerPhase = (0.0, 0.0, 0.0)
    pst: PerPhase | None = None
    """Of the last whole ten minutes."""
    plt: PerPhase | None = None
    highest_harmonic: int = 0
    sample_rate_hz: int = 0
    active: tuple[str, ...] = ()
    """Codes of the limits that are exceeded now; harmonics with their order: ``HARMONIC_HIGH 5``."""


def read_report(path: Path, now_s: float) -> QualityReport | None:
    """The report if there is one of the last :data:`MAX_AGE_S`, ``now_s`` being CLOCK_MONOTONIC."""
    try:
        report = msgspec.json.decode(path.read_bytes(), type=QualityReport)
    except (OSError, ValueError):
        return None
    return report if 0.0 <= now_s - report.as_of_s <= MAX_AGE_S else None
