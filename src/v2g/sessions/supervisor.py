"""One supervisor per vehicle: events of its connection to its EVSE's procedure, the cycle's commands back to it.

A session belongs to the EVSE whose socket it came in on. What goes wrong in one session ends that session and nothing
else: our own errors abort it, with a traceback for the daemon log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Protocol

from pyiso15118 import events as ev
from pyiso15118.checks import printable
from pyiso15118.commands import Command
from pyiso15118.errors import LocalProtocolError
from pyiso15118.paused import PausedSession
from v2g.clock import Clock
from v2g.host.neighbours import mac_of
from v2g.sessions.bay import EvseBay
from v2g.sessions.procedure import Phase, Procedure
from v2g.sessions.session_log import Log as Log
from v2g.sessions.session_log import SessionLog
from v2g.sessions.turnaround import CableOf, SessionTiming, StationTiming, TimedConnection

OnError = Callable[[str, Exception], None]
"""``(evse_id, error)``."""


FindMac = Callable[[Any], str | None]
"""Of a peer's address, ``host`` and ``scope_id``."""


def neighbour_mac(peer: Any) -> str | None:
    """By the host's neighbour table."""
    return mac_of(str(getattr(peer, "host", "")), int(getattr(peer, "scope_id", 0)))


class SessionWatcher(Protocol):
    """Is told of sessions as they come and go. Must not raise, nor take long."""

    def began(self, info: SessionInfo, session_id: bytes, *, resumed: bool) -> None:
        """SessionSetup is done. ``resumed``: a paused session goes on."""
        ...

    def ended(self, info: SessionInfo, reason: ev.EndReason, paused: PausedSession | None) -> None:
        """``paused``: what its vehicle may resume."""
        ...


class VehicleConnection(Protocol):
    """What a supervisor needs of :class:`pyiso15118.aio.SeccConnection`."""

    @property
    def peer_identity(self) -> Any: ...

    @property
    def peer_address(self) -> Any: ...

    @property
    def paused(self) -> PausedSession | None: ...

    def command(self, command: Command) -> None: ...

    def events(self) -> AsyncIterator[ev.Event]: ...

    def abort(self, reason: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """``evccid`` is claimed by the vehicle; ``identity`` is proven by its certificate, or None. Both can be printed."""

    evse_id: str
    evccid: str
    identity: str | None
    peer: str
    started_at_s: float
    mac: str | None = None
    """Of the vehicle's modem, as the host's neighbour table has it."""
    certificate: str | None = None
    """SHA-256 of the vehicle's certificate, in hexadecimal."""
    session: str = ""
    """Its identifier in upper-case hexadecimal; empty before SessionSetup."""
    timing: SessionTiming | None = None
    """How long it takes to ask again; goes on while the session does."""

    def __str__(self) -> str:
        identity = f"{self.identity} (authenticated)" if self.identity else "not authenticated"
        return f"{self.evse_id} / {self.evccid or 'EVCCID unknown'} / {identity}"


class SessionSupervisor:
    """Sees one connection through. :meth:`run` reads its events, :meth:`command` passes the cycle's commands on."""

    def __init__(
        self,
        bay: EvseBay,
        connection: VehicleConnection,
        log: Log,
        on_error: OnError,
        clock: Clock,
        find_mac: FindMac = neighbour_mac,
        station: StationTiming | None = None,
        cable_of: CableOf = lambda evse_id: None,
        watchers: Sequence[SessionWatcher] = (),
    ) -> None:
        identity = connection.peer_identity
        self._station = station or StationTiming()
        self._cable_of = cable_of
        self._timing = SessionTiming(
            bay.evse_id,
            connection if isinstance(connection, TimedConnection) else None,
            self._station,
            clock.monotonic_s,
            lambda code, text, fields: self._log.warning(code, f"{self.info}: {text}", **fields),
        )
        self.info = SessionInfo(
            evse_id=bay.evse_id,
            evccid="",
            identity=printable(identity.subject) if identity is not None else None,
            peer=str(connection.peer_address),
            started_at_s=clock.monotonic_s(),
            mac=find_mac(connection.peer_address),
            certificate=getattr(identity, "fingerprint", None),
            timing=self._timing,
        )
        self._certified_name = getattr(identity, "common_name", None)
        self._bay = bay
        self._connection = connection
        self._log = SessionLog(log, bay.evse_id)
        self._on_error = on_error
        self._clock = clock
        self._procedure: Procedure | None = None
        self._phase: Phase | None = None
        self._fault: str | None = None
        self._refusal: str | None = None
        self._meters: tuple[float, float] | None = None
        self._watchers = watchers
        self._end = ev.EndReason.FAILED_BY_US

    @property
    def begun(self) -> bool:
        """SessionSetup is done: there is a vehicle."""
        return self._procedure is not None

    async def run(self) -> None:
        """Until the session has ended. Never raises for what happens in it."""
        self._log.info("CONNECTED", str(self.info), **self._link())
        try:
            async for event in self._connection.events():
                self._take(event)
        except Exception as error:
            self._fail(error)
        finally:
            self._timing.close()
            if self._procedure is not None:
                self._bay.end(self._procedure, self._clock.monotonic_s())
                for watcher in self._watchers:
                    watcher.ended(self.info, self._end, self._connection.paused)

    def command(self, commands: Iterable[Command]) -> None:
        """The control cycle's commands. One that the protocol refuses is an error of ours and ends the session."""
        if self._procedure is None:
            return
        try:
            for command in commands:
                self._connection.command(command)
        except LocalProtocolError as error:
            self._fail(error)
        self._tell_changes()

    def abort(self, reason: str) -> None:
        self._connection.abort(reason)

    def _take(self, event: ev.Event) -> None:
        now_s = self._clock.monotonic_s()
        if isinstance(event, ev.SessionStarted):
            self._procedure = self._bay.begin(now_s)
            self._procedure.identity = self.info.identity
            self._log.session = session = event.session_id.hex().upper()
            self.info = replace(self.info, evccid=printable(event.evccid), started_at_s=now_s, session=session)
            self._meters = self._read_meters()
            self._station.begun += 1
            self._log.info(
                "SESSION_START",
                str(self.info),
                evccid=self.info.evccid,
                setup="OK_OldSessionJoined" if event.resumed else "OK_NewSessionEstablished",
                **self._link(),
            )
            for watcher in self._watchers:
                watcher.began(self.info, event.session_id, resumed=event.resumed)
            if self._certified_name not in (None, event.evccid):
                self._log.warning(
                    "EVCCID_NOT_CERTIFIED",
                    f"{self.info}: the vehicle's certificate is for {printable(str(self._certified_name))}",
                )
        elif isinstance(event, ev.EnergyServiceSelected):
            self._timing.service = event.service.name
            self._log.info(
                "SERVICE",
                str(self.info),
                service=event.service.name,
                mode=event.control_mode.name,
                needs=event.mobility_needs_mode.name,
            )
        if self._procedure is not None:
            for command in self._procedure.handle(event, now_s):
                self._connection.command(command)
            self._tell_changes()
        if isinstance(event, ev.SessionEnded):
            self._end = event.reason
            self._tell_end(event, now_s)

    def _link(self) -> dict[str, object]:
        """What binds a vehicle's names to each other and to the cable."""
        certificate = self.info.certificate
        return {
            "peer": self.info.peer,
            "mac": self.info.mac or "unknown",
            "certificate": f"sha256:{certificate}" if certificate else "none",
        }

    def _fail(self, error: Exception) -> None:
        self._log.error(ev.EndReason.FAILED_BY_US.value, f"{self.info}: internal error, see daemon.log")
        self._on_error(self.info.evse_id, error)
        self._connection.abort(f"internal error: {error}")

    def _read_meters(self) -> tuple[float, float] | None:
        reading = self._bay.view.evse
        return (reading.charged_energy_wh, reading.discharged_energy_wh) if reading is not None else None

    def _tell_changes(self) -> None:
        procedure = self._procedure
        if procedure is None:
            return
        if procedure.phase is not self._phase:
            self._phase = procedure.phase
            self._log.info("SESSION_PHASE", str(self.info), phase=procedure.phase.value)
        if procedure.refusal is not None and procedure.refusal != self._refusal:
            self._log.error("AUTHORIZATION_REFUSED", f"{self.info}: {procedure.refusal}")
        self._refusal = procedure.refusal
        if procedure.fault is not None and procedure.fault != self._fault:
            self._fault = procedure.fault
            self._log.error("EVSE_FAULT", f"{self.info}: {procedure.fault}")
        for notice in procedure.take_notices():
            log = self._log.warning if notice.is_warning else self._log.info
            log(notice.code, f"{self.info}: {notice.text}")

    def _tell_end(self, event: ev.SessionEnded, now_s: float) -> None:
        fields: dict[str, object] = {"lasted_s": round(now_s - self.info.started_at_s, 1)}
        if event.response_code is not None:
            fields["response_code"] = event.response_code
        before, after = self._meters, self._read_meters()
        if before is not None and after is not None:
            moved = zip(("charged_wh", "discharged_wh"), before, after, strict=True)
            fields |= {name: round(end - begin, 1) for name, begin, end in moved if isfinite(end - begin)}
        text = f"{self.info}: {event.detail}" if event.detail else str(self.info)
        if self._timing.slow:
            fields["slow_turns"] = self._timing.slow
        if event.reason is ev.EndReason.TIMEOUT_SECC:
            verdict = self._timing.timeout(self._cable_of(self.info.evse_id))
            text, fields = f"{text}; {verdict.hint}", {**fields, **verdict.fields}
        self._station.ended(event.reason.value)
        if event.reason in (ev.EndReason.STOPPED, ev.EndReason.PAUSED):
            self._log.info(event.reason.value, text, **fields)
        elif event.reason is ev.EndReason.ABORTED or (event.reason is ev.EndReason.PEER_CLOSED and not self.begun):
            self._log.warning(event.reason.value, text, **fields)
        else:
            self._log.error(event.reason.value, text, **fields)


class Sessions:
    """All connections of the station, one at most for each EVSE."""

    def __init__(self, bays: Mapping[str, EvseBay], log: Log, on_error: OnError, clock: Clock) -> None:
        self._bays = bays
        self._log = log
        self._on_error = on_error
        self._clock = clock
        self.timing = StationTiming()
        self.cable_of: CableOf = lambda evse_id: None
        """What is known of an EVSE's powerline link; whoever knows replaces it."""
        self._active: dict[str, SessionSupervisor] = {}
        self._watchers: list[SessionWatcher] = []

    async def serve(self, evse_id: str, connection: VehicleConnection) -> None:
        """See a new connection at ``evse_id`` through."""
        supervisor = SessionSupervisor(
            self._bays[evse_id],
            connection,
            self._log,
            self._on_error,
            self._clock,
            station=self.timing,
            cable_of=lambda evse_id: self.cable_of(evse_id),
            watchers=self._watchers,
        )
        self._active[evse_id] = supervisor
        try:
            await supervisor.run()
        finally:
            if self._active.get(evse_id) is supervisor:
                del self._active[evse_id]

    def watch(self, watcher: SessionWatcher) -> None:
        """Tell ``watcher`` of all sessions from now on."""
        self._watchers.append(watcher)

    def command(self, evse_id: str, commands: Iterable[Command]) -> None:
        """This cycle's commands for whoever is at ``evse_id``."""
        supervisor = self._active.get(evse_id)
        if supervisor is not None:
            supervisor.command(commands)

    def abort(self, evse_id: str, reason: str) -> None:
        """End the session at ``evse_id`` at once, if there is one."""
        supervisor = self._active.get(evse_id)
        if supervisor is not None:
            supervisor.abort(reason)

    def info(self, evse_id: str) -> SessionInfo | None:
        """Who is at ``evse_id``: None before SessionSetup and without a vehicle."""
        supervisor = self._active.get(evse_id)
        return supervisor.info if supervisor is not None and supervisor.begun else None

    @property
    def count(self) -> int:
        return len(self._active)

    @property
    def active(self) -> Mapping[str, SessionInfo]:
        """By EVSE, whoever is connected; without an EVCCID before SessionSetup."""
        return {evse_id: supervisor.info for evse_id, supervisor in self._active.items()}
