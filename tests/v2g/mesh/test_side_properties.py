"""The claim of :mod:`v2g.mesh.side`: whatever is lost, late or doubled, the limits hold."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.mesh_chaos import CHOICES, MOST, RATED_W, RATES, RATINGS_W, WEIGHTS, Plan, chaos, world_of
from support.mesh_world import SIGNS, Node, World, full

CHAOS_S = 20.0


def plans() -> st.SearchStrategy[Plan]:
    return st.builds(
        Plan,
        seed=st.integers(0, 2**32),
        rated_w=st.tuples(*[st.sampled_from(RATINGS_W)] * MOST),
        weights=st.tuples(*[st.sampled_from(WEIGHTS)] * MOST),
        rates=st.tuples(*map(st.sampled_from, RATES)),
        **{name: st.sampled_from(values) for name, values in CHOICES.items()},
    )


def limits_hold(world: World, node: Node) -> None:
    excess_w = world.excess_w()
    assert excess_w <= 1e-6 * RATED_W, f"{excess_w:g} W beyond a limit at {world.now_s:g} s, after {node.id} stepped"


@pytest.mark.soak
@settings(max_examples=examples(300))
@given(plans())
def test_whatever_befalls_a_mesh_its_limits_hold(plan: Plan) -> None:
    world = world_of(plan)
    world.watch = limits_hold
    names = list(world.nodes)
    world.start(names[plan.late :])
    world.run(4.0)
    if plan.late:
        world.nodes[names[0]].start()
    chaos(world, plan, CHAOS_S)
    world.run(7.0)


@settings(max_examples=examples(60))
@given(plans(), st.sampled_from([0.0, 0.1]))
def test_once_messages_arrive_again_all_have_their_part_of_the_optimum(plan: Plan, loss: float) -> None:
    world = world_of(plan)
    world.watch = limits_hold
    world.start()
    chaos(world, plan, CHAOS_S)
    for node in world.nodes.values():
        if not node.up:
            node.start()
    world.net.heal()
    for one in world.nodes:
        for link in world.nodes[one].engine.links():
            wire = world.net.wire(one, link.node)
            wire.loss, wire.delay_s, wire.jitter_s = loss if plan.topology is full else 0.0, 0.02, 0.02
    slowest_s = max(plan.rated_w) / plan.ramp_w_s
    # What was a wish is told for ten seconds after; then five for what was said before, and the ramp.
    assert world.run(30.0 + slowest_s, until=world.settled) is not None


@settings(max_examples=examples(60))
@given(plans())
def test_nothing_lets_what_may_be_taken_rise_faster_than_the_ramp(plan: Plan) -> None:
    ramp_w_s = 1e3
    world = world_of(plan)
    world.watch = limits_hold
    world.timing.ramp_w_s = ramp_w_s
    before: dict[tuple[str, int], tuple[float, float]] = {}

    def watch(world: World, node: Node) -> None:
        limits_hold(world, node)
        for sign in SIGNS:
            may_w = max(node.sides[sign].may_w, node.own(sign).floor_w) if node.up else node.own(sign).floor_w
            was = before.get((node.id, sign))
            if was is not None:
                assert may_w <= was[1] + ramp_w_s * (world.now_s - was[0] + 1.0) + 1e-6
            if was is None or may_w < was[1] + ramp_w_s * (world.now_s - was[0]):
                before[node.id, sign] = (world.now_s, may_w)

    world.watch = watch
    world.start()
    chaos(world, plan, CHAOS_S)
    world.net.heal()
    world.run(5.0)
