"""The one form of a limit: an interval of power, with the source that set it and the time until which it holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bound:
    """``lo_w <= P <= hi_w`` until ``expires_at_s`` (monotonic). Positive charges, negative discharges.

    ``source`` names who set it, as operators read it: ``vehicle``, ``inverter rating``, ``min-SoC``, ``thermal`` ...
    """

    lo_w: float
    hi_w: float
    source: str
    expires_at_s: float

    def __post_init__(self) -> None:
        if not self.lo_w <= self.hi_w:
            raise ValueError(f"bound of {self.source!r} is empty: {self.lo_w:g}..{self.hi_w:g} W")


@dataclass(frozen=True, slots=True)
class Intersection:
    """What all bounds together allow, and which of them set each end.

    Fail closed: an expired bound, no bound at all, or bounds that contradict each other give 0..0 with the reason.
    """

    lo_w: float
    hi_w: float
    lo_source: str
    hi_source: str


def intersect(bounds: Iterable[Bound], now_s: float) -> Intersection:
    """Intersect bounds at ``now_s``. An expired bound means zero power with source ``"<source> expired"``.

    An empty intersection means zero power with source ``"contradiction: <a> / <b>"``.
    """
    lo: Bound | None = None
    hi: Bound | None = None
    for bound in bounds:
        if not now_s < bound.expires_at_s:  # also when either is no number
            return Intersection(0.0, 0.0, f"{bound.source} expired", f"{bound.source} expired")
        if lo is None or bound.lo_w > lo.lo_w:
            lo = bound
        if hi is None or bound.hi_w < hi.hi_w:
            hi = bound
    if lo is None or hi is None:
        return Intersection(0.0, 0.0, "no limit known", "no limit known")
    if lo.lo_w > hi.hi_w:
        reason = f"contradiction: {lo.source} / {hi.source}"
        return Intersection(0.0, 0.0, reason, reason)
    return Intersection(lo.lo_w, hi.hi_w, lo.source, hi.source)
