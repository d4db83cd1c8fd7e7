"""What raises the load losses above those of the nameplate: harmonics, a hot winding, another tap. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Final

from v2g.thermal.parameters import ParameterError

SERVICE_AMBIENT_C: Final = 40.0
"""Highest ambient of the usual service conditions (IEC 60076-1, IEEE C57.12.00 4.1.2.1)."""
_COPPER_C: Final = 235.0 + 75.0


def harmonic_loss_factor(harmonics_a: Sequence[float]) -> float:
    """F_HL of IEEE C57.110: Σ I_h²·h² / Σ I_h², >= 1. ``harmonics_a``: RMS currents in A, the first is the fundamental.

    1.0 where there is no current. Raises ValueError for a current that is
    negative or not finite.

    >>> round(harmonic_loss_factor([1.0, 0.0, 0.0, 0.0, 0.2]), 4)
    1.9231
    """
    if any(not (isfinite(i) and i >= 0.0) for i in harmonics_a):
        raise ValueError("a harmonic current is negative or not a number: F_HL takes RMS values in A")
    total = sum(i * i for i in harmonics_a)
    if total <= 0.0:
        return 1.0
    return max(1.0, sum(i * i * h * h for h, i in enumerate(harmonics_a, 1)) / total)


def harmonic_load_factor(f_hl: float, eddy_share: float) -> float:
    """By how much load losses grow against a sinusoidal current of the same RMS: (1 + F_HL·e) / (1 + e), >= 1.

    ``eddy_share``: P_EC-R, eddy losses over I²R losses at rated current, 0..1 (IEEE C57.110; at the hot-spot it is
    larger than on average). It multiplies K² in oil rise and in winding gradient alike. Stray losses outside of the
    windings grow less with frequency (h^0.8); counted into the share they are on the safe side. Raises
    ValueError outside of F_HL 1..2500 and share 0..1.
    """
    if not 1.0 <= f_hl <= 2500.0:
        raise ValueError(
            f"harmonic loss factor F_HL = {f_hl} is outside 1..2500: a ratio of losses, 1 for a sinusoidal current"
        )
    if not 0.0 <= eddy_share <= 1.0:
        raise ValueError(
            f"eddy share P_EC-R = {eddy_share} is outside 0..1: per unit of I²R losses, not %, usually 0.05..0.15"
        )
    return (1.0 + f_hl * eddy_share) / (1.0 + eddy_share)


def hot_ambient_factor(ambient_c: float) -> float:
    """Above the 40 °C that the standard's service conditions end at, load losses grow as copper does: >= 1.

    1 + (θa − 40)/(235 + 75): IEC 60076-1's temperature coefficient of copper at the 75 °C to which losses are
    referred. The equations of IEC 60076-7 hold losses constant, which is optimistic beyond their range. Raises
    ValueError unless the ambient is finite: a maximum with NaN would say that all is well.
    """
    if not isfinite(ambient_c):
        raise ValueError(f"ambient temperature of {ambient_c} °C is not a number: use the fallback ambient")
    return 1.0 + max(0.0, ambient_c - SERVICE_AMBIENT_C) / _COPPER_C


def loss_ratio_at_tap(tap: int, *, principal: int, r: float, end: int, r_at_end: float) -> float:
    """R at ``tap``, linear between the principal tap and the end of the range on its side (IEC 60076-7, tap position).

    Raises :class:`v2g.thermal.parameters.ParameterError` for a tap outside of the range, or a range of one tap.
    """
    span, at = end - principal, tap - principal
    if span == 0:
        raise ParameterError(
            f"tap range from {principal} to {end} has one tap: name the end of the range on the side of the present tap"
        )
    share = at / span
    if not 0.0 <= share <= 1.0:
        raise ParameterError(
            f"tap {tap} is not between the principal tap {principal} and the end {end}: name the end of the range on "
            "the side of the present tap, with the loss ratio there"
        )
    return r + share * (r_at_end - r)
