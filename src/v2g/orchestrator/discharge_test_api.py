"""The method ``discharge.test``: orders a discharge at one EVSE, measures it, judges it and keeps the record."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable, Iterable
from math import isfinite
from typing import Any

from v2g.clock import Clock
from v2g.config.schema import DcEvse
from v2g.control.messages_discharge import DischargeTestParams, DischargeTestRecord, DischargeTestResult
from v2g.control.server import Caller, Method, Refused, Role
from v2g.dispatch.book import OrderError
from v2g.dispatch.constraints import intersect
from v2g.dispatch.orders import Mode, Order
from v2g.hardware.ports import DcEvseReading
from v2g.orchestrator.acknowledgement import acknowledged
from v2g.orchestrator.discharge_record import DischargeTests
from v2g.orchestrator.discharge_test import FOLLOW_TOLERANCE, SETTLE_S, DischargeMeter, judge
from v2g.orchestrator.site import Site
from v2g.sessions.watch import FLOWING_W, is_fresh
from v2g.units import format_power

POLL_S = 0.05
DURATION_S = (5.0, 600.0)
LEAST_W = 500.0
"""Below this the losses of an idling inverter are what is measured."""


class DischargeTestApi:
    """At most one test at a time. What is refused raises :class:`Refused` and has ordered nothing."""

    def __init__(
        self,
        site: Site,
        tests: DischargeTests,
        clock: Clock,
        audit: Callable[..., None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.clock = clock
        self.sleep = sleep
        self._site = site
        self._tests = tests
        self._audit = audit
        self._running: _Running | None = None

    def methods(self) -> tuple[Method[Any], ...]:
        return (Method("discharge.test", Role.ENGINEER, DischargeTestParams, self.step),)

    def lasting(self, orders: Iterable[Order]) -> tuple[Order, ...]:
        """Those that a restart may take up: a test's own order discharges only while it is measured."""
        running = self._running
        own = running.order_id if running is not None and running.going else None
        return tuple(order for order in orders if order.id != own)

    async def close(self) -> None:
        """End a test that runs; it is recorded as interrupted."""
        if self._running is not None:
            await self._running.end("the controller stops")

    async def step(self, params: DischargeTestParams, caller: Caller) -> DischargeTestResult:
        match params.step:
            case "start":
                return self._start(params, caller)
            case "state":
                return self._current().result()
            case "abort":
                running = self._current()
                await running.end(f"aborted by {caller.user}")
                return running.result()
        raise Refused(f"step {params.step!r} is unknown; use start, state or abort", code="BAD_STEP")

    def _start(self, params: DischargeTestParams, caller: Caller) -> DischargeTestResult:
        if self._running is not None and self._running.going:
            raise Refused(f"a discharge test runs at {self._running.evse.id}; wait for its end", code="BUSY")
        evse = self._evse(params.evse_id)
        power_w, duration_s, now_s = params.power_w, params.duration_s, self.clock.monotonic_s()
        if not (isfinite(power_w) and LEAST_W <= power_w <= evse.max_discharge_w):
            raise Refused(
                f"a power of {power_w:g} W: give {format_power(LEAST_W)} to {format_power(evse.max_discharge_w)}, what "
                f"{evse.id} is rated for",
                code="BAD_TEST",
            )
        if not (isfinite(duration_s) and DURATION_S[0] <= duration_s <= DURATION_S[1]):
            raise Refused(
                f"a duration of {duration_s:g} s: give {DURATION_S[0]:g} to {DURATION_S[1]:g} s", code="BAD_TEST"
            )
        self._require_ready(evse.id, now_s)
        person = acknowledged(params.acknowledge, "v2g-tool test-discharge", caller, self._audit)
        self._tests.testing = evse.id
        try:
            order = self._site.book.add(
                mode=Mode.DISCHARGE,
                power_w=power_w,
                evse_id=evse.id,
                duration_s=duration_s + 2 * SETTLE_S,
                by=f"discharge test by {caller.user}",
                now_s=now_s,
            ).order
        except OrderError as error:
            self._tests.testing = ""
            raise Refused(str(error), code="BAD_TEST") from None
        self._running = _Running(self, evse, order, duration_s, caller.user, person, now_s)
        return self._running.result()

    def _evse(self, evse_id: str) -> DcEvse:
        found = next((evse for evse in self._site.config.evses if evse.id == evse_id), None)
        if found is None:
            known = ", ".join(evse.id for evse in self._site.config.evses)
            raise Refused(f"there is no EVSE {evse_id!r}; there are {known}", code="UNKNOWN_EVSE")
        if not isinstance(found, DcEvse):
            raise Refused(
                f"{evse_id} is an AC EVSE: the vehicle inverts, and its DC power is measured nowhere",
                code="NO_INVERTER",
            )
        return found

    def _require_ready(self, evse_id: str, now_s: float) -> None:
        site, bay = self._site, self._site.bays[evse_id]
        if site.stopping:
            raise Refused("the controller is stopping: no orders are taken", code="STOPPING")
        standing = next((order for order in site.book.standing(now_s) if order.evse_id == evse_id), None)
        if standing is not None:
            raise Refused(
                f"order {standing.id} stands for {evse_id}; v2g-control cancel {standing.id} first", code="ORDER_STANDS"
            )
        decision = site.decision
        if decision is None or not decision.permitted:
            why = decision.permit_reason if decision is not None else "starting"
            raise Refused(f"no energy may flow: {why}; see v2g-tool status", code="NO_PERMIT")
        bounds = bay.bounds(now_s)
        if bounds is None:
            fault = f": {bay.fault}" if bay.fault else ""
            raise Refused(f"no vehicle is in its charge loop at {evse_id}{fault}; plug one in", code="NO_VEHICLE")
        may = intersect(bounds, now_s)
        if may.lo_w > -FLOWING_W:
            raise Refused(f"the vehicle at {evse_id} may not discharge now: {may.lo_source}", code="NO_DISCHARGE")

    def _current(self) -> _Running:
        if self._running is None:
            raise Refused("no discharge test was started", code="NO_TEST")
        return self._running

    def look(self, meter: DischargeMeter, evse_id: str, order_id: int) -> str:
        """Note the readings as they are now. Why the test cannot go on, in words; empty: it can."""
        now_s = self.clock.monotonic_s()
        site, bay = self._site, self._site.bays[evse_id]
        if site.stopping:
            return "the controller stops"
        if site.drain is not None:
            return "all sessions are being ended"
        if bay.fault is not None:
            return bay.fault
        if not bay.charging:
            return "the vehicle has left its charge loop"
        if not any(order.id == order_id for order in site.book.standing(now_s)):
            return f"order {order_id} was cancelled or replaced"
        decision = site.decision
        if decision is not None and not decision.permitted:
            return f"no energy may flow: {decision.permit_reason}"
        grant = decision.grants.get(evse_id) if decision is not None else None
        if (
            grant is not None
            and grant.order_id == order_id
            and -grant.target_w < (1 - FOLLOW_TOLERANCE) * meter.order_w
        ):
            return f"only {format_power(abs(grant.target_w))} is granted: {grant.bound_by or 'shared'}"
        inverter, output = bay.view.inverter, bay.view.evse
        meter.add(
            now_s,
            inverter if is_fresh(inverter, now_s) else None,
            output if isinstance(output, DcEvseReading) and is_fresh(output, now_s) else None,
            site.islanding_watched(evse_id),
        )
        return ""

    async def keep(self, record: DischargeTestRecord) -> str:
        """Where it was recorded; empty where that failed, which is told."""
        verdict = "passed" if record.passed else f"FAILED: {'; '.join(record.reasons)}"
        self._audit(
            "DISCHARGE_TEST",
            f"{record.evse_id}: {verdict}; by {record.by}, {record.acknowledged_by} answers for it",
            evse=record.evse_id,
            order_w=record.order_w,
            efficiency=None if record.efficiency is None else round(record.efficiency, 4),
            acknowledged_by=record.acknowledged_by,
        )
        try:
            await asyncio.to_thread(self._tests.put, record)
        except OSError as error:
            self._audit(
                "DISCHARGE_TEST", f"{self._tests.path} cannot be written: {error.strerror}; a restart forgets this test"
            )
            return ""
        return str(self._tests.path)

    def finish(self, order: Order) -> None:
        """No more power for the test."""
        self._site.book.cancel(order.id)
        self._tests.testing = ""


class _Running:
    """One test, from its order to its record. Make it in the event loop."""

    def __init__(
        self, api: DischargeTestApi, evse: DcEvse, order: Order, duration_s: float, by: str, person: str, now_s: float
    ) -> None:
        self.evse = evse
        self.record: DischargeTestRecord | None = None
        self._recorded_in = ""
        self._api = api
        self._order = order
        self._duration_s = duration_s
        self._by = by
        self._person = person
        self._began_s = now_s
        self._meter = DischargeMeter(order.power_w, now_s)
        self._interrupted = ""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="discharge test")

    async def end(self, reason: str) -> None:
        """Over before its time, if it is not over."""
        if not self._task.done():
            self._interrupted = self._interrupted or reason
            # Whoever waits may be cancelled; the test is not, it has its record to write.
            await asyncio.wait((self._task,))

    @property
    def order_id(self) -> int:
        return self._order.id

    @property
    def going(self) -> bool:
        return not self._task.done()

    def result(self) -> DischargeTestResult:
        figures = self._meter.figures()
        return DischargeTestResult(
            running=self.going,
            evse_id=self.evse.id,
            elapsed_s=round(self._api.clock.monotonic_s() - self._began_s, 2),
            of_s=self._duration_s,
            ac_w=figures.ac_w,
            efficiency=figures.efficiency,
            record=self.record,
            recorded_in=self._recorded_in,
        )

    async def _run(self) -> None:
        clock, meter = self._api.clock, self._meter
        try:
            while not self._interrupted:
                self._interrupted = self._api.look(meter, self.evse.id, self._order.id)
                settled_s = meter.settled_at_s
                now_s = clock.monotonic_s()
                if settled_s is not None and now_s - settled_s >= self._duration_s:
                    break
                if settled_s is None and now_s - self._began_s >= 2 * SETTLE_S:
                    break
                await self._api.sleep(POLL_S)
        finally:
            self._api.finish(self._order)
        record = self._judged()
        self._recorded_in = await self._api.keep(record)
        self.record = record

    def _judged(self) -> DischargeTestRecord:
        figures = self._meter.figures()
        reasons, remarks = judge(figures, self.evse.inverter.accept_low_efficiency, self._interrupted)
        at = datetime.datetime.fromtimestamp(self._api.clock.unix_s(), datetime.UTC).isoformat(timespec="seconds")
        return DischargeTestRecord(
            evse_id=self.evse.id,
            at=at,
            by=self._by,
            acknowledged_by=self._person,
            passed=not reasons,
            reasons=reasons,
            remarks=remarks,
            order_w=figures.order_w,
            ac_w=_rounded(figures.ac_w, 1),
            dc_w=_rounded(figures.dc_w, 1),
            efficiency=_rounded(figures.efficiency, 4),
            deviation=_rounded(figures.deviation, 4),
            reversion_armed=figures.reversion_armed,
            islanding_watched=figures.islanding_watched,
            samples=figures.samples,
            duration_s=self._duration_s,
        )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
