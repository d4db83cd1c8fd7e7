"""One allocation by itself: a dispatcher without a past, and without ramps."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from v2g.dispatch.constraints import Bound
from v2g.dispatch.dispatcher import Aim, Dispatcher, Group, Settings, Vehicle
from v2g.dispatch.orders import Allocation, Order

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
