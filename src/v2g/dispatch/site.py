"""Bounds of the whole site as the allocation takes them, from plain values."""

from __future__ import annotations

from math import inf

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
