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

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import copysign, fsum, isfinite
from typing import Final

from v2g.dispatch.auto import SLACK_S, AutoServices, auto_services
from v2g.dispatch.claims import LEAST_W, Claim, Service, Services, doubts_of, services_of, stated
from v2g.dispatch.constraints import Bound, Intersection, intersect
from v2g.dispatch.following import TOLERANCE_W, Following
from v2g.dispatch.inputs import Aim, Group, Phases, Settings, Vehicle
from v2g.dispatch.netting import hold_limits
from v2g.dispatch.orders import Allocation, Grant, Order
from v2g.dispatch.sharing import Direction, GroupLimit
from v2g.dispatch.shortfalls import shortfalls_of

__all__ = ["Aim", "Dispatcher", "Group", "Phases", "Settings", "Vehicle"]

DEAF: Final = "does not follow what it is told"
_ROUNDS: Final = 6
_CLOSE_W: Final = 1e-3
"""Rounds that move all shares together by less have come to their end."""
_BASE_BAND: Final = 0.01
"""Of the transformer's rating: a base load that moved by less is taken as it was."""
_BASE_HOLD_S: Final = 60.0


class Dispatcher:
    """:meth:`step` about once a second, or with every control cycle."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._charge = Direction(1.0, settings)
        self._discharge = Direction(-1.0, settings)
        self._following = Following(settings.ramp_pu_s)
        self._base_w: float | None = None
        self._bases: deque[tuple[float, float]] = deque()
        self._rooms_w: dict[int, float] = {}
        self._room: tuple[float, float] | None = None
        self._charged_at_s: dict[str, float] = {}
        self._discharged_at_s: dict[str, float] = {}
        self._powered_at_s: dict[str, float] = {}
        """When each vehicle last had power, or came."""
        self._powered_before_s = self._powered_at_s
        self._now_s: float | None = None
        self._hurried: frozenset[str] = frozenset()
        self._hurried_before = self._hurried

    def adopt(self, settings: Settings) -> None:
        """Go by other settings from the next step on; turns, ramps and what is remembered go on."""
        self._settings = settings
        self._charge.adopt(settings)
        self._discharge.adopt(settings)
        self._following.adopt(settings.ramp_pu_s)

    def step(
        self,
        vehicles: Sequence[Vehicle],
        orders: Sequence[Order],
        site: Sequence[Bound],
        groups: Sequence[Group],
        aim: Aim,
        now_s: float,
        strays_w: Mapping[str, float] | None = None,
    ) -> Allocation:
        """Grants for all ``vehicles`` (in their order) and the shortfalls of all orders that stand at ``now_s``.

        ``site`` bounds the net sum of all powers; none given means that nothing is known, hence 0 W. Shortfalls: one
        for each source that binds an order, with its part of the missing power; ``evse_id`` is set where one EVSE alone
        is behind it. Two vehicles of one EVSE contradict each other and both get 0 W. The order of the arguments does
        not matter, but for that of the grants; of equal bounds the first is the one that is named. ``strays_w``: signed
        power that is measured at EVSEs without a vehicle here; it takes room from the others.
        """
        doubts = doubts_of(vehicles, groups)
        strays_w = {e: w for e, w in (strays_w or {}).items() if isfinite(w) and abs(w) > TOLERANCE_W}
        everywhere = dict.fromkeys((*(vehicle.evse_id for vehicle in vehicles), *strays_w), 1.0)
        limits = [
            GroupLimit(intersect(group.bounds, now_s), _without(group.shares, doubts))
            for group in (Group(name="site", bounds=tuple(site), shares=everywhere), *groups)
        ]
        if now_s != self._now_s:
            self._now_s = now_s
            self._powered_before_s, self._hurried_before = dict(self._powered_at_s), self._hurried
        services = services_of(orders, vehicles, now_s, doubts)
        measured_w = _measured(vehicles)
        self._following.observe(measured_w, {v.evse_id: v.rated_charge_w for v in vehicles}, now_s)
        self._following.ignored_w |= strays_w
        auto = self._auto(services, limits[0].limits, aim, measured_w, now_s)
        asked = [*services.orders, *auto.all]
        idle_s = {v.evse_id: now_s - self._powered_before_s.get(v.evse_id, now_s) for v in vehicles}
        self._charge.idle_s = self._discharge.idle_s = idle_s
        charging = [claim for service in asked if service.sign > 0.0 for claim in service.claims]
        discharging = [claim for service in asked if service.sign < 0.0 for claim in service.claims]
        self._share(charging, discharging, limits, measured_w, now_s, ordered=bool(services.orders))
        for direction, sign, claims in ((self._charge, 1.0, charging), (self._discharge, -1.0, discharging)):
            self._following.carry_out(sign, claims, direction.rooms, measured_w)
            direction.balance_powers(claims)
        hold_limits(charging, discharging, limits)
        grants = self._grants(vehicles, asked, auto.resting)
        self._remember(grants, now_s)
        return Allocation(
            grants=grants,
            shortfalls=shortfalls_of(services.orders),
            site_w=fsum(grant.power_w for grant in grants),
        )

    # ---- what is asked ----

    def _auto(
        self, services: Services, site: Intersection, aim: Aim, measured_w: Mapping[str, float], now_s: float
    ) -> AutoServices:
        free = [each for each in services.free if aim.enabled or each[0].evse_id in services.auto]
        wish = (max(0.0, site.lo_w), min(0.0, site.hi_w))
        auto = auto_services(
            free,
            aim,
            self._steady(aim, now_s),
            wish,
            self._charged_at_s,
            self._discharged_at_s,
            self._settings.dwell_s,
            now_s,
            others_w=self._others_w(services, measured_w),
            hurried=self._hurried_before,
            room_w=self._most_room_w(site, now_s),
        )
        self._hurried = auto.hurried
        return auto

    def _others_w(self, services: Services, measured_w: Mapping[str, float]) -> float:
        """Net power that ``auto`` finds there: of vehicles under an order, and what others take beyond their word.

        Discharge counts as far as it is measured.
        """
        told_w = {c.evse_id: self._following.before_w(c.evse_id) for each in services.orders for c in each.claims}
        flows_w = (max(w, min(0.0, measured_w.get(evse_id, w))) for evse_id, w in told_w.items())
        return fsum((*flows_w, *self._following.beyond_w().values()))

    def _steady(self, aim: Aim, now_s: float) -> float | None:
        """The base load without its noise, so that vehicles do not follow every kettle: a rise counts at once, a fall
        once it has lasted for :data:`_BASE_HOLD_S`."""
        base_w = aim.base_w
        if base_w is None or not isfinite(base_w):
            self._base_w = None
            self._bases.clear()
            return None
        bases = self._bases
        while bases and (bases[-1][1] <= base_w or bases[-1][0] >= now_s):
            bases.pop()
        bases.append((now_s, base_w))
        while bases[0][0] < now_s - _BASE_HOLD_S:
            bases.popleft()
        held_w = bases[0][1]
        if self._base_w is None or abs(held_w - self._base_w) > _BASE_BAND * self._settings.rated_w:
            self._base_w = held_w
        return self._base_w

    def _most_room_w(self, site: Intersection, now_s: float) -> float:
        """The most that the site has permitted to charge within a day, but for moments: so much it will again."""
        room_w, _ = stated(site.hi_w, site.hi_source)
        at_s, mean_w = self._room or (now_s, room_w)
        if now_s > at_s:
            mean_w += (room_w - mean_w) * min(1.0, (now_s - at_s) / SLACK_S)
        if isfinite(now_s):
            self._room = now_s, mean_w
            hour = int(now_s // 3600.0)
            self._rooms_w = {at: w for at, w in self._rooms_w.items() if hour - 24 < at <= hour}
            self._rooms_w[hour] = max(mean_w, self._rooms_w.get(hour, 0.0))
        return max(self._rooms_w.values(), default=0.0)

    # ---- shares ----

    def _share(
        self,
        charging: Sequence[Claim],
        discharging: Sequence[Claim],
        limits: Sequence[GroupLimit],
        measured_w: Mapping[str, float],
        now_s: float,
        *,
        ordered: bool,
    ) -> None:
        ignored_w = self._following.beyond_w()
        self._hold_deaf((*charging, *discharging))
        if ordered or (charging and discharging):
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

    def _hold_deaf(self, claims: Iterable[Claim]) -> None:
        """Who does not follow keeps what it was told at least: with its excess that makes all that it takes, at once. A
        share that shrank with the room would leave the others its difference once more."""
        for claim in claims:
            sign = claim.service.sign
            told_w = min(claim.cap_w, sign * self._following.before_w(claim.evse_id))
            if self._following.ignored_w.get(claim.evse_id, 0.0) * sign > 0.0 and told_w > claim.floor_w:
                claim.floor_w, claim.floor_source = told_w, DEAF

    def _flowing(self, claims: Sequence[Claim], sign: float, measured_w: Mapping[str, float]) -> list[Claim]:
        """Claims with what of their share flows by measurement; one that is not measured counts as following."""
        told_w = self._following.before_w
        flowing = []
        for claim in claims:
            flows_w = claim.target_w
            if claim.evse_id in measured_w:
                flows_w = min(flows_w, sign * measured_w[claim.evse_id], sign * told_w(claim.evse_id))
            flowing.append(replace(claim, target_w=flows_w if flows_w >= max(claim.minimum_w, LEAST_W) else 0.0))
        return flowing

    # ---- what is told ----

    def _grants(
        self, vehicles: Sequence[Vehicle], asked: Sequence[Service], resting: Mapping[str, str]
    ) -> tuple[Grant, ...]:
        served = {claim.evse_id: claim for service in asked for claim in service.claims}
        waits_s = {**self._charge.waits_s, **self._discharge.waits_s}
        grants = []
        for vehicle in vehicles:
            evse_id = vehicle.evse_id
            claim = served.get(evse_id)
            if claim is None:
                reason = resting.get(evse_id)
                grants.append(
                    Grant(evse_id=evse_id, power_w=0.0, bound_by=reason, order_id=None, auto=reason is not None)
                )
                continue
            service, order = claim.service, claim.service.order
            power_w = 0.0 if claim.power_w == 0.0 else copysign(claim.power_w, service.sign)
            reason = service.refused or claim.reason
            grants.append(
                Grant(
                    evse_id=evse_id,
                    power_w=power_w,
                    bound_by=reason or (service.source if order is None else None),
                    order_id=order.id if order is not None else None,
                    target_w=0.0 if claim.target_w == 0.0 else copysign(claim.target_w, service.sign),
                    auto=order is None,
                    waits_s=waits_s.get(evse_id),
                )
            )
        return tuple(grants)

    def _remember(self, grants: Sequence[Grant], now_s: float) -> None:
        for grant in grants:
            self._following.remember(grant.evse_id, grant.power_w)
            if grant.power_w != 0.0 or grant.evse_id not in self._powered_at_s:
                self._powered_at_s[grant.evse_id] = now_s
            if grant.power_w > 0.0:
                self._charged_at_s[grant.evse_id] = now_s
            elif grant.power_w < 0.0:
                self._discharged_at_s[grant.evse_id] = now_s
        here = {grant.evse_id for grant in grants}
        for past in (self._charged_at_s, self._discharged_at_s, self._powered_at_s):
            for evse_id in past.keys() - here:
                del past[evse_id]


def _without(shares: Mapping[str, float], doubts: Mapping[str, str]) -> Mapping[str, float]:
    return {evse_id: s for evse_id, s in shares.items() if isfinite(s)} if doubts else shares


def _measured(vehicles: Sequence[Vehicle]) -> dict[str, float]:
    return {
        vehicle.evse_id: vehicle.measured_w
        for vehicle in vehicles
        if vehicle.measured_w is not None and isfinite(vehicle.measured_w)
    }
