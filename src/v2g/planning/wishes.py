"""A vehicle as the programme takes it: bounds by step, what it is believed, and what cannot be. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, expm1, inf, isfinite
from typing import Final

from v2g.planning.types import PlanRequest, PlanVehicle

_PHASE_SUM = (0.99, 1.01)
_TAPER_FROM: Final = 0.8
"""Of the capacity. Assumed."""


@dataclass(frozen=True, slots=True)
class Taper:
    """Charge power in W that a battery takes at most: ``at_none_w - per_wh_w * energy_wh``, above ``from_wh``."""

    from_wh: float
    at_none_w: float
    per_wh_w: float

    def over(self, step_s: float, efficiency: float) -> tuple[float, float]:
        """``at_none_w`` and ``per_wh_w`` of the mean power of a step, by the energy at its begin: the power falls while
        the battery fills. Who begins a step below ``from_wh`` may take a little more."""
        fall = self.per_wh_w * efficiency * step_s / 3600.0
        mean = -expm1(-fall) / fall
        return mean * self.at_none_w, mean * self.per_wh_w


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Powers in W for each step of its stay; magnitudes. ``forced_w``: signed, what an order asks at least."""

    vehicle: PlanVehicle
    charge_w: tuple[float, ...] = ()
    discharge_w: tuple[float, ...] = ()
    forced_w: tuple[float, ...] = ()
    floor_wh: float = 0.0
    ceiling_wh: float = 0.0
    """Highest it may hold: its ceiling, or what it holds already."""
    goal_wh: float = 0.0
    """At departure."""
    taper: Taper | None = None
    leaves_within: bool = False
    """Its last step is not a whole one."""
    problem: str = ""
    """Why nothing is planned for it, in words."""

    @property
    def steps(self) -> int:
        return len(self.charge_w)

    @property
    def early(self) -> int | None:
        """The step that ends one before it leaves, a departure within a step counted as the step's begin; None: its
        stay is too short."""
        whole = self.steps - (1 if self.leaves_within else 0)
        return whole - 2 if whole >= 2 else (0 if self.leaves_within and whole == 1 else None)

    @property
    def way_up_wh(self) -> float:
        """What it lacks of its floor now."""
        return max(0.0, self.floor_wh - self.vehicle.energy_wh)

    def furthest_wh(self, step_s: float) -> float:
        """What it could hold at departure if nothing but itself stood in the way."""
        energy_wh, per_w = self.vehicle.energy_wh, self.vehicle.efficiency_charge * step_s / 3600.0
        for charge_w in self.charge_w:
            energy_wh += min(charge_w, self.takes_w(energy_wh, step_s)) * per_w
        return min(self.ceiling_wh, energy_wh)

    def takes_w(self, energy_wh: float, step_s: float) -> float:
        """The most that its battery takes over a step that begins with so much energy."""
        if self.taper is None:
            return inf
        at_none_w, per_wh_w = self.taper.over(step_s, self.vehicle.efficiency_charge)
        return max(0.0, at_none_w - per_wh_w * energy_wh)


def wish_of(vehicle: PlanVehicle, request: PlanRequest) -> Wish:
    """Never an exception: what is contradictory gets no power, and ``problem`` says why.

    A floor above the target raises the target to it; one above the ceiling is reached for as far as the ceiling.
    """
    problem = _problem(vehicle, request.steps)
    if problem:
        return Wish(vehicle=vehicle, problem=problem)
    departs_s = request.steps * request.step_s if vehicle.departs_in_s is None else vehicle.departs_in_s
    steps = min(request.steps, max(0, ceil(departs_s / request.step_s - 1e-9)))
    charge, discharge, forced = [], [], []
    for n in range(steps):
        share = min(1.0, departs_s / request.step_s - n)
        lo_w, hi_w = vehicle.limit_w[n] if vehicle.limit_w else (-vehicle.max_discharge_w, vehicle.max_charge_w)
        charge.append(share * max(0.0, min(vehicle.max_charge_w, hi_w)))
        discharge.append(share * max(0.0, min(vehicle.max_discharge_w, -lo_w)))
        forced.append(
            share * (min(max(0.0, lo_w), vehicle.max_charge_w) - min(max(0.0, -hi_w), vehicle.max_discharge_w))
        )
    ceiling_wh = max(vehicle.ceiling_wh, vehicle.energy_wh)
    goal_wh = max(vehicle.target_wh, vehicle.floor_wh)
    return Wish(
        vehicle=vehicle,
        charge_w=tuple(charge),
        discharge_w=tuple(discharge),
        forced_w=tuple(forced),
        floor_wh=min(vehicle.floor_wh, ceiling_wh),
        ceiling_wh=ceiling_wh,
        goal_wh=goal_wh,
        taper=_taper(vehicle, goal_wh),
        leaves_within=departs_s < steps * request.step_s - 1.0,
    )


def _taper(vehicle: PlanVehicle, goal_wh: float) -> Taper | None:
    """None also where nobody needs it to be charged so far, or it hardly differs."""
    capacity_wh = vehicle.capacity_wh
    if capacity_wh is None or vehicle.max_charge_w <= 0.0:
        return None
    from_wh = _TAPER_FROM * capacity_wh if vehicle.taper_from_wh is None else max(0.0, vehicle.taper_from_wh)
    span_wh, falls = capacity_wh - from_wh, 1.0 - vehicle.taper_to_pu
    if span_wh <= 0.0 or falls <= 0.01 or goal_wh <= from_wh:
        return None
    held_wh = min(max(vehicle.energy_wh, from_wh), capacity_wh)
    whole_w = vehicle.max_charge_w / max(0.05, 1.0 - falls * (held_wh - from_wh) / span_wh)
    per_wh_w = whole_w * falls / span_wh
    return Taper(from_wh=from_wh, at_none_w=whole_w + per_wh_w * from_wh, per_wh_w=per_wh_w)


def _problem(vehicle: PlanVehicle, steps: int) -> str:
    numbers: Iterable[tuple[str, float | None]] = (
        ("charge power", vehicle.max_charge_w),
        ("discharge power", vehicle.max_discharge_w),
        ("energy", vehicle.energy_wh),
        ("min-SoC", vehicle.floor_wh),
        ("ceiling", vehicle.ceiling_wh),
        ("target", vehicle.target_wh),
        ("capacity", vehicle.capacity_wh),
        ("departure", vehicle.departs_in_s),
        ("taper", vehicle.taper_from_wh),
    )
    for name, number in numbers:
        if number is not None and not (isfinite(number) and abs(number) < 1e9):
            return f"its {name} is no usable number ({number:g})"
    if vehicle.max_charge_w < 0.0 or vehicle.max_discharge_w < 0.0:
        return "a power limit is below zero, and magnitudes are expected"
    if vehicle.capacity_wh is not None and vehicle.capacity_wh <= 0.0:
        return f"a capacity of {vehicle.capacity_wh / 1e3:g} kWh is none"
    for efficiency in (vehicle.efficiency_charge, vehicle.efficiency_discharge):
        if not 0.3 <= efficiency <= 1.0:
            return f"an efficiency of {efficiency:g} is outside 0.3..1"
    if not 0.0 <= vehicle.taper_to_pu <= 1.0:
        return f"a taper to {vehicle.taper_to_pu:g} of its power is outside 0..1"
    if not all(0.0 <= share <= 1.0 for share in vehicle.phases):
        return "its share of a phase is outside 0..1"
    if not _PHASE_SUM[0] <= sum(vehicle.phases) <= _PHASE_SUM[1]:
        return f"its shares of the phases make {sum(vehicle.phases):g}, not 1"
    if vehicle.limit_w and len(vehicle.limit_w) != steps:
        return f"its limits are {len(vehicle.limit_w)} for {steps} steps"
    for lo_w, hi_w in vehicle.limit_w:
        if not (isfinite(lo_w) and isfinite(hi_w) and lo_w <= hi_w):
            return f"its limits {lo_w:g}..{hi_w:g} W are empty or no numbers"
    return ""


def site_problem(request: PlanRequest) -> str:
    """Why there can be no plan at all, in words; empty: there can."""
    site, steps = request.site, request.steps
    if not 1 <= steps <= 2000:
        return f"{steps} steps: give 1 to 2000"
    if not (isfinite(request.starts_unix_s) and 60.0 <= request.step_s <= 3600.0):
        return f"steps of {request.step_s:g} s from {request.starts_unix_s:g}: give steps of 60 to 3600 s"
    ids = [vehicle.evse_id for vehicle in request.vehicles]
    if len(set(ids)) != len(ids):
        return "two vehicles are said to be at the same EVSE"
    for name in ("base_w", "base_margin_w", "base_var", "ambient_c", "lo_w", "hi_w", "price"):
        series = getattr(site, name)
        if name == "price" and not series:
            continue
        if len(series) != steps:
            return f"{name} has {len(series)} values for {steps} steps"
        if not all(isfinite(value) for value in series):
            return f"{name} is no number in step {next(n for n, value in enumerate(series) if not isfinite(value))}"
    if min(site.base_margin_w) < 0.0:
        return "base_margin_w is below zero: give a magnitude"
    rated_va = site.params.rated_va
    if max(abs(value) for value in (*site.base_w, *site.base_var, *site.base_margin_w)) > 20.0 * rated_va:
        return f"the base load is far beyond a transformer of {rated_va / 1e3:g} kVA: a slip of units?"
    if not all(-100.0 <= value <= 100.0 for value in site.ambient_c):
        return "the ambient temperature is outside -100..100 °C"
    for n in range(steps):
        if site.lo_w[n] > site.hi_w[n]:
            return f"limits of V2G power contradict in step {n}: {site.lo_w[n]:g}..{site.hi_w[n]:g} W"
    if site.phase_w is not None and not (isfinite(site.phase_w) and site.phase_w >= 0.0):
        return f"the limit of one phase ({site.phase_w:g} W) is no magnitude"
    state = (site.state.theta_o_c, site.state.h1_k, site.state.h2_k, site.bias_k, site.margin_k)
    limits = (site.hot_spot_limit_c, site.top_oil_limit_c, site.k_limit_pu)
    if not all(isfinite(value) and abs(value) < 1000.0 for value in (*state, *limits)):
        return "state or limits of the transformer are no numbers"
    return ""
