"""The transformer in the plan: what a load does to its temperatures, by the thermal model and as tangents of it. Pure.

A load factor with margin is K = hypot(|L| + margin, Q)/S_rated, as the headroom counts it: convex in L, and so are the
rises of oil and winding over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import copysign, hypot, sqrt

from v2g.planning.types import PlanSite
from v2g.thermal.ageing import relative_ageing_rate
from v2g.thermal.model import rises_at, step

_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Course:
    """Of each step: the highest temperatures in °C, and their values at its end."""

    hot_spot_c: tuple[float, ...]
    top_oil_c: tuple[float, ...]
    hot_spot_end_c: tuple[float, ...]
    top_oil_end_c: tuple[float, ...]
    loss_of_life_h: float


def course(site: PlanSite, load_w: Sequence[float], step_s: float, *, margins: bool) -> Course:
    """By the thermal model itself, minute by minute. ``margins``: with those of load and temperature."""
    parts = max(1, round(step_s / _MINUTE_S))
    part_s = step_s / parts
    state, params = site.state, site.params
    off_k = site.margin_k if margins else 0.0
    hot, oil, hot_ends, oil_ends = [], [], [], []
    life_h = 0.0
    for n, load in enumerate(load_w):
        more_w = site.base_margin_w[n] if margins else 0.0
        k_pu = hypot(abs(load) + more_w, site.base_var[n]) / params.rated_va
        hottest = oiliest = -1e9
        for _ in range(parts):
            state = step(state, params, k_pu, site.ambient_c[n] + site.bias_k, part_s)
            hottest = max(hottest, state.hot_spot_c)
            oiliest = max(oiliest, state.theta_o_c)
            life_h += relative_ageing_rate(state.hot_spot_c, upgraded_paper=site.upgraded_paper) * part_s / 3600.0
        hot.append(hottest + off_k)
        oil.append(oiliest + off_k)
        hot_ends.append(state.hot_spot_c + off_k)
        oil_ends.append(state.theta_o_c + off_k)
    return Course(tuple(hot), tuple(oil), tuple(hot_ends), tuple(oil_ends), life_h)


@dataclass(frozen=True, slots=True)
class Rise:
    """Steady-state rises in K at a load, and their slopes in K a W."""

    oil_k: float
    oil_slope: float
    winding_k: float
    winding_slope: float


def rise(site: PlanSite, n: int, load_w: float) -> Rise:
    """With the margin of step ``n``. At no load at all the slope 0 is one of many that hold."""
    params = site.params
    size_w = abs(load_w) + site.base_margin_w[n]
    per_va2 = 1.0 / params.rated_va**2
    k_squared = (size_w * size_w + site.base_var[n] ** 2) * per_va2
    oil_k, winding_k = rises_at(params, k_squared)
    if load_w == 0.0 or k_squared <= 0.0:
        return Rise(oil_k, 0.0, winding_k, 0.0)
    turn = copysign(2.0 * size_w * per_va2, load_w)
    losses = k_squared * params.load_loss_factor
    oil_slope = oil_k * params.x * params.r * params.load_loss_factor / (1.0 + params.r * losses) * turn
    return Rise(oil_k, oil_slope, winding_k, winding_k * 0.5 * params.y / k_squared * turn)


def net_range_w(site: PlanSite, n: int) -> tuple[float, float]:
    """Net V2G power that site and K permit in step ``n``: limits that exclude 0 W are wishes, and what base load alone
    exceeds is not to be exceeded further."""
    reach, base_w = reach_w(site, n), site.base_w[n]
    return (
        max(min(site.lo_w[n], 0.0), min(-reach, base_w) - base_w),
        min(max(site.hi_w[n], 0.0), max(reach, base_w) - base_w),
    )


def reach_w(site: PlanSite, n: int) -> float:
    """The highest |load| of step ``n`` that keeps the limit of K with margin; 0 where none does."""
    most_va = site.k_limit_pu * site.params.rated_va
    left = most_va * most_va - site.base_var[n] ** 2
    return max(0.0, sqrt(left) - site.base_margin_w[n]) if left > 0.0 else 0.0
