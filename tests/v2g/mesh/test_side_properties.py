"""The claim of :mod:`v2g.mesh.side`: whatever is lost, late or doubled, the limits hold."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.mesh_world import SIGNS, Node, Site, Timing, World, full, line, ring, tree
from v2g.mesh.memory import Wire
from v2g.mesh.roster import Group, Member, Roster

TOPOLOGIES = (line, ring, tree, full)
RATED_W = 50e3


@dataclass(frozen=True)
class Plan:
    """A world and what befalls it."""

    seed: int
    count: int
    feeders: int
    topology: int
    limit_pu: float
    rated_w: tuple[float, ...]
    weights: tuple[float, ...]
    loss: float
    doubled: float
    delay_s: float
    jitter_s: float
    clock_s: float
    ramp_w_s: float
    plant_w_s: float
    late: int
    events: tuple[tuple[float, int, int], ...]
    """(seconds after the one before, what, whom)"""


def plans(most: int = 5) -> st.SearchStrategy[Plan]:
    many = st.integers(2, most)
    return st.builds(
        Plan,
        seed=st.integers(0, 2**32),
        count=many,
        feeders=st.integers(1, 2),
        topology=st.sampled_from(range(len(TOPOLOGIES))),
        limit_pu=st.sampled_from([0.3, 0.6, 0.9, 1.2]),
        rated_w=st.tuples(*[st.sampled_from([15e3, RATED_W, 150e3])] * most),
        weights=st.tuples(*[st.sampled_from([1.0, 0.2, 3.0])] * most),
        loss=st.sampled_from([0.0, 0.05, 0.3, 0.6]),
        doubled=st.sampled_from([0.0, 0.2]),
        delay_s=st.sampled_from([0.0, 0.05, 0.7, 2.0]),
        jitter_s=st.sampled_from([0.0, 0.3, 2.5]),
        clock_s=st.sampled_from([0.0, 0.5]),
        ramp_w_s=st.sampled_from([2.5e3, 1e9]),
        plant_w_s=st.sampled_from([5e3, 1e9]),
        late=st.integers(0, 1),
        events=st.lists(
            st.tuples(st.sampled_from([0.1, 0.4, 1.3, 3.1, 5.2]), st.integers(0, 6), st.integers(0, most - 1)),
            max_size=14,
        ).map(tuple),
    )


def world_of(plan: Plan) -> World:
    random = Random(plan.seed)
    names = [f"t{number}" for number in range(plan.count)]
    groups = [Group(id="substation", import_w=plan.limit_pu * RATED_W * plan.count, export_w=0.7 * RATED_W)]
    groups += [
        Group(
            id=f"feeder-{number}", parent="substation", import_w=plan.limit_pu * RATED_W * 1.5, export_w=0.5 * RATED_W
        )
        for number in range(plan.feeders)
    ]
    members = [
        Member(
            id=name,
            group=f"feeder-{number % plan.feeders}",
            import_w=plan.rated_w[number],
            export_w=plan.rated_w[number],
            weight=plan.weights[number],
        )
        for number, name in enumerate(names)
    ]
    # Floors that fit: of a feeder with three members in it 0.3 of the least limit.
    sites = {
        name: Site(base_w=random.uniform(-0.03, 0.04) * RATED_W, want_w=random.uniform(-1.0, 1.0) * RATED_W)
        for name in names
    }
    world = World(
        roster=Roster("test", "", groups, members),
        sites=sites,
        random=random,
        timing=Timing(ramp_w_s=plan.ramp_w_s, plant_w_s=plan.plant_w_s),
        clock_off_s={name: random.uniform(-plan.clock_s, plan.clock_s) for name in names},
        watch=limits_hold,
    )
    TOPOLOGIES[plan.topology](
        world,
        names,
        lambda: Wire(
            delay_s=random.uniform(0.0, plan.delay_s),
            jitter_s=plan.jitter_s,
            loss=plan.loss,
            doubled=plan.doubled,
            reorders=True,
        ),
    )
    return world


def limits_hold(world: World, node: Node) -> None:
    excess_w = world.excess_w()
    assert excess_w <= 1e-6 * RATED_W, f"{excess_w:g} W beyond a limit at {world.now_s:g} s, after {node.id} stepped"


def befall(world: World, plan: Plan, what: int, whom: int) -> None:
    names, random = list(world.nodes), world.random
    node = world.nodes[names[whom % len(names)]]
    match what:
        case 0:
            node.site.want_w = random.uniform(-1.0, 1.0) * RATED_W
        case 1:
            node.site.want_w = RATED_W
        case 2:
            cut = random.randrange(len(names))
            world.net.split(names[:cut], names[cut:])
        case 3:
            world.net.heal()
        case 4:
            if node.up:
                node.stop()
            else:
                node.start()
        case 5:
            # Within less than any state takes to expire.
            if node.up:
                node.stop()
            node.start()
        case 6:
            for link in node.engine.links():
                wire = (
                    world.net.wire(link.node, node.id) if random.random() < 0.7 else world.net.wire(node.id, link.node)
                )
                wire.loss = plan.loss if wire.loss == 1.0 else 1.0


@settings(max_examples=examples(300))
@given(plans())
def test_whatever_befalls_a_mesh_its_limits_hold(plan: Plan) -> None:
    world = world_of(plan)
    names = list(world.nodes)
    world.start(names[plan.late :])
    world.run(4.0)
    if plan.late:
        world.nodes[names[0]].start()
    for after_s, what, whom in plan.events:
        world.run(after_s)
        befall(world, plan, what, whom)
    world.run(7.0)


@settings(max_examples=examples(60))
@given(plans(), st.sampled_from([0.0, 0.1]))
def test_once_messages_arrive_again_all_have_their_part_of_the_optimum(plan: Plan, loss: float) -> None:
    world = world_of(plan)
    world.start()
    for after_s, what, whom in plan.events:
        world.run(after_s)
        befall(world, plan, what, whom)
    for node in world.nodes.values():
        if not node.up:
            node.start()
    world.net.heal()
    for one in world.nodes:
        for link in world.nodes[one].engine.links():
            wire = world.net.wire(one, link.node)
            wire.loss, wire.delay_s, wire.jitter_s = loss * (plan.topology == 3), 0.02, 0.02
    slowest_s = max(plan.rated_w) / plan.ramp_w_s
    # What was a wish is told for ten seconds after; then five for what was said before, and the ramp.
    assert world.run(30.0 + slowest_s, until=world.settled) is not None


@settings(max_examples=examples(60))
@given(plans())
def test_nothing_lets_what_may_be_taken_rise_faster_than_the_ramp(plan: Plan) -> None:
    ramp_w_s = 1e3
    world = world_of(plan)
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
    for after_s, what, whom in plan.events:
        world.run(after_s)
        befall(world, plan, what, whom)
    world.net.heal()
    world.run(5.0)
