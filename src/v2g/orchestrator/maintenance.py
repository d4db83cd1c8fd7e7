"""The methods ``maintenance.begin``, ``maintenance.end`` and ``maintenance.show``: no new sessions for a while.

What lasts is kept in ``<state_dir>/maintenance.json``: who replaces the daemon's program restarts the daemon, and no
vehicle shall begin a session in between. It ends by its lease, whatever becomes of who began it.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec

from pyiso15118.checks import printable
from v2g.control.messages import NoParams
from v2g.control.messages_maintenance import (
    LEASE_RANGE_S,
    MaintenanceParams,
    MaintenanceResult,
    MaintenanceSession,
)
from v2g.control.server import Caller, Method, Refused, Role
from v2g.host.files import replace_file
from v2g.host.kept import Kept, NewerSchema, decode_kept
from v2g.orchestrator.parts import Running
from v2g.orchestrator.winding_down import Drained
from v2g.sessions.supervisor import SessionInfo

FILE = "maintenance.json"
REASON_CHARS = 120
_MAX_FILE_BYTES = 4096
_MOST_NAMED = 4


class Lease(Kept, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What lasts. Calendar time: it goes on over a restart."""

    by: str
    reason: str
    until_unix_s: float


class Maintenance:
    """A part of the operations. What is refused raises :class:`Refused`, but for sessions that run."""

    def __init__(self, running: Running) -> None:
        self._site = running.site
        self._sessions = running.sessions
        self._clock = running.clock
        self._log = running.log
        self._winding = running.winding
        self._path: Path = running.paths.state_dir / FILE
        self._lease: Lease | None = None
        self._problem = ""

    def methods(self) -> tuple[Method[Any], ...]:
        return (
            Method("maintenance.begin", Role.ENGINEER, MaintenanceParams, self.begin),
            Method("maintenance.end", Role.ENGINEER, NoParams, self.end),
            Method("maintenance.show", Role.VIEWER, NoParams, self.show),
        )

    async def start(self, stack: AsyncExitStack) -> None:
        """What an earlier process began goes on."""
        lease = self._read()
        if lease is None:
            return
        if self._left_s(lease) <= 0.0:
            self._remove()
            return
        self._lease = lease
        self._winding.close(self._words(lease))
        self._log.info("MAINTENANCE", f"goes on after the restart: {self._words(lease)}")

    def on_cycle(self, now_s: float) -> None:
        if self._lease is not None and self._left_s(self._lease) <= 0.0:
            self._end(f"the lease of {self._lease.by} is over")

    def problems(self) -> tuple[str, ...]:
        found = [self._problem] if self._problem else []
        if self._lease is not None:
            found.insert(0, self._words(self._lease))
        return tuple(found)

    # ---- the methods ----

    async def begin(self, params: MaintenanceParams, caller: Caller) -> MaintenanceResult:
        self._check(params, caller)
        running = self._running()
        if running and not params.drain:
            return self._result(running, refused=_refusal(running))
        lease = Lease(
            by=caller.user,
            reason=printable(params.reason.strip()),
            until_unix_s=self._clock.unix_s() + params.lease_s,
        )
        self._lease = lease
        self._winding.close(self._words(lease))
        self._keep(lease)
        self._log.info("MAINTENANCE", self._words(lease))
        if not params.drain:
            return self._result(())
        drained = await self._winding.drain()
        return self._result(tuple(_became(each) for each in drained))

    async def end(self, params: NoParams, caller: Caller) -> MaintenanceResult:
        if self._lease is not None:
            self._end(f"ended by {caller.user}")
        return self._result(())

    async def show(self, params: NoParams, caller: Caller) -> MaintenanceResult:
        return self._result(self._running())

    # ---- within ----

    def _check(self, params: MaintenanceParams, caller: Caller) -> None:
        if self._site.stopping:
            raise Refused("the controller is stopping: it admits no sessions anyway", code="STOPPING")
        if not 0 < len(params.reason.strip()) <= REASON_CHARS:
            raise Refused(
                f"say why, in 1 to {REASON_CHARS} characters: operators read it in the status", code="BAD_MAINTENANCE"
            )
        least_s, most_s = LEASE_RANGE_S
        if not least_s <= params.lease_s <= most_s:
            raise Refused(
                f"a lease of {params.lease_s:g} s: it lasts {least_s:g} to {most_s:g} s, and may be renewed",
                code="BAD_MAINTENANCE",
            )
        if self._lease is not None and self._lease.by != caller.user:
            raise Refused(
                f"{self._words(self._lease)}: wait for its end, or end it with maintenance.end",
                code="MAINTENANCE_LASTS",
            )

    def _running(self) -> tuple[MaintenanceSession, ...]:
        now_s = self._clock.monotonic_s()
        return tuple(
            _session(info, self._site.known_w(evse_id, now_s)) for evse_id, info in self._sessions.active.items()
        )

    def _result(self, sessions: tuple[MaintenanceSession, ...], refused: str = "") -> MaintenanceResult:
        lease = self._lease
        drain = self._site.drain
        quiet = not self._sessions.count and not any(
            bay.procedure is not None or bay.releasing for bay in self._site.bays.values()
        )
        return MaintenanceResult(
            active=lease is not None,
            reason=lease.reason if lease is not None else "",
            by=lease.by if lease is not None else "",
            remaining_s=max(0.0, self._left_s(lease)) if lease is not None else 0.0,
            sessions=sessions,
            drained=lease is not None and quiet and (drain is None or drain.over),
            refused=refused,
        )

    def _end(self, why: str) -> None:
        self._lease = None
        self._winding.resume()
        self._remove()
        self._log.info("MAINTENANCE", f"over: {why}; sessions begin again")

    def _words(self, lease: Lease) -> str:
        until = self._site.zone.time_of_day(lease.until_unix_s)
        return f"maintenance: no new sessions: {lease.reason} ({lease.by}), until {until}"

    def _left_s(self, lease: Lease) -> float:
        """No longer than a lease may be, whatever became of the clock."""
        left_s = lease.until_unix_s - self._clock.unix_s()
        return left_s if left_s <= LEASE_RANGE_S[1] else 0.0

    # ---- the file ----

    def _read(self) -> Lease | None:
        try:
            with self._path.open("rb") as file:
                return decode_kept(file.read(_MAX_FILE_BYTES), Lease)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            self._log.warning("MAINTENANCE", f"{self._path} cannot be read, no maintenance goes on: {error}")
            if not isinstance(error, NewerSchema):
                self._remove()
            return None

    def _keep(self, lease: Lease) -> None:
        try:
            replace_file(self._path, msgspec.json.encode(lease) + b"\n")
            self._problem = ""
        except OSError as error:
            self._problem = f"maintenance would not outlast a restart: {self._path} cannot be written: {error}"
            self._log.warning("MAINTENANCE", self._problem)

    def _remove(self) -> None:
        try:
            self._path.unlink(missing_ok=True)
            self._problem = ""
        except OSError as error:
            self._log.warning("MAINTENANCE", f"{self._path} cannot be removed: {error}")


def _session(info: SessionInfo, power_w: float | None, became: str = "active", words: str = "") -> MaintenanceSession:
    return MaintenanceSession(
        evse_id=info.evse_id,
        vehicle=info.evccid,
        identity=info.identity,
        power_w=power_w,
        became=became,
        words=words,
    )


def _became(drained: Drained) -> MaintenanceSession:
    return _session(drained.info, drained.power_w, drained.became, drained.words)


def _refusal(running: tuple[MaintenanceSession, ...]) -> str:
    named = [
        f"{each.evse_id} / {each.vehicle or 'EVCCID unknown'} / {each.identity or 'not authenticated'}"
        for each in running[:_MOST_NAMED]
    ]
    more = f" and {len(running) - _MOST_NAMED} more" if len(running) > _MOST_NAMED else ""
    count = "a session is active" if len(running) == 1 else f"{len(running)} sessions are active"
    return f"{count}: {'; '.join(named)}{more}; drain ends them in order, power first"
