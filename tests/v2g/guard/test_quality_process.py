from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from support.sensors import TOP_OIL
from v2g.clock import SystemClock
from v2g.guard.quality import QualitySettings
from v2g.guard.quality_process import QualityLoop, _Publisher
from v2g.guard.quality_report import QualityReport, read_report
from v2g.guard.quality_watch import QualityEvent
from v2g.hardware.waveform import CHANNELS, WaveformReader, WaveformWriter

RATE_HZ = 3840
SETTINGS = QualitySettings(nominal_voltage_v=277.0, nominal_frequency_hz=60.0, rated_feeder_a=100.0)
SCALES = dict.fromkeys(CHANNELS, 0.01)
TURNS = -np.array([0, 2, -2]) * np.pi / 3


def rows(first: int, count: int, rate_hz: int = RATE_HZ):
    phi = 2 * np.pi * 60.0 * (first + np.arange(count)) / rate_hz
    wave = math.sqrt(2) * np.cos(phi[:, None] + TURNS)
    return np.hstack((277.0 * wave, 50.0 * wave, 20.0 * wave, 277.0 * wave))


class Bench:
    """A writer, a loop and a clock that only the test moves."""

    def __init__(self, path: Path, summary_every_s: float = 10.0) -> None:
        self.path = path
        self.now_s = 500.0
        self.events: list[QualityEvent] = []
        self.reports: list[QualityReport] = []
        self.writer: WaveformWriter | None = None
        self.rate_hz = RATE_HZ
        self.index = 0
        self.loop = QualityLoop(
            SETTINGS, summary_every_s, lambda: WaveformReader(path), self.events.append, self.reports.append
        )

    def create(self, rate_hz: int = RATE_HZ, index: int = 0) -> None:
        if self.writer is not None:
            self.writer.close()
        self.writer = WaveformWriter.create(self.path, rate_hz, SCALES)
        self.rate_hz, self.index = rate_hz, index

    def run(self, seconds: float, *, writing: bool = True, stepping: bool = True) -> None:
        """10 ms at a time; the loop steps when it would."""
        due_s = self.now_s
        for _ in range(round(seconds * 100)):
            self.now_s += 0.01
            if writing and self.writer is not None:
                count = self.rate_hz // 100
                self.writer.write(rows(self.index, count, self.rate_hz), self.now_s)
                self.index += count
            if stepping and self.now_s >= due_s:
                self.loop.step(self.now_s)
                due_s = self.now_s + self.loop.poll_s

    @property
    def codes(self) -> list[str]:
        return [event.code for event in self.events]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "waveform")


@pytest.mark.parametrize("rate_hz", [3200, 3840, 10_000, 20_000])
def test_every_sample_is_taken_once(bench: Bench, rate_hz: int) -> None:
    bench.create(rate_hz)
    bench.run(10.2)
    summary = next(event for event in bench.events if event.code == "PQ_SUMMARY")
    assert summary.fields["measured_pct"] > 95.0
    assert summary.fields["frequency_hz"] == "60.000/60.000/60.000"
    assert bench.codes == ["PQ_SUMMARY"]
    assert bench.reports[-1].v_pu == pytest.approx((1.0,) * 3, abs=1e-3)
    assert bench.reports[-1].as_of_s == pytest.approx(bench.now_s, abs=1.5)


def test_a_buffer_that_is_not_there_is_told_once_and_its_coming_too(bench: Bench) -> None:
    bench.run(3)
    assert bench.codes == ["PQ_NOT_MEASURED"]
    assert "is the sampling process running" in bench.events[0].message
    assert "is the sampling process running" in bench.reports[-1].not_measured
    assert "not measuring" in bench.loop.status
    bench.create()
    bench.run(2)
    assert bench.codes == ["PQ_NOT_MEASURED", "PQ_MEASURED"]
    assert bench.events[1].fields["missed_s"] == pytest.approx(3.0, abs=0.5)
    assert bench.reports[-1].not_measured == ""
    assert bench.loop.status == "measuring"


def test_a_writer_that_stands_still_is_told_once(bench: Bench) -> None:
    bench.create()
    bench.run(2)
    bench.run(5, writing=False)
    assert bench.codes == ["PQ_NOT_MEASURED"]
    assert "old" in bench.events[0].message
    assert bench.reports[-1].as_of_s < bench.now_s - 4


def test_a_writer_that_ends_and_one_that_follows_at_another_rate(bench: Bench) -> None:
    bench.create()
    bench.run(2)
    assert bench.writer is not None
    bench.writer.close()
    bench.writer = None
    bench.run(1)
    bench.create(6400)
    bench.run(3)
    assert bench.codes == ["PQ_NOT_MEASURED", "PQ_MEASURED"]
    assert (bench.reports[-1].sample_rate_hz, bench.reports[-1].highest_harmonic) == (6400, 47)
    assert bench.reports[-1].frequency_hz == pytest.approx(60.0, abs=1e-3)


def test_a_replaced_buffer_is_taken_up_without_a_word_of_alarm(bench: Bench) -> None:
    bench.create()
    bench.run(3)
    bench.create()
    bench.run(3)
    assert "PQ_SUMMARY" not in bench.codes
    assert bench.reports[-1].frequency_hz == pytest.approx(60.0, abs=1e-3)
    assert not bench.reports[-1].not_measured


def test_a_loop_that_was_held_up_goes_on_and_says_what_it_missed(bench: Bench) -> None:
    bench.create()
    bench.run(4)
    bench.run(4, stepping=False)
    bench.run(4)
    fields = next(event for event in bench.events if event.code == "PQ_SUMMARY").fields
    assert 40 < fields["measured_pct"] < 75
    assert fields["gaps"] == 1
    assert bench.codes == ["PQ_SUMMARY"]


def test_a_rate_that_is_not_what_the_buffer_says_is_told_once(bench: Bench) -> None:
    bench.create()
    bench.rate_hz = 3700
    bench.run(25)
    assert [code for code in bench.codes if code != "PQ_SUMMARY"] == ["PQ_NOT_MEASURED"]
    assert "3700 samples a second" in next(e.message for e in bench.events if e.code == "PQ_NOT_MEASURED")


def test_a_single_gap_is_counted_and_not_told(bench: Bench) -> None:
    bench.create()
    bench.run(3)
    bench.now_s += 0.4
    bench.run(8)
    assert bench.codes == ["PQ_SUMMARY"]
    assert bench.events[0].fields["gaps"] == 1
    assert bench.events[0].fields["measured_pct"] > 85


def test_a_rate_that_cannot_be_used_is_told_once(bench: Bench) -> None:
    bench.create(1000)
    bench.run(2)
    assert bench.codes == ["PQ_NOT_MEASURED"]
    assert "3200 to 20000" in bench.events[0].message


def test_the_last_summary_comes_at_the_end(bench: Bench) -> None:
    bench.create()
    bench.run(3)
    bench.loop.close(bench.now_s)
    assert bench.codes == ["PQ_SUMMARY"]
    assert bench.events[0].fields["interval_s"] == pytest.approx(3.0, abs=0.2)


def test_the_published_report_can_be_read_and_ages(tmp_path: Path) -> None:
    path = tmp_path / "quality.json"
    assert read_report(path, 10.0) is None
    _Publisher(path)(QualityReport(as_of_s=9.0, pst=(0.1, 0.2, 0.3), harmonics_v_pct=((1.0, 2.0, 3.0),)))
    report = read_report(path, 10.0)
    assert report is not None
    assert (report.pst, report.harmonics_v_pct) == ((0.1, 0.2, 0.3), ((1.0, 2.0, 3.0),))
    assert read_report(path, 20.0) is None
    assert read_report(path, 8.0) is None
    path.write_bytes(b"{")
    assert read_report(path, 10.0) is None


def test_a_place_that_cannot_be_written_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish = _Publisher(tmp_path / "absent" / "quality.json")
    for _ in range(3):
        publish(QualityReport(as_of_s=1.0))
    assert capsys.readouterr().err.count("QUALITY_NOT_PUBLISHED") == 1


CONFIG = """
site: {{id: test}}
transformer: {{id: T1, rated_kva: 250}}
grid: {{nominal_voltage_v: 277}}
power_quality: {{summary_every_s: 3600}}
paths: {{run_dir: {dir}, state_dir: {dir}/state, log_dir: {dir}/log}}
evses:
  - id: US*V2G*E1
    interface: lo
    inverter: {{modbus: {{host: 127.0.0.1, port: 5020}}}}
    dc: {{modbus: {{host: 127.0.0.1, port: 5021}}}}
"""


@pytest.mark.soak
def test_the_process_is_ready_measures_publishes_and_ends_with_a_summary(tmp_path: Path) -> None:
    config_dir = tmp_path / "etc"
    config_dir.mkdir()
    (config_dir / "v2g.yaml").write_text(CONFIG.format(dir=tmp_path))
    (config_dir / "sensor_map.conf").write_text(TOP_OIL, encoding="utf-8")
    writer = WaveformWriter.create(tmp_path / "waveform", RATE_HZ, SCALES)
    clock, over = SystemClock(), threading.Event()

    def write() -> None:
        index, due_s = 0, clock.monotonic_s()
        while not over.is_set():
            writer.write(rows(index, 96), due_s)
            index += 96
            due_s += 96 / RATE_HZ
            over.wait(max(0.0, due_s - clock.monotonic_s()))

    thread = threading.Thread(target=write)
    thread.start()
    command = [sys.executable, "-m", "v2g.cli.guard", "quality", "--config", str(config_dir)]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(tmp_path / "notify"))
            notify.settimeout(20)
            environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}
            with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
                messages = [notify.recv(4096).decode() for _ in range(12)]
                report = read_report(tmp_path / "quality.json", clock.monotonic_s())
                process.send_signal(signal.SIGHUP)
                messages.append(notify.recv(4096).decode())
                process.send_signal(signal.SIGTERM)
                _, err = process.communicate(timeout=10)
    finally:
        over.set()
        thread.join()
    assert (process.returncode, len(err.splitlines())) == (0, 1)
    assert "GUARD_QUALITY_ENDED" in err
    assert any(message.startswith("READY=1") for message in messages)
    assert messages.count("WATCHDOG=1") >= 10
    assert report is not None
    assert report.v_pu == pytest.approx((1.0,) * 3, abs=0.01)
    lines = (tmp_path / "log" / "power_quality.log").read_text().splitlines()
    assert " INFO: PQ_SUMMARY " in lines[-1]
    assert "harmonics to the 28th: 3840 Hz" in lines[-1]
    assert json.loads((tmp_path / "quality.json").read_bytes())["highest_harmonic"] == 28


def test_a_wrong_configuration_is_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "v2g.yaml").write_text("site: {}")
    command = [sys.executable, "-m", "v2g.cli.guard", "quality", "--config", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert "v2g.yaml" in done.stderr
