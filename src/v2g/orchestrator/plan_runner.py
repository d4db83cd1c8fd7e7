"""Plans come from a process of their own, one at a time; the last good one stands until it is too old.

Nothing here waits for a plan: :meth:`PlanRunner.poll` starts one where it is due and returns at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from v2g.clock import Clock
from v2g.config.schema_dispatch import Planning
from v2g.planning.following import step_at
from v2g.planning.types import Plan, PlanRequest

RENEW_AFTER_S: Final = 30.0
"""Between two starts, however much changes."""
GOOD_FOR: Final = 3.0
"""Intervals of ``planning.every_s`` after which a plan no longer counts."""
COMMAND: Final = (sys.executable, "-m", "v2g.planning")
_ENVIRONMENT: Final = {"OPENBLAS_NUM_THREADS": "1"}
"""A pool of threads for every core is of no use to a linear programme."""
_MOST_PLAN_BYTES: Final = 64_000_000
_MOST_WORDS_BYTES: Final = 4_000
_CHUNK: Final = 65_536

Make = Callable[[], PlanRequest | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStatus:
    """``plan``: the one that stands, None: none. ``problem``: why the last attempt gave none, in words."""

    plan: Plan | None = None
    request: PlanRequest | None = None
    """What it was made of."""
    age_s: float | None = None
    """Since its request was made."""
    reason: str = ""
    """Why it was made."""
    running_s: float | None = None
    """How long one has been under way."""
    problem: str = ""
    took_s: float | None = None
    """Of the last process, from its start to its plan."""


class _Failed(Exception):
    """In words."""


class PlanRunner:
    """``make`` gives the request of this moment, or why there can be none; ``say`` gets a code and words for the log
    whenever planning fails for another reason than before, or works again.

    ``command``: other than in tests, this interpreter with :mod:`v2g.planning`.
    """

    def __init__(
        self,
        settings: Planning,
        make: Make,
        say: Callable[[str, str], None],
        clock: Clock,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._settings = settings
        self._make = make
        self._say = say
        self._clock = clock
        self._command = tuple(command)
        self._task: asyncio.Task[None] | None = None
        self._started_s: float | None = None
        self._asked = "start"
        self._plan: Plan | None = None
        self._request: PlanRequest | None = None
        self._made_s = 0.0
        self._reason = ""
        self._took_s: float | None = None
        self._problem = ""
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that is under way."""
        return self._pid

    def renew(self, reason: str) -> None:
        """Ask for another plan: a vehicle came or left, an order, other limits. Taken up by the next :meth:`poll` that
        may, at most every :data:`RENEW_AFTER_S`."""
        self._asked = self._asked or reason

    def poll(self, now_s: float) -> None:
        """Every cycle, from the event loop. ``now_s``: monotonic."""
        if not self._settings.enabled or self._task is not None:
            return
        since_s = None if self._started_s is None else now_s - self._started_s
        due = since_s is None or since_s >= self._settings.every_s
        if not (due or (self._asked and since_s is not None and since_s >= RENEW_AFTER_S)):
            return
        reason, self._asked = self._asked or "interval", ""
        self._started_s = now_s
        self._task = asyncio.get_running_loop().create_task(self._attempt(reason, now_s), name="plan")
        self._task.add_done_callback(self._over)

    def status(self, now_s: float, now_unix_s: float) -> PlanStatus:
        """``plan`` only while it is good: its steps are not over, and it is not older than ``GOOD_FOR · every_s``."""
        running_s = now_s - self._started_s if self._task is not None and self._started_s is not None else None
        plan, age_s = self._plan, now_s - self._made_s
        problem = self._problem if self._settings.enabled else "planning is switched off: dispatch.planning.enabled"
        if plan is not None:
            if age_s > GOOD_FOR * self._settings.every_s:
                problem = problem or f"the last plan is {age_s:.0f} s old and no longer counts"
                plan = None
            elif step_at(plan, now_unix_s) is None:
                problem = problem or "the steps of the last plan are over"
                plan = None
        return PlanStatus(
            plan=plan,
            request=self._request if plan is not None else None,
            age_s=age_s if plan is not None else None,
            reason=self._reason if plan is not None else "",
            running_s=running_s,
            problem=problem,
            took_s=self._took_s,
        )

    def plan(self, now_s: float, now_unix_s: float) -> Plan | None:
        """The one that stands, while it is good."""
        return self.status(now_s, now_unix_s).plan

    async def close(self) -> None:
        """End what is under way; its process is gone when this returns."""
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(f"{type(error).__name__}: {error}")

    async def _attempt(self, reason: str, now_s: float) -> None:
        request = self._make()
        if isinstance(request, str):
            # What is missing may be there soon, as after a start.
            self._asked = self._asked or reason
            self._fail(request)
            return
        began_s = self._clock.monotonic_s()
        try:
            plan = await self._run(request)
        except _Failed as error:
            self._fail(str(error))
            return
        if plan.problem:
            self._fail(plan.problem)
            return
        self._plan, self._request, self._made_s, self._reason = plan, request, now_s, reason
        self._took_s = self._clock.monotonic_s() - began_s
        if self._problem:
            self._problem = ""
            self._say("PLAN_AGAIN", "there is a plan of the coming day again")

    def _fail(self, words: str) -> None:
        if words != self._problem:
            self._problem = words
            self._say("NO_PLAN", f"no new plan of the coming day: {words}")

    async def _run(self, request: PlanRequest) -> Plan:
        data = msgspec.json.encode(request)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                env={**os.environ, **_ENVIRONMENT},
            )
        except OSError as error:
            raise _Failed(f"its process does not start: {error}") from None
        self._pid = process.pid
        assert process.stdin is not None  # noqa: S101 - PIPE was asked for, thrice
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        feeding = asyncio.create_task(_feed(process.stdin, data))
        words = asyncio.create_task(_read(process.stderr, _MOST_WORDS_BYTES))
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                answer, complete = await _read(process.stdout, _MOST_PLAN_BYTES, stop=True)
                if not complete:
                    raise _Failed(f"its process wrote more than {_MOST_PLAN_BYTES} bytes and was killed")
                code = await process.wait()
                said, _ = await words
        except TimeoutError:
            raise _Failed(
                f"its process was not done after {self._settings.deadline_s:g} s and was killed; "
                "give dispatch.planning.deadline_s more, or horizon_h less"
            ) from None
        finally:
            await _end(process, feeding, words)
            self._pid = None
        if code != 0:
            raise _Failed(_ending(code, said))
        try:
            return msgspec.json.decode(answer, type=Plan)
        except msgspec.DecodeError as error:
            raise _Failed(f"its process wrote no plan: {error}") from None


async def _feed(stdin: asyncio.StreamWriter, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        stdin.write(data)
        await stdin.drain()
        stdin.close()
        await stdin.wait_closed()


async def _read(stream: asyncio.StreamReader, most: int, *, stop: bool = False) -> tuple[bytes, bool]:
    """To its end, of which ``most`` bytes are kept; with ``stop`` no more are read. And whether that was all."""
    kept = bytearray()
    complete = True
    while chunk := await stream.read(_CHUNK):
        room = most - len(kept)
        kept += chunk[:room]
        if len(chunk) > room:
            complete = False
            if stop:
                break
    return bytes(kept), complete


async def _end(process: asyncio.subprocess.Process, *tasks: asyncio.Task[Any]) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    for task in tasks:
        task.cancel()
    await asyncio.gather(process.wait(), *tasks, return_exceptions=True)


def _ending(code: int, said: bytes) -> str:
    lines = said.decode("utf-8", "replace").strip().splitlines()
    last = "".join(letter for letter in lines[-1] if letter.isprintable())[:300] if lines else ""
    how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
    return f"its process {how}" + (f": {last}" if last else "")
