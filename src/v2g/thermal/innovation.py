"""What the difference between top-oil measured and modelled says: a sensor that drifts, or a model that is wrong. Pure.

Watched is the residual of the reading against a shadow that follows load and ambient alone and is never corrected; the
observer's own innovations would not do, since its bias learns a drift as readily as a wrong nameplate. Means over two
hours, two weeks of them, are fitted by regularised least squares, over four windows of two days to two weeks::

    residual = c0 + c1·rise + s·time

``rise`` is the shadow's own oil rise over its ambient, filtered as the oil filters. What scales with load losses
(Δθor, R, cooling that has worsened) goes into c1; what is constant (a wall, mean wind and sun, a sensor's offset) into
c0; what goes on without regard to either into s. A window says *drift* where

- the part of time amounts to :data:`DRIFT_K` at least, and to three times its standard error, which is taken with a
  sixth of the samples, since residuals of two hours are not independent (oil takes hours, weather days); and
- it goes on: each quarter of the window adds, in the same direction, a part of what is its due, and a ramp explains
  what rise leaves over better than any single step does. A step (a new wall, a cooler cleaned) and a rise that settles
  fail there; the quarters are half days or longer, so that the sun of each day hardly looks like a trend.

Limits, honestly:

- A drift below :data:`DRIFT_K` in two weeks (about half a kelvin a day) is not told from seasons, and goes into c0. To
  be named, a drift must have gone on for two days and a half at least. Faster harm is the affair of the estimator's
  safe rule.
- A drift of the ambient transducer is the same residual with the opposite sign. The words therefore name both.
- A sensor's constant offset from the first day on is not told from a constant model error: it is called model error.
- A transformer that truly gets hotter day by day (oil leaking, a cooler clogging) looks like a drift upwards. That is
  why the estimator goes on to believe readings that drift up, and only says so.
- A first-order change of the model's other constants (x, τo) leaves a daily pattern, which fits in none of the terms;
  it raises the standard error, and so makes the verdict slower.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, sqrt
from typing import Final

DRIFT_K: Final = 5.0
"""So much of a trend within a window is called a drift."""
MODEL_ERROR_K: Final = 4.0
"""So much that load or a constant explains is called a model error: more than a sensor's class and the weather."""
_MODEL_AGREES_K: Final = 3.0
SAMPLE_S: Final = 7_200.0
_WINDOWS: Final = (24, 48, 96, 168)
_CONFIRMED: Final = 6
"""Drift must be found so often in a row: a step in an unlucky place passes for one for an hour or two."""
_CLEARLY: Final = 1.5
"""A step must explain a window so much worse than a ramp does, in squares."""
_DUE_SHARE: Final = 0.15
_CORRELATED: Final = 6.0
_LEAST_NOISE_K: Final = 0.5
_PRIOR: Final = (10.0, 0.4, 5.0)
"""Standard deviations beforehand of c0 in K, c1, s in K/day: keep the fit defined where the load never changed."""
_DAY_S: Final = 86_400.0


class Verdict(enum.StrEnum):
    LEARNING = "learning"
    """Fewer than two days."""
    CONSISTENT = "consistent"
    MODEL_ERROR = "model error"
    SENSOR_DRIFT = "sensor drift"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """``offset_k`` + ``rise_share``·rise is what a wrong model explains; the drift comes on top of it."""

    verdict: Verdict
    offset_k: float = 0.0
    rise_share: float = 0.0
    drift_k_per_day: float = 0.0
    drift_k: float = 0.0
    """Over the window in which it was found: negative is a sensor that reads ever lower."""

    def explained_k(self, rise_k: float) -> float:
        """What the model, without any drift, is wrong by at a rise in K."""
        return self.offset_k + self.rise_share * rise_k


Sample = tuple[float, float, float]
"""Time in days, rise in K, residual in K."""


class InnovationMonitor:
    """Fed with every step in which load, ambient and top-oil were measured; thinks once in two hours.

    Another sensor, or another zero of it, takes a new monitor.
    """

    def __init__(self) -> None:
        self._samples: list[Sample] = []
        self._finding = Finding(verdict=Verdict.LEARNING)
        self._found_in_a_row = 0
        self._begun_s: float | None = None
        self._weight_s = self._rise = self._residual = 0.0

    @property
    def finding(self) -> Finding:
        """A drift stays found until the residual is back at what the model error explains."""
        return self._finding

    def observe(self, residual_k: float, rise_k: float, dt_s: float, now_s: float) -> bool:
        """``residual_k``: reading − shadow; ``rise_k``: the shadow's oil rise. True where the finding was renewed.

        Two hours of which less than half was observed are left out.
        """
        if self._begun_s is None or now_s < self._begun_s:
            self._begin(now_s)
            return False
        self._weight_s += dt_s
        self._rise += rise_k * dt_s
        self._residual += residual_k * dt_s
        begun_s = self._begun_s
        if now_s - begun_s < SAMPLE_S:
            return False
        enough = self._weight_s >= 0.5 * (now_s - begun_s)
        sample = ((begun_s + now_s) / 2.0 / _DAY_S, self._rise / self._weight_s, self._residual / self._weight_s)
        self._begin(now_s)
        if enough:
            self._samples.append(sample)
            del self._samples[: -_WINDOWS[-1]]
            self._finding = self._judged()
        return enough

    def _begin(self, now_s: float) -> None:
        self._begun_s = now_s
        self._weight_s = self._rise = self._residual = 0.0

    def _judged(self) -> Finding:
        samples, before = self._samples, self._finding
        if len(samples) < _WINDOWS[0]:
            return before
        if before.verdict is Verdict.SENSOR_DRIFT:
            back = all(abs(r - before.explained_k(rise)) < DRIFT_K / 2.0 for _, rise, r in samples[-3:])
            if back:
                del samples[:-3]
                return Finding(verdict=Verdict.LEARNING, offset_k=before.offset_k, rise_share=before.rise_share)
            return before
        found = next((f for size in _WINDOWS if len(samples) >= size and (f := _drift(samples[-size:]))), None)
        self._found_in_a_row = 0 if found is None else self._found_in_a_row + 1
        if found is not None and self._found_in_a_row >= _CONFIRMED:
            return found
        (offset_k, share, _), _ = _fitted(samples, with_time=False)
        typical_k = max(abs(offset_k + share * rise) for _, rise, _ in samples)
        limit_k = _MODEL_AGREES_K if before.verdict is Verdict.MODEL_ERROR else MODEL_ERROR_K
        verdict = Verdict.MODEL_ERROR if typical_k > limit_k else Verdict.CONSISTENT
        return Finding(verdict=verdict, offset_k=offset_k, rise_share=share)


def _drift(samples: Sequence[Sample]) -> Finding | None:
    first_d, last_d = samples[0][0], samples[-1][0]
    (offset_k, share, slope), error = _fitted(samples, with_time=True)
    drift_k = slope * (last_d - first_d)
    if abs(drift_k) < DRIFT_K or abs(slope) < 3.0 * error:
        return None
    quarter = len(samples) // 4
    left = [r - share * rise for _, rise, r in samples]
    means = [sum(left[n * quarter : (n + 1) * quarter]) / quarter for n in range(4)]
    if any((later - earlier) / drift_k < _DUE_SHARE for earlier, later in pairwise(means)):
        return None
    ramp_squares = sum(
        (value - offset_k - slope * (day - first_d)) ** 2 for value, (day, _, _) in zip(left, samples, strict=True)
    )
    if _CLEARLY * ramp_squares >= _least_squares_of_a_step(left):
        return None
    return Finding(
        verdict=Verdict.SENSOR_DRIFT,
        offset_k=offset_k,
        rise_share=share,
        drift_k_per_day=slope,
        drift_k=drift_k,
    )


def _least_squares_of_a_step(values: Sequence[float]) -> float:
    n, total = len(values), sum(values)
    squares = sum(value * value for value in values)
    best, before = inf, 0.0
    for count, value in enumerate(values[:-1], 1):
        before += value
        best = min(best, squares - before * before / count - (total - before) ** 2 / (n - count))
    return best


def _fitted(samples: Sequence[Sample], *, with_time: bool) -> tuple[tuple[float, float, float], float]:
    """(c0 at the window's beginning in K, c1, s in K/day), and the standard error of s in K/day."""
    t0 = samples[0][0]
    n = float(len(samples))
    st = sx = sr = stt = sxx = stx = str_ = sxr = srr = 0.0
    for day, x, r in samples:
        t = day - t0
        st += t
        sx += x
        sr += r
        stt += t * t
        sxx += x * x
        stx += t * x
        str_ += t * r
        sxr += x * r
        srr += r * r
    p0, p1, p2 = (_CORRELATED / (sigma * sigma) for sigma in _PRIOR)
    if not with_time:
        p2, st, stx, stt, str_ = 1.0, 0.0, 0.0, 0.0, 0.0
    a, b, c, d, e, f = n + p0, sx, st, sxx + p1, stx, stt + p2
    co00, co01, co02 = d * f - e * e, c * e - b * f, b * e - c * d
    co11, co12, co22 = a * f - c * c, b * c - a * e, a * d - b * b
    determinant = a * co00 + b * co01 + c * co02
    c0 = (co00 * sr + co01 * sxr + co02 * str_) / determinant
    c1 = (co01 * sr + co11 * sxr + co12 * str_) / determinant
    s = (co02 * sr + co12 * sxr + co22 * str_) / determinant
    squares = max(0.0, srr - c0 * sr - c1 * sxr - s * str_)
    noise_k = max(_LEAST_NOISE_K, sqrt(squares / max(1.0, n - 3.0)))
    return (c0, c1, s), noise_k * sqrt(_CORRELATED * co22 / determinant) if with_time else inf
