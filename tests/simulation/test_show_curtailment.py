"""Rated current of the transformer: charge gives way before the breaker must, discharge that offsets load does not."""

from __future__ import annotations

import time
from typing import Any

import pytest

from v2g.thermal.limits import RATED_CURRENT

pytestmark = pytest.mark.soak

RATED_A = 250_000 / 3 / 277
"""The simulated transformer's."""
TOLERANCE = 0.01
FITS_WITH_13_KW_W = 225_000.0
TOO_MUCH_BY_ITSELF_W = 260_000.0


def test_charge_is_curtailed_at_rated_current_and_discharge_is_left_alone(simulate: Any, figures: Any) -> None:
    site = simulate("--vehicles", "2")
    site.wait_for("both vehicles in the charge loop", site.charge_loops)
    site.dispatch("22kW", "charge")
    site.wait_for("22 kW", lambda: site.steady(22_000.0), 20.0)

    begin_s = time.monotonic()
    site.fault("set", base_load_w=FITS_WITH_13_KW_W)
    site.wait_for("charge is curtailed", lambda: site.status()["guard"]["curtail_charge"] < 1.0, 5.0)
    site.wait_for("no phase above its rating", lambda: highest_a(site) <= RATED_A * (1 + TOLERANCE), 5.0)
    figures.add("transformer overloaded by charge: back to rated current, s", "5", time.monotonic() - begin_s)
    for _ in range(10):
        assert highest_a(site) <= RATED_A * (1 + TOLERANCE)
        time.sleep(0.3)
    status = site.status()
    # The guard cuts first; within a second or two the thermal limit takes the same current over and grants no more.
    assert {evse["bound_by"] for evse in status["evses"]} <= {"overcurrent", RATED_CURRENT, f"{RATED_CURRENT}, held"}
    assert status["guard"]["permit"] == "granted"
    assert 5_000 < site.measure().ac_w < 20_000, "throttled, not stopped"

    site.dispatch("10kW")
    site.wait_for("-10 kW", lambda: site.steady(-10_000.0), 20.0)
    site.fault("set", base_load_w=TOO_MUCH_BY_ITSELF_W)
    site.wait_for("the load alone is above the rating", lambda: highest_a(site) > RATED_A, 5.0)
    time.sleep(2.0)
    guard = site.status()["guard"]
    assert guard["curtail_discharge"] == 1.0
    assert site.steady(-10_000.0), "discharge relieves the transformer"
    assert guard["permit"] == "granted"


def highest_a(site: Any) -> float:
    return max(site.status()["guard"]["transformer_a"])
