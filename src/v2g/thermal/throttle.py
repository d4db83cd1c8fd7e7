"""The permitted interval as it is handed out: narrower at once, wider slowly, and never to and fro. Pure.

The interval of :mod:`v2g.thermal.headroom` moves with every measurement. Handed out as it is, dispatch would follow its
noise, and at the edge it would oscillate. So an end that narrows is followed at once, an end that widens only once it
has been wider by ``hysteresis_w`` for ``hold_s``, and then no faster than ``release_w_s`` and no further than half the
hysteresis below what it has been all that time: released to the brim, the next noise would narrow it again. What
relieves a transformer (discharge up to the power of least |K| while the base load is what overloads it) is not held
back, but for the noise of the base load that it goes by: what is missing by two hystereses is given once it has lasted
``hold_s``, what is missing by four at once, however often.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Final

from v2g.thermal.headroom import PermittedInterval
from v2g.thermal.limits import HELD, UNKNOWN

TURNS_PER_H: Final = 4
"""An end changes its direction at most so often within any hour: one that was narrowed begins to widen again only where
the narrowing that may follow still fits."""
MOST_COUNTED_S: Final = 60.0
"""Of one update: a clock that jumps ahead has watched nothing meanwhile."""
_LASTING_RELIEF: Final = 2.0
_RELIEF_BAND: Final = 4.0
"""Hystereses by which relief may be short of what it could be."""
_HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleSettings:
    """Raises ValueError for a setting below zero or not finite; ``release_w_s`` must be above."""

    hysteresis_w: float
    hold_s: float = 120.0
    """Longer than a motor takes to start and a kettle to boil, short beside the hours of the oil."""
    release_w_s: float
    """Widening, W a second of the caller's clock."""

    def __post_init__(self) -> None:
        for name in ("hysteresis_w", "hold_s", "release_w_s"):
            value = getattr(self, name)
            if not (isfinite(value) and value >= 0.0) or (name == "release_w_s" and value == 0.0):
                raise ValueError(f"throttle {name} = {value:g}: give a value above zero")

    @classmethod
    def of_rating(cls, rated_va: float) -> ThrottleSettings:
        """2 % of the rating, which is more than the noise of a measured load; the full rating in ten minutes, so that
        the winding (minutes) has answered to what was released before the horizon's end."""
        return cls(hysteresis_w=0.02 * rated_va, release_w_s=rated_va / 600.0)


class Throttle:
    """One transformer's. Starts with the first interval it is given."""

    def __init__(self, settings: ThrottleSettings) -> None:
        self._settings = settings
        self._lo: _End | None = None
        self._hi: _End | None = None
        self._seen_s = 0.0
        self._watched_s = 0.0

    def update(self, raw: PermittedInterval, relief_w: float, now_s: float) -> PermittedInterval:
        """``relief_w``: V2G power (signed) that leads to the least |K| of the present base load; ends that lie between
        0 and it are held back by the band of relief at most while ``raw.base_source`` is set. The result is never
        wider than ``raw``; where it is narrower its source says ``<source>, held``. Unknown (``raw`` 0..0 by UNKNOWN)
        is followed at once; after it the throttle starts anew with the first known interval.

        A clock that steps back releases nothing for that step; one that jumps ahead counts for
        :data:`MOST_COUNTED_S`. An interval that does not contain 0 or is no number gives 0..0, unknown.
        """
        if raw.base_source == UNKNOWN:
            self._lo = self._hi = None
            return raw
        if not raw.lo_w <= 0.0 <= raw.hi_w:
            self._lo = self._hi = None
            return replace(
                raw, lo_w=0.0, hi_w=0.0, lo_source=UNKNOWN, hi_source=UNKNOWN, feasible=False, base_source=UNKNOWN
            )
        elapsed_s = now_s - self._seen_s
        if isfinite(now_s):
            self._seen_s = now_s
        if self._lo is None or self._hi is None:
            self._lo = _End(self._settings, -raw.lo_w)
            self._hi = _End(self._settings, raw.hi_w)
            return raw
        counted_s = min(elapsed_s, MOST_COUNTED_S) if elapsed_s > 0.0 else 0.0
        self._watched_s += counted_s
        relief = relief_w if raw.base_source is not None and isfinite(relief_w) else 0.0
        lo_w = -self._lo.update(-raw.lo_w, max(0.0, -relief), self._watched_s, counted_s)
        hi_w = self._hi.update(raw.hi_w, max(0.0, relief), self._watched_s, counted_s)
        if lo_w <= raw.lo_w and hi_w >= raw.hi_w:
            return raw
        return replace(
            raw,
            lo_w=lo_w,
            hi_w=hi_w,
            lo_source=raw.lo_source + HELD if lo_w > raw.lo_w else raw.lo_source,
            hi_source=raw.hi_source + HELD if hi_w < raw.hi_w else raw.hi_source,
        )


class _End:
    """One end, as a magnitude. Times are the throttle's own, which only ever go on."""

    __slots__ = ("_lowest", "_out_w", "_releasing", "_settings", "_turned_s", "_widened")

    def __init__(self, settings: ThrottleSettings, raw_w: float) -> None:
        self._settings = settings
        self._out_w = raw_w
        self._lowest: deque[tuple[float, float]] = deque(((inf, raw_w),))
        """Ascending; each with when the next value took over from it."""
        self._widened: bool | None = None
        self._releasing = False
        self._turned_s: deque[float] = deque((-inf,) * (TURNS_PER_H - 1), maxlen=TURNS_PER_H - 1)

    def update(self, raw_w: float, relief_w: float, at_s: float, counted_s: float) -> float:
        floor_w = self._floor(raw_w, at_s)
        if raw_w < self._out_w:
            self._out_w = raw_w
            self._turn(False, at_s)
            self._releasing = False
        elif self._releasing or self._may_begin(floor_w, at_s):
            step_w = self._settings.release_w_s * counted_s
            goal_w = floor_w - 0.5 * self._settings.hysteresis_w
            self._out_w = max(self._out_w, min(self._out_w + step_w, goal_w))
            self._releasing = self._out_w < goal_w
        relief_w = min(raw_w, relief_w)
        if relief_w - self._out_w > _RELIEF_BAND * self._settings.hysteresis_w:
            self._out_w = relief_w
        elif min(relief_w, floor_w) - self._out_w >= _LASTING_RELIEF * self._settings.hysteresis_w:
            self._out_w = min(relief_w, floor_w)
        return self._out_w

    def _may_begin(self, floor_w: float, at_s: float) -> bool:
        if floor_w - self._out_w < self._settings.hysteresis_w or floor_w <= self._out_w:
            return False
        if self._widened is False and at_s - self._turned_s[0] < _HOUR_S:
            return False
        self._turn(True, at_s)
        self._releasing = True
        return True

    def _turn(self, widens: bool, at_s: float) -> None:
        if self._widened is (not widens):
            self._turned_s.append(at_s)
        self._widened = widens

    def _floor(self, raw_w: float, at_s: float) -> float:
        """The lowest of the last ``hold_s``, and of the value that was in force when they began."""
        lowest = self._lowest
        lowest[-1] = (at_s, lowest[-1][1])
        while lowest and lowest[-1][1] >= raw_w:
            lowest.pop()
        lowest.append((inf, raw_w))
        since_s = at_s - self._settings.hold_s
        while lowest[0][0] <= since_s:
            lowest.popleft()
        return lowest[0][1]
