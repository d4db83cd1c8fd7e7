"""What orders did not get, and who is behind it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from typing import Final

from v2g.dispatch.claims import Claim, Service
from v2g.dispatch.codes import shortfall_code
from v2g.dispatch.orders import Mode, Order, Shortfall

_NEGLIGIBLE_W: Final = 1e-3


def shortfalls_of(services: Sequence[Service]) -> tuple[Shortfall, ...]:
    """Of each order first what its vehicles cannot give, then what groups and site take from it."""
    found: list[Shortfall] = []
    for service in services:
        found += _own(service)
        found += _taken(service)
    return tuple(sorted(found, key=lambda s: (s.order_id, s.code, s.source, s.evse_id or "")))


def _own(service: Service) -> list[Shortfall]:
    """What the vehicles cannot give, laid at the door of those below an equal part of the order, by that distance."""
    order = service.order
    if order is None:
        return []
    if service.refused is not None:
        if order.mode is Mode.IDLE:
            return []
        return [_shortfall(order, order.evse_id, service.wanted_w, service.refused)]
    missing_w = service.wanted_w - fsum(claim.own_w for claim in service.claims)
    if missing_w <= _NEGLIGIBLE_W:
        return []
    equal_w = service.wanted_w / len(service.claims)
    deficits = [(claim, max(0.0, equal_w - claim.own_w)) for claim in service.claims]
    scale = missing_w / fsum(deficit for _, deficit in deficits)
    return _by_source(
        order, [(claim, _own_source(claim), deficit * scale) for claim, deficit in deficits if deficit > 0.0]
    )


def _taken(service: Service) -> list[Shortfall]:
    if service.order is None or service.refused is not None:
        return []
    missing_w = fsum(claim.own_w for claim in service.claims) - service.total_w()
    if missing_w <= _NEGLIGIBLE_W:
        return []
    deficits = [(claim, max(0.0, claim.own_w - claim.target_w)) for claim in service.claims]
    scale = missing_w / fsum(deficit for _, deficit in deficits)
    parts = [(claim, claim.reason or claim.source, deficit * scale) for claim, deficit in deficits if deficit > 0.0]
    by_source: dict[str, float] = {}
    for _, source, part_w in parts:
        by_source[source] = by_source.get(source, 0.0) + part_w
    return [_shortfall(service.order, service.order.evse_id, part_w, source) for source, part_w in by_source.items()]


def _own_source(claim: Claim) -> str:
    return claim.floor_source if claim.own_w < claim.floor_w <= claim.cap_w else claim.source


def _by_source(order: Order, parts: Sequence[tuple[Claim, str, float]]) -> list[Shortfall]:
    by_source: dict[str, list[tuple[str, float]]] = {}
    for claim, source, part_w in parts:
        by_source.setdefault(source, []).append((claim.evse_id, part_w))
    return [
        _shortfall(order, of[0][0] if len(of) == 1 else order.evse_id, fsum(w for _, w in of), source)
        for source, of in by_source.items()
    ]


def _shortfall(order: Order, evse_id: str | None, missing_w: float, source: str) -> Shortfall:
    return Shortfall(
        order_id=order.id,
        evse_id=evse_id,
        missing_w=missing_w,
        code=shortfall_code(source, order.mode),
        source=source,
    )
