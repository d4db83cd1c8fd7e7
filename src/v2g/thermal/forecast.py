"""Base load and ambient for the next minutes, with bounds learned from past errors. Pure.

The next minutes are the present value, plus what historical profiles (kind of day, time of day, temperature) expect to
change, plus a damped recent trend; each part weighs as much as it has proved to be worth. The bounds of minute n are
quantiles of the errors that forecasts n minutes ahead have had, with a prior for as long as there are few.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from v2g.thermal.calendar import LocalMinute


@dataclass(frozen=True, slots=True, kw_only=True)
class MinuteMeans:
    """One finished minute. W and var positive downstream, °C; None: not measured in it."""

    at: LocalMinute
    base_w: float | None
    base_var: float | None
    ambient_c: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """One value for each of the coming minutes; the n-th holds over the n-th minute from now."""

    base_w: tuple[float, ...]
    base_var: tuple[float, ...]
    ambient_c: tuple[float, ...]
    base_margin_w: tuple[float, ...]
    """The base load may be this much more, or less, in the n-th minute: >= 0, never falling with n."""
    ambient_margin_k: tuple[float, ...]
    """Ambient may be this much warmer."""
    learned_minutes: int
    """From how many minutes' errors the bounds come; few: mostly the prior."""


class ForecastMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What the forecaster has learned, plain numbers, to be kept across a restart (about 100 kB)."""

    version: int
    data: dict[str, list[float]]


class Forecaster:
    """Learns online: :meth:`observe` each finished minute, in order; gaps and repeated minutes are allowed."""

    def __init__(self, *, rated_va: float, minutes: int = 15, coverage: float = 0.95) -> None:
        raise NotImplementedError

    def observe(self, means: MinuteMeans) -> None:
        """A minute that is not later than the last one is ignored. Values that are not finite count as not measured."""
        raise NotImplementedError

    def predict(self, at: LocalMinute, base_w: float, base_var: float, ambient_c: float) -> Forecast:
        """From the present minute and the newest values on."""
        raise NotImplementedError

    def memory(self) -> ForecastMemory:
        raise NotImplementedError

    def recall(self, memory: ForecastMemory) -> None:
        """Take up where another run left off. Raises ValueError for a memory that is not one of ours."""
        raise NotImplementedError
