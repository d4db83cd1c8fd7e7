"""What the site asks for one vehicle."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """What the site asks for one vehicle. Percentages of its battery.

    ``min_soc_from``: whose value ``min_soc_pct`` is, for people: ``EVSE US*V2G*E1``; empty: not told.
    """

    min_soc_pct: float
    max_soc_pct: float = 100.0
    assumed_capacity_wh: float = 50_000.0
    assumed_stay_s: float = 8 * 3600.0
    min_soc_from: str = ""
