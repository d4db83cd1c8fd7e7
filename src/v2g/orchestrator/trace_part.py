"""``trace.*`` on the control socket: what is kept of sessions' messages, for engineers. And the logs' own moments."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from v2g.control.messages import NoParams
from v2g.control.messages_trace import (
    TraceFetchParams,
    TraceFetchResult,
    TraceLine,
    TraceListResult,
    TracePiece,
    TraceStartParams,
    TraceStartResult,
    TraceStopResult,
)
from v2g.control.server import Caller, Method, Refused, Role
from v2g.orchestrator.parts import Running
from v2g.orchestrator.trace_book import MAX_RECORDED_BYTES, SessionTrace, TraceBook
from v2g.telemetry import logs

PAGE_BYTES = 128 * 1024
LOGS_EVERY_S = 1.0


class TracePart:
    """``tracer`` is for the SECC's server; None where nothing is kept."""

    def __init__(self, running: Running) -> None:
        self._running = running
        settings = running.loaded.config.trace
        kept = settings.keep_sessions > 0
        self.tracer = TraceBook(settings.keep_sessions, settings.keep_kib * 1024) if kept else None
        self._audit = logs.audit_log()
        self._polled_at_s = 0.0

    def methods(self) -> tuple[Method[Any], ...]:
        return (
            Method("trace.list", Role.VIEWER, NoParams, self.list),
            Method("trace.start", Role.ENGINEER, TraceStartParams, self.start_recording),
            Method("trace.stop", Role.ENGINEER, NoParams, self.stop_recording),
            Method("trace.fetch", Role.ENGINEER, TraceFetchParams, self.fetch, reads=True),
        )

    async def start(self, stack: AsyncExitStack) -> None:
        pass

    def on_cycle(self, now_s: float) -> None:
        if now_s - self._polled_at_s >= LOGS_EVERY_S:
            self._polled_at_s = now_s
            logs.poll()
            recording = self.tracer.recording if self.tracer is not None else None
            if self.tracer is not None and recording is not None and (recording.full or now_s >= recording.until_s):
                self.tracer.stop()
                why = "its room was used up" if recording.full else "its time is over"
                self._running.log.info("TRACE_STOPPED", why, evse=recording.evse_id or "all")

    def problems(self) -> tuple[str, ...]:
        return logs.problems()

    # ---- methods ----

    async def list(self, params: NoParams, caller: Caller) -> TraceListResult:
        book, now_s = self._book(), self._running.clock.monotonic_s()
        recording = book.recording
        return TraceListResult(
            traces=tuple(self._line(trace, now_s) for trace in book.traces),
            recording_evse=recording.evse_id if recording is not None else None,
            recording_left_s=max(0.0, recording.until_s - now_s) if recording is not None else 0.0,
            recording_full=recording is not None and recording.full,
        )

    async def start_recording(self, params: TraceStartParams, caller: Caller) -> TraceStartResult:
        book = self._book()
        if params.evse_id and params.evse_id not in self._running.site.bays:
            known = ", ".join(self._running.site.bays)
            raise Refused(f"there is no EVSE {params.evse_id[:64]!r}; there are {known}", code="UNKNOWN_EVSE")
        book.record(params.evse_id, self._running.clock.monotonic_s() + params.duration_s)
        self._running.log.info(
            "TRACE_STARTED",
            f"messages are recorded in full, asked for by {caller.user}",
            evse=params.evse_id or "all",
            duration_s=params.duration_s,
        )
        return TraceStartResult(evse_id=params.evse_id, duration_s=params.duration_s, room_bytes=MAX_RECORDED_BYTES)

    async def stop_recording(self, params: NoParams, caller: Caller) -> TraceStopResult:
        stopped = self._book().stop()
        if stopped is None:
            return TraceStopResult(stopped=False)
        self._running.log.info("TRACE_STOPPED", f"by {caller.user}", evse=stopped.evse_id or "all")
        return TraceStopResult(stopped=True, full=stopped.full)

    async def fetch(self, params: TraceFetchParams, caller: Caller) -> TraceFetchResult:
        """A page of a trace. Who reads messages is told in the audit log, whatever its bounds for other readers."""
        now_s = self._running.clock.monotonic_s()
        unix_offset_s = self._running.clock.unix_s() - now_s
        trace = next((each for each in self._book().traces if each.number == params.number), None)
        if trace is None:
            raise Refused(f"trace {params.number} is not kept (any more)", code="UNKNOWN_SESSION")
        line = self._line(trace, now_s)
        if params.after < 0:
            self._audit.info(
                "TRACE_FETCHED",
                f"messages of a session were read by {caller.user}",
                user=caller.user,
                evse=trace.evse_id,
                session=line.session or "none",
                bytes=line.kept_bytes,
            )
        page: list[TracePiece] = []
        size = 0
        pieces = [piece for piece in trace.pieces if piece.number > params.after]
        for piece in pieces:
            if page and size + len(piece.data) > PAGE_BYTES:
                break
            size += len(piece.data)
            page.append(
                TracePiece(
                    number=piece.number,
                    unix_s=piece.at + unix_offset_s,
                    sent=piece.sent,
                    offset=piece.offset,
                    data=piece.data,
                )
            )
        found = trace.discovery
        return TraceFetchResult(
            line=line,
            pieces=tuple(page),
            more=len(page) < len(pieces),
            discovery=(found.at + unix_offset_s, str(found.vehicle), found.request, found.response)
            if found is not None
            else None,
        )

    # ---- within ----

    def _book(self) -> TraceBook:
        if self.tracer is None:
            raise Refused("no messages are kept here: trace.keep_sessions is 0", code="TRACE_OFF")
        return self.tracer

    def _line(self, trace: SessionTrace, now_s: float) -> TraceLine:
        kept = trace.pieces
        return TraceLine(
            number=trace.number,
            session=trace.session_id or self._session_of(trace),
            evse_id=trace.evse_id,
            vehicle=str(trace.vehicle),
            station=str(trace.station),
            secured=trace.secured,
            over=trace.over,
            age_s=now_s - trace.began_at if trace.began_at is not None else 0.0,
            quiet_s=now_s - trace.last_at if trace.last_at is not None else 0.0,
            pieces=trace.pieces_seen,
            kept=len(kept),
            kept_bytes=sum(len(piece.data) for piece in kept),
            complete=trace.complete,
        )

    def _session_of(self, trace: SessionTrace) -> str:
        """Of one that runs."""
        server = self._running.secc()
        connection = server.session(trace.evse_id) if server is not None and not trace.over else None
        if connection is None or connection.peer_address != trace.vehicle:
            return ""
        identifier = connection.machine.session.session_id
        return identifier.hex().upper() if any(identifier) else ""
