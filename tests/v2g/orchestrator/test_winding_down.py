"""All sessions brought to their end with the real control cycle: what vehicles are told, when, what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from pyiso15118.messages.common_types import evseNotificationType
from support import virtual_time
from support.control_world import ALICE, E1, E2, World
from support.event_vehicle import PAUSE, EventVehicle
from v2g.config.schema_sessions import SessionsConfig
from v2g.control import messages
from v2g.control.server import Refused
from v2g.orchestrator.winding_down import Drained, WindingDown

TERMINATE = evseNotificationType.Terminate
Play = Callable[["Stage"], Awaitable[None]]


class Stage:
    """The world with its cycle running, in virtual time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.listener = SimpleNamespace(resting="")
        self.winding = WindingDown(world.site, world.sessions, world.clock, lambda: self.listener, world.daemon)
        self.serving: list[asyncio.Task[None]] = []

    async def plug_in(self, vehicle: EventVehicle) -> EventVehicle:
        self.serving.append(asyncio.create_task(self.world.sessions.serve(vehicle.evse_id, vehicle)))
        await self.until(lambda: self.world.site.bays[vehicle.evse_id].charging)
        return vehicle

    async def until(self, done: Callable[[], bool], limit_s: float = 20.0) -> None:
        async with asyncio.timeout(limit_s):
            while not done():
                await asyncio.sleep(0.05)

    async def discharge(self, power_w: float) -> None:
        await self.world.api.dispatch(messages.DispatchParams(mode="discharge", power_w=power_w), ALICE)
        await self.until(lambda: abs(self.power_w() + power_w) < 1.0)

    def power_w(self) -> float:
        return sum(each.power_w for each in self.world.wires.sent[-1].powers)


@pytest.fixture
def play(config_of: Any, wires_of: Any, guard: Any, log_of: Any) -> Callable[..., None]:
    def run(part: Play, ramp_pu_s: float = 0.5, **sessions: Any) -> None:
        async def whole() -> None:
            config = config_of(2)
            config = msgspec.structs.replace(
                config,
                sessions=SessionsConfig(**sessions),
                dispatch=msgspec.structs.replace(config.dispatch, ramp_pu_s=ramp_pu_s),
            )
            clock: Any = virtual_time.LoopClock(1_700_000_000.0)
            stage = Stage(World(config, wires_of((E1, E2), clock), guard, log_of, clock))
            cycle = asyncio.create_task(stage.world.cycle.run())
            await asyncio.sleep(0.5)
            try:
                await part(stage)
            finally:
                for task in (cycle, *stage.serving):
                    task.cancel()
                await asyncio.gather(cycle, *stage.serving, return_exceptions=True)

        virtual_time.run(whole())

    return run


def outcome(drained: tuple[Drained, ...]) -> dict[str, str]:
    return {each.info.evccid: each.became for each in drained}


def test_power_goes_to_zero_by_its_ramp_before_anybody_is_asked(play: Any) -> None:
    async def part(stage: Stage) -> None:
        vehicle = await stage.plug_in(EventVehicle(E1, "WMIV1"))
        await stage.discharge(10_000.0)
        begun_s = asyncio.get_running_loop().time()
        powers = []
        drain = asyncio.create_task(stage.winding.drain())
        while not any(asked for _, asked, _, _ in vehicle.told):
            await asyncio.sleep(0.1)
            powers.append(stage.power_w())
        asked_s, _, within_s, current_a = next(each for each in vehicle.told if each[1] is not None)
        # Half the rating a second: 10 kW of 22 kW falls in steps of a share, all of it in 2 s.
        assert powers == sorted(powers)
        assert sum(-9_900.0 < power_w < -100.0 for power_w in powers) >= 15
        assert 2.0 <= asked_s - begun_s <= 2.5
        assert within_s == 5
        assert current_a == pytest.approx(0.0, abs=0.1)
        drained = await drain
        assert outcome(drained) == {"WMIV1": "paused"}
        assert drained[0].power_w == pytest.approx(-10_000.0, rel=0.02)
        assert not stage.world.wires.evses[E1]["contactors_closed"]
        assert not stage.world.wires.evses[E1]["connector_locked"]

    play(part)


def test_each_vehicle_ends_as_it_can(play: Any) -> None:
    async def part(stage: Stage) -> None:
        await stage.plug_in(EventVehicle(E1, "PAUSES"))
        await stage.plug_in(EventVehicle(E2, "TAKESITASSTOP", pauses=False))
        assert outcome(await stage.winding.drain()) == {"PAUSES": "paused", "TAKESITASSTOP": "stopped"}
        assert sorted(stage.world.daemon.codes()).count("SESSION_DRAINED") == 2

    play(part)


def test_one_that_knows_no_pause_is_told_to_terminate(play: Any) -> None:
    async def part(stage: Stage) -> None:
        vehicle = await stage.plug_in(EventVehicle(E1, "WMIV1", obeys=(TERMINATE,)))
        assert outcome(await stage.winding.drain()) == {"WMIV1": "stopped"}
        order = list(dict.fromkeys(asked for _, asked, _, _ in vehicle.told if asked))
        assert order == [PAUSE, TERMINATE]

    play(part, notification_delay_s=2)


def test_one_that_follows_nothing_is_ended_by_us_within_the_bound(play: Any) -> None:
    async def part(stage: Stage) -> None:
        vehicle = await stage.plug_in(EventVehicle(E1, "WMIV1", obeys=()))
        begun_s = asyncio.get_running_loop().time()
        drained = await stage.winding.drain()
        assert outcome(drained) == {"WMIV1": "terminated"}
        assert "in time" in drained[0].words
        assert vehicle.aborted
        assert asyncio.get_running_loop().time() - begun_s <= 16.0
        assert not stage.world.wires.evses[E1]["contactors_closed"]

    play(part, notification_delay_s=1)


def test_terminate_where_the_configuration_says_so(play: Any) -> None:
    async def part(stage: Stage) -> None:
        vehicle = await stage.plug_in(EventVehicle(E1, "WMIV1"))
        assert outcome(await stage.winding.drain()) == {"WMIV1": "stopped"}
        assert {asked for _, asked, _, _ in vehicle.told if asked} == {TERMINATE}

    play(part, on_stop="terminate")


def test_who_could_not_be_known_again_and_who_is_never_to_pause_is_told_to_terminate(play: Any) -> None:
    async def part(stage: Stage) -> None:
        nameless = await stage.plug_in(EventVehicle(E1, "NAMELESS", certificate=None))
        fragile = await stage.plug_in(EventVehicle(E2, "FRAGILE"))
        assert outcome(await stage.winding.drain()) == {"NAMELESS": "stopped", "FRAGILE": "stopped"}
        for vehicle in (nameless, fragile):
            assert {asked for _, asked, _, _ in vehicle.told if asked} == {TERMINATE}

    play(part, never_pause=(E2,))


def test_a_vehicle_that_goes_by_itself_meanwhile_is_told_as_what_it_did(play: Any) -> None:
    async def part(stage: Stage) -> None:
        vehicle = await stage.plug_in(EventVehicle(E1, "WMIV1"))
        drain = asyncio.create_task(stage.winding.drain())
        await asyncio.sleep(0.3)
        vehicle.lose()
        drained = await drain
        assert outcome(drained) == {"WMIV1": "terminated"}
        assert "PEER_CLOSED" in drained[0].words

    play(part)


def test_no_power_until_sessions_may_go_on_and_then_the_order_holds_again(play: Any) -> None:
    async def part(stage: Stage) -> None:
        await stage.plug_in(EventVehicle(E1, "WMIV1"))
        await stage.discharge(8_000.0)
        stage.winding.close("work at the cabinet")
        assert stage.listener.resting == "work at the cabinet"
        await stage.winding.drain()
        await stage.plug_in(EventVehicle(E1, "WMIV1", obeys=()))
        await asyncio.sleep(3.0)
        assert stage.power_w() == 0.0
        stage.winding.resume()
        assert stage.listener.resting == ""
        await stage.until(lambda: abs(stage.power_w() + 8_000.0) < 1.0)

    play(part)


def test_a_drain_that_is_called_off_leaves_its_vehicle_charging(play: Any) -> None:
    async def part(stage: Stage) -> None:
        await stage.plug_in(EventVehicle(E1, "WMIV1", obeys=()))
        await stage.discharge(8_000.0)
        drain = asyncio.create_task(stage.winding.drain())
        await asyncio.sleep(4.0)
        stage.winding.resume()
        assert await drain == ()
        await stage.until(lambda: abs(stage.power_w() + 8_000.0) < 1.0)

    play(part)


def test_whoever_asked_may_leave_and_the_drain_goes_on(play: Any) -> None:
    async def part(stage: Stage) -> None:
        await stage.plug_in(EventVehicle(E1, "WMIV1"))
        asking = asyncio.create_task(stage.winding.drain())
        await asyncio.sleep(0.2)
        asking.cancel()
        await stage.until(lambda: "SESSION_DRAINED" in stage.world.daemon.codes())
        assert dict(stage.world.daemon.said)["SESSION_DRAINED"].endswith(": paused")

    play(part)


def test_a_stop_takes_no_orders_and_cannot_be_called_off(play: Any) -> None:
    async def part(stage: Stage) -> None:
        await stage.plug_in(EventVehicle(E1, "WMIV1"))
        stop = asyncio.create_task(stage.winding.stop())
        await asyncio.sleep(0.1)
        with pytest.raises(Refused, match="stopping"):
            await stage.world.discharge()
        stage.winding.resume()
        assert stage.listener.resting == "the controller stops"
        await stop
        assert stage.world.sessions.count == 0
        assert "STOPPING" in stage.world.daemon.codes()

    play(part)


def test_a_drain_that_fails_does_not_keep_the_daemon_from_its_end(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def part(stage: Stage) -> None:
        vehicle = await stage.plug_in(EventVehicle(E1, "WMIV1"))

        def fail(now_s: float) -> None:
            raise ValueError("a defect")

        monkeypatch.setattr(stage.winding, "_seen", fail)
        await stage.winding.stop()
        assert vehicle.aborted
        assert "a defect" in dict(stage.world.daemon.said)["INTERNAL_ERROR"]

    play(part)


def test_a_stop_during_maintenance_waits_for_the_drain_that_runs(play: Any) -> None:
    async def part(stage: Stage) -> None:
        await stage.plug_in(EventVehicle(E1, "WMIV1"))
        drain = asyncio.create_task(stage.winding.drain())
        await asyncio.sleep(1.0)
        await stage.winding.stop()
        assert outcome(await drain) == {"WMIV1": "paused"}

    play(part)
