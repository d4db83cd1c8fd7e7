"""``maintenance.begin``, ``.end`` and ``.show``: who is kept out, what is refused, and when it is over."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support import virtual_time
from support.control_world import ALICE, E1, E2, World
from support.event_vehicle import EventVehicle
from v2g.control.messages import NoParams
from v2g.control.messages_maintenance import LEASE_RANGE_S, MaintenanceParams, MaintenanceResult
from v2g.control.server import Refused
from v2g.orchestrator.maintenance import FILE, Maintenance
from v2g.orchestrator.winding_down import WindingDown

EVA, ERIC = replace(ALICE, user="eva"), replace(ALICE, user="eric")


class Site:
    def __init__(self, world: World, state_dir: Path) -> None:
        self.world = world
        self.state_dir = state_dir
        self.serving: list[asyncio.Task[None]] = []
        self.start_anew()

    def start_anew(self) -> None:
        """As after a restart of the daemon."""
        world = self.world
        self.secc = SimpleNamespace(resting="")
        self.winding = WindingDown(world.site, world.sessions, world.clock, lambda: self.secc, world.daemon)
        running: Any = SimpleNamespace(
            site=world.site,
            sessions=world.sessions,
            clock=world.clock,
            log=world.daemon,
            winding=self.winding,
            paths=SimpleNamespace(state_dir=self.state_dir),
        )
        self.part = Maintenance(running)

    async def begin(self, caller: Any = EVA, **fields: Any) -> MaintenanceResult:
        return await self.part.begin(MaintenanceParams(**{"reason": "firmware 0.2", **fields}), caller)

    async def show(self) -> MaintenanceResult:
        return await self.part.show(NoParams(), ALICE)

    async def plug_in(self, vehicle: EventVehicle) -> None:
        self.serving.append(asyncio.create_task(self.world.sessions.serve(vehicle.evse_id, vehicle)))
        async with asyncio.timeout(20.0):
            while not self.world.site.bays[vehicle.evse_id].charging:
                await asyncio.sleep(0.05)

    async def pass_s(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.part.on_cycle(self.world.clock.monotonic_s())


@pytest.fixture
def play(config_of: Any, wires_of: Any, guard: Any, log_of: Any, tmp_path: Path) -> Any:
    def run(part: Any) -> None:
        async def whole() -> None:
            clock: Any = virtual_time.LoopClock(1_700_000_000.0)
            site = Site(World(config_of(2), wires_of((E1, E2), clock), guard, log_of, clock), tmp_path)
            cycle = asyncio.create_task(site.world.cycle.run())
            await asyncio.sleep(0.5)
            try:
                await part(site)
            finally:
                for task in (cycle, *site.serving):
                    task.cancel()
                await asyncio.gather(cycle, *site.serving, return_exceptions=True)

        virtual_time.run(whole())

    return run


def test_while_it_lasts_nobody_new_is_let_in_and_the_status_says_until_when(play: Any) -> None:
    async def part(site: Site) -> None:
        result = await site.begin(lease_s=600.0)
        assert (result.active, result.by, result.reason, result.drained) == (True, "eva", "firmware 0.2", True)
        assert result.remaining_s == pytest.approx(600.0, abs=1.0)
        (problem,) = site.part.problems()
        assert problem == site.secc.resting
        assert problem.startswith("maintenance: no new sessions: firmware 0.2 (eva), until ")
        ended = await site.part.end(NoParams(), EVA)
        assert (ended.active, site.secc.resting, site.part.problems()) == (False, "", ())

    play(part)


def test_sessions_that_run_are_a_reason_to_refuse_and_are_named(play: Any) -> None:
    async def part(site: Site) -> None:
        await site.plug_in(EventVehicle(E1, "WMIV1"))
        result = await site.begin()
        assert not result.active
        assert "a session is active: US*V2G*E1 / WMIV1 / CN=WMIV1; drain ends them" in result.refused
        assert [(each.evse_id, each.vehicle, each.identity, each.became) for each in result.sessions] == [
            (E1, "WMIV1", "CN=WMIV1", "active")
        ]
        assert site.secc.resting == ""
        assert site.world.sessions.count == 1

    play(part)


def test_with_drain_it_tells_what_became_of_each(play: Any) -> None:
    async def part(site: Site) -> None:
        await site.plug_in(EventVehicle(E1, "WMIV1"))
        await site.plug_in(EventVehicle(E2, "WMIV2", obeys=()))
        result = await site.begin(drain=True)
        assert result.refused == ""
        assert {each.vehicle: each.became for each in result.sessions} == {"WMIV1": "paused", "WMIV2": "terminated"}
        assert result.drained
        assert site.world.sessions.count == 0
        shown = await site.show()
        assert (shown.active, shown.drained, shown.sessions) == (True, True, ())

    play(part)


def test_it_ends_by_itself_when_its_lease_is_over(play: Any) -> None:
    async def part(site: Site) -> None:
        await site.begin(lease_s=60.0)
        await site.pass_s(59.0)
        assert (await site.show()).active
        await site.pass_s(1.5)
        assert not (await site.show()).active
        assert site.secc.resting == ""
        assert "the lease of eva is over" in site.world.daemon.said[-1][1]

    play(part)


def test_who_began_it_renews_it_and_nobody_else(play: Any) -> None:
    async def part(site: Site) -> None:
        await site.begin(lease_s=60.0)
        await site.pass_s(50.0)
        await site.begin(lease_s=60.0)
        await site.pass_s(50.0)
        assert (await site.show()).active
        with pytest.raises(Refused, match="eva") as refused:
            await site.begin(ERIC)
        assert refused.value.code == "MAINTENANCE_LASTS"

    play(part)


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": ""},
        {"reason": " " * 5},
        {"reason": "x" * 121},
        {"lease_s": LEASE_RANGE_S[0] - 1.0},
        {"lease_s": LEASE_RANGE_S[1] + 1.0},
        {"lease_s": float("nan")},
        {"lease_s": float("inf")},
    ],
)
def test_what_makes_no_sense_is_refused(play: Any, fields: dict[str, Any]) -> None:
    async def part(site: Site) -> None:
        with pytest.raises(Refused) as refused:
            await site.begin(**fields)
        assert refused.value.code == "BAD_MAINTENANCE"
        assert site.secc.resting == ""

    play(part)


def test_a_daemon_that_stops_begins_none(play: Any) -> None:
    async def part(site: Site) -> None:
        site.world.site.stopping = True
        with pytest.raises(Refused, match="stopping"):
            await site.begin()

    play(part)


def test_it_goes_on_over_a_restart_until_it_is_ended(play: Any) -> None:
    async def part(site: Site) -> None:
        await site.begin(lease_s=600.0)
        site.start_anew()
        async with AsyncExitStack() as stack:
            await site.part.start(stack)
        assert "firmware 0.2 (eva)" in site.secc.resting
        assert (await site.show()).remaining_s == pytest.approx(600.0, abs=1.0)
        await site.part.end(NoParams(), ERIC)
        site.start_anew()
        async with AsyncExitStack() as stack:
            await site.part.start(stack)
        assert (site.secc.resting, site.part.problems()) == ("", ())

    play(part)


@pytest.mark.parametrize("content", [b"", b"{}", b"nonsense", b'{"by":"eva","reason":"x","until_unix_s":1e300}\n'])
def test_a_file_that_cannot_be_believed_keeps_nobody_out(play: Any, content: bytes) -> None:
    async def part(site: Site) -> None:
        (site.state_dir / FILE).write_bytes(content)
        async with AsyncExitStack() as stack:
            await site.part.start(stack)
        assert site.secc.resting == ""
        assert not (site.state_dir / FILE).exists()

    play(part)


def test_a_file_of_a_newer_version_is_left_to_it(play: Any) -> None:
    async def part(site: Site) -> None:
        (site.state_dir / FILE).write_bytes(b'{"schema":9,"whatever":1}')
        async with AsyncExitStack() as stack:
            await site.part.start(stack)
        assert site.secc.resting == ""
        assert "newer version (schema 9" in site.world.daemon.said[-1][1]
        assert (site.state_dir / FILE).exists()

    play(part)


def test_a_lease_that_ran_out_meanwhile_is_over_after_the_restart(play: Any) -> None:
    async def part(site: Site) -> None:
        await site.begin(lease_s=60.0)
        site.start_anew()
        await asyncio.sleep(61.0)
        async with AsyncExitStack() as stack:
            await site.part.start(stack)
        assert site.secc.resting == ""

    play(part)


def test_a_state_directory_that_cannot_be_written_is_told_and_it_lasts_all_the_same(play: Any) -> None:
    async def part(site: Site) -> None:
        site.part._path = site.state_dir / "gone" / FILE
        result = await site.begin()
        assert result.active
        assert any("would not outlast a restart" in problem for problem in site.part.problems())

    play(part)


def test_ended_in_the_middle_of_its_drain_it_lets_the_session_go_on(play: Any) -> None:
    async def part(site: Site) -> None:
        await site.plug_in(EventVehicle(E1, "WMIV1", obeys=()))
        beginning = asyncio.create_task(site.begin(drain=True))
        await asyncio.sleep(2.0)
        await site.part.end(NoParams(), ERIC)
        result = await beginning
        assert not result.active
        assert site.world.site.bays[E1].charging
        assert site.world.site.drain is None

    play(part)
