"""What the daemon itself puts into the audit log, its check by a process of its own, and its methods."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from v2g.clock import ManualClock
from v2g.control.messages import NoParams
from v2g.control.server import Caller, Refused, Role
from v2g.orchestrator.audit_trail import AuditTrail
from v2g.telemetry import logs
from v2g.telemetry.audit_check import check_with_files

ANNA = Caller(uid=1000, gid=1000, pid=1, user="anna", role=Role.VIEWER)
SLEEPS = (sys.executable, "-c", "import time; time.sleep(60)")
FAILS = (sys.executable, "-c", "import sys; sys.exit('no log')")
CHATTERS = (sys.executable, "-c", "print('{}')")


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(unix_s=1767323045.0)
        (folder / "etc").mkdir()
        (folder / "etc/v2g.yaml").write_text("a: 1\n")
        (folder / "state").mkdir()

    def trail(self, command: tuple[str, ...] | None = None) -> AuditTrail:
        logs.configure(self.folder / "log", stderr=False, clock=self.clock)
        more = {} if command is None else {"command": command}
        return AuditTrail(self.folder / "etc", self.folder / "state", self.clock, lambda count: bytes(count), **more)

    def lines(self, name: str = "audit") -> list[str]:
        return (self.folder / f"log/{name}.log").read_text().splitlines()

    def codes(self, name: str = "audit") -> list[str]:
        return [line.split()[2] for line in self.lines(name)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield Bench(tmp_path)
    logs.close()


async def test_start_and_stop_are_lines_with_version_configuration_and_process(bench: Bench) -> None:
    async with bench.trail() as trail:
        trail.begin()
    assert bench.codes() == ["CHAIN_STARTED", "START", "CONFIG_FILE", "STOP"]
    start, file, stop = bench.lines()[1:]
    for field in (" version=", " pid=", " uid=", " config=", " files=1", " changed=1", " before=unknown"):
        assert field in start
    assert " file=v2g.yaml sha256=" in file
    assert " was=none " in file
    assert ": asked to " in stop
    async with bench.trail() as trail:
        trail.begin()
    assert bench.codes()[4:] == ["START", "STOP"]
    assert " before=ended" in bench.lines()[4]


async def test_a_stop_by_an_error_says_which(bench: Bench) -> None:
    async def burn() -> None:
        async with bench.trail() as trail:
            trail.begin()
            raise ValueError("burnt")

    with pytest.raises(ValueError, match="burnt"):
        await burn()
    assert "ValueError: burnt" in bench.lines()[-1]


async def test_one_that_is_not_the_only_one_writes_nothing(bench: Bench) -> None:
    async with bench.trail():
        pass
    assert not (bench.folder / "log/audit.log").exists()
    assert not (bench.folder / "state/audit.key").exists()


async def test_files_edited_by_hand_are_seen_while_it_runs(bench: Bench) -> None:
    async with bench.trail() as trail:
        trail.begin()
        (bench.folder / "etc/v2g.yaml").write_text("a: 2\n")
        trail.on_cycle(bench.clock.monotonic_s() + 1.0)
        assert not trail._tasks
        trail.on_cycle(bench.clock.monotonic_s() + 11.0)
        await asyncio.gather(*trail._tasks)
        assert "seen while running" in bench.lines()[-1]
        (bench.folder / "etc/more.yaml").write_text("b: 2\n")
    assert "seen at stop" in bench.lines()[-2]


async def test_orders_and_signals_that_stand_again_are_lines(bench: Bench) -> None:
    async with bench.trail() as trail:
        trail.begin()
        trail.restored("ORDERS", [3, 4])
        trail.restored("SIGNALS", [])
        trail.restored("ORDERS", [], "orders.json cannot be read")
    assert bench.codes()[3:-1] == ["ORDERS_RESTORED", "ORDERS_DROPPED"]
    assert 'ids="[3, 4]"' in bench.lines()[3]


async def test_the_head_goes_into_the_journal_at_start_each_day_and_at_the_stop(bench: Bench) -> None:
    async with bench.trail() as trail:
        trail.begin()
        for _ in range(3):
            bench.clock.advance(40_000.0)
            trail.on_cycle(bench.clock.monotonic_s())
        await asyncio.gather(*trail._tasks)
    heads = [line for line in bench.lines("daemon") if " AUDIT_HEAD " in line]
    assert len(heads) == 3
    assert f" {len(bench.lines())}:" in heads[-1]
    assert bench.codes("daemon").count("AUDIT_INTACT") == 1


async def test_each_day_the_log_is_checked_and_a_break_is_said_loudly(bench: Bench) -> None:
    async with bench.trail() as trail:
        trail.begin()
        log = bench.folder / "log/audit.log"
        log.write_text(log.read_text().replace("a: 1", "").replace(" pid=", " pit="))
        bench.clock.advance(86_400.0)
        trail.on_cycle(bench.clock.monotonic_s())
        await asyncio.gather(*trail._tasks)
        (broken,) = [line for line in bench.lines("daemon") if " AUDIT_BROKEN " in line]
        assert f"{log}:2: its text was altered" in broken
        assert any("AUDIT_BROKEN" in line for line in bench.lines())
        assert "not as it was written" in trail.problems()[0]
        assert "not as it was written" in (await trail.head(NoParams(), ANNA)).problem


async def test_what_the_chain_found_is_in_both_logs_and_in_the_status(bench: Bench) -> None:
    async with bench.trail() as trail:
        trail.begin()
    logs.close()
    (bench.folder / "state/audit.head").unlink()
    async with bench.trail() as trail:
        trail.begin()
        assert "audit.head is gone" in trail.problems()[0]
    for name in ("audit", "daemon"):
        assert any("ERROR: AUDIT_CHAIN" in line for line in bench.lines(name))


async def test_head_and_check_for_viewers(bench: Bench) -> None:
    async with bench.trail() as trail:
        with pytest.raises(Refused) as refused:
            await trail.head(NoParams(), ANNA)
        assert refused.value.code == "NO_CHAIN"
        trail.begin()
        head = await trail.head(NoParams(), ANNA)
        assert (head.seq, head.log) == (3, str(bench.folder / "log/audit.log"))
        assert head.chain in bench.lines()[-1]
        verdict = await trail.verify(NoParams(), ANNA)
        assert (verdict.intact, verdict.lines) == (True, 3)


async def test_checks_come_one_at_a_time_and_with_a_rest_behind_each(bench: Bench) -> None:
    async with bench.trail() as trail:
        trail.begin()
        first = asyncio.create_task(trail.verify(NoParams(), ANNA))
        await asyncio.sleep(0)
        with pytest.raises(Refused) as refused:
            await trail.verify(NoParams(), ANNA)
        assert refused.value.code == "BUSY"
        bench.clock.advance(2.0)
        assert (await first).intact
        bench.clock.advance(9.0)
        with pytest.raises(Refused, match="ask again in 1 s"):
            await trail.verify(NoParams(), ANNA)
        bench.clock.advance(1.0)
        assert (await trail.verify(NoParams(), ANNA)).intact


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (SLEEPS, "TOO_SLOW", "takes longer than 0 s"),
        (FAILS, "NOT_CHECKED", "no log"),
        (CHATTERS, "NOT_CHECKED", "no verdict"),
        (("/nonexistent",), "NOT_CHECKED", "does not start"),
    ],
)
async def test_a_check_that_fails_says_why_and_leaves_no_process(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], code: str, words: str
) -> None:
    if command is SLEEPS:
        monkeypatch.setattr("v2g.orchestrator.audit_trail.CHECK_TIMEOUT_S", 0.05)
    async with bench.trail(command) as trail:
        trail.begin()
        with pytest.raises(Refused, match=words) as refused:
            await trail.verify(NoParams(), ANNA)
        assert refused.value.code == code
        assert not trail._checking


async def test_the_whole_is_one_chain(bench: Bench) -> None:
    for _ in range(3):
        async with bench.trail() as trail:
            trail.begin()
            logs.audit_log().info("CALL", method="dispatch")
        logs.close()
    found = check_with_files(
        bench.folder / "log/audit.log", [bench.folder / "state/audit.key"], bench.folder / "state/audit.head"
    )
    assert (found.intact, found.lines) == (True, 11)


async def test_the_check_runs_our_code_and_not_what_lies_where_the_daemon_was_started(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = tmp_path / "here" / "v2g"
    evil.mkdir(parents=True)
    (evil / "__init__.py").write_text("raise SystemExit('theirs')")
    monkeypatch.chdir(tmp_path / "here")
    async with bench.trail() as trail:
        trail.begin()
        assert (await trail.verify(NoParams(), ANNA)).intact
