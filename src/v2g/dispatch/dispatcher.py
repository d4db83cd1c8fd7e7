"""One allocation after the other: orders and ``auto`` become powers for every vehicle, within all limits. Pure.

1. Claims. Who serves which order (:mod:`v2g.dispatch.claims`), and what the others do (:mod:`v2g.dispatch.auto`).
2. Shares. Each direction is shared by weighted max-min fairness within the vehicles' own bounds, the amounts that were
   ordered, and the limits of groups (phases, feeders, site). Where not all can have their minimum they take turns.
3. The net. What discharges makes room for what charges, and the other way round, as far as it is measured to flow: of
   two sides that exceed a limit together the larger gives way, and nobody is driven further.
4. The way there. Power falls at once and rises by its ramp, and only into room that is there by measurement: who starts
   waits until the others have made room, and who takes more than it was told counts with what it takes.

0 W is always permitted: bounds that exclude 0 forbid the other direction and small powers, but force nobody. An end
of an intersection that no bound limits counts as unknown, which is 0 W.

What an allocation carries over from the one before is kept here: whose turn it is, ramps, directions, and who does not
follow. Time is an argument; a second call with the same time starts from the same past.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import copysign, fsum, isfinite
from typing import Final

from v2g.dispatch.auto import AutoServices, auto_services
from v2g.dispatch.claims import Claim, Service, Services, doubts_of, services_of
from v2g.dispatch.constraints import Bound, Intersection, intersect
from v2g.dispatch.following import Following
from v2g.dispatch.inputs import Aim, Group, Phases, Settings, Vehicle
from v2g.dispatch.orders import Allocation, Grant, Order
from v2g.dispatch.sharing import Direction, GroupLimit
from v2g.dispatch.shortfalls import shortfalls_of

__all__ = ["Aim", "Dispatcher", "Group", "Phases", "Settings", "Vehicle"]

_ROUNDS: Final = 6
_CLOSE_W: Final = 1e-3
"""Rounds that move all shares together by less have come to their end."""
_BASE_BAND: Final = 0.01
"""Of the transformer's rating: a base load that moved by less is taken as it was."""


class Dispatcher:
    """:meth:`step` about once a second, or with every control cycle."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._charge = Direction(1.0, settings)
        self._discharge = Direction(-1.0, settings)
        self._following = Following(settings.ramp_pu_s)
        self._base_w: float | None = None
        self._charged_at_s: dict[str, float] = {}
        self._discharged_at_s: dict[str, float] = {}

    def step(
        self,
        vehicles: Sequence[Vehicle],
        orders: Sequence[Order],
        site: Sequence[Bound],
        groups: Sequence[Group],
        aim: Aim,
        now_s: float,
    ) -> Allocation:
        """Grants for all ``vehicles`` (in their order) and the shortfalls of all orders that stand at ``now_s``.

        ``site`` bounds the net sum of all powers; none given means that nothing is known, hence 0 W. Shortfalls: one
        for each source that binds an order, with its part of the missing power; ``evse_id`` is set where one EVSE alone
        is behind it. Two vehicles of one EVSE contradict each other and both get 0 W. The order of the arguments does
        not matter, but for that of the grants; of equal bounds the first is the one that is named.
        """
        limits = [
            GroupLimit(group.name, intersect(group.bounds, now_s), group.shares)
            for group in (Group(name="site", bounds=tuple(site), shares={v.evse_id: 1.0 for v in vehicles}), *groups)
        ]
        services = services_of(orders, vehicles, now_s, doubts_of(vehicles, groups))
        auto = self._auto(services, limits[0].limits, aim, now_s)
        asked = [*services.orders, auto.charge, auto.discharge]
        measured_w = _measured(vehicles)
        self._following.observe(measured_w, {v.evse_id: v.rated_charge_w for v in vehicles}, now_s)
        self._share(asked, limits, measured_w, now_s)
        for direction, sign in ((self._charge, 1.0), (self._discharge, -1.0)):
            claims = [claim for service in asked if service.sign == sign for claim in service.claims]
            self._following.carry_out(sign, claims, direction.rooms, measured_w)
        grants = self._grants(vehicles, asked, auto, services, aim)
        self._remember(grants, now_s)
        return Allocation(
            grants=grants,
            shortfalls=shortfalls_of(services.orders),
            site_w=fsum(grant.power_w for grant in grants),
        )

    # ---- what is asked ----

    def _auto(self, services: Services, site: Intersection, aim: Aim, now_s: float) -> AutoServices:
        free = [each for each in services.free if aim.enabled or each[0].evse_id in services.auto]
        wish = (max(0.0, site.lo_w), min(0.0, site.hi_w))
        return auto_services(
            free,
            aim,
            self._steady(aim),
            wish,
            self._charged_at_s,
            self._discharged_at_s,
            self._settings.dwell_s,
            now_s,
        )

    def _steady(self, aim: Aim) -> float | None:
        """The base load without its noise, so that vehicles do not follow every kettle."""
        base_w = aim.base_w
        if base_w is None or not isfinite(base_w):
            self._base_w = None
        elif self._base_w is None or abs(base_w - self._base_w) > _BASE_BAND * self._settings.rated_w:
            self._base_w = base_w
        return self._base_w

    # ---- shares ----

    def _share(
        self, services: Sequence[Service], limits: Sequence[GroupLimit], measured_w: Mapping[str, float], now_s: float
    ) -> None:
        charging = [claim for service in services if service.sign > 0.0 for claim in service.claims]
        discharging = [claim for service in services if service.sign < 0.0 for claim in service.claims]
        ignored_w = self._following.ignored_w
        if any(service.order is not None for service in services) or (charging and discharging):
            # What orders lack for reasons of their own is told apart from what limits take from them.
            self._charge.potential(charging)
            self._discharge.potential(discharging)
        if not (charging and discharging):
            self._charge.share(charging, limits, discharging, ignored_w, now_s)
            self._discharge.share(discharging, limits, charging, ignored_w, now_s)
            return
        for _ in range(_ROUNDS):
            before = [claim.target_w for claim in charging]
            self._discharge.share(discharging, limits, self._flowing(charging, 1.0, measured_w), ignored_w, now_s)
            self._charge.share(charging, limits, self._flowing(discharging, -1.0, measured_w), ignored_w, now_s)
            if fsum(abs(claim.target_w - was_w) for claim, was_w in zip(charging, before, strict=True)) < _CLOSE_W:
                return
        self._discharge.share(discharging, limits, (), ignored_w, now_s)
        self._charge.share(charging, limits, self._flowing(discharging, -1.0, measured_w), ignored_w, now_s)

    def _flowing(self, claims: Sequence[Claim], sign: float, measured_w: Mapping[str, float]) -> list[Claim]:
        """Claims with what of their share flows by measurement; one that is not measured counts as following."""
        told_w = self._following.before_w
        flowing = []
        for claim in claims:
            flows_w = claim.target_w
            if claim.evse_id in measured_w:
                flows_w = max(0.0, min(flows_w, sign * measured_w[claim.evse_id], sign * told_w(claim.evse_id)))
            flowing.append(replace(claim, target_w=flows_w))
        return flowing

    # ---- what is told ----

    def _grants(
        self,
        vehicles: Sequence[Vehicle],
        asked: Sequence[Service],
        auto: AutoServices,
        services: Services,
        aim: Aim,
    ) -> tuple[Grant, ...]:
        served = {claim.evse_id: (service, claim) for service in asked for claim in service.claims}
        free = {vehicle.evse_id for vehicle, _ in services.free}
        waits_s = {**self._charge.waits_s, **self._discharge.waits_s}
        grants = []
        for vehicle in vehicles:
            evse_id = vehicle.evse_id
            is_auto = evse_id in free and (aim.enabled or evse_id in services.auto)
            found = served.get(evse_id)
            if found is None:
                reason = auto.resting.get(evse_id) if is_auto else None
                grants.append(Grant(evse_id=evse_id, power_w=0.0, bound_by=reason, order_id=None, auto=is_auto))
                continue
            service, claim = found
            power_w = 0.0 if claim.power_w == 0.0 else copysign(claim.power_w, service.sign)
            reason = service.refused or claim.reason
            grants.append(
                Grant(
                    evse_id=evse_id,
                    power_w=power_w,
                    bound_by=reason or (service.source if is_auto else None),
                    order_id=service.order.id if service.order is not None else None,
                    target_w=0.0 if claim.target_w == 0.0 else copysign(claim.target_w, service.sign),
                    auto=is_auto,
                    waits_s=waits_s.get(evse_id),
                )
            )
        if len({grant.evse_id for grant in grants}) < len(grants):
            grants = [replace(grant, power_w=0.0, target_w=0.0) if _twice(grant, grants) else grant for grant in grants]
        return tuple(grants)

    def _remember(self, grants: Sequence[Grant], now_s: float) -> None:
        for grant in grants:
            self._following.remember(grant.evse_id, grant.power_w)
            if grant.power_w > 0.0:
                self._charged_at_s[grant.evse_id] = now_s
            elif grant.power_w < 0.0:
                self._discharged_at_s[grant.evse_id] = now_s
        here = {grant.evse_id for grant in grants}
        for past in (self._charged_at_s, self._discharged_at_s):
            for evse_id in past.keys() - here:
                del past[evse_id]


def _measured(vehicles: Sequence[Vehicle]) -> dict[str, float]:
    return {
        vehicle.evse_id: vehicle.measured_w
        for vehicle in vehicles
        if vehicle.measured_w is not None and isfinite(vehicle.measured_w)
    }


def _twice(grant: Grant, grants: Sequence[Grant]) -> bool:
    return sum(1 for each in grants if each.evse_id == grant.evse_id) > 1
