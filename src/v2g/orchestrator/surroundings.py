"""What the control cycle goes by besides its devices: min-SoC, the plan of the day, the utility, customers' meters.

Everything here may be absent or fail, and the cycle goes on without it.
"""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from v2g.clock import Clock
from v2g.config.loader import Loaded
from v2g.config.paths import RunPaths
from v2g.control.server import Method
from v2g.dispatch.auto import CHARGE_EFFICIENCY
from v2g.dispatch.energy import energy_of
from v2g.dispatch.orders import Mode, Order
from v2g.dispatch.vehicle import DISCHARGE_EFFICIENCY, VehicleData
from v2g.orchestrator.aims import NO_PLAN, StandingPlan
from v2g.orchestrator.changes import Changes
from v2g.orchestrator.meters_api import MetersApi
from v2g.orchestrator.min_soc_api import MinSocApi
from v2g.orchestrator.plan_api import PlanApi
from v2g.orchestrator.plan_basis import Basis, Drift
from v2g.orchestrator.plan_request import PlanInputs, Plugged, plan_request, steps_of
from v2g.orchestrator.plan_runner import PlanRunner, PlanStatus
from v2g.orchestrator.site import Site
from v2g.orchestrator.thermal_clock import ThermalClock
from v2g.orchestrator.utility_api import UtilityApi
from v2g.planning.types import STEP_S, Plan, PlanRequest
from v2g.sessions.bay import EvseBay
from v2g.sessions.schedules import PowerPlan
from v2g.sessions.scheduling import Outlook
from v2g.sessions.supervisor import Sessions
from v2g.telemetry.logs import EventLog
from v2g.thermal.view import ThermalView
from v2g.utility.meters import Meters

SIGNALS_FILE = "signals.json"
COMPRESSED = "no plan is made while thermal time runs faster than the clock (--thermal-speed)"
LOOK_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a plan was asked under: orders that stood, and the EVSEs that they held."""

    request: PlanRequest
    orders: tuple[int, ...]
    under_orders: frozenset[str]


class Surroundings:
    """Gives the site its sources; :meth:`start` within the event loop, :meth:`on_cycle` after each cycle."""

    def __init__(
        self,
        loaded: Loaded,
        paths: RunPaths,
        site: Site,
        sessions: Sessions,
        clock: Clock,
        changes: Changes,
        log: EventLog,
        *,
        compressed: bool = False,
    ) -> None:
        """``compressed``: thermal time runs faster than the host's, and a plan of the day would have two clocks."""
        config = loaded.config
        self._config = config
        self._site = site
        self._clock = clock
        self._compressed = compressed
        self._thermal_clock: ThermalClock = site.thermal_clock
        self._signature: object = None
        self._notes: tuple[str, ...] = ()
        self._asked: _Asked | None = None
        self._standing: _Asked | None = None
        self._drift = Drift(config.transformer.rated_kva * 1e3)
        self._looked_at_s = -LOOK_EVERY_S
        self._scheduled: Plan | None = None
        self._schedules: dict[str, PowerPlan | None] = {}
        self.min_soc = MinSocApi(config, site.bays, sessions.info, loaded.config_dir, changes)
        self.utility = UtilityApi(config.utility, paths.state_dir / SIGNALS_FILE, clock, log)
        self.meters = Meters(config, loaded.config_dir, clock, random.random, log)
        self.plans = PlanRunner(config.dispatch.planning, self._request, self._say, clock)
        self._log = log
        self._methods: tuple[Method[Any], ...] = (
            *self.min_soc.methods(),
            *self.utility.methods(),
            *MetersApi(self.meters).methods(),
            *PlanApi(self._plan_status, site.zone, lambda: self._notes).methods(),
        )
        dispatching = site.dispatching
        dispatching.min_soc = lambda: self.min_soc.settings
        dispatching.plan = self._standing_plan
        dispatching.utility = lambda now_s: self.utility.view()
        dispatching.meters = lambda now_s, base_w: self.meters.view(now_s, clock.unix_s(), base_w)
        dispatching.outlook = self._outlook

    def methods(self) -> tuple[Method[Any], ...]:
        return self._methods

    async def start(self, stack: AsyncExitStack) -> None:
        """Take up signals from before a restart, connect to meters and VTN; ``stack`` closes it all."""
        self.utility.start()
        stack.push_async_callback(self.utility.close)
        await self.meters.start()
        stack.push_async_callback(self.meters.close)
        stack.push_async_callback(self.plans.close)

    def on_cycle(self, now_s: float) -> None:
        """Ask for a new plan where one is due, or where what the last one rests on has changed."""
        image = self._site.image
        if self._compressed or self._site.stopping or image is None or image.transformer.base_load_w is None:
            return
        signature = self._rests_on(now_s)
        if signature != self._signature:
            self._signature = signature
            self.plans.renew("vehicles, orders, limits or signals have changed")
        if now_s - self._looked_at_s >= LOOK_EVERY_S:
            self._looked_at_s = now_s
            if words := self._drift.look(self._basis(now_s), now_s):
                self.plans.renew(words)
        self.plans.poll(now_s)

    def signal_ids(self) -> tuple[str, ...]:
        """Of the utility's signals that stand."""
        return tuple(entry.signal.id for entry in self.utility.book.standing(self._clock.unix_s()))

    def problems(self) -> tuple[str, ...]:
        """For the status."""
        return self.utility.problems()

    def _plan_status(self) -> PlanStatus:
        status = self.plans.status(self._clock.monotonic_s(), self._clock.unix_s())
        return replace(status, problem=COMPRESSED) if self._compressed else status

    def _plan(self) -> Plan | None:
        return None if self._compressed else self.plans.plan(self._clock.monotonic_s(), self._clock.unix_s())

    def _standing_plan(self) -> StandingPlan:
        status = self._plan_status()
        if status.plan is None or self._compressed:
            return NO_PLAN
        # The plan that stands may be older than the last that was asked for, which fails or is under way.
        if self._asked is not None and status.request is self._asked.request:
            self._standing = self._asked
        basis = self._standing
        if basis is None or status.request is not basis.request:
            return StandingPlan(plan=status.plan, orders_changed=True)
        orders = self._orders(self._clock.monotonic_s())
        return StandingPlan(plan=status.plan, orders_changed=orders != basis.orders, under_orders=basis.under_orders)

    def _orders(self, now_s: float) -> tuple[int, ...]:
        return tuple(order.id for order in self._site.book.standing(now_s))

    def _outlook(self, evse_id: str) -> Outlook:
        schedule = self._schedule(self._plan(), evse_id)
        awaited = self._config.dispatch.planning.enabled and not self._compressed
        return Outlook(
            schedule=schedule,
            plan_awaited=awaited and schedule is None,
            unix_s=self._clock.unix_s(),
        )

    def _schedule(self, plan: Plan | None, evse_id: str) -> PowerPlan | None:
        """Every bay asks in every cycle: what a plan has for it is looked up once."""
        if plan is None:
            return None
        if plan is not self._scheduled:
            self._scheduled, self._schedules = plan, {}
        if evse_id not in self._schedules:
            self._schedules[evse_id] = PowerPlan.of(plan, evse_id, *self._site.rated_w(evse_id))
        return self._schedules[evse_id]

    def _rests_on(self, now_s: float) -> object:
        site = self._site
        utility = site.image.utility if site.image is not None else None
        return (
            tuple(
                (evse_id, site.may_discharge(evse_id), *_wishes(bay, vehicle))
                for evse_id, bay in site.bays.items()
                if (vehicle := _vehicle_of(bay)) is not None
            ),
            tuple(order.id for order in site.book.all(now_s)),
            self._orders(now_s),
            tuple((bound.lo_w, bound.hi_w, bound.source) for bound in utility.bounds) if utility is not None else (),
            self.utility.book.revision,
            self.min_soc.settings,
        )

    def _basis(self, now_s: float) -> Basis:
        image = self._site.image
        view = image.transformer if image is not None else ThermalView()
        departures = {
            evse_id: vehicle.departs_at_s
            for evse_id, bay in self._site.bays.items()
            if (vehicle := _vehicle_of(bay)) is not None and vehicle.departs_at_s is not None
        }
        return Basis(
            clock_s=self._clock.unix_s() - now_s,
            headroom_w=(view.lo_w, view.hi_w),
            base_w=view.base_load_w or 0.0,
            departs_at_s=departures,
        )

    def _request(self) -> PlanRequest | str:
        """What is to be planned now, or why nothing can be."""
        now_s = self._clock.monotonic_s()
        settings = self._config.dispatch.planning
        site = self._site
        vehicles = tuple(
            plugged for evse_id, bay in site.bays.items() if (plugged := self._plugged(evse_id, bay, now_s)) is not None
        )
        moment = self._thermal_clock.moment(now_s)
        steps = steps_of(vehicles, settings, now_s)
        outlook = site.model.day_ahead(self._thermal_clock.zone, moment, steps)
        if outlook is None:
            return "the transformer's load or temperatures are not known"
        self._notes = outlook.ahead.notes
        grants = site.decision.allocation.grants if site.decision is not None else ()
        charge_w, discharge_w = site.all_rated_w
        inputs = PlanInputs(
            now_s=now_s,
            now_unix_s=moment.unix_s,
            settings=settings,
            vehicles=vehicles,
            outlook=outlook,
            lo_w=-discharge_w,
            hi_w=charge_w,
            utility=self.utility.book.limits(moment.unix_s, STEP_S, steps),
            orders=(*self._resting(), *site.book.all(now_s)),
            prices=self.utility.prices(moment.unix_s, STEP_S, steps),
            phase_w=site.dispatching.feeder_phase_w,
        )
        request = plan_request(inputs)
        if isinstance(request, PlanRequest):
            under_orders = frozenset(grant.evse_id for grant in grants if grant.order_id is not None)
            self._asked = _Asked(request, self._orders(now_s), under_orders)
            self._drift.begin(self._basis(now_s))
        return request

    def _resting(self) -> tuple[Order, ...]:
        """What vehicles without an order do, as an order that any other one comes before."""
        if self._site.dispatching.default_mode == "auto":
            return ()
        ever = {"created_at_s": -inf, "begins_at_s": -inf, "expires_at_s": inf}
        return (Order(id=0, mode=Mode.IDLE, power_w=0.0, evse_id=None, by="dispatch.default_mode", **ever),)

    def _plugged(self, evse_id: str, bay: EvseBay, now_s: float) -> Plugged | None:
        vehicle = _vehicle_of(bay)
        wants = bay.wants
        if vehicle is None or wants is None or bay.fault is not None:
            return None
        rated_charge_w, rated_discharge_w = self._site.rated_w(evse_id)
        gives = bay.may_discharge and self._site.may_discharge(evse_id)
        return Plugged(
            evse_id=evse_id,
            energy=energy_of(vehicle, wants, now_s),
            max_charge_w=min(rated_charge_w, max(0.0, vehicle.max_charge_w)),
            max_discharge_w=min(rated_discharge_w, abs(vehicle.max_discharge_w)) if gives else 0.0,
            phases=self._site.dispatching.phases(evse_id, bay.phases_used),
            efficiency_charge=CHARGE_EFFICIENCY,
            efficiency_discharge=DISCHARGE_EFFICIENCY,
        )

    def _say(self, code: str, words: str) -> None:
        if code == "NO_PLAN":
            self._log.warning(code, words)
        else:
            self._log.info(code, words)


def _vehicle_of(bay: EvseBay) -> VehicleData | None:
    """What it said last, or before its charge loop."""
    return bay.vehicle or bay.announced


def _wishes(bay: EvseBay, vehicle: VehicleData) -> tuple[bool, float | None, float | None, bool]:
    """Whether it is in its charge loop, what it wants, and whether it is believed, as far as these stay as they are
    while it charges."""
    return bay.vehicle is not None, vehicle.target_soc_pct, vehicle.min_soc_pct, bool(vehicle.soc_doubt)
