"""Sessions over a restart: paused ones are resumed, vehicles whose sessions were lost are known again.

A paused session goes on with its old SessionID if its vehicle proves to be the same by its certificate; that is
:mod:`pyiso15118`'s to judge. One that ran when the daemon was lost (a kill, a power cut) is over: its connection is
gone, its power is zero by the leases. Its vehicle begins anew, and what the operator set for it holds again.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any, Protocol

import msgspec

from pyiso15118.events import EndReason
from pyiso15118.paused import PausedSession
from v2g.control.server import Method
from v2g.orchestrator.parts import Running
from v2g.sessions.supervisor import Log, SessionInfo
from v2g.sessions.watch import Lasting, is_fresh
from v2g.telemetry import logs
from v2g.telemetry.session_file import LOST, PAUSED, RUNNING, SessionRow
from v2g.telemetry.session_journal import FILE, SessionJournal
from v2g.units import format_duration

NOT_KEPT = "SESSIONS_NOT_KEPT"
KEPT_AGAIN = "SESSIONS_KEPT_AGAIN"
RECALLED = "SESSIONS_RECALLED"
RESUMED = "SESSION_RESUMED"
RECOGNISED = "SESSION_RECOGNISED"
PAUSE_OVER = "SESSION_PAUSE_OVER"
UNPLUGGED_S = 2.0
"""So long the plug has to be out by fresh readings."""
_LOOK_EVERY_S = 60.0


class Keeper(Protocol):
    """Of :class:`pyiso15118.aio.SeccServer`."""

    def keep_paused(self, evse_id: str, paused: PausedSession | None, for_s: float | None = None) -> bool: ...


class PausedSessions:
    """A part of the operations. ``comms``: the log of communication; None: the daemon's."""

    def __init__(self, running: Running, comms: Log | None = None) -> None:
        self._clock = running.clock
        self._bays = running.site.bays
        self._unplugged = {evse_id: Lasting() for evse_id in self._bays}
        self._secc = running.secc
        self._keep_s = running.loaded.config.sessions.resume_within_h * 3600.0
        self._log = running.log
        self._comms: Log = comms if comms is not None else logs.comms_log()
        self._journal = SessionJournal(running.paths.state_dir / FILE, self._on_problem)
        self._rows: dict[str, SessionRow] = {}
        self._offers: dict[str, PausedSession] = {}
        self._looked_at_s = 0.0
        running.sessions.watch(self)

    def methods(self) -> tuple[Method[Any], ...]:
        return ()

    async def start(self, stack: AsyncExitStack) -> None:
        """Recall what was kept, which takes the disk some milliseconds once, and begin to write."""
        recalled = self._journal.recall()
        if recalled.remark:
            self._log.warning(NOT_KEPT, recalled.remark)
        self._journal.start()
        stack.callback(self._close)
        for row in recalled.rows:
            self._recall(row)
        if self._rows:
            self._comms.info(RECALLED, "; ".join(self._words(row) for row in self._rows.values()))

    def offer(self, secc: Keeper) -> None:
        """Let the sessions that are still paused be resumed: before ``secc`` listens, and again for an EVSE that comes
        later."""
        for evse_id, paused in list(self._offers.items()):
            left_s = self._left_s(self._rows[evse_id]) if evse_id in self._rows else 0.0
            if left_s <= 0.0 or secc.keep_paused(evse_id, paused, left_s):
                del self._offers[evse_id]

    def on_cycle(self, now_s: float) -> None:
        for evse_id in [row.evse_id for row in self._rows.values() if row.state == PAUSED]:
            self._watch_plug(evse_id, now_s)
        if now_s - self._looked_at_s < _LOOK_EVERY_S:
            return
        self._looked_at_s = now_s
        for row in [row for row in self._rows.values() if row.state != RUNNING and self._left_s(row) <= 0.0]:
            self._forget(row.evse_id)
        secc = self._secc()
        if self._offers and secc is not None:
            self.offer(secc)

    def problems(self) -> tuple[str, ...]:
        problem = self._journal.problem
        return (f"paused sessions do not outlast a restart: {problem}",) if problem else ()

    # ---- what sessions do ----

    def began(self, info: SessionInfo, session_id: bytes, *, resumed: bool) -> None:
        known = self._known(info)
        if known is not None and known.evse_id != info.evse_id:
            self._forget(known.evse_id)
        self._offers.pop(info.evse_id, None)
        if resumed:
            since = f" after {self._age(known)}" if known is not None else ""
            self._comms.info(
                RESUMED,
                f"{info}: its paused session goes on{since}",
                evse=info.evse_id,
                session=session_id.hex().upper(),
                response="OK_OldSessionJoined",
            )
        elif known is not None:
            self._comms.info(
                RECOGNISED,
                f"{info}: is back with a new session; {self._words(known)}",
                evse=info.evse_id,
                session=session_id.hex().upper(),
                before=known.session_id,
                was=known.state,
            )
        unix_s = self._clock.unix_s()
        self._put(
            SessionRow(
                evse_id=info.evse_id,
                state=RUNNING,
                session_id=session_id.hex().upper(),
                evccid=info.evccid,
                identity=info.identity or "",
                certificate=info.certificate or "",
                began_unix_s=known.began_unix_s if resumed and known is not None else unix_s,
                changed_unix_s=unix_s,
            )
        )

    def ended(self, info: SessionInfo, reason: EndReason, paused: PausedSession | None) -> None:
        row = self._rows.get(info.evse_id)
        if reason is EndReason.PAUSED and paused is not None and row is not None and self._keep_s > 0.0:
            self._put(
                msgspec.structs.replace(
                    row, state=PAUSED, changed_unix_s=self._clock.unix_s(), record=msgspec.json.encode(paused)
                )
            )
        else:
            self._forget(info.evse_id)

    # ---- within ----

    def _watch_plug(self, evse_id: str, now_s: float) -> None:
        """A vehicle that was unplugged has ended its pause: who is plugged in next is authorised anew."""
        evse = self._bays[evse_id].view.evse
        pulled = evse is not None and is_fresh(evse, now_s) and not evse.plugged
        if self._unplugged[evse_id].update(pulled, now_s) < UNPLUGGED_S:
            return
        self._comms.info(PAUSE_OVER, f"{self._words(self._rows[evse_id])}; the plug was pulled", evse=evse_id)
        self._forget(evse_id)
        secc = self._secc()
        if secc is not None:
            secc.keep_paused(evse_id, None)

    def _recall(self, row: SessionRow) -> None:
        if row.evse_id not in self._bays or row.state not in (RUNNING, PAUSED, LOST):
            self._forget(row.evse_id)
            return
        if row.state == RUNNING:
            row = msgspec.structs.replace(row, state=LOST, changed_unix_s=self._clock.unix_s(), record=b"")
            self._put(row)
        if self._left_s(row) <= 0.0:
            self._forget(row.evse_id)
            return
        self._set(row)
        if row.state != PAUSED:
            return
        try:
            self._offers[row.evse_id] = msgspec.json.decode(row.record, type=PausedSession)
        except (msgspec.MsgspecError, ValueError) as error:
            self._log.warning(NOT_KEPT, f"{row.evse_id}: the paused session cannot be read, it is dropped: {error}")
            self._forget(row.evse_id)

    def _known(self, info: SessionInfo) -> SessionRow | None:
        """What is kept of that vehicle, at its EVSE or another: by EVCCID and certificate."""
        rows = [row for row in self._rows.values() if row.state != RUNNING]
        rows.sort(key=lambda row: row.evse_id != info.evse_id)
        certificate = info.certificate or ""
        return next((row for row in rows if (row.evccid, row.certificate) == (info.evccid, certificate)), None)

    def _words(self, row: SessionRow) -> str:
        who = f"{row.evse_id} / {row.evccid} / {row.identity or 'not authenticated'}"
        what = "paused its session" if row.state == PAUSED else "was in its session when the controller was lost, known"
        return f"{who} {what} {self._age(row)} ago"

    def _age(self, row: SessionRow) -> str:
        return format_duration(round(max(0.0, self._clock.unix_s() - row.changed_unix_s)))

    def _left_s(self, row: SessionRow) -> float:
        """A clock that went back makes nothing older, and nothing last longer than it may."""
        return self._keep_s - max(0.0, self._clock.unix_s() - row.changed_unix_s)

    def _set(self, row: SessionRow) -> None:
        self._rows[row.evse_id] = row
        self._bays[row.evse_id].paused_by = row.evccid if row.state == PAUSED else ""

    def _put(self, row: SessionRow) -> None:
        self._set(row)
        self._journal.put(row)

    def _forget(self, evse_id: str) -> None:
        self._rows.pop(evse_id, None)
        if evse_id in self._bays:
            self._bays[evse_id].paused_by = ""
        self._offers.pop(evse_id, None)
        self._journal.forget(evse_id)

    def _on_problem(self, problem: str) -> None:
        if problem:
            self._log.warning(NOT_KEPT, problem)
        else:
            self._log.info(KEPT_AGAIN, "paused sessions outlast a restart again")

    def _close(self) -> None:
        if not self._journal.close() and not self._journal.problem:
            self._log.warning(NOT_KEPT, "the journal of sessions was not written in time; what it had is kept")
