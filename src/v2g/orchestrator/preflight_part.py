"""The daemon's own preflight: at the start, each hour, soon again while something fails, and when it is asked for.

Nothing here holds up the start or a cycle: files are looked at in a thread of its own. Until the first one has ended,
and while it takes too long, nobody discharges. What each check refuses: :mod:`v2g.host.preflight`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from v2g.control.messages import NoParams
from v2g.control.messages_preflight import PreflightResult, PreflightShowParams
from v2g.control.messages_sensors import SensorLine
from v2g.control.server import Caller, Method, Role
from v2g.guard.status import MAX_AGE_S, GuardStatus, Permit
from v2g.hardware.sensor_map import Family
from v2g.host.preflight.model import Level, PreflightLine, failed, worst
from v2g.orchestrator.decide import IMAGE_MAX_AGE_S
from v2g.orchestrator.parts import Running
from v2g.orchestrator.preflight.devices import OIL, DeviceFacts
from v2g.orchestrator.preflight.known import Known
from v2g.orchestrator.preflight.verdict import Verdict, fail_words, mended, newly_failed, summary
from v2g.orchestrator.sensor_values import sensor_line, state_of
from v2g.orchestrator.tls_report import tls_notes

if TYPE_CHECKING:
    from v2g.orchestrator.preflight.checks import Host

LIMIT_S: Final = 5.0
"""A disk that does not answer must not keep a verdict from coming ..."""
SIMULATION_LIMIT_S: Final = 20.0
"""... nor may a laptop that simulates a whole neighbourhood make one."""
SETTLE_S: Final = 8.0
"""So long guard and devices have until what they do not tell counts against them: they may just be starting."""
SETTLE_EVSE_S: Final = 3.0
"""So long where it is some EVSEs only that wait for their devices: the others need not wait with them."""
LOOK_EVERY_S: Final = 0.25
HOUR_S: Final = 3600.0
AGAIN_S: Final = 10.0
"""While something fails."""
LOOK_AGAIN_S: Final = 5.0
"""So often it is seen that somebody else's look has found a fail."""
KEPT_S: Final = 1.0
"""Whoever asks again within this is given what was found."""
_NAME: Final = "daemon"
T = TypeVar("T")


class PreflightPart:
    """See :class:`v2g.orchestrator.parts.Part`; also what the site asks before it lets an EVSE discharge.

    ``look``: all checks, from what is known; it blocks. ``pause`` waits for so many seconds.
    """

    def __init__(
        self,
        running: Running,
        look: Callable[[Known], tuple[PreflightLine, ...]] | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._running = running
        self._look_around = look or self._look_at_all
        self._host: Host | None = None
        self._pause = pause
        self._verdict = Verdict()
        self._verdict_at_s: float | None = None
        self._due_at_s = float("-inf")
        """When it is looked again."""
        self._found: tuple[PreflightLine, ...] = ()
        self._found_at_s = float("-inf")
        self._alone = asyncio.Lock()
        self._busy = False
        """A thread is at work, or hangs."""
        self._limit_s = SIMULATION_LIMIT_S if running.simulation else LIMIT_S
        running.site.preflight = self

    def refusal(self, evse_id: str) -> str:
        tests = self._running.site.discharge_tests
        return self._verdict.refusal(evse_id, tests.testing if tests is not None else "")

    def methods(self) -> tuple[Method[Any], ...]:
        return (
            Method("preflight.show", Role.VIEWER, PreflightShowParams, self.show),
            Method("preflight.run", Role.ENGINEER, NoParams, self.run),
        )

    async def start(self, stack: AsyncExitStack) -> None:
        task = asyncio.get_running_loop().create_task(self._go_on(), name="preflight")
        stack.push_async_callback(_ended, task)

    def on_cycle(self, now_s: float) -> None:
        pass

    def problems(self) -> tuple[str, ...]:
        return self._verdict.problems()

    async def show(self, params: PreflightShowParams, caller: Caller) -> PreflightResult:
        if params.fresh:
            return self._result(await self._look(KEPT_S), self._found_at_s, in_force=False)
        return self._result(self._verdict.lines or (), self._verdict_at_s, in_force=True)

    async def run(self, params: NoParams, caller: Caller) -> PreflightResult:
        """What was repaired no longer refuses discharge; what broke since does."""
        self._adopt(await self._look())
        return self._result(self._verdict.lines or (), self._verdict_at_s, in_force=True)

    async def _go_on(self) -> None:
        while True:
            await self._settle()
            self._adopt(await self._look())
            while self._running.clock.monotonic_s() < self._due_at_s:
                await self._pause(LOOK_AGAIN_S)

    async def _settle(self) -> None:
        """Until all that is awaited has spoken well, and not longer than :data:`SETTLE_S`."""
        clock = self._running.clock
        began_s = clock.monotonic_s()
        while (waited_s := clock.monotonic_s() - began_s) < SETTLE_S:
            await self._pause(LOOK_EVERY_S)
            if self._speaks_well(but_evses=waited_s >= SETTLE_EVSE_S):
                return

    def _speaks_well(self, *, but_evses: bool) -> bool:
        running = self._running
        if running.secc() is None or running.site.decision is None:
            return False
        from v2g.orchestrator.preflight import checks

        try:
            lines = checks.in_order(checks.controller_checks(running.loaded.config, self._known()), simulation=False)
        except Exception:
            # The look that follows tells it.
            return False
        return worst([line for line in lines if not (but_evses and line.evses)]) is not Level.FAIL

    async def _look(self, kept_s: float | None = None) -> tuple[PreflightLine, ...]:
        async with self._alone:
            if kept_s is not None and self._running.clock.monotonic_s() - self._found_at_s <= kept_s:
                return self._found
            try:
                known = self._known()
                lines = await self._in_thread(lambda: self._look_around(known))
            except TimeoutError:
                lines = (
                    failed(
                        _NAME,
                        f"its own preflight did not end within {self._limit_s:g} s",
                        "a disk or the user database does not answer: dmesg, df, getent passwd v2g",
                    ),
                )
            except Exception as error:
                lines = (
                    failed(
                        _NAME,
                        f"its own preflight broke down: {type(error).__name__}: {error}",
                        "report it with daemon.log; v2g-tool preflight --daemon tries again",
                    ),
                )
            self._found, self._found_at_s = lines, self._running.clock.monotonic_s()
            return lines

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Raises TimeoutError; the thread may then hang on, and keeps nobody from ending."""
        if self._busy:
            raise TimeoutError
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def done(result: T | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]

        def go() -> None:
            result, error = None, None
            try:
                result = work()
            except BaseException as raised:
                error = raised
            self._busy = False
            # The loop may have ended meanwhile.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(done, result, error)

        self._busy = True
        threading.Thread(target=go, name="preflight", daemon=True).start()
        # Not wait_for: in Python 3.11 it swallows a cancellation that comes with the result.
        async with asyncio.timeout(self._limit_s):
            return await future

    def _adopt(self, lines: tuple[PreflightLine, ...]) -> None:
        before, self._verdict = self._verdict, Verdict(lines)
        self._verdict_at_s = now_s = self._running.clock.monotonic_s()
        self._due_at_s = now_s + (AGAIN_S if self._verdict.fails else HOUR_S)
        log = self._running.log
        for line in newly_failed(before, self._verdict):
            log.error("PREFLIGHT_FAIL", fail_words(line), check=line.name)
        for name in mended(before, self._verdict):
            log.info("PREFLIGHT_MENDED", f"preflight {name}: no longer fails", check=name)
        if before.lines is None:
            tell = log.warning if self._verdict.warnings and not self._running.simulation else log.info
            tell("PREFLIGHT_DONE", f"{summary(lines)}; v2g-tool preflight shows each")

    def _result(self, lines: tuple[PreflightLine, ...], at_s: float | None, *, in_force: bool) -> PreflightResult:
        running = self._running
        return PreflightResult(
            lines=tuple(msgspec.structs.replace(line, by="daemon") for line in lines),
            level=worst(lines).value,
            age_s=None if at_s is None else max(0.0, running.clock.monotonic_s() - at_s),
            in_force=in_force,
            refuses=dict(self._verdict.refuses([evse.id for evse in running.loaded.config.evses])),
            config_dir=str(running.loaded.config_dir),
            simulation=running.simulation,
        )

    def _look_at_all(self, known: Known) -> tuple[PreflightLine, ...]:
        # In the thread that looks, after the start.
        from v2g.orchestrator.preflight import checks

        if self._host is None:
            self._host = checks.Host(self._running.clock)
        return checks.daemon_lines(self._running.loaded, known, self._host, simulation=self._running.simulation)

    def _known(self) -> Known:
        running, now_s = self._running, self._running.clock.monotonic_s()
        image = running.site.image
        guard = image.guard if image is not None else None
        speaks = guard is not None and guard.permit is not Permit.GUARD_STALE and now_s - guard.as_of_s <= 2 * MAX_AGE_S
        wires = image.wires if image is not None and image.wires_connected else None
        if wires is not None and now_s - wires.as_of_s > 2 * IMAGE_MAX_AGE_S:
            wires = None
        return Known(
            guard_realtime=guard.realtime if guard is not None and speaks else None,
            relay_closed=guard.relay_closed if guard is not None and speaks else None,
            guard_measures=guard.measured if guard is not None and speaks else None,
            sensors=self._sensors(guard, now_s),
            devices=None
            if wires is None
            else tuple(DeviceFacts(each.name, each.address, each.online, each.error or "") for each in wires.devices),
            unreachable=dict(running.unreachable()),
            tls=tuple(tls_notes(running.loaded.config, running.in_force())),
        )

    def _sensors(self, guard: GuardStatus | None, now_s: float) -> tuple[SensorLine, ...]:
        image = self._running.site.image
        if guard is None or image is None:
            guard = GuardStatus(
                as_of_s=0.0, permit=Permit.GUARD_STALE, breaker_commanded_closed=False, breaker_closed=None
            )
        wires = image.wires if image is not None and image.wires_connected else None
        loaded = self._running.loaded
        lines = []
        for channel in loaded.sensors:
            line = sensor_line(channel, loaded, guard, wires, now_s)
            # The map may have been read anew since: what wires no longer reads is no longer wanted.
            gone = wires is not None and bool(wires.sensors) and state_of(channel.name, wires) is None
            if channel.family is Family.QUANTITY and gone and channel.name != OIL:
                line = msgspec.structs.replace(line, quality="not told")
            lines.append(line)
        return tuple(lines)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
