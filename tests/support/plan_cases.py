"""Requests of plans: an evening in a residential street, and what tests change of it."""

from __future__ import annotations

import random
from math import cos, exp, pi
from typing import Any

from msgspec.structs import replace

from v2g.planning.types import PlanRequest, PlanSite, PlanVehicle
from v2g.thermal.model import steady_state
from v2g.thermal.parameters import ThermalParameters, from_nameplate

STARTS = 1_767_200_400.0
"""17:00 UTC."""
STEP_S = 900.0
RATED_VA = 250e3


def params_of(cooling: str = "DIST_ONAN", rated_kva: float = 250.0) -> ThermalParameters:
    return from_nameplate(
        cooling=cooling, rated_kva=rated_kva, top_oil_rise_k=55.0, hot_spot_gradient_k=23.0, loss_ratio_r=5.0
    )


def street_w(steps: int, rated_va: float = RATED_VA, peak_pu: float = 0.75) -> tuple[float, ...]:
    """From 17:00 on: a peak at 19:30, a night at 0.3, a midday at 0.5."""
    series = []
    for n in range(steps):
        hour = (17.0 + n * STEP_S / 3600.0) % 24.0
        evening = exp(-0.5 * ((hour - 19.5) / 1.5) ** 2)
        noon = 0.2 * exp(-0.5 * ((hour - 13.0) / 3.0) ** 2)
        series.append(rated_va * (0.3 + (peak_pu - 0.3) * evening + noon))
    return tuple(series)


def site(steps: int = 96, rated_va: float = RATED_VA, cooling: str = "DIST_ONAN", **changes: Any) -> PlanSite:
    params = params_of(cooling, rated_va / 1e3)
    fields: dict[str, Any] = {
        "base_w": street_w(steps, rated_va),
        "base_margin_w": (0.03 * rated_va,) * steps,
        "base_var": (0.1 * rated_va,) * steps,
        "ambient_c": (20.0,) * steps,
        "params": params,
        "state": steady_state(params, 0.5, 20.0),
        "margin_k": 1.0,
        "hot_spot_limit_c": 120.0,
        "top_oil_limit_c": 105.0,
        "k_limit_pu": 1.5,
        "lo_w": (-rated_va,) * steps,
        "hi_w": (rated_va,) * steps,
    }
    return PlanSite(**(fields | changes))


def vehicle(evse_id: str = "E1", **changes: Any) -> PlanVehicle:
    """60 kWh, at 50 %, wants 80 % in 14 h, not below 30 %; 11 kW either way."""
    fields: dict[str, Any] = {
        "evse_id": evse_id,
        "max_charge_w": 11_000.0,
        "max_discharge_w": 11_000.0,
        "energy_wh": 30_000.0,
        "floor_wh": 18_000.0,
        "ceiling_wh": 60_000.0,
        "target_wh": 48_000.0,
        "capacity_wh": 60_000.0,
        "departs_in_s": 14 * 3600.0,
    }
    return PlanVehicle(**(fields | changes))


def request(*vehicles: PlanVehicle, steps: int = 96, **changes: Any) -> PlanRequest:
    """``deadline_s`` and ``starts_unix_s`` go to the request, everything else to the site."""
    own = {name: changes.pop(name) for name in ("deadline_s", "starts_unix_s") if name in changes}
    fields: dict[str, Any] = {"starts_unix_s": STARTS, "steps": steps, "vehicles": vehicles}
    return PlanRequest(**(fields | own), site=changes.pop("whole_site", None) or site(steps, **changes))


def fleet(count: int, seed: int = 1) -> tuple[PlanVehicle, ...]:
    """As they stand in the evening: 10..90 % of 40..90 kWh, leaving in 6..20 h, a third on one phase."""
    chance = random.Random(seed)
    vehicles = []
    for number in range(count):
        capacity_wh = chance.choice((40e3, 52e3, 64e3, 77e3, 90e3))
        single = chance.random() < 0.3
        power_w = 7_400.0 if single else chance.choice((11_000.0, 22_000.0))
        phases = (1 / 3, 1 / 3, 1 / 3)
        if single:
            at = chance.randrange(3)
            phases = (float(at == 0), float(at == 1), float(at == 2))
        vehicles.append(
            vehicle(
                f"E{number}",
                max_charge_w=power_w,
                max_discharge_w=0.0 if chance.random() < 0.2 else power_w,
                capacity_wh=capacity_wh,
                energy_wh=capacity_wh * chance.uniform(0.1, 0.9),
                floor_wh=0.3 * capacity_wh,
                ceiling_wh=capacity_wh,
                target_wh=capacity_wh * chance.choice((0.6, 0.8, 0.9, 1.0)),
                departs_in_s=3600.0 * chance.uniform(6.0, 20.0),
                phases=phases,
            )
        )
    return tuple(vehicles)


def heat_wave(seed: int) -> PlanRequest:
    """Three to five vehicles below 50 kVA that base load alone takes over its limits. Of some seeds (43 with
    HiGHS 1.16) the simplex cannot go on from the basis of the first round in the second."""
    chance = random.Random(seed)
    steps, rated_va = 96, 50e3
    params, peak_pu = params_of("ONAN", rated_va / 1e3), chance.uniform(0.9, 1.2)
    where = site(
        steps, rated_va=rated_va, cooling="ONAN", base_w=street_w(steps, rated_va, peak_pu),
        base_margin_w=(16e3,) * steps, ambient_c=tuple(30.0 + 7.0 * cos(2.0 * pi * n / steps) for n in range(steps)),
        state=steady_state(params, chance.uniform(0.6, 0.9), 37.0), bias_k=chance.uniform(-2.0, 4.0), margin_k=4.0,
        lo_w=(-59e3,) * steps, hi_w=(81e3,) * steps,
    )  # fmt: skip
    there = fleet(chance.choice((3, 4, 5)), seed)
    lossy = tuple(replace(each, efficiency_charge=0.9, efficiency_discharge=0.9) for each in there)
    return PlanRequest(starts_unix_s=STARTS, steps=steps, site=where, vehicles=lossy)
