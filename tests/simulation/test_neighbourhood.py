"""``--simulate --neighbourhood``: light nodes and whole controllers as processes, on real wires."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from v2g.simulation.light_config import LightClient, NodeReading
from v2g.simulation.line_client import NotReachable
from v2g.simulation.plant_client import PlantClient, PlantNotReachable

pytestmark = pytest.mark.soak

BIN = Path(sys.executable).parent
LIMIT_W = 200e3


def light(run_dir: Path) -> dict[str, NodeReading]:
    """Empty while a process does not answer."""
    found = {}
    for path in sorted(run_dir.glob("light-*.sock")):
        try:
            with LightClient(path) as client:
                found.update({node.node: node for node in client.read().nodes})
        except NotReachable:
            return {}
    return found


def test_six_light_nodes_and_a_head_settle_below_the_feeder(simulate: Any) -> None:
    arguments = ("--neighbourhood", "6", "--light", "--head", "--node-vehicles", "4,0,4,3,1,4")
    simulation = simulate(*arguments, plc=True, auto=True)

    def total_w() -> float:
        return sum(node.flow_w for node in light(simulation.run_dir).values())

    def settled() -> bool:
        nodes = light(simulation.run_dir)
        return (
            len(nodes) == 7
            and all(node.present == 6 and node.islands == 1 for node in nodes.values())
            and sum(node.flow_w for node in nodes.values()) > 0.88 * LIMIT_W
        )

    simulation.wait_for("all hear all and the feeder is used", settled, 60.0)
    nodes = light(simulation.run_dir)
    assert total_w() <= LIMIT_W
    assert nodes["head"].hops == {"head": 0} | {f"n{number}": number for number in range(1, 7)}
    # A base load that has just risen is above what was granted by the one told before; no vehicle adds to it.
    over = {name: node for name, node in nodes.items() if node.flow_w > max(node.import_w, node.base_w)}
    assert over == {}

    # The head's meter sees what a liar does not tell, and takes it off what all share.
    with LightClient(simulation.run_dir / "light-1.sock") as client:
        client.ask(type="lie", node="n1", under_w=15e3)
    simulation.wait_for(
        "the head has seen it", lambda: "that no member tells of" in simulation.log("light-1.out"), 30.0
    )
    simulation.wait_for("the limit holds", lambda: total_w() <= LIMIT_W, 20.0)

    simulation.wait_for("the supervisor tells of it", lambda: re.search(r"kW flow; the limit", simulation.output), 20.0)
    keys = list(simulation.run_dir.rglob("private.key"))
    assert len(keys) == 7
    simulation.process.send_signal(signal.SIGINT)
    assert simulation.process.wait(20.0) == 0
    assert simulation.own_pids() == []
    assert not [key for key in keys if key.exists()]


def test_a_process_of_light_nodes_that_dies_comes_back(simulate: Any) -> None:
    simulation = simulate("--neighbourhood", "3", "--light", "--shape", "ring", plc=True, auto=True)

    def whole() -> bool:
        nodes = light(simulation.run_dir)
        return len(nodes) == 3 and all(node.present == 2 for node in nodes.values())

    simulation.wait_for("all hear all", whole, 30.0)
    (pid,) = [pid for pid in simulation.own_pids() if pid != simulation.process.pid]
    os.kill(pid, signal.SIGKILL)
    simulation.wait_for("it is started again", lambda: "restart in" in simulation.output, 10.0)
    simulation.wait_for("all hear all again", whole, 30.0)


def test_two_whole_controllers_and_a_head_charge_below_the_feeder(simulate: Any) -> None:
    arguments = ("--neighbourhood", "2", "--lean", "--head", "--feeder-limit", "60kW", "--node-vehicles", "2,1")
    simulation = simulate(*arguments, auto=True)

    def mesh(name: str) -> dict[str, Any]:
        # Light nodes are no controllers: whoever asks is one of the whole ones.
        answer = subprocess.run(
            [BIN / "v2g-tool", "mesh", "--json"],
            env={**os.environ, "V2G_SOCKET": str(simulation.run_dir / name / "control.sock")},
            capture_output=True,
            text=True,
            timeout=20.0,
            check=False,
        )
        return dict(json.loads(answer.stdout)) if answer.returncode == 0 else {}

    def flows_w() -> dict[str, float]:
        found = {}
        for name in ("n1", "n2"):
            with PlantClient(simulation.run_dir / name / "plant.sock") as plant:
                found[name] = plant.measure().transformer.load_w
        return found

    simulation.wait_for("both run", lambda: "In another terminal" in simulation.output, 180.0)
    members = simulation.wait_for(
        "all are heard",
        lambda: (lines := mesh("n2").get("members", [])) and all(line["present"] for line in lines) and lines,
        60.0,
    )
    assert {line["id"]: line["hops_to_substation"] for line in members} == {"head": 0, "n1": 1, "n2": 2}

    def charging() -> bool:
        try:
            return sum(flows_w().values()) > 0.8 * 60e3
        except PlantNotReachable:
            return False

    simulation.wait_for("the feeder is used", charging, 120.0)
    assert sum(flows_w().values()) <= 60e3
    # Nobody left out is missed: the guard's other processes run, the quality does not.
    roles = [path.name for path in (simulation.run_dir / "n1" / "log").glob("*.out")]
    assert "tick.out" in roles
    assert "quality.out" not in roles
