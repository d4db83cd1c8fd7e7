"""Powers that keep every limit, by scaling, where no linear programme has any that the thermal model confirms. Pure.

No power at all keeps every limit beyond those that base load alone exceeds, and temperatures are all but convex in the
load: the greatest share that the model confirms is found by bisection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Final

from v2g.planning.fleet import kept
from v2g.planning.types import PlanRequest
from v2g.planning.warming import net_range_w
from v2g.planning.wishes import Wish

_HALVINGS: Final = 8

Powers = list[tuple[float, ...]]


def even_powers(request: PlanRequest, wishes: Sequence[Wish]) -> Powers:
    """Each vehicle on its own: an order, else up to its floor at full power, then what it needs, evenly until it
    leaves. No shared limit is looked at."""
    hours = request.step_s / 3600.0
    powers = []
    for wish in wishes:
        energy_wh, series = wish.vehicle.energy_wh, []
        for n in range(wish.steps):
            most_w = min(wish.charge_w[n], wish.takes_w(energy_wh, request.step_s))
            left_wh = sum(wish.charge_w[n:]) * wish.vehicle.efficiency_charge * hours
            power_w = most_w
            if wish.forced_w[n]:
                power_w = min(most_w, wish.forced_w[n])
            elif energy_wh >= wish.floor_wh:
                lacking_wh = max(0.0, wish.goal_wh - energy_wh)
                power_w = min(most_w, wish.charge_w[n] * lacking_wh / left_wh) if left_wh > 0.0 else 0.0
            power_w, energy_wh = kept(wish, power_w, energy_wh, hours)
            series.append(power_w)
        powers.append(tuple(series))
    return powers


def scaled(
    request: PlanRequest, wishes: Sequence[Wish], powers_w: Sequence[Sequence[float]], keeps: Callable[[Powers], bool]
) -> Powers:
    """The greatest part of ``powers_w`` that ``keeps`` confirms, in each step within site, K and phases."""
    whole = _fitted(request, wishes, powers_w, 1.0)
    if keeps(whole):
        return whole
    found, low, high = _fitted(request, wishes, powers_w, 0.0), 0.0, 1.0
    for _ in range(_HALVINGS):
        share = 0.5 * (low + high)
        tried = _fitted(request, wishes, powers_w, share)
        if keeps(tried):
            found, low = tried, share
        else:
            high = share
    return found


def _fitted(request: PlanRequest, wishes: Sequence[Wish], powers_w: Sequence[Sequence[float]], share: float) -> Powers:
    energies = [wish.vehicle.energy_wh for wish in wishes]
    series: list[list[float]] = [[] for _ in wishes]
    hours = request.step_s / 3600.0
    for n in range(request.steps):
        there = [at for at, powers in enumerate(powers_w) if n < len(powers)]
        taken = {at: kept(wishes[at], share * powers_w[at][n], energies[at], hours)[0] for at in there}
        fits = _fits(request, wishes, taken, n)
        for at, power_w in taken.items():
            part_w, energies[at] = kept(wishes[at], fits * power_w, energies[at], hours)
            series[at].append(part_w)
    return [tuple(each) for each in series]


def _fits(request: PlanRequest, wishes: Sequence[Wish], taken: dict[int, float], n: int) -> float:
    """The part of all powers of a step that keeps its limits; 0 W always does."""
    site = request.site
    lo_w, hi_w = net_range_w(site, n)
    most_w = inf if site.phase_w is None else site.phase_w
    sums = [(sum(taken.values()), lo_w, hi_w)]
    for phase in range(3):
        sums.append((sum(power_w * wishes[at].vehicle.phases[phase] for at, power_w in taken.items()), -most_w, most_w))
    parts = [(low if total < 0.0 else high) / total for total, low, high in sums if total]
    return min(1.0, *parts) if parts else 1.0
