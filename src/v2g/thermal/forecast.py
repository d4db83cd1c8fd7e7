"""Base load and ambient for the next minutes, with bounds learned from past errors. Pure.

The next minutes are the present value, plus what historical profiles (kind of day, time of day, temperature) expect to
change, plus a damped recent trend; each part weighs as much as it has proved to be worth. The bounds of minute n are
quantiles of the errors that forecasts n minutes ahead have had, with a prior for as long as there are few.

Minutes are ordered by ``unix_min`` and looked up by local minute, so the doubled hour of daylight saving time is
learned twice and the missing one not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Final, Literal

import msgspec

from v2g.thermal.calendar import MINUTES_OF_DAY, LocalMinute
from v2g.thermal.error_bounds import ErrorBounds
from v2g.thermal.profile import DayProfile
from v2g.thermal.regression import OnlineRegression

MAX_BASE_PU: Final = 10.0
"""Base load beyond this many ratings is a slip of units or a short circuit: not learned."""
AMBIENT_RANGE_C: Final = (-60.0, 90.0)
"""Beyond it is kelvin, or a broken sensor: not learned."""
SignalName = Literal["base_w", "base_var", "ambient_c"]
_VERSION: Final = 1
_AMBIENT_UNIT_K: Final = 10.0
_PRIOR_WEIGHTS: Final = (0.5, 0.0, 0.0, 0.0, 0.0)
_RIDGE: Final = 0.02
_WINDOW: Final = 4_000.0
_SOLVE_EVERY: Final = 7
_FAST_MIN: Final = 3.0
_SLOW_MIN: Final = 15.0
_STALE_MIN: Final = 5
_SET_BACK_MIN: Final = MINUTES_OF_DAY
_NOISE_EDGE: Final = 3.0
_NOISE_RATE: Final = 0.02
_LEAST_NOISE: Final = 1e-3
_RAMP_MIN: Final = _SLOW_MIN - _FAST_MIN
"""A steady ramp puts the fast mean so many minutes ahead of the slow one."""
_RIPPLE_RATE: Final = 0.003
_RIPPLE_DOUBT: Final = 1e-6
_BUILDING_MIN: Final = 360.0
"""Buildings follow the weather so slowly; heating and cooling load go with the smoothed temperature."""
_COMFORT_C: Final = (16.0, 22.0)


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
    """The base load may be this much more, or less, in the n-th minute: >= 0, never falling with n. Two-sided: of the
    actual values ``coverage`` lie within."""
    ambient_margin_k: tuple[float, ...]
    """Ambient may be this much warmer. One-sided: ``coverage`` of the actual values are not warmer."""
    learned_minutes: int
    """From how many minutes' errors the bounds come; few: mostly the prior."""


class ForecastMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What the forecaster has learned, plain numbers, to be kept across a restart (about 100 kB)."""

    version: int
    data: dict[str, list[float]]


class _Signal:
    """Forecasts of one signal in its own unit (about 1 pu)."""

    __slots__ = (
        "_anchors", "_between", "_blends", "_fast", "_issued", "_last", "_last_min", "_minutes", "_noise", "_ripple",
        "_ripple_square", "_ripple_step", "_slow", "_turn",
    )  # fmt: skip

    def __init__(self, minutes: int, phase: int) -> None:
        self._minutes = minutes
        self._anchors = sorted({1, (minutes + 2) // 3, minutes})
        self._blends = [
            OnlineRegression(
                _PRIOR_WEIGHTS, ridge=_RIDGE, window=_WINDOW, solve_every=_SOLVE_EVERY, phase=phase + 3 * index
            )
            for index in range(len(self._anchors))
        ]
        self._between = []
        for n in range(1, minutes + 1):
            upper = next(index for index, anchor in enumerate(self._anchors) if anchor >= n)
            lower = max(upper - 1, 0)
            span = self._anchors[upper] - self._anchors[lower]
            self._between.append((lower, upper, (n - self._anchors[lower]) / span if span else 0.0))
        self._noise = self._ripple_step = self._ripple_square = 0.0
        self._turn = 0
        self._issued: list[tuple[int, float, tuple[float, ...], tuple[float, ...]] | None] = []
        self.start_anew()

    def start_anew(self) -> None:
        """The recent past is no longer the past of what comes next."""
        self._issued = [None] * (self._minutes + 1)
        self._last_min: int | None = None
        self._last = self._fast = self._slow = self._ripple = 0.0

    def observe(self, unix_min: int, value: float) -> None:
        if not self._is_fresh(unix_min):
            self._fast = self._slow = value
        elif self._last_min is not None:
            gap_min, last = unix_min - self._last_min, self._last
            self._fast += (value - self._fast) * min(1.0, gap_min / _FAST_MIN)
            self._slow += (value - self._slow) * min(1.0, gap_min / _SLOW_MIN)
            if gap_min == 1:
                step = value - last
                most = _NOISE_EDGE * self._noise + _LEAST_NOISE
                self._noise += _NOISE_RATE * (min(abs(step), most) - self._noise)
                ripple = self._ripple
                self._ripple_step += _RIPPLE_RATE * (ripple * step - self._ripple_step)
                self._ripple_square += _RIPPLE_RATE * (ripple * ripple - self._ripple_square)
        self._ripple = 0.0
        self._last, self._last_min = value, unix_min
        # One anchor a minute: weights move slowly, and the time of a minute's work stays short.
        self._turn = index = (self._turn + 1) % len(self._anchors)
        issue = unix_min - self._anchors[index]
        issued = self._issued[issue % len(self._issued)]
        if issued is not None and issued[0] == issue:
            _, then, rises, parts = issued
            self._blends[index].learn((rises[index], *parts), value - then)

    def _is_fresh(self, unix_min: int) -> bool:
        return self._last_min is not None and 0 <= unix_min - self._last_min <= _STALE_MIN

    def smoothed(self, unix_min: int, newest: float) -> float:
        """The newest value, of whose ripple about the last minute's mean as much is left as proved to stay; what goes
        beyond ripple is followed."""
        if not self._is_fresh(unix_min):
            return newest
        ripple = _clip(newest - self._last, _NOISE_EDGE * self._noise)
        self._ripple = ripple
        stays = (self._ripple_step + 0.5 * _RIPPLE_DOUBT) / (self._ripple_square + _RIPPLE_DOUBT)
        return newest - ripple * (1.0 - min(max(stays, 0.0), 1.0))

    def _parts(self, unix_min: int, value: float, usual: list[float] | None) -> tuple[float, float, float, float]:
        trend = ripple = distance = beyond = 0.0
        # A load that was switched on is not noise that returns: what is beyond noise has a worth of its own.
        edge = _NOISE_EDGE * self._noise
        if self._is_fresh(unix_min):
            trend = _clip(self._fast - self._slow, _RAMP_MIN * self._noise)
            ripple = _clip(self._fast - value, edge)
        if usual is not None:
            distance = _clip(usual[0] - value, edge)
            beyond = usual[0] - value - distance
        return trend, ripple, distance, beyond

    def record(self, unix_min: int, value: float, usual: list[float] | None) -> None:
        """Keep what is known now, to learn its worth from what comes; ``usual``: the profile now and in each coming
        minute."""
        rises = (0.0,) * len(self._anchors)
        if usual is not None:
            rises = tuple([usual[n] - usual[0] for n in self._anchors])
        self._issued[unix_min % len(self._issued)] = (unix_min, value, rises, self._parts(unix_min, value, usual))

    def forecast(self, unix_min: int, value: float, usual: list[float] | None) -> list[float]:
        trend, ripple, distance, beyond = self._parts(unix_min, value, usual)
        worth, moved = [], []
        for blend in self._blends:
            by_profile, by_trend, by_ripple, by_distance, by_beyond = blend.weights
            worth.append(by_profile)
            moved.append(value + by_trend * trend + by_ripple * ripple + by_distance * distance + by_beyond * beyond)
        if usual is None:
            return [moved[low] + share * (moved[high] - moved[low]) for low, high, share in self._between]
        now = usual[0]
        return [
            moved[low] + share * (moved[high] - moved[low])
            + (worth[low] + share * (worth[high] - worth[low])) * (then - now)
            for (low, high, share), then in zip(self._between, usual[1:], strict=True)
        ]  # fmt: skip

    def memory(self) -> list[float]:
        kept = [self._noise, self._ripple_square, self._ripple_step]
        for blend in self._blends:
            kept += blend.memory()
        return kept

    def recall(self, kept: Sequence[float]) -> None:
        size = self._blends[0].memory_size
        if len(kept) != 3 + size * len(self._blends) or not all(map(isfinite, kept)) or min(kept[:2]) < 0.0:
            raise ValueError("weights of the forecast are damaged")
        self._noise, self._ripple_square, self._ripple_step = kept[:3]
        for index, blend in enumerate(self._blends):
            blend.recall(kept[3 + index * size : 3 + (index + 1) * size])


class _Due(msgspec.Struct, frozen=True):
    """Forecasts that later minutes will be held against, in the signals' own units; empty where nothing was known."""

    unix_min: int
    base: Sequence[float]
    reactive: Sequence[float]
    ambient: Sequence[float]
    base_scale: float
    ambient_scale: float
    base_factors: tuple[float, ...]
    ambient_factors: tuple[float, ...]


class Forecaster:
    """Learns online: :meth:`observe` each finished minute, in order; gaps and repeated minutes are allowed.

    A minute bears the number of its end, as in the history; ``at`` of :meth:`predict` that of the last finished one.
    """

    def __init__(self, *, rated_va: float, minutes: int = 15, coverage: float = 0.95) -> None:
        """Raises ValueError for a rating that is not positive, for less than 1 or more than 60 minutes, and for a
        coverage out of 0.5..1."""
        if not (isfinite(rated_va) and rated_va > 0.0):
            raise ValueError(f"rated power of {rated_va} VA: give the nameplate's")
        if not 1 <= minutes <= 60:
            raise ValueError(f"a forecast of {minutes} minutes: give 1 to 60")
        self._rated_va = rated_va
        self._minutes = minutes
        self._coverage = coverage
        self._profiles = {name: DayProfile() for name in ("base_w", "base_var", "ambient_c")}
        self._signals = {name: _Signal(minutes, phase) for phase, name in enumerate(self._profiles)}
        ahead = range(1, minutes + 1)
        self._base_bounds = ErrorBounds([0.04 + 0.01 * n for n in ahead], coverage=coverage, two_sided=True, floor=1e-4)
        self._ambient_bounds = ErrorBounds(
            [(0.5 + 0.1 * n) / _AMBIENT_UNIT_K for n in ahead], coverage=coverage, two_sided=False, floor=0.002
        )
        self._last_min: int | None = None
        self._building_c: float | None = None
        self._due: list[_Due | None] = [None] * (minutes + 1)
        self._unsaid: tuple[LocalMinute, float | None, float | None] | None = None

    def observe(self, means: MinuteMeans) -> None:
        """A minute that is not later than the last one is ignored, unless it is earlier by more than a day: then the
        clock was set back, and time goes on from there. Values that are not finite count as not measured, and so do
        those beyond :data:`MAX_BASE_PU` and :data:`AMBIENT_RANGE_C`."""
        at = means.at
        gap_min = 1
        if self._last_min is not None:
            gap_min = at.unix_min - self._last_min
            if -_SET_BACK_MIN <= gap_min <= 0:
                return
            if gap_min < 0:
                self._start_anew()
                gap_min = 1
            elif gap_min > MINUTES_OF_DAY:
                days = gap_min / MINUTES_OF_DAY
                self._base_bounds.forget(days)
                self._ambient_bounds.forget(days)
        if self._unsaid is not None:
            self._issue(self._unsaid[0], self._unsaid[1], None, self._unsaid[2])
        self._last_min = at.unix_min
        base = self._base_pu(means.base_w)
        reactive = self._base_pu(means.base_var)
        ambient = self._ambient_units(means.ambient_c)
        self._score(at, base, ambient)
        off_comfort_k = self._feel(means.ambient_c if ambient is not None else None, gap_min)
        minute = at.minute % MINUTES_OF_DAY
        for name, value in (("base_w", base), ("base_var", reactive), ("ambient_c", ambient)):
            if value is None:
                continue
            signal, profile = self._signals[name], self._profiles[name]
            signal.observe(at.unix_min, value)
            if name == "base_w" and self._building_c is not None:
                profile.learn_slope(minute, value, off_comfort_k)
            profile.learn(at.day_type, minute, value, off_comfort_k if name == "base_w" else 0.0)
        for name, value in (("base_w", base), ("base_var", reactive), ("ambient_c", ambient)):
            if value is not None:
                self._signals[name].record(at.unix_min, value, self._usual(name, at))
        self._unsaid = (at, base, ambient)

    def predict(self, at: LocalMinute, base_w: float, base_var: float, ambient_c: float) -> Forecast:
        """From the present minute and the newest values on. A value that counts as not measured in :meth:`observe`
        gives NaN in all minutes of its signal, which the headroom search refuses."""
        base, reactive, ambient = self._base_pu(base_w), self._base_pu(base_var), self._ambient_units(ambient_c)
        signals = self._signals
        base = None if base is None else signals["base_w"].smoothed(at.unix_min, base)
        reactive = None if reactive is None else signals["base_var"].smoothed(at.unix_min, reactive)
        due = self._issue(at, base, reactive, ambient)
        rated_va, unknown = self._rated_va, (nan,) * self._minutes
        return Forecast(
            base_w=tuple([value * rated_va for value in due.base]) if base is not None else unknown,
            base_var=tuple([value * rated_va for value in due.reactive]) if reactive is not None else unknown,
            ambient_c=tuple([value * _AMBIENT_UNIT_K for value in due.ambient]) if ambient is not None else unknown,
            base_margin_w=tuple([bound * rated_va for bound in self._base_bounds.bounds(due.base_scale)]),
            ambient_margin_k=tuple(
                [bound * _AMBIENT_UNIT_K for bound in self._ambient_bounds.bounds(due.ambient_scale)]
            ),
            learned_minutes=int(self._base_bounds.minutes_learned),
        )

    def usual(self, name: SignalName, at: LocalMinute, minutes: int) -> float | None:
        """Mean of what is usual from ``at`` on for so many minutes of its day, in W, var or °C, with the weather as it
        is felt now; None while any of it is unknown."""
        off_comfort_k = self._off_comfort_k() if name == "base_w" else 0.0
        expected = self._profiles[name].expect(at.day_type, at.minute % MINUTES_OF_DAY, off_comfort_k, minutes)
        if expected is None:
            return None
        unit = _AMBIENT_UNIT_K if name == "ambient_c" else self._rated_va
        return unit * sum(expected) / len(expected)

    def memory(self) -> ForecastMemory:
        data = {"shape": [self._rated_va, float(self._minutes), self._coverage]}
        for name, profile in self._profiles.items():
            data[f"profile {name}"] = profile.memory()
            data[f"weights {name}"] = self._signals[name].memory()
        data["bounds base_w"] = self._base_bounds.memory()
        data["bounds ambient_c"] = self._ambient_bounds.memory()
        data["last"] = [] if self._last_min is None else [float(self._last_min)]
        data["building"] = [] if self._building_c is None else [self._building_c]
        return ForecastMemory(version=_VERSION, data=data)

    def recall(self, memory: ForecastMemory) -> None:
        """Take up where another run left off. Raises ValueError for a memory that is not one of ours, or of another
        rating, number of minutes or coverage; nothing of it is taken then."""
        shape = [self._rated_va, float(self._minutes), self._coverage]
        if memory.version != _VERSION or memory.data.get("shape") != shape:
            raise ValueError(
                "what the forecast had learned is of another version, rating, horizon or coverage: it learns anew"
            )
        taken = Forecaster(rated_va=self._rated_va, minutes=self._minutes, coverage=self._coverage)
        data = memory.data
        try:
            for name, profile in taken._profiles.items():
                profile.recall(data[f"profile {name}"])
                taken._signals[name].recall(data[f"weights {name}"])
            taken._base_bounds.recall(data["bounds base_w"])
            taken._ambient_bounds.recall(data["bounds ambient_c"])
            last, building = data["last"], data["building"]
        except KeyError as error:
            raise ValueError(f"what the forecast had learned lacks {error}: it learns anew") from None
        felt = AMBIENT_RANGE_C[0] <= sum(building) <= AMBIENT_RANGE_C[1]
        if len(last) > 1 or len(building) > 1 or not (felt and all(map(isfinite, last))):
            raise ValueError("what the forecast had learned is damaged: it learns anew")
        self._profiles, self._signals = taken._profiles, taken._signals
        self._base_bounds, self._ambient_bounds = taken._base_bounds, taken._ambient_bounds
        self._last_min = int(last[0]) if last else None
        self._building_c = building[0] if building else None
        self._due, self._unsaid = taken._due, None

    def _start_anew(self) -> None:
        for signal in self._signals.values():
            signal.start_anew()
        self._due = [None] * (self._minutes + 1)
        self._unsaid = None

    def _score(self, at: LocalMinute, base: float | None, ambient: float | None) -> None:
        size, minute = len(self._due), at.minute % MINUTES_OF_DAY
        base_bounds, ambient_bounds = self._base_bounds, self._ambient_bounds
        for n in range(1, self._minutes + 1):
            due = self._due[(at.unix_min - n) % size]
            if due is None or due.unix_min != at.unix_min - n:
                continue
            if base is not None and due.base:
                error = base - due.base[n - 1]
                if n == 1:
                    base_bounds.learn_next(minute, error)
                base_bounds.learn(n, error, due.base_factors[n - 1], due.base_scale)
            if ambient is not None and due.ambient:
                error = ambient - due.ambient[n - 1]
                if n == 1:
                    ambient_bounds.learn_next(minute, error)
                ambient_bounds.learn(n, error, due.ambient_factors[n - 1], due.ambient_scale)

    def _usual(self, name: str, at: LocalMinute) -> list[float] | None:
        off_comfort_k = self._off_comfort_k() if name == "base_w" else 0.0
        return self._profiles[name].expect(at.day_type, at.minute % MINUTES_OF_DAY, off_comfort_k, self._minutes)

    def _issue(self, at: LocalMinute, base: float | None, reactive: float | None, ambient: float | None) -> _Due:
        """Forecasts from these values. The first of a minute is what later minutes are held against, so the bounds are
        of what was handed out; where nothing was, :meth:`observe` makes it up before it learns the next minute."""
        minute = at.minute % MINUTES_OF_DAY
        ahead: list[Sequence[float]] = []
        for name, value in (("base_w", base), ("base_var", reactive), ("ambient_c", ambient)):
            if value is None:
                ahead.append(())
            else:
                ahead.append(self._signals[name].forecast(at.unix_min, value, self._usual(name, at)))
        due = _Due(
            at.unix_min, ahead[0], ahead[1], ahead[2],
            self._base_bounds.scale(minute), self._ambient_bounds.scale(minute),
            self._base_bounds.factors, self._ambient_bounds.factors,
        )  # fmt: skip
        place = at.unix_min % len(self._due)
        present = self._due[place]
        if present is None or present.unix_min != at.unix_min:
            self._due[place] = due
        if self._unsaid is not None and self._unsaid[0].unix_min == at.unix_min:
            self._unsaid = None
        return due

    def _base_pu(self, value: float | None) -> float | None:
        if value is None:
            return None
        value /= self._rated_va
        return value if -MAX_BASE_PU <= value <= MAX_BASE_PU else None

    @staticmethod
    def _ambient_units(value: float | None) -> float | None:
        if value is None or not AMBIENT_RANGE_C[0] <= value <= AMBIENT_RANGE_C[1]:
            return None
        return value / _AMBIENT_UNIT_K

    def _feel(self, ambient_c: float | None, gap_min: int) -> float:
        if ambient_c is not None:
            if self._building_c is None:
                self._building_c = ambient_c
            self._building_c += (ambient_c - self._building_c) * min(1.0, gap_min / _BUILDING_MIN)
        return self._off_comfort_k()

    def _off_comfort_k(self) -> float:
        felt = self._building_c
        if felt is None:
            return 0.0
        return max(_COMFORT_C[0] - felt, 0.0) + max(felt - _COMFORT_C[1], 0.0)


def _clip(value: float, edge: float) -> float:
    return edge if value > edge else -edge if value < -edge else value
