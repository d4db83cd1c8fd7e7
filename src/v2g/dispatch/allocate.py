"""One dispatch: standing orders become a power for every vehicle, and whatever an order does not get is named.

1. Who serves what. The newest standing order of an EVSE is served by the vehicle there. The newest standing order of
   the whole site is shared by all vehicles without an order of their own, whichever is older. Older orders of the same
   target are superseded and claim nothing. An order that is over vanishes; a vehicle without order gets 0 W.
2. Shares. A site-wide order is shared in proportion to what each vehicle can do in its direction; what a vehicle cannot
   take goes to the others. No share leaves its vehicle's bounds and together they never exceed the order.
3. The site. Its bounds hold on the net sum. Where it is too high, everything that charges is scaled down by one factor;
   where it is too low, everything that discharges: the larger side gives way, and nobody is driven further.

0 W is always permitted: bounds that exclude 0 forbid the other direction and small powers, but force nobody. An end
of an intersection that no bound limits counts as unknown, which is 0 W.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import fsum, inf, isfinite
from typing import Final

from v2g.dispatch.codes import NO_LIMIT, NO_VEHICLE, shortfall_code
from v2g.dispatch.constraints import Bound, Intersection, intersect
from v2g.dispatch.fill import water_fill
from v2g.dispatch.orders import Allocation, Candidate, Grant, Mode, Order, Shortfall

_NEGLIGIBLE_W: Final = 1e-3
_ROUNDING_W: Final = 1e-6
LEAST_W: Final = 10.0
"""Less is no grant: what is left of a limit by the noise of a measurement, and below what any converter can hold."""


@dataclass(slots=True)
class _Share:
    """A vehicle's part of one order, magnitudes in W. ``floor_w``: below it the vehicle does nothing at all."""

    evse_id: str
    cap_w: float
    floor_w: float
    source: str
    floor_source: str
    power_w: float = 0.0
    reason: str | None = None


@dataclass(slots=True)
class _Service:
    """An order with all who serve it."""

    order: Order
    sign: float
    wanted_w: float
    shares: list[_Share] = field(default_factory=list)
    refused: str | None = None
    """The order as a whole cannot be served: why."""

    def total_w(self) -> float:
        return fsum(share.power_w for share in self.shares)


def allocate(
    orders: Sequence[Order], candidates: Sequence[Candidate], site: Sequence[Bound], now_s: float
) -> Allocation:
    """Grants for all ``candidates`` (in their order) and the shortfalls of all orders that stand at ``now_s``.

    ``site`` bounds the net sum of all vehicles' power (positive charges). None given means that nothing is known of
    the site, hence 0 W. Shortfalls: one for each source that binds an order, with its part of the missing power;
    ``evse_id`` is set where one EVSE alone is behind it. Two candidates of one EVSE contradict each other and both
    get 0 W. The order of ``orders`` and ``candidates`` does not matter, but for that of the grants; of equal bounds
    the first is the one that is named.

    The net sum counts on every vehicle to follow its grant: where one charges while others discharge, a caller that
    does not trust it to leaves it out of ``candidates`` and adds its measured power to the base load.
    """
    own_orders, site_wide = _newest(orders, now_s)
    seen = Counter(candidate.evse_id for candidate in candidates)
    own = {evse_id: _service(order) for evse_id, order in sorted(own_orders.items())}
    shared = _service(site_wide) if site_wide is not None else None
    for candidate in sorted(candidates, key=lambda c: c.evse_id):
        service = own.get(candidate.evse_id, shared)
        if service is not None:
            service.shares.append(_share(candidate, seen[candidate.evse_id] > 1, service.sign, now_s))
    for evse_id, service in own.items():
        if not service.shares:
            service.refused = service.refused or f"{NO_VEHICLE} at {evse_id}"
    services = [*own.values()]
    if shared is not None:
        if not shared.shares:
            shared.refused = shared.refused or (
                f"{NO_VEHICLE} without an order of its own" if candidates else f"{NO_VEHICLE} connected"
            )
        services.append(shared)

    shortfalls: list[Shortfall] = []
    for service in services:
        _fill(service)
        shortfalls += _own_shortfalls(service)
    shortfalls += _keep_site(services, intersect(site, now_s))

    served = {share.evse_id: (service, share) for service in services for share in service.shares}
    grants = tuple(_grant(candidate.evse_id, served.get(candidate.evse_id)) for candidate in candidates)
    return Allocation(
        grants=grants,
        shortfalls=tuple(sorted(shortfalls, key=lambda s: (s.order_id, s.code, s.source, s.evse_id or ""))),
        site_w=fsum(grant.power_w for grant in grants),
    )


def _newest(orders: Iterable[Order], now_s: float) -> tuple[dict[str, Order], Order | None]:
    by_evse: dict[str, Order] = {}
    site_wide: Order | None = None
    for order in sorted(orders, key=lambda o: (o.created_at_s, o.id)):
        if not now_s < order.expires_at_s:
            continue
        if order.evse_id is None:
            site_wide = order
        else:
            by_evse[order.evse_id] = order
    return by_evse, site_wide


def _service(order: Order) -> _Service:
    if order.mode is Mode.IDLE:
        return _Service(order, 0.0, 0.0)
    if not (isfinite(order.power_w) and order.power_w >= 0.0):
        return _Service(order, 0.0, 0.0, refused=f"order with a power of {order.power_w} W")
    return _Service(order, 1.0 if order.mode is Mode.CHARGE else -1.0, order.power_w)


def _share(candidate: Candidate, twice: bool, sign: float, now_s: float) -> _Share:
    if twice:
        reason = f"contradiction: two vehicles at {candidate.evse_id}"
        return _Share(candidate.evse_id, 0.0, 0.0, reason, reason)
    limits = intersect(candidate.bounds, now_s)
    if sign > 0.0:
        cap_w, source = _stated(limits.hi_w, limits.hi_source)
        floor_w, floor_source = limits.lo_w, limits.lo_source
    else:
        cap_w, source = _stated(-limits.lo_w, limits.lo_source)
        floor_w, floor_source = -limits.hi_w, limits.hi_source
    if floor_w < LEAST_W:
        floor_w, floor_source = LEAST_W, source
    return _Share(candidate.evse_id, max(0.0, cap_w), floor_w, source, floor_source)


def _stated(end_w: float, source: str) -> tuple[float, str]:
    return (0.0, NO_LIMIT) if end_w == inf else (end_w, source)


def _fill(service: _Service) -> None:
    """Share the order; whoever would stay below its floor is left out, highest floor first, and the rest share anew."""
    if service.refused is not None or service.wanted_w == 0.0:
        return
    inside = list(service.shares)
    while True:
        caps = [share.cap_w for share in inside]
        powers = water_fill(service.wanted_w, caps, caps)
        below = [share for share, power_w in zip(inside, powers, strict=True) if power_w < share.floor_w]
        if not below:
            break
        out = max(below, key=lambda share: (share.floor_w, share.evse_id))
        out.reason = out.floor_source
        inside.remove(out)
    for share, power_w in zip(inside, powers, strict=True):
        share.power_w = power_w
    short = service.wanted_w - service.total_w() > _NEGLIGIBLE_W
    for share in inside:
        if share.cap_w == 0.0 or (short and share.power_w >= share.cap_w):
            share.reason = share.source


def _own_shortfalls(service: _Service) -> list[Shortfall]:
    """What the vehicles cannot give, laid at the door of those below an equal part of the order, by that distance."""
    order = service.order
    if service.refused is not None:
        if order.mode is Mode.IDLE:
            return []
        return [_shortfall(order, order.evse_id, service.wanted_w, service.refused)]
    missing_w = service.wanted_w - service.total_w()
    if missing_w <= _NEGLIGIBLE_W:
        return []
    equal_w = service.wanted_w / len(service.shares)
    deficits = [(share, max(0.0, equal_w - share.power_w)) for share in service.shares]
    scale = missing_w / fsum(deficit for _, deficit in deficits)
    by_source: dict[str, list[tuple[str, float]]] = {}
    for share, deficit in deficits:
        if deficit > 0.0:
            by_source.setdefault(share.reason or share.source, []).append((share.evse_id, deficit * scale))
    return [
        _shortfall(order, parts[0][0] if len(parts) == 1 else order.evse_id, fsum(w for _, w in parts), source)
        for source, parts in by_source.items()
    ]


def _keep_site(services: Sequence[_Service], site: Intersection) -> list[Shortfall]:
    hi_w, hi_source = _stated(site.hi_w, site.hi_source)
    minus_lo_w, lo_source = _stated(-site.lo_w, site.lo_source)
    before_w = [service.total_w() for service in services]
    # A share that falls below its floor drops to 0 W, which may call for the other side to give way in turn.
    for _ in range(2 + sum(len(service.shares) for service in services)):
        charge_w = fsum(service.total_w() for service in services if service.sign > 0.0)
        discharge_w = fsum(service.total_w() for service in services if service.sign < 0.0)
        net_w = charge_w - discharge_w
        if net_w > hi_w + _ROUNDING_W and charge_w > 0.0:
            _scale(services, 1.0, max(0.0, hi_w + discharge_w) / charge_w, hi_source)
        elif -net_w > minus_lo_w + _ROUNDING_W and discharge_w > 0.0:
            _scale(services, -1.0, max(0.0, minus_lo_w + charge_w) / discharge_w, lo_source)
        else:
            break
    shortfalls = []
    for service, was_w in zip(services, before_w, strict=True):
        missing_w = was_w - service.total_w()
        if missing_w > _NEGLIGIBLE_W:
            source = hi_source if service.sign > 0.0 else lo_source
            shortfalls.append(_shortfall(service.order, service.order.evse_id, missing_w, source))
    return shortfalls


def _scale(services: Sequence[_Service], sign: float, factor: float, source: str) -> None:
    for service in services:
        if service.sign != sign:
            continue
        for share in service.shares:
            if share.power_w > 0.0:
                share.power_w *= factor
                share.reason = source
                if share.power_w < share.floor_w:
                    share.power_w = 0.0


def _shortfall(order: Order, evse_id: str | None, missing_w: float, source: str) -> Shortfall:
    return Shortfall(
        order_id=order.id,
        evse_id=evse_id,
        missing_w=missing_w,
        code=shortfall_code(source, order.mode),
        source=source,
    )


def _grant(evse_id: str, served: tuple[_Service, _Share] | None) -> Grant:
    if served is None:
        return Grant(evse_id=evse_id, power_w=0.0, bound_by=None, order_id=None)
    service, share = served
    power_w = service.sign * share.power_w
    return Grant(
        evse_id=evse_id,
        power_w=power_w if power_w else 0.0,
        bound_by=service.refused or share.reason,
        order_id=service.order.id,
    )
