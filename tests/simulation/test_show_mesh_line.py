"""Four controllers in a line, links only between neighbours; a relay that dies, with another way and without."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from support.mesh_rig import MeshRig, rig_of, with_ports
from v2g.simulation.layout_mesh import MeshPlan, Shape, flat_plan
from v2g.simulation.light_config import LightModel

pytestmark = pytest.mark.soak

NAMES = ("sub", "a", "b", "far")
RATED_KW = 60.0
FEEDER_KW = 200.0
PINGS = 40
REPORT = Path(__file__).resolve().parents[1] / "bench" / "report_mesh_line.md"
_lines: dict[str, list[str]] = {}


@pytest.fixture(scope="module", autouse=True)
def report() -> object:
    yield
    if os.environ.get("V2G_MESH_REPORT") == "1" and len(_lines) == 3:
        text = "\n\n".join(f"## {title}\n\n" + "\n".join(lines) for title, lines in sorted(_lines.items()))
        REPORT.write_text(
            "# Four nodes in a line and in a ring\n\n"
            "Written by `V2G_MESH_REPORT=1 pytest -m soak tests/simulation/test_show_mesh_line.py`. Light nodes, each "
            "a process with a Zenoh session of its own, mutual TLS on loopback, two cores. `sub` is at the substation, "
            "`far` at the other end; each dials its neighbour alone.\n\n" + text + "\n",
            encoding="utf-8",
        )


def plan(shape: Shape) -> MeshPlan:
    ports = [0] * len(NAMES)
    return with_ports(flat_plan(NAMES, ports, shape, feeder_kw=FEEDER_KW, rated_kw=RATED_KW))


def models() -> dict[str, LightModel]:
    wants_w = dict(zip(NAMES, (0.0, 22_000.0, 44_000.0, 44_000.0), strict=True))
    return {
        name: LightModel(rated_w=RATED_KW * 1e3, base_w=15_000.0, noise_w=200.0, want_charge_w=wants_w[name])
        for name in NAMES
    }


def all_heard(rig: MeshRig) -> bool:
    readings = rig.read()
    return len(readings) == len(NAMES) and all(each.present == len(NAMES) - 1 for each in readings.values())


def test_the_substation_end_sees_the_far_end_over_two_relays(tmp_path: Path) -> None:
    with rig_of(tmp_path, plan(Shape.LINE), models()) as rig:
        took_s = rig.until(lambda: all_heard(rig), 20.0, "everybody hears everybody")
        time.sleep(3.0)
        reading = rig.read_one("sub")
        assert reading.links == 1
        assert reading.hops == {"sub": 0, "a": 1, "b": 2, "far": 3}
        rows = ["| to | hops | round trip, median | most | one way and hop |", "|---|---|---|---|---|"]
        medians_ms = []
        for hops, name in enumerate(NAMES[1:], start=1):
            trips = []
            for _ in range(PINGS):
                trips.append(rig.ask("sub", type="ping", to=name)["round_trip_s"])
                time.sleep(0.1)
            assert all(trip is not None for trip in trips)
            median_ms = statistics.median(trips) * 1e3
            medians_ms.append(median_ms)
            rows.append(
                f"| {name} | {hops} | {median_ms:.2f} ms | {max(trips) * 1e3:.2f} ms | {median_ms / 2 / hops:.2f} ms |"
            )
        assert medians_ms[-1] < 100.0
        by_states = ", ".join(f"{name} {trip_ms:.1f} ms" for name, trip_ms in sorted(reading.round_trips_ms.items()))
        _lines["1 Latency"] = [
            f"All four heard each other {took_s:.1f} s after the start of the last process. {PINGS} signed pings each:",
            "",
            *rows,
            "",
            f"By what states tell of each other, without any ping: {by_states}.",
        ]


def gap_after(rig: MeshRig, action: Callable[[], None], watch_s: float) -> tuple[float, int]:
    """The longest time that ``sub`` heard nothing of ``b``, and how many of its states were lost."""
    before = rig.read_one("sub").missed["b"]
    action()
    oldest_s, began = 0.0, time.monotonic()
    while time.monotonic() - began < watch_s:
        oldest_s = max(oldest_s, rig.read_one("sub").ages_s["b"])
        time.sleep(0.02)
    return oldest_s, rig.read_one("sub").missed["b"] - before


def test_a_relay_that_dies_with_another_way_costs_a_state_at_most(tmp_path: Path) -> None:
    """In a ring of four ``sub`` hears ``b`` over ``a`` or over ``far``: each of them goes once."""
    with rig_of(tmp_path, plan(Shape.RING), models()) as rig:
        rig.until(lambda: all_heard(rig), 20.0, "everybody hears everybody")
        time.sleep(3.0)
        rows = ["| what | longest time without a state of b at sub | states of b lost |", "|---|---|---|"]
        for relay in ("a", "far"):
            for words, action, undo in (
                ("killed", rig.kill, rig.start_again),
                ("frozen", partial(rig.freeze, frozen=True), partial(rig.freeze, frozen=False)),
            ):
                gap_s, lost = gap_after(rig, partial(action, relay), 6.0)
                rows.append(f"| {relay} {words} | {gap_s:.2f} s | {lost} |")
                assert gap_s < 3.0
                assert rig.read_one("sub").heard == 2
                undo(relay)
                rig.until(lambda: all_heard(rig), 20.0, f"{relay} is back")
                time.sleep(1.0)
        _lines["2 Another way"] = [
            "A ring: `sub` hears `b` over `a` or over `far`. States come every second, and on change.",
            "",
            *rows,
        ]


@pytest.mark.long
def test_without_another_way_there_are_islands_which_heal(tmp_path: Path) -> None:
    with rig_of(tmp_path, plan(Shape.LINE), models()) as rig:
        rig.until(lambda: all_heard(rig), 20.0, "everybody hears everybody")
        rig.until(lambda: rig.read_one("far").flow_w > 35_000.0, 30.0, "far charges")
        time.sleep(5.0)
        before = rig.read()
        rig.kill("a")
        apart_s = rig.until(lambda: rig.read_one("far").islands == 3, 15.0, "far sees islands")
        time.sleep(1.0)
        alone, other = rig.read_one("sub"), rig.read_one("far")
        # sub is alone; b and far have each other; a counts with its rating for all three.
        assert (alone.heard, other.heard) == (0, 1)
        limit_w = FEEDER_KW * 1e3 * 0.98
        reach_w = limit_w - 2 * RATED_KW * 1e3
        both = rig.read()
        assert both["b"].flow_w + both["far"].flow_w <= reach_w + 500.0
        assert alone.import_w <= max(alone.base_w + 2_000.0, limit_w - 3 * RATED_KW * 1e3)
        rig.start_again("a")
        whole_s = rig.until(lambda: all_heard(rig), 30.0, "whole again")
        back_s = rig.until(
            lambda: rig.read_one("far").flow_w > before["far"].flow_w - 1_500.0, 40.0, "far charges as before"
        )
        _lines["3 Islands"] = [
            f"A line, `a` killed. Islands were seen by `far` after {apart_s:.1f} s (states are valid for 3 s): `sub` "
            "alone, `a`, and `b` with `far`.",
            "",
            "| node | flow before | flow in its island | what may be taken there |",
            "|---|---|---|---|",
            *(
                f"| {name} | {before[name].flow_w / 1e3:.1f} kW | {both[name].flow_w / 1e3:.1f} kW | "
                f"{max(0.0, both[name].import_w) / 1e3:.1f} kW |"
                for name in ("sub", "b", "far")
            ),
            "",
            f"`b` and `far` shared {reach_w / 1e3:.0f} kW: the limit of {FEEDER_KW:g} kW less 2 % and twice "
            f"{RATED_KW:g} kW, the ratings of those that they did not hear. `a` came back as it starts: all heard each "
            f"other after {whole_s:.1f} s, and `far` had its power again {back_s:.1f} s later, by its ramp.",
        ]
