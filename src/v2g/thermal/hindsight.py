"""How far predictions of top-oil were off, with the load and ambient that came: the model's own error, as margin. Pure.

Once a minute a prediction is begun: the state and bias of that minute, moved on by the load and ambient measured since,
never corrected. By the minute it is held against the observed top-oil, and the bounds of what is hotter than predicted
are learned as those of the load's forecast are (:mod:`v2g.thermal.error_bounds`). What load and ambient themselves do
against their forecast is not in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import expm1
from typing import Final

from v2g.thermal.error_bounds import ErrorBounds
from v2g.thermal.model import rises_at
from v2g.thermal.parameters import ThermalParameters

_MINUTE_S: Final = 60.0
_LONGEST_STEP_S: Final = 120.0
_PRIOR_K_MIN: Final = 0.05
_FLOOR_K: Final = 0.01
_COVERAGE: Final = 0.95


class _Prediction:
    __slots__ = ("bias_k", "factors", "scale_k", "theta_o_c")

    def __init__(self, theta_o_c: float, bias_k: float, factors: tuple[float, ...], scale_k: float) -> None:
        self.theta_o_c = theta_o_c
        self.bias_k = bias_k
        self.factors = factors
        self.scale_k = scale_k


class Hindsight:
    """:meth:`step` at every step of the estimator."""

    def __init__(self, minutes: int) -> None:
        prior = [_PRIOR_K_MIN * n for n in range(1, minutes + 1)]
        self._bounds = ErrorBounds(prior, coverage=_COVERAGE, two_sided=False, floor=_FLOOR_K)
        self._predictions: deque[_Prediction] = deque(maxlen=minutes)
        self._margins_k = self._bounds.bounds(self._bounds.scale(0))
        self._now_s = 0.0
        self._lasted_s = 0.0
        self._driven = 0.0

    @property
    def margins_k(self) -> Sequence[float]:
        """For each minute ahead: >= 0, never falling."""
        return self._margins_k

    def step(
        self,
        params: ThermalParameters,
        theta_o_c: float,
        bias_k: float,
        k_pu: float,
        ambient_c: float,
        now_s: float,
        minute: int,
        *,
        known: bool,
    ) -> None:
        """``theta_o_c``: observed at ``now_s``; load and ambient since the last step. ``minute``: of the local day.
        ``known`` False, since load, ambient or top-oil are not measured: what was begun is dropped."""
        dt_s = now_s - self._now_s
        self._now_s = now_s
        if not (known and 0.0 < dt_s <= _LONGEST_STEP_S):
            self._predictions.clear()
            self._lasted_s = self._driven = 0.0
            return
        self._driven += dt_s * (ambient_c + rises_at(params, k_pu * k_pu)[0])
        self._lasted_s += dt_s
        if self._lasted_s < _MINUTE_S:
            return
        drive_c = self._driven / self._lasted_s
        gone = -expm1(-self._lasted_s / (params.k11 * params.tau_o_s))
        self._lasted_s = self._driven = 0.0
        bounds = self._bounds
        for n, one in enumerate(self._predictions, 1):
            one.theta_o_c += gone * (drive_c + one.bias_k - one.theta_o_c)
            error_k = theta_o_c - one.theta_o_c
            if n == 1:
                bounds.learn_next(minute, error_k)
            bounds.learn(n, error_k, one.factors[n - 1], one.scale_k)
        scale_k = bounds.scale(minute)
        self._predictions.appendleft(_Prediction(theta_o_c, bias_k, bounds.factors, scale_k))
        self._margins_k = bounds.bounds(scale_k)

    def memory(self) -> list[float]:
        return self._bounds.memory()

    def recall(self, kept: Sequence[float]) -> None:
        """Raises ValueError for what no :meth:`memory` of as many minutes gives."""
        self._bounds.recall(kept)
        self._margins_k = self._bounds.bounds(self._bounds.scale(0))
