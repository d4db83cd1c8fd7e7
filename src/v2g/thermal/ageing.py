"""Relative ageing of paper insulation after IEC 60076-7: 1.0 is one day of life a day."""

from __future__ import annotations

from math import exp, inf, log, log2
from typing import Final

_UPGRADED_K: Final = 15000.0
_UPGRADED_AT_1: Final = _UPGRADED_K / 383.0


def relative_ageing_rate(hot_spot_c: float, *, upgraded_paper: bool) -> float:
    """V at a hot-spot temperature in °C: 1.0 at 98 °C for kraft paper, at 110 °C for thermally upgraded paper.

    For -200..1000 °C; whether a temperature can be is the caller's affair (:mod:`v2g.thermal.account` caps it).

    >>> round(relative_ageing_rate(104.0, upgraded_paper=False), 6)
    2.0
    >>> round(relative_ageing_rate(110.0, upgraded_paper=True), 6)
    1.0
    """
    if upgraded_paper:
        return exp(_UPGRADED_AT_1 - _UPGRADED_K / (hot_spot_c + 273.0))
    return float(2.0 ** ((hot_spot_c - 98.0) / 6.0))


def hot_spot_at_rate(v: float, *, upgraded_paper: bool) -> float:
    """The hot-spot temperature in °C at which paper ages at ``v``; the inverse of :func:`relative_ageing_rate`.

    Infinite where upgraded paper never ages so fast. Raises ValueError for a rate that is not above zero.

    >>> round(hot_spot_at_rate(2.0, upgraded_paper=False), 6)
    104.0
    """
    if not v > 0.0:
        raise ValueError(f"a relative ageing rate of {v:g} has no temperature: give one above zero")
    if not upgraded_paper:
        return 98.0 + 6.0 * log2(v)
    slower = _UPGRADED_AT_1 - log(v)
    return _UPGRADED_K / slower - 273.0 if slower > 0.0 else inf
