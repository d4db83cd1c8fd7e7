"""The 500 ms rule in the whole simulation: a slow vehicle, one whose computer hangs, and what metrics say of both."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.soak

Samples = dict[tuple[str, ...], float]


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10.0)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def scrape(path: Path) -> str:
    connection = _Connection(path)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200, text
    return text


def samples(text: str) -> Samples:
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def site(simulate: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """E1 asks again after 0.3 s, E2's computer hangs 2 s into its charge loop.

    A vehicle gets 1 s instead of 0.5: a processor that others use makes each of them slower than it is.
    """
    patient = tmp_path_factory.mktemp("overlay") / "patient.yaml"
    patient.write_text("secc: {charge_loop_timeout_s: 1.0}\n")
    words = ("dc,v2g,slow=0.3s", "dc,v2g,hangs=2s")
    vehicles = [part for each in words for part in ("--vehicle", each)]
    return simulate(*vehicles, "--overlay", str(patient), plc=True)


def lines(site: Any, code: str, evse_id: str) -> list[str]:
    return [line for line in site.log("comms.log").splitlines() if f" {code} {evse_id} " in line]


def test_a_slow_vehicle_is_warned_of_and_a_silent_one_ends_by_the_manuals_literal(site: Any) -> None:
    site.wait_for("the silence", lambda: lines(site, "ERROR: SECC_TIMEOUT", "US*V2G*E2"), 120.0)
    site.wait_for("the warning", lambda: lines(site, "WARNING: TURNAROUND_SLOW", "US*V2G*E1"), 60.0)
    slow = lines(site, "WARNING: TURNAROUND_SLOW", "US*V2G*E1")
    assert len(slow) == 1, "the first; then a count each minute"
    assert "s after our response, more than 0.25 s" in slow[0]
    silent = lines(site, "ERROR: SECC_TIMEOUT", "US*V2G*E2")[0]
    assert "no request within 1 s after the response to DC_ChargeLoopReq" in silent
    assert re.search(r" cause=(vehicle|cable) ", silent), "its kernel acknowledged: the connection is not dead"
    assert " unacked=0 " in silent
    assert re.search(r"cable: attenuation \d+\.\d dB, within 20 dB", silent)
    assert "cause=cable" in site.command("v2g-tool", "explain", "SECC_TIMEOUT").stdout


def test_status_and_metrics_tell_each_session_its_turnaround(site: Any) -> None:
    def turned() -> dict[str, Any] | None:
        evses = site.status().get("evses", ())
        timings = [evse["session"] and evse["session"]["timing"] for evse in evses]
        return timings if all(each and each["turns"] > 20 for each in timings) else None

    slow, good = site.wait_for("both in their loops for some seconds", turned, 90.0)
    assert 0.3 <= slow["turnaround_median_s"] <= 0.6
    assert slow["slow"] == slow["turns"]
    assert 0.2 <= good["turnaround_median_s"] < slow["turnaround_median_s"]
    assert 0.0 < good["rtt_s"] < 0.5
    assert "TURNAROUND" in site.command("v2g-tool", "status").stdout
    text = scrape(site.run_dir / "metrics.sock")
    found = samples(text)
    assert found["v2g_sessions_ended_total", "SECC_TIMEOUT"] >= 1.0
    assert found["v2g_log_lines_total", "SECC_TIMEOUT", "error", "comms"] >= 1.0
    assert found["v2g_turnaround_slow_total", "US*V2G*E1"] > 20.0
    in_loop = found["v2g_turnaround_seconds_count", "DC_BPT", "charge_loop"]
    within = found["v2g_turnaround_seconds_bucket", "0.25", "DC_BPT", "charge_loop"]
    assert 20.0 < in_loop - within < in_loop
    assert found["v2g_energy_permitted",] == 1.0
    assert found["v2g_plc_link_up", "US*V2G*E2"] == 1.0
    assert 1.0 < found["v2g_plc_attenuation_decibels", "US*V2G*E1"] < 60.0
    assert found["v2g_guard_ticks_total",] > 500.0
    assert found["v2g_guard_tick_lateness_seconds_count",] == found["v2g_guard_ticks_total",]
    assert found["v2g_modbus_latency_seconds_count", "inverter"] > 50.0
    assert found["v2g_tls_handshake_seconds_count",] >= 3.0
    assert found["v2g_cycle_duration_seconds_count",] > 50.0
    if promtool := shutil.which("promtool"):
        arguments = [promtool, "check", "metrics"]
        checked = subprocess.run(arguments, input=text, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr
