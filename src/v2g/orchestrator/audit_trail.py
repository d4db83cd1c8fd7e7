"""The audit log's own affairs: its chain, the lines of start and stop, the configuration's files, and its methods."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec

from v2g import __version__
from v2g.clock import Clock
from v2g.control.messages import NoParams
from v2g.control.messages_audit import AuditHeadResult
from v2g.control.server import Caller, Method, Refused, Role
from v2g.orchestrator.config_record import LOOK_EVERY_S, Change, ConfigRecord, fields
from v2g.telemetry import logs
from v2g.telemetry.audit_key import HEAD_FILE, KEY_FILE
from v2g.telemetry.audit_verify import Verdict
from v2g.telemetry.lines import timestamp

CHECK_TIMEOUT_S: Final = 25.0
"""Below what the control socket gives a call."""
DAILY_TIMEOUT_S: Final = 1800.0
_REST_FACTOR: Final = 5.0
"""After a check comes a rest of so many times what it took: viewers may ask, and must not keep a core busy."""
_COMMAND: Final = (sys.executable, "-P", "-m", "v2g.telemetry.audit_check")
"""-P: not from the directory that somebody happened to start the daemon in."""
_MOST_ANSWER_BYTES: Final = 1 << 20
_DAY_S: Final = 86_400.0


class AuditTrail:
    """As an asynchronous context: from the moment that this process is the only one, to its end.

    ``random_bytes``: a cryptographic source, for the key of the chain.
    """

    def __init__(
        self,
        config_dir: Path,
        state_dir: Path,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = os.urandom,
        command: Sequence[str] = _COMMAND,
        *,
        simulation: bool = False,
    ) -> None:
        self._state_dir = state_dir
        self._clock = clock
        self._random_bytes = random_bytes
        self._command = tuple(command)
        self._simulation = simulation
        self._record = ConfigRecord(config_dir, state_dir)
        self._audit, self._log = logs.audit_log(), logs.daemon_log()
        self._begun = False
        self._findings: tuple[str, ...] = ()
        self._broken = ""
        self._told = ""
        self._looked_at_s = clock.monotonic_s()
        self._day = -1
        self._tasks: set[asyncio.Task[None]] = set()
        self._checking = False
        self._rest_until_s = 0.0

    def methods(self) -> tuple[Method[Any], ...]:
        return (
            Method("audit.head", Role.VIEWER, NoParams, self.head),
            Method("audit.verify", Role.VIEWER, NoParams, self.verify),
        )

    def begin(self) -> None:
        """Go on with the chain, and say who starts with which configuration."""
        self._begun = True
        self._findings = logs.chain_audit(self._state_dir, self._random_bytes)
        changes = self._record.begin()
        self._audit.info(
            "START",
            f"v2g-orchestrator {__version__}",
            version=__version__,
            pid=os.getpid(),
            uid=os.getuid(),
            config=self._record.digest,
            files=self._record.count,
            changed=len(changes),
            before=self._record.before,
            simulation=self._simulation,
        )
        self._tell(changes, "at start")
        for finding in self._findings:
            self._audit.error("AUDIT_CHAIN", finding)
            self._log.error("AUDIT_CHAIN", finding)
        self._day = self._today()
        self._tell_head()

    async def __aenter__(self) -> AuditTrail:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if not self._begun:
            return
        self._tell(await asyncio.to_thread(self._record.end), "at stop")
        why = "asked to" if error is None else f"{type(error).__name__}: {error}"
        self._audit.info("STOP", f"v2g-orchestrator {__version__}: {why}", pid=os.getpid(), config=self._record.digest)
        self._tell_head()

    def restored(self, what: str, ids: Sequence[object], problem: str = "") -> None:
        """Orders or signals from before a restart that stand again."""
        if ids:
            self._audit.info(f"{what}_RESTORED", f"{len(ids)} from before the restart stand again", ids=list(ids))
        if problem:
            self._audit.warning(f"{what}_DROPPED", problem)

    def on_cycle(self, now_s: float) -> None:
        """From the event loop, after each cycle; what takes time is done beside it."""
        if not self._begun:
            return
        if now_s - self._looked_at_s >= LOOK_EVERY_S:
            self._looked_at_s = now_s
            self._beside(self._look())
        if self._today() != self._day:
            self._day = self._today()
            self._tell_head()
            self._beside(self._check_daily())

    def problems(self) -> tuple[str, ...]:
        """For the status."""
        state = logs.audit_state()
        unkept = state.problem if state is not None else ""
        if unkept != self._told:
            self._told = unkept
            if unkept:
                self._log.error("AUDIT_HEAD_NOT_KEPT", unkept)
        return tuple(filter(None, (*self._findings, unkept, self._broken)))

    async def head(self, params: NoParams, caller: Caller) -> AuditHeadResult:
        state = logs.audit_state()
        if state is None:
            raise Refused("the audit log is not kept in a file here, and has no chain", code="NO_CHAIN")
        return AuditHeadResult(
            log=str(state.path),
            seq=state.end.seq,
            chain=state.end.value,
            kept_seq=state.kept.seq if state.kept is not None else None,
            key=state.key_id,
            problem="; ".join(self.problems()),
        )

    async def verify(self, params: NoParams, caller: Caller) -> Verdict:
        """By a process of its own, since the control cycle must not share its interpreter with so much work."""
        now_s = self._clock.monotonic_s()
        if self._checking or now_s < self._rest_until_s:
            wait_s = max(1.0, self._rest_until_s - now_s)
            raise Refused(
                f"the log is being checked, or was just now: ask again in {wait_s:.0f} s, or as root on the "
                "controller: v2g-tool audit verify",
                code="BUSY",
            )
        return await self._check(CHECK_TIMEOUT_S)

    def _beside(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work, name="audit trail")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look(self) -> None:
        self._tell(await asyncio.to_thread(self._record.look), "while running")

    async def _check_daily(self) -> None:
        if self._checking:
            return
        try:
            verdict = await self._check(DAILY_TIMEOUT_S)
        except Refused as error:
            self._log.warning("AUDIT_NOT_CHECKED", str(error))
            return
        if verdict.intact:
            self._broken = ""
            self._log.info(
                "AUDIT_INTACT", f"{verdict.lines} lines from seq {verdict.first_seq} on are as they were written"
            )
            return
        first = verdict.findings[0]
        place = f"{first.file}:{first.line}: {first.words}"
        self._broken = f"the audit log is not as it was written ({verdict.broken} findings): {place}"
        self._log.error("AUDIT_BROKEN", self._broken)
        self._audit.error("AUDIT_BROKEN", self._broken)

    async def _check(self, timeout_s: float) -> Verdict:
        state = logs.audit_state()
        if state is None:
            raise Refused("the audit log is not kept in a file here, and has no chain", code="NO_CHAIN")
        self._checking = True
        began_s = self._clock.monotonic_s()
        try:
            files = (state.path, self._state_dir / KEY_FILE, self._state_dir / HEAD_FILE)
            return await self._ask([*self._command, *map(str, files)], timeout_s)
        finally:
            self._checking = False
            now_s = self._clock.monotonic_s()
            self._rest_until_s = now_s + _REST_FACTOR * (now_s - began_s)

    async def _ask(self, command: Sequence[str], timeout_s: float) -> Verdict:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                limit=_MOST_ANSWER_BYTES,
            )
        except OSError as error:
            raise Refused(f"the check does not start: {error.strerror}", code="NOT_CHECKED") from None
        try:
            async with asyncio.timeout(timeout_s):
                answer, words = await process.communicate()
        except TimeoutError:
            raise Refused(
                f"the check takes longer than {timeout_s:.0f} s; as root on the controller: v2g-tool audit verify",
                code="TOO_SLOW",
            ) from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            raise Refused(words.decode("utf-8", "replace").strip()[-400:] or "the check failed", code="NOT_CHECKED")
        try:
            return msgspec.json.decode(answer, type=Verdict)
        except msgspec.DecodeError as error:
            raise Refused(f"the check answers what is no verdict: {error}", code="NOT_CHECKED") from None

    def _tell(self, changes: Sequence[Change], when: str) -> None:
        for change in changes:
            self._audit.info("CONFIG_FILE", f"not as before, seen {when}", **fields(change))

    def _tell_head(self) -> None:
        """Into the journal too: a head that is kept elsewhere finds even a log that was rewritten with the key."""
        state = logs.audit_state()
        if state is not None:
            at = timestamp(self._clock.unix_s())
            self._log.info("AUDIT_HEAD", f"{state.end.seq}:{state.end.value} at {at}", key=state.key_id)

    def _today(self) -> int:
        return int(self._clock.unix_s() // _DAY_S)
