"""Random worlds of a mesh in virtual time, and what befalls them: for what must hold whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from support.mesh_world import Node, Site, Timing, World, full, line, ring, tree
from v2g.mesh.memory import Wire
from v2g.mesh.roster import Group, Member, Roster

RATED_W = 50e3
MOST = 5
CHOICES: dict[str, list[Any]] = {
    "count": [2, 3, 4, 5],
    "feeders": [1, 2],
    "topology": [line, ring, tree, full],
    "limit_pu": [0.3, 0.5, 0.8],
    "loss": [0.0, 0.05, 0.3, 0.6],
    "doubled": [0.0, 0.2],
    "delay_s": [0.0, 0.05, 0.7, 2.0],
    "jitter_s": [0.0, 0.3, 2.5],
    "clock_s": [0.0, 0.5],
    "ramp_w_s": [1e9, 2.5e3],
    "plant_w_s": [5e3, 1e9],
    "late": [0, 1],
}
RATINGS_W = [15e3, 25e3, RATED_W, 150e3]
WEIGHTS = [1.0, 0.2, 3.0]
RATES = [[0.2, 1.0, 4.0], *[[0.0, 0.05, 0.3, 1.0]] * 5]


@dataclass(frozen=True)
class Plan:
    """A world and what befalls it."""

    seed: int
    count: int
    feeders: int
    topology: Callable[..., None]
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
    rates: tuple[float, ...]
    """Of each of :data:`KINDS`, per second."""


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
    # All floors of five together are below the least limit.
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
    )
    plan.topology(
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


def other_wish(world: World, node: Node) -> None:
    node.site.want_w = world.random.choice([0.0, 0.2, 1.0, 1.0, -1.0]) * RATED_W


def part(world: World, node: Node) -> None:
    names = list(world.nodes)
    cut = world.random.randrange(len(names))
    world.net.split(names[:cut], names[cut:])


def heal(world: World, node: Node) -> None:
    world.net.heal()


def stop_or_start(world: World, node: Node) -> None:
    if node.up:
        node.stop()
    else:
        node.start()


def restart(world: World, node: Node) -> None:
    if node.up:
        node.stop()
    node.start()


def deafen(world: World, node: Node) -> None:
    """In one direction, or no longer."""
    links = node.engine.links()
    hearing = world.random.random() < 0.5
    for link in links:
        wire = world.net.wire(link.node, node.id) if hearing else world.net.wire(node.id, link.node)
        wire.loss = 0.0 if wire.loss == 1.0 else 1.0


KINDS = (other_wish, part, heal, stop_or_start, restart, deafen)


def chaos(world: World, plan: Plan, duration_s: float) -> None:
    names = list(world.nodes)
    for _ in range(round(duration_s / 0.2)):
        for befall, rate in zip(KINDS, plan.rates, strict=True):
            if world.random.random() < 0.2 * rate:
                befall(world, world.nodes[world.random.choice(names)])
        world.run(0.2)


def random_plan(random: Random) -> Plan:
    pick = {name: random.choice(values) for name, values in CHOICES.items()}
    return Plan(
        seed=random.getrandbits(32),
        rated_w=tuple(random.choice(RATINGS_W) for _ in range(MOST)),
        weights=tuple(random.choice(WEIGHTS) for _ in range(MOST)),
        rates=tuple(random.choice(rates) for rates in RATES),
        **pick,
    )
