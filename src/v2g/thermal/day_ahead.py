"""Base load and ambient of the coming day, in means over a plan's steps. Pure.

What is usual at that time of that kind of day, and on top of it what the present differs from usual now, which is gone
after some hours. Where nothing was learned of an hour the present goes on, with a wide margin, and a note says so. The
margins are learned: of each half hour, how far the days were from what was usual before them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, isfinite, sqrt
from typing import Final

from v2g.thermal.calendar import MINUTES_OF_DAY, LocalMinute
from v2g.thermal.forecast import Forecaster, MinuteMeans, SignalName
from v2g.thermal.limits import ThermalLimits
from v2g.thermal.model import ThermalState
from v2g.thermal.parameters import ThermalParameters

PRESENT_FADES_S: Final = 7200.0
"""Time constant with which the present's difference from what is usual fades."""
UNKNOWN_BASE_PU: Final = 0.25
UNKNOWN_AMBIENT_K: Final = 6.0
"""Margins where nothing is learned."""
LONGEST_S: Final = 72 * 3600.0
_PARTS: Final = 48
_QUANTILE: Final = 1.64
"""Standard deviations that 95 % of the errors stay below."""
_WINDOW: Final = 12.0 * 30.0
_PRIOR_COUNT: Final = 60.0
_MOST: Final = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class DayAhead:
    """One value for each step; W and var positive downstream. Margins: so much more may come."""

    base_w: tuple[float, ...]
    base_margin_w: tuple[float, ...]
    base_var: tuple[float, ...]
    ambient_c: tuple[float, ...]
    ambient_margin_k: tuple[float, ...]
    notes: tuple[str, ...] = ()
    """What is assumed, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """A transformer as a plan of the coming day takes it: its state now, the limits that hold for long, and what comes.

    ``margin_k``: of top-oil and hot-spot, without that of the ambient. ``params`` and ``state`` with the gradient as
    steep as it may be.
    """

    state: ThermalState
    params: ThermalParameters
    limits: ThermalLimits
    bias_k: float
    margin_k: float
    upgraded_paper: bool
    ahead: DayAhead


class _Spread:
    """Of the errors of one signal, by half hours of the local day, in its own unit."""

    __slots__ = ("_counts", "_prior", "_squares")

    def __init__(self, prior: float) -> None:
        self._prior = prior
        self._squares = [0.0] * _PARTS
        self._counts = [0.0] * _PARTS

    def learn(self, minute: int, error: float) -> None:
        part = _part(minute)
        count = self._counts[part] = min(self._counts[part] + 1.0, _WINDOW)
        self._squares[part] += (min(error * error, _MOST) - self._squares[part]) / count

    def margin(self, minute: int) -> float:
        """That of the prior, for as long as there are few errors."""
        part = _part(minute)
        count, learned = self._counts[part], _QUANTILE * sqrt(self._squares[part])
        return (count * learned + _PRIOR_COUNT * self._prior) / (count + _PRIOR_COUNT)

    def memory(self) -> list[float]:
        return [*self._squares, *self._counts]

    def recall(self, kept: Sequence[float]) -> None:
        if len(kept) != 2 * _PARTS or not all(0.0 <= value <= _MOST for value in kept):
            raise ValueError("the margins of the coming day are damaged")
        self._squares, self._counts = list(kept[:_PARTS]), list(kept[_PARTS:])


class DayErrors:
    """How far days were from what was usual before them. :meth:`observe` each finished minute, before the forecaster
    learns it."""

    def __init__(self, rated_va: float) -> None:
        self._rated_va = rated_va
        self._base = _Spread(UNKNOWN_BASE_PU)
        self._ambient = _Spread(UNKNOWN_AMBIENT_K)

    def observe(self, forecaster: Forecaster, means: MinuteMeans) -> None:
        minute = means.at.minute % MINUTES_OF_DAY
        usual_w = forecaster.usual("base_w", means.at, 1)
        if means.base_w is not None and usual_w is not None and isfinite(means.base_w):
            self._base.learn(minute, (means.base_w - usual_w) / self._rated_va)
        usual_c = forecaster.usual("ambient_c", means.at, 1)
        if means.ambient_c is not None and usual_c is not None and isfinite(means.ambient_c):
            self._ambient.learn(minute, means.ambient_c - usual_c)

    def base_margin_w(self, minute: int) -> float:
        """``minute`` of the local day."""
        return self._base.margin(minute) * self._rated_va

    def ambient_margin_k(self, minute: int) -> float:
        return self._ambient.margin(minute)

    def memory(self) -> list[float]:
        return [*self._base.memory(), *self._ambient.memory()]

    def recall(self, kept: Sequence[float]) -> None:
        """Nothing kept is nothing learned. Raises ValueError for what no :meth:`memory` gives."""
        if kept:
            size = 2 * _PARTS
            self._base.recall(kept[:size])
            self._ambient.recall(kept[size:])


def day_ahead(
    forecaster: Forecaster,
    errors: DayErrors,
    calendar: Callable[[float], LocalMinute],
    *,
    now_unix_s: float,
    base_w: float,
    base_var: float,
    ambient_c: float,
    near_margin_w: float,
    rated_va: float,
    steps: int,
    step_s: float = 900.0,
) -> DayAhead:
    """From the present values on. ``calendar``: the local minute of a Unix time; ``near_margin_w``: of the base load's
    forecast for the next quarter of an hour, below which no margin falls.

    Raises ValueError for steps that are no whole minutes, or reach further than 72 h.
    """
    minutes = round(step_s / 60.0)
    if minutes < 1 or abs(minutes * 60.0 - step_s) > 1e-6 or not 1 <= steps * step_s <= LONGEST_S:
        raise ValueError(f"{steps} steps of {step_s:g} s: give whole minutes, and 72 h at most")
    at_now = calendar(now_unix_s)
    series: dict[SignalName, list[float]] = {}
    unknown_steps: dict[SignalName, list[bool]] = {}
    present: tuple[tuple[SignalName, float], ...] = (
        ("base_w", base_w), ("base_var", base_var), ("ambient_c", ambient_c)
    )  # fmt: skip
    minute_of = [calendar(now_unix_s + n * step_s) for n in range(steps)]
    for name, value in present:
        usual_now = forecaster.usual(name, at_now, 1)
        apart = 0.0 if usual_now is None else value - usual_now
        values, unknown = [], []
        for n, at in enumerate(minute_of):
            usual = forecaster.usual(name, at, minutes)
            unknown.append(usual is None or usual_now is None)
            fading = exp(-(n + 0.5) * step_s / PRESENT_FADES_S)
            values.append(value if usual is None else usual + apart * fading)
        series[name], unknown_steps[name] = values, unknown
    base_margin, ambient_margin = [], []
    for n, at in enumerate(minute_of):
        far = 1.0 - exp(-(n + 0.5) * step_s / PRESENT_FADES_S)
        margin_w, margin_k = errors.base_margin_w(at.minute), errors.ambient_margin_k(at.minute)
        if unknown_steps["base_w"][n]:
            margin_w = max(margin_w, UNKNOWN_BASE_PU * rated_va)
        if unknown_steps["ambient_c"][n]:
            margin_k = max(margin_k, UNKNOWN_AMBIENT_K)
        base_margin.append(max(near_margin_w, far * margin_w))
        ambient_margin.append(far * margin_k)
    return DayAhead(
        base_w=tuple(series["base_w"]),
        base_margin_w=tuple(base_margin),
        base_var=tuple(series["base_var"]),
        ambient_c=tuple(series["ambient_c"]),
        ambient_margin_k=tuple(ambient_margin),
        notes=tuple(_notes(unknown_steps, step_s)),
    )


def _part(minute: int) -> int:
    return minute * _PARTS // MINUTES_OF_DAY % _PARTS


def _notes(unknown_steps: dict[SignalName, list[bool]], step_s: float) -> list[str]:
    notes = []
    named: tuple[tuple[SignalName, str], ...] = (("base_w", "base load"), ("ambient_c", "ambient temperature"))
    for name, words in named:
        unknown = unknown_steps[name]
        missing_h, all_h = sum(unknown) * step_s / 3600.0, len(unknown) * step_s / 3600.0
        if missing_h:
            notes.append(
                f"{words} of {missing_h:.1f} h of the coming {all_h:.0f} h is taken to stay as it is, with a wide "
                "margin: nothing was learned of those hours yet"
            )
    return notes
