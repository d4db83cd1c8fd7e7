"""Which wishes are given up, in words, and what stands in the way of each. Pure.

What stands in the way is read from the shadow prices of the stage that served the drivers: the limit at which more
power in a vehicle's own hours would have served it best.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from v2g.planning.fleet import Fleet
from v2g.planning.network import Network
from v2g.planning.stages import Outcome
from v2g.planning.types import Plan, PlanRequest, Relaxation
from v2g.planning.warming import Course, reach_w
from v2g.planning.wishes import Wish
from v2g.thermal.limits import CURRENT, HOT_SPOT, TOP_OIL

ORDER_TRANSFORMER: Final = 2
ORDER_TARGET: Final = 3
ORDER_MIN_SOC: Final = 4
_SITE: Final = "site limit"
_PHASE: Final = "limit of one phase"
_EARLIER: Final = "orders and the min-SoC of other vehicles come first"
_NOTICED_PCT: Final = 0.5
_NOTICED_WH: Final = 100.0
_NOTICED_K: Final = 0.1
_FELT: Final = 1e-6


@dataclass(slots=True)
class Causes:
    """Of each vehicle: the shared limit that keeps it from more, where one does."""

    by_vehicle: list[str] = field(default_factory=list)
    """Empty: not known, since the search ended before."""

    @classmethod
    def of(cls, request: PlanRequest, fleet: Fleet, network: Network, outcome: Outcome) -> Causes:
        duals, costs = outcome.duals, outcome.reduced_costs
        if not len(duals):
            return cls()
        hot = sum(abs(duals[row]) for row in network.hot_rows) >= sum(abs(duals[row]) for row in network.oil_rows)
        oil_source = HOT_SPOT if hot else TOP_OIL
        shared: list[dict[str, float]] = []
        for n in range(request.steps):
            pressure: dict[str, float] = {}
            cost = costs[network.net[n]]
            name = network.net_by[n][1 if cost < 0.0 else 0]
            pressure[_SITE if name == "site" else CURRENT] = abs(cost)
            oil = sum(abs(duals[one.oil_row] * one.oil_slope) for one in network.tangents[n])
            winding = sum(abs(duals[one.winding_row] * one.winding_slope) for one in network.tangents[n])
            pressure[oil_source] = oil
            pressure[HOT_SPOT] = pressure.get(HOT_SPOT, 0.0) + winding
            shared.append(pressure)
        return cls([cls._worst(fleet, network, at, shared, duals) for at in range(len(fleet.wishes))])

    @staticmethod
    def _worst(
        fleet: Fleet, network: Network, at: int, shared: Sequence[dict[str, float]], duals: Sequence[float]
    ) -> str:
        wish, felt = fleet.wishes[at], dict.fromkeys((_SITE, CURRENT, HOT_SPOT, TOP_OIL, _PHASE), 0.0)
        for n in range(wish.steps):
            for name, pressure in shared[n].items():
                felt[name] += pressure
            rows = network.phase_rows[n]
            if rows is not None:
                felt[_PHASE] += sum(
                    abs(duals[row]) * share for row, share in zip(rows, wish.vehicle.phases, strict=True)
                )
        name = max(felt, key=lambda each: felt[each])
        return name if felt[name] > _FELT else ""


def relaxations(
    request: PlanRequest, wishes: Sequence[Wish], plan: Plan, causes: Causes, with_margins: Course
) -> Iterator[Relaxation]:
    """The highest rank last, as wishes are given up; vehicles in their order."""
    yield from _of_transformer(request, plan, with_margins)
    energies, late = [vehicle.energy_wh[-1] for vehicle in plan.vehicles], plan.limited_by_deadline
    for at, (wish, energy_wh) in enumerate(zip(wishes, energies, strict=True)):
        if wish.problem:
            yield Relaxation(
                evse_id=wish.vehicle.evse_id, what="vehicle data", order=ORDER_TARGET, wanted=0.0, reached=0.0,
                unit="Wh", at_unix_s=None, words="nothing is planned", because=wish.problem,
            )  # fmt: skip
        elif _noticed(wish, wish.goal_wh - energy_wh):
            yield _of_vehicle(
                request, wish, "departure target", ORDER_TARGET, wish.goal_wh, energy_wh, causes, at, late
            )
    for at, (wish, energy_wh) in enumerate(zip(wishes, energies, strict=True)):
        if not wish.problem and _noticed(wish, wish.vehicle.floor_wh - energy_wh):
            floor_wh = wish.vehicle.floor_wh
            yield _of_vehicle(request, wish, "min-SoC", ORDER_MIN_SOC, floor_wh, energy_wh, causes, at, late)


def _noticed(wish: Wish, missing_wh: float) -> bool:
    capacity_wh = wish.vehicle.capacity_wh
    return missing_wh >= (_NOTICED_WH if capacity_wh is None else _NOTICED_PCT / 100.0 * capacity_wh)


def _of_vehicle(
    request: PlanRequest,
    wish: Wish,
    what: str,
    order: int,
    wanted_wh: float,
    reached_wh: float,
    causes: Causes,
    at: int,
    by_deadline: bool,
) -> Relaxation:
    vehicle = wish.vehicle
    departs_s = request.steps * request.step_s if vehicle.departs_in_s is None else vehicle.departs_in_s
    departs_s = min(departs_s, request.steps * request.step_s)
    if vehicle.capacity_wh is None:
        wanted, reached, unit = wanted_wh, reached_wh, "Wh"
        words = f"{reached / 1e3:.1f} kWh at {{at}} instead of {wanted / 1e3:.1f} kWh"
    else:
        per_cent = 100.0 / vehicle.capacity_wh
        wanted, reached, unit = wanted_wh * per_cent, reached_wh * per_cent, "%"
        words = f"{reached:.0f} % at {{at}} instead of {wanted:.0f} %"
    return Relaxation(
        evse_id=vehicle.evse_id,
        what=what,
        order=order,
        wanted=wanted,
        reached=reached,
        unit=unit,
        at_unix_s=request.starts_unix_s + departs_s,
        words=words,
        because=_because(
            request, wish, wanted_wh, reached_wh, causes.by_vehicle[at] if causes.by_vehicle else None, by_deadline
        ),
    )


def _because(
    request: PlanRequest, wish: Wish, wanted_wh: float, reached_wh: float, shared: str | None, by_deadline: bool
) -> str:
    if not wish.steps:
        return "its departure is not in the future"
    furthest_wh = wish.furthest_wh(request.step_s)
    causes = []
    if _noticed(wish, wanted_wh - furthest_wh):
        causes.append(_own(wish, wanted_wh))
    if _noticed(wish, furthest_wh - reached_wh):
        if shared is None:
            ended = "at its deadline" if by_deadline else "without one"
            causes.append(f"the search for a better plan ended {ended}")
        else:
            causes.append(shared + _figure(request, wish, shared) if shared else _EARLIER)
    return ", and ".join(causes) or _EARLIER


def _own(wish: Wish, wanted_wh: float) -> str:
    vehicle = wish.vehicle
    if _noticed(wish, wanted_wh - wish.ceiling_wh):
        return "its own highest state of charge"
    if vehicle.max_charge_w <= 0.0:
        return "it takes no power"
    if any(hi_w < vehicle.max_charge_w for _, hi_w in vehicle.limit_w[: wish.steps]):
        return "an order limits its power"
    return f"its own power of {vehicle.max_charge_w / 1e3:.1f} kW and the time until it leaves"


def _figure(request: PlanRequest, wish: Wish, shared: str) -> str:
    site = request.site
    if shared == _SITE:
        return f" of {max(site.hi_w[: wish.steps]) / 1e3:.1f} kW"
    if shared == _PHASE and site.phase_w is not None:
        return f" of {site.phase_w / 1e3:.1f} kW"
    if shared == HOT_SPOT:
        return f" limit of {site.hot_spot_limit_c:.0f} °C"
    if shared == TOP_OIL:
        return f" limit of {site.top_oil_limit_c:.0f} °C"
    return f" limit of {site.k_limit_pu:.2f}" if shared == CURRENT else ""


def _of_transformer(request: PlanRequest, plan: Plan, ran: Course) -> Iterator[Relaxation]:
    site = request.site
    k_pu = [
        (abs(load_w) - reach_w(site, n)) / site.params.rated_va + site.k_limit_pu
        for n, load_w in enumerate(plan.load_w)
    ]
    limits = (
        ("hot-spot", ran.hot_spot_c, site.hot_spot_limit_c, _NOTICED_K, "°C"),
        ("top-oil", ran.top_oil_c, site.top_oil_limit_c, _NOTICED_K, "°C"),
        ("K", k_pu, site.k_limit_pu, 0.005, "pu"),
    )
    for name, series, limit, noticed, unit in limits:
        highest = max(series)
        if highest <= limit + noticed:
            continue
        told = f"{highest:.1f} °C at {{at}} instead of {limit:.0f} °C"
        if unit == "pu":
            told = f"{highest:.2f} at {{at}} instead of {limit:.2f}"
        yield Relaxation(
            evse_id="",
            what="transformer",
            order=ORDER_TRANSFORMER,
            wanted=limit,
            reached=highest,
            unit=unit,
            at_unix_s=request.starts_unix_s + series.index(highest) * request.step_s,
            words=f"{name} {told}",
            because="base load with its margin, beyond what vehicles can spare",
        )
