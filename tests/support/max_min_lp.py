"""Weighted max-min fairness by successive linear programmes (HiGHS): slow, general, and nothing of the allocator's.

Each programme maximises the least x/weight of the shares not yet fixed. A share whose row has a multiplier is tight in
every optimum, so it is fixed there, and the next programme follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import highspy

from v2g.dispatch.filling import Limit, Phases

TOLERANCE = 1e-10
MULTIPLIER = 1e-7
SLACK = 1e-8
"""A fixed share may fall by so much, of the greatest capacity: the tolerances of the programmes before add up."""


@dataclass(frozen=True)
class Case:
    caps: list[float]
    weights: list[float]
    floors: list[float]
    limits: list[Limit]
    phases: list[Phases] = field(default_factory=list)
    unbalance: float = 0.0


def max_min(case: Case, balanced: bool = False) -> tuple[list[float], int]:
    """The shares, and how many programmes it took. With ``balanced`` the unbalance of the phases is kept too."""
    n = len(case.caps)
    scale = max(limit.capacity for limit in case.limits)
    h = highspy.Highs()
    h.setOptionValue("output_flag", False)
    h.setOptionValue("threads", 1)
    for option in ("primal_feasibility_tolerance", "dual_feasibility_tolerance"):
        h.setOptionValue(option, TOLERANCE)
    infinity = h.getInfinity()
    for cap, floor in zip(case.caps, case.floors, strict=True):
        h.addVar(floor / scale, cap / scale)
    h.addVar(0.0, infinity)
    h.changeColCost(n, -1.0)
    top = max(case.weights)
    weights = [weight / top for weight in case.weights]
    for i, weight in enumerate(weights):
        h.addRow(0.0, infinity, 2, [i, n], [1.0, -weight])
    rows = [*case.limits, *(_differences(case.phases, case.unbalance) if balanced else ())]
    for limit in rows:
        h.addRow(
            -infinity,
            limit.capacity / scale,
            len(limit.loads),
            [i for i, _ in limit.loads],
            [a for _, a in limit.loads],
        )
    left = set(range(n))
    programmes = 0
    while left:
        h.run()
        programmes += 1
        status = h.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            raise ArithmeticError(f"programme {programmes}: {status}")
        solution = h.getSolution()
        level, duals = solution.col_value[n], solution.row_dual
        tight = [i for i in left if weights[i] * abs(duals[i]) > MULTIPLIER]
        for i in tight or [max(left, key=lambda i: weights[i] * abs(duals[i]))]:
            share = min(max(weights[i] * level, case.floors[i] / scale), case.caps[i] / scale)
            h.changeColBounds(i, max(0.0, share - SLACK), share)
            h.changeRowBounds(i, -infinity, infinity)
            left.discard(i)
    return [x * scale for x in h.getSolution().col_value[:n]], programmes


def _differences(phases: Sequence[Phases], unbalance: float) -> list[Limit]:
    pairs = [(p, q) for p in range(3) for q in range(3) if p != q]
    rows = [[(i, part[p] - part[q]) for i, part in enumerate(phases) if part[p] != part[q]] for p, q in pairs]
    return [Limit(unbalance, row) for row in rows]


def excess(case: Case, shares: Sequence[float], balanced: bool = False) -> float:
    """Greatest excess over any constraint, of the greatest capacity; 0: none."""
    over = [x - cap for x, cap in zip(shares, case.caps, strict=True)]
    over += [floor - x for x, floor in zip(shares, case.floors, strict=True)]
    rows = [*case.limits, *(_differences(case.phases, case.unbalance) if balanced else ())]
    over += [sum(a * shares[i] for i, a in limit.loads) - limit.capacity for limit in rows]
    return max(0.0, *over) / max(limit.capacity for limit in case.limits)


def random_case(random: Random, most: int = 50, count: int | None = None, two_phases: bool = True) -> Case:
    """Vehicles of 3.7 to 22 kW on one, two or three phases, limits of each phase, of up to 4 feeders and of the site.

    Weights over three decades, floors in half of the cases, capacities from half as much as all could take to ample.
    """
    n = count or random.randint(1, most)
    kinds: list[list[Phases]] = [
        [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)],
        [(1 / 3, 1 / 3, 1 / 3)],
        [(0.5, 0.5, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5)],
    ]
    phases = [random.choice(random.choice(kinds if two_phases else kinds[:2])) for _ in range(n)]
    caps = [random.uniform(0.0, 22e3) if random.random() < 0.95 else 0.0 for _ in range(n)]
    weights = [10.0 ** random.uniform(-1.5, 1.5) for _ in range(n)]
    floors = [0.0] * n
    if random.random() < 0.5:
        floors = [random.choice([0.0, random.uniform(0.0, min(cap, 4140.0))]) for cap in caps]
    feeders = random.randint(0, 4)
    groups = [[(i, 1.0) for i in range(n)]]
    groups += [[(i, 1.0) for i in range(n) if i % feeders == f] for f in range(feeders)]
    groups += [[(i, part[p]) for i, part in enumerate(phases) if part[p] > 0.0] for p in range(3)]
    limits = []
    for loads in groups:
        least = sum(a * floors[i] for i, a in loads)
        most_w = sum(a * caps[i] for i, a in loads)
        limits.append(Limit(1.0 + least + random.uniform(0.0, 1.2) * (most_w - least), loads))
    sums = [sum(part[p] * floor for part, floor in zip(phases, floors, strict=True)) for p in range(3)]
    unbalance = max(sums) - min(sums) + 10.0 ** random.uniform(2.0, 4.5)
    return Case(caps, weights, floors, limits, phases, unbalance)
