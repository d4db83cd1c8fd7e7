"""Light nodes below one feeder: what they share, what is done to them at the control socket, and who notices."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from math import isnan
from pathlib import Path

import pytest

from support.light_world import RATED_W, LightWorld, head_model, line_of, model
from v2g.clock import SystemClock
from v2g.mesh.meters import OLD_S
from v2g.simulation import light_node
from v2g.simulation.layout_mesh import FEEDER, HEAD, SUBSTATION
from v2g.simulation.light_config import LightClient, LightConfig, LightModel
from v2g.simulation.light_node import LightNodes
from v2g.simulation.line_client import RequestRefused

LIMIT_W = 100e3
MODELS = {"n1": model(10e3, 44e3), "n2": model(12e3), "n3": model(8e3, 44e3), "n4": model(9e3, 44e3)}
Make = Callable[..., Awaitable[LightWorld]]


@pytest.fixture
async def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Make]:
    made: list[LightWorld] = []

    async def world(head: bool = False, substation_kw: float | None = None, **changes: LightModel) -> LightWorld:
        models = MODELS | changes | ({HEAD: head_model()} if head else {})
        names = [*([HEAD] if head else []), *MODELS]
        plan = line_of(names, feeder_kw=LIMIT_W / 1e3, substation_kw=substation_kw)
        made.append(LightWorld(monkeypatch, tmp_path, plan, models))
        await made[-1].start()
        return made[-1]

    yield world
    for each in made:
        await each.end()


async def test_they_fill_the_feeder_and_never_exceed_it(make: Make) -> None:
    world = await make()
    assert await world.run(30.0) <= LIMIT_W
    assert world.total_w >= 0.9 * LIMIT_W
    for name in MODELS:
        reading = world.read(name)
        assert reading.flow_w <= reading.import_w
        assert (reading.present, reading.islands, reading.drops) == (3, 1, {})
    # Those that ask share what is left; who asks for nothing keeps to its base load.
    assert world.read("n2").flow_w == 12e3
    shares_w = [world.read(name).flow_w - world.read(name).base_w for name in ("n1", "n3", "n4")]
    assert shares_w == pytest.approx([shares_w[0]] * 3, rel=0.02)


async def test_what_gives_back_ends_at_the_same_limit(make: Make) -> None:
    giving = {name: model(2e3, -50e3) for name in MODELS}
    world = await make(**giving)
    await world.run(30.0)
    assert -LIMIT_W <= world.total_w <= -0.9 * LIMIT_W


@pytest.mark.soak
async def test_a_node_that_leaves_rests_and_counts_with_its_rating(make: Make) -> None:
    world = await make()
    await world.run(30.0)
    assert world.read("n4").flow_w > 20e3
    await world.say(type="wire", node="n4", state="down")
    await world.run(15.0)
    gone = world.read("n4")
    assert (gone.flow_w, gone.problem, gone.members) == (9e3, "down", 0)
    others_w = sum(world.read(name).flow_w for name in ("n1", "n2", "n3"))
    assert 30e3 <= others_w <= LIMIT_W - RATED_W
    await world.say(type="wire", node="n4", state="up")
    assert await world.run(40.0) <= LIMIT_W
    assert world.read("n4").flow_w > 20e3


async def test_a_model_changes_while_it_runs(make: Make) -> None:
    world = await make()
    await world.run(20.0)
    await world.say(type="set", node="n1", want_charge_w=0.0)
    await world.say(type="set", node="n2", base_w=15e3)
    await world.run(20.0)
    assert (world.read("n1").flow_w, world.read("n2").flow_w) == (10e3, 15e3)
    assert world.total_w > 0.85 * LIMIT_W


async def test_a_liar_takes_what_it_does_not_tell_and_no_more(make: Make) -> None:
    world = await make()
    await world.say(type="lie", node="n1", under_w=9e3)
    await world.run(40.0)
    assert LIMIT_W < world.total_w <= LIMIT_W + 9e3
    told = world.nodes["n1"].transformer.facts()
    assert told.flow_w == world.read("n1").flow_w - 9e3


@pytest.mark.soak
async def test_the_head_sees_at_its_meter_what_a_liar_does_not_tell(make: Make) -> None:
    world = await make(head=True)
    world.metering = True
    await world.run(15.0)
    assert world.total_w >= 0.9 * LIMIT_W
    await world.say(type="lie", node="n1", under_w=9e3)
    await world.run(20.0)
    assert world.total_w <= LIMIT_W


@pytest.mark.soak
async def test_who_tells_more_than_there_is_takes_room_from_the_others(make: Make) -> None:
    world = await make()
    await world.run(30.0)
    before_w = world.total_w
    await world.say(type="lie", node="n2", over_w=20e3)
    await world.run(30.0)
    assert world.total_w < before_w - 10e3
    assert world.read("n2").flow_w == 12e3


@pytest.mark.soak
async def test_a_head_caps_its_feeder_until_it_takes_the_cap_back(make: Make) -> None:
    world = await make(head=True)
    await world.run(30.0)
    await world.say(type="cap", node=HEAD, group=FEEDER, import_w=70e3)
    await world.run(10.0)
    assert world.total_w <= 70e3
    assert world.read("n1").import_by in (FEEDER, "acknowledgement")
    await world.say(type="cap", node=HEAD, group=FEEDER, valid_s=0.0)
    await world.run(40.0)
    assert world.total_w > 0.9 * LIMIT_W


async def test_the_substation_above_the_feeder_binds_where_it_is_less(make: Make) -> None:
    world = await make(head=True, substation_kw=80.0)
    assert await world.run(30.0) <= 80e3
    assert world.total_w > 0.9 * 80e3
    assert SUBSTATION in {world.read(name).import_by for name in MODELS}


async def test_a_clock_that_is_minutes_ahead_is_dropped_by_all(make: Make) -> None:
    world = await make()
    await world.run(10.0)
    await world.say(type="skew", node="n1", by_s=180.0)
    await world.run(10.0)
    for name in ("n2", "n3", "n4"):
        assert world.read(name).drops_by_sender["n1"]["clock"] > 3
        assert world.read(name).present == 2
    assert world.total_w <= LIMIT_W


async def test_copies_of_its_states_are_counted_at_the_others(make: Make) -> None:
    world = await make()
    await world.run(5.0)
    await world.say(type="flood", node="n1", per_s=200.0, for_s=3.0)
    await world.run(5.0)
    drops = world.read("n3").drops_by_sender["n1"]
    assert sum(drops.values()) > 400
    assert set(drops) <= {"replayed", "flood"}
    assert world.read("n1").sent > 500
    assert await world.run(20.0) <= LIMIT_W


async def test_what_is_said_again_is_a_replay(make: Make) -> None:
    world = await make()
    await world.run(5.0)
    await world.say(type="replay", node="n4", of="n1")
    await world.run(1.0)
    assert world.read("n2").drops_by_sender["n1"] == {"replayed": 1}


async def test_a_certificate_that_is_revoked_ends_its_node_s_part(make: Make) -> None:
    world = await make()
    await world.run(10.0)
    world.revoke("n1")
    await world.say(type="trust")
    await world.run(6.0)
    assert world.read("n2").drops_by_sender["n1"]["revoked"] > 1
    assert world.read("n2").present == 2


async def test_a_ping_comes_back_or_says_that_it_did_not(make: Make) -> None:
    world = await make()
    await world.run(3.0)

    async def moving() -> None:
        while True:
            await world.run(0.0)

    turns = asyncio.create_task(moving())
    near = await world.say(type="ping", node="n1", to="n4")
    nowhere = await world.say(type="ping", node="n1", to="n9")
    turns.cancel()
    assert 0.0 < near["round_trip_s"] <= 0.3  # type: ignore[operator]
    assert nowhere == {"round_trip_s": None}


@pytest.mark.parametrize(
    ("text", "age_s", "value"),
    [("81250.5", 0.0, 81250.5), ("81250.5", OLD_S + 1.0, None), ("lots", 0.0, None), ("nan", 0.0, None)],
)
async def test_a_meter_that_is_old_or_says_nonsense_says_nothing(
    make: Make, text: str, age_s: float, value: float | None
) -> None:
    world = await make(head=True)
    world.meter_file.write_text(text)
    now_s = world.clock.unix_s() - age_s
    os.utime(world.meter_file, (now_s, now_s))
    await world.say(type="skew", node=HEAD, by_s=50.0)
    assert _same(world.nodes[HEAD].measured_w()[FEEDER], value)


async def test_without_its_file_a_meter_says_nothing(make: Make) -> None:
    world = await make(head=True)
    assert isnan(world.nodes[HEAD].measured_w()[FEEDER])
    assert world.nodes["n1"].measured_w() == {}


# ---- the process ----------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def serving(world: LightWorld) -> AsyncIterator[LightClient]:
    """The same nodes at their control socket, in real time."""
    for node in world.nodes.values():
        await node.down()
    config = LightConfig(
        control_socket=str(world.folder / "c.sock"), nodes=world.configs, record=str(world.folder / "rec")
    )
    stopped, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(LightNodes(config, SystemClock()).run(stopped, ready.set))
    await ready.wait()
    try:
        with await asyncio.to_thread(LightClient, Path(config.control_socket)) as client:
            yield client
    finally:
        stopped.set()
        await running
    assert not Path(config.control_socket).exists()


async def test_the_control_socket_reads_sets_and_refuses(make: Make, tmp_path: Path) -> None:
    world = await make()
    async with serving(world) as client:
        reading = await asyncio.to_thread(client.read)
        assert [node.node for node in reading.nodes] == list(MODELS)
        assert reading.cpu_s > 0.0
        await asyncio.to_thread(lambda: client.ask(type="set", node="n2", base_w=7e3))
        await asyncio.sleep(0.25)
        assert (await asyncio.to_thread(client.flows_w))["n2"] == 7e3
        for request, words in (
            ({"type": "set", "node": "n9"}, "there is no node 'n9'; there are n1, n2, n3, n4"),
            ({"type": "dance"}, "Invalid value 'dance'"),
            ({"type": "wire", "node": "n1", "state": "sideways"}, "Invalid enum value 'sideways'"),
        ):
            with pytest.raises(RequestRefused, match=words):
                await asyncio.to_thread(lambda sent=request: client.ask(**sent))
        await asyncio.sleep(0.4)
    rows = [json.loads(line) for line in (tmp_path / "rec").read_bytes().splitlines()]
    assert {row["node"] for row in rows} == set(MODELS)


async def test_a_client_that_sends_no_line_ends_costs_its_own_connection_alone(make: Make) -> None:
    world = await make()
    async with serving(world) as client:

        def flood_it() -> bytes:
            with socket.socket(socket.AF_UNIX) as other:
                other.settimeout(5.0)
                other.connect(str(world.folder / "c.sock"))
                with contextlib.suppress(BrokenPipeError):
                    other.sendall(b"x" * 200_000)
                with contextlib.suppress(ConnectionError):
                    return other.recv(10)
                return b""

        assert await asyncio.to_thread(flood_it) == b""
        assert len((await asyncio.to_thread(client.read)).nodes) == 4


def test_a_configuration_that_cannot_be_used_is_exit_code_78(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "light.json"
    assert light_node.main(["--config", str(path)]) == 78
    assert f"{path} cannot be read: No such file or directory" in capsys.readouterr().err
    path.write_text('{"control_socket": "x", "nodes": []}')
    assert light_node.main(["--config", str(path)]) == 78
    assert "Expected `array` of length >= 1 - at `$.nodes`" in capsys.readouterr().err
    path.write_text(
        json.dumps(
            {
                "control_socket": str(tmp_path / "c.sock"),
                "nodes": [
                    {
                        "dir": str(tmp_path / "none"),
                        "mesh": {
                            "network": "x",
                            "node": "n1",
                            "members": [{"id": "n1", "group": "g", "rated_kw": 1}],
                            "groups": [{"id": "g"}],
                        },
                    }
                ],
            }
        )
    )
    assert light_node.main(["--config", str(path)]) == 78
    assert str(tmp_path / "none") in capsys.readouterr().err


def _same(got: float, wanted: float | None) -> bool:
    return isnan(got) if wanted is None else got == wanted
