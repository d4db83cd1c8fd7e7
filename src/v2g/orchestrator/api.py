"""The methods of the control socket, on the site. Everything else of the control plane is ``v2g.control``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from v2g.clock import Clock
from v2g.control import messages
from v2g.control.server import Caller, Method, Refused, Role
from v2g.dispatch.book import Added
from v2g.dispatch.following import RAMP, ROOM
from v2g.dispatch.orders import Grant, Mode
from v2g.guard.tick_commands import CommandError, send_command
from v2g.orchestrator import status
from v2g.orchestrator.denial import denial_words_at
from v2g.orchestrator.site import Site
from v2g.sessions.supervisor import SessionInfo


class Api:
    """Handlers of ``status``, ``dispatch``, ``cancel`` and ``trip.reset``. What is refused raises :class:`Refused`."""

    def __init__(
        self,
        site: Site,
        session: Callable[[str], SessionInfo | None],
        daemon: Callable[[], status.Daemon],
        tick_sock: Path,
        clock: Clock,
    ) -> None:
        self._site = site
        self._session = session
        self._daemon = daemon
        self._tick_sock = tick_sock
        self._clock = clock

    def methods(self) -> tuple[Method[Any], ...]:
        return (
            Method("status", Role.VIEWER, messages.NoParams, self.status),
            Method("dispatch", Role.UTILITY, messages.DispatchParams, self.dispatch),
            Method("cancel", Role.UTILITY, messages.CancelParams, self.cancel),
            Method("trip.reset", Role.OPERATOR, messages.NoParams, self.reset_trip),
        )

    def snapshot(self) -> messages.StatusResult:
        """The status as it is now; also what subscribers get."""
        return status.build(self._site, self._session, self._daemon(), self._clock.monotonic_s())

    async def status(self, params: messages.NoParams, caller: Caller) -> messages.StatusResult:
        return self.snapshot()

    async def dispatch(self, params: messages.DispatchParams, caller: Caller) -> messages.DispatchResult:
        """Takes an order and says at once what it gets by the last image; the next cycle carries it out."""
        site = self._site
        if site.stopping:
            raise Refused("the controller is stopping: no orders are taken", code="STOPPING")
        if site.image is None:
            raise Refused("the controller is starting: nothing is measured yet; try again in a second", code="STARTING")
        try:
            mode = Mode(params.mode)
        except ValueError:
            raise Refused(
                f"mode {params.mode!r} is unknown; use charge, discharge, idle or auto", code="BAD_ORDER"
            ) from None
        if params.evse_id is not None and params.evse_id not in site.bays:
            known = ", ".join(site.bays)
            raise Refused(f"there is no EVSE {params.evse_id!r}; there are {known}", code="UNKNOWN_EVSE")
        now_s = self._clock.monotonic_s()
        try:
            added = site.book.add(
                mode=mode,
                power_w=params.power_w,
                evse_id=params.evse_id,
                duration_s=params.duration_s,
                by=caller.user,
                now_s=now_s,
                begins_in_s=self._begins_in_s(params.at),
            )
        except ValueError as error:
            raise Refused(str(error), code="BAD_ORDER") from None
        return self._result(added, params.duration_s, now_s)

    def _begins_in_s(self, at: str) -> float:
        unix_s = self._clock.unix_s()
        return self._site.zone.next_time(at, unix_s) - unix_s if at else 0.0

    async def cancel(self, params: messages.CancelParams, caller: Caller) -> messages.CancelResult:
        """Who gave an order may take it back; others' are for operators."""
        if caller.role < Role.OPERATOR:
            return self._cancel_own(params, caller)
        gone = self._site.book.cancel(params.order_id)
        if params.order_id is not None and not gone:
            raise Refused(f"there is no order {params.order_id}; see v2g-control orders", code="UNKNOWN_ORDER")
        return messages.CancelResult(cancelled=tuple(order.id for order in gone))

    def _cancel_own(self, params: messages.CancelParams, caller: Caller) -> messages.CancelResult:
        standing = self._site.book.all(self._clock.monotonic_s())
        wanted = [order for order in standing if params.order_id is None or order.id == params.order_id]
        for order in wanted:
            if params.order_id is not None and order.by != caller.user:
                raise Refused(
                    f"order {order.id} is {order.by}'s, and {caller.user} may cancel only his own; an operator may "
                    "cancel all",
                    code="NOT_PERMITTED",
                )
        own = [order for order in wanted if order.by == caller.user]
        if params.order_id is not None and not own:
            raise Refused(f"there is no order {params.order_id}; see v2g-control orders", code="UNKNOWN_ORDER")
        gone = [order.id for order in own if self._site.book.cancel(order.id)]
        return messages.CancelResult(cancelled=tuple(gone))

    async def reset_trip(self, params: messages.NoParams, caller: Caller) -> messages.TripResetResult:
        image = self._site.image
        element = image.guard.trip_element if image is not None else ""
        try:
            reply = await asyncio.to_thread(send_command, self._tick_sock, "reset_trip", caller.user)
        except CommandError as error:
            raise Refused(str(error), code="GUARD_UNREACHABLE") from None
        if not reply.accepted:
            raise Refused(reply.message, code="TRIP_NOT_RESET")
        return messages.TripResetResult(element=element)

    def _result(self, added: Added, duration_s: float, now_s: float) -> messages.DispatchResult:
        order = added.order
        self._site.refresh_vehicles(now_s)
        allocation = self._site.decide(now_s).allocation
        grants = [grant for grant in allocation.grants if grant.order_id == order.id]
        return messages.DispatchResult(
            order_id=order.id,
            mode=order.mode.value,
            requested_w=order.signed_w,
            granted_w=sum(grant.target_w for grant in grants),
            duration_s=duration_s,
            grants=tuple(self._grant(grant) for grant in grants),
            begins_in_s=max(0.0, order.begins_at_s - now_s),
            replaced=tuple(messages.ReplacedOrder(order_id=other.id, by=other.by) for other in added.replaced),
            shortfalls=tuple(
                messages.ShortfallLine(
                    code=shortfall.code,
                    source=shortfall.source,
                    missing_w=shortfall.missing_w,
                    evse_id=shortfall.evse_id,
                    words=self._words(shortfall.source, order.mode),
                )
                for shortfall in allocation.shortfalls
                if shortfall.order_id == order.id
            ),
        )

    def _grant(self, grant: Grant) -> messages.VehicleGrant:
        image = self._site.image
        energy = next((bay.energy for bay in image.bays if bay.evse_id == grant.evse_id), None) if image else None
        return messages.VehicleGrant(
            evse_id=grant.evse_id,
            vehicle=self._vehicle(grant.evse_id),
            power_w=grant.target_w,
            # Its share is what is answered, and it is on its way there.
            bound_by=None if grant.bound_by in (RAMP, ROOM) else grant.bound_by,
            soc_pct=energy.soc_pct if energy is not None else None,
            floor_pct=energy.floor_pct if energy is not None else None,
            surplus_wh=energy.surplus_wh if energy is not None else None,
        )

    def _words(self, source: str, mode: Mode) -> str:
        image = self._site.image
        if image is None:
            return ""
        return denial_words_at(
            source,
            image.transformer,
            self._site.thermal_clock,
            self._clock.monotonic_s(),
            discharge=mode is Mode.DISCHARGE,
        )

    def _vehicle(self, evse_id: str) -> str:
        info = self._session(evse_id)
        return info.evccid if info is not None else ""
