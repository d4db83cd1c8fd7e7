"""What the controller remembers of its transformer: kept by the minute, taken up again after kill -9, missed by nobody.

One simulation, 60 times as fast; the tests follow each other.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import re
import resource
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.soak

BASE_W = 120_000.0
DISCHARGE_W = 10_000.0
SPEED = 60.0
FIFTH, SEVENTH = 0.2, 0.1
EDDY_SHARE = 0.1
"""The configuration's default."""
RECOVERY_S = 20.0


@pytest.fixture(scope="module")
def site(simulate: Any) -> Any:
    simulation = simulate("--vehicles", "2", "--base-load", "120kW", "--thermal-speed", f"{SPEED:g}")
    simulation.wait_for("both vehicles in the charge loop", simulation.charge_loops)
    return simulation


def thermal(site: Any) -> dict[str, Any]:
    """Empty while the daemon does not answer."""
    answer = site.command("v2g-tool", "thermal", "--json")
    return json.loads(answer.stdout) if answer.returncode == 0 else {}


def told(site: Any) -> str:
    return str(site.command("v2g-tool", "thermal").stdout)


def history(site: Any, kind: str = "minutes") -> list[dict[str, str]]:
    answer = site.command("v2g-tool", "thermal", "history", "--config", site.run_dir / "etc", "--of", kind)
    assert answer.returncode == 0, answer.stderr
    return list(csv.DictReader(answer.stdout.splitlines()))


def oil_c(site: Any) -> float:
    return float(site.measure().transformer.top_oil_c)


def file_of(site: Any) -> Path:
    return Path(site.run_dir) / "state" / "history.sqlite"


def restart(site: Any, meanwhile: Callable[[], None] = lambda: None) -> str:
    """kill -9, ``meanwhile``, and another one that has been ready; what daemon.log said since."""
    size, pid = len(site.log("daemon.log")), site.pids()["orchestrator"]
    with site.stopped("supervisor"):
        os.kill(pid, signal.SIGKILL)
        site.wait_for("it is dead", lambda: "orchestrator" not in site.pids())
        meanwhile()
    site.wait_for("another one", lambda: " READY " in site.log("daemon.log")[size:], RECOVERY_S)
    site.wait_for("it answers", lambda: thermal(site).get("top_oil_c") is not None or None, RECOVERY_S)
    return str(site.log("daemon.log")[size:])


def without_history(site: Any) -> None:
    for end in ("", "-wal", "-shm"):
        file_of(site).with_name(file_of(site).name + end).unlink(missing_ok=True)


def test_minutes_have_load_charge_and_grants(site: Any) -> None:
    site.dispatch("10kW")
    site.wait_for("-10 kW", lambda: site.steady(-DISCHARGE_W), 10.0)
    time.sleep(4.0)
    minutes, evses = history(site), history(site, "evses")
    ends = [datetime.fromisoformat(row["time"]).timestamp() for row in minutes]
    assert len(ends) >= 5
    assert all(later - earlier == 60.0 for earlier, later in itertools.pairwise(ends)), minutes
    newest = minutes[-1]
    assert float(newest["base_kW"]) == pytest.approx(BASE_W / 1e3, rel=0.02)
    assert float(newest["V2G_kW"]) == pytest.approx(-DISCHARGE_W / 1e3, rel=0.03)
    assert float(newest["load_kW"]) == pytest.approx((BASE_W - DISCHARGE_W) / 1e3, rel=0.02)
    assert float(newest["top_oil_C"]) == pytest.approx(site.measure().transformer.top_oil_c, abs=1.0)
    by_evse = {row["evse"]: row for row in evses if row["time"] == evses[-1]["time"]}
    states = {state.evse_id: state for state in site.vehicles()}
    assert set(by_evse) == set(states)
    for evse_id, row in by_evse.items():
        assert row["vehicle"] == states[evse_id].evccid
        assert float(row["soc_pct"]) == pytest.approx(100.0 * states[evse_id].soc, abs=1.0)
        assert float(row["power_kW"]) == pytest.approx(float(row["granted_kW"]), rel=0.03)
    granted_kw = [float(row["granted_kW"]) for row in by_evse.values()]
    assert sum(granted_kw) == pytest.approx(-DISCHARGE_W / 1e3, rel=0.01)
    assert max(granted_kw) < -1.0


def test_harmonics_of_the_load_heat_the_winding_by_their_definition(site: Any, figures: Any) -> None:
    before = site.wait_for("the factor of a sinusoidal load", lambda: thermal(site).get("f_hl"), 5.0)
    assert before == pytest.approx(1.0, abs=0.02)
    # Beside no V2G power the transformer carries the base load's own current.
    site.command("v2g-control", "cancel", "--yes")
    site.wait_for("no power", site.no_power, 5.0)
    site.fault("set", harmonic_5=FIFTH, harmonic_7=SEVENTH)
    # IEEE C57.110: sum of (I_h h)^2 over the sum of I_h^2.
    squares = {1: 1.0, 5: FIFTH**2, 7: SEVENTH**2}
    f_hl = sum(i2 * order**2 for order, i2 in squares.items()) / sum(squares.values())
    answer = site.wait_for("F_HL", lambda: near(thermal(site), "f_hl", f_hl, 0.03), 10.0)
    figures.add(
        f"F_HL of {FIFTH:.0%} 5th and {SEVENTH:.0%} 7th over its definition", "0.97..1.03", answer["f_hl"] / f_hl
    )
    assert answer["load_loss_factor"] == pytest.approx(
        (1.0 + answer["f_hl"] * EDDY_SHARE) / (1.0 + EDDY_SHARE), rel=2e-3
    )
    assert re.search(r"harmonic loss factor 2\.[34]", told(site)), "2.37 by the definition"
    site.fault("set", harmonic_5=0.0, harmonic_7=0.0)
    site.wait_for("a sinusoidal load again", lambda: near(thermal(site), "f_hl", 1.0, 0.02), 10.0)


def near(answer: dict[str, Any], name: str, value: float, rel: float) -> dict[str, Any] | None:
    known = answer.get(name) is not None and abs(answer[name] - value) <= rel * value
    return answer if known else None


def test_kill_9_loses_neither_temperatures_nor_life_nor_the_regime(site: Any, figures: Any) -> None:
    regime = ("v2g-tool", "thermal", "regime", "long_time_emergency", "--for", "4h", "--reason", "T2 out of service")
    assert site.command(*regime).returncode == 0
    site.dispatch("10kW")
    site.wait_for("-10 kW", lambda: site.steady(-DISCHARGE_W), 20.0)
    minutes = len(history(site))
    before = thermal(site)
    begin_s = time.monotonic()
    log = restart(site)
    after = thermal(site)
    assert re.search(r"INFO: THERMAL_RECALLED temperatures go on from those of \d+ (s|min) ago \(top-oil", log), log
    assert re.search(r"loss of life goes on from \d+\.\d h; .*long-time emergency loading, authorised by", log), log
    # The start is the safer of what was kept and of the steady state; what is measured pulls it back.
    assert after["top_oil_c"] >= before["top_oil_c"] - 0.5
    assert after["regime"] == "long_time_emergency"
    assert after["regime_by"] == before["regime_by"]
    assert after["regime_left_s"] < before["regime_left_s"]
    # The memory is kept by the minute.
    assert after["ageing_counted_h"] >= before["ageing_counted_h"] - 2.0 / 60.0
    assert after["ageing_total_h"] >= before["ageing_total_h"] - before["ageing_rate"] * 2.0 / 60.0
    site.wait_for("-10 kW again", lambda: site.steady(-DISCHARGE_W), RECOVERY_S)
    figures.add("kill -9 in an emergency: from restart to -10 kW, s", "20", time.monotonic() - begin_s)
    site.wait_for("the measured oil", lambda: abs(thermal(site)["top_oil_c"] - oil_c(site)) <= 1.0, 15.0)
    assert len(history(site)) >= minutes
    ended = ("v2g-tool", "thermal", "regime", "normal_cyclic")
    assert "hot spot 120 °C" in site.command(*ended).stdout
    site.wait_for("it is told", lambda: "LOADING_REGIME normal cyclic" in site.log("daemon.log"), 5.0)
    assert "LOADING_REGIME long-time emergency loading authorised by" in site.log("audit.log")


@contextlib.contextmanager
def no_file_longer_than(pid: int, size_bytes: int) -> Iterator[None]:
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def test_a_disk_that_takes_nothing_more_does_not_stop_control(site: Any) -> None:
    """A limit on the length of the daemon's files: for its history as a full disk, for its logs none yet."""
    size, pid = len(site.log("daemon.log")), site.pids()["orchestrator"]
    with no_file_longer_than(pid, 256 << 10):
        site.wait_for("it is said", lambda: " ERROR: HISTORY_NOT_KEPT " in site.log("daemon.log")[size:], 15.0)
        end_s = time.monotonic() + 3.0
        while time.monotonic() < end_s:
            assert site.steady(-DISCHARGE_W)
            time.sleep(0.1)
        line = next(line for line in told(site).splitlines() if line.startswith("  history "))
        assert "NOT WRITTEN" in line, line
        assert "control goes on" in line, line
    site.wait_for("it is written again", lambda: " HISTORY_KEPT_AGAIN " in site.log("daemon.log")[size:], 10.0)
    assert site.pids()["orchestrator"] == pid
    ends = [datetime.fromisoformat(row["time"]).timestamp() for row in history(site)[-8:]]
    assert ends[-1] - ends[0] == 60.0 * 7, "what waited in memory is there too"


def test_a_trip_is_kept_once_with_what_tripped(site: Any) -> None:
    site.fault("frequency", hz=62.5)
    site.wait_for("the breaker is open", lambda: not site.measure().breaker.closed, 3.0)
    (trip,) = site.wait_for("the trip in the history", lambda: history(site, "trips"), 5.0)
    assert (trip["element"], trip["unit"]) == ("OF2", "Hz")
    assert float(trip["value"]) == pytest.approx(62.5, abs=0.3)
    newest = datetime.fromisoformat(history(site)[-1]["time"]).timestamp()
    assert abs(datetime.fromisoformat(trip["time"]).timestamp() - newest) <= 5 * SPEED
    restart(site)
    time.sleep(2.0)
    assert history(site, "trips") == [trip], "told again by the guard, and known"
    site.clear()
    assert site.command("v2g-control", "trip", "reset", "--yes").returncode == 0


def test_a_history_of_a_newer_version_is_left_alone_and_told(site: Any) -> None:
    def newer() -> None:
        with contextlib.closing(sqlite3.connect(file_of(site))) as connection:
            connection.execute("PRAGMA user_version = 99")

    log = restart(site, newer)
    assert re.search(
        r"WARNING: THERMAL_MEMORY_LOST temperatures.*begins anew: .*newer v2g-orchestrator \(schema 99", log
    )
    assert "THERMAL_RECALLED no temperatures are kept of an earlier run: no V2G power before top-oil is measured" in log
    site.wait_for("it is said", lambda: "schema 99" in told(site), 5.0)
    site.wait_for("charge is possible: top-oil is measured", lambda: thermal(site)["hi_w"] > 0.0 or None, 5.0)
    with contextlib.closing(sqlite3.connect(file_of(site))) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)


def test_a_broken_history_is_put_aside_and_a_new_one_begun(site: Any) -> None:
    def broken() -> None:
        without_history(site)
        file_of(site).write_bytes(b"no database at all " * 500)

    log = restart(site, broken)
    assert re.search(r"WARNING: THERMAL_MEMORY_LOST .*is broken", log), log
    assert site.wait_for("it is told", lambda: "is now history.sqlite.broken-" in site.log("daemon.log"), 5.0)
    assert site.wait_for("rows in a new one", lambda: history(site), 10.0)
    assert file_of(site).with_name("history.sqlite.broken-1").exists()


def health(site: Any) -> str:
    return next((str(line["health"]) for line in thermal(site).get("sensors", ()) if line["name"] == "top_oil_c"), "")


def test_without_history_and_top_oil_there_is_no_power_until_it_is_measured(site: Any) -> None:
    site.fault("sensor_loss", sensor="top_oil_c")
    # For half a minute its last reading counts, and would after a restart.
    site.wait_for("its last reading is too old", lambda: health(site) == "lost", 45.0)
    restart(site, lambda: without_history(site))
    site.wait_for("both vehicles in the charge loop", site.charge_loops, RECOVERY_S)
    answer = site.command("v2g-control", "--dispatch", "--mode=discharge", "--power=10kW")
    # The preflight, which comes first, names its check; the transformer's limits the sensor.
    assert re.search("PREFLIGHT_FAIL|top-oil", answer.stdout), answer
    state = thermal(site)
    assert (state["lo_w"], state["hi_w"]) == (0.0, 0.0)
    assert "top-oil" in state["lo_source"]
    assert site.no_power()
    site.clear()
    site.wait_for("-10 kW by the order that stood", lambda: site.steady(-DISCHARGE_W), RECOVERY_S)
