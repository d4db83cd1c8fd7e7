"""The plan: linear programmes in rounds, each held against the thermal model. Pure; HiGHS is loaded when it is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final

import msgspec

from v2g.planning.fleet import Fleet
from v2g.planning.network import OVER_BASE_K, Network
from v2g.planning.programme import DEADLINE, Programme
from v2g.planning.relaxations import Causes, relaxations
from v2g.planning.scaling import even_powers, scaled
from v2g.planning.stages import Outcome, Stages, Trace
from v2g.planning.types import Plan, PlanRequest, VehiclePlan
from v2g.planning.warming import Course, course, net_range_w
from v2g.planning.wishes import Wish, site_problem, wish_of

MOST_ROUNDS: Final = 4
_UNTIL_KEPT: Final = 8
"""Rounds, where none of the first has kept all limits."""
AGREES_K: Final = 1.0
"""Between the programme's hot-spot and the model's."""
NEGLIGIBLE_K: Final = 0.1
"""Beyond a limit, or beyond what base load alone exceeds."""
_NEGLIGIBLE_W: Final = 1.0
_WITHIN_K: Final = 0.05
"""So much below the limit is aimed at where the model was beyond it."""
_COOL_K: Final = 20.0
"""So much below the limits one round that agrees with the model is enough: ageing is slow there, and squares of the
load are touched closely enough from the start."""
_LATE: Final = 0.4
"""Of the deadline: who has needed so much for a round that agrees with the model does not begin another."""
_KEPT_FOR_WORDS: Final = 0.03
"""Of the deadline, for what comes after the last programme."""


@dataclass(slots=True)
class Detail:
    """What a solution took, for reports."""

    solved_s: float = 0.0
    """Within HiGHS."""
    columns: int = 0
    rows: int = 0
    iterations: int = 0
    restarts: int = 0
    """How often HiGHS failed where it went on from, and began anew."""
    stages: list[list[Trace]] = field(default_factory=list)
    """By round."""
    apart_k: list[float] = field(default_factory=list)
    """By round: greatest difference of the hot-spot at a step's end between the programme and the model."""
    over_k: list[float] = field(default_factory=list)
    """By round: greatest excess over a limit, beyond what base load alone exceeds."""


@dataclass(frozen=True, slots=True)
class _Found:
    powers_w: list[tuple[float, ...]]
    net_w: list[float]
    with_margins: Course
    kept: bool
    """No limit is passed, by the thermal model and by the powers themselves."""
    causes: Causes
    complete: bool


def solve(request: PlanRequest, elapsed: Callable[[], float], detail: Detail | None = None) -> Plan:
    """The best plan that is found within ``request.deadline_s`` of ``elapsed()``, which counts seconds from the start.

    Never raises for what a request can say: what is impossible is a plan's ``problem``, and what a vehicle wishes in
    vain is a relaxation.
    """
    detail = detail if detail is not None else Detail()
    problem = site_problem(request)
    if problem:
        return _none(request, problem, elapsed)
    wishes = [wish_of(vehicle, request) for vehicle in request.vehicles]
    base = course(request.site, request.site.base_w, request.step_s, margins=True)
    if not any(sum(wish.charge_w) + sum(wish.discharge_w) > 0.0 for wish in wishes):
        idle = [(0.0,) * wish.steps for wish in wishes]
        found = _Found(idle, [0.0] * request.steps, base, True, Causes(), complete=True)
        return _plan(request, wishes, base, found, elapsed, rounds=0, out_of_time=False)
    rounds = _Rounds(request, wishes, base, elapsed, detail)
    return rounds.plan()


class _Rounds:
    def __init__(
        self, request: PlanRequest, wishes: list[Wish], base: Course, elapsed: Callable[[], float], detail: Detail
    ) -> None:
        self._request = request
        self._wishes = wishes
        self._base = base
        self._elapsed = elapsed
        self._detail = detail
        self._programme = Programme()
        self._fleet = Fleet(self._programme, wishes, request.step_s)
        self._network = Network(self._programme, request, self._fleet, base)
        self._stages = Stages(self._programme, request, self._fleet, self._network)
        detail.columns, detail.rows = self._programme.size
        self._held_back = [(0.0, 0.0)] * request.steps

    def _left_s(self) -> float:
        return self._request.deadline_s * (1.0 - _KEPT_FOR_WORDS) - self._elapsed()

    def plan(self) -> Plan:
        request = self._request
        best: _Found | None = None
        found: _Found | None = None
        latest: Outcome | None = None
        rounds, why = 0, ""
        self._network.follow_lag(request.site.base_w)
        while rounds < (MOST_ROUNDS if best is not None else _UNTIL_KEPT):
            if best is not None and self._left_s() <= 0.0:
                why = DEADLINE
                break
            rounds += 1
            outcome = self._stages.run(self._left_s)
            why = outcome.why
            if not len(outcome.values):
                break
            found, apart_k = self._verify(outcome)
            latest = outcome
            if found.kept and (best is None or found.complete or not best.complete):
                best = found
            agreed = found.kept and found.complete and apart_k <= AGREES_K
            if why == DEADLINE or (agreed and (rounds > 1 or self._elapsed() > _LATE * request.deadline_s)):
                break
            parted = self._fleet.part_ways(outcome.values, strictly=rounds > 1)
            if agreed and not parted and self._is_cool(found):
                break
            self._again(found)
        if best is not None and best is found and best.complete and latest is not None and why != DEADLINE:
            best = self._spread(best, latest)
        self._detail.solved_s, self._detail.iterations = self._programme.solved_s, self._programme.iterations
        self._detail.restarts = self._programme.restarts
        simpler = ""
        if best is None:
            simpler = _simpler(why, rounds)
            powers = even_powers(request, self._wishes) if found is None else found.powers_w
            powers = scaled(request, self._wishes, powers, lambda tried: self._judged(tried, Causes(), False)[0].kept)
            best, _ = self._judged(powers, Causes(), False)
        out_of_time = why == DEADLINE or not (best.complete or simpler)
        return _plan(
            request, self._wishes, self._base, best, self._elapsed, rounds=rounds, out_of_time=out_of_time,
            simpler=simpler,
        )  # fmt: skip

    def _spread(self, best: _Found, latest: Outcome) -> _Found:
        values = self._stages.spread(latest, self._left_s)
        if not len(values):
            return best
        found, _ = self._judged(self._fleet.powers_w(values), best.causes, True)
        return found if found.kept else best

    def _verify(self, outcome: Outcome) -> tuple[_Found, float]:
        powers = self._fleet.powers_w(outcome.values)
        causes = Causes.of(self._request, self._fleet, self._network, outcome)
        found, over_k = self._judged(powers, causes, outcome.complete)
        linear_c = self._network.hot_spot_c(found.net_w)
        hot_spot_c = found.with_margins.hot_spot_end_c
        apart_k = max(abs(one - other) for one, other in zip(linear_c, hot_spot_c, strict=True))
        self._detail.stages.append(outcome.traces)
        self._detail.apart_k.append(apart_k)
        self._detail.over_k.append(over_k)
        return found, apart_k

    def _judged(self, powers: list[tuple[float, ...]], causes: Causes, complete: bool) -> tuple[_Found, float]:
        """By the thermal model and by the powers themselves; and the greatest excess over a temperature limit."""
        request, site = self._request, self._request.site
        net = [0.0] * request.steps
        for series in powers:
            for n, power_w in enumerate(series):
                net[n] += power_w
        load = [base_w + net_w for base_w, net_w in zip(site.base_w, net, strict=True)]
        ran = course(site, load, request.step_s, margins=True)
        over_k = max(0.0, *(max(over) for over in self._over(ran)))
        kept = over_k <= NEGLIGIBLE_K and self._within(powers, net)
        return _Found(powers, net, ran, kept, causes, complete), over_k

    def _within(self, powers: Sequence[Sequence[float]], net: Sequence[float]) -> bool:
        """Site, K and phases, as far as limits that exclude 0 W are wishes and base load alone keeps them."""
        site = self._request.site
        most_w = None if site.phase_w is None else site.phase_w + _NEGLIGIBLE_W
        for n, net_w in enumerate(net):
            lo_w, hi_w = net_range_w(site, n)
            if not lo_w - _NEGLIGIBLE_W <= net_w <= hi_w + _NEGLIGIBLE_W:
                return False
            for phase in range(3) if most_w is not None else ():
                in_phase_w = sum(
                    series[n] * wish.vehicle.phases[phase]
                    for series, wish in zip(powers, self._wishes, strict=True)
                    if n < len(series)
                )
                if abs(in_phase_w) > (most_w or 0.0):
                    return False
        return True

    def _is_cool(self, found: _Found) -> bool:
        """So far below the limits that other tangents would change nothing."""
        ran, site = found.with_margins, self._request.site
        return (
            max(ran.hot_spot_c) < site.hot_spot_limit_c - _COOL_K
            and max(ran.top_oil_c) < site.top_oil_limit_c - _COOL_K
        )

    def _over(self, ran: Course) -> list[tuple[float, float]]:
        site, base = self._request.site, self._base
        return [
            (
                hot_c - max(site.hot_spot_limit_c, base_hot_c + OVER_BASE_K),
                oil_c - max(site.top_oil_limit_c, base_oil_c + OVER_BASE_K),
            )
            for hot_c, oil_c, base_hot_c, base_oil_c in zip(
                ran.hot_spot_c, ran.top_oil_c, base.hot_spot_c, base.top_oil_c, strict=True
            )
        ]

    def _again(self, found: _Found) -> None:
        load = [base_w + net_w for base_w, net_w in zip(self._request.site.base_w, found.net_w, strict=True)]
        self._network.linearise(load)
        self._network.follow_lag(load)
        self._held_back = [
            (_more(back[0], over[0]), _more(back[1], over[1]))
            for back, over in zip(self._held_back, self._over(found.with_margins), strict=True)
        ]
        self._network.hold_back(self._held_back)


def _more(back_k: float, over_k: float) -> float:
    """What a step is held back by next. The second time it gets no more than base load alone brings."""
    if over_k <= 0.0:
        return back_k
    return inf if back_k > 0.0 else over_k + _WITHIN_K


def _simpler(why: str, rounds: int) -> str:
    if why == DEADLINE:
        return "no better plan was found within its deadline; give planning.deadline_s more, or horizon_h less"
    if why:
        return f"no better plan was found: {why}"
    return f"no better plan that keeps all limits by the thermal model was found in {rounds} rounds"


def _none(request: PlanRequest, problem: str, elapsed: Callable[[], float]) -> Plan:
    return Plan(
        starts_unix_s=request.starts_unix_s, step_s=request.step_s, problem=problem, solve_s=round(elapsed(), 3)
    )


def _plan(
    request: PlanRequest,
    wishes: Sequence[Wish],
    base: Course,
    found: _Found,
    elapsed: Callable[[], float],
    *,
    rounds: int,
    out_of_time: bool,
    simpler: str = "",
) -> Plan:
    site, steps = request.site, request.steps
    load = [base_w + net_w for base_w, net_w in zip(site.base_w, found.net_w, strict=True)]
    expected = course(site, load, request.step_s, margins=False)
    vehicles = [
        _vehicle(wish, powers, steps, request.step_s) for wish, powers in zip(wishes, found.powers_w, strict=True)
    ]
    soc = [
        sum(
            plan.energy_wh[n]
            for plan, wish in zip(vehicles, wishes, strict=True)
            if n < wish.steps and not wish.problem
        )
        for n in range(steps)
    ]
    plan = Plan(
        starts_unix_s=request.starts_unix_s,
        step_s=request.step_s,
        vehicles=tuple(vehicles),
        net_w=tuple(found.net_w),
        load_w=tuple(load),
        hot_spot_c=expected.hot_spot_c,
        top_oil_c=expected.top_oil_c,
        soc_wh=tuple(soc),
        loss_of_life_h=expected.loss_of_life_h,
        overload_k=_excess(request, found.with_margins),
        overload_base_k=_excess(request, base),
        rounds=rounds,
        limited_by_deadline=out_of_time,
        simpler=simpler,
    )
    told = relaxations(request, wishes, plan, found.causes, found.with_margins)
    return msgspec.structs.replace(plan, relaxations=tuple(told), solve_s=round(elapsed(), 3))


def _vehicle(wish: Wish, powers: Sequence[float], steps: int, step_s: float) -> VehiclePlan:
    vehicle, hours = wish.vehicle, step_s / 3600.0
    if wish.problem:
        return VehiclePlan(evse_id=vehicle.evse_id, power_w=(0.0,) * steps, energy_wh=(0.0,) * steps)
    energy_wh, energies = vehicle.energy_wh, []
    for power_w in powers:
        by = vehicle.efficiency_charge if power_w > 0.0 else 1.0 / vehicle.efficiency_discharge
        energy_wh += power_w * by * hours
        energies.append(energy_wh)
    rest = steps - len(powers)
    return VehiclePlan(
        evse_id=vehicle.evse_id,
        power_w=(*powers, *(0.0,) * rest),
        energy_wh=(*energies, *(energy_wh,) * rest),
        unserved_wh=max(0.0, wish.goal_wh - energy_wh),
    )


def _excess(request: PlanRequest, ran: Course) -> float:
    site = request.site
    return max(0.0, max(ran.hot_spot_c) - site.hot_spot_limit_c, max(ran.top_oil_c) - site.top_oil_limit_c)
