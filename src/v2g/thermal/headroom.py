"""What the transformer can carry next: the interval of V2G power that keeps its limits for the whole horizon.

A constant V2G power P is added to the base load, minute by minute; every minute's end must keep hot-spot, top-oil and
K within their limits. Each temperature is convex in P (x >= 0.5, y >= 1, and all step responses positive within the
horizon), so the permitted powers are one interval. Its ends are found by bracketing (false position, Illinois variant),
and the end handed out is always the permitted side of the bracket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, expm1, floor, inf, log, sqrt
from typing import Final

from v2g.thermal.limits import CURRENT, HOT_SPOT, TOP_OIL, UNKNOWN, ThermalLimits
from v2g.thermal.model import MAX_K_PU, ThermalState
from v2g.thermal.parameters import ThermalParameters

_MINUTE_S: Final = 60.0
_POWER_TOLERANCE_W: Final = 1.0
_TEMPERATURE_TOLERANCE_K: Final = 1e-6
_GOLDEN: Final = (sqrt(5.0) - 1.0) / 2.0
_MAX_ROUNDS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PermittedInterval:
    """Permitted constant V2G power, W: ``lo_w <= 0 <= hi_w``. Negative discharges, positive charges.

    0 is always inside: discharge (or, under reverse flow, charge) that would bring the transformer back within its
    limits is permitted, never forced. So, where the base load alone breaks a limit,

    - ``base_source`` names that limit;
    - the direction that adds to the flow gets 0, with that limit as its source;
    - the direction that relieves may go as far as every limit is kept (``feasible``), or, where no power keeps them
      (``feasible`` is False), as far as |K| still falls in every minute of the horizon.

    The two ends have different sources. As bounds of the dispatch they are two half-open ones, lo_w..inf by
    ``lo_source`` and -inf..hi_w by ``hi_source``.
    """

    lo_w: float
    hi_w: float
    lo_source: str
    hi_source: str
    feasible: bool
    """Some constant power keeps all limits over the whole horizon."""
    lo_binds_at_s: float
    """When, counted from now, ``lo_source`` would be reached by a power just beyond ``lo_w``."""
    hi_binds_at_s: float
    base_source: str | None
    """The limit that base load alone (0 W of V2G) breaks within the horizon, or None."""
    hot_spot_c: float
    """Highest hot-spot of the horizon at 0 W of V2G."""
    top_oil_c: float
    """Highest top-oil of the horizon at 0 W of V2G."""


def permitted_interval(
    state: ThermalState,
    params: ThermalParameters,
    limits: ThermalLimits,
    *,
    base_w: float | Sequence[float],
    base_var: float | Sequence[float] = 0.0,
    ambient_c: float | Sequence[float],
    horizon_s: float = 900.0,
) -> PermittedInterval:
    """The interval of V2G power permitted for ``horizon_s`` from now, rounded up to whole minutes.

    ``base_w`` (positive downstream), ``base_var`` and ``ambient_c`` hold for the whole horizon, or are one value for
    each of its minutes; the n-th holds over the n-th minute. V2G power is taken at unity power factor.

    A state or input that is not finite, or that no transformer can have, gives 0..0 with source ``thermal state
    unknown``. Raises ValueError for
    sequences of the wrong length and for a horizon so long that temperatures no longer grow with every minute's load
    (:func:`longest_horizon_s`).
    """
    if not 0.0 < horizon_s <= 86_400.0:
        raise ValueError(f"thermal horizon of {horizon_s} s: give 60..1800 s")
    minutes = ceil(horizon_s / _MINUTE_S)
    base = _per_minute(base_w, minutes, "base_w")
    reactive = _per_minute(base_var, minutes, "base_var")
    ambient = _per_minute(ambient_c, minutes, "ambient_c")
    if not _plausible(state, params, base, reactive, ambient):
        return PermittedInterval(
            lo_w=0.0,
            hi_w=0.0,
            lo_source=UNKNOWN,
            hi_source=UNKNOWN,
            feasible=False,
            lo_binds_at_s=0.0,
            hi_binds_at_s=0.0,
            base_source=UNKNOWN,
            hot_spot_c=inf,
            top_oil_c=inf,
        )
    if minutes * _MINUTE_S > longest_horizon_s(params):
        longest_min = longest_horizon_s(params) / _MINUTE_S
        raise ValueError(
            f"thermal horizon of {minutes} min is too long for this transformer: under constant load its hot-spot "
            f"falls again, and limits no longer form one interval; use {longest_min:.0f} min or less"
        )
    return _Search(state, params, limits, base, reactive, ambient).interval()


def longest_horizon_s(params: ThermalParameters) -> float:
    """The longest horizon, in whole minutes, within which more load never means a cooler hot-spot; at most 24 h.

    Past the maximum of h1 − h2 the oil catches up with the winding. 28 to 58 min for the cooling modes with k21 > 1.
    """
    rise_s, fall_s = params.k22 * params.tau_w_s, params.tau_o_s / params.k22
    rise = params.k21 * -expm1(-_MINUTE_S / rise_s)
    fall = (params.k21 - 1.0) * -expm1(-_MINUTE_S / fall_s)
    if fall <= 0.0 or rise_s >= fall_s:
        return 86_400.0 if rise > fall else 0.0
    lag_s = log(rise / fall) / (1.0 / rise_s - 1.0 / fall_s)
    return min(86_400.0, max(0.0, floor(lag_s / _MINUTE_S) + 1.0) * _MINUTE_S)


def _per_minute(values: float | Sequence[float], minutes: int, name: str) -> Sequence[float]:
    if isinstance(values, int | float):
        return (values,) * minutes
    if len(values) != minutes:
        raise ValueError(f"{name} has {len(values)} values for a horizon of {minutes} minutes")
    return values


def _plausible(
    state: ThermalState,
    params: ThermalParameters,
    base: Sequence[float],
    reactive: Sequence[float],
    ambient: Sequence[float],
) -> bool:
    most_va = MAX_K_PU * params.rated_va
    return (
        all(-100.0 <= a <= 150.0 for a in ambient)
        and all(-most_va <= p <= most_va for p in base)
        and all(-most_va <= q <= most_va for q in reactive)
        and all(-100.0 <= t <= 1000.0 for t in (state.theta_o_c, state.h1_k, state.h2_k))
    )


class _Search:
    """One horizon. The state's own course and the responses to load are linear, so they are computed once."""

    def __init__(
        self,
        state: ThermalState,
        params: ThermalParameters,
        limits: ThermalLimits,
        base: Sequence[float],
        reactive: Sequence[float],
        ambient: Sequence[float],
    ) -> None:
        self._state = state
        self._params = params
        self._limits = limits
        self._oil_gain = -expm1(-_MINUTE_S / (params.k11 * params.tau_o_s))
        self._h1_gain = -expm1(-_MINUTE_S / (params.k22 * params.tau_w_s))
        self._h2_gain = -expm1(-_MINUTE_S * params.k22 / params.tau_o_s)
        self._base = base
        rated2 = params.rated_va * params.rated_va
        self._rows = tuple((b, q * q / rated2, a) for b, q, a in zip(base, reactive, ambient, strict=True))

    def _course(self, power_w: float) -> tuple[float, float, float, int]:
        """Worst excess over the temperature limits in K, of hot-spot and of top-oil, and the minute of the worst."""
        params, limits = self._params, self._limits
        r, x, half_y = params.r, params.x, 0.5 * params.y
        oil_rated, h1_rated = params.dtheta_or_k, params.k21 * params.dtheta_hr_k
        h2_rated = (params.k21 - 1.0) * params.dtheta_hr_k
        oil_gain, h1_gain, h2_gain = self._oil_gain, self._h1_gain, self._h2_gain
        oil, h1, h2 = self._state.theta_o_c, self._state.h1_k, self._state.h2_k
        hot_limit, oil_limit = limits.hot_spot_c, limits.top_oil_c
        worst = hot_worst = oil_worst = -inf
        worst_minute = 0
        per_va, loss_scale = 1.0 / params.rated_va, 1.0 / (1.0 + r)
        for minute, (base, q2, ambient) in enumerate(self._rows, 1):
            p = (base + power_w) * per_va
            k2 = p * p + q2
            gradient = k2**half_y
            oil += (ambient + oil_rated * ((1.0 + r * k2) * loss_scale) ** x - oil) * oil_gain
            h1 += (h1_rated * gradient - h1) * h1_gain
            h2 += (h2_rated * gradient - h2) * h2_gain
            hot_excess = oil + h1 - h2 - hot_limit
            oil_excess = oil - oil_limit
            if hot_excess > hot_worst:
                hot_worst = hot_excess
            if oil_excess > oil_worst:
                oil_worst = oil_excess
            excess = hot_excess if hot_excess > oil_excess else oil_excess
            if excess > worst:
                worst, worst_minute = excess, minute
        return worst, hot_worst, oil_worst, worst_minute

    def _current_window(self) -> tuple[float, int, float, int]:
        """Powers that keep K in every minute, each end with the minute that sets it; lo > hi where none does."""
        rated, k2_limit = self._params.rated_va, self._limits.k_pu * self._limits.k_pu
        lo, lo_minute, hi, hi_minute = -inf, 1, inf, 1
        for minute, (base, q2, _) in enumerate(self._rows, 1):
            if q2 > k2_limit:
                return inf, minute, -inf, minute
            reach = sqrt(k2_limit - q2) * rated
            if -base - reach > lo:
                lo, lo_minute = -base - reach, minute
            if -base + reach < hi:
                hi, hi_minute = -base + reach, minute
        return lo, lo_minute, hi, hi_minute

    def interval(self) -> PermittedInterval:
        window_lo, window_lo_minute, window_hi, window_hi_minute = self._current_window()
        worst, hot_worst, oil_worst, base_minute = self._course(0.0)
        base_source: str | None = None
        if worst > 0.0:
            base_source = HOT_SPOT if hot_worst > 0.0 else TOP_OIL
        elif not window_lo <= 0.0 <= window_hi:
            base_source = CURRENT
            base_minute = window_lo_minute if window_lo > 0.0 else window_hi_minute

        feasible = True
        if base_source is None:
            lo, lo_source, lo_minute = self._end(0.0, worst, window_lo, window_lo_minute)
            hi, hi_source, hi_minute = self._end(0.0, worst, window_hi, window_hi_minute)
        else:
            lo, lo_source, lo_minute = min(0.0, -min(self._base)), base_source, base_minute
            hi, hi_source, hi_minute = max(0.0, -max(self._base)), base_source, base_minute
            inside = self._some_permitted(window_lo, window_hi)
            feasible = inside is not None
            if inside is not None:
                inside_w, inside_worst = inside
                if inside_w < 0.0:
                    lo, lo_source, lo_minute = self._end(inside_w, inside_worst, window_lo, window_lo_minute)
                    hi = 0.0
                else:
                    hi, hi_source, hi_minute = self._end(inside_w, inside_worst, window_hi, window_hi_minute)
                    lo = 0.0
        return PermittedInterval(
            lo_w=lo,
            hi_w=hi,
            lo_source=lo_source,
            hi_source=hi_source,
            feasible=feasible,
            lo_binds_at_s=lo_minute * _MINUTE_S,
            hi_binds_at_s=hi_minute * _MINUTE_S,
            base_source=base_source,
            hot_spot_c=hot_worst + self._limits.hot_spot_c,
            top_oil_c=oil_worst + self._limits.top_oil_c,
        )

    def _end(self, good: float, good_worst: float, edge: float, edge_minute: int) -> tuple[float, str, int]:
        """The last permitted power from ``good`` towards ``edge`` (where K binds), what binds it and when."""
        bad = edge
        bad_worst, bad_hot, _, bad_minute = self._course(edge)
        if bad_worst <= 0.0:
            return edge, CURRENT, edge_minute
        good_weight, bad_weight = good_worst, bad_worst
        moved_good: bool | None = None
        for _ in range(_MAX_ROUNDS):
            if abs(bad - good) <= _POWER_TOLERANCE_W or good_worst >= -_TEMPERATURE_TOLERANCE_K:
                break
            power_w = good + (bad - good) * good_weight / (good_weight - bad_weight)
            worst, hot_worst, _, minute = self._course(power_w)
            if worst <= 0.0:
                good, good_worst, good_weight = power_w, worst, worst
                if moved_good is True:
                    bad_weight *= 0.5
                moved_good = True
            else:
                bad, bad_worst, bad_weight = power_w, worst, worst
                bad_hot, bad_minute = hot_worst, minute
                if moved_good is False:
                    good_weight *= 0.5
                moved_good = False
        return good, HOT_SPOT if bad_hot > 0.0 else TOP_OIL, bad_minute

    def _some_permitted(self, window_lo: float, window_hi: float) -> tuple[float, float] | None:
        """A power that keeps all limits and its excess (<= 0), where 0 W breaks one: golden section to the least."""
        if window_lo > window_hi:
            return None
        a, b = max(window_lo, -max(self._base)), min(window_hi, -min(self._base))
        c, d = b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)
        at_c, at_d = self._course(c)[0], self._course(d)[0]
        for _ in range(_MAX_ROUNDS):
            if at_c <= 0.0:
                return c, at_c
            if at_d <= 0.0:
                return d, at_d
            if b - a <= _POWER_TOLERANCE_W:
                return None
            if at_c < at_d:
                b, d, at_d = d, c, at_c
                c = b - _GOLDEN * (b - a)
                at_c = self._course(c)[0]
            else:
                a, c, at_c = c, d, at_d
                d = a + _GOLDEN * (b - a)
                at_d = self._course(d)[0]
        return None
