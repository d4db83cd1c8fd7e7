"""What the transformer can carry next: the interval of V2G power that keeps its limits for the whole horizon.

A constant V2G power P is added to the base load, minute by minute; every minute's end must keep hot-spot, top-oil and
K within their limits.

Why the permitted powers are one interval: with base load b and its margin m >= 0, a minute's load factor is
K = hypot(|b + P| + m, Q)/S_rated. |b + P| + m is convex in P and >= 0, and hypot(·, Q) is convex and rising there, so K
is convex in P. (1 + R·K²)^x with x >= 0.5 and K^y with y >= 1 are convex and rising in K >= 0, and a load loss factor
only scales K². Each temperature adds them up with weights that are all positive within :func:`longest_horizon_s`, so
it is convex in P; margins of temperature shift limits by a constant. The excess, as the greatest of convex functions,
is convex, and where it is <= 0 is one interval.

The search rests on that: the last permitted power is approached with the response to a mean load as a model, and its
distance to the true end is bounded by a chord of the convex excess. What is handed out has been found permitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, copysign, expm1, floor, inf, isfinite, log, sqrt
from typing import Final, NamedTuple

from v2g.thermal.limits import UNKNOWN, ThermalLimits
from v2g.thermal.model import MAX_K_PU, ThermalState
from v2g.thermal.parameters import ThermalParameters

_MINUTE_S: Final = 60.0
_POWER_TOLERANCE_W: Final = 1.0
_AIM_W: Final = 0.3
"""So much within the limit is aimed at: a point found permitted is an end, one beyond it is only a bound."""
_CHORD_ROUNDS: Final = 3
_OPEN_ROUNDS: Final = 20
_MAX_ROUNDS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PermittedInterval:
    """Permitted constant V2G power, W: ``lo_w <= 0 <= hi_w``. Negative discharges, positive charges.

    0 is always inside: discharge (or, under reverse flow, charge) that would bring the transformer back within its
    limits is permitted, never forced. So, where the base load alone breaks a limit,

    - ``base_source`` names that limit (as the limits name it: cold oil and ageing budget name themselves);
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
    """Highest hot-spot of the horizon at 0 W of V2G, margins included: what is compared with the limit."""
    top_oil_c: float
    """Highest top-oil of the horizon at 0 W of V2G, margins included."""


def permitted_interval(
    state: ThermalState,
    params: ThermalParameters,
    limits: ThermalLimits,
    *,
    base_w: float | Sequence[float],
    base_var: float | Sequence[float] = 0.0,
    ambient_c: float | Sequence[float],
    horizon_s: float = 900.0,
    base_margin_w: float | Sequence[float] = 0.0,
    margin_k: float | Sequence[float] = 0.0,
) -> PermittedInterval:
    """The interval of V2G power permitted for ``horizon_s`` from now, rounded up to whole minutes.

    ``base_w`` (positive downstream), ``base_var`` and ``ambient_c`` hold for the whole horizon, or are one value for
    each of its minutes; the n-th holds over the n-th minute. V2G power is taken at unity power factor.

    ``base_margin_w`` >= 0, W: the base load may be that much more, or less, so temperatures are counted with a K of the
    minute of hypot(|base + P| + margin, Q)/S_rated. The K limit itself is held to the load as it is expected: a current
    leaves nothing behind, and is judged anew with the next second's load. ``margin_k`` >= 0, K, is taken off the
    hot-spot and top-oil limits of the minute. The power of least |K|, up to which relief is permitted where no power
    keeps the limits, is that of the base load itself, without margins.

    A state or input that is not finite, or that no transformer can have, and a negative margin give 0..0 with source
    ``thermal state unknown``. Raises ValueError for sequences of the wrong length and for a horizon so long that
    temperatures no longer grow with every minute's load (:func:`longest_horizon_s`).
    """
    if not 0.0 < horizon_s <= 86_400.0:
        raise ValueError(f"thermal horizon of {horizon_s} s: give 60..1800 s")
    minutes = ceil(horizon_s / _MINUTE_S)
    base = _per_minute(base_w, minutes, "base_w")
    reactive = _per_minute(base_var, minutes, "base_var")
    ambient = _per_minute(ambient_c, minutes, "ambient_c")
    margin = _per_minute(base_margin_w, minutes, "base_margin_w")
    off_k = _per_minute(margin_k, minutes, "margin_k")
    most_va = MAX_K_PU * params.rated_va
    if not (
        _within(base, -most_va, most_va)
        and _within(reactive, -most_va, most_va)
        and _within(ambient, -100.0, 150.0)
        and _within(margin, 0.0, most_va)
        and _within(off_k, 0.0, 1000.0)
        and _within((state.theta_o_c, state.h1_k, state.h2_k), -100.0, 1000.0)
    ):
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
    longest_s = longest_horizon_s(params)
    if minutes * _MINUTE_S > longest_s:
        raise ValueError(
            f"thermal horizon of {minutes} min is too long for this transformer: under constant load its hot-spot "
            f"falls again, and limits no longer form one interval; use {longest_s / _MINUTE_S:.0f} min or less"
        )
    return _Search(state, params, limits, base, reactive, ambient, margin, off_k).interval()


def relief_power_w(base_w: float) -> float:
    """The V2G power, W, that leads to the least |K|: it cancels the active base load (positive downstream)."""
    return 0.0 - base_w


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


def _within(values: Sequence[float], low: float, high: float) -> bool:
    """All of them; a sum that is not finite tells of NaN, which min and max would overlook."""
    return isfinite(sum(values)) and low <= min(values) and max(values) <= high


class _Excess(NamedTuple):
    """Over the limits less margins, in K; ``worst`` is the greater of both, at the end of ``minute``."""

    worst: float
    hot: float
    oil: float
    minute: int
    hot_last: float
    """Hot-spot at the last minute's end."""


class _Search:
    """One horizon. Loads are in per unit of the rated power times √(load loss factor), so that K² is that of losses."""

    def __init__(
        self,
        state: ThermalState,
        params: ThermalParameters,
        limits: ThermalLimits,
        base: Sequence[float],
        reactive: Sequence[float],
        ambient: Sequence[float],
        margin: Sequence[float],
        off_k: Sequence[float],
    ) -> None:
        self._limits = limits
        self._base = base
        self._rated_va = params.rated_va
        self._reactive, self._margin = reactive, margin
        self._per_w = scale = sqrt(params.load_loss_factor) / params.rated_va
        self._r, self._x, self._half_y = params.r, params.x, 0.5 * params.y
        oil_gain = -expm1(-_MINUTE_S / (params.k11 * params.tau_o_s))
        h1_gain = -expm1(-_MINUTE_S / (params.k22 * params.tau_w_s))
        h2_gain = -expm1(-_MINUTE_S * params.k22 / params.tau_o_s)
        self._keep_oil, self._keep_h1, self._keep_h2 = 1.0 - oil_gain, 1.0 - h1_gain, 1.0 - h2_gain
        self._oil_k = oil_gain * params.dtheta_or_k / (1.0 + params.r) ** params.x
        self._h1_k = h1_gain * params.k21 * params.dtheta_hr_k
        self._h2_k = h2_gain * (params.k21 - 1.0) * params.dtheta_hr_k

        oil, h1, h2 = state.theta_o_c, state.h1_k, state.h2_k
        hot_limit, oil_limit = limits.hot_spot_c, limits.top_oil_c
        keep_h1, keep_h2 = self._keep_h1, self._keep_h2
        rows = []
        sum_p = sum_m = sum_pm = sum_squares = 0.0
        for p, q, a, m, off in zip(base, reactive, ambient, margin, off_k, strict=True):
            oil += (a - oil) * oil_gain
            h1 *= keep_h1
            h2 *= keep_h2
            p *= scale
            q *= scale
            m *= scale
            q *= q
            sum_p += p
            sum_m += m
            sum_pm += p * m
            sum_squares += p * p + m * m + q
            rows.append((p, m, q, hot_limit - off - oil - h1 + h2, oil_limit - off - oil))
        self._rows = rows
        per_row = 1.0 / len(rows)
        self._means = (
            ((sum_p - sum_m) * per_row, (sum_squares - 2.0 * sum_pm) * per_row),
            ((sum_p + sum_m) * per_row, (sum_squares + 2.0 * sum_pm) * per_row),
        )
        """Of load and of K², for powers that discharge, and that charge, beyond the base load."""

    def _course(self, power_w: float) -> _Excess:
        r, x, half_y = self._r, self._x, self._half_y
        oil_k, h1_k, h2_k = self._oil_k, self._h1_k, self._h2_k
        keep_oil, keep_h1, keep_h2 = self._keep_oil, self._keep_h1, self._keep_h2
        oil = h1 = h2 = hot_over = oil_over = 0.0
        hot_worst = oil_worst = -inf
        hot_minute = oil_minute = 0
        power = power_w * self._per_w
        for minute, (p, m, q2, hot_room, oil_room) in enumerate(self._rows, 1):
            k = abs(p + power) + m
            k2 = k * k + q2
            gradient = k2**half_y
            oil = oil * keep_oil + oil_k * (1.0 + r * k2) ** x
            h1 = h1 * keep_h1 + h1_k * gradient
            h2 = h2 * keep_h2 + h2_k * gradient
            hot_over = oil + h1 - h2 - hot_room
            oil_over = oil - oil_room
            if hot_over > hot_worst:
                hot_worst, hot_minute = hot_over, minute
            if oil_over > oil_worst:
                oil_worst, oil_minute = oil_over, minute
        if hot_worst >= oil_worst:
            return _Excess(hot_worst, hot_worst, oil_worst, hot_minute, hot_over)
        return _Excess(oil_worst, hot_worst, oil_worst, oil_minute, hot_over)

    def _slope(self, power_w: float, at: _Excess) -> float:
        """Of the worst excess over power, K/W: a subgradient, from the minute and temperature that are worst."""
        hot = at.hot >= at.oil
        slope = oil = h1 = h2 = 0.0
        power = power_w * self._per_w
        for p, m, q2, _, _ in self._rows[: at.minute]:
            signed = p + power
            k = abs(signed) + m
            k2 = k * k + q2
            if k2 > 0.0:
                slope = copysign(2.0 * k, signed)
                oil_slope = self._oil_k * self._x * self._r * (1.0 + self._r * k2) ** (self._x - 1.0) * slope
                gradient_slope = self._half_y * k2 ** (self._half_y - 1.0) * slope
            else:
                oil_slope = gradient_slope = 0.0
            oil = oil * self._keep_oil + oil_slope
            h1 = h1 * self._keep_h1 + self._h1_k * gradient_slope
            h2 = h2 * self._keep_h2 + self._h2_k * gradient_slope
        return (oil + h1 - h2 if hot else oil) * self._per_w

    def _current_window(self) -> tuple[float, int, float, int]:
        """Powers that keep K in every minute, each end with the minute that sets it; lo > hi where none does."""
        most_va = self._limits.k_pu * self._rated_va
        most_va2 = most_va * most_va
        lo, lo_minute, hi, hi_minute = -inf, 1, inf, 1
        for minute, (p, q) in enumerate(zip(self._base, self._reactive, strict=True), 1):
            left = most_va2 - q * q
            if left < 0.0:
                return inf, minute, -inf, minute
            reach = sqrt(left)
            if -p - reach > lo:
                lo, lo_minute = -p - reach, minute
            if reach - p < hi:
                hi, hi_minute = reach - p, minute
        return lo, lo_minute, hi, hi_minute

    def interval(self) -> PermittedInterval:
        limits = self._limits
        window_lo, window_lo_minute, window_hi, window_hi_minute = self._current_window()
        at_base = self._course(0.0)
        base_source: str | None = None
        base_minute = at_base.minute
        if at_base.worst > 0.0:
            base_source = limits.hot_spot_source if at_base.hot > 0.0 else limits.top_oil_source
        elif not window_lo <= 0.0 <= window_hi:
            base_source = limits.k_source
            base_minute = window_lo_minute if window_lo > 0.0 else window_hi_minute

        feasible = True
        if base_source is None:
            lo, lo_source, lo_minute = self._end(0.0, at_base, window_lo, window_lo_minute)
            hi, hi_source, hi_minute = self._end(0.0, at_base, window_hi, window_hi_minute)
        else:
            lo, lo_source, lo_minute = min(0.0, relief_power_w(min(self._base))), base_source, base_minute
            hi, hi_source, hi_minute = max(0.0, relief_power_w(max(self._base))), base_source, base_minute
            inside = self._some_permitted(window_lo, window_hi)
            feasible = inside is not None
            if inside is not None:
                inside_w, at_inside = inside
                if inside_w < 0.0:
                    lo, lo_source, lo_minute = self._end(inside_w, at_inside, window_lo, window_lo_minute)
                    hi = 0.0
                else:
                    hi, hi_source, hi_minute = self._end(inside_w, at_inside, window_hi, window_hi_minute)
                    lo = 0.0
        return PermittedInterval(
            lo_w=lo + 0.0,
            hi_w=hi + 0.0,
            lo_source=lo_source,
            hi_source=hi_source,
            feasible=feasible,
            lo_binds_at_s=lo_minute * _MINUTE_S,
            hi_binds_at_s=hi_minute * _MINUTE_S,
            base_source=base_source,
            hot_spot_c=at_base.hot + limits.hot_spot_c,
            top_oil_c=at_base.oil + limits.top_oil_c,
        )

    def _end(self, good: float, at_good: _Excess, edge: float, edge_minute: int) -> tuple[float, str, int]:
        """The last permitted power from ``good`` towards ``edge`` (where K binds), what binds it and when."""
        sign = 1.0 if edge > good else -1.0
        power_w = self._model_end(good, at_good.hot_last, True, len(self._rows), sign)
        # A little within, so that it probably is permitted and the next one gets a chord of the true excess.
        power_w -= 0.01 * (power_w - good)
        bad, at_bad = edge, None
        for rounds in range(_MAX_ROUNDS):
            if at_bad is None and min(sign * (edge - power_w), sign * (edge - good)) <= _POWER_TOLERANCE_W:
                at_edge = self._course(edge)
                if at_edge.worst <= 0.0:
                    return edge, self._limits.k_source, edge_minute
                at_bad = at_edge
                power_w = self._model_end(edge, at_edge.worst, at_edge.hot >= at_edge.oil, at_edge.minute, sign)
                power_w -= sign * _AIM_W
            if at_bad is not None and sign * (bad - good) <= _POWER_TOLERANCE_W:
                break
            if not sign * good < sign * power_w < sign * bad or rounds > _OPEN_ROUNDS:
                power_w = 0.5 * (good + bad)
            at = self._course(power_w)
            if at.worst > 0.0:
                bad, at_bad = power_w, at
                rise = (at.worst - at_good.worst) / (power_w - good)
            else:
                rise = (at.worst - at_good.worst) / (power_w - good)
                good, at_good = power_w, at
                # By convexity the excess rises at least as fast beyond as it did up to here.
                if sign * rise * _POWER_TOLERANCE_W >= -at.worst:
                    break
            if rounds == 0 or sign * rise <= 0.0:
                power_w = self._model_end(power_w, at.worst, at.hot >= at.oil, at.minute, sign) - sign * _AIM_W
            else:
                if at.worst > 0.0 and rounds >= _CHORD_ROUNDS:
                    rise = self._slope(power_w, at) or rise
                power_w -= at.worst / rise + sign * _AIM_W
        at_end = at_good if at_bad is None or sign * (bad - good) > _POWER_TOLERANCE_W else at_bad
        source = self._limits.hot_spot_source if at_end.hot >= at_end.oil else self._limits.top_oil_source
        return good, source, at_end.minute

    def _model_end(self, from_w: float, excess: float, hot: bool, minute: int, sign: float) -> float:
        """The power at which that excess would be gone, if the load were the horizon's mean all the time."""
        mean, mean_square = self._means[sign > 0.0]
        oil_k = self._oil_k * _geometric(self._keep_oil, minute)
        gradient_k = 0.0
        if hot:
            gradient_k = self._h1_k * _geometric(self._keep_h1, minute) - self._h2_k * _geometric(self._keep_h2, minute)
        r, x, half_y = self._r, self._x, self._half_y
        power = from_w * self._per_w
        k2 = max(power * (power + 2.0 * mean) + mean_square, 1e-6)
        oil, gradient = oil_k * (1.0 + r * k2) ** x, gradient_k * k2**half_y
        target = oil + gradient - excess
        for _ in range(6):
            change = (target - oil - gradient) / (x * r * oil / (1.0 + r * k2) + half_y * gradient / k2)
            k2 = max(k2 + change, 0.1 * k2)
            if abs(change) <= 1e-4 * k2:
                break
            oil, gradient = oil_k * (1.0 + r * k2) ** x, gradient_k * k2**half_y
        under_root = mean * mean - mean_square + k2
        return (sign * sqrt(max(under_root, 0.0)) - mean) / self._per_w

    def _some_permitted(self, window_lo: float, window_hi: float) -> tuple[float, _Excess] | None:
        """A power that keeps all limits, where 0 W breaks one; None where none does.

        The least excess lies between the powers that cancel the greatest and the least base load. A tangent bounds the
        excess from below, so nothing is permitted on this side of where it reaches 0.
        """
        left, right = max(window_lo, -max(self._base)), min(window_hi, -min(self._base))
        if window_lo > window_hi:
            return None
        for _ in range(_MAX_ROUNDS):
            power_w = 0.5 * (left + right)
            at = self._course(power_w)
            if at.worst <= 0.0:
                return power_w, at
            slope = self._slope(power_w, at)
            if slope == 0.0:
                return None
            if slope < 0.0:
                left = power_w - at.worst / slope
            else:
                right = power_w - at.worst / slope
            if right - left <= _POWER_TOLERANCE_W:
                return None
        return None


def _geometric(keep: float, minutes: int) -> float:
    return float((1.0 - keep**minutes) / (1.0 - keep))
