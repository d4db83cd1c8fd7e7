"""Life used: today's and the lifetime's loss of life of both papers, and an optional daily budget. Pure."""

from __future__ import annotations

from math import isfinite
from typing import Final

import msgspec

from v2g.thermal.ageing import hot_spot_at_rate, relative_ageing_rate

HOTTEST_COUNTED_C: Final = 200.0
"""Hotter counts as this. At it paper is gone within the hour or the day, and the ageing equations end long before."""
COLDEST_COUNTED_C: Final = -100.0
LOWEST_LIMIT_C: Final = 40.0
LONGEST_STEP_S: Final = 3600.0
_DAY_S: Final = 86_400.0
_SHORTEST_REST_S: Final = 60.0
_HANDED_OVER_S: Final = 7_200.0
"""Longer than a winding takes to cool from one day's limit to the next one's, and most of what the oil takes."""


class AgeingTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Loss of life in hours at rated ageing (V = 1), after IEC 60076-7; what survives restarts.

    Raises ValueError (decoding: ``msgspec.ValidationError``) for hours below zero or not finite.
    """

    day: int
    """Ordinal of the local day that ``today_h`` belongs to."""
    today_h: float = 0.0
    yesterday_h: float = 0.0
    total_h: float = 0.0
    counted_h: float = 0.0
    """Hours over which ``total_h`` was counted: what the controller has not seen, it does not know."""

    def __post_init__(self) -> None:
        for name in ("today_h", "yesterday_h", "total_h", "counted_h"):
            value = getattr(self, name)
            if not (isfinite(value) and value >= 0.0):
                raise ValueError(f"ageing total {name} = {value:g} is none: give hours, 0 or more")


class AgeingAccount:
    """Counts; :meth:`step` with the hot-spot of every step."""

    def __init__(
        self, *, upgraded_paper: bool, budget_h_per_day: float | None, totals: AgeingTotals | None = None
    ) -> None:
        self._upgraded_paper = upgraded_paper
        self._budget_h = budget_h_per_day
        self._day = None if totals is None else totals.day
        self._today_h = 0.0 if totals is None else totals.today_h
        self._yesterday_h = 0.0 if totals is None else totals.yesterday_h
        self._total_h = 0.0 if totals is None else totals.total_h
        self._counted_h = 0.0 if totals is None else totals.counted_h
        self._day_lasted_s = 0.0
        self._note = ""

    def step(self, hot_spot_c: float, dt_s: float, day: int) -> float:
        """Adds V·dt; returns V. A day earlier than the present one (a clock set back) goes on with the present, for
        24 h at most: a clock that was far ahead must not hold a spent budget for years.

        A hot-spot outside of what can be counts as the nearest that can (:attr:`note`); one that is no number counts
        for nothing and gives V = 0. ``dt_s`` below zero counts for nothing, above an hour as an hour.
        """
        counted_s = min(max(dt_s, 0.0), LONGEST_STEP_S) if isfinite(dt_s) else 0.0
        self._follow_day(day, counted_s)
        if hot_spot_c != hot_spot_c:
            self._note = "hot-spot is not a number: ageing is not counted meanwhile"
            return 0.0
        counted_c = min(max(hot_spot_c, COLDEST_COUNTED_C), HOTTEST_COUNTED_C)
        self._note = (
            ""
            if counted_c == hot_spot_c
            else f"hot-spot of {hot_spot_c:.0f} °C is beyond the ageing equations: counted as {counted_c:.0f} °C; "
            "check the temperature transducers"
        )
        v = relative_ageing_rate(counted_c, upgraded_paper=self._upgraded_paper)
        lost_h = v * counted_s / 3600.0
        self._today_h += lost_h
        self._total_h += lost_h
        self._counted_h += counted_s / 3600.0
        return v

    def _follow_day(self, day: int, counted_s: float) -> None:
        if self._day is None:
            self._day = day
        if day > self._day or (day < self._day and self._day_lasted_s >= _DAY_S):
            self._yesterday_h = self._today_h if day in (self._day + 1, self._day - 1) else 0.0
            self._today_h = 0.0
            self._day = day
            self._day_lasted_s = 0.0
        self._day_lasted_s += counted_s

    @property
    def totals(self) -> AgeingTotals:
        """Day 0 before the first step of an account that was begun without totals."""
        return AgeingTotals(
            day=self._day or 0,
            today_h=self._today_h,
            yesterday_h=self._yesterday_h,
            total_h=self._total_h,
            counted_h=self._counted_h,
        )

    @property
    def note(self) -> str:
        """What was not counted as it came in the last step, and the remedy; empty mostly."""
        return self._note

    def hot_spot_limit_c(self, left_of_day_s: float) -> float | None:
        """The hot-spot at which the rest of today's budget lasts exactly for the rest of the day; None without budget.

        Within the day's last two hours, that at which it lasts, with tomorrow's share of them, for two hours from now,
        if that is less: spent to the last, a rest would heat the oil beyond what tomorrow's limit then permits.

        Never below 40 °C nor above :data:`HOTTEST_COUNTED_C`. Spent already, or a rest that is no number: 40 °C.
        """
        if self._budget_h is None:
            return None
        left_h = self._budget_h - self._today_h
        if not (left_h > 0.0 and isfinite(left_of_day_s)):
            return LOWEST_LIMIT_C
        v = left_h * 3600.0 / max(left_of_day_s, _SHORTEST_REST_S)
        tomorrow_s = _HANDED_OVER_S - left_of_day_s
        if tomorrow_s > 0.0:
            v = min(v, (left_h + self._budget_h * tomorrow_s / _DAY_S) * 3600.0 / _HANDED_OVER_S)
        return min(max(hot_spot_at_rate(v, upgraded_paper=self._upgraded_paper), LOWEST_LIMIT_C), HOTTEST_COUNTED_C)
