"""A region in the north: what its members tell summed up, what the north leaves it as a cap."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import pytest

from support.mesh_nodes import QUIET, SETTINGS, Nodes, state_of, up
from v2g.mesh.gateway import Gatekeeper, Role
from v2g.mesh.messages import MOST_VEHICLES, MOST_W, Cap, Flexible, Range, Seen, State
from v2g.mesh.node import Facts, Sums, Verdict
from v2g.mesh.region import region_cap, region_facts
from v2g.mesh.roster import Group, Member, Roster

ROOT = Group(id="root", import_w=250e3, export_w=150e3, capped=True, alone_import_w=40e3, alone_export_w=0.0)
REGION = Roster(
    "grid-7",
    "r1",
    [ROOT, Group(id="branch", parent="root", import_w=120e3, export_w=120e3)],
    [Member(id=name, group="root" if name == "g1" else "branch", import_w=1e5, export_w=8e4) for name in ("g1", "a")]
    + [Member(id="b", group="branch", import_w=1e5, export_w=8e4)],
    gateways=("g1", "a"),
)
NORTH = Roster(
    "grid-7",
    "north",
    [Group(id="station", import_w=100e3, export_w=100e3)],
    [
        Member(id="r1", group="station", import_w=250e3, export_w=150e3, speakers=("g1", "a")),
        Member(id="r2", group="station", import_w=50e3, export_w=50e3, speakers=("h1",)),
    ],
)


def verdict(import_w: float, export_w: float, by: str = "station") -> Verdict:
    return Verdict(import_w=import_w, export_w=export_w, import_by=by, export_by=by, expires_at_s=1e9)


@pytest.fixture
def nodes() -> Nodes:
    return Nodes(REGION)


def hear(nodes: Nodes, **states: State) -> None:
    for voice, state in states.items():
        assert nodes["g1"].book.take_state(voice, state, 1, 0, 3.0, nodes.now_s) is not None


def test_sums_are_over_the_own_node_and_all_that_are_heard(nodes: Nodes) -> None:
    nodes.facts["g1"] = Facts(flow_w=20e3, base_w=5e3, want_hi_w=30e3, want_lo_w=-10e3)
    for name in ("a", "b"):
        del nodes.nodes[name]
    nodes.run(0.1)
    own = nodes["g1"].last_told
    assert own is not None
    hear(
        nodes,
        a=state_of(
            "a", flow_w=-3e3, base_w=2e3, floor=Range(-1e3, 3e3), wish=Range(-9e3, 33e3), claim=Range(-5e3, 20e3),
            ask=Range(-9e3, 90e3), capability=Range(-7e3, 30e3), ahead=Range(-1e3, 10e3), hot_spot_c=71.0,
            flexible=Flexible(vehicles=2, needed_wh=1e3, surplus_wh=5e2),
        ),
        b=state_of(
            "b", flow_w=4e3, base_w=4e3, floor=Range(-4e3, 5e3), wish=Range(-4e3, 55e3), claim=Range(-4e3, 50e3),
            capability=Range(0.0, 50e3), hot_spot_c=93.0, flexible=Flexible(vehicles=3, needed_wh=2e3),
        ),
    )  # fmt: skip
    facts = region_facts(nodes["g1"], ROOT, nodes.now_s)
    assert (facts.flow_w, facts.base_w, facts.hot_spot_c) == (21e3, 11e3, 93.0)
    assert facts.capability == Range(-7e3, 80e3)
    assert facts.ahead == Range(-1e3, 10e3)
    assert facts.flexible == Flexible(vehicles=5, needed_wh=3e3, surplus_wh=5e2)
    assert facts.permit == ""
    assert facts.sums is not None
    assert facts.sums.floor == Range(own.floor.lo_w - 5e3, own.floor.hi_w + 8e3)
    assert facts.sums.wish == Range(own.wish.lo_w - 13e3, own.wish.hi_w + 88e3)
    # What is asked for, 90 kW, is not held.
    assert facts.sums.held == Range(own.claim.lo_w - 9e3, own.claim.hi_w + 70e3)


def test_a_member_that_is_not_heard_counts_with_its_rating_and_the_flow_is_not_known(nodes: Nodes) -> None:
    del nodes.nodes["b"]
    nodes.run(2.0)
    facts = region_facts(nodes["g1"], ROOT, nodes.now_s)
    assert (facts.flow_w, facts.base_w, facts.permit) == (None, None, "some members are not heard")
    assert facts.sums is not None
    own, other = nodes["g1"].last_told, nodes["a"].last_told
    assert own is not None
    assert other is not None
    assert facts.sums.floor.hi_w == own.floor.hi_w + other.floor.hi_w + 1e5
    assert facts.sums.floor.lo_w == own.floor.lo_w + other.floor.lo_w - 8e4
    assert facts.sums.held.hi_w == own.claim.hi_w + other.claim.hi_w + 1e5


def test_before_it_has_told_anything_a_gateway_counts_with_its_own_rating(nodes: Nodes) -> None:
    facts = region_facts(nodes["g1"], ROOT, nodes.now_s)
    assert facts.sums is not None
    assert facts.sums.floor == Range(-2.4e5, 3e5)


def test_one_member_that_does_not_know_its_flow_makes_that_of_the_region_unknown(nodes: Nodes) -> None:
    nodes.facts["b"] = replace(QUIET, flow_w=None)
    nodes.run(2.0)
    facts = region_facts(nodes["g1"], ROOT, nodes.now_s)
    assert facts.flow_w is None
    assert facts.sums is not None
    assert facts.sums.floor.hi_w >= 1e5


def test_wishes_end_at_the_regions_own_limit_and_never_below_its_floor(nodes: Nodes) -> None:
    for voice in ("g1", "a", "b"):
        nodes.facts[voice] = Facts(flow_w=0.0, base_w=0.0, want_hi_w=100e3, want_lo_w=-80e3)
    nodes.run(2.0)
    sums = region_facts(nodes["g1"], ROOT, nodes.now_s).sums
    assert sums is not None
    assert sums.wish == Range(-150e3, 250e3)
    tight = replace(ROOT, import_w=1e3, export_w=0.0)
    sums = region_facts(nodes["g1"], tight, nodes.now_s).sums
    assert sums is not None
    assert sums.wish == sums.floor


# ---- the cap ----


def test_the_norths_share_is_told_as_a_cap_of_the_regions_group() -> None:
    cap = region_cap(ROOT, verdict(60e3, 20e3))
    assert (cap.group, cap.import_w, cap.export_w) == ("root", 60e3, 20e3)
    assert cap.reason == "share of the north (station)"


@pytest.mark.parametrize(
    ("import_w", "export_w", "expected"),
    [
        (-inf, -inf, (0.0, 0.0)),
        (inf, inf, (250e3, 150e3)),
        (-5e3, 900e3, (0.0, 150e3)),
        (0.0, -1.0, (0.0, 0.0)),
    ],
)
def test_a_cap_is_a_magnitude_within_the_regions_limit(
    import_w: float, export_w: float, expected: tuple[float, float]
) -> None:
    cap = region_cap(ROOT, verdict(import_w, export_w))
    assert (cap.import_w, cap.export_w) == expected


def test_where_nothing_limits_a_cap_is_still_a_power() -> None:
    cap = region_cap(Group(id="root", capped=True), verdict(inf, inf, "x" * 300))
    assert (cap.import_w, cap.export_w) == (MOST_W, MOST_W)
    assert len(cap.reason) == 160


# ---- both together ----


def test_without_a_cap_a_region_has_what_it_has_alone_and_with_one_what_the_north_leaves_it(nodes: Nodes) -> None:
    for voice in ("g1", "a", "b"):
        nodes.facts[voice] = Facts(flow_w=0.0, base_w=0.0, want_hi_w=100e3)
    nodes.run(10.0)
    assert nodes["b"].limits_w(nodes.now_s)["root"] == (40e3, 0.0)
    assert sum(nodes[name].verdict(nodes.now_s).import_w for name in ("g1", "a", "b")) <= 40e3 + 1.0
    nodes["g1"].set_cap(region_cap(ROOT, verdict(200e3, 0.0)), nodes.unix_s() + 60.0)
    nodes.run(20.0)
    assert nodes["b"].limits_w(nodes.now_s)["root"] == (200e3, 0.0)
    # The branch has 120 kW for its two.
    total_w = sum(nodes[name].verdict(nodes.now_s).import_w for name in ("g1", "a", "b"))
    assert total_w == pytest.approx(200e3, rel=0.02)
    nodes["g1"].clear_cap("root")
    nodes.run(SETTINGS.valid_s + 0.1)
    assert nodes["b"].limits_w(nodes.now_s)["root"] == (40e3, 0.0)


def test_two_gateways_that_cap_at_once_leave_the_tighter_of_both(nodes: Nodes) -> None:
    nodes["g1"].set_cap(region_cap(ROOT, verdict(200e3, 10e3)), nodes.unix_s() + 60.0)
    nodes["a"].set_cap(region_cap(ROOT, verdict(90e3, 50e3)), nodes.unix_s() + 60.0)
    nodes.run(2.0)
    for voice in ("g1", "a", "b"):
        assert nodes[voice].limits_w(nodes.now_s)["root"] == (90e3, 10e3)


def test_a_member_that_is_no_gateway_cannot_cap_the_region(nodes: Nodes) -> None:
    nodes.run(1.0)
    nodes.give("a", "b", Cap(group="root", import_w=250e3, export_w=250e3))
    assert nodes["a"].limits_w(nodes.now_s)["root"] == (40e3, 0.0)
    assert nodes["a"].watch.refusals == {"b": 1}


def test_a_gateway_cannot_cap_a_group_within_the_region(nodes: Nodes) -> None:
    with pytest.raises(ValueError, match="g1 may not cap branch"):
        nodes["g1"].set_cap(Cap(group="branch", import_w=1.0, export_w=1.0), nodes.unix_s() + 60.0)
    nodes.give("b", "g1", Cap(group="branch", import_w=1.0, export_w=1.0))
    assert nodes["b"].limits_w(nodes.now_s)["branch"] == (120e3, 120e3)


def north_facts(floor_w: float, wish_w: float, held_w: float) -> Facts:
    sums = Sums(floor=Range(0.0, floor_w), wish=Range(0.0, wish_w), held=Range(0.0, held_w))
    return Facts(flow_w=held_w, base_w=floor_w, sums=sums)


def test_two_voices_of_one_region_in_the_north_count_with_the_more_of_both() -> None:
    """Two gateways that are live for a moment, or that hear different halves of their region."""
    north = Nodes(NORTH)
    north.facts["g1"] = north_facts(20e3, 60e3, 20e3)
    north.facts["a"] = north_facts(70e3, 90e3, 70e3)
    north.facts["h1"] = Facts(flow_w=0.0, base_w=0.0, want_hi_w=50e3)
    north.run(20.0)
    told = north["h1"]._told_of("r1", north["h1"].book.present("r1", north.now_s), 1)
    assert told.present
    assert (told.floor_w, told.wish_w) == (70e3, 90e3)
    assert told.claim_w >= 70e3
    assert north["h1"].verdict(north.now_s).import_w <= 30e3 + 1.0
    del north.nodes["a"]
    north.run(10.0)
    assert north["h1"].verdict(north.now_s).import_w > 39e3


def test_a_region_has_seen_what_the_slower_of_its_voices_has_seen() -> None:
    north = Nodes(NORTH)
    node = north["h1"]
    for sequence in (5, 9):
        node.book.sent(sequence, 100.0)
    for voice, sequence in (("g1", 9), ("a", 5)):
        state = state_of("r1", seen={"h1": Seen(sequence, 0)})
        assert node.book.take_state(voice, state, 1, 0, 3.0, 100.0) is not None
    assert node._told_of("r1", node.book.present("r1", 100.0), 1).sequence == 5


def test_a_takeover_keeps_the_north_within_its_limit() -> None:
    """The first dies; the second speaks two leases later; between them the region counts with its worst."""
    north = Nodes(NORTH)
    keeper = Gatekeeper("a", ("g1", "a"))
    del north.nodes["a"]
    alive = {"g1", "a"}
    north.facts["h1"] = Facts(flow_w=0.0, base_w=0.0, want_hi_w=50e3)
    flow_w = 0.0
    live_at_s = 0.0
    for tenth in range(600):
        if tenth == 200:
            del north.nodes["g1"]
            alive.discard("g1")
        if keeper.step(north.now_s, frozenset(alive)) is Role.LIVE and "a" not in north.nodes:
            north.start("a")
            live_at_s = north.now_s
        voice = next((each for each in ("g1", "a") if each in north.nodes), None)
        if voice is not None:
            may_w = north[voice].verdict(north.now_s).import_w
            flow_w = max(10e3, min(70e3, may_w))
            north.facts[voice] = north_facts(10e3, 70e3, flow_w)
        north.follow("h1", 0.0, 50e3)
        north.tick()
        assert flow_w + (north.facts["h1"].flow_w or 0.0) <= 100e3 + 2e3, f"at {tenth / 10} s"
    assert live_at_s == pytest.approx(100.0 + 20.0 + 2.0, abs=0.2)
    share_w = north["a"].verdict(north.now_s).import_w + north["h1"].verdict(north.now_s).import_w
    assert share_w == pytest.approx(100e3, rel=0.03)


# ---- what a member of the region may not break ----


def test_members_that_tell_the_most_there_may_be_do_not_silence_their_region() -> None:
    """A sum of lies may be beyond what a message can have: the north would drop it, and count the worst."""
    north, region = Nodes(NORTH), Nodes(REGION)
    most = Range(-MOST_W, MOST_W)
    region.run(0.2)
    lies = {
        name: state_of(
            name, flow_w=MOST_W, base_w=MOST_W, floor=most, wish=most, claim=most, ask=most, capability=most,
            ahead=most, flexible=Flexible(vehicles=MOST_VEHICLES, needed_wh=1e9, surplus_wh=-1e9), hot_spot_c=1000.0,
        )
        for name in ("a", "b")
    }  # fmt: skip
    hear(region, **lies)
    north.facts["g1"] = region_facts(region["g1"], ROOT, region.now_s)
    assert north.facts["g1"].flow_w is not None
    assert north.facts["g1"].flow_w > MOST_W
    north.links["g1"] = up("h1")
    north.run(2.0)
    assert not north["h1"].opener.counts
    heard = north["h1"].book.heard("r1")
    assert heard is not None
    assert heard.fresh(north.now_s)
    assert heard.state.capability == most
    assert heard.state.flow_w is None
    assert heard.state.flexible.vehicles == MOST_VEHICLES


@pytest.mark.parametrize("value", [nan, inf, -inf, 1e300])
def test_a_fact_that_is_no_number_is_told_as_not_known_and_costs_no_state(value: float) -> None:
    nodes = Nodes(REGION)
    nodes.facts["g1"] = Facts(
        flow_w=value, base_w=value, want_hi_w=value, want_lo_w=value, capability=Range(value, value),
        ahead=Range(value, value), top_oil_c=value, hot_spot_c=value,
        flexible=Flexible(vehicles=1, needed_wh=value, surplus_wh=value),
    )  # fmt: skip
    nodes.run(2.0)
    assert not nodes["a"].opener.counts
    heard = nodes["a"].book.heard("g1")
    assert heard is not None
    state = heard.state
    assert (state.flow_w, state.base_w, state.top_oil_c, state.hot_spot_c) == (None, None, None, None)
    assert state.flexible == Flexible(vehicles=1)
    assert state.claim == state.floor == Range(-8e4, 1e5)
