"""The daemon's own preflight: refuses discharge for what fails, tells it once, and lifts it once it is mended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from support.control_world import ALICE, E1, E2, World
from support.kept_log import KeptLog
from v2g.config.loader import Loaded
from v2g.control.messages import DispatchParams, NoParams
from v2g.control.messages_preflight import PreflightResult, PreflightShowParams
from v2g.host.preflight.model import PreflightLine, failed, passed, warned
from v2g.orchestrator import preflight_part
from v2g.orchestrator.parts import Running
from v2g.orchestrator.preflight import checks
from v2g.orchestrator.preflight.known import Known
from v2g.orchestrator.preflight_part import PreflightPart
from v2g.orchestrator.status import problems

DISK = failed("disk", "logs directory /var/log/v2g is full", "free some")
INVERTER = failed("inverters", f"inverter {E1}: no answer", "look at its power", [E1])
GOOD = passed("relay", "closed")


class Bench:
    """A part at a site without hardware; ``found`` is what its checks find."""

    def __init__(self, world: World, **running: Any) -> None:
        self.world = world
        self.log = KeptLog()
        self.found: tuple[PreflightLine, ...] = (GOOD,)
        self.looked: list[Known] = []
        self.pauses: list[float] = []
        self.after_pause: Callable[[], None] = lambda: None
        config = world.site.config
        settings: dict[str, Any] = {
            "loaded": Loaded(config=config, origin={}, config_dir=Path("/etc/v2g")),
            "site": world.site,
            "clock": world.clock,
            "log": self.log,
            "simulation": False,
            "secc": lambda: object(),
            "unreachable": dict,
            "in_force": dict,
            **running,
        }
        # As much of Running as this part sees.
        self.part = PreflightPart(cast(Running, SimpleNamespace(**settings)), self._look, self._pause)

    def _look(self, known: Known) -> tuple[PreflightLine, ...]:
        self.looked.append(known)
        return self.found

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.world.clock.advance(seconds)
        self.after_pause()
        await asyncio.sleep(0)

    async def run(self, *found: PreflightLine) -> PreflightResult:
        self.found = found
        return await self.part.run(NoParams(), ALICE)

    async def show(self, *, fresh: bool) -> PreflightResult:
        return await self.part.show(PreflightShowParams(fresh=fresh), ALICE)


@pytest.fixture
def bench(world: World) -> Bench:
    return Bench(world)


async def test_until_the_first_verdict_nobody_discharges_and_the_status_says_why(bench: Bench) -> None:
    bench.world.charge(E1)
    result = await bench.world.discharge()
    assert (result.granted_w, result.shortfalls[0].code) == (0.0, "PREFLIGHT_FAIL")
    assert result.shortfalls[0].source == "preflight: it has not ended yet"
    assert bench.part.problems() == ("no discharge: preflight: it has not ended yet",)


async def test_a_fail_refuses_discharge_by_name_and_charging_goes_on(bench: Bench) -> None:
    await bench.run(GOOD, DISK)
    bench.world.charge(E1)
    result = await bench.world.discharge()
    assert (result.granted_w, result.shortfalls[0].source) == (0.0, "preflight: disk failed")
    assert not bench.world.site.may_discharge(E1)
    bench.world.site.book.cancel(None)
    charge = await bench.world.api.dispatch(DispatchParams(mode="charge", power_w=5_000.0), ALICE)
    assert charge.granted_w == 5_000.0
    assert any("PREFLIGHT_FAIL" not in problem for problem in problems(bench.world.site, 0.0))
    assert bench.part.problems() == ("no discharge: preflight disk: logs directory /var/log/v2g is full; free some",)


async def test_a_repair_lifts_the_refusal_without_a_restart(bench: Bench) -> None:
    await bench.run(DISK)
    bench.world.charge(E1)
    assert (await bench.world.discharge()).granted_w == 0.0
    result = await bench.run(GOOD)
    assert (result.refuses, result.in_force) == ({}, True)
    bench.world.run()
    bench.world.site.book.cancel(None)
    assert (await bench.world.discharge()).granted_w == -10_000.0


async def test_a_fail_of_one_evse_leaves_the_other_its_discharge(bench: Bench) -> None:
    await bench.run(INVERTER)
    bench.world.charge(E1)
    bench.world.charge(E2)
    result = await bench.world.discharge()
    assert [grant.evse_id for grant in result.grants if grant.power_w < 0.0] == [E2]
    assert (await bench.show(fresh=False)).refuses == {E1: "inverters failed"}


async def test_each_fail_is_one_line_and_what_is_mended_another(bench: Bench) -> None:
    await bench.run(DISK)
    await bench.run(DISK, INVERTER)
    await bench.run(INVERTER)
    await bench.run(GOOD)
    assert [(level, code) for level, code, _, _ in bench.log.lines] == [
        ("ERROR", "PREFLIGHT_FAIL"),
        ("INFO", "PREFLIGHT_DONE"),
        ("ERROR", "PREFLIGHT_FAIL"),
        ("INFO", "PREFLIGHT_MENDED"),
        ("INFO", "PREFLIGHT_MENDED"),
    ]
    assert bench.log.lines[0][2] == "no discharge: preflight disk: logs directory /var/log/v2g is full; free some"


async def test_warnings_of_the_first_one_are_told_in_one_line(bench: Bench) -> None:
    await bench.run(warned("clock", "not synchronised", "chrony"), warned("kernel", "no RT", "x"))
    await bench.run(warned("clock", "not synchronised", "chrony"))
    ((level, code, text, _),) = bench.log.lines
    assert (level, code) == ("WARNING", "PREFLIGHT_DONE")
    assert text.startswith("0 pass, 2 warn (clock, kernel), 0 fail")


async def test_looking_afresh_changes_nothing_that_is_in_force_and_counts_for_seconds(bench: Bench) -> None:
    await bench.run(GOOD)
    bench.world.clock.advance(60.0)
    bench.found = (DISK,)
    fresh = await bench.show(fresh=True)
    assert (fresh.level, fresh.in_force, fresh.refuses) == ("fail", False, {})
    assert {line.by for line in fresh.lines} == {"daemon"}
    standing = await bench.show(fresh=False)
    assert (standing.level, standing.in_force, standing.age_s) == ("pass", True, pytest.approx(60.0))
    await bench.show(fresh=True)
    assert len(bench.looked) == 2
    assert bench.log.codes() == ["PREFLIGHT_DONE"]


async def test_it_looks_each_hour_and_soon_again_while_something_fails(bench: Bench) -> None:
    """Whoever found the fail: the daemon itself, or a person who asked."""
    found = [(GOOD,), (DISK,), (DISK,), (GOOD,), (GOOD,)]
    looked_at_s: list[float] = []
    done = asyncio.Event()

    def look(known: Known) -> tuple[PreflightLine, ...]:
        looked_at_s.append(bench.world.clock.monotonic_s())
        return found[min(len(looked_at_s), len(found)) - 1]

    def on_pause() -> None:
        if bench.pauses[-1] == preflight_part.LOOK_EVERY_S:
            bench.world.run()
        elif len(looked_at_s) >= len(found):
            done.set()

    bench.part._look_around = look
    bench.after_pause = on_pause
    async with AsyncExitStack() as stack:
        await bench.part.start(stack)
        async with asyncio.timeout(10.0):
            await done.wait()
    gaps = [round(after - before) for before, after in pairwise(looked_at_s)]
    # Nothing speaks well here, and each time that is waited for.
    assert [gap - round(preflight_part.SETTLE_S) for gap in gaps] == [3600, 10, 10, 3600]


@pytest.mark.parametrize(
    ("speaking", "waited_s"),
    [
        ((GOOD,), 0.35),
        ((GOOD, INVERTER), preflight_part.SETTLE_EVSE_S),
        ((INVERTER, DISK), preflight_part.SETTLE_S),
    ],
)
async def test_a_start_waits_for_what_all_need_and_less_for_the_devices_of_some(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, speaking: tuple[PreflightLine, ...], waited_s: float
) -> None:
    monkeypatch.setattr(checks, "in_order", lambda lines, simulation: speaking)

    def on_pause() -> None:
        if bench.pauses[-1] == preflight_part.LOOK_EVERY_S:
            bench.world.run()

    bench.after_pause = on_pause
    begin_s = bench.world.clock.monotonic_s()
    looked_at_s: list[float] = []

    def look(known: Known) -> tuple[PreflightLine, ...]:
        looked_at_s.append(bench.world.clock.monotonic_s())
        return (GOOD,)

    bench.part._look_around = look
    async with AsyncExitStack() as stack:
        await bench.part.start(stack)
        async with asyncio.timeout(10.0):
            while not looked_at_s:
                await asyncio.sleep(0)
    assert looked_at_s[0] - begin_s == pytest.approx(waited_s, abs=0.75)


async def test_a_fail_that_a_person_s_look_found_is_looked_at_soon_again(bench: Bench) -> None:
    mended = asyncio.Event()

    def on_pause() -> None:
        if bench.pauses[-1] == preflight_part.LOOK_EVERY_S:
            bench.world.run()
        elif bench.part.problems() == () and len(bench.looked) >= 3:
            mended.set()

    bench.after_pause = on_pause
    async with AsyncExitStack() as stack:
        await bench.part.start(stack)
        async with asyncio.timeout(10.0):
            while not bench.looked:
                await asyncio.sleep(0)
            await bench.run(DISK)
            bench.found = (GOOD,)
            begin_s = bench.world.clock.monotonic_s()
            await mended.wait()
    assert bench.world.clock.monotonic_s() - begin_s < 3600.0


async def test_what_takes_too_long_refuses_discharge_and_the_hung_thread_is_not_joined_by_another(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight_part, "LIMIT_S", 0.02)
    bench = Bench(world)
    answer = threading.Event()
    threads: list[threading.Thread] = []

    def hangs(known: Known) -> tuple[PreflightLine, ...]:
        threads.append(threading.current_thread())
        answer.wait(10.0)
        return (GOOD,)

    bench.part._look_around = hangs
    try:
        for _ in range(2):
            result = await bench.run()
            assert set(result.refuses.values()) == {"daemon failed"}
        assert len(threads) == 1
        assert threads[0].daemon
    finally:
        answer.set()
    threads[0].join(5.0)
    bench.part._look_around = bench._look
    assert (await bench.run(GOOD)).refuses == {}


async def test_what_only_the_daemon_knows_is_told_to_the_checks(bench: Bench) -> None:
    bench.world.run(2)
    await bench.run(GOOD)
    known = bench.looked[-1]
    assert known.guard_measures is True
    assert known.devices is not None
    bench.world.wires.connected = False
    bench.world.run(2)
    await bench.run(GOOD)
    assert bench.looked[-1].devices is None


async def test_a_guard_that_is_silent_tells_nothing(bench: Bench) -> None:
    await bench.run(GOOD)
    known = bench.looked[-1]
    assert (known.guard_realtime, known.guard_measures, known.relay_closed) == (None, None, None)


async def test_a_preflight_that_breaks_down_refuses_discharge_and_goes_on(bench: Bench) -> None:
    def broken(known: Known) -> tuple[PreflightLine, ...]:
        raise RuntimeError("boom")

    bench.part._look_around = broken
    result = await bench.run()
    assert set(result.refuses.values()) == {"daemon failed"}
    assert "RuntimeError: boom" in bench.log.lines[0][2]
    bench.part._look_around = bench._look
    assert (await bench.run(GOOD)).refuses == {}
