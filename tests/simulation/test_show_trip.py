"""A step to 62.5 Hz: the breaker's contact is open within the shortest clearing time, and people are told why."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytestmark = pytest.mark.soak

CLEARING_TIME_S = 0.160
RUNS = 3
DISCHARGES_AGAIN_S = 30.0
"""No discharge begins for ten seconds after the frequency left the alarm window."""


def test_a_step_to_62_5_hz_opens_the_breaker_within_160_ms(simulate: Any, figures: Any) -> None:
    site = simulate("--vehicles", "2")
    site.wait_for("both vehicles in the charge loop", site.charge_loops)
    site.dispatch("10kW")
    for run in range(1, RUNS + 1):
        site.wait_for("-10 kW by the standing order", lambda: site.steady(-10_000.0), DISCHARGES_AGAIN_S)
        time.sleep(0.5)
        site.fault("frequency", hz=62.5)
        site.wait_for("the breaker is open", lambda: not site.measure().breaker.closed, 3.0)
        measured = site.measure()
        opened_s = measured.breaker.changed_at_s - measured.grid.last_event_at_s
        figures.add("step to 62.5 Hz: breaker contact open, s", "0.160", opened_s)
        assert 0.0 < opened_s <= CLEARING_TIME_S
        site.wait_for("no power", site.no_power, 3.0)
        flowed_s = site.last_power_at_s() - measured.grid.last_event_at_s
        figures.add("step to 62.5 Hz: power zero, s", "0.160", flowed_s)
        assert flowed_s <= CLEARING_TIME_S

        told = site.wait_for("status knows", lambda: _tool_status(site, "TRIPPED"), 3.0)
        assert "TRIPPED by OF2 at 62" in told
        trips = [line for line in site.log("power_quality.log").splitlines() if " ERROR: TRIP " in line]
        assert len(trips) == run
        assert "OF2" in trips[-1]
        refused = site.command("v2g-control", "trip", "reset", "--yes")
        assert refused.returncode == 1, "reset although the grid is still at 62.5 Hz"
        assert "TRIPPED" in _tool_status(site, "permit")

        site.clear()
        time.sleep(0.5)
        assert not site.measure().breaker.closed, "closed again without a reset"
        reset = site.command("v2g-control", "trip", "reset", "--yes")
        assert reset.returncode == 0, reset.stderr
        assert "trip OF2 reset" in reset.stdout
    site.wait_for("-10 kW by the standing order", lambda: site.steady(-10_000.0), DISCHARGES_AGAIN_S)


def _tool_status(site: Any, word: str) -> str:
    """Its text once ``word`` is in it, else empty."""
    answer = site.command("v2g-tool", "status")
    assert answer.returncode == 0, answer.stderr
    return answer.stdout if word in answer.stdout else ""
