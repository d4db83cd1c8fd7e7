from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from random import Random

import pytest

from support.mesh_world import SIGNS, Node, Site, Timing, World, full, line, one_feeder
from v2g.mesh.memory import Wire
from v2g.mesh.roster import Group, Member, Roster
from v2g.mesh.side import LAPSE_S, Own, Side, Steady, Told

LIMITS_W = {"f": 100.0}
OWN = Own(id="A", groups=("f",), weight=1.0, worst_w=80.0, floor_w=10.0, wish_w=60.0, flow_w=10.0)
PEER = Told(
    id="B", groups=("f",), weight=1.0, worst_w=80.0, present=True, floor_w=10.0, wish_w=30.0, claim_w=10.0, ask_w=30.0
)
AT_ONCE_W_S = 1e9
RATED_W = 50e3


def begun(sequence: int = 11, ramp_w_s: float = AT_ONCE_W_S, own: Own = OWN) -> Side:
    """Has told one state at 0 s, in which it asks for its 60 W."""
    side = Side(ramp_w_s)
    side.step(own, [PEER], LIMITS_W, 0.0)
    side.said(sequence, 0.0)
    return side


def test_who_is_alone_takes_its_wish_at_once() -> None:
    side = Side(AT_ONCE_W_S)
    side.step(OWN, [], LIMITS_W, 0.0)
    side.step(OWN, [], LIMITS_W, 0.1)
    assert (side.may_w, side.claim_w, side.ask_w, side.binding) == (60.0, 60.0, 60.0, "")


def test_more_than_the_floor_is_asked_for_and_taken_once_the_peer_has_seen_it() -> None:
    side = begun()
    assert (side.may_w, side.claim_w, side.ask_w, side.binding) == (10.0, 10.0, 60.0, "acknowledgement")
    side.step(OWN, [replace(PEER, sequence=10)], LIMITS_W, 0.5)
    assert side.may_w == 10.0
    side.step(OWN, [replace(PEER, sequence=11)], LIMITS_W, 0.6)
    assert (side.may_w, side.binding) == (60.0, "")


def test_one_peer_that_has_not_seen_it_holds_it_up() -> None:
    side = begun()
    both = [
        replace(PEER, sequence=11, ask_w=10.0, wish_w=10.0),
        replace(PEER, id="C", sequence=0, ask_w=10.0, wish_w=10.0),
    ]
    side.step(OWN, both, LIMITS_W, 0.5)
    assert (side.may_w, side.binding) == (10.0, "acknowledgement")


def test_what_a_peer_may_still_hold_of_a_smaller_ask_in_between_counts() -> None:
    side = begun()
    side.step(replace(OWN, wish_w=20.0), [PEER], LIMITS_W, 0.1)
    side.said(12, 0.1)
    side.step(OWN, [PEER], LIMITS_W, 0.2)
    side.said(13, 0.2)
    # It has seen the first, and may by now have seen the second.
    side.step(OWN, [replace(PEER, sequence=11)], LIMITS_W, 0.3)
    assert (side.may_w, side.ask_w) == (20.0, 60.0)
    side.step(OWN, [replace(PEER, sequence=13)], LIMITS_W, 0.4)
    assert side.may_w == 60.0


@pytest.mark.parametrize("present", [True, False])
def test_a_peer_that_never_answers_holds_it_up_until_what_came_before_has_expired_everywhere(present: bool) -> None:
    silent = replace(PEER, present=present, worst_w=40.0, sequence=0)
    side = Side(AT_ONCE_W_S)
    for tenth in range(int(LAPSE_S * 10) + 2):
        now_s = tenth / 10
        side.step(OWN, [silent], LIMITS_W, now_s)
        side.said(100 + tenth, now_s)
        assert side.may_w == (10.0 if now_s <= LAPSE_S else 60.0)


def test_after_a_restart_nothing_is_taken_before_the_peer_has_seen_this_life() -> None:
    # What it says it has seen is of the life before: it may count us with less than we take now.
    side = begun(sequence=5_000_001)
    side.step(OWN, [replace(PEER, sequence=4_000_123)], LIMITS_W, 1.0)
    assert side.may_w == 10.0
    side.step(OWN, [replace(PEER, sequence=5_000_001)], LIMITS_W, 1.1)
    assert side.may_w == 60.0


def test_who_has_told_nothing_lately_takes_no_more() -> None:
    side = begun()
    side.step(OWN, [replace(PEER, sequence=11)], LIMITS_W, LAPSE_S + 0.1)
    assert (side.may_w, side.binding) == (10.0, "acknowledgement")


def test_less_is_taken_at_once_and_given_away_once_it_flows_no_more() -> None:
    side = begun()
    side.step(replace(OWN, flow_w=60.0), [replace(PEER, sequence=11)], LIMITS_W, 0.5)
    side.step(replace(OWN, flow_w=60.0), [replace(PEER, sequence=11, wish_w=80.0)], LIMITS_W, 0.6)
    assert (side.may_w, side.claim_w) == (50.0, 60.0)
    assert side.binding == "f"
    side.step(replace(OWN, flow_w=52.0), [replace(PEER, sequence=11, wish_w=80.0)], LIMITS_W, 0.7)
    assert (side.may_w, side.claim_w) == (50.0, 52.0)


def test_room_ends_at_what_a_peer_claims_or_asks_whichever_is_more() -> None:
    side = begun()
    side.step(OWN, [replace(PEER, sequence=11, claim_w=75.0)], LIMITS_W, 0.5)
    assert (side.may_w, side.binding) == (25.0, "f")
    side.step(OWN, [replace(PEER, sequence=11, ask_w=70.0)], LIMITS_W, 0.6)
    assert side.may_w == 30.0


def test_who_is_not_heard_counts_with_its_worst() -> None:
    side = begun()
    side.step(OWN, [replace(PEER, sequence=11, present=False)], LIMITS_W, 0.5)
    assert (side.may_w, side.target_w) == (20.0, 20.0)


def test_it_rises_by_the_ramp_and_by_no_more_after_a_pause() -> None:
    side = begun(ramp_w_s=2.0)
    seen = [replace(PEER, sequence=11)]
    side.step(OWN, seen, LIMITS_W, 0.5)
    assert (side.may_w, side.binding) == (pytest.approx(11.0), "ramp")
    side.said(12, 3.0)
    side.step(OWN, seen, LIMITS_W, 4.0)
    assert side.may_w == pytest.approx(13.0)


def test_a_flow_that_is_not_known_counts_with_the_worst_and_lets_nothing_be_taken() -> None:
    side = begun()
    side.step(replace(OWN, flow_w=None, floor_w=80.0, wish_w=80.0), [replace(PEER, sequence=11)], LIMITS_W, 0.5)
    assert (side.may_w, side.claim_w, side.binding) == (-inf, 80.0, "flow not known")


def test_no_wish_goes_beyond_what_others_count_us_with_unheard() -> None:
    side = Side(AT_ONCE_W_S)
    side.step(replace(OWN, wish_w=1e6), [], {"f": inf}, 0.0)
    side.step(replace(OWN, wish_w=1e6), [], {"f": inf}, 0.1)
    assert side.may_w == OWN.worst_w


def test_a_steady_value_rises_at_once_and_falls_at_once_only_beyond_its_band() -> None:
    steady = Steady()
    assert [steady.step(value, 2.0, at) for at, value in enumerate([10.0, 11.0, 10.0, 9.5])] == [10.0, 11.0, 11.0, 11.0]
    assert steady.step(8.0, 2.0, 4.0) == 8.0
    assert [steady.step(value, 2.0, at) for at, value in [(5.0, 9.0), (14.0, 8.0), (15.5, 8.0)]] == [9.0, 9.0, 8.0]


# ---- several members ----


def world(
    count: int,
    *,
    limit_pu: float = 0.5,
    rated_w: float = RATED_W,
    loss: float = 0.0,
    noise_pu: float = 0.0,
    ramp_w_s: float = AT_ONCE_W_S,
    seed: int = 3,
    links: Callable[..., None] = full,
) -> World:
    random = Random(seed)
    roster = one_feeder(count, count * RATED_W * limit_pu, rated_w)
    sites = {
        name: Site(
            base_w=random.uniform(0.05, 0.25) * RATED_W,
            want_w=random.uniform(0.2, 0.75) * RATED_W,
            noise_w=noise_pu * RATED_W,
        )
        for name in roster.members
    }
    made = World(roster=roster, sites=sites, random=random, timing=Timing(ramp_w_s=ramp_w_s, plant_w_s=AT_ONCE_W_S))
    links(made, list(roster.members), lambda: Wire(delay_s=0.01, jitter_s=0.01, loss=loss))
    return made


def limits_hold(world: World, node: Node) -> None:
    assert world.excess_w() <= 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_six_that_begin_together_settle_within_two_periods(seed: int) -> None:
    six = world(6, seed=seed)
    six.watch = limits_hold
    six.start()
    took_s = six.run(2.0, until=six.settled)
    assert took_s is not None


@pytest.mark.parametrize("seed", range(5))
def test_two_that_ask_at_the_same_time_for_the_same_room_get_their_halves(seed: int) -> None:
    two = world(2, seed=seed)
    two.watch = limits_hold
    for site in two.sites.values():
        site.base_w, site.want_w = 5e3, 0.0
    two.start()
    two.run(5.0)
    for site in two.sites.values():
        site.want_w = RATED_W
    assert two.run(2.0, until=two.settled) is not None
    assert [node.sides[1].may_w for node in two.nodes.values()] == pytest.approx([25e3, 25e3], rel=0.01)


def test_one_that_hears_nothing_holds_the_others_up_for_no_longer_than_states_take_to_expire() -> None:
    six = world(6)
    six.watch = limits_hold
    names = list(six.nodes)
    deaf, more = names[0], names[1]
    six.sites[more].want_w = 0.0
    six.start()
    six.run(10.0)
    for other in names[1:]:
        six.net.wire(other, deaf).loss = 1.0
    six.run(10.0)
    before_w = six.nodes[more].sides[1].may_w
    six.sites[more].want_w = 0.5 * RATED_W
    took_s = six.run(LAPSE_S + 1.0, until=lambda: six.nodes[more].sides[1].may_w > before_w + 1e3)
    assert took_s is not None
    six.run(5.0)
    heard = six.optimum_w(1)
    assert all(six.nodes[name].sides[1].may_w == pytest.approx(heard[name], abs=0.01 * RATED_W) for name in names[1:])


def test_one_that_is_gone_counts_with_its_rating_and_the_others_share_the_rest() -> None:
    six = world(6, rated_w=0.6 * RATED_W)
    six.watch = limits_hold
    six.start()
    six.run(5.0)
    six.nodes["t000"].stop()
    assert six.run(12.0, until=six.settled) is not None
    six.nodes["t000"].start()
    assert six.run(LAPSE_S + 6.0, until=six.settled) is not None


def test_a_late_member_gets_its_part() -> None:
    six = world(6)
    six.watch = limits_hold
    six.start(list(six.nodes)[1:])
    six.run(10.0)
    six.nodes["t000"].start()
    assert six.run(3.0, until=six.settled) is not None


def test_noise_of_base_loads_costs_no_more_than_its_own_height() -> None:
    noise_pu = 0.01
    six = world(6, noise_pu=noise_pu, ramp_w_s=0.05 * RATED_W)
    six.start()
    six.run(40.0)
    lost_w: list[float] = []
    for _ in range(240):
        six.run(0.5)
        optimum = six.optimum_w(1)
        lost_w.append(sum(optimum[name] - node.sides[1].may_w for name, node in six.nodes.items()) / len(six.nodes))
    assert max(lost_w) <= noise_pu * RATED_W
    assert sum(lost_w[-40:]) <= sum(lost_w[:40]) + 0.1 * noise_pu * RATED_W * 40


def test_healing_raises_nobody_faster_than_the_ramp_and_lowers_nobody() -> None:
    ramp_w_s = 0.05 * RATED_W
    six = world(6, links=line, ramp_w_s=ramp_w_s, rated_w=0.6 * RATED_W)
    six.watch = limits_hold
    six.start()
    six.run(30.0)
    names = list(six.nodes)
    six.net.split(names[:3], names[3:])
    six.run(30.0)
    apart = island = [six.nodes[name].sides[1].may_w for name in names]
    six.net.heal()
    for _ in range(300):
        before = island
        six.run(0.1)
        island = [six.nodes[name].sides[1].may_w for name in names]
        # A step of a node comes up to half a period after the one before.
        assert all(-1e-6 <= now - was <= ramp_w_s * 0.6 + 1e-6 for was, now in zip(before, island, strict=True))
    assert six.settled()
    assert sum(island) > sum(apart) + 10e3


def test_both_sides_and_both_levels_are_shared_at_once() -> None:
    random = Random(5)
    groups = [Group(id="s", import_w=150e3, export_w=60e3)]
    groups += [Group(id=f"f{n}", parent="s", import_w=70e3, export_w=25e3) for n in range(3)]
    members = [
        Member(id=f"t{n}", group=f"f{n % 3}", import_w=RATED_W, export_w=RATED_W, weight=1.0 + n % 2) for n in range(9)
    ]
    sites = {f"t{n}": Site(base_w=random.uniform(1e3, 4e3), want_w=(RATED_W if n % 4 else -RATED_W)) for n in range(9)}
    nine = World(
        roster=Roster("test", "", groups, members),
        sites=sites,
        random=random,
        timing=Timing(ramp_w_s=AT_ONCE_W_S),
        watch=limits_hold,
    )
    full(nine, list(sites), lambda: Wire(delay_s=0.02))
    nine.start()
    assert nine.run(5.0, until=nine.settled) is not None
    for sign in SIGNS:
        assert any(
            nine.sum_w(group, sign) == pytest.approx(nine.limits_w[sign][group], rel=0.02)
            for group in nine.limits_w[sign]
        )
