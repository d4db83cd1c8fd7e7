"""Who serves which order, and what each vehicle can do for it: the claims among which power is shared. Pure.

The newest standing order of an EVSE is served by the vehicle there. The newest standing order of the whole site is
shared by all vehicles without an order of their own, whichever is older. Older orders of the same target are superseded
and claim nothing. A vehicle that no order concerns is left to ``auto``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum, inf, isfinite
from typing import Final

from v2g.dispatch.codes import NO_LIMIT, NO_VEHICLE
from v2g.dispatch.constraints import Intersection, intersect
from v2g.dispatch.inputs import Group, Vehicle
from v2g.dispatch.orders import Mode, Order

LEAST_W: Final = 10.0
"""Less is no grant: what is left of a limit by the noise of a measurement, and below what any converter can hold."""
_MOST_SHARE: Final = 1e6
LEAST_WEIGHT: Final = 0.05
"""Of what it can take: so much a vehicle weighs at least, however little it is in a hurry, and so it never starves."""


@dataclass(slots=True)
class Claim:
    """A vehicle's part of one order or of ``auto``; magnitudes in W, of the direction ``service.sign``.

    ``floor_w``: below it the vehicle does nothing at all. ``target_w``: its share; ``power_w``: what of it is granted
    now. ``reason``: what keeps it from more, or None.
    """

    vehicle: Vehicle
    service: Service
    cap_w: float
    floor_w: float
    source: str
    floor_source: str
    weight: float
    target_w: float = 0.0
    own_w: float = 0.0
    """Its share if only orders and vehicles bound it."""
    power_w: float = 0.0
    reason: str | None = None

    @property
    def evse_id(self) -> str:
        return self.vehicle.evse_id

    @property
    def minimum_w(self) -> float:
        """Its floor where it has one of its own, else 0."""
        return self.floor_w if self.floor_w > LEAST_W else 0.0


@dataclass(slots=True)
class Service:
    """An order, or one direction of ``auto`` (``order`` None), with all who serve it. ``wanted_w``: magnitude."""

    order: Order | None
    sign: float
    wanted_w: float
    source: str = ""
    """What ``wanted_w`` comes from, as it is told of a vehicle of ``auto``."""
    claims: list[Claim] = field(default_factory=list)
    refused: str | None = None
    """The order as a whole cannot be served: why."""
    turn_w: float = 0.0
    """What it may come to for somebody's minimum power, where ``wanted_w`` is less."""

    def total_w(self) -> float:
        return fsum(claim.target_w for claim in self.claims)


@dataclass(slots=True, kw_only=True)
class Services:
    """What all standing orders come to, and the vehicles that none of them concerns, with their limits."""

    orders: list[Service]
    free: list[tuple[Vehicle, Intersection]]
    auto: frozenset[str]
    """Of the free ones those that an order gives to ``auto``, whatever a vehicle without order does."""


def services_of(
    orders: Iterable[Order], vehicles: Sequence[Vehicle], now_s: float, doubts: Mapping[str, str] | None = None
) -> Services:
    """Sort ``vehicles`` to the orders that stand at ``now_s``. ``doubts``: by EVSE, why its vehicle gets nothing."""
    by_evse, site_wide = _newest(orders, now_s)
    own = {evse_id: _service(order) for evse_id, order in sorted(by_evse.items()) if order.mode is not Mode.AUTO}
    given_back = {evse_id for evse_id, order in by_evse.items() if order.mode is Mode.AUTO}
    whole_auto = site_wide is not None and site_wide.mode is Mode.AUTO
    shared = _service(site_wide) if site_wide is not None and not whole_auto else None
    free: list[tuple[Vehicle, Intersection]] = []
    for vehicle in sorted(vehicles, key=lambda v: v.evse_id):
        limits = _limits(vehicle, doubts or {}, now_s)
        service = own.get(vehicle.evse_id, shared)
        if service is None or vehicle.evse_id in given_back:
            free.append((vehicle, limits))
        else:
            service.claims.append(claim_of(vehicle, service, limits, _order_weight(vehicle, service, now_s)))
    for evse_id, service in own.items():
        if not service.claims:
            service.refused = service.refused or f"{NO_VEHICLE} at {evse_id}"
    services = list(own.values())
    if shared is not None:
        if not shared.claims:
            shared.refused = shared.refused or (
                f"{NO_VEHICLE} without an order of its own" if vehicles else f"{NO_VEHICLE} connected"
            )
        services.append(shared)
    auto = frozenset(vehicle.evse_id for vehicle, _ in free if whole_auto or vehicle.evse_id in given_back)
    return Services(orders=services, free=free, auto=auto)


def claim_of(vehicle: Vehicle, service: Service, limits: Intersection, weight: float | None) -> Claim:
    """``weight`` None: as much as it can do."""
    if service.sign > 0.0:
        cap_w, source = stated(limits.hi_w, limits.hi_source)
        floor_w, floor_source, least_w = limits.lo_w, limits.lo_source, vehicle.min_charge_w
    else:
        cap_w, source = stated(-limits.lo_w, limits.lo_source)
        floor_w, floor_source, least_w = -limits.hi_w, limits.hi_source, vehicle.min_discharge_w
    cap_w = max(0.0, cap_w)
    if isfinite(least_w) and floor_w < least_w:
        floor_w, floor_source = least_w, f"vehicle minimum of {least_w:.0f} W"
    if floor_w < LEAST_W:
        floor_w, floor_source = LEAST_W, source
    return Claim(
        vehicle=vehicle,
        service=service,
        cap_w=cap_w,
        floor_w=floor_w,
        source=source,
        floor_source=floor_source,
        weight=cap_w if weight is None else weight,
    )


def stated(end_w: float, source: str) -> tuple[float, str]:
    """An end that no bound limits counts as unknown, which is 0 W."""
    return (0.0, NO_LIMIT) if end_w == inf else (end_w, source)


def doubts_of(vehicles: Sequence[Vehicle], groups: Iterable[Group]) -> dict[str, str]:
    """By EVSE, what makes it impossible to tell which limits its vehicle loads, and how much."""
    doubts: dict[str, str] = {}
    seen: set[str] = set()
    for group in groups:
        for evse_id, share in group.shares.items():
            if not 0.0 <= share <= _MOST_SHARE:
                doubts[evse_id] = f"EVSE's share of {share:g} in {group.name} cannot be"
    for vehicle in vehicles:
        if not all(0.0 <= part <= 1.0 for part in vehicle.phases) or not fsum(vehicle.phases) > 0.0:
            doubts[vehicle.evse_id] = "EVSE's shares of the phases cannot be"
        if vehicle.evse_id in seen:
            doubts[vehicle.evse_id] = f"contradiction: two vehicles at {vehicle.evse_id}"
        seen.add(vehicle.evse_id)
    return doubts


def _limits(vehicle: Vehicle, doubts: Mapping[str, str], now_s: float) -> Intersection:
    if reason := doubts.get(vehicle.evse_id):
        return Intersection(0.0, 0.0, reason, reason)
    return intersect(vehicle.bounds, now_s)


def _order_weight(vehicle: Vehicle, service: Service, now_s: float) -> float | None:
    """Of a charge that is shared: its urgency; of a discharge: what it has to spare. None: as much as it can do."""
    energy = vehicle.energy
    if energy is None:
        return None
    if service.sign < 0.0:
        return energy.surplus_wh or None
    if service.order is not None and service.order.evse_id is not None:
        return None
    return max(energy.urgency_w(now_s), LEAST_WEIGHT * vehicle.rated_charge_w)


def _newest(orders: Iterable[Order], now_s: float) -> tuple[dict[str, Order], Order | None]:
    by_evse: dict[str, Order] = {}
    site_wide: Order | None = None
    for order in sorted(orders, key=lambda o: (max(o.begins_at_s, o.created_at_s), o.id)):
        if not order.begins_at_s <= now_s < order.expires_at_s:
            continue
        if order.evse_id is None:
            site_wide = order
        else:
            by_evse[order.evse_id] = order
    return by_evse, site_wide


def _service(order: Order) -> Service:
    if order.mode is Mode.IDLE:
        return Service(order, 0.0, 0.0)
    if not (isfinite(order.power_w) and order.power_w >= 0.0):
        return Service(order, 0.0, 0.0, refused=f"order with a power of {order.power_w} W")
    return Service(order, 1.0 if order.mode is Mode.CHARGE else -1.0, order.power_w)
