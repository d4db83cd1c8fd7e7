"""A mesh in virtual time: members made of two sides each, with a plant below, that tell each other whole states.

No cryptography: an envelope here is who, which, from when and until when. What it keeps of the real one: sequences that
start above all of the life before, states that come after a later one are dropped, expiry by clocks that differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from math import inf
from random import Random
from typing import Final, Literal

import msgspec

from v2g.mesh.filling import Claimant, fill
from v2g.mesh.memory import MemoryEngine, MemoryNet, Wire
from v2g.mesh.messages import Range, Seen, State, decode, encode
from v2g.mesh.roster import Group, Member, Roster
from v2g.mesh.side import Own, Side, Told

TICK_S: Final = 0.1
CLOCK_TOLERANCE_S: Final = 1.0
SIGNS: Final[tuple[Literal[1, -1], ...]] = (1, -1)
_KEY: Final = "v2g/test/flat/state"


@dataclass(kw_only=True)
class Timing:
    period_s: float = 1.0
    gap_s: float = 0.2
    valid_s: float = 3.0
    lapse_s: float = 5.0
    ramp_w_s: float = 10e3
    plant_w_s: float = 50e3
    """How fast the vehicles follow what they may."""


@dataclass(kw_only=True)
class Site:
    """The transformer and its vehicles, W: what the vehicles would draw (above 0) or give (below)."""

    base_w: float = 0.0
    want_w: float = 0.0
    noise_w: float = 0.0
    """The base as it is measured is off by up to this."""
    flow_w: float | None = None


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    voice: str
    sequence: int
    issued_unix_s: float
    expires_unix_s: float
    payload: bytes


@dataclass(slots=True)
class Record:
    state: State
    sequence: int
    at_s: float
    until_s: float


class Node:
    """One member. Lives until :meth:`stop`; what it knew is gone then."""

    def __init__(self, world: World, member: Member, site: Site, clock_off_s: float) -> None:
        self.world, self.member, self.site, self.clock_off_s = world, member, site, clock_off_s
        self.id = member.id
        self.engine: MemoryEngine = world.net.node(member.id)
        self.up = False
        self.sent = self.steps = 0
        self.path = world.roster.path(member.id)
        self.peers = [world.roster.members[peer] for peer in sorted(world.roster.peers(member.id))]
        self.sides: dict[int, Side] = {}
        if site.flow_w is None:
            site.flow_w = site.base_w

    def start(self) -> None:
        now_s, timing = self.world.now_s, self.world.timing
        self.up = True
        self.sides = {sign: Side(timing.ramp_w_s, timing.lapse_s) for sign in SIGNS}
        self.records: dict[str, Record] = {}
        self.sequence = round(now_s * 1e6)
        self.told: State | None = None
        self.told_at_s = self.stepped_at_s = -inf
        self.dirty = True
        self.answers_due = False
        self.engine.join((f"{_KEY}/**",), self.hear)

    def stop(self) -> None:
        """Without its controller the vehicles stop."""
        self.up = False
        self.engine.leave()

    def worst_w(self, sign: int) -> float:
        return self.member.import_w if sign > 0 else self.member.export_w

    def may_w(self, sign: int) -> float:
        """Or what flows, while that is still more. Of one that is down: what flows."""
        assert self.site.flow_w is not None
        flow_w = sign * self.site.flow_w
        return max(flow_w, self.sides[sign].may_w) if self.up and self.sides[sign].may_w > -inf else flow_w

    def hear(self, key: str, data: bytes) -> None:
        del key
        now_s = self.world.net.now_s
        envelope, state = _opened(data)
        before = self.records.get(envelope.voice)
        unix_s = now_s + self.clock_off_s
        if before is not None and envelope.sequence <= before.sequence:
            return
        if envelope.issued_unix_s > unix_s + CLOCK_TOLERANCE_S or envelope.expires_unix_s <= unix_s:
            return
        until_s = now_s + min(self.world.timing.valid_s, envelope.expires_unix_s - unix_s)
        self.records[envelope.voice] = Record(state, envelope.sequence, now_s, until_s)
        if state.ask.hi_w > state.claim.hi_w + 1.0 or state.ask.lo_w < state.claim.lo_w - 1.0:
            self.answers_due |= (
                before is None
                or before.state.ask.hi_w < state.ask.hi_w - 1.0
                or before.state.ask.lo_w > state.ask.lo_w + 1.0
            )
        self.dirty = True

    def step(self, now_s: float) -> None:
        timing = self.world.timing
        due = now_s - self.told_at_s >= timing.period_s - 1e-9
        since_s = now_s - self.stepped_at_s
        if due or since_s >= (timing.gap_s if self.dirty else timing.period_s / 2.0) - 1e-9:
            self.stepped_at_s, self.dirty = now_s, False
            self._balance(now_s)
        if due or (now_s - self.told_at_s >= timing.gap_s - 1e-9 and self._is_news()):
            self._tell(now_s)

    def follow(self, elapsed_s: float) -> None:
        """The vehicles go to where they may be."""
        site, most_w = self.site, self.world.timing.plant_w_s * elapsed_s
        assert site.flow_w is not None
        aim_w = site.base_w
        if self.up:
            may_lo_w, may_hi_w = -self.sides[-1].may_w, self.sides[1].may_w
            if site.want_w > 0.0:
                aim_w = max(aim_w, min(aim_w + site.want_w, may_hi_w))
            elif site.want_w < 0.0:
                aim_w = min(aim_w, max(aim_w + site.want_w, may_lo_w))
        site.flow_w += max(-most_w, min(most_w, aim_w - site.flow_w))

    def _balance(self, now_s: float) -> None:
        self.steps += 1
        for sign, side in self.sides.items():
            told = [self._told_of(peer, sign, now_s) for peer in self.peers]
            side.step(self.own(sign, noisy=True), told, self.world.limits_w[sign], now_s)

    def own(self, sign: int, *, noisy: bool = False) -> Own:
        site = self.site
        assert site.flow_w is not None
        noise_w = self.world.random.uniform(-site.noise_w, site.noise_w) if noisy and site.noise_w else 0.0
        floor_w = sign * (site.base_w + noise_w)
        return Own(
            id=self.id,
            groups=self.path,
            weight=self.member.weight,
            worst_w=self.worst_w(sign),
            floor_w=floor_w,
            wish_w=floor_w + max(0.0, sign * site.want_w),
            flow_w=sign * (site.flow_w + noise_w),
        )

    def _told_of(self, peer: Member, sign: int, now_s: float) -> Told:
        worst_w = peer.import_w if sign > 0 else peer.export_w
        groups = self.world.roster.path(peer.id)
        record = self.records.get(peer.id)
        if record is None or now_s >= record.until_s:
            return Told(id=peer.id, groups=groups, weight=peer.weight, worst_w=worst_w, present=False)
        state = record.state
        echo = state.seen.get(self.id)
        return Told(
            id=peer.id,
            groups=groups,
            weight=peer.weight,
            worst_w=worst_w,
            present=True,
            floor_w=_of(state.floor, sign),
            wish_w=_of(state.wish, sign),
            claim_w=_of(state.claim, sign),
            ask_w=_of(state.ask, sign),
            sequence=0 if echo is None else echo.sequence,
        )

    def _state(self, now_s: float) -> State:
        up, down = self.sides[1], self.sides[-1]
        return State(
            member=self.id,
            flow_w=self.site.flow_w,
            base_w=self.site.base_w,
            floor=Range(-down.floor_w, up.floor_w),
            wish=_range(down.wish_w, up.wish_w),
            claim=_range(down.claim_w, up.claim_w),
            ask=_range(max(down.ask_w, down.claim_w), max(up.ask_w, up.claim_w)),
            capability=Range(0.0, 0.0),
            ahead=Range(0.0, 0.0),
            seen={
                voice: Seen(record.sequence, round((now_s - record.at_s) * 1e3))
                for voice, record in self.records.items()
                if now_s < record.until_s
            },
        )

    def _is_news(self) -> bool:
        if self.told is None or self.answers_due:
            return True
        least_w = max(1.0, 0.01 * max(self.member.import_w, self.member.export_w))
        up, down = self.sides[1], self.sides[-1]
        pairs = (
            (self.told.floor, Range(-down.floor_w, up.floor_w)),
            (self.told.claim, _range(down.claim_w, up.claim_w)),
            (self.told.ask, _range(max(down.ask_w, down.claim_w), max(up.ask_w, up.claim_w))),
        )
        return any(abs(old.lo_w - new.lo_w) > least_w or abs(old.hi_w - new.hi_w) > least_w for old, new in pairs)

    def _tell(self, now_s: float) -> None:
        state = self._state(now_s)
        self.sequence += 1
        unix_s = now_s + self.clock_off_s
        envelope = Envelope(self.id, self.sequence, unix_s, unix_s + self.world.timing.valid_s, encode(state))
        for side in self.sides.values():
            side.said(self.sequence, now_s)
        self.told, self.told_at_s, self.answers_due = state, now_s, False
        self.sent += 1
        self.engine.publish(f"{_KEY}/{self.id}", msgspec.msgpack.encode(envelope))


@dataclass(kw_only=True)
class World:
    """Links are to be made in :attr:`net` (:func:`line`, :func:`ring`, :func:`tree`, :func:`full`)."""

    roster: Roster
    sites: Mapping[str, Site]
    random: Random
    timing: Timing = field(default_factory=Timing)
    clock_off_s: Mapping[str, float] = field(default_factory=dict)
    watch: Callable[[World, Node], None] | None = None
    """Called whenever somebody has stepped."""

    def __post_init__(self) -> None:
        self.now_s = 100.0
        self.net = MemoryNet(self.random, self.now_s)
        self.limits_w = {
            sign: {each.id: each.import_w if sign > 0 else each.export_w for each in self.roster.groups.values()}
            for sign in SIGNS
        }
        self.nodes = {
            member.id: Node(self, member, self.sites[member.id], self.clock_off_s.get(member.id, 0.0))
            for member in self.roster.members.values()
        }
        self._ticks = 0
        self._phases = sorted((self.random.uniform(0.0, TICK_S), name) for name in self.nodes)

    def start(self, names: Iterable[str] | None = None) -> None:
        for name in self.nodes if names is None else names:
            self.nodes[name].start()

    def run(self, duration_s: float, until: Callable[[], bool] | None = None) -> float | None:
        """How long it took until then; None: it did not come."""
        began_s = self.now_s
        for _ in range(round(duration_s / TICK_S)):
            tick_s = 100.0 + self._ticks * TICK_S
            for phase_s, name in self._phases:
                self.now_s = tick_s + phase_s
                self.net.advance(self.now_s)
                node = self.nodes[name]
                if node.up:
                    node.step(self.now_s)
                node.follow(TICK_S)
                if self.watch is not None:
                    self.watch(self, node)
            self._ticks += 1
            if until is not None and until():
                return self.now_s - began_s
        return None

    def sum_w(self, group: str, sign: int) -> float:
        return sum(self.nodes[name].may_w(sign) for name in self.roster.below[group])

    def excess_w(self) -> float:
        """By how much the worst group is beyond its limit now, where its floors fit."""
        worst_w = -inf
        for group, below in self.roster.below.items():
            for sign in SIGNS:
                limit_w = self.limits_w[sign][group]
                if limit_w < inf and sum(self.nodes[name].own(sign).floor_w for name in below) <= limit_w:
                    worst_w = max(worst_w, self.sum_w(group, sign) - limit_w)
        return worst_w

    def optimum_w(self, sign: int) -> dict[str, float]:
        """The allocation of the true facts; who is down counts with its rating."""
        claimants = []
        for name, node in self.nodes.items():
            own, worst_w = node.own(sign), node.worst_w(sign)
            floor_w, wish_w = (own.floor_w, min(own.wish_w, worst_w)) if node.up else (worst_w, worst_w)
            claimants.append(
                Claimant(id=name, floor_w=floor_w, wish_w=wish_w, groups=node.path, weight=node.member.weight)
            )
        return fill(claimants, self.limits_w[sign])

    def distance_pu(self) -> float:
        """Sum of the distances of what they may take from the optimum, of the sum of the optimum's magnitudes."""
        worst = 0.0
        for sign in SIGNS:
            optimum = self.optimum_w(sign)
            up = [name for name, node in self.nodes.items() if node.up]
            off_w = sum(abs(self.nodes[name].sides[sign].may_w - optimum[name]) for name in up)
            worst = max(worst, off_w / max(1.0, sum(abs(optimum[name]) for name in up)))
        return worst

    def settled(self, within_pu: float = 0.01) -> bool:
        return self.distance_pu() <= within_pu


def line(world: World, names: Sequence[str], wire: Callable[[], Wire] = Wire) -> None:
    for one, other in pairwise(names):
        world.net.link(one, other, wire(), wire())


def ring(world: World, names: Sequence[str], wire: Callable[[], Wire] = Wire) -> None:
    line(world, names, wire)
    if len(names) > 2:
        world.net.link(names[-1], names[0], wire(), wire())


def tree(world: World, names: Sequence[str], wire: Callable[[], Wire] = Wire, fan: int = 3) -> None:
    for number, name in enumerate(names[1:]):
        world.net.link(names[number // fan], name, wire(), wire())


def full(world: World, names: Sequence[str], wire: Callable[[], Wire] = Wire) -> None:
    """Everybody beside everybody: each message has one hop, and is lost for each receiver by itself."""
    for number, one in enumerate(names):
        for other in names[number + 1 :]:
            world.net.link(one, other, wire(), wire())


def one_feeder(count: int, limit_w: float, rated_w: float) -> Roster:
    """All alike in one feeder."""
    members = [
        Member(id=f"t{number:03d}", group="feeder", import_w=rated_w, export_w=rated_w) for number in range(count)
    ]
    return Roster("test", "", [Group(id="feeder", import_w=limit_w, export_w=limit_w)], members)


@lru_cache(maxsize=4096)
def _opened(data: bytes) -> tuple[Envelope, State]:
    envelope = msgspec.msgpack.decode(data, type=Envelope)
    state = decode(envelope.payload)
    assert isinstance(state, State)
    return envelope, state


def _of(pair: Range, sign: int) -> float:
    return pair.hi_w if sign > 0 else -pair.lo_w


def _range(export_w: float, import_w: float) -> Range:
    lo_w, hi_w = -export_w, import_w
    return Range(min(lo_w, hi_w), max(lo_w, hi_w))
