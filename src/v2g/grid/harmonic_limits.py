"""The limits of harmonic currents in IEEE 1547-2018 7.3."""

from __future__ import annotations

_ODD_LIMITS_PCT = ((11, 4.0), (17, 2.0), (23, 1.5), (35, 0.6), (51, 0.3))
"""Below this order: per cent of rated current."""
_EVEN_LIMITS_PCT = {2: 1.0, 4: 2.0, 6: 3.0}


def current_limit_pct(order: int) -> float:
    """The limit of one harmonic current in per cent of rated current (IEEE 1547-2018 7.3), orders 2 to 50."""
    if order in _EVEN_LIMITS_PCT:
        return _EVEN_LIMITS_PCT[order]
    for below, limit in _ODD_LIMITS_PCT:
        if order < below:
            return limit
    raise ValueError(f"harmonic {order}: there are limits up to the 50th")
