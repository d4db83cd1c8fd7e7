"""When a refused power may be granted: the headroom of later times, if things go on as forecast. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isfinite
from typing import Final, Literal

from v2g.thermal.headroom import PermittedInterval, permitted_interval
from v2g.thermal.limits import UNKNOWN, ThermalLimits
from v2g.thermal.model import ThermalState, step
from v2g.thermal.parameters import ThermalParameters

_MINUTE_S: Final = 60.0
_GROWTH: Final = 1.3
_RESOLUTION_S: Final = 15.0

Direction = Literal["charge", "discharge"]


def granted_in_s(
    state: ThermalState,
    params: ThermalParameters,
    limits: ThermalLimits,
    *,
    base_w: float | Sequence[float],
    base_var: float | Sequence[float] = 0.0,
    ambient_c: float | Sequence[float],
    horizon_s: float = 900.0,
    direction: Direction,
    power_w: float,
    base_margin_w: float | Sequence[float] = 0.0,
    margin_k: float | Sequence[float] = 0.0,
    longest_s: float = 86_400.0,
) -> float | None:
    """In how many seconds a discharge (or charge) of at least ``power_w`` (magnitude, W) may be granted; 0.0 is now.

    None: not within ``longest_s``, or not to be known. Until then there is no V2G power; base load and ambient go on as
    forecast (one value for each minute from now), the last minute's beyond it. The margins are those of the headroom
    of that time, by minutes ahead of it, as they are now; the limits are those of now.

    Looked for minute by minute within the forecast, and beyond it in growing steps that are narrowed to 15 s: a time at
    which the power was found permitted, and the first one unless a grant ends again within one of those steps.

    Raises ValueError as :func:`~v2g.thermal.headroom.permitted_interval` does, for another direction, and unless
    ``power_w`` is finite and above 0.
    """
    if direction not in ("charge", "discharge"):
        raise ValueError(f"direction {direction!r} is unknown: charge or discharge")
    if not (isfinite(power_w) and power_w > 0.0):
        raise ValueError(f"power of {power_w} W: give a magnitude above 0, the direction says the sign")
    later = _Later(state, params, limits, base_w, base_var, ambient_c, horizon_s, base_margin_w, margin_k)

    def grants(permitted: PermittedInterval) -> bool:
        return permitted.hi_w >= power_w if direction == "charge" else -permitted.lo_w >= power_w

    now = later.permitted(0.0)
    if now.base_source == UNKNOWN or not later.known():
        return None
    if grants(now):
        return 0.0
    refused_s, at_s = 0.0, min(_MINUTE_S, longest_s)
    while not grants(later.permitted(at_s)):
        if at_s >= longest_s:
            return None
        refused_s = at_s
        at_s = min(longest_s, at_s + _MINUTE_S if at_s < later.forecast_s else at_s * _GROWTH)
    while at_s - refused_s > _RESOLUTION_S and refused_s >= later.forecast_s:
        middle_s = 0.5 * (refused_s + at_s)
        if grants(later.permitted(middle_s)):
            at_s = middle_s
        else:
            refused_s = middle_s
    return at_s


class _Later:
    """The transformer at later times, without V2G power."""

    def __init__(
        self,
        state: ThermalState,
        params: ThermalParameters,
        limits: ThermalLimits,
        base_w: float | Sequence[float],
        base_var: float | Sequence[float],
        ambient_c: float | Sequence[float],
        horizon_s: float,
        base_margin_w: float | Sequence[float],
        margin_k: float | Sequence[float],
    ) -> None:
        self._params, self._limits, self._horizon_s = params, limits, horizon_s
        self._minutes = ceil(horizon_s / _MINUTE_S)
        self._base, self._var, self._ambient = (_listed(values) for values in (base_w, base_var, ambient_c))
        if not (self._base and self._var and self._ambient):
            raise ValueError("a forecast of no minutes: give base load, reactive load and ambient for one at least")
        self._base_margin_w, self._margin_k = base_margin_w, margin_k
        self._states = [state]
        """At the start of every minute of the forecast, as far as they were asked for."""
        self.forecast_s = _MINUTE_S * (max(len(self._base), len(self._var), len(self._ambient)) - 1)
        """From here on every input is constant."""

    def known(self) -> bool:
        """Every value of the forecast is a number, also where it reaches beyond the first horizon."""
        return all(isfinite(sum(values)) for values in (self._base, self._var, self._ambient))

    def permitted(self, at_s: float) -> PermittedInterval:
        first = int(min(at_s, self.forecast_s) / _MINUTE_S)
        while len(self._states) <= first:
            minute = len(self._states) - 1
            self._states.append(self._step(self._states[minute], minute, _MINUTE_S))
        state = self._states[first]
        over_s = at_s - first * _MINUTE_S
        if over_s > 0.0:
            state = self._step(state, first, over_s)
        return permitted_interval(
            state,
            self._params,
            self._limits,
            base_w=self._from(self._base, first),
            base_var=self._from(self._var, first),
            ambient_c=self._from(self._ambient, first),
            horizon_s=self._horizon_s,
            base_margin_w=self._base_margin_w,
            margin_k=self._margin_k,
        )

    def _step(self, state: ThermalState, minute: int, dt_s: float) -> ThermalState:
        k_pu = self._params.k_pu(_held(self._base, minute), _held(self._var, minute))
        return step(state, self._params, k_pu, _held(self._ambient, minute), dt_s)

    def _from(self, values: Sequence[float], first: int) -> list[float]:
        return [_held(values, minute) for minute in range(first, first + self._minutes)]


def _listed(values: float | Sequence[float]) -> Sequence[float]:
    return (values,) if isinstance(values, int | float) else values


def _held(values: Sequence[float], minute: int) -> float:
    return values[min(minute, len(values) - 1)]
