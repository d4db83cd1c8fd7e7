"""What the utility tells: the methods ``utility.*`` of the control socket, and the link to an OpenADR VTN."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from v2g.clock import Clock
from v2g.config.schema_utility import Utility
from v2g.control.messages_utility import (
    BoundLine,
    SignalLine,
    SignalParams,
    SignalResult,
    SignalsParams,
    SignalsResult,
    VtnLine,
    WithdrawParams,
    WithdrawResult,
)
from v2g.control.server import Caller, Method, Refused, Role
from v2g.dispatch.constraints import Bound
from v2g.sessions.supervisor import Log
from v2g.units import finite
from v2g.utility.openadr_ven import VenLink
from v2g.utility.signal_book import LOWEST, OPERATOR, VTN, Entry, SignalBook, SignalError, describe
from v2g.utility.signal_store import SignalStore
from v2g.utility.signals import PriceSeries, Signal, SignalKind, UtilityView

KEEP_AGAIN_S = 30.0
"""After the signals could not be written."""


class UtilityApi:
    """Holds the book of signals. :meth:`start` and :meth:`close` within the event loop; :meth:`view` at each cycle."""

    def __init__(
        self,
        config: Utility,
        state_file: Path,
        clock: Clock,
        log: Log,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._log = log
        self._store = SignalStore(state_file)
        self._numbers = itertools.count(1)
        self._problem = ""
        self._keep_again_s = 0.0
        self.book = SignalBook(config.longest_signal_s)
        self.ven = VenLink(config.openadr, self.book, clock, log, uniform) if config.openadr is not None else None

    def start(self) -> None:
        """Take up the operators' signals from before a restart, and begin to poll the VTN."""
        unix_s = self._clock.unix_s()
        restored = self._store.load(unix_s, self.book.longest_s)
        for entry in restored.entries:
            self.book.add(entry, unix_s)
        if restored.problem:
            self._log.warning("SIGNALS_DROPPED", restored.problem)
        if restored.entries:
            self._log.info("SIGNALS_RESTORED", f"{len(restored.entries)} signals from before the restart stand again")
        if self.ven is not None:
            self.ven.start()

    async def close(self) -> None:
        if self.ven is not None:
            await self.ven.close()

    def view(self) -> UtilityView:
        """What the utility asks for now; expired signals are removed, and told in the log."""
        unix_s = self._clock.unix_s()
        over = self.book.expire(unix_s)
        for entry in over:
            self._log.info("SIGNAL_EXPIRED", _words(entry), id=entry.signal.id)
        now_s = self._clock.monotonic_s()
        if any(entry.origin == OPERATOR for entry in over) or (self._problem and now_s >= self._keep_again_s):
            self._keep()
        return self.book.view(now_s, unix_s)

    def prices(self, starts_unix_s: float, step_s: float, steps: int) -> PriceSeries | None:
        """For the planner: the price, else the carbon intensity, of each coming step."""
        return self.book.prices(starts_unix_s, step_s, steps)

    def problems(self) -> tuple[str, ...]:
        """For the status: what keeps signals from coming, or from outliving a restart."""
        vtn = self.ven.status if self.ven is not None else None
        lines = [f"OpenADR VTN {vtn.url}: {vtn.error}"] if vtn is not None and vtn.error else []
        return (*lines, self._problem) if self._problem else tuple(lines)

    def methods(self) -> tuple[Method[Any], ...]:
        return (
            Method("utility.signal", Role.UTILITY, SignalParams, self.signal),
            Method("utility.withdraw", Role.UTILITY, WithdrawParams, self.withdraw),
            Method("utility.signals", Role.VIEWER, SignalsParams, self.signals),
        )

    async def signal(self, params: SignalParams, caller: Caller) -> SignalResult:
        """Takes a signal; the next cycle goes by it. Of two callers with the same id the last one wins."""
        unix_s = self._clock.unix_s()
        starts_s = params.starts_unix_s if params.starts_unix_s is not None else unix_s
        if (params.duration_s is None) == (params.ends_unix_s is None):
            raise Refused("give one of duration_s and ends_unix_s: a signal has an end", code="BAD_SIGNAL")
        if params.currency is not None and params.kind != "price":
            raise Refused(f"a {params.kind} has no currency: leave it out", code="BAD_SIGNAL")
        ends_s = params.ends_unix_s if params.duration_s is None else starts_s + params.duration_s
        entry = Entry(
            signal=Signal(
                id=params.id if params.id is not None else self._new_id(),
                kind=SignalKind(params.kind),
                value=params.value,
                starts_unix_s=starts_s,
                ends_unix_s=ends_s if ends_s is not None else starts_s,
                source=f"utility by {caller.user}",
            ),
            unit=f"{params.currency}/kWh" if params.currency is not None else "",
        )
        try:
            before = self.book.add(entry, unix_s)
        except SignalError as error:
            raise Refused(str(error), code="BAD_SIGNAL") from None
        remarks = self._keep()
        if before is not None:
            remarks = (f"in place of: {_words(before)}", *remarks)
        self._log.info("SIGNAL", _words(entry), id=entry.signal.id)
        return SignalResult(
            signal=_line(entry, unix_s),
            replaced=_line(before, unix_s) if before is not None else None,
            remarks=(*remarks, *self._contradictions(unix_s)),
        )

    async def withdraw(self, params: WithdrawParams, caller: Caller) -> WithdrawResult:
        unix_s = self._clock.unix_s()
        self.book.expire(unix_s)
        entry = self.book.get(params.id)
        if entry is None:
            raise Refused(f"there is no signal {params.id!r}; see v2g-control signal list", code="UNKNOWN_SIGNAL")
        if entry.origin != OPERATOR:
            raise Refused(
                f"{params.id!r} comes from the VTN and would come again with its next answer: have the event "
                "deleted there",
                code="NOT_YOURS",
            )
        self.book.withdraw(params.id)
        self._log.info("SIGNAL_WITHDRAWN", f"{_words(entry)}, by {caller.user}", id=params.id)
        return WithdrawResult(signal=_line(entry, unix_s), remarks=self._keep())

    async def signals(self, params: SignalsParams, caller: Caller) -> SignalsResult:
        now_s, unix_s = self._clock.monotonic_s(), self._clock.unix_s()
        standing = sorted(self.book.standing(unix_s), key=lambda entry: entry.signal.ends_unix_s)
        view = self.book.view(now_s, unix_s)
        return SignalsResult(
            signals=tuple(_line(entry, unix_s) for entry in standing[: params.limit]),
            total=len(standing),
            bounds=tuple(_bound(bound, now_s) for bound in view.bounds),
            target_w=view.target_w,
            target_source=view.target_source,
            notes=view.notes,
            vtn=self._vtn(unix_s),
        )

    def _vtn(self, unix_s: float) -> VtnLine | None:
        if self.ven is None:
            return None
        status = self.ven.status
        answered_s = status.last_answer_unix_s
        return VtnLine(
            url=status.url,
            ven_name=status.ven_name,
            ven_id=status.ven_id,
            program=status.program,
            answer_age_s=max(0.0, unix_s - answered_s) if answered_s is not None else None,
            error=status.error,
            events=status.events,
            signals=len(self.book.standing(unix_s, VTN)),
            notes=status.notes,
        )

    def _contradictions(self, unix_s: float) -> tuple[str, ...]:
        bounds = self.book.view(self._clock.monotonic_s(), unix_s).bounds
        return tuple(f"{bound.source}: no power until one of them ends" for bound in bounds if bound.lo_w == bound.hi_w)

    def _new_id(self) -> str:
        return next(name for name in (f"s{number}" for number in self._numbers) if self.book.get(name) is None)

    def _keep(self) -> tuple[str, ...]:
        problem = ""
        try:
            self._store.save(self.book.by_age(OPERATOR))
        except OSError as error:
            problem = f"signals cannot be kept across a restart: {error}"
        if problem and problem != self._problem:
            self._log.error("SIGNALS_NOT_KEPT", problem)
        self._problem, self._keep_again_s = problem, self._clock.monotonic_s() + KEEP_AGAIN_S
        return (problem,) if problem else ()


def _words(entry: Entry) -> str:
    signal = entry.signal
    return f"{signal.kind.value} of {signal.source}: {describe(signal, entry.unit)}"


def _line(entry: Entry, unix_s: float) -> SignalLine:
    signal = entry.signal
    return SignalLine(
        id=signal.id,
        kind=signal.kind.value,
        value=signal.value,
        words=describe(signal, entry.unit),
        starts_unix_s=signal.starts_unix_s,
        ends_unix_s=signal.ends_unix_s,
        starts_in_s=max(0.0, signal.starts_unix_s - unix_s),
        remaining_s=max(0.0, signal.ends_unix_s - unix_s),
        source=signal.source,
        priority=entry.priority if entry.priority < LOWEST else None,
    )


def _bound(bound: Bound, now_s: float) -> BoundLine:
    return BoundLine(
        lo_w=finite(bound.lo_w),
        hi_w=finite(bound.hi_w),
        source=bound.source,
        remaining_s=max(0.0, bound.expires_at_s - now_s),
    )
