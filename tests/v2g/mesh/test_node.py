"""Nodes that hear each other: what they tell, what they may, and what they drop and for which reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf

import msgspec
import pytest

from support.mesh_nodes import (
    NETWORK,
    QUIET,
    RATED_W,
    SETTINGS,
    TICK_S,
    UNIX_S,
    Nodes,
    authority,
    feeder,
    identity,
    state_of,
    up,
)
from support.mesh_pki import MeshPki
from v2g.mesh.envelope import Opener, Sealer
from v2g.mesh.messages import Range
from v2g.mesh.node import VERDICT_VALID_S, Facts, Outgoing
from v2g.mesh.trust import Drop

BUSY = Facts(flow_w=10e3, base_w=10e3, want_hi_w=90e3)


def mesh(*names: str, **more: object) -> Nodes:
    return Nodes(feeder(*(names or ("a", "b", "c"))), **more)  # type: ignore[arg-type]


def sequences(nodes: Nodes, receiver: str, seconds: float) -> dict[str, int]:
    """How many states of whom come to one node within some time."""
    before = {each.voice: each.sequence for each in nodes[receiver].book.all_heard()}
    nodes.run(seconds)
    return {each.voice: each.sequence - before[each.voice] for each in nodes[receiver].book.all_heard()}


def certificates(outgoing: list[tuple[str, Outgoing]], sender: str) -> list[bool]:
    """Of the states of one sender: whether the certificate was with them."""
    bodies = [
        msgspec.msgpack.decode(msgspec.msgpack.decode(each.payload)[0])
        for who, each in outgoing
        if who == sender and "/state/" in each.key
    ]
    return [bool(body[7]) for body in bodies]


# ---- telling ----


def test_a_node_tells_its_state_every_period_and_no_more_while_nothing_changes() -> None:
    nodes = mesh()
    nodes.run(30.0)
    told = sequences(nodes, "a", 20.0)
    assert set(told) == {"b", "c"}
    assert all(18 <= count <= 20 for count in told.values()), told


def test_a_change_is_told_at_once_but_no_more_often_than_the_least_gap() -> None:
    nodes = mesh()
    nodes.run(30.0)
    nodes.facts["b"] = replace(QUIET, flow_w=40e3, base_w=40e3)
    nodes.run(0.5)
    heard = nodes["a"].book.heard("b")
    assert heard is not None
    assert heard.state.flow_w == 40e3
    before = nodes["b"].states_sent
    for number in range(100):
        nodes.facts["b"] = replace(QUIET, flow_w=10e3 + 20e3 * (number % 2), base_w=10e3 + 20e3 * (number % 2))
        nodes.links["b"] = up("a") if number % 2 else ()
        nodes.tick()
    assert nodes["b"].states_sent - before <= 10.0 / SETTINGS.least_gap_s + 1


def test_the_certificate_goes_with_the_first_states_then_every_five_seconds_and_for_one_that_is_new() -> None:
    nodes = mesh(names=("a", "b"))
    sent: list[bool] = []
    for _ in range(300):
        nodes.tick()
        sent += certificates(nodes.said, "a")
    assert sent[:3] == [True] * 3
    assert sum(sent[5:]) == pytest.approx(len(sent[5:]) / 5, abs=2)
    nodes.start("c")
    nodes.run(1.3)
    assert nodes["c"].opener.counts.keys() <= {Drop.UNKNOWN_CERTIFICATE}
    assert {each.voice for each in nodes["c"].book.all_heard()} == {"a", "b"}


def test_one_that_does_not_say_that_it_hears_us_gets_the_certificate_with_each_state() -> None:
    nodes = mesh("a", "b")
    nodes.passes = lambda one, other: (one, other) != ("a", "b")
    nodes.run(3.0)
    sent: list[bool] = []
    for _ in range(100):
        nodes.tick()
        sent += certificates(nodes.said, "a")
    assert len(sent) > 5
    assert all(sent)


def test_a_state_says_who_was_heard_and_what_links_there_are_with_named_nodes_that_are_up() -> None:
    nodes = mesh()
    nodes.links["a"] = (*up("b", ""), replace(up("c")[0], up=False))
    nodes.run(3.0)
    told = nodes["a"].last_told
    assert told is not None
    assert told.links == ("b",)
    assert set(told.seen) == {"b", "c"}
    assert told.version == "0.1.0"


def test_ones_own_words_that_the_wire_brings_back_are_nobodys() -> None:
    nodes = mesh()
    nodes.run(2.0)
    key, payload = next((each.key, each.payload) for who, each in nodes.said + run_until_said(nodes, "a"))
    assert nodes["a"].receive(key, payload, nodes.now_s, nodes.unix_s()) == ()
    # Nor under another key.
    nodes["a"].receive("v2g/grid-7/flat/state/b", payload, nodes.now_s, nodes.unix_s())
    assert "a" not in {each.voice for each in nodes["a"].book.all_heard()}


def run_until_said(nodes: Nodes, sender: str) -> list[tuple[str, Outgoing]]:
    for _ in range(20):
        nodes.tick()
        found = [each for each in nodes.said if each[0] == sender]
        if found:
            return found
    raise AssertionError("it said nothing")


# ---- what it may ----


def test_before_anything_is_computed_and_once_nobody_renews_it_there_is_no_room_either_way() -> None:
    nodes = mesh()
    first = nodes["a"].verdict(nodes.now_s)
    assert (first.import_w, first.export_w, first.import_by) == (-inf, -inf, "mesh not yet known")
    nodes.run(10.0)
    standing = nodes["a"].verdict(nodes.now_s)
    assert standing.import_w > 0
    assert nodes["a"].verdict(nodes.now_s + VERDICT_VALID_S).import_w == -inf


def test_all_have_their_equal_parts_of_a_limit_within_seconds() -> None:
    nodes = mesh()
    for voice in "abc":
        nodes.facts[voice] = BUSY
    nodes.run(15.0)
    shares = [nodes[voice].verdict(nodes.now_s).import_w for voice in "abc"]
    assert shares == pytest.approx([200e3 / 3] * 3, rel=0.01)
    assert {nodes[voice].verdict(nodes.now_s).import_by for voice in "abc"} == {"feeder"}


def test_alone_in_the_dark_the_others_count_with_their_ratings() -> None:
    nodes = mesh()
    nodes.passes = lambda one, other: False
    nodes.facts["a"] = BUSY
    nodes.run(20.0)
    # 200 kW less twice 100 kW: what it draws without vehicles, 11 kW with its margin, cannot be helped.
    assert nodes["a"].verdict(nodes.now_s).import_w == pytest.approx(10e3, abs=1.1e3)


def test_a_flow_that_is_not_known_may_not_be_more_and_counts_with_the_rating() -> None:
    nodes = mesh()
    nodes.facts["a"] = Facts(flow_w=None, base_w=None, want_hi_w=90e3)
    nodes.run(10.0)
    verdict = nodes["a"].verdict(nodes.now_s)
    assert (verdict.import_w, verdict.import_by) == (-inf, "flow not known")
    heard = nodes["b"].book.heard("a")
    assert heard is not None
    assert heard.state.claim == Range(-RATED_W, RATED_W)


# ---- drops, each for its reason ----


def sealed(sender: str, at_s: float, *, certificate: bool = True, member: str = "", valid_s: float = 3.0) -> bytes:
    sealer = Sealer(NETWORK, identity(sender), round((UNIX_S + at_s) * 1e6))
    return sealer.seal(state_of(member or sender), UNIX_S + at_s, valid_s, with_certificate=certificate)[1]


def from_elsewhere(nodes: Nodes) -> bytes:
    sealer = Sealer("grid-8/flat", identity("b"), round(nodes.unix_s() * 1e6))
    return sealer.seal(state_of("b"), nodes.unix_s(), 3.0, with_certificate=True)[1]


def of_another_authority(nodes: Nodes) -> bytes:
    other = MeshPki(authority().folder / "other", UNIX_S).identity("b")
    sealer = Sealer(NETWORK, other, round(nodes.unix_s() * 1e6))
    return sealer.seal(state_of("b"), nodes.unix_s(), 3.0, with_certificate=True)[1]


def with_content(nodes: Nodes, content: bytes) -> bytes:
    body = msgspec.msgpack.decode(msgspec.msgpack.decode(sealed("b", nodes.now_s))[0])
    body[8] = content
    packed = msgspec.msgpack.encode(body)
    return msgspec.msgpack.encode([packed, identity("b").sign(b"v2g-mesh-1\x00" + packed)])


def tampered(nodes: Nodes) -> bytes:
    data = sealed("b", nodes.now_s)
    return data[:-1] + bytes([data[-1] ^ 1])


CASES: dict[Drop, Callable[[Nodes], bytes]] = {
    Drop.MALFORMED: lambda nodes: b"\xff" * 80,
    Drop.FOREIGN: from_elsewhere,
    Drop.NOT_A_MEMBER: lambda nodes: sealed("stranger", nodes.now_s),
    Drop.UNKNOWN_CERTIFICATE: lambda nodes: sealed("b", nodes.now_s, certificate=False),
    Drop.UNTRUSTED: of_another_authority,
    Drop.UNSIGNED: tampered,
    Drop.EXPIRED: lambda nodes: sealed("b", nodes.now_s - 10.0),
    Drop.CLOCK: lambda nodes: sealed("b", nodes.now_s + 300.0),
    Drop.CONTENT: lambda nodes: with_content(nodes, b"\x81\xa4type\xa5order"),
}


@pytest.mark.parametrize("reason", CASES)
def test_what_is_dropped_is_counted_told_and_changes_nothing(reason: Drop) -> None:
    nodes = mesh(names=("a",))
    nodes.run(1.0)
    assert nodes["a"].receive("v2g/grid-7/flat/state/b", CASES[reason](nodes), nodes.now_s, nodes.unix_s()) == ()
    assert nodes["a"].opener.counts == {reason: 1}
    assert nodes["a"].book.all_heard() == ()
    events = nodes["a"].events()
    if reason is Drop.UNKNOWN_CERTIFICATE:
        assert events == (), "it comes within seconds"
        return
    assert [event.code for event in events] == ["MESH_CLOCK" if reason is Drop.CLOCK else "MESH_DROP"]
    assert events[0].fields["reason"] == reason.value


def test_a_state_that_comes_twice_or_after_a_later_one_leaves_the_later_in_place() -> None:
    nodes = mesh(names=("a",))
    sealer = Sealer(NETWORK, identity("b"), round(nodes.unix_s() * 1e6))
    first, second, third = (
        sealer.seal(state_of("b", flow_w=float(flow_w)), nodes.unix_s(), 3.0, with_certificate=True)[1]
        for flow_w in (1, 2, 3)
    )
    for data in (first, third, third, second):
        nodes["a"].receive("v2g/grid-7/flat/state/b", data, nodes.now_s, nodes.unix_s())
    assert nodes["a"].opener.counts == {Drop.REPLAYED: 1, Drop.REORDERED: 1}
    heard = nodes["a"].book.heard("b")
    assert heard is not None
    assert (heard.state.flow_w, heard.missed) == (3.0, 1)


def test_what_a_member_said_before_it_started_anew_is_not_taken_for_new() -> None:
    nodes = mesh()
    nodes.run(5.0)
    old = [each.payload for who, each in run_until_said(nodes, "b") if "/state/" in each.key]
    nodes.run(0.5)
    nodes.start("b")
    nodes.run(0.5)
    heard = nodes["a"].book.heard("b")
    assert heard is not None
    sequence = heard.sequence
    for data in old:
        nodes["a"].receive("v2g/grid-7/flat/state/b", data, nodes.now_s, nodes.unix_s())
    again = nodes["a"].book.heard("b")
    assert again is not None
    assert again.sequence >= sequence
    assert nodes["a"].opener.counts[Drop.REPLAYED] + nodes["a"].opener.counts[Drop.REORDERED] == len(old)


def test_a_member_that_starts_anew_is_heard_at_once_and_misses_nothing() -> None:
    nodes = mesh()
    nodes.run(5.0)
    for _ in range(5):
        nodes.run(3.0)
        nodes.start("b")
        nodes.run(0.4)
        heard = nodes["a"].book.heard("b")
        assert heard is not None
        assert nodes.now_s - heard.at_s < 0.4
        assert heard.missed == 0
    assert not nodes["a"].opener.counts


@pytest.mark.parametrize("off_s", [-300.0, -120.0, 120.0, 300.0])
def test_a_clock_off_by_minutes_makes_a_member_absent_to_the_others_and_the_others_to_it(off_s: float) -> None:
    nodes = mesh(settings=replace(SETTINGS, deaf_after_s=5.0))
    for voice in "abc":
        nodes.facts[voice] = BUSY
    nodes.run(15.0)
    nodes.clock_off_s["c"] = off_s
    nodes.run(15.0)
    for voice in "ab":
        assert nodes[voice].book.present("c", nodes.now_s) == ()
        # 100 kW of 200 kW are its rating; the rest is for the two of them.
        assert nodes[voice].verdict(nodes.now_s).import_w == pytest.approx(50e3, rel=0.02)
    assert nodes["c"].verdict(nodes.now_s).import_w <= 11e3
    clocks = [words for words in nodes.events("a", "MESH_CLOCK") if "clock of c" in words]
    assert clocks
    assert all(("ahead of ours" if off_s > 0 else "behind ours") in words for words in clocks)
    assert nodes.events("c", "MESH_CLOCK")
    nodes.clock_off_s["c"] = 0.0
    nodes.run(20.0)
    assert [nodes[voice].verdict(nodes.now_s).import_w for voice in "abc"] == pytest.approx([200e3 / 3] * 3, rel=0.02)


def test_a_revoked_member_counts_with_the_worst_from_then_on() -> None:
    pki = MeshPki(authority().folder / "revoking", UNIX_S)
    nodes = mesh()
    for voice in "abc":
        nodes.nodes[voice]._opener = Opener(NETWORK, pki.trust(), frozenset("abc"))
        nodes.nodes[voice]._sealer = Sealer(NETWORK, pki.identity(voice), round(nodes.unix_s() * 1e6))
    nodes.run(5.0)
    assert nodes["a"].book.present("c", nodes.now_s)
    nodes["a"].opener.trust_anew(pki.trust(pki.revoke("c")))
    nodes.run(SETTINGS.valid_s + 0.2)
    assert nodes["a"].book.present("c", nodes.now_s) == ()
    assert nodes["a"].book.present("b", nodes.now_s)
    assert nodes["a"].opener.by_sender["c", Drop.REVOKED] >= 3
    assert any("revoked" in words for words in nodes.events("a", "MESH_DROP"))


def test_a_flood_silences_its_sender_and_nobody_else() -> None:
    nodes = mesh()
    nodes.run(5.0)
    sealer = Sealer(NETWORK, identity("b"), round(nodes.unix_s() * 1e6))
    for _ in range(round(6.0 / TICK_S)):
        for _ in range(20):
            _, data = sealer.seal(state_of("b"), nodes.unix_s(), 3.0, with_certificate=False)
            nodes["a"].receive("v2g/grid-7/flat/state/b", data, nodes.now_s, nodes.unix_s())
        nodes.tick()
    assert nodes["a"].opener.by_sender["b", Drop.FLOOD] > 900
    assert nodes["a"].book.present("c", nodes.now_s)
    assert len([words for words in nodes.events("a", "MESH_DROP") if "envelopes a second from b" in words]) <= 2
