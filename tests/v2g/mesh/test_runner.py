"""A node, its wire and its gate kept going, in time that jumps, over a wire that the test breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from support.mesh_nodes import QUIET, SETTINGS, UNIX_S, identity, trust
from support.virtual_time import LoopClock, run
from v2g.mesh.envelope import Opener, Sealer
from v2g.mesh.gateway import TAKE_OVER_S, Role
from v2g.mesh.node import MeshNode
from v2g.mesh.ports import EngineCounts, EngineError, LinkStatus, OnMessage
from v2g.mesh.roster import Group, Member, Roster
from v2g.mesh.runner import (
    LONGEST_REST_S,
    RENEW_S,
    RETRY_S,
    SETTLE_S,
    SILENT_S,
    Half,
    MeshRunner,
    North,
)

FEEDER = Group(id="feeder", import_w=200e3, export_w=200e3)
REGION = Group(id="region", import_w=200e3, export_w=200e3, capped=True, alone_import_w=40e3)


def members(*names: str, group: str = "feeder") -> list[Member]:
    return [Member(id=name, group=group, import_w=100e3, export_w=100e3) for name in names]


@dataclass
class Ether:
    """One mesh: all who are open hear each other, but for what is broken."""

    prefix: str
    open: dict[str, Wire] = field(default_factory=dict)
    forgotten: set[tuple[str, str]] = field(default_factory=set)
    """(from, to): until the second subscribes anew."""
    cut: set[frozenset[str]] = field(default_factory=set)
    mute: set[str] = field(default_factory=set)
    """Linked and alive, and says nothing, as a program that hangs."""
    garbled: set[str] = field(default_factory=set)
    refuses: str = ""
    made: dict[str, list[float]] = field(default_factory=dict)
    renewals: dict[str, list[float]] = field(default_factory=dict)
    up_since_s: float = 0.0

    def split(self, one: Iterable[str], other: Iterable[str]) -> None:
        self.cut |= {frozenset((a, b)) for a in one for b in other}

    def passes(self, start: str, end: str) -> bool:
        return frozenset((start, end)) not in self.cut and (start, end) not in self.forgotten


class Wire:
    """A node's :class:`v2g.mesh.ports.Engine`."""

    def __init__(self, ether: Ether, name: str) -> None:
        self.counts = EngineCounts()
        self.dead = False
        self._ether = ether
        self._name = name
        self._on_message: OnMessage | None = None

    async def start(self, keys: tuple[str, ...], on_message: OnMessage) -> None:
        self._ether.made.setdefault(self._name, []).append(now())
        if self._ether.refuses:
            raise EngineError(self._ether.refuses)
        self._on_message = on_message
        self._ether.open[self._name] = self

    async def renew(self) -> None:
        self._ether.renewals.setdefault(self._name, []).append(now())
        self._ether.forgotten -= {pair for pair in self._ether.forgotten if pair[1] == self._name}

    async def close(self) -> None:
        self._ether.open.pop(self._name, None)

    def publish(self, key: str, payload: bytes) -> None:
        if self.dead or self._name in self._ether.mute:
            return
        if self._name in self._ether.garbled:
            payload = payload[:-1] + bytes([payload[-1] ^ 1])
        for name, wire in list(self._ether.open.items()):
            if wire._on_message is not None and not wire.dead and self._ether.passes(self._name, name):
                asyncio.get_running_loop().call_soon(wire._on_message, key, payload)

    def links(self) -> tuple[LinkStatus, ...]:
        since_s = self._ether.up_since_s
        others = [each for each in self._ether.open if each != self._name]
        return tuple(
            LinkStatus(node=each, address="", up=frozenset((self._name, each)) not in self._ether.cut, since_s=since_s)
            for each in others
        )

    def alive(self) -> frozenset[str]:
        return frozenset(each for each in self._ether.open if frozenset((self._name, each)) not in self._ether.cut)


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def info(self, code: str, text: str = "", /, **fields: object) -> None:
        self.lines.append((code, text))

    warning = error = info

    def said(self, code: str) -> list[str]:
        return [text for said, text in self.lines if said == code]


def now() -> float:
    return asyncio.get_running_loop().time()


def half(roster: Roster, ether: Ether, voice: str, clock: LoopClock) -> Half:
    member = roster.member_of(voice)
    assert member is not None
    voices = frozenset(each for of in roster.members.values() for each in of.voices)

    def make_node() -> MeshNode:
        sealer = Sealer(ether.prefix, identity(voice), round(clock.unix_s() * 1e6))
        return MeshNode(roster, voice, member, sealer, Opener(ether.prefix, trust(), voices), SETTINGS, "0")

    return Half(make_node=make_node, make_engine=lambda: Wire(ether, voice), keys=(f"{ether.prefix}/**",))


class World:
    """Nodes ``a``, ``b``, ``c`` in a flat mesh, or a region of ``g1``, ``g2``, ``a``, ``b`` below a north."""

    def __init__(self, *names: str, gateways: tuple[str, ...] = ()) -> None:
        self.clock = LoopClock(UNIX_S)
        self.ether = Ether("grid-7/r1" if gateways else "grid-7/flat")
        self.above = Ether("grid-7/north")
        group = REGION if gateways else FEEDER
        self.roster = Roster("grid-7", "", [group], members(*names, group=group.id), gateways)
        region = Member(id="r1", group="feeder", import_w=200e3, export_w=200e3, speakers=gateways)
        self.north = Roster("grid-7", "north", [FEEDER], [region, *members("top")])
        self.gateways = gateways
        self.logs: dict[str, Log] = {}
        self.runners: dict[str, MeshRunner] = {}
        self.roles: dict[str, list[tuple[float, Role]]] = {}

    async def start(self, *names: str) -> None:
        for name in names:
            above = None
            if name in self.gateways:
                above = North(
                    half=half(self.north, self.above, name, self.clock), group="region", gateways=self.gateways
                )
            self.logs.setdefault(name, Log())
            self.runners[name] = MeshRunner(
                half(self.roster, self.ether, name, self.clock), above, self.clock, self.logs[name]
            )
            await self.runners[name].start()

    async def stop(self, name: str) -> None:
        await self.runners.pop(name).close()

    async def go(self, seconds: float, period_s: float = 0.1) -> None:
        for _ in range(round(seconds / period_s)):
            for name, runner in self.runners.items():
                runner.step(QUIET)
                roles = self.roles.setdefault(name, [])
                if not roles or roles[-1][1] is not runner.role:
                    roles.append((now(), runner.role))
            await asyncio.sleep(period_s)

    async def until(self, holds: Callable[[], bool], limit_s: float) -> float:
        began_s = now()
        while not holds():
            assert now() - began_s < limit_s, "not in time"
            await self.go(0.1)
        return now() - began_s

    def hears(self, name: str, other: str) -> bool:
        heard = self.runners[name].node.book.heard(other)
        return heard is not None and heard.fresh(now())

    def live(self) -> set[str]:
        return {name for name, runner in self.runners.items() if runner.role is Role.LIVE}


def story(world: World, tell: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        await world.start(*world.roster.members)
        await world.go(6.0)
        await tell(world)
        for name in list(world.runners):
            await world.stop(name)
        assert not world.ether.open
        assert not world.above.open
        assert len(asyncio.all_tasks()) == 1

    run(main())


def test_a_wire_that_cannot_be_had_is_told_once_and_tried_again() -> None:
    async def main() -> None:
        world = World("a", "b")
        world.ether.refuses = "mesh: port 7447 is taken"
        await world.start("a")
        await world.go(35.0)
        [words] = world.logs["a"].said("MESH_DOWN")
        assert "port 7447 is taken" in words
        assert world.runners["a"].problem == "mesh: port 7447 is taken"
        tries = world.ether.made["a"]
        assert [round(later - earlier) for earlier, later in pairwise(tries)] == [RETRY_S] * 3
        world.ether.refuses = ""
        await world.go(RETRY_S)
        assert world.runners["a"].problem == ""
        assert len(world.logs["a"].said("MESH_START")) == 1
        await world.stop("a")

    run(main())


def test_all_hear_all_and_answer_pings_while_nothing_is_wrong() -> None:
    async def tell(world: World) -> None:
        await world.go(30.0)
        assert all(world.hears(one, other) for one in "abc" for other in "abc" if one != other)
        assert world.ether.renewals == {}
        assert all(len(made) == 1 for made in world.ether.made.values())
        assert await world.runners["a"].ping("b") is not None
        assert await world.runners["a"].ping("nobody", wait_s=0.1) is None

    story(World("a", "b", "c"), tell)


def test_a_link_that_came_back_makes_its_node_subscribe_anew() -> None:
    async def tell(world: World) -> None:
        world.ether.up_since_s = now()
        await world.go(SETTLE_S + 1.5)
        assert {name: len(times) for name, times in world.ether.renewals.items()} == {"a": 1, "b": 1, "c": 1}
        assert all(times[0] - world.ether.up_since_s >= SETTLE_S for times in world.ether.renewals.values())
        await world.go(60.0)
        assert all(len(times) == 1 for times in world.ether.renewals.values())

    story(World("a", "b", "c"), tell)


def test_one_whom_the_wire_forgot_is_heard_again_without_a_new_wire() -> None:
    async def tell(world: World) -> None:
        world.ether.forgotten = {("c", "a")}
        await world.until(lambda: not world.hears("a", "c"), 5.0)
        assert await world.until(lambda: world.hears("a", "c"), 10.0) <= RENEW_S + 2.2
        assert len(world.ether.made["a"]) == 1

    story(World("a", "b", "c"), tell)


def test_a_wire_that_brings_not_even_its_own_is_made_anew() -> None:
    async def tell(world: World) -> None:
        world.ether.open["a"].dead = True
        await world.go(SILENT_S + 3.0)
        assert len(world.ether.made["a"]) == 2
        [words] = world.logs["a"].said("MESH_DOWN")
        assert "brought nothing for 30 s" in words
        assert world.hears("a", "b")
        assert world.hears("b", "a")

    story(World("a", "b", "c"), tell)


def test_a_neighbour_that_is_linked_and_silent_makes_wires_new_ever_more_seldom() -> None:
    async def tell(world: World) -> None:
        world.ether.mute = {"c"}
        await world.go(1_000.0, period_s=1.0)
        made = world.ether.made["a"]
        waits_s = [later - earlier for earlier, later in pairwise(made)]
        assert all(later_s >= earlier_s for earlier_s, later_s in pairwise(waits_s))
        assert 4.0 * SILENT_S <= waits_s[-2] < waits_s[-1] / 1.8
        assert waits_s[-1] <= LONGEST_REST_S
        assert "c is linked and not heard" in world.logs["a"].said("MESH_DOWN")[0]
        # It is the program that hangs: as soon as it speaks, all is well.
        world.ether.mute = set()
        await world.go(5.0)
        assert world.hears("a", "c")

    story(World("a", "c"), tell)


def test_one_whose_states_come_and_are_not_believed_disturbs_no_wire() -> None:
    async def tell(world: World) -> None:
        world.ether.garbled = {"c"}
        await world.go(100.0)
        assert not world.hears("a", "c")
        assert len(world.ether.made["a"]) == 1
        assert len(world.ether.renewals.get("a", [])) == 0

    story(World("a", "b", "c"), tell)


def gated() -> World:
    return World("g1", "g2", "a", "b", gateways=("g1", "g2"))


def test_the_first_gateway_speaks_for_the_region_and_caps_it() -> None:
    async def tell(world: World) -> None:
        assert world.live() == {"g1"}
        assert set(world.above.open) == {"g1"}
        assert world.runners["g2"].role is Role.STANDBY
        assert world.runners["a"].role is Role.NONE
        await world.go(5.0)
        cap = world.runners["a"].node.book.cap("region", now())
        assert cap is not None
        assert cap.by == "g1"

    story(gated(), tell)


def test_a_standby_takes_over_after_two_leases_and_yields_at_once() -> None:
    async def tell(world: World) -> None:
        await world.stop("g1")
        assert world.live() == set()
        assert await world.until(lambda: world.live() == {"g2"}, 10.0) <= TAKE_OVER_S + 0.3
        await world.go(5.0)
        assert set(world.above.open) == {"g2"}
        cap = world.runners["a"].node.book.cap("region", now())
        assert cap is not None
        assert cap.by == "g2"
        await world.start("g1")
        await world.until(lambda: world.live() == {"g1"}, 4.0)
        await world.go(2.0)
        assert set(world.above.open) == {"g1"}

    story(gated(), tell)


def test_a_gateway_whose_program_hangs_is_replaced_though_its_token_is_there() -> None:
    async def tell(world: World) -> None:
        hung = world.runners.pop("g1")
        world.ether.mute = {"g1"}
        assert "g1" in world.ether.open["g2"].alive()
        assert await world.until(lambda: world.live() == {"g2"}, 15.0) <= SETTINGS.valid_s + TAKE_OVER_S + 0.5
        world.ether.mute = set()
        world.runners["g1"] = hung
        await world.until(lambda: world.live() == {"g1"}, 3.0)

    story(gated(), tell)


def test_a_partition_of_the_region_changes_each_role_once_and_its_end_once() -> None:
    async def tell(world: World) -> None:
        world.ether.split(("g1", "a"), ("g2", "b"))
        await world.go(30.0)
        assert world.live() == {"g1", "g2"}
        world.ether.cut.clear()
        await world.go(30.0)
        assert world.live() == {"g1"}
        assert [role for _, role in world.roles["g1"]][-1:] == [Role.LIVE]
        assert [role for _, role in world.roles["g2"]] == [Role.STANDBY, Role.LIVE, Role.STANDBY]
        assert len(world.above.made["g1"]) == 1
        assert len(world.above.made["g2"]) == 1

    story(gated(), tell)


def test_a_gateway_that_is_cut_off_from_its_region_does_not_speak_for_it() -> None:
    async def tell(world: World) -> None:
        world.ether.split(("g1",), ("g2", "a", "b"))
        await world.go(SETTINGS.valid_s + TAKE_OVER_S + 1.0)
        assert world.live() == {"g2"}
        assert set(world.above.open) == {"g2"}
        world.ether.cut.clear()
        await world.until(lambda: world.live() == {"g1"}, 3.0)

    story(gated(), tell)
