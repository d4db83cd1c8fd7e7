"""Supervised processes: readiness, watchdog, restart, stop, and that none outlives its supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from v2g.clock import SystemClock
from v2g.simulation.children import Child, ChildSpec, ChildState

pytestmark = pytest.mark.soak

SERVICE = """
import os, socket, sys, time
def tell(text):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect(os.environ["NOTIFY_SOCKET"])
    s.send(text.encode())
"""
FAITHFUL = (
    "tell('READY=1\\nSTATUS=at work')\nprint('hello', flush=True)\nwhile True: tell('WATCHDOG=1'); time.sleep(0.02)"
)
SILENT = "tell('READY=1')\ntime.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); tell('READY=1'); time.sleep(60)"
NEVER_READY = "time.sleep(60)"


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[tuple[str, str]] = []
        self.changes: list[tuple[str, str]] = []
        self.made: list[Child] = []

    def child(self, program: str, **spec: object) -> Child:
        path = self.folder / f"service{len(self.made)}.py"
        path.write_text(textwrap.dedent(SERVICE) + program)
        fields = {"watchdog_s": None, "stop_timeout_s": 0.3, **spec}
        made = Child(
            ChildSpec(name=f"s {len(self.made)}", arguments=[sys.executable, "-S", str(path)], **fields),
            self.folder,
            SystemClock(),
            lambda name, line: self.lines.append((name, line)),
            lambda name, text: self.changes.append((name, text)),
        )
        self.made.append(made)
        made.start()
        return made


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await asyncio.gather(*(child.stop(kill=True) for child in made.made))


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Counts of starts are waited for with >=: on a machine that is busy elsewhere a next one may have come already."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def test_a_child_becomes_ready_and_is_heard(bench: Bench) -> None:
    child = bench.child(FAITHFUL, watchdog_s=0.5)
    await asyncio.wait_for(child.ready.wait(), 20)
    await until(lambda: bench.lines)
    assert (child.state, child.status) == (ChildState.READY, "at work")
    assert bench.lines[0] == ("s 0", "hello")
    pid = child.pid
    assert pid is not None
    await child.stop()
    assert not is_running(pid)
    assert child.state is ChildState.STOPPED


async def test_a_killed_child_is_started_again(bench: Bench) -> None:
    child = bench.child(FAITHFUL, watchdog_s=0.5)
    await asyncio.wait_for(child.ready.wait(), 20)
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: child.starts >= 2 and child.ready.is_set())
    assert child.pid != first
    assert ("s 0", "was killed by SIGKILL; restart in 0.2 s") in bench.changes
    assert any("ready again" in text for _, text in bench.changes)


async def test_a_child_that_misses_its_watchdog_is_killed_and_started_again(bench: Bench) -> None:
    child = bench.child(SILENT, watchdog_s=0.2)
    await until(lambda: child.starts >= 2)
    assert ("s 0", "missed its watchdog for 0.2 s: killed") in bench.changes


async def test_a_stopped_process_is_found_by_its_watchdog(bench: Bench) -> None:
    child = bench.child(FAITHFUL, watchdog_s=0.3)
    await asyncio.wait_for(child.ready.wait(), 20)
    os.kill(child.pid or 0, signal.SIGSTOP)
    await until(lambda: child.starts >= 2 and child.ready.is_set())
    assert child.exit_code == -signal.SIGKILL


async def test_a_child_that_never_gets_ready_is_killed(bench: Bench) -> None:
    child = bench.child(NEVER_READY, ready_timeout_s=0.2)
    await until(lambda: child.starts >= 2)
    assert ("s 0", "missed readiness for 0.2 s: killed") in bench.changes


async def test_a_child_that_ignores_sigterm_is_killed_in_the_end(bench: Bench) -> None:
    child = bench.child(STUBBORN)
    await asyncio.wait_for(child.ready.wait(), 20)
    pid = child.pid
    assert pid is not None
    await child.stop()
    assert not is_running(pid)
    assert any("did not end within" in text for _, text in bench.changes)


async def test_a_configuration_that_cannot_be_used_is_not_tried_again(bench: Bench) -> None:
    child = bench.child("sys.exit(78)")
    await asyncio.wait_for(child.over.wait(), 20)
    assert (child.state, child.starts) == (ChildState.GIVEN_UP, 1)
    assert "not usable" in bench.changes[-1][1]


async def test_a_child_that_dies_at_once_is_tried_less_and_less_often(bench: Bench) -> None:
    child = bench.child("sys.exit(1)")
    await until(lambda: child.starts >= 3)
    delays = [text for _, text in bench.changes if "restart in" in text]
    assert delays[:2] == ["ended with 1; restart in 0.2 s", "ended with 1; restart in 0.4 s"]


async def test_nothing_is_left_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "supervisor.py"
    program.write_text(
        textwrap.dedent(
            f"""
            import asyncio, sys
            from pathlib import Path
            sys.path.insert(0, {str(Path(__file__).parent)!r})
            from v2g.clock import SystemClock
            from v2g.simulation.children import Child, ChildSpec
            async def main():
                spec = ChildSpec(name="s", arguments=[sys.executable, "-S", "-c", "import time; time.sleep(60)"],
                                 watchdog_s=None)
                child = Child(spec, Path({str(tmp_path)!r}), SystemClock(), print, print)
                child.start()
                while child.pid is None:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.3)
                print(child.pid, flush=True)
                await asyncio.sleep(60)
            asyncio.run(main())
            """
        )
    )
    supervisor = await asyncio.create_subprocess_exec(sys.executable, str(program), stdout=asyncio.subprocess.PIPE)
    assert supervisor.stdout is not None
    child = int(await asyncio.wait_for(supervisor.stdout.readline(), 10))
    assert is_running(child)
    supervisor.kill()
    await supervisor.wait()
    await until(lambda: not is_running(child), 2.0)
