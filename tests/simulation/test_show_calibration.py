"""A voltage transducer that shows 3 % too little, calibrated during a discharge; and a sensor map read again."""

from __future__ import annotations

import json
import os
import signal
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from v2g.guard.status_block import StatusReader
from v2g.simulation.layout import NOMINAL_VOLTAGE_V

pytestmark = pytest.mark.soak

BOB = ("--acknowledge", "Bob Quist")
GAIN = 0.97
POWER_W = -10_000.0


@pytest.fixture(scope="module")
def site(simulate: Any) -> Any:
    running = simulate("--vehicles", "1")
    running.wait_for("the vehicle in its charge loop", running.charge_loops)
    running.dispatch("10kW")
    running.wait_for("-10 kW", lambda: running.steady(POWER_W), 60.0)
    running.fault("sensor_gain", sensor="v_bus_a", gain=GAIN)
    running.fault("sensor_gain", sensor="i_v2g_b", gain=0.96)
    time.sleep(0.3)
    return running


@pytest.fixture(scope="module")
def reader(site: Any) -> Iterator[StatusReader]:
    with_status = StatusReader(site.run_dir / "guard-status")
    yield with_status
    with_status.close()


def true_v(site: Any) -> float:
    return site.measure().grid.v_pu[0] * NOMINAL_VOLTAGE_V


def true_a(site: Any) -> float:
    """Of each phase of the feeder: the inverters are symmetrical."""
    measured = site.measure()
    return abs(measured.ac_w) / 3.0 / (measured.grid.v_pu[1] * NOMINAL_VOLTAGE_V)


def power_error(site: Any, reader: StatusReader) -> float:
    """Of the feeder's power as the guard measures it, against the plant's, each averaged over a second."""
    told, true = [], []
    for _ in range(40):
        told.append(reader.read(time.monotonic()).feeder_w)
        true.append(site.measure().ac_w)
        time.sleep(0.025)
    return abs(statistics.fmean(told) / statistics.fmean(true) - 1.0)


def sensor(site: Any, name: str) -> dict[str, Any]:
    answer = site.call("sensors.list")
    return next(line for line in answer["sensors"] if line["name"] == name)


def calibrate(site: Any, name: str, reference: str) -> dict[str, Any]:
    answer = site.command(
        "v2g-tool", "sensors", "calibrate", name, "--reference", reference, *BOB, "--json", timeout_s=40.0
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return json.loads(answer.stdout)


def test_a_calibrated_voltage_and_current_bring_the_power_within_half_a_percent(
    site: Any, reader: StatusReader, figures: Any
) -> None:
    figures.add("feeder power before calibration, error in %", "", 100.0 * power_error(site, reader))
    reference = f"{true_v(site):.2f}V"
    voltage = calibrate(site, "v_bus_a", reference)
    figures.add("v_bus_a 3 % low: error before, %", "3", 100.0 * abs(voltage["before"] / true_v(site) - 1.0))
    figures.add("v_bus_a 3 % low: error after, %", "0.5", 100.0 * abs(voltage["after"] / true_v(site) - 1.0))
    assert voltage["before"] == pytest.approx(GAIN * true_v(site), rel=0.002)
    assert voltage["after"] == pytest.approx(true_v(site), rel=0.005)
    assert voltage["factor_after"] == pytest.approx(1.0 / GAIN, rel=0.002)
    assert voltage["by"].endswith(", Bob Quist answers for it")
    current = calibrate(site, "i_v2g_b", f"{true_a(site):.3f} A")
    assert current["after"] == pytest.approx(true_a(site), rel=0.005)
    error = power_error(site, reader)
    figures.add("feeder power at 10 kW discharge after calibration, error in %", "0.5", 100.0 * error)
    assert error <= 0.005
    assert site.steady(POWER_W), "the calibration disturbed the discharge"

    file = Path(voltage["file"])
    written = file.read_bytes()
    again = calibrate(site, "v_bus_a", reference)
    assert not again["changed"]
    assert again["words"].startswith("no change")
    assert file.read_bytes() == written
    assert set(yaml.safe_load(written)["calibration"]["sensors"]) == {"v_bus_a", "i_v2g_b"}
    shown = sensor(site, "v_bus_a")
    assert (shown["quality"], shown["factor_from"]) == ("good", str(file))
    print(f"v_bus_a {voltage['before']:.2f} -> {voltage['after']:.2f} V of {reference}; power error {error:.4%}")


def test_wrong_wiring_is_refused_and_changes_nothing(site: Any) -> None:
    refused = site.command("v2g-tool", "sensors", "calibrate", "v_bus_b", "--reference", "480V", *BOB, timeout_s=40.0)
    assert refused.returncode == 1
    assert "wrong ratio" in refused.stderr
    assert sensor(site, "v_bus_b")["factor_from"] == ""


def test_a_broken_map_is_refused_and_a_changed_scale_is_in_force_within_a_second(
    site: Any, reader: StatusReader, figures: Any
) -> None:
    file = site.run_dir / "etc" / "sensor_map.conf"
    good = file.read_text(encoding="utf-8")
    tree = yaml.safe_load(good)

    def bus_v() -> float:
        return reader.read(time.monotonic()).v_pu[1] * NOMINAL_VOLTAGE_V

    before = bus_v()
    tree["sensors"]["top_oil_c"]["scale"] = 0
    tree["sensors"]["v_bus_b"]["scale"] = 1.01
    file.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    refused = site.command("v2g-tool", "sensors", "reload")
    assert refused.returncode == 1
    assert "sensors.top_oil_c.scale" in refused.stderr
    time.sleep(0.3)
    assert bus_v() == pytest.approx(before, rel=0.002)
    assert sensor(site, "top_oil_c")["quality"] == "good"

    oil_c = sensor(site, "top_oil_c")["value"]
    tree["sensors"]["top_oil_c"]["scale"] = 0.11
    file.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    begin_s = time.monotonic()
    site.call("sensors.reload")
    answered_s = time.monotonic() - begin_s
    site.wait_for("the bus voltage by the scale", lambda: abs(bus_v() / before - 1.01) < 0.002, 1.0)
    figures.add("sensor map read again: bus voltage by it, s", "1", time.monotonic() - begin_s)
    site.wait_for(
        "top-oil by the scale", lambda: abs((sensor(site, "top_oil_c")["value"] or 0) / oil_c - 1.1) < 0.02, 1.0
    )
    figures.add("sensor map read again: top-oil by it, s", "1", time.monotonic() - begin_s)
    assert time.monotonic() - begin_s < 2.0
    figures.add("sensor map read again: answered, s", "", answered_s)

    file.write_text(good, encoding="utf-8")
    os.kill(site.pids()["orchestrator"], signal.SIGHUP)
    site.wait_for("the bus voltage as before", lambda: abs(bus_v() / before - 1.0) < 0.002, 2.0)
    assert "SENSORS_RELOADED" in site.log("audit.log")
    site.wait_for("-10 kW all the while", lambda: site.steady(POWER_W), 20.0)
