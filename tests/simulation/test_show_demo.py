"""The demonstration by itself, and what is left when it is over."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

pytestmark = pytest.mark.soak


def test_the_demonstration_reaches_ten_kilowatts_and_leaves_nothing(simulate: Any, figures: Any) -> None:
    begin_s = time.monotonic()
    demo = simulate("--demo", plc=True)
    assert demo.process.wait(60) == 0, demo.output
    figures.add("demo: whole run, s", "60", time.monotonic() - begin_s)
    total = next(line for line in demo.output.splitlines() if line.startswith("total"))
    plant_w, modbus_w = (float(power_w) for power_w in re.findall(r"(-?\d+) W", total))
    assert plant_w == pytest.approx(-10_000.0, rel=0.02)
    assert modbus_w == pytest.approx(-10_000.0, rel=0.02)
    assert not demo.own_pids()
    assert not list(demo.run_dir.glob("*.sock"))
    assert not (demo.run_dir / "pki").exists()

    answer = demo.command("v2g-control", "--dispatch", "--mode=discharge", "--power=10kW")
    assert answer.returncode == 3
    assert str(demo.run_dir / "control.sock") in answer.stderr
