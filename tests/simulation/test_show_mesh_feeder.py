"""Six transformers with uneven vehicles below a feeder of 200 kW: together, apart, together again."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.mesh_rig import RESERVE_PU, distance, optimum, rig_of, with_ports
from v2g.simulation.layout_mesh import Shape, flat_plan
from v2g.simulation.light_config import LightModel

pytestmark = pytest.mark.soak

NAMES = ("n1", "n2", "n3", "n4", "n5", "n6")
LIMIT_KW = 200.0
RATED_KW = 60.0
RATED_W = RATED_KW * 1e3
RAMP_W_S = 0.05 * RATED_W
BASES_W = (9_000.0, 14_000.0, 11_000.0, 18_000.0, 8_000.0, 12_000.0)
WANTS_W = (44_000.0, 0.0, 44_000.0, 33_000.0, 11_000.0, 44_000.0)
"""Four, no, four, three, one and four vehicles of 11 kW: 248 kW with the base loads."""
BENCH = Path(__file__).resolve().parents[1] / "bench"


def total_by_time(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[tuple[float, float]]:
    """Sum of the last flow of each node, at the time of each row."""
    last: dict[str, float] = {}
    found = []
    for row in rows:
        if row["node"] in names:
            last[row["node"]] = row["flow_w"]
            if len(last) == len(names):
                found.append((row["t"], sum(last.values())))
    return found


def test_six_transformers_share_a_feeder_apart_and_together(tmp_path: Path) -> None:
    plan = with_ports(flat_plan(NAMES, [0] * 6, Shape.LINE, feeder_kw=LIMIT_KW, rated_kw=RATED_KW))
    models = {
        name: LightModel(
            rated_w=RATED_W, base_w=base_w, noise_w=150.0, want_charge_w=want_w, vehicles=round(want_w / 11_000.0)
        )
        for name, base_w, want_w in zip(NAMES, BASES_W, WANTS_W, strict=True)
    }
    rated_w = dict.fromkeys(NAMES, RATED_W)
    with rig_of(tmp_path, plan, models, cuttable=[("n3", "n4")]) as rig:
        began = time.monotonic()
        rig.until(lambda: all(each.present == 5 for each in rig.read().values()), 20.0, "all hear all")

        def settled() -> bool:
            readings = rig.read()
            return distance(readings, optimum(readings, LIMIT_KW * 1e3, rated_w)) < 0.01

        rig.until(settled, 20.0, "within 1 % of the optimum")
        settled_s = time.monotonic() - began
        time.sleep(3.0)
        together = rig.read()
        off = distance(together, optimum(together, LIMIT_KW * 1e3, rated_w))
        sum_w = sum(each.flow_w for each in together.values())
        assert off < 0.01
        assert sum_w <= LIMIT_KW * 1e3
        assert sum_w >= 0.96 * LIMIT_KW * 1e3
        for name, each in together.items():
            assert each.flow_w <= RATED_W, name

        cut_at = time.monotonic()
        rig.wires[frozenset(("n3", "n4"))].cut()
        apart_s = rig.until(lambda: all(each.heard == 2 for each in rig.read().values()), 15.0, "two islands")
        time.sleep(8.0)
        apart = rig.read()
        island_w = max(0.0, LIMIT_KW * 1e3 * (1.0 - RESERVE_PU) - 3 * RATED_W)
        for island in (NAMES[:3], NAMES[3:]):
            flow_w = sum(apart[name].flow_w for name in island)
            bases_w = sum(apart[name].base_w for name in island)
            assert flow_w <= max(island_w, bases_w) + 1_200.0, island

        heal_at = time.monotonic()
        rig.wires[frozenset(("n3", "n4"))].heal()
        rig.until(lambda: all(each.present == 5 for each in rig.read().values()), 20.0, "all hear all again")
        whole_s = time.monotonic() - heal_at
        rig.until(settled, 40.0, "within 1 % again")
        again_s = time.monotonic() - heal_at
        time.sleep(3.0)
        end = time.monotonic()
        rows = rig.records()

    sums = total_by_time(rows, NAMES)
    worst_w = max(flow_w for _, flow_w in sums)
    assert worst_w <= LIMIT_KW * 1e3
    within_s = max(0.0, next((t for t, flow_w in sums if flow_w <= LIMIT_KW * 1e3), began) - began)
    assert within_s < 10.0
    steps = rises(rows, heal_at, end)
    assert max(steps.values()) <= RAMP_W_S * 1.35 + 900.0
    if os.environ.get("V2G_MESH_REPORT") == "1":
        picture(rows, began, cut_at, heal_at, BENCH / "report_mesh_feeder.svg")
        write(together, optimum(together, LIMIT_KW * 1e3, rated_w), apart, {
            "settled": settled_s, "off": off, "sum": sum_w, "worst": worst_w, "apart": apart_s, "island": island_w,
            "whole": whole_s, "again": again_s, "step": max(steps.values()),
        })  # fmt: skip


def rises(rows: Sequence[Mapping[str, Any]], begin: float, end: float) -> dict[str, float]:
    """The steepest rise of each node over a second between two times, W/s; its noise is in it."""
    found: dict[str, float] = {}
    before: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if not begin <= row["t"] <= end:
            continue
        past = before.setdefault(row["node"], [])
        past.append((row["t"], row["flow_w"]))
        first = next((each for each in past if row["t"] - each[0] <= 1.05), past[-1])
        if row["t"] - first[0] >= 0.9:
            rise = (row["flow_w"] - first[1]) / (row["t"] - first[0])
            found[row["node"]] = max(found.get(row["node"], 0.0), rise)
        while past and row["t"] - past[0][0] > 1.05:
            past.pop(0)
    return found


def picture(rows: Sequence[Mapping[str, Any]], began: float, cut: float, heal: float, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "mesh"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5))
    for name in NAMES:
        own = [(row["t"] - began, row["flow_w"] / 1e3) for row in rows if row["node"] == name and row["t"] >= began]
        axes.plot(*zip(*own, strict=True), linewidth=1, label=name)
    sums = [(t - began, flow_w / 1e3) for t, flow_w in total_by_time(rows, NAMES) if t >= began]
    axes.plot(*zip(*sums, strict=True), color="black", linewidth=1.8, label="feeder")
    axes.axhline(LIMIT_KW, color="firebrick", linestyle="--", linewidth=1, label="limit")
    for at, words in ((cut, "link n3-n4 cut"), (heal, "healed")):
        axes.axvline(at - began, color="grey", linewidth=0.8)
        axes.annotate(words, (at - began, LIMIT_KW * 1.03), fontsize=8)
    axes.set(xlabel="s", ylabel="kW downstream", ylim=(0, LIMIT_KW * 1.15))
    axes.legend(ncol=4, fontsize=8, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def write(
    together: Mapping[str, Any], best: Mapping[str, float], apart: Mapping[str, Any], figures: Mapping[str, float]
) -> None:
    rows = [
        f"| {name} | {each.base_w / 1e3:.1f} | {each.want_w / 1e3:.0f} | {each.flow_w / 1e3:.1f} | "
        f"{each.import_w / 1e3:.2f} | {best[name] / 1e3:.2f} | {apart[name].flow_w / 1e3:.1f} |"
        for name, each in together.items()
    ]
    kw = {name: value / 1e3 for name, value in figures.items()}
    paragraphs = [
        f"# Six transformers below a feeder of {LIMIT_KW:g} kW",
        "Written by `V2G_MESH_REPORT=1 pytest -m soak tests/simulation/test_show_mesh_feeder.py`. Light nodes in a "
        "line, each a process with a Zenoh session of its own, mutual TLS, base loads with noise of 150 W; ratings "
        f"{RATED_KW:g} kW, ramp 5 % of it a second, reserve {RESERVE_PU:.0%} of the limit, margin 1 % of each rating.",
        "\n".join(
            [
                "| node | base kW | wish kW | flow kW | may take kW | central optimum kW | flow in its island kW |",
                "|---|---|---|---|---|---|---|",
                *rows,
            ]
        ),
        f"- Within the limit from the first moment on: the most in the whole run was {kw['worst']:.1f} kW. Settled "
        f"within 1 % of the central optimum {figures['settled']:.1f} s after the last process was started, with ramps; "
        f"then {figures['off']:.2%} off it (what all may take, by node), with {kw['sum']:.1f} kW of {LIMIT_KW:g} kW "
        "used. No node above its rating.",
        f"- The link in the middle cut: two islands of three, seen by all after {figures['apart']:.1f} s. Each has "
        f"what the limit leaves when the other three draw their ratings, {kw['island']:.0f} kW, or its base load "
        "if that is more.",
        f"- Healed: all heard each other after {figures['whole']:.1f} s, within 1 % of the optimum again after "
        f"{figures['again']:.1f} s. The steepest rise of a node within a second was {kw['step']:.1f} kW, with its "
        f"noise; the ramp allows {RAMP_W_S / 1e3:.1f} kW a second.",
        "![power over time](report_mesh_feeder.svg)",
    ]
    (BENCH / "report_mesh_feeder.md").write_text("\n\n".join(paragraphs) + "\n", encoding="utf-8")
