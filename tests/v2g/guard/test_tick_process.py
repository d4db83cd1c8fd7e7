from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.sensors import TOP_OIL
from v2g.config.loader import load
from v2g.config.protection import settings_digest
from v2g.guard.status import GuardStatus, Permit
from v2g.guard.status_block import StatusReader, StatusWriter
from v2g.guard.tick_commands import send_command
from v2g.hardware.sensor_map import SensorMap

CONFIG = """
site: {{id: test}}
transformer: {{id: T1, rated_kva: 250}}
grid: {{nominal_voltage_v: 277, nominal_frequency_hz: {hz}, enter_service: {{delay_s: {delay}, ramp_s: 1}}}}
breaker: {{opening_time_s: {opening}}}
paths: {{run_dir: {dir}, state_dir: {dir}/state, log_dir: {dir}/log}}
evses:
  - id: US*V2G*E1
    interface: lo
    inverter: {{modbus: {{host: 127.0.0.1, port: 5020}}}}
    dc: {{modbus: {{host: 127.0.0.1, port: 5021}}}}
"""


CODE = "import sys, pathlib; from v2g.guard.tick_main import main; sys.exit(main(pathlib.Path(sys.argv[1])))"


def configure(tmp_path: Path, hz: float = 60.0, opening: float = 0.05, delay: float = 1.0) -> Path:
    config_dir = tmp_path / "etc"
    config_dir.mkdir(exist_ok=True)
    (config_dir / "v2g.yaml").write_text(CONFIG.format(hz=hz, opening=opening, delay=delay, dir=tmp_path))
    (config_dir / "sensor_map.conf").write_text(TOP_OIL, encoding="utf-8")
    return config_dir


def run_tick(tmp_path: Path, hz: float = 60.0, opening: float = 0.05) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CODE, str(configure(tmp_path, hz, opening))]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def test_a_breaker_too_slow_is_refused_with_the_time_it_would_need(tmp_path: Path) -> None:
    done = run_tick(tmp_path, opening=0.2)
    assert done.returncode == 2
    assert "must open within 0.055 s" in done.stderr


def test_a_second_tick_leaves_the_first_ones_breaker_alone(tmp_path: Path) -> None:
    writer = StatusWriter(tmp_path / "guard-status")
    done = run_tick(tmp_path)
    writer.close()
    assert done.returncode == 1
    assert "stop the other v2g-guard tick first" in done.stderr
    assert not (tmp_path / "breaker").exists()
    assert not (tmp_path / "tick.sock").exists()


class Running:
    """A ``tick`` of its own process that has told its supervisor that it is ready."""

    def __init__(self, tmp_path: Path, hz: float = 60.0) -> None:
        self.path = tmp_path
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(tmp_path / "notify"))
        self.notify.settimeout(20)
        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        self.process = subprocess.Popen([sys.executable, "-c", CODE, str(configure(tmp_path, hz))], env=environment)
        self.status = StatusReader(tmp_path / "guard-status")
        assert self.notify.recv(4096).startswith(b"READY=1")

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.notify.close()

    def wait_for(self, permit: Permit) -> GuardStatus:
        end_s = time.monotonic() + 20.0
        while (status := self.status.read(time.monotonic())).permit is not permit:
            assert time.monotonic() < end_s, status
            time.sleep(0.005)
        return status


def test_a_hang_up_signal_leaves_it_running(tmp_path: Path) -> None:
    with Running(tmp_path) as tick:
        tick.process.send_signal(signal.SIGHUP)
        assert tick.notify.recv(4096).startswith(b"STATUS=")
        assert tick.process.poll() is None
        tick.process.send_signal(signal.SIGTERM)
        assert tick.process.wait(10) == 0


def test_a_50_hz_grid_without_a_profile_runs_with_an_open_breaker_and_takes_settings_by_command(tmp_path: Path) -> None:
    with Running(tmp_path, hz=50.0) as tick:
        status = tick.wait_for(Permit.NO_SETTINGS)
        assert (status.breaker_commanded_closed, status.settings_digest) == (False, "00000000")
        refused = send_command(tmp_path / "tick.sock", "adopt_settings", "anna")
        assert not refused.accepted
        assert refused.message.startswith("nothing has changed: ")
        assert "grid.profile" in refused.message
        configure(tmp_path, delay=2.0)
        adopted = send_command(tmp_path / "tick.sock", "adopt_settings", "anna")
        assert adopted.accepted, adopted.message
        status = tick.wait_for(Permit.WAVEFORM_STALE)
        assert status.profile == "ieee1547-III"
        assert status.settings_digest == adopted.digest == settings_digest(load(tmp_path / "etc").config, SensorMap())


HANGING = """
import os
from v2g.guard.realtime import Watchdog
watchdog = Watchdog()
watchdog.feed()
watchdog.stop()
watchdog.feed()
print("up", flush=True)
while True:
    os.getpid()
"""


@pytest.mark.soak
def test_a_tick_that_hangs_is_ended_by_the_kernel_after_a_second(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HANGING], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            began_s = time.monotonic()
            assert process.wait(10) == -signal.SIGALRM
            assert 0.5 < time.monotonic() - began_s < 5.0
        finally:
            process.kill()


WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from v2g.hardware.waveform import *
w = WaveformWriter.create(Path(sys.argv[1]), 3840, dict.fromkeys(CHANNELS, 0.01))
begin, written = time.monotonic(), 0
turn = np.array([0, -2, 2]) * np.pi / 3
while True:
    due = int((time.monotonic() - begin) * 3840)
    angle = 2 * np.pi * 60 / 3840 * np.arange(written, due)[:, None] + turn
    rows = np.zeros((due - written, 12))
    rows[:, 0:3] = rows[:, 9:12] = 277 * np.sqrt(2) * np.sin(angle)
    w.write(rows, begin + due / 3840)
    written = due
    time.sleep(0.005)
"""


@pytest.mark.soak
def test_a_writer_that_is_killed_is_noticed_and_a_tick_that_was_stopped_ends(tmp_path: Path) -> None:
    with Running(tmp_path) as tick:
        with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "waveform")]) as writer:
            try:
                assert tick.wait_for(Permit.ENTER_SERVICE_DELAY).measured
            finally:
                writer.kill()
        killed_s = time.monotonic()
        tick.wait_for(Permit.WAVEFORM_STALE)
        assert time.monotonic() - killed_s < 2.0

        # Its own watchdog: stopped for longer than a second it ends when it is continued.
        tick.process.send_signal(signal.SIGSTOP)
        time.sleep(1.3)
        tick.process.send_signal(signal.SIGCONT)
        assert tick.process.wait(10) == -signal.SIGALRM
