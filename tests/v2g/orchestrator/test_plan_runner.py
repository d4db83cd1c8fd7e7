"""Plans from a process of their own: a real one, one that is stuck, that crashes, that writes nonsense or too much."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

import pytest

from support.plan_cases import request, vehicle
from v2g.clock import ManualClock
from v2g.config.schema_dispatch import Planning
from v2g.orchestrator import plan_runner
from v2g.orchestrator.plan_runner import COMMAND, RENEW_AFTER_S, PlanRunner, PlanStatus
from v2g.planning.types import PlanRequest


def says(program: str) -> tuple[str, ...]:
    return (sys.executable, "-c", program)


STUCK = says("import time; time.sleep(60)")
CRASH = says(
    "import sys; sys.stdin.read(); sys.stderr.write('Traceback\\nMemoryError: no room\\x1b[31m\\n'); sys.exit(7)"
)
KILLED = says("import os; os.kill(os.getpid(), 9)")
NONSENSE = says("import sys; sys.stdin.read(); print('{}')")
DEAF = says('import os; os.close(0); print(\'{"starts_unix_s": 1.0, "step_s": 900.0, "problem": "deaf"}\')')
FLOOD = says("import sys\nwhile True: sys.stdout.write('x' * 65536)")
NOISY = says(
    "import sys; sys.stdin.read(); sys.stderr.write('y' * 500000); "
    'print(\'{"starts_unix_s": 1.0, "step_s": 900.0, "problem": "noisy"}\')'
)


class Bench:
    def __init__(self, command: Sequence[str] = COMMAND, deadline_s: float = 30.0, **settings: float | bool) -> None:
        self.clock = ManualClock()
        self.made: PlanRequest | str = request(vehicle(), steps=24, starts_unix_s=self.clock.unix_s(), deadline_s=20.0)
        self.asked = 0
        self.said: list[tuple[str, str]] = []
        planning = Planning(deadline_s=deadline_s, **settings)  # type: ignore[arg-type]
        self.runner = PlanRunner(
            planning, self._make, lambda code, words: self.said.append((code, words)), self.clock, command
        )

    def _make(self) -> PlanRequest | str:
        self.asked += 1
        return self.made

    def poll(self, after_s: float = 0.0) -> None:
        self.clock.advance(after_s)
        self.runner.poll(self.clock.monotonic_s())

    def status(self) -> PlanStatus:
        return self.runner.status(self.clock.monotonic_s(), self.clock.unix_s())

    async def over(self) -> PlanStatus:
        async with asyncio.timeout(30.0):
            while self.status().running_s is not None:
                await asyncio.sleep(0.005)
        return self.status()


async def test_a_real_process_makes_the_plan_and_the_loop_goes_on_meanwhile() -> None:
    bench = Bench()
    bench.poll()
    turns = 0
    while bench.status().running_s is not None:
        await asyncio.sleep(0.001)
        turns += 1
    status = bench.status()
    assert status.plan is not None
    assert status.plan.vehicles[0].evse_id == "E1"
    assert status.request is bench.made
    assert (status.reason, status.problem, status.age_s) == ("start", "", 0.0)
    assert turns > 10
    assert bench.said == []
    assert bench.runner.pid is None


async def test_one_at_a_time_and_again_after_the_interval() -> None:
    bench = Bench(STUCK, every_s=60.0)
    bench.poll()
    await asyncio.sleep(0)
    bench.poll(200.0)
    await asyncio.sleep(0)
    assert bench.asked == 1
    await bench.runner.close()
    quick = Bench(NONSENSE, every_s=60.0)
    quick.poll()
    await quick.over()
    quick.poll(59.0)
    assert quick.status().running_s is None
    quick.poll(1.0)
    assert quick.status().running_s is not None
    await quick.runner.close()


async def test_renew_is_taken_up_at_once_but_not_within_half_a_minute() -> None:
    bench = Bench()
    bench.poll()
    await bench.over()
    bench.runner.renew("vehicle at E2")
    bench.runner.renew("order")
    bench.poll(RENEW_AFTER_S - 1.0)
    assert bench.status().running_s is None
    bench.poll(1.0)
    assert (await bench.over()).reason == "vehicle at E2"
    bench.poll(RENEW_AFTER_S)
    assert bench.status().running_s is None, "what was asked for is done"


async def test_a_stuck_process_is_killed_at_the_deadline_and_the_last_plan_stands() -> None:
    bench = Bench(STUCK, deadline_s=0.3)
    good = Bench()
    good.poll()
    await good.over()
    bench.runner._plan, bench.runner._request = good.runner._plan, good.runner._request
    bench.runner._made_s = bench.clock.monotonic_s()
    bench.poll()
    while bench.runner.pid is None:
        await asyncio.sleep(0.001)
    pid = bench.runner.pid
    status = await bench.over()
    assert status.plan is good.runner._plan
    assert status.problem == (
        "its process was not done after 0.3 s and was killed; give dispatch.planning.deadline_s more, or horizon_h less"
    )
    assert bench.said == [("NO_PLAN", f"no new plan of the coming day: {status.problem}")]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (CRASH, "its process ended with 7: MemoryError: no room[31m"),
        (KILLED, "its process was killed by signal 9"),
        (NONSENSE, "its process wrote no plan: "),
        (DEAF, "deaf"),
        (NOISY, "noisy"),
        (("/nowhere/python",), "its process does not start: "),
    ],
)
async def test_how_a_process_fails_is_told_in_words(command: Sequence[str], words: str) -> None:
    bench = Bench(command)
    bench.poll()
    status = await bench.over()
    assert status.plan is None
    assert status.problem.startswith(words)
    assert [code for code, _ in bench.said] == ["NO_PLAN"]


async def test_what_writes_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_runner, "_MOST_PLAN_BYTES", 200_000)
    bench = Bench(FLOOD)
    bench.poll()
    assert (await bench.over()).problem == "its process wrote more than 200000 bytes and was killed"


async def test_the_same_failure_is_said_once_and_its_end_too() -> None:
    bench = Bench(every_s=60.0)
    sound, bench.made = bench.made, "transformer load unknown"
    for _ in range(3):
        bench.poll(60.0)
        await bench.over()
    bench.made = sound
    bench.poll(60.0)
    await bench.over()
    assert bench.said == [
        ("NO_PLAN", "no new plan of the coming day: transformer load unknown"),
        ("PLAN_AGAIN", "there is a plan of the coming day again"),
    ]


async def test_what_is_missing_for_a_request_is_asked_for_again_soon() -> None:
    bench = Bench(every_s=300.0)
    sound, bench.made = bench.made, "transformer load unknown"
    bench.poll()
    await bench.over()
    bench.made = sound
    bench.poll(RENEW_AFTER_S - 1.0)
    assert bench.status().running_s is None
    bench.poll(1.0)
    assert (await bench.over()).reason == "start"


async def test_a_plan_counts_until_three_intervals_have_passed() -> None:
    bench = Bench(every_s=300.0)
    bench.poll()
    await bench.over()
    bench.clock.advance(900.0)
    assert bench.status().plan is not None
    bench.clock.advance(1.0)
    status = bench.status()
    assert (status.plan, status.request) == (None, None)
    assert status.problem == "the last plan is 901 s old and no longer counts"


async def test_a_plan_counts_until_its_steps_are_over() -> None:
    bench = Bench(every_s=3600.0)
    bench.made = request(vehicle(), steps=4, starts_unix_s=bench.clock.unix_s())
    bench.poll()
    await bench.over()
    bench.clock.advance(3599.0)
    assert bench.status().plan is not None
    bench.clock.advance(1.0)
    assert bench.status().problem == "the steps of the last plan are over"


async def test_an_error_of_our_own_is_told_and_does_not_end_planning() -> None:
    bench = Bench(every_s=60.0)
    sound, bench.made = bench.made, None  # type: ignore[assignment]
    bench.poll()
    await bench.over()
    assert bench.status().problem
    bench.made = sound
    bench.poll(60.0)
    assert (await bench.over()).plan is not None


async def test_switched_off_nothing_is_started_and_it_says_so() -> None:
    bench = Bench(enabled=False)
    bench.poll()
    assert bench.asked == 0
    assert bench.status() == PlanStatus(problem="planning is switched off: dispatch.planning.enabled")


async def test_close_leaves_no_process_behind() -> None:
    bench = Bench(STUCK)
    bench.poll()
    while bench.runner.pid is None:
        await asyncio.sleep(0.001)
    pid = bench.runner.pid
    await bench.runner.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    await bench.runner.close()
