"""Life used: today's and the lifetime's loss of life of both papers, and an optional daily budget. Pure."""

from __future__ import annotations

import msgspec


class AgeingTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Loss of life in hours at rated ageing (V = 1), after IEC 60076-7; what survives restarts."""

    day: int
    """Ordinal of the local day that ``today_h`` belongs to."""
    today_h: float = 0.0
    yesterday_h: float = 0.0
    total_h: float = 0.0
    counted_h: float = 0.0
    """Hours over which ``total_h`` was counted: what the controller has not seen, it does not know."""


class AgeingAccount:
    """Counts; :meth:`step` with the hot-spot of every step."""

    def __init__(
        self, *, upgraded_paper: bool, budget_h_per_day: float | None, totals: AgeingTotals | None = None
    ) -> None:
        raise NotImplementedError

    def step(self, hot_spot_c: float, dt_s: float, day: int) -> float:
        """Adds V·dt; returns V. A day earlier than the present one (a clock set back) goes on with the present."""
        raise NotImplementedError

    @property
    def totals(self) -> AgeingTotals:
        raise NotImplementedError

    def hot_spot_limit_c(self, left_of_day_s: float) -> float | None:
        """The hot-spot at which the rest of today's budget lasts exactly for the rest of the day; None without budget.

        Never below 40 °C. Spent already: 40 °C.
        """
        raise NotImplementedError
