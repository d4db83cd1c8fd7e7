"""What a plan is asked to solve, made of what the daemon knows. Pure.

First :func:`steps_of`, then the transformer's outlook over so many steps, then :func:`plan_request`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, inf, isfinite
from typing import Final

from v2g.config.schema_dispatch import Planning
from v2g.dispatch.energy import Energy
from v2g.dispatch.orders import Mode, Order
from v2g.planning.types import STEP_S, PlanRequest, PlanSite, PlanVehicle
from v2g.thermal.day_ahead import LONGEST_S, Outlook
from v2g.utility.signals import PriceSeries

SOLVE_SHARE: Final = 0.8
"""Of ``planning.deadline_s``: the rest is for the start of the process and its answer."""

Phases = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugged:
    """A vehicle whose charge loop runs. Powers in W at the EVSE's AC side, magnitudes: the least of its own limits, its
    EVSE's, its cable's and its device's, without those of its battery, which ``energy`` tells."""

    evse_id: str
    energy: Energy
    max_charge_w: float
    max_discharge_w: float
    phases: Phases = (1 / 3, 1 / 3, 1 / 3)
    efficiency_charge: float = 0.95
    efficiency_discharge: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInputs:
    """``now_s`` monotonic, ``now_unix_s`` on the engine's clock. ``lo_w``, ``hi_w``: V2G net power that ratings, feeder
    and breaker permit for as long as nobody changes them. ``utility``: its floor and cap by step, infinite where there
    is none; empty: none at all. ``phase_w``: most V2G power in one phase, None: not limited."""

    now_s: float
    now_unix_s: float
    settings: Planning
    vehicles: tuple[Plugged, ...]
    outlook: Outlook
    lo_w: float
    hi_w: float
    utility: tuple[tuple[float, float], ...] = ()
    orders: tuple[Order, ...] = ()
    prices: PriceSeries | None = None
    phase_w: float | None = None


def steps_of(vehicles: Sequence[Plugged], settings: Planning, now_s: float) -> int:
    """To the last departure, at least ``horizon_h`` and at most 72 h."""
    stays = [vehicle.energy.departs_at_s - now_s for vehicle in vehicles]
    last_s = max((stay_s for stay_s in stays if isfinite(stay_s)), default=0.0)
    return ceil(min(max(settings.horizon_h * 3600.0, last_s), LONGEST_S) / STEP_S)


def plan_request(inputs: PlanInputs) -> PlanRequest:
    """The request of this moment, over as many steps as ``inputs.outlook`` has. A vehicle of which a figure is no
    number is left out: JSON has none for it."""
    outlook, ahead = inputs.outlook, inputs.outlook.ahead
    steps = len(ahead.base_w)
    vehicles = [vehicle for vehicle in map(_checked, inputs.vehicles) if vehicle is not None]
    limits = _order_limits(vehicles, inputs.orders, steps, inputs.now_s)
    lo_w, hi_w = _site_limits(inputs, steps)
    site = PlanSite(
        base_w=ahead.base_w,
        base_margin_w=ahead.base_margin_w,
        base_var=ahead.base_var,
        ambient_c=ahead.ambient_c,
        params=outlook.params,
        state=outlook.state,
        bias_k=outlook.bias_k,
        margin_k=outlook.margin_k + sum(ahead.ambient_margin_k) / steps,
        hot_spot_limit_c=outlook.limits.hot_spot_c,
        top_oil_limit_c=outlook.limits.top_oil_c,
        k_limit_pu=outlook.limits.k_pu,
        upgraded_paper=outlook.upgraded_paper,
        lo_w=lo_w,
        hi_w=hi_w,
        phase_w=inputs.phase_w,
        price=_prices(inputs.prices, inputs.now_unix_s, steps),
    )
    return PlanRequest(
        starts_unix_s=inputs.now_unix_s,
        steps=steps,
        site=site,
        vehicles=tuple(_vehicle(vehicle, limits.get(vehicle.evse_id, ()), inputs.now_s) for vehicle in vehicles),
        deadline_s=SOLVE_SHARE * inputs.settings.deadline_s,
    )


def _checked(vehicle: Plugged) -> Plugged | None:
    energy = vehicle.energy
    figures = (
        vehicle.max_charge_w, vehicle.max_discharge_w, *vehicle.phases, vehicle.efficiency_charge,
        vehicle.efficiency_discharge, energy.needed_wh, energy.room_wh, energy.surplus_wh, energy.departs_at_s,
        energy.floor_pct, energy.capacity_wh, energy.soc_pct or 0.0,
    )  # fmt: skip
    return vehicle if all(map(isfinite, figures)) else None


def _vehicle(vehicle: Plugged, limit_w: tuple[tuple[float, float], ...], now_s: float) -> PlanVehicle:
    energy = vehicle.energy
    if energy.soc_pct is None:
        held_wh, floor_wh, capacity_wh = 0.0, -energy.surplus_wh, None
    else:
        capacity_wh = energy.capacity_wh
        held_wh, floor_wh = energy.soc_pct / 100.0 * capacity_wh, energy.floor_pct / 100.0 * capacity_wh
        # A surplus that is not believed is 0: then nothing below what it holds is given away.
        floor_wh = max(floor_wh, held_wh - energy.surplus_wh)
    return PlanVehicle(
        evse_id=vehicle.evse_id,
        max_charge_w=vehicle.max_charge_w,
        max_discharge_w=vehicle.max_discharge_w,
        energy_wh=held_wh,
        floor_wh=floor_wh,
        ceiling_wh=held_wh + energy.room_wh,
        target_wh=held_wh + energy.needed_wh,
        capacity_wh=capacity_wh,
        departs_in_s=energy.departs_at_s - now_s,
        departure_assumed=energy.departure_assumed,
        efficiency_charge=vehicle.efficiency_charge,
        efficiency_discharge=vehicle.efficiency_discharge,
        phases=vehicle.phases,
        limit_w=limit_w,
    )


def _order_limits(
    vehicles: Sequence[Plugged], orders: Sequence[Order], steps: int, now_s: float
) -> dict[str, tuple[tuple[float, float], ...]]:
    """What orders make each vehicle do in their time. One of a single EVSE comes before one of all, the newest first;
    an order of all is shared by the vehicles' own limits, and ``auto`` leaves them free."""
    coming = sorted(
        (order for order in orders if order.expires_at_s > now_s),
        key=lambda order: (order.evse_id is not None, max(order.begins_at_s, order.created_at_s), order.id),
    )
    limits = {}
    for vehicle in vehicles:
        free_w = (-vehicle.max_discharge_w, vehicle.max_charge_w)
        series, bound = [free_w] * steps, False
        for order in coming:
            if order.evse_id not in (None, vehicle.evse_id):
                continue
            signed_w = _part_w(order, vehicle, vehicles)
            aim_w = free_w if signed_w is None else (signed_w, signed_w)
            bound = bound or signed_w is not None
            for n, share in enumerate(_shares(order.begins_at_s - now_s, order.expires_at_s - now_s, steps)):
                lo_w, hi_w = series[n]
                series[n] = (lo_w + share * (aim_w[0] - lo_w), hi_w + share * (aim_w[1] - hi_w))
        if bound:
            limits[vehicle.evse_id] = tuple(series)
    return limits


def _part_w(order: Order, vehicle: Plugged, vehicles: Sequence[Plugged]) -> float | None:
    """A vehicle's part of an order, signed and within what it can; None: it is free."""
    if order.mode is Mode.AUTO:
        return None
    signed_w = order.signed_w
    if order.evse_id is None:
        whole_w = sum(_most_w(each, order.mode) for each in vehicles)
        signed_w *= _most_w(vehicle, order.mode) / whole_w if whole_w > 0.0 else 0.0
    return min(max(signed_w, -vehicle.max_discharge_w), vehicle.max_charge_w)


def _most_w(vehicle: Plugged, mode: Mode) -> float:
    return vehicle.max_discharge_w if mode is Mode.DISCHARGE else vehicle.max_charge_w


def _shares(begins_in_s: float, ends_in_s: float, steps: int) -> Iterator[float]:
    """How much of each step lies within the order's time."""
    for n in range(steps):
        begin, end = max(begins_in_s / STEP_S, float(n)), min(ends_in_s / STEP_S, n + 1.0)
        yield max(0.0, end - begin)


def _site_limits(inputs: PlanInputs, steps: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Those of ratings and utility; contradictory ones mean no power."""
    lows, highs = [], []
    for n in range(steps):
        floor_w, cap_w = inputs.utility[n] if inputs.utility else (-inf, inf)
        lo_w, hi_w = max(min(inputs.lo_w, 0.0), floor_w), min(max(inputs.hi_w, 0.0), cap_w)
        if not (lo_w <= hi_w and isfinite(lo_w) and isfinite(hi_w)):
            lo_w = hi_w = 0.0
        lows.append(lo_w)
        highs.append(hi_w)
    return tuple(lows), tuple(highs)


def _prices(prices: PriceSeries | None, now_unix_s: float, steps: int) -> tuple[float, ...]:
    """Means over the plan's steps; hours without a price count as the mean of the others. Empty: no price at all."""
    if prices is None or prices.step_s <= 0.0:
        return ()
    found = [_price_of(prices, now_unix_s + n * STEP_S) for n in range(steps)]
    known = [price for price in found if price is not None]
    if not known:
        return ()
    usual = sum(known) / len(known)
    return tuple(usual if price is None else price for price in found)


def _price_of(prices: PriceSeries, from_unix_s: float) -> float | None:
    begin = (from_unix_s - prices.starts_unix_s) / prices.step_s
    end = begin + STEP_S / prices.step_s
    total = weight = 0.0
    for at in range(max(0, int(begin)), min(len(prices.values), ceil(end))):
        value, share = prices.values[at], min(end, at + 1.0) - max(begin, float(at))
        if value is not None and isfinite(value) and share > 0.0:
            total += share * value
            weight += share
    return total / weight if weight > 0.0 else None
