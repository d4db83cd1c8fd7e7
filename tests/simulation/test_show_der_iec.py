"""Under AC_DER_IEC a vehicle droops as it was handed at parameter discovery, and hears no other slope until it is asked
anew: its charge loop has no words for one, and none for trips."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytestmark = pytest.mark.soak

EVSE = "US*V2G*E1"
RATED_W, NOMINAL_HZ, DEAD_BAND_HZ, OVER_HZ = 11_000.0, 60.0, 0.036, 60.9
K_OF = 0.05


@pytest.fixture(scope="module")
def pair(simulate: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    overlay = tmp_path_factory.mktemp("der") / "der.yaml"
    overlay.write_text("functions: {frequency_droop: {response_s: 1.0}}\ngrid: {alarm_window_hz: 2.0}\n")
    pair = simulate("--vehicles", "0", "--vehicle", "ac,der=iec,phases=3,soc=70", "--overlay", str(overlay))
    pair.wait_for("the vehicle in the charge loop", pair.charge_loops, 60.0)
    pair.dispatch("11kW")
    gives(pair)
    return pair


def gives(pair: Any) -> None:
    pair.wait_for("all it can", lambda: abs(pair.charger(EVSE).ac_w + RATED_W) < 0.02 * RATED_W, 40.0)


def droops(pair: Any) -> None:
    pair.fault("frequency", hz=OVER_HZ)
    expected_w = RATED_W * (1.0 - (OVER_HZ - NOMINAL_HZ - DEAD_BAND_HZ) / (NOMINAL_HZ * K_OF))
    pair.wait_for("its droop", lambda: abs(pair.charger(EVSE).ac_w + expected_w) < 0.02 * RATED_W, 10.0)
    time.sleep(2.0)
    assert -pair.charger(EVSE).ac_w == pytest.approx(expected_w, rel=0.02)
    assert pair.status()["guard"]["permit"] == "granted"
    pair.clear()
    gives(pair)


def test_it_droops_as_it_was_handed_and_a_change_waits(pair: Any) -> None:
    assert "no words for" in pair.log("comms.log")
    droops(pair)
    for verb in (("set", "functions.frequency_droop.k_of", "0.03"), ("reload",)):
        answer = pair.command("v2g-config", *verb)
        assert answer.returncode == 0, answer.stdout + answer.stderr
    pair.wait_for(
        "the daemon says that it waits", lambda: "cannot be told while it charges" in pair.log("comms.log"), 5.0
    )
    droops(pair)
