"""Whether a reading can be what it says. Pure.

A meter that tells kW as W, or W as kW, is found by its own history of a day: readings about a thousand times smaller or
larger than its median, or far outside all that it told while their thousandfold, or thousandth, is well within. The
finding stands until readings come back near the median. A load that really switches so far is known after three such
means of a minute, or 5 % of the day if that is more; and what nobody corrects for a day is history itself.
"""

from __future__ import annotations

import enum
from array import array
from bisect import bisect_left, insort
from collections.abc import Mapping

from v2g.utility.meter_view import Phases

MINUTE_S = 60.0
DAY_MIN = 1440
RATIO_LO, RATIO_HI = 700.0, 1400.0
"""Around 1000: what a slip between W and kW looks like beside a load that varies."""
RELEASE = 30.0
"""A slip that was found stands until the ratio to the median is below this."""
FLOOR_W = 100.0
"""A median below this is a customer that draws nothing: any appliance is a thousand times as much."""
_BEYOND = 1.4
"""A day may go so far beyond the one before."""
LEAST_MEANS = 8
"""Means of a minute that the median rests on, at least."""
BEYOND_RATED = 2.0
"""A connection's fuses carry twice its rating for minutes at most."""
CONTRADICTED_SHARE, CONTRADICTED_W, CONTRADICTED_S = 0.15, 5_000.0, 60.0
"""So far, and so long, the sum of all meters may be from what the transformer measures."""
EXPLAINED_W = 500.0
"""What may be left of a contradiction by a slip that explains it, where 15 % are less."""


class Slip(enum.StrEnum):
    KW_AS_W = "looks like kW told as W"
    W_AS_KW = "looks like W told as kW"


class DayHistory:
    """Means of a minute of the last 24 h, by bus phase, oldest first; minutes without a reading are left out.

    Readings come in the order of their time. About 20 bytes a minute.
    """

    def __init__(self) -> None:
        self._minutes = array("q")
        self._means = (array("f"), array("f"), array("f"))
        self._open: int | None = None
        self._sums = [0.0, 0.0, 0.0]
        self._count = 0
        self._sorted: list[float] = []

    def add(self, at_unix_s: float, power_w: Phases) -> None:
        minute = int(at_unix_s // MINUTE_S)
        if self._open is not None and minute != self._open:
            self._close()
        self._open = minute
        for phase, value in enumerate(power_w):
            self._sums[phase] += value
        self._count += 1

    def means(self) -> tuple[tuple[int, Phases], ...]:
        """Minute (Unix time / 60) and mean in W, the one under way included."""
        closed = tuple(zip(self._minutes, zip(*self._means, strict=True), strict=True))
        if self._open is None:
            return closed
        return (*closed, (self._open, self._mean()))

    def median_w(self) -> float | None:
        """Of the magnitudes of all closed minutes; None while there are fewer than eight."""
        # Of a list in order: sorting it again, as the statistics module does, costs as much as all the rest.
        rows = len(self._sorted)
        if rows < LEAST_MEANS:
            return None
        return (self._sorted[(rows - 1) // 2] + self._sorted[rows // 2]) / 2.0

    def knows(self, told_w: float) -> bool:
        """Magnitudes within a factor of three have been usual."""
        low, high = bisect_left(self._sorted, told_w / 3.0), bisect_left(self._sorted, told_w * 3.0)
        return high - low >= max(3, 0.05 * len(self._sorted))

    def only_scaled(self, told_w: float, factor: float) -> bool:
        """Far outside the magnitudes of the day, while ``factor`` times as much is among them."""
        lowest_w, highest_w = self._sorted[0], self._sorted[-1]
        outside = told_w < lowest_w / RELEASE if factor > 1.0 else told_w > highest_w * RELEASE
        return outside and lowest_w / _BEYOND <= told_w * factor <= highest_w * _BEYOND

    def _mean(self) -> Phases:
        a, b, c = (total / self._count for total in self._sums)
        return a, b, c

    def _close(self) -> None:
        assert self._open is not None  # noqa: S101 - only what is open is closed
        self._minutes.append(self._open)
        for column, mean in zip(self._means, self._mean(), strict=True):
            column.append(mean)
        self._sums, self._count = [0.0, 0.0, 0.0], 0
        insort(self._sorted, self._magnitude(-1))
        gone = bisect_left(self._minutes, self._open - DAY_MIN + 1)
        for row in range(gone):
            del self._sorted[bisect_left(self._sorted, self._magnitude(row))]
        del self._minutes[:gone]
        for column in self._means:
            del column[:gone]

    def _magnitude(self, row: int) -> float:
        a, b, c = self._means
        return gross_w((a[row], b[row], c[row]))


def gross_w(power_w: Phases) -> float:
    """Sum of the magnitudes: generation in one phase does not hide consumption in another."""
    return sum(map(abs, power_w))


def slip_by_history(power_w: Phases, history: DayHistory, standing: Slip | None) -> Slip | None:
    """``standing``: what was found before."""
    usual_w, told_w = history.median_w(), gross_w(power_w)
    if usual_w is None or usual_w < FLOOR_W or told_w == 0.0:
        return None
    ratio = told_w / usual_w
    if standing is Slip.KW_AS_W and ratio < 1.0 / RELEASE:
        return standing
    if standing is Slip.W_AS_KW and ratio > RELEASE:
        return standing
    if history.knows(told_w):
        return None
    if RATIO_LO <= ratio <= RATIO_HI or history.only_scaled(told_w, 1e-3):
        return Slip.W_AS_KW
    if RATIO_LO <= 1.0 / ratio <= RATIO_HI or history.only_scaled(told_w, 1e3):
        return Slip.KW_AS_W
    return None


def beyond_rating(power_w: Phases, rated_w: float) -> Slip | str:
    """Empty where the connection can carry it. A slip where a thousandth is what it may carry, else words."""
    ratio = gross_w(power_w) / rated_w
    if ratio <= BEYOND_RATED:
        return ""
    return Slip.W_AS_KW if RELEASE <= ratio <= RATIO_HI else "is more than the connection can carry"


class SumWatch:
    """All meters against the base load that the transformer itself measures.

    A contradiction is told when it has lasted. The meter whose value alone explains it, were it a slip of units, is
    named; or all of them, where all are.
    """

    def __init__(self) -> None:
        self._since_s: float | None = None
        self.lasts = False
        """More than 15 % of the measured base load and 5 kW apart, for 60 s."""
        self.slips: dict[str, Slip] = {}

    def look(self, powers_w: Mapping[str, float], measured_w: float | None, now_s: float) -> None:
        """``powers_w``: totals of all expected meters, of none where one is missing."""
        sum_w = sum(powers_w.values())
        if measured_w is None or not powers_w or agree(sum_w, measured_w):
            self._since_s, self.lasts, self.slips = None, False, {}
            return
        if self._since_s is None:
            self._since_s = now_s
        self.lasts = now_s - self._since_s >= CONTRADICTED_S
        self.slips = _explain(powers_w, sum_w, measured_w) if self.lasts else {}


def agree(metered_w: float, measured_w: float, least_w: float = CONTRADICTED_W) -> bool:
    """``least_w``: a difference up to this is none."""
    return abs(metered_w - measured_w) <= max(CONTRADICTED_SHARE * abs(measured_w), least_w)


def _explain(powers_w: Mapping[str, float], sum_w: float, measured_w: float) -> dict[str, Slip]:
    factors = ((Slip.KW_AS_W, 1000.0), (Slip.W_AS_KW, 1e-3))
    for slip, factor in factors:
        if sum_w and RATIO_LO <= 1000.0 * measured_w / (sum_w * factor) <= RATIO_HI:
            return dict.fromkeys(powers_w, slip)
    found = {
        name: slip
        for name, power_w in powers_w.items()
        for slip, factor in factors
        if agree(sum_w + power_w * (factor - 1.0), measured_w, EXPLAINED_W)
    }
    return found if len(found) == 1 else {}
