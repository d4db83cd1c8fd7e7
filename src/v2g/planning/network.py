"""Transformer, feeder and phases in the linear programme: net power by step in kW, temperatures in °C.

Rises over load enter as tangents from below, which is exact where the tangents touch; only what the oil lag takes off
the hot-spot (``h2``) follows a single tangent, so that no heat can be invented in order to be taken off. Where the base
load alone keeps a limit it is hard; where it does not, so much of it as base load alone exceeds is soft and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, inf
from typing import Final, NamedTuple

from v2g.planning.fleet import Fleet
from v2g.planning.programme import Programme, tangent
from v2g.planning.types import PlanRequest
from v2g.planning.warming import Course, reach_w, rise
from v2g.thermal.ageing import relative_ageing_rate

OVER_BASE_K: Final = 0.02
"""By so much a limit that base load alone exceeds may be exceeded beyond it."""
_MORE_LOADS: Final = 4
_FLAT_LOADS: Final = 17
_FLAT_LOADS_PRICED: Final = 9
"""Where a price decides before a flat load does."""
_AGEING_STEP_K: Final = 4.0
_LEAST_RATE: Final = 0.005
_K_WEIGHT: Final = 100.0
"""K a per unit: what exceeding the limit of K counts beside temperatures."""
_HARD_WEIGHT: Final = 1e3
_SLACK: Final = 1e-5
_ASKED_WEIGHT: Final = 1e2


class Touch(NamedTuple):
    """Where rises are touched: the rows of the tangents, their slopes (K a kW) and the rises at no V2G power."""

    oil_row: int
    oil_slope: float
    oil_k: float
    winding_row: int
    winding_slope: float
    winding_k: float


class _Held(NamedTuple):
    """A temperature's limit in one step: its row, the column of what base load alone exceeds (-1: nothing), and how hot
    base load alone makes it at the step's end."""

    row: int
    over: int
    limit_c: float
    off_k: float
    base_c: float


class Network:
    """All that the sum of the vehicles meets. ``base`` is the course of base load alone, with margins."""

    def __init__(self, programme: Programme, request: PlanRequest, fleet: Fleet, base: Course) -> None:
        self._programme = programme
        self._request = request
        self._site = site = request.site
        self._base = base
        steps, rated_kw = request.steps, site.params.rated_va / 1e3
        self._rated_kw = rated_kw
        most_kw, least_kw = _fleet_reach(fleet, steps)
        self.net: list[int] = []
        self.net_by: list[tuple[str, str]] = []
        """What sets the lower and the upper bound of the net power."""
        self.overload: dict[int, float] = {}
        self.broken: dict[int, float] = {}
        """Columns by which hard limits would be passed, all 0 wherever that can be."""
        self.oil_rise: list[int] = []
        self.winding_rise: list[int] = []
        self.hot: list[int] = []
        self.rates: list[int] = []
        self.flat: list[int] = []
        self.hot_rows: list[int] = []
        self.oil_rows: list[int] = []
        self.phase_rows: list[tuple[int, ...] | None] = []
        self.tangents: list[list[Touch]] = [[] for _ in range(steps)]
        self._held: list[_Held] = []
        self._lag_rows: list[int] = []
        self._lag: list[tuple[float, float]] = []
        self._range_kw: list[tuple[float, float]] = []
        for n in range(steps):
            self._add_net(n, fleet, least_kw[n], most_kw[n])
        self._add_phases(fleet)
        self._add_temperatures()
        for n in range(steps):
            self._add_curves(n)

    def _add_net(self, n: int, fleet: Fleet, least_kw: float, most_kw: float) -> None:
        site, programme = self._site, self._programme
        reach, base = reach_w(site, n) / 1e3, site.base_w[n] / 1e3
        lo_k, hi_k = min(-reach, base) - base, max(reach, base) - base
        lo_site, hi_site = site.lo_w[n] / 1e3, site.hi_w[n] / 1e3
        lo, hi = max(lo_k, min(lo_site, 0.0)), min(hi_k, max(hi_site, 0.0))
        self.net_by.append(("site" if lo_site >= lo_k else "K", "site" if hi_site <= hi_k else "K"))
        net = programme.column(lo, hi)
        self.net.append(net)
        self._range_kw.append((base + max(lo, least_kw), base + min(hi, most_kw)))
        terms = [term for at in range(len(fleet.columns)) for term in fleet.power_terms(at, n)]
        programme.row(0.0, 0.0, ((net, -1.0), *terms))
        for asked, sign in ((lo_site, 1.0), (-hi_site, -1.0)):
            if asked > 0.0:
                # A cap below 0 or a floor above it, as far as the vehicles can follow.
                lacking = self._broken(_ASKED_WEIGHT)
                programme.row(asked, inf, ((net, sign), (lacking, 1.0)))
        if abs(base) > reach:
            over = programme.column(0.0, abs(base) - reach)
            self.overload[over] = _K_WEIGHT / self._rated_kw
            programme.row(-inf, reach - base, ((net, 1.0), (over, -1.0)))
            programme.row(-reach - base, inf, ((net, 1.0), (over, 1.0)))

    def _broken(self, weight: float = _HARD_WEIGHT) -> int:
        column = self._programme.column(0.0, 0.0)
        self.broken[column] = weight
        return column

    def _add_phases(self, fleet: Fleet) -> None:
        most = self._site.phase_w
        for n in range(self._request.steps):
            if most is None:
                self.phase_rows.append(None)
                continue
            rows = []
            for phase in range(3):
                terms = [(self.net[n], 1 / 3)]
                for at, wish in enumerate(fleet.wishes):
                    apart = wish.vehicle.phases[phase] - 1 / 3
                    if abs(apart) > 1e-6:
                        terms += [(column, apart * sign) for column, sign in fleet.power_terms(at, n)]
                rows.append(self._programme.row(-most / 1e3, most / 1e3, terms))
            self.phase_rows.append(tuple(rows))

    def _add_temperatures(self) -> None:
        programme, site, params = self._programme, self._site, self._site.params
        step_s = self._request.step_s
        keep_oil = exp(-step_s / (params.k11 * params.tau_o_s))
        keep_h1 = exp(-step_s / (params.k22 * params.tau_w_s))
        keep_h2 = exp(-step_s * params.k22 / params.tau_o_s)
        self._keep = keep_oil, keep_h1, keep_h2
        self._lag_gain = (1.0 - keep_h2) * (params.k21 - 1.0)
        self._lag_first = keep_h2 * site.state.h2_k
        before: tuple[int, int, int] | None = None
        for n in range(self._request.steps):
            oil_rise, winding_rise = programme.column(0.0, inf), programme.column(0.0, inf)
            oil, h1, h2, hot = (programme.column(-inf, inf) for _ in range(4))
            self.oil_rise.append(oil_rise)
            self.winding_rise.append(winding_rise)
            self.hot.append(hot)
            around_c = (1.0 - keep_oil) * (site.ambient_c[n] + site.bias_k)
            rows = (
                (oil, keep_oil, site.state.theta_o_c, [(oil_rise, keep_oil - 1.0)], around_c),
                (h1, keep_h1, site.state.h1_k, [(winding_rise, (keep_h1 - 1.0) * params.k21)], 0.0),
            )
            for at, (column, keep, first, terms, driven) in enumerate(rows):
                held = driven + (keep * first if before is None else 0.0)
                terms = [(column, 1.0), *terms, *([(before[at], -keep)] if before is not None else [])]
                programme.row(held, held, terms)
            terms = [(h2, 1.0), (self.net[n], 0.0), *([(before[2], -keep_h2)] if before is not None else [])]
            self._lag_rows.append(programme.row(0.0, 0.0, terms))
            programme.row(site.margin_k, site.margin_k, ((hot, 1.0), (oil, -1.0), (h1, -1.0), (h2, 1.0)))
            self._add_limits(n, oil, hot)
            before = oil, h1, h2

    def _add_limits(self, n: int, oil: int, hot: int) -> None:
        site, programme = self._site, self._programme
        limits = (
            (hot, site.hot_spot_limit_c, self._base.hot_spot_end_c[n], self.hot_rows, 0.0),
            (oil, site.top_oil_limit_c, self._base.top_oil_end_c[n], self.oil_rows, site.margin_k),
        )
        for column, limit_c, base_c, rows, off_k in limits:
            terms = [(column, 1.0), (self._broken(), -1.0)]
            over = -1
            if base_c > limit_c:
                over = programme.column(0.0, base_c + OVER_BASE_K - limit_c)
                self.overload[over] = 1.0
                terms.append((over, -1.0))
            rows.append(programme.row(-inf, limit_c - off_k, terms))
            self._held.append(_Held(rows[-1], over, limit_c, off_k, base_c))

    def _add_curves(self, n: int) -> None:
        programme, site = self._programme, self._site
        low, high = self._range_kw[n]
        self._touch_rises(n, site.base_w[n] / 1e3)
        for at in range(_MORE_LOADS):
            self._touch_rises(n, low + (high - low) * (at + 0.5) / _MORE_LOADS)
        rate, flat = programme.column(0.0, inf), programme.column(0.0, inf)
        self.rates.append(rate)
        self.flat.append(flat)
        hottest_c = max(site.hot_spot_limit_c, self._base.hot_spot_c[n]) + _AGEING_STEP_K
        at_c = hottest_c
        while (v := relative_ageing_rate(at_c, upgraded_paper=site.upgraded_paper)) > _LEAST_RATE:
            self._touch_rate(n, at_c, v)
            at_c -= _AGEING_STEP_K
        loads = _FLAT_LOADS_PRICED if site.price else _FLAT_LOADS
        for at in range(loads):
            self._touch_flat(n, low + (high - low) * at / (loads - 1))

    def _touch_rises(self, n: int, load_kw: float) -> None:
        at, net_kw = rise(self._site, n, load_kw * 1e3), load_kw - self._site.base_w[n] / 1e3
        net, oil_slope, winding_slope = self.net[n], at.oil_slope * 1e3, at.winding_slope * 1e3
        oil_row = tangent(self._programme, self.oil_rise[n], net, net_kw, at.oil_k, oil_slope)
        winding_row = tangent(self._programme, self.winding_rise[n], net, net_kw, at.winding_k, winding_slope)
        oil_k, winding_k = at.oil_k - oil_slope * net_kw, at.winding_k - winding_slope * net_kw
        self.tangents[n].append(Touch(oil_row, oil_slope, oil_k, winding_row, winding_slope, winding_k))

    def _touch_rate(self, n: int, hot_spot_c: float, v: float) -> None:
        around = 0.01
        up = relative_ageing_rate(hot_spot_c + around, upgraded_paper=self._site.upgraded_paper)
        tangent(self._programme, self.rates[n], self.hot[n], hot_spot_c, v, (up - v) / around)

    def _touch_flat(self, n: int, load_kw: float) -> None:
        load = load_kw / self._rated_kw
        net_kw = load_kw - self._site.base_w[n] / 1e3
        tangent(self._programme, self.flat[n], self.net[n], net_kw, load * load, 2.0 * load / self._rated_kw)

    def linearise(self, load_w: Sequence[float]) -> None:
        """Tangents at a trajectory, besides those that there are; what the oil lag takes off follows it alone."""
        for n, load in enumerate(load_w):
            self._touch_rises(n, load / 1e3)
            self._touch_flat(n, load / 1e3)

    def hot_spot_c(self, net_w: Sequence[float]) -> list[float]:
        """At each step's end, by the tangents: what the programme takes the hot-spot for, where it counts."""
        site, keep = self._site, self._keep
        oil, h1, h2 = site.state.theta_o_c, site.state.h1_k, site.state.h2_k
        series = []
        for n, power_w in enumerate(net_w):
            net_kw, touched = power_w / 1e3, self.tangents[n]
            oil_k = max(one.oil_k + one.oil_slope * net_kw for one in touched)
            winding_k = max(one.winding_k + one.winding_slope * net_kw for one in touched)
            lag_k, lag_slope = self._lag[n]
            oil = keep[0] * oil + (1.0 - keep[0]) * (site.ambient_c[n] + site.bias_k + oil_k)
            h1 = keep[1] * h1 + (1.0 - keep[1]) * site.params.k21 * winding_k
            h2 = keep[2] * h2 + lag_k + lag_slope * net_kw
            series.append(oil + h1 - h2 + site.margin_k)
        return series

    def follow_lag(self, load_w: Sequence[float]) -> None:
        """The oil lag as it is at a trajectory, and its slope there. The programme must be loaded."""
        gain, self._lag = self._lag_gain, []
        for n, (row, load) in enumerate(zip(self._lag_rows, load_w, strict=True)):
            at, net_kw = rise(self._site, n, load), (load - self._site.base_w[n]) / 1e3
            slope = at.winding_slope * 1e3
            lag_k = gain * (at.winding_k - slope * net_kw)
            self._lag.append((lag_k, gain * slope))
            held = lag_k + (self._lag_first if n == 0 else 0.0)
            self._programme.coefficient(row, self.net[n], -gain * slope)
            self._programme.bound_row(row, held, held)

    def hold_back(self, over_k: Sequence[tuple[float, float]]) -> None:
        """Limits of hot-spot and top-oil lower by so much in each step, as the model exceeded them; never below what
        base load alone brings, which is always possible."""
        for held, back_k in zip(self._held, (each for pair in over_k for each in pair), strict=True):
            if held.over >= 0:
                least_k = held.base_c - held.limit_c
                self._programme.bound_column(held.over, 0.0, least_k + max(0.0, OVER_BASE_K - back_k))
            else:
                kept_c = max(held.limit_c - back_k, held.base_c)
                self._programme.bound_row(held.row, -inf, kept_c - held.off_k)

    def allow_breaking(self, allowed: bool, values: Sequence[float] = ()) -> None:
        """Whether hard limits may be passed at a high price; then by as much as ``values`` say they must."""
        for column in self.broken:
            if allowed:
                self._programme.bound_column(column, 0.0, inf)
            else:
                most = max(0.0, values[column]) + _SLACK if len(values) else 0.0
                self._programme.bound_column(column, 0.0, most)

    @property
    def has_duties(self) -> bool:
        return any(weight < _HARD_WEIGHT for weight in self.broken.values())

    def hold_net(self, values: Sequence[float]) -> None:
        """The sum of all vehicles as it is: temperatures follow from it, and only shares are left to choose."""
        for column in self.net:
            lower, upper = self._programme.bounds(column)
            value = min(max(values[column], lower), upper)
            self._programme.bound_column(column, max(lower, value - _SLACK), min(upper, value + _SLACK))

    def ageing_costs(self) -> dict[int, float]:
        """Hours of life, at the temperatures with their margins."""
        return dict.fromkeys(self.rates, self._request.step_s / 3600.0)

    def price_costs(self) -> dict[int, float]:
        """As it is, so that losses cost what they cost; where some are negative, above the lowest of them, so that none
        is earned by losing."""
        lowest, hours = min(0.0, *self._site.price), self._request.step_s / 3600.0
        return {net: (price - lowest) * hours for net, price in zip(self.net, self._site.price, strict=True)}

    def flat_costs(self) -> dict[int, float]:
        return dict.fromkeys(self.flat, 1.0)


def _fleet_reach(fleet: Fleet, steps: int) -> tuple[list[float], list[float]]:
    most, least = [0.0] * steps, [0.0] * steps
    for wish in fleet.wishes:
        for n in range(wish.steps):
            most[n] += wish.charge_w[n] / 1e3
            least[n] -= wish.discharge_w[n] / 1e3
    return most, least
