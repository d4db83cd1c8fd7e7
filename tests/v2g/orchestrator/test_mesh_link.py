"""The mesh beside the control cycle, with real certificates and signed messages; the wire is the test's."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from support.kept_log import KeptLog
from support.mesh_nodes import UNIX_S, Nodes, authority, feeder, up
from v2g.clock import ManualClock
from v2g.config.schema import Config
from v2g.config.schema_mesh import Mesh
from v2g.control.messages_mesh import MeshGroupLine, MeshResult
from v2g.control.server import Refused
from v2g.mesh.messages import Cap
from v2g.mesh.ports import EngineCounts, LinkStatus, OnMessage
from v2g.mesh.settings import halves
from v2g.orchestrator import mesh_link
from v2g.orchestrator.mesh_absent import NO_MESH, mesh_place
from v2g.orchestrator.mesh_link import MeshLink

BEGAN_S = 100.0


class Wire:
    """An engine: what is published comes to the other nodes at once, and their answers back."""

    def __init__(self, others: Nodes, name: str, clock: ManualClock) -> None:
        self.counts = EngineCounts()
        self.others = others
        self.name = name
        self.clock = clock
        self.on_message: OnMessage | None = None
        self.swallowed_s = 0.0
        """Above 0: a ping gets lost, and so much time goes by."""

    async def start(self, keys: tuple[str, ...], on_message: OnMessage) -> None:
        self.on_message = on_message

    async def renew(self) -> None: ...

    async def close(self) -> None:
        self.on_message = None

    def publish(self, key: str, payload: bytes) -> None:
        self.counts.sent += 1
        self.counts.sent_bytes += len(payload)
        if "/ping/" in key and self.swallowed_s:
            self.clock.advance(self.swallowed_s)
            self.others.now_s += self.swallowed_s
            return
        for voice, node in self.others.nodes.items():
            for answer in node.receive(key, payload, self.clock.monotonic_s(), self.others.unix_s(voice)):
                self.deliver(answer.key, answer.payload)

    def deliver(self, key: str, payload: bytes) -> None:
        assert self.on_message is not None
        self.counts.received += 1
        self.counts.received_bytes += len(payload)
        self.on_message(key, payload)

    def links(self) -> tuple[LinkStatus, ...]:
        return up(*(voice for voice in self.others.nodes if voice != self.name))

    def alive(self) -> frozenset[str]:
        return frozenset()


class Rig:
    """One controller's link, and the others of its mesh."""

    def __init__(self, link: MeshLink, wire: Wire, others: Nodes, clock: ManualClock, log: KeptLog) -> None:
        self.link, self.wire, self.others, self.clock, self.log = link, wire, others, clock, log

    def run(self, seconds: float, *, silent: bool = False) -> None:
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            self.others.tick()
            if not silent:
                for _, each in self.others.said:
                    self.wire.deliver(each.key, each.payload)
            self.link.on_cycle(self.clock.monotonic_s())

    def result(self) -> MeshResult:
        return self.link.result()

    def group(self) -> MeshGroupLine:
        (line,) = self.result().groups
        return line


async def eventually(is_so: Callable[[], bool]) -> None:
    """Files are read in a thread."""
    for _ in range(1000):
        if is_so():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come within 5 s")


def site() -> Any:
    return SimpleNamespace(image=None, decision=None, mesh=None)


def with_mesh(config: Config, node: str, folder: Path) -> Config:
    mesh = msgspec.convert(
        {
            "network": "grid-7",
            "node": node,
            "dir": str(folder),
            "groups": [{"id": "feeder", "import_kw": 200, "export_kw": 200}],
            "members": [
                {"id": "a", "group": "feeder", "rated_kw": 100},
                {"id": "b", "group": "feeder", "rated_kw": 100},
                {"id": "head", "group": "feeder", "rated_kw": 0, "head": True},
            ],
        },
        type=Mesh,
    )
    return msgspec.structs.replace(config, mesh=mesh)


def place(config: Config, clock: ManualClock, log: KeptLog) -> MeshLink:
    found = mesh_place(config, site(), clock, log)
    assert isinstance(found, MeshLink)
    return found


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(BEGAN_S, UNIX_S + BEGAN_S)


@pytest.fixture
async def joined(
    config_of: Callable[..., Config],
    clock: ManualClock,
    log_of: type[KeptLog],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Callable[[str], Any]]:
    """A link that has joined as one of ``a``, ``b``, ``head``."""
    async with AsyncExitStack() as stack:

        async def join(name: str) -> Rig:
            others = Nodes(feeder("a", "b", head="head"), tuple({"a", "b", "head"} - {name}), now_s=BEGAN_S)
            others.links = {voice: up(name) for voice in others.nodes}
            wire = Wire(others, name, clock)
            files = authority().node(name, folder=f"link-{name}")
            shutil.copy(files.chain, tmp_path / "chain.pem")
            shutil.copy(files.key, tmp_path / "private.key")
            shutil.copy(files.ca, tmp_path / "ca.pem")

            def wired(*args: Any) -> Any:
                own, north = halves(*args)
                return replace(own, make_engine=lambda: wire), north

            monkeypatch.setattr(mesh_link, "halves", wired)
            log = log_of()
            link = place(with_mesh(config_of(1), name, tmp_path), clock, log)
            await link.start(stack)
            await eventually(lambda: wire.on_message is not None)
            return Rig(link, wire, others, clock, log)

        yield join


# ---- no mesh, or none yet ----


async def test_a_controller_without_a_mesh_has_no_bounds_no_loss_and_says_so(
    config_of: Callable[..., Config], clock: ManualClock, log_of: type[KeptLog]
) -> None:
    controller = site()
    link = mesh_place(config_of(1), controller, clock, log_of())
    async with AsyncExitStack() as stack:
        await link.start(stack)
        link.on_cycle(1.0)
    assert controller.mesh is None, "the site asks nobody"
    assert (link.result(), link.loss, link.problems()) == (MeshResult(problem=NO_MESH), None, ())
    with pytest.raises(Refused, match="is in no mesh") as refused:
        await link.ping("a", 1)
    assert refused.value.code == "NO_MESH"
    with pytest.raises(Refused, match="is in no mesh"):
        link.cap("feeder", 1.0, None, 60.0, "")
    with pytest.raises(Refused, match="is in no mesh"):
        link.uncap("feeder")


async def test_certificates_that_cannot_be_used_leave_what_the_others_leave_at_their_worst_and_name_their_file(
    config_of: Callable[..., Config], clock: ManualClock, log_of: type[KeptLog], tmp_path: Path
) -> None:
    log = log_of()
    link = place(with_mesh(config_of(1), "a", tmp_path), clock, log)
    async with AsyncExitStack() as stack:
        await link.start(stack)
        await eventually(lambda: "MESH_DOWN" in log.codes())
        link.on_cycle(clock.monotonic_s())
        bounds = link.bounds(10e3, clock.monotonic_s())
        # Of 200 kW, less the reserve of 2 %, the other one may take its rating of 100 kW.
        assert min(bound.hi_w for bound in bounds) == pytest.approx(96e3 - 10e3)
        assert max(bound.lo_w for bound in bounds) == pytest.approx(-96e3 - 10e3)
        assert {bound.source for bound in bounds} == {"mesh: not joined"}
        (problem,) = link.problems()
        assert str(tmp_path) in problem
        assert link.result() == MeshResult(problem=problem)
        assert link.loss == 1.0, "the light flashes"


async def test_before_anything_is_known_no_power_is_left(joined: Any) -> None:
    rig = await joined("a")
    bounds = rig.link.bounds(10e3, rig.clock.monotonic_s())
    assert max(bound.lo_w for bound in bounds) == 0.0
    assert min(bound.hi_w for bound in bounds) == 0.0


# ---- what people see ----


async def test_the_whole_is_shown_once_others_are_heard(joined: Any) -> None:
    rig = await joined("a")
    rig.run(4.0)
    result = rig.result()
    assert (result.problem, result.network, result.node, result.region, result.role) == ("", "grid-7", "a", "", "")
    assert [(line.id, line.present) for line in result.members] == [("a", True), ("b", True), ("head", True)]
    assert rig.group().present == 3
    assert {link.node for link in result.links} == {"b", "head"}
    assert all(link.up and link.round_trip_ms is not None for link in result.links)
    assert [set(island) for island in result.islands] == [{"a", "b", "head"}]
    assert result.drops == {}
    assert msgspec.json.decode(msgspec.json.encode(result), type=MeshResult) == result


async def test_the_wires_counts_are_totals(joined: Any) -> None:
    rig = await joined("a")
    rig.run(3.0)
    wire = rig.result().wire
    assert wire is not None
    assert (wire.sent, wire.received) == (rig.wire.counts.sent, rig.wire.counts.received)
    assert wire.sent_bytes > 0
    assert wire.states_sent == wire.sent
    assert wire.opened == wire.received


async def test_a_cycle_without_an_image_tells_that_nothing_is_known(joined: Any) -> None:
    rig = await joined("a")
    rig.run(2.0)
    ours = rig.result().members[0]
    assert (ours.id, ours.flow_w) == ("a", None)
    assert ours.import_share_w >= 100e3, "what is not known counts with its rating"


async def test_loss_is_whole_while_nobody_is_heard_and_none_once_all_arrives(joined: Any) -> None:
    rig = await joined("a")
    rig.run(2.0, silent=True)
    assert rig.link.loss == 1.0
    rig.run(2.0)
    assert rig.link.loss is not None
    assert rig.link.loss < 1.0
    rig.run(4.0, silent=True)
    assert rig.link.loss == 1.0, "who is gone leaves no gaps"


async def test_what_a_member_may_not_say_is_counted_beside_the_other_drops(joined: Any) -> None:
    rig = await joined("a")
    rig.run(3.0)
    b = rig.others["b"]
    lie = b._seal(Cap(group="feeder", import_w=0.0, export_w=0.0), "cap/b", rig.others.unix_s("b"))
    rig.wire.deliver(lie.key, lie.payload)
    rig.wire.deliver(lie.key, lie.payload)
    rig.wire.deliver("v2g/grid-7/flat/state/x", b"\xc1 nothing")
    result = rig.result()
    assert result.drops == {"malformed": 1, "not_entitled": 1, "replayed": 1}
    assert result.drops_by_sender["b"] == {"not_entitled": 1, "replayed": 1}
    assert rig.group().import_w == 200e3, "the cap does not count"


# ---- ping ----


async def test_pings_come_back_with_hops(joined: Any) -> None:
    rig = await joined("a")
    rig.run(3.0)
    trips_ms, hops = await rig.link.ping("b", 2)
    assert trips_ms == (0.0, 0.0)
    assert hops == 1


async def test_a_ping_that_is_lost_is_none_and_the_next_is_tried(joined: Any) -> None:
    rig = await joined("a")
    rig.run(3.0)
    rig.wire.swallowed_s = 2.5
    assert (await rig.link.ping("b", 1))[0] == (None,)
    rig.wire.swallowed_s = 0.0
    assert (await rig.link.ping("b", 1))[0] == (0.0,)


async def test_who_is_no_member_is_not_pinged(joined: Any) -> None:
    rig = await joined("a")
    with pytest.raises(Refused, match="there is no member 'x'; there are a, b, head") as refused:
        await rig.link.ping("x", 1)
    assert refused.value.code == "UNKNOWN_MEMBER"


# ---- caps ----


async def test_a_head_caps_a_group_for_a_time_and_ends_it(joined: Any) -> None:
    rig = await joined("head")
    rig.run(3.0)
    rig.link.cap("feeder", 50e3, None, 600.0, "works")
    rig.run(2.0)
    line = rig.group()
    assert (line.import_w, line.export_w) == (50e3, 200e3)
    assert line.cap is not None
    assert (line.cap.by, line.cap.reason, line.cap.ordered_s) == ("head", "works", pytest.approx(598.0, abs=0.2))
    assert rig.others["b"].limits_w(rig.others.now_s)["feeder"] == (50e3, 200e3), "members hear it"
    rig.link.uncap("feeder")
    rig.run(5.0)
    assert rig.group().cap is None
    assert rig.others["b"].limits_w(rig.others.now_s)["feeder"] == (200e3, 200e3)


@pytest.mark.parametrize(
    ("name", "group", "code", "says"),
    [
        ("a", "feeder", "NOT_A_HEAD", "a may not cap feeder"),
        ("head", "yard", "UNKNOWN_GROUP", "there is no group 'yard'; there are feeder"),
    ],
)
async def test_who_may_not_cap_or_caps_nothing_is_refused(
    joined: Any, name: str, group: str, code: str, says: str
) -> None:
    rig = await joined(name)
    with pytest.raises(Refused, match=says) as refused:
        rig.link.cap(group, 1.0, 1.0, 60.0, "")
    assert refused.value.code == code
    rig.run(2.0)
    assert rig.group().cap is None


async def test_a_cap_that_nobody_gave_is_not_ended(joined: Any) -> None:
    rig = await joined("head")
    with pytest.raises(Refused, match="we cap no group 'feeder'") as refused:
        rig.link.uncap("feeder")
    assert refused.value.code == "NO_CAP"


async def test_what_happens_is_written_in_the_log(joined: Any) -> None:
    rig = await joined("a")
    rig.run(3.0)
    assert {"MESH_START", "MESH_LINK", "MESH_MEMBER"} <= set(rig.log.codes())
