"""How many nodes settle on this machine, flat and in regions, and what each costs.

``python tests/bench/bench_mesh_scale.py`` writes ``report_mesh_scale.md``. Light nodes, 25 in a process, each with a
Zenoh session of its own, mutual TLS on loopback.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.mesh_rig import MARGIN_PU, RESERVE_PU, MeshRig, distance
from v2g.mesh.filling import Claimant, fill
from v2g.simulation.layout import free_tcp_ports
from v2g.simulation.layout_mesh import FEEDER, SUBSTATION, Shape, flat_plan, region_plans
from v2g.simulation.light_config import LightModel, NodeReading

REPORT = Path(__file__).with_name("report_mesh_scale.md")
RATED_W = 60_000.0
PER_PROCESS = 25
WATCH_S = 15.0
SLOWER = 8.0
"""A core of the reference controller, between five and ten times."""
FEEDER_KW_EACH = 32.0
"""Of the feeder's limit, for each node below it: less than they wish for together."""


@dataclass(frozen=True, kw_only=True)
class Case:
    nodes: int
    regions: int = 0
    period_s: float = 1.0
    limit_s: float = 90.0

    @property
    def words(self) -> str:
        shape = f"{self.regions} regions of {self.nodes // self.regions}" if self.regions else "flat, a tree"
        return f"{self.nodes}, {shape}"


@dataclass(frozen=True, kw_only=True)
class Found:
    case: Case
    heard_s: float | None
    settled_s: float | None
    off: float
    cpu: float
    messages: float
    bytes_s: float
    rss_mb: float
    late_s: float
    worst: float
    """The largest total of a group in relation to its limit, while it was watched."""


CASES = (
    Case(nodes=20),
    Case(nodes=50),
    Case(nodes=100, limit_s=60.0),
    Case(nodes=100, period_s=3.0, limit_s=120.0),
    Case(nodes=150, period_s=6.0, limit_s=90.0),
    Case(nodes=200, regions=10),
    Case(nodes=300, regions=15, period_s=2.0, limit_s=100.0),
    Case(nodes=400, regions=20, period_s=4.0, limit_s=150.0),
)


def models_of(names: list[str]) -> dict[str, LightModel]:
    draw = Random(7)
    return {
        name: LightModel(
            rated_w=RATED_W,
            base_w=draw.uniform(8e3, 18e3),
            noise_w=0.0,
            want_charge_w=draw.choice((0.0, 11e3, 33e3, 44e3)),
            ramp_w_s=RATED_W,
        )
        for name in names
    }


def run(case: Case) -> Found:
    extra = {
        "period_s": case.period_s,
        "valid_s": 3.0 * case.period_s,
        "deaf_after_s": 5.0 * case.period_s,
        "lease_s": 5.0,
        "ramp_pu_s": 1.0,
    }
    rated_kw = RATED_W / 1e3
    with tempfile.TemporaryDirectory(prefix="v2gm") as folder, MeshRig(Path(folder), per_process=PER_PROCESS) as rig:
        groups: dict[str, tuple[str, ...]] = {}
        limits_w: dict[str, float] = {}
        if case.regions:
            size = case.nodes // case.regions
            feeder_kw = FEEDER_KW_EACH * size
            substation_kw = 0.9 * feeder_kw * case.regions
            plans = region_plans(
                case.regions,
                size,
                free_tcp_ports(case.regions * (size + 2)),
                feeder_kw=feeder_kw,
                substation_kw=substation_kw,
                rated_kw=rated_kw,
                extra=extra,
            )
            models = models_of([name for plan, _ in plans.values() for name in plan.names])
            for region, (plan, norths) in plans.items():
                rig.add(plan, models, norths=norths)
                groups |= dict.fromkeys(plan.names, (region, SUBSTATION))
                limits_w[region] = feeder_kw * 1e3
            limits_w[SUBSTATION] = substation_kw * 1e3
        else:
            names = [f"n{number}" for number in range(case.nodes)]
            feeder_kw = FEEDER_KW_EACH * case.nodes
            plan = flat_plan(
                names, free_tcp_ports(case.nodes), Shape.TREE, feeder_kw=feeder_kw, rated_kw=rated_kw, extra=extra
            )
            models = models_of(names)
            rig.add(plan, models)
            groups = dict.fromkeys(names, (FEEDER,))
            limits_w[FEEDER] = feeder_kw * 1e3
        others = (case.nodes // case.regions if case.regions else case.nodes) - 1
        rig.start(stagger_s=0.05)
        began = time.monotonic()
        heard_s = settled_s = None
        off = 1.0
        while time.monotonic() - began < case.limit_s and settled_s is None:
            time.sleep(0.5)
            readings = rig.read()
            if len(readings) < case.nodes:
                continue
            if heard_s is None and all(each.heard >= others for each in readings.values()):
                heard_s = time.monotonic() - began
            off = distance(readings, central(readings, groups, limits_w))
            if off < 0.01:
                settled_s = time.monotonic() - began
        costs = watch(rig, case, groups, limits_w)
        return Found(case=case, heard_s=heard_s, settled_s=settled_s, off=off, **costs)


def watch(
    rig: MeshRig, case: Case, groups: Mapping[str, tuple[str, ...]], limits_w: Mapping[str, float]
) -> dict[str, float]:
    """Costs of the steady mesh, a node, over some seconds."""
    before, began = rig.processes(), time.monotonic()
    worst = late_s = 0.0
    while time.monotonic() - began < WATCH_S:
        time.sleep(1.5)
        processes = rig.processes()
        late_s = max(late_s, *(each.late_s for each in processes))
        for group, limit_w in limits_w.items():
            flow_w = sum(n.flow_w for p in processes for n in p.nodes if group in groups[n.node])
            worst = max(worst, flow_w / limit_w)
    after, took_s = rig.processes(), time.monotonic() - began

    def gained(name: str) -> float:
        return sum(getattr(n, name) for p in after for n in p.nodes) - sum(
            getattr(n, name) for p in before for n in p.nodes
        )

    return {
        "cpu": (sum(p.cpu_s for p in after) - sum(p.cpu_s for p in before)) / took_s / case.nodes,
        "messages": gained("received") / took_s / case.nodes,
        "bytes_s": gained("received_bytes") / took_s / case.nodes,
        "rss_mb": sum(p.rss_kb for p in after) / 1024 / case.nodes,
        "late_s": late_s,
        "worst": worst,
    }


def central(
    readings: Mapping[str, NodeReading], groups: Mapping[str, tuple[str, ...]], limits_w: Mapping[str, float]
) -> dict[str, float]:
    margin_w = MARGIN_PU * RATED_W
    if SUBSTATION not in limits_w:
        return _filled(readings, groups, limits_w)
    # The north shares among regions by their ratings, each region among its members: as the nodes do it.
    regions = [group for group in limits_w if group != SUBSTATION]
    below = {region: [name for name, path in groups.items() if region in path] for region in regions}
    sums = fill(
        [
            Claimant(
                id=region,
                floor_w=sum(readings[name].base_w + margin_w for name in below[region]),
                wish_w=min(
                    limits_w[region],
                    sum(readings[name].base_w + max(0.0, readings[name].want_w) + margin_w for name in below[region]),
                ),
                groups=(SUBSTATION,),
                weight=limits_w[region],
            )
            for region in regions
        ],
        {SUBSTATION: limits_w[SUBSTATION] * (1.0 - RESERVE_PU)},
    )
    found: dict[str, float] = {}
    for region in regions:
        inside = {name: readings[name] for name in below[region]}
        limit_w = min(limits_w[region], sums[region])
        found |= _filled(inside, dict.fromkeys(inside, (region,)), {region: limit_w})
    return found


def _filled(
    readings: Mapping[str, NodeReading], groups: Mapping[str, tuple[str, ...]], limits_w: Mapping[str, float]
) -> dict[str, float]:
    margin_w = MARGIN_PU * RATED_W
    return fill(
        [
            Claimant(
                id=name,
                floor_w=each.base_w + margin_w,
                wish_w=each.base_w + max(0.0, each.want_w) + margin_w,
                groups=groups[name],
            )
            for name, each in readings.items()
        ],
        {group: limit_w * (1.0 - RESERVE_PU) for group, limit_w in limits_w.items()},
    )


def row(found: Found) -> str:
    case = found.case
    heard = f"{found.heard_s:.0f} s" if found.heard_s is not None else "no"
    settled = f"{found.settled_s:.0f} s" if found.settled_s is not None else f"no ({found.off:.1%} off)"
    return (
        f"| {case.words} | {case.period_s:g} s | {heard} | {settled} | {found.messages:.0f} | "
        f"{found.bytes_s / 1e3:.0f} | {found.cpu:.2%} | {found.rss_mb:.1f} | {found.late_s:.2f} s | {found.worst:.1%} |"
    )


def main() -> int:
    wanted = {int(text) for text in sys.argv[1:]}
    found = []
    for number, case in enumerate(CASES):
        if wanted and number not in wanted:
            continue
        found.append(run(case))
        print(row(found[-1]), flush=True)
    if not wanted:
        REPORT.write_text(text_of(found), encoding="utf-8")
    return 0


def text_of(found: list[Found]) -> str:
    paragraphs = [
        "# How many nodes settle here, and what each costs",
        f"Written by `python tests/bench/bench_mesh_scale.py` on {os.cpu_count()} cores. Light nodes, {PER_PROCESS} in "
        "a process, a Zenoh session each, mutual TLS on loopback; ramps of 1 p.u./s, so that the protocol's time is "
        "seen and not theirs; limits below what all wish for. Times count from the moment when all processes serve; "
        "sessions open one after the other, 20 a second in each process. CPU is of one core, a node, of everything in "
        'its process: Zenoh\'s threads, TLS, signatures, allocation. "Most" is the largest flow of any group by '
        "its limit.",
        "Twenty nodes here wish for less than their limit. 100 flat at a period of 1 s ask for more signatures than "
        "two cores verify: states expire before they are read, and everybody counts with its rating, which keeps the "
        "limit. At 150 Zenoh's own routers take the memory and most of the time; what for was not found out.",
        "\n".join(
            [
                "| nodes | period | all heard | within 1 % | messages/s | kB/s | CPU | MB a node | loop late | most |",
                "|---|---|---|---|---|---|---|---|---|---|",
                *map(row, found),
            ]
        ),
        PAPER.format(**paper(found)),
    ]
    return "\n\n".join(paragraphs) + "\n"


PAPER = """## Beyond, and on paper: 10,000 transformers

Flat, each node hears all others: messages at a node grow with the number of nodes, those on the machine with its
square. {flat_nodes} flat nodes at a period of {flat_period_s:g} s cost {flat_cpu:.2%} of a core each and
{flat_message_us:.0f} us a message heard (signature 72 us of it), so that two cores carry about {two_cores:.0f} messages
a second. That, and not the protocol, ends flat meshes here; a controller with a core of its own carries {own_core:.0f}
a second at 10 % of it, one that is eight times slower {slow_core:.0f}.

In regions of 20 a node hears 19 others and a gateway its region and the north. With the figures of {region_nodes} nodes
in regions ({region_cpu:.2%} of a core, {region_kb:.0f} kB/s, {region_mb:.0f} MB a node at a period of
{region_period_s:g} s), *slow* for a core eight times slower than one here:

| | 500 regions of 20 | 20 districts of 25 regions of 20 |
|---|---|---|
| a node hears, messages/s | {region_messages:.0f} | {region_messages:.0f} |
| its CPU here, slow | {region_cpu:.2%}, {region_cpu_slow:.1%} | the same |
| a gateway hears in the north, messages/s | {north_flat:.0f} of 999 voices | {north_two:.0f} of 49 voices |
| its CPU for it here, slow | {north_flat_cpu:.1%}, {north_flat_slow:.0%} | {north_two_cpu:.2%}, {north_two_slow:.1%} |
| kB/s at a node, at a gateway | {region_kb:.0f}, {north_flat_kb:.0f} | {region_kb:.0f}, {north_two_kb:.0f} |

One level of 500 regions is beyond a slow gateway; two levels are not. What is built has one level of regions: a
district would be a mesh whose members are regions, with gateways of its own, which the same roster and the same node
describe, but the runner joins two levels and not three.
"""


def paper(found: list[Found]) -> dict[str, float]:
    flat = next(each for each in found if not each.case.regions and each.case.nodes == 50)
    regions = next(each for each in found if each.case.regions)
    message_us = flat.cpu / flat.messages * 1e6
    state_bytes = regions.bytes_s / regions.messages
    north_flat, north_two = 2 * 500 - 1.0, 2 * 25 - 1.0
    return {
        "flat_nodes": flat.case.nodes,
        "flat_period_s": flat.case.period_s,
        "flat_cpu": flat.cpu,
        "flat_message_us": message_us,
        "two_cores": 2e6 / message_us,
        "own_core": 0.1e6 / message_us,
        "slow_core": 0.1e6 / message_us / SLOWER,
        "region_nodes": regions.case.nodes,
        "region_period_s": regions.case.period_s,
        "region_cpu": regions.cpu,
        "region_cpu_slow": regions.cpu * SLOWER,
        "region_kb": regions.bytes_s / 1e3,
        "region_mb": regions.rss_mb,
        "region_messages": regions.messages,
        "north_flat": north_flat,
        "north_two": north_two,
        "north_flat_cpu": north_flat * message_us / 1e6,
        "north_flat_slow": north_flat * message_us / 1e6 * SLOWER,
        "north_two_cpu": north_two * message_us / 1e6,
        "north_two_slow": north_two * message_us / 1e6 * SLOWER,
        "north_flat_kb": north_flat * state_bytes / 1e3,
        "north_two_kb": north_two * state_bytes / 1e3,
    }


if __name__ == "__main__":
    sys.exit(main())
