"""One objective after the other: what a later one may give up of an earlier is a small part and no more.

=====  ===========  ==============================================================================================
given  stage        what is minimised
up as
=====  ===========  ==============================================================================================
never  limits       passing a hard limit where it cannot be kept; order 4, the way up to min-SoC; operators' orders
3      departures   energy that drivers miss when they leave
2      overload     what base load alone exceeds, relieved by discharge; then ageing of the paper
1      flatness     cost of energy where there is a price; then the squares of the transformer's load; then throughput
=====  ===========  ==============================================================================================

Wishes are given up from 1 on. A hard limit and a floor against discharge never are: stage ``limits`` passes one only
where no plan at all keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final

from v2g.planning.fleet import Fleet
from v2g.planning.network import Network
from v2g.planning.programme import INFEASIBLE, Programme, Stopped
from v2g.planning.types import PlanRequest

_WEAR: Final = 0.1
"""Of the span of prices: what a kWh out of a battery must earn besides its losses."""
_AGEING_SHARE: Final = 0.05
_AGEING_RATE: Final = 0.01
"""Ageing is not counted closer than this share of rated ageing: a cool transformer leaves the price its way."""
_NOTHING: Final = 1e-4
_THROUGHPUT_SHARE: Final = 0.01
_SPREAD_SHARE: Final = 0.1
"""Of the iterations of all stages before: it is a kindness, not worth more time."""

Costs = dict[int, float]


@dataclass(slots=True)
class Trace:
    """One stage as it was solved."""

    name: str
    value: float
    solved_s: float


@dataclass(slots=True)
class Outcome:
    """After all stages of one round, or those that there was time for."""

    values: Sequence[float] = ()
    """Empty: not even the first stage was solved."""
    complete: bool = False
    why: str = ""
    duals: Sequence[float] = ()
    """Of stage ``departures``, likewise ``reduced_costs``."""
    reduced_costs: Sequence[float] = ()
    broken: float = 0.0
    traces: list[Trace] = field(default_factory=list)


class Stages:
    """The stages of one programme, run once a round."""

    def __init__(self, programme: Programme, request: PlanRequest, fleet: Fleet, network: Network) -> None:
        self._programme = programme
        self._request = request
        self._fleet = fleet
        self._network = network
        self._stages = self._make()
        self._rows = [programme.row(-inf, inf, costs.items()) for _, costs, _ in self._stages]

    def _make(self) -> list[tuple[str, Costs, Callable[[float], float]]]:
        """Name, costs, and what of its value a later stage may give up."""
        fleet, network, request = self._fleet, self._network, self._request
        hours = request.steps * request.step_s / 3600.0
        stages: list[tuple[str, Costs, Callable[[float], float]]] = []
        if costs := fleet.missing_costs():
            stages.append(("departures", costs, lambda value: 1e-4 * value + 2e-3))
        if network.overload:
            stages.append(("overload", dict(network.overload), lambda value: 1e-3 * value + 1e-2))
        stages.append(
            ("ageing", network.ageing_costs(), lambda value: max(_AGEING_SHARE * value, _AGEING_RATE * hours))
        )
        if request.site.price and max(request.site.price) > min(request.site.price):
            costs = network.price_costs()
            costs.update(fleet.discharge_costs(_WEAR * (max(request.site.price) - min(request.site.price))))
            stages.append(("price", costs, lambda value: 0.01 * abs(value) + _NOTHING))
        rated_w = request.site.params.rated_va
        base = sum((base_w / rated_w) ** 2 for base_w in request.site.base_w)
        stages.append(("flatness", network.flat_costs(), lambda value: 0.02 * abs(base - value) + _NOTHING))
        # ``most`` is kept high, in no row yet, so that the rows of :meth:`spread` begin fulfilled.
        costs = fleet.throughput_costs() | fleet.spread_costs(-_NOTHING)
        stages.append(("throughput", costs, lambda value: _THROUGHPUT_SHARE * abs(value) + _NOTHING))
        return stages

    def spread(self, outcome: Outcome, left_s: Callable[[], float]) -> Sequence[float]:
        """The last stage, once, after the last round, whose ``outcome`` it adds its trace to: among plans that are as
        good, the values of the one in which vehicles charge side by side. Empty: it was not found."""
        self._network.hold_net(outcome.values)
        self._fleet.hold_most()
        programme, before_s = self._programme, self._programme.solved_s
        try:
            value = programme.improve(self._fleet.spread_costs(1.0), left_s(), _SPREAD_SHARE)
        except Stopped:
            return ()
        outcome.traces.append(Trace("spread", value, programme.solved_s - before_s))
        return programme.values

    def run(self, left_s: Callable[[], float]) -> Outcome:
        """From the first to the last, as far as the time goes.

        Stage ``limits`` is left out while nobody has duties; where the tangents then leave no solution at all, it finds
        the one that is nearest.
        """
        outcome = self._run(left_s, with_limits=self._fleet.has_duties or self._network.has_duties)
        if outcome.why == INFEASIBLE and not outcome.traces:
            outcome = self._run(left_s, with_limits=True)
        return outcome

    def _run(self, left_s: Callable[[], float], *, with_limits: bool) -> Outcome:
        outcome = Outcome()
        programme = self._programme
        programme.forget()
        for row in self._rows:
            programme.bound_row(row, -inf, inf)
        try:
            self._keep_limits(outcome, left_s, with_limits)
            for at, (name, costs, slack) in enumerate(self._stages):
                value = self._minimise(outcome, name, costs, left_s)
                if name == "departures":
                    outcome.duals, outcome.reduced_costs = programme.duals, programme.reduced_costs
                programme.bound_row(self._rows[at], -inf, value + slack(value))
        except Stopped as stopped:
            outcome.why = stopped.reason
            return outcome
        outcome.complete = True
        return outcome

    def _keep_limits(self, outcome: Outcome, left_s: Callable[[], float], wanted: bool) -> None:
        fleet, network = self._fleet, self._network
        network.allow_breaking(False)
        fleet.free_duties()
        if not wanted:
            return
        network.allow_breaking(True)
        costs = {**network.broken, **fleet.duty_costs()}
        self._minimise(outcome, "limits", costs, left_s)
        network.allow_breaking(False, outcome.values)
        fleet.fix_duties(outcome.values)
        outcome.broken = sum(max(0.0, outcome.values[column]) for column in network.broken)

    def _minimise(self, outcome: Outcome, name: str, costs: Costs, left_s: Callable[[], float]) -> float:
        programme = self._programme
        before_s = programme.solved_s
        try:
            value = programme.minimise(costs, left_s())
        finally:
            outcome.values = programme.values
        outcome.traces.append(Trace(name, value, programme.solved_s - before_s))
        return value
