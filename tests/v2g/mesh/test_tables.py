"""What a node knows, as lines: members, groups, islands, of nodes that really talk."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.mesh_nodes import QUIET, RATED_W, Nodes, feeder, up
from v2g.control.messages_mesh import MeshGroupLine, MeshMemberLine
from v2g.mesh.messages import Cap, Flexible
from v2g.mesh.roster import Group, Member, Roster
from v2g.mesh.tables import group_lines, member_lines, ordered_islands


def line_of_three(**more: object) -> Nodes:
    """head - a - b, settled."""
    nodes = Nodes(feeder("a", "b", head="head"), **more)  # type: ignore[arg-type]
    nodes.links = {"head": up("a"), "a": up("head", "b"), "b": up("a")}
    nodes.run(6.0)
    return nodes


def members(nodes: Nodes, voice: str) -> dict[str, MeshMemberLine]:
    return {line.id: line for line in member_lines(nodes[voice], nodes.links.get(voice, ()), nodes.now_s)}


def feeder_line(nodes: Nodes, voice: str) -> MeshGroupLine:
    (line,) = group_lines(nodes[voice], nodes.now_s, nodes.unix_s())
    return line


def test_we_come_first_and_the_others_by_name() -> None:
    nodes = line_of_three()
    assert [line.id for line in member_lines(nodes["b"], nodes.links["b"], nodes.now_s)] == ["b", "a", "head"]
    assert [line.ourselves for line in member_lines(nodes["b"], nodes.links["b"], nodes.now_s)] == [True, False, False]


def test_hops_are_counted_from_us_and_to_the_head() -> None:
    seen = members(line_of_three(), "b")
    assert {name: (line.hops, line.hops_to_substation) for name, line in seen.items()} == {
        "b": (0, 2), "a": (1, 1), "head": (2, 0),
    }  # fmt: skip


def test_without_a_head_there_is_no_way_to_the_substation() -> None:
    nodes = Nodes(feeder("a", "b"))
    nodes.links = {"a": up("b"), "b": up("a")}
    nodes.run(6.0)
    assert [line.hops_to_substation for line in members(nodes, "a").values()] == [None, None]


def test_what_a_member_tells_stands_in_its_line() -> None:
    nodes = Nodes(feeder("a", "b"))
    told = replace(
        QUIET, flow_w=33e3, base_w=33e3, hot_spot_c=71.5, top_oil_c=50.0, permit="no permit",
        flexible=Flexible(vehicles=3, needed_wh=9e3, surplus_wh=4e3),
    )  # fmt: skip
    nodes.facts["b"] = told
    nodes.links = {"a": up("b"), "b": up("a")}
    nodes.run(6.0)
    line = members(nodes, "a")["b"]
    assert (line.flow_w, line.hot_spot_c, line.top_oil_c, line.vehicles) == (33e3, 71.5, 50.0, 3)
    assert (line.needed_wh, line.surplus_wh, line.permit, line.links) == (9e3, 4e3, "no permit", ("a",))
    assert (line.present, line.deaf, line.version) == (True, False, "0.1.0")
    assert line.age_s is not None
    assert 0.0 <= line.age_s <= 1.1
    assert line.round_trip_ms is not None
    assert line.import_share_w >= 33e3


def test_states_are_counted_as_totals_and_lost_ones_too() -> None:
    nodes = line_of_three()
    before = members(nodes, "a")["b"]
    assert before.states_taken > 3
    assert before.states_missed == 0
    nodes.passes = lambda one, other: one != "b"
    nodes.run(2.0)
    nodes.passes = lambda one, other: True
    nodes.run(3.0)
    after = members(nodes, "a")["b"]
    assert after.states_taken > before.states_taken
    assert after.states_missed >= 1
    assert after.loss_pct is not None
    assert after.loss_pct > 0.0
    sent = nodes["b"].states_sent
    assert after.states_taken + after.states_missed == sent


def test_who_is_not_heard_counts_with_its_rating_and_is_an_island_of_its_own() -> None:
    nodes = line_of_three()
    nodes.passes = lambda one, other: "b" not in (one, other)
    nodes.links = {"head": up("a"), "a": up("head"), "b": ()}
    nodes.run(8.0)
    line = members(nodes, "a")["b"]
    assert (line.present, line.deaf, line.hops, line.round_trip_ms, line.links) == (False, False, None, None, ())
    assert (line.import_share_w, line.export_share_w) == (RATED_W, RATED_W)
    assert line.age_s is not None
    assert line.age_s > 7.0
    islands = ordered_islands(nodes["a"], nodes.links["a"], nodes.now_s)
    assert [set(island) for island in islands] == [{"a", "head"}, {"b"}]
    assert (line.island, members(nodes, "a")["a"].island) == (2, 1)
    assert ordered_islands(nodes["b"], (), nodes.now_s)[0] == ("b",), "ours comes first for each"


def test_who_was_never_heard_has_no_age_and_no_words() -> None:
    nodes = Nodes(feeder("a", "b"), names=("a",))
    nodes.run(6.0)
    line = members(nodes, "a")["b"]
    assert (line.present, line.age_s, line.flow_w, line.vehicles, line.loss_pct) == (False, None, None, None, None)
    assert (line.permit, line.version, line.states_taken) == ("", "", 0)


def test_who_does_not_hear_us_is_deaf_and_counts_with_its_rating() -> None:
    nodes = line_of_three()
    nodes.passes = lambda one, other: (one, other) != ("a", "b")
    nodes.run(8.0)
    line = members(nodes, "a")["b"]
    assert (line.present, line.deaf) == (False, True)
    assert line.import_share_w == RATED_W
    assert line.flow_w == 10e3, "what it says last is shown all the same"
    assert line.hops is not None


def test_a_group_tells_its_limit_what_counts_and_the_sum_of_flows_without_a_head_that_has_no_transformer() -> None:
    nodes = line_of_three()
    line = feeder_line(nodes, "a")
    shares = members(nodes, "a")
    assert (line.import_w, line.export_w, line.parent, line.cap) == (200e3, 200e3, "", None)
    assert (line.members, line.present) == (3, 3)
    assert line.flow_w == pytest.approx(20e3)
    assert line.counted_import_w == pytest.approx(shares["a"].import_share_w + shares["b"].import_share_w)
    assert line.counted_export_w == pytest.approx(shares["a"].export_share_w + shares["b"].export_share_w)


def test_a_group_with_one_that_is_not_heard_knows_no_flow_and_counts_its_rating() -> None:
    nodes = line_of_three()
    nodes.passes = lambda one, other: "b" not in (one, other)
    nodes.run(8.0)
    line = feeder_line(nodes, "a")
    assert (line.flow_w, line.present) == (None, 2)
    assert line.counted_import_w == pytest.approx(RATED_W + members(nodes, "a")["a"].import_share_w)


def test_a_group_without_limits_says_so() -> None:
    free = Group(id="yard", import_w=float("inf"), export_w=float("inf"))
    roster = Roster("grid-7", "", [free], [Member(id="a", group="yard", import_w=RATED_W, export_w=RATED_W)])
    nodes = Nodes(roster)
    nodes.run(2.0)
    (line,) = group_lines(nodes["a"], nodes.now_s)
    assert (line.import_w, line.export_w) == (None, None)


def test_the_group_that_binds_us_is_marked() -> None:
    nodes = Nodes(feeder("a", "b", limit_w=100e3))
    nodes.links = {"a": up("b"), "b": up("a")}
    nodes.facts = {name: replace(QUIET, want_hi_w=80e3) for name in ("a", "b")}
    nodes.run(15.0)
    line = feeder_line(nodes, "a")
    assert (line.binds_import, line.binds_export) == (True, False)
    assert line.counted_import_w <= 100e3 + 1.0


def test_a_cap_is_told_to_all_and_its_end_where_it_was_ordered() -> None:
    nodes = line_of_three()
    cap = Cap(group="feeder", import_w=50e3, export_w=60e3, reason="works")
    nodes["head"].set_cap(cap, nodes.unix_s() + 600.0)
    nodes.run(3.0)
    here, there = feeder_line(nodes, "head"), feeder_line(nodes, "b")
    assert here.cap is not None
    assert there.cap is not None
    assert (there.import_w, there.export_w) == (50e3, 60e3)
    assert (there.cap.by, there.cap.reason, there.cap.import_w) == ("head", "works", 50e3)
    assert 0.0 < there.cap.ends_in_s <= 3.0
    assert there.cap.ordered_s is None
    assert here.cap.ordered_s == pytest.approx(597.0, abs=0.2)
    (without_clock,) = group_lines(nodes["head"], nodes.now_s)
    assert without_clock.cap is not None
    assert without_clock.cap.ordered_s is None


def test_a_cap_that_ended_is_not_told_any_more() -> None:
    nodes = line_of_three()
    nodes["head"].set_cap(Cap(group="feeder", import_w=50e3, export_w=60e3), nodes.unix_s() + 2.0)
    nodes.run(8.0)
    assert feeder_line(nodes, "b").cap is None
    assert feeder_line(nodes, "b").import_w == 200e3
