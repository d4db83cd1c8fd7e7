"""Bounds of the whole site as the allocation takes them, from plain values."""

from __future__ import annotations

from math import inf, isfinite

from v2g.dispatch.codes import GUARD
from v2g.dispatch.constraints import Bound


def permit_bounds(granted: bool, reason: str, expires_at_s: float) -> tuple[Bound, ...]:
    """The guard's permit. Not granted: 0 W with source ``no permit: <reason>``; granted: no bound of its own.

    A granted permit also ends at ``expires_at_s``: after that it reads ``guard permit expired``. Give it first among
    the site's bounds, so that it is the one that is named where several give 0 W.
    """
    if not granted:
        return (Bound(0.0, 0.0, f"no permit: {reason}", inf),)
    return (Bound(-inf, inf, "guard permit", expires_at_s),)


def interval_bounds(
    lo_w: float, hi_w: float, lo_source: str, hi_source: str, expires_at_s: float
) -> tuple[Bound, Bound]:
    """An interval whose two ends have sources of their own, such as the thermal one. W, positive charges."""
    return (Bound(lo_w, inf, lo_source, expires_at_s), Bound(-inf, hi_w, hi_source, expires_at_s))


def refuse_discharge(reason: str, expires_at_s: float) -> Bound:
    """The guard refuses discharge, and only that."""
    return Bound(0.0, inf, f"{GUARD}: {reason}", expires_at_s)


def share_bounds(
    charge: float, discharge: float, rated_charge_w: float, rated_discharge_w: float, reason: str, expires_at_s: float
) -> tuple[Bound, ...]:
    """The guard leaves 0..1 of the rated power (magnitudes in W) in each direction; no bound where it leaves all."""
    if charge >= 1.0 and discharge >= 1.0:
        return ()
    lo_w, hi_w = -_part(discharge, rated_discharge_w), _part(charge, rated_charge_w)
    return (Bound(lo_w, hi_w, f"{GUARD}: {reason}", expires_at_s),)


def _part(share: float, rated_w: float) -> float:
    if not isfinite(share):
        return 0.0
    return inf if share >= 1.0 else max(0.0, share) * rated_w
