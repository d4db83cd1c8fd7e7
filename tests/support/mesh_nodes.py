"""Nodes of a mesh with real keys and envelopes, a wire that the test decides about, and time that it moves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from support.mesh_pki import MeshPki
from v2g.mesh.envelope import Opener, Sealer
from v2g.mesh.identity import Identity
from v2g.mesh.messages import Message, Range, State
from v2g.mesh.node import Facts, MeshNode, Outgoing
from v2g.mesh.node_settings import NodeSettings
from v2g.mesh.ports import LinkStatus
from v2g.mesh.roster import Group, Member, Roster
from v2g.mesh.trust import Trust
from v2g.mesh.watch import MeshEvent

UNIX_S = 1_790_000_000.0
NETWORK = "grid-7/flat"
RATED_W = 100e3
TICK_S = 0.1
QUIET = Facts(flow_w=10e3, base_w=10e3)
SETTINGS = NodeSettings(ramp_w_s=20e3, margin_w=1e3, reserve_pu=0.0)
NONE = Range(0.0, 0.0)


@cache
def authority() -> MeshPki:
    """One for the whole process."""
    folder = TemporaryDirectory()
    pki = MeshPki(Path(folder.name), UNIX_S)
    pki.kept = folder  # type: ignore[attr-defined]
    return pki


@cache
def identity(name: str) -> Identity:
    return authority().identity(name)


@cache
def trust() -> Trust:
    return authority().trust()


def feeder(*names: str, limit_w: float = 200e3, head: str = "", **more: object) -> Roster:
    """All alike below one feeder; a ``head`` without a transformer beside them."""
    members = [Member(id=name, group="feeder", import_w=RATED_W, export_w=RATED_W) for name in names]
    if head:
        members.append(Member(id=head, group="feeder", import_w=0.0, export_w=0.0, head=True))
    return Roster("grid-7", "", [Group(id="feeder", import_w=limit_w, export_w=limit_w)], members, **more)  # type: ignore[arg-type]


def state_of(member: str, **more: object) -> State:
    fields: dict[str, object] = {
        "member": member, "flow_w": 10e3, "base_w": 10e3, "floor": Range(-11e3, 11e3), "wish": Range(-11e3, 11e3),
        "claim": Range(-11e3, 11e3), "ask": Range(-11e3, 11e3), "capability": NONE, "ahead": NONE,
    }  # fmt: skip
    return State(**{**fields, **more})  # type: ignore[arg-type]


def up(*nodes: str) -> tuple[LinkStatus, ...]:
    return tuple(LinkStatus(node=node, address=f"tls/{node}:7447", up=True, since_s=0.0) for node in nodes)


@dataclass
class Nodes:
    """All voices of a roster, or those that are named. ``passes``: whether what the first says comes to the second."""

    roster: Roster
    names: tuple[str, ...] = ()
    settings: NodeSettings = SETTINGS
    now_s: float = 100.0
    facts: dict[str, Facts] = field(default_factory=dict)
    links: dict[str, tuple[LinkStatus, ...]] = field(default_factory=dict)
    clock_off_s: dict[str, float] = field(default_factory=dict)
    measured_w: dict[str, Mapping[str, float]] = field(default_factory=dict)
    passes: Callable[[str, str], bool] = lambda one, other: True
    nodes: dict[str, MeshNode] = field(default_factory=dict)
    told: dict[str, list[MeshEvent]] = field(default_factory=dict)
    said: list[tuple[str, Outgoing]] = field(default_factory=list)
    """Of the last tick."""

    def __post_init__(self) -> None:
        voices = [voice for member in self.roster.members.values() for voice in member.voices]
        for voice in self.names or voices:
            self.start(voice)

    def start(self, voice: str) -> MeshNode:
        """Again: what it knew is gone."""
        member = self.roster.member_of(voice)
        assert member is not None
        voices = frozenset(each for member in self.roster.members.values() for each in member.voices)
        node = MeshNode(
            self.roster,
            voice,
            member,
            Sealer(NETWORK, identity(voice), round(self.unix_s(voice) * 1e6)),
            Opener(NETWORK, trust(), voices),
            self.settings,
            "0.1.0",
        )
        self.nodes[voice] = node
        self.told.setdefault(voice, [])
        return node

    def __getitem__(self, voice: str) -> MeshNode:
        return self.nodes[voice]

    def unix_s(self, voice: str = "") -> float:
        return UNIX_S + self.now_s + self.clock_off_s.get(voice, 0.0)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK_S)):
            self.tick()

    def tick(self) -> None:
        self.now_s += TICK_S
        self.said = []
        for voice, node in list(self.nodes.items()):
            outgoing = node.step(
                self.facts.get(voice, QUIET),
                self.links.get(voice, ()),
                self.now_s,
                self.unix_s(voice),
                self.measured_w.get(voice),
            )
            self.send(voice, outgoing)
            self.told[voice] += node.events()

    def send(self, sender: str, outgoing: Iterable[Outgoing]) -> None:
        for each in outgoing:
            self.said.append((sender, each))
            for voice, node in list(self.nodes.items()):
                if voice != sender and self.passes(sender, voice):
                    self.send(voice, node.receive(each.key, each.payload, self.now_s, self.unix_s(voice)))

    def give(self, to: str, sender: str, message: Message, *, sequence_us: int | None = None) -> tuple[Outgoing, ...]:
        """One message that ``sender`` signed, to one node; each by a sealer of its own, which is a start anew."""
        boot_us = round(self.unix_s() * 1e6) + 1_000_000 * len(self.said) if sequence_us is None else sequence_us
        sealer = Sealer(NETWORK, identity(sender), boot_us)
        _, data = sealer.seal(message, self.unix_s(), self.settings.valid_s, with_certificate=True)
        return self.nodes[to].receive(f"v2g/{NETWORK}/x/{sender}", data, self.now_s, self.unix_s(to))

    def follow(self, voice: str, base_w: float, want_w: float, plant_w: float = 1e9) -> None:
        """Its vehicles take what they want within what it may have now."""
        verdict = self.nodes[voice].verdict(self.now_s)
        may_w = min(want_w, max(0.0, verdict.import_w - base_w)) if want_w > 0 else want_w
        may_w = max(may_w, min(0.0, -verdict.export_w - base_w))
        before = self.facts.get(voice)
        flow_w = base_w + max(-plant_w, min(plant_w, may_w))
        self.facts[voice] = replace(
            before if before is not None else QUIET,
            flow_w=flow_w,
            base_w=base_w,
            want_hi_w=max(0.0, want_w),
            want_lo_w=min(0.0, want_w),
        )

    def events(self, voice: str, code: str) -> list[str]:
        return [event.words for event in self.told[voice] if event.code == code]
