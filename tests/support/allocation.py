"""One allocation by itself: a dispatcher without a past, and without ramps; and what it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Any

from v2g.dispatch.constraints import Bound
from v2g.dispatch.dispatcher import Aim, Dispatcher, Group, Settings, Vehicle
from v2g.dispatch.energy import Energy
from v2g.dispatch.orders import Allocation, Mode, Order

AT_ONCE = Settings(ramp_pu_s=inf)
ORDERS_ONLY = Aim(enabled=False)


def allocate(
    orders: Sequence[Order],
    vehicles: Sequence[Vehicle],
    site: Sequence[Bound],
    now_s: float,
    *,
    groups: Sequence[Group] = (),
    aim: Aim = ORDERS_ONLY,
    settings: Settings = AT_ONCE,
) -> Allocation:
    return Dispatcher(settings).step(vehicles, orders, site, groups, aim, now_s)


def vehicle_of(evse_id: str, bounds: tuple[Bound, ...], **more: object) -> Vehicle:
    """One that is rated for 22 kW either way."""
    return Vehicle(evse_id=evse_id, bounds=bounds, rated_charge_w=22e3, rated_discharge_w=22e3, **more)  # type: ignore[arg-type]


def energy_with(**changes: Any) -> Energy:
    """Of a battery of 60 kWh at 50 %, above a floor of 30 %."""
    usual = Energy(
        needed_wh=10e3,
        room_wh=20e3,
        surplus_wh=10e3,
        departs_at_s=30e3,
        departure_assumed=False,
        floor_pct=30.0,
        soc_pct=50.0,
        capacity_wh=60e3,
        capacity_assumed=False,
    )
    return replace(usual, **changes)


def order_of(mode: Mode, power_w: float = 0.0, evse_id: str | None = None, order_id: int = 1) -> Order:
    """One that never ends."""
    return Order(id=order_id, mode=mode, power_w=power_w, evse_id=evse_id, created_at_s=0.0, expires_at_s=inf, by="ann")
