"""What is fuzzed of a mesh's node: what members sign, and what comes besides, one turn after the other.

A turn is a byte for who and how, a byte for how long before, two for the length, and the content: a message that the
sender signs, or an envelope as it comes from the wire. What a node says must then be heard by the others, and what it
may must keep within the limits that the configuration has, whatever it was told.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from random import Random

import msgspec

from fuzz.checks import Sampler, require
from fuzz.mutators import change_tree
from support.mesh_nodes import NETWORK, RATED_W, SETTINGS, UNIX_S, identity, trust, up
from v2g.mesh.envelope import Opener, Sealer
from v2g.mesh.messages import Cap, Flexible, Message, Ping, Pong, Range, Seen, State, encode
from v2g.mesh.node import Facts, MeshNode, Outgoing
from v2g.mesh.region import region_facts
from v2g.mesh.roster import Group, Member, Roster
from v2g.mesh.tables import group_lines, member_lines

MOST_TURNS = 24
NODE_BYTES = 65_536
"""What a conversation holds beside its input."""
BOOT_US = 1_790_000_000_000_000
BEGIN_S = 100.0
WAIT_S = (0.0, 0.1, 0.1, 0.3, 1.0, 1.0, 3.1, 61.0)
SENDERS = ("b", "c", "h", "a")
GROUPS = (
    Group(id="root", import_w=250e3, export_w=150e3, capped=True, alone_import_w=200e3, alone_export_w=100e3),
    Group(id="branch", parent="root", import_w=150e3, export_w=150e3),
)
ROSTER = Roster(
    "grid-7",
    "r1",
    GROUPS,
    [
        Member(id="a", group="branch", import_w=RATED_W, export_w=RATED_W),
        Member(id="b", group="branch", import_w=RATED_W, export_w=RATED_W),
        Member(id="c", group="root", import_w=RATED_W, export_w=RATED_W),
        Member(id="h", group="root", import_w=0.0, export_w=0.0, head=True),
    ],
    gateways=("b",),
)
WORDS = sorted({*State.__struct_fields__, *Cap.__struct_fields__, *Ping.__struct_fields__, "type", "state", "cap", "a"})
BASE_W = 10e3


class Conversation:
    """``a``, and what the input says to it."""

    def __init__(self) -> None:
        voices = frozenset(SENDERS)
        self.now_s = BEGIN_S
        self.sealers = {name: Sealer(NETWORK, identity(name), BOOT_US) for name in SENDERS}
        self.node = MeshNode(
            ROSTER, "a", "a", Sealer(NETWORK, identity("a"), BOOT_US + 7), Opener(NETWORK, trust(), voices), SETTINGS
        )
        self.other = Opener(NETWORK, trust(), voices)
        self.sent: list[bytes] = []
        self.answers = 0

    @property
    def unix_s(self) -> float:
        return UNIX_S + self.now_s

    def run(self, data: bytes) -> None:
        for how, wait, content in turns(data):
            self.turn(how, wait, content)

    def turn(self, how: int, wait: int, content: bytes) -> None:
        self.now_s += WAIT_S[wait % len(WAIT_S)]
        sender = SENDERS[how % len(SENDERS)]
        key = f"v2g/grid-7/r1/{('state', 'cap', 'ping', 'pong')[how >> 2 & 3]}/{SENDERS[how >> 4 & 3]}"
        if how & 64:
            envelope = content
        elif how & 128 and self.sent:
            envelope = self.sent[len(content) % len(self.sent)]
        else:
            envelope = self.sealed(sender, content)
        self.heard_by_all(self.node.receive(key, envelope, self.now_s, self.unix_s), answers=True)
        self.step()

    def sealed(self, sender: str, content: bytes) -> bytes:
        """Signed whatever it is."""
        _, data = self.sealers[sender].seal(Ping(to="x", token=0), self.unix_s, 3.0, with_certificate=True)
        body = msgspec.msgpack.decode(msgspec.msgpack.decode(data)[0])
        packed = msgspec.msgpack.encode([*body[:-1], content])
        envelope = msgspec.msgpack.encode([packed, identity(sender).sign(b"v2g-mesh-1\x00" + packed)])
        self.sent.append(envelope)
        return envelope

    def step(self) -> None:
        node, now_s = self.node, self.now_s
        facts = Facts(flow_w=BASE_W, base_w=BASE_W, want_hi_w=80e3, want_lo_w=-80e3)
        self.heard_by_all(node.step(facts, up("b"), now_s, self.unix_s), answers=False)
        for event in node.events():
            require(event.words.isprintable() and len(event.words) < 600, f"for people: {event.words!r}")
        verdict = node.verdict(now_s)
        floor_w = BASE_W + SETTINGS.margin_w
        for may_w, limit_w, base_w in ((verdict.import_w, 150e3, floor_w), (verdict.export_w, 150e3, floor_w)):
            require(may_w == may_w, "a verdict that is no number")
            require(may_w <= max(limit_w, base_w) + 1.0, f"{may_w} W, and the branch has {limit_w} W")
        for group, (import_w, export_w) in node.limits_w(now_s).items():
            configured = ROSTER.groups[group]
            require(0.0 <= import_w <= configured.import_w, f"{group} has {import_w} W import")
            require(0.0 <= export_w <= configured.export_w, f"{group} has {export_w} W export")
        lines = member_lines(node, up("b"), now_s)
        texts = [text for line in lines for text in (*line.links, line.permit, line.version)]
        require("".join(texts).isprintable(), f"for people: {texts}")
        shown = msgspec.json.encode([lines, group_lines(node, now_s, self.unix_s)])
        require(len(shown) < 65_536, "more than people can be shown")
        region_facts(node, GROUPS[0], now_s)
        require(len(node.book.all_heard()) <= len(SENDERS) - 1, "somebody is heard who is no other member")
        require(all(each.voice != "a" for each in node.book.all_heard()), "it hears itself")
        loss = node.watch.loss
        require(loss is None or 0.0 <= loss < 1.0, f"loss of {loss}")

    def heard_by_all(self, outgoing: tuple[Outgoing, ...], *, answers: bool) -> None:
        for each in outgoing:
            opened = self.other.open(each.payload, self.now_s, self.unix_s)
            require(opened.sender == "a", "said in another's name")
            require(isinstance(opened.message, Pong if answers else State), f"it says {opened.message}")
            self.answers += answers


def turns(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(how, wait, content)."""
    at = 0
    for _ in range(MOST_TURNS):
        if len(data) < at + 4:
            return
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        yield data[at], data[at + 1], data[at + 4 : at + 4 + length]
        at += 4 + length


def packed(found: list[tuple[int, int, bytes]]) -> bytes:
    return b"".join(
        bytes((how, wait)) + min(len(content), 65_535).to_bytes(2, "big") + content[:65_535]
        for how, wait, content in found
    )


def check_node(sampler: Sampler, data: bytes) -> None:
    """A node neither raises nor says what others drop, and never has more than its groups."""
    if sampler.due():
        sampler.memory(lambda: Conversation().run(data), NODE_BYTES + len(data), ())
    conversation = Conversation()
    conversation.run(data)
    sampler.counts["accepted" if conversation.node.opener.opened else "refused"] += 1


def rewrite(rng: Random, data: bytes) -> bytes | None:
    """One turn's message with other content, or turns in another order."""
    found = list(turns(data))
    if not found:
        return None
    if rng.random() < 0.2:
        rng.shuffle(found)
        return packed(found)
    place = rng.randrange(len(found))
    how, wait, content = found[place]
    try:
        tree = msgspec.msgpack.decode(content)
        for _ in range(rng.choice((1, 1, 2, 4))):
            tree = change_tree(rng, tree, WORDS)
        found[place] = how, wait, msgspec.msgpack.encode(tree)
    except (ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        return None
    return packed(found)


def node_seeds() -> list[bytes]:
    """Members that say what they are to say, in some orders; the second byte of each turn is how long it waits."""
    pair, wide = Range(-1e4, 2e4), Range(-9e4, 9e4)

    def state(name: str, sequence: int) -> Message:
        return State(
            member=name, flow_w=1.5e4, base_w=9e3, floor=pair, wish=wide, claim=pair, ask=wide, capability=wide,
            ahead=pair, top_oil_c=61.0, hot_spot_c=77.5, flexible=Flexible(vehicles=2, needed_wh=9e3, surplus_wh=1e4),
            seen={"a": Seen(BOOT_US + 7 + sequence, 90)}, links=("a",), version="0.1.0",
        )  # fmt: skip

    said: list[tuple[int, int, Message]] = []
    for number in range(6):
        said += [(0, 1, state("b", number)), (1, 1, state("c", number)), (2, 1, state("h", number))]
    caps: list[tuple[int, int, Message]] = [
        (2, 1, Cap(group="branch", import_w=1e5, export_w=0.0, reason="fire")),
        (0, 1, Cap(group="root", import_w=5e4, export_w=5e4)),
        (1, 1, Cap(group="root", import_w=9e8, export_w=9e8)),
        (0, 7, Ping(to="a", token=7)),
        (1, 0, Pong(to="a", token=7)),
        (3, 0, Ping(to="a", token=9)),
    ]
    lies: list[tuple[int, int, Message]] = [(0, 4, state("c", 1)), (1, 4, state("a", 1)), (2, 6, state("h", 99))]
    talks = [said, [*said[:6], *caps], [*caps, *said[:9]], [*lies, *said[:6]]]
    talks += [list(each) for each in pairwise((*said[:3], *caps, *lies))]
    found = [packed([(how, wait, encode(message)) for how, wait, message in talk]) for talk in talks]
    replayed = [*((how, wait, encode(message)) for how, wait, message in said[:6]), (128, 1, b"ab"), (128, 4, b"")]
    return [*found, packed(replayed), packed([(64, 1, b"\x92\xc4\x00\xc4\x00"), (80, 1, b"")])]
