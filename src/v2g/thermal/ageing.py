"""Relative ageing of paper insulation after IEC 60076-7: 1.0 is one day of life a day."""

from __future__ import annotations

from math import exp


def relative_ageing_rate(hot_spot_c: float, *, upgraded_paper: bool) -> float:
    """V at a hot-spot temperature in °C: 1.0 at 98 °C for kraft paper, at 110 °C for thermally upgraded paper.

    >>> round(relative_ageing_rate(104.0, upgraded_paper=False), 6)
    2.0
    >>> round(relative_ageing_rate(110.0, upgraded_paper=True), 6)
    1.0
    """
    if upgraded_paper:
        return exp(15000.0 / 383.0 - 15000.0 / (hot_spot_c + 273.0))
    return float(2.0 ** ((hot_spot_c - 98.0) / 6.0))
