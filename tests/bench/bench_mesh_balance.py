"""How a mesh shares its limits: time of the allocation, settling, loss, noise, deafness, healing.

``python tests/bench/bench_mesh_balance.py`` writes ``report_mesh_balance.md`` beside itself. All but the first table is
in virtual time (``tests/support/mesh_world.py``): no wire, no cryptography.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.mesh_chaos import chaos, random_plan, world_of
from support.mesh_world import Node, Site, Timing, World, full, line, one_feeder, tree
from v2g.mesh.filling import Claimant, fill
from v2g.mesh.memory import Wire
from v2g.mesh.side import Side, Steady, Told

REPORT = Path(__file__).with_name("report_mesh_balance.md")
RATED_W = 50e3
AT_ONCE_W_S = 1e9
RAMP_W_S = 0.05 * RATED_W
LOSSES = (0.0, 0.1, 0.3)
SAFETY_RUNS = 1000


def claimants(count: int, feeders: int, substation: bool, random: Random) -> tuple[list[Claimant], dict[str, float]]:
    above = ("s",) if substation else ()
    made = [
        Claimant(
            id=f"t{number}",
            floor_w=random.uniform(-0.2, 0.4) * RATED_W,
            wish_w=random.uniform(0.0, 1.0) * RATED_W,
            groups=(f"f{number % feeders}", *above),
            weight=random.uniform(0.5, 2.0),
        )
        for number in range(count)
    ]
    limits = {}
    for group in [f"f{number}" for number in range(feeders)] + list(above):
        below = [each for each in made if group in each.groups]
        floor_w = sum(each.floor_w for each in below)
        limits[group] = floor_w + random.uniform(0.2, 1.1) * sum(max(0.0, x.wish_w - x.floor_w) for x in below)
    return made, limits


def fill_rows() -> Iterator[str]:
    yield "| members | feeders | substation | median, ms | 95 % | greatest |\n|---:|---:|---|---:|---:|---:|"
    for count, feeders, substation in ((6, 1, False), (100, 1, False), (200, 10, True), (1000, 10, True)):
        random, spent_ms = Random(1), []
        for _ in range(200):
            case = claimants(count, feeders, substation, random)
            began = time.process_time_ns()
            fill(*case)
            spent_ms.append((time.process_time_ns() - began) / 1e6)
        spent_ms.sort()
        yield (
            f"| {count} | {feeders} | {'yes' if substation else 'no'} | {statistics.median(spent_ms):.3f} | "
            f"{spent_ms[190]:.3f} | {spent_ms[-1]:.3f} |"
        )


def safety_rows() -> Iterator[str]:
    yield "| protocol | worlds | seconds in all | worlds beyond a limit | greatest excess, W |"
    yield "|---|---:|---:|---:|---:|"
    heard_w = Side._heard_w

    def seen_by_one(side: Side, told: Sequence[Told], now_s: float) -> float:
        newest = max((each.sequence for each in told), default=0)
        return heard_w(side, [replace(each, sequence=newest) for each in told], now_s)

    for words, rule in (("as it is", heard_w), ("with the defect", seen_by_one)):
        seconds_s = worst_w = 0.0
        beyond = 0
        with patch.object(Side, "_heard_w", rule):
            for seed in range(SAFETY_RUNS):
                random = Random(seed)
                plan, excess = random_plan(random), Excess()
                made = world_of(plan)
                made.watch = excess.watch
                made.start()
                chaos(made, plan, 40.0)
                seconds_s += made.now_s - 100.0
                beyond += excess.worst_w > 1e-3
                worst_w = max(worst_w, excess.worst_w)
        yield f"| {words} | {SAFETY_RUNS} | {seconds_s:.0f} | {beyond} | {worst_w:.1g} |"


@dataclass
class Excess:
    worst_w: float = -1e12

    def watch(self, world: World, node: Node) -> None:
        del node
        self.worst_w = max(self.worst_w, world.excess_w())


def world(
    count: int,
    seed: int,
    *,
    loss: float = 0.0,
    ramp_w_s: float = AT_ONCE_W_S,
    noise_pu: float = 0.0,
    rated_w: float = RATED_W,
    links: Callable[..., None] = full,
    period_s: float = 1.0,
    valid_s: float = 3.0,
) -> World:
    """One feeder with half of what all ratings together would need; a base of 5 to 25 %, vehicles for 20 to 75 %."""
    random = Random(seed)
    roster = one_feeder(count, 0.5 * count * RATED_W, rated_w)
    sites = {
        name: Site(
            base_w=random.uniform(0.05, 0.25) * RATED_W,
            want_w=random.uniform(0.2, 0.75) * RATED_W,
            noise_w=noise_pu * RATED_W,
        )
        for name in roster.members
    }
    timing = Timing(
        ramp_w_s=ramp_w_s,
        plant_w_s=AT_ONCE_W_S,
        gap_s=min(period_s, max(0.2, 0.01 * count)),
        period_s=period_s,
        valid_s=valid_s,
        lapse_s=valid_s + 2.0,
    )
    made = World(roster=roster, sites=sites, random=random, timing=timing)
    links(made, list(roster.members), lambda: Wire(delay_s=0.01, jitter_s=0.02, loss=loss))
    return made


def settling_rows() -> Iterator[str]:
    yield (
        "| members | loss | period, s | valid, s | ramp | runs | settled within, s: median | slowest | after it, "
        "of the time, within 1 % | distance: median | 95 % | excess, W | states a second and node |\n"
        "|---:|---:|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    )
    cases = [(6, loss, 1.0, 3.0, ramp_w_s) for loss in LOSSES for ramp_w_s in (AT_ONCE_W_S, RAMP_W_S)]
    cases += [(6, 0.3, 0.5, 3.0, AT_ONCE_W_S), (6, 0.3, 0.5, 3.0, RAMP_W_S), (6, 0.3, 1.0, 6.0, AT_ONCE_W_S)]
    cases += [(100, loss, 1.0, 3.0, AT_ONCE_W_S) for loss in LOSSES]
    cases += [(100, 0.0, 1.0, 3.0, RAMP_W_S), (100, 0.3, 0.5, 3.0, AT_ONCE_W_S), (100, 0.3, 1.0, 6.0, AT_ONCE_W_S)]
    cases += [(100, 0.3, 0.5, 6.0, AT_ONCE_W_S)]
    for count, loss, period_s, valid_s, ramp_w_s in cases:
        runs = 20 if count <= 10 else 2
        took, distances, worst_w, sent = [], [], -1e12, []
        for seed in range(runs):
            made, excess = (
                world(count, seed, loss=loss, period_s=period_s, valid_s=valid_s, ramp_w_s=ramp_w_s),
                Excess(),
            )
            if count <= 10:
                made.watch = excess.watch
            made.start()
            within_s = made.run(60.0 if count <= 10 else 25.0, until=made.settled)
            if within_s is not None:
                took.append(within_s)
            for _ in range(60 if count <= 10 else 20):
                made.run(0.5)
                distances.append(made.distance_pu())
                if count > 10:
                    excess.watch(made, next(iter(made.nodes.values())))
            worst_w = max(worst_w, excess.worst_w)
            sent.append(sum(node.sent for node in made.nodes.values()) / count / (made.now_s - 100.0))
        distances.sort()
        part = sum(d <= 0.01 for d in distances) / len(distances)
        at = f"{statistics.median(took):.1f} | {max(took):.1f}" if len(took) == runs else f"{len(took)} of {runs} | "
        yield (
            f"| {count} | {loss:.0%} | {period_s:g} | {valid_s:g} | {'none' if ramp_w_s == AT_ONCE_W_S else '5 %/s'} | "
            f"{runs} | {at} | {part:.1%} | {statistics.median(distances):.2%} | "
            f"{distances[len(distances) * 95 // 100]:.2%} | {max(0.0, worst_w):.1g} | {statistics.fmean(sent):.2f} |"
        )


def noise_rows() -> Iterator[str]:
    yield (
        "| noise of the base, of the rating | told without its noise | lost of the rating, mean | worst half second | "
        "first minute | fifth minute |\n|---:|---|---:|---:|---:|---:|"
    )
    for noise_pu in (0.0, 0.01, 0.03):
        for steady in (True, False):
            raw: Callable[..., float] = lambda self, value, band, now_s: value  # noqa: E731
            with patch.object(Steady, "step", Steady.step if steady else raw):
                lost: list[float] = []
                for seed in range(4):
                    made = world(6, seed, noise_pu=noise_pu, ramp_w_s=RAMP_W_S)
                    made.start()
                    made.run(40.0)
                    for _ in range(600):
                        made.run(0.5)
                        optimum = made.optimum_w(1)
                        short = [optimum[name] - node.sides[1].may_w for name, node in made.nodes.items()]
                        lost.append(statistics.fmean(short) / RATED_W)
            minutes = [lost[start + at : start + at + 120] for start in range(0, 2400, 600) for at in (0, 480)]
            first, last = (statistics.fmean(x for each in minutes[k::2] for x in each) for k in (0, 1))
            yield (
                f"| {noise_pu:.0%} | {'yes' if steady else 'no'} | {statistics.fmean(lost):.2%} | {max(lost):.2%} | "
                f"{first:.2%} | {last:.2%} |"
            )


def change_rows() -> Iterator[str]:
    """Times from a change until what it concerns has its new part, without a ramp."""
    yield "| change, six members | runs | median, s | slowest, s | greatest excess, W |\n|---|---:|---:|---:|---:|"

    def deaf(made: World) -> Callable[[], bool]:
        first, more = list(made.nodes)[:2]
        made.sites[more].want_w = 0.0
        for other in list(made.nodes)[1:]:
            made.net.wire(other, first).loss = 1.0
        made.run(10.0)
        made.sites[more].want_w = 0.4 * RATED_W
        return lambda: abs(made.nodes[more].sides[1].may_w - made.optimum_w(1)[more]) <= 0.01 * RATED_W

    def gone(made: World) -> Callable[[], bool]:
        made.nodes["t000"].stop()
        return made.settled

    def back(made: World) -> Callable[[], bool]:
        made.nodes["t000"].stop()
        made.run(20.0)
        made.nodes["t000"].start()
        return made.settled

    def restarted(made: World) -> Callable[[], bool]:
        made.nodes["t000"].stop()
        made.nodes["t000"].start()
        return made.settled

    def wishes(made: World) -> Callable[[], bool]:
        for number, site in enumerate(made.sites.values()):
            site.want_w = 0.75 * RATED_W if number % 2 else 0.0
        return made.settled

    def wish_while_one_is_gone(made: World) -> Callable[[], bool]:
        made.nodes["t000"].stop()
        made.run(10.0)
        for number, site in enumerate(made.sites.values()):
            site.want_w = 0.75 * RATED_W if number % 2 else 0.0
        return made.settled

    def parted(made: World) -> Callable[[], bool]:
        names = list(made.nodes)
        made.net.split(names[:3], names[3:])
        made.run(20.0)
        made.net.heal()
        return made.settled

    for words, change in (
        ("wishes of all change at the same moment", wishes),
        ("the same while one is gone (counts with its rating)", wish_while_one_is_gone),
        ("one hears nothing; another then wishes for more", deaf),
        ("one is gone: until its rating is left to it", gone),
        ("it comes back after 20 s", back),
        ("one restarts at once", restarted),
        ("two islands of three heal", parted),
    ):
        took, worst_w = [], -1e12
        for seed in range(20):
            made, excess = world(6, seed, rated_w=0.8 * RATED_W), Excess()
            made.watch = excess.watch
            made.start()
            made.run(15.0)
            within_s = made.run(40.0, until=change(made))
            took.append(within_s if within_s is not None else float("inf"))
            worst_w = max(worst_w, excess.worst_w)
        yield f"| {words} | 20 | {statistics.median(took):.1f} | {max(took):.1f} | {max(0.0, worst_w):.1g} |"


def healing_rows() -> Iterator[str]:
    yield (
        "| links | members | ramp, W/s | greatest rise of one within 1 s, W | greatest fall within 1 s, W | "
        "excess, W |\n|---|---:|---:|---:|---:|---:|"
    )
    for name, links in (("line", line), ("tree", tree)):
        for count in (6, 20):
            rise_w = fall_w = 0.0
            excess = Excess()
            for seed in range(5):
                made = world(count, seed, links=links, ramp_w_s=RAMP_W_S, rated_w=0.6 * RATED_W)
                made.watch = excess.watch
                made.start()
                made.run(30.0)
                names = list(made.nodes)
                made.net.split(names[: count // 2], names[count // 2 :])
                made.run(30.0)
                made.net.heal()
                before = {node.id: node.sides[1].may_w for node in made.nodes.values()}
                for _ in range(30):
                    made.run(1.0)
                    now = {node.id: node.sides[1].may_w for node in made.nodes.values()}
                    rise_w = max(rise_w, *(now[each] - before[each] for each in names))
                    fall_w = max(fall_w, *(before[each] - now[each] for each in names))
                    before = now
            excess_w = max(0.0, excess.worst_w)
            yield f"| {name} | {count} | {RAMP_W_S:.0f} | {rise_w:.0f} | {fall_w:.2g} | {excess_w:.1g} |"


def main() -> None:
    machine = f"Python {platform.python_version()}, {platform.machine()}"
    load = f"with a load of {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    parts = [
        "# Mesh: how limits are shared\n",
        f"{machine}, {load}. Written by `python tests/bench/bench_mesh_balance.py`. Virtual time, no wire and "
        "no cryptography but for the first table. One feeder with half of what all ratings of 50 kW would "
        "need; a message takes 10 to 30 ms and is lost for each receiver by itself. Distance: sum over all "
        "members of |what it may take - the central optimum|, of the sum of the optimum. Settled: 1 % or "
        "less.\n",
        "## Time of one allocation\n\nProcessor time, 200 random cases each.\n",
        *fill_rows(),
        "\n## Safety\n\nRandom worlds of two to five members in one or two feeders below a substation; "
        "losses to 60 %, delays to 4.5 s, doubling, overtaking, clocks 1 s apart, ratings from a third to "
        "three times the usual; wishes change, links part, heal and go deaf in one direction, members stop, "
        "start and restart. Both sides of every group are judged after every step of any member. A defect is "
        "put in to see whether it would be found: asks that count as seen by all once one has seen them.\n",
        *safety_rows(),
        "\n## Settling from nothing\n",
        *settling_rows(),
        "\nAn excess of 0 means that no group was beyond its limit at any step of any member (of 100 "
        "members: every half second); below 1e-6 it is rounding. A member whose last three states were lost "
        "counts with its rating until the next: with a loss of 30 % that happens to each pair 2.7 % of the "
        "time, so of 100 members some always do. Twice as many states, or a longer validity, is the remedy; "
        "a dead member's last word then counts for longer.",
        "\n## Noise of base loads\n\nSix members, ramp 5 %/s. Uniform up to the figure.\n",
        *noise_rows(),
        "\nBeyond half the band (2 % of the rating) the noise is told as it is.",
        "\n## Changes\n\nNo ramp, no loss. One that hears nothing is heard and counts with what it tells.\n",
        *change_rows(),
        "\n## Healing\n\nTwo islands of half the members each for 30 s. A member steps two to five times a second, so "
        "that a second on the clock may hold one step more than a second of the ramp.\n",
        *healing_rows(),
    ]
    REPORT.write_text("\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
