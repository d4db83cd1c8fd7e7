"""A supervisor that dies, two simulations at once. What takes minutes is in ``test_show_*.py``."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytestmark = pytest.mark.soak


def test_nothing_is_left_when_the_supervisor_is_killed(simulate: Any) -> None:
    simulation = simulate("--vehicles", "2", plc=True)
    simulation.wait_for("the simulation runs", lambda: "In another terminal" in simulation.output)
    assert len(simulation.own_pids()) >= 7
    simulation.process.kill()
    simulation.process.wait()
    deadline_s = time.monotonic() + 5.0
    while simulation.own_pids() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert simulation.own_pids() == []


def test_two_simulations_started_at_the_same_moment_both_run(simulate: Any) -> None:
    both = [simulate("--vehicles", "1", plc=True) for _ in range(2)]
    for simulation in both:
        simulation.wait_for("its vehicle is in the charge loop", simulation.charge_loops)
