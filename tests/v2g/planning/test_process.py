"""``python -m v2g.planning``: what goes in, what comes out, and how it ends when it cannot."""

from __future__ import annotations

import subprocess
import sys

import msgspec

from support.plan_cases import request, vehicle
from v2g.planning.types import Plan


def run(data: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "v2g.planning"], input=data, capture_output=True, timeout=60)


def test_a_request_on_stdin_is_a_plan_on_stdout_and_nothing_else() -> None:
    done = run(msgspec.json.encode(request(vehicle(), steps=24)))
    assert (done.returncode, done.stderr) == (0, b"")
    assert (done.stdout[:1], done.stdout[-1:]) == (b"{", b"}")
    plan = msgspec.json.decode(done.stdout, type=Plan)
    assert plan.problem == plan.simpler == ""
    assert plan.vehicles[0].evse_id == "E1"
    assert 0.0 < plan.solve_s < 60.0


def test_what_is_no_request_ends_with_2_and_says_where() -> None:
    for data, words in (
        (b"", b"the request is no PlanRequest: "),
        (b"{", b"the request is no PlanRequest: "),
        (msgspec.json.encode({"starts_unix_s": "now"}), b"$.starts_unix_s"),
    ):
        done = run(data)
        assert (done.returncode, done.stdout) == (2, b"")
        assert words in done.stderr


def test_a_site_that_makes_no_sense_is_a_problem_and_a_clean_end() -> None:
    done = run(msgspec.json.encode(request(vehicle(), steps=24, base_w=(1.0,))))
    assert done.returncode == 0
    assert msgspec.json.decode(done.stdout, type=Plan).problem == "base_w has 1 values for 24 steps"
