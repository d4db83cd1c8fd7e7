from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from v2g.guard.status_block import StatusWriter

CONFIG = """
site: {{id: test}}
transformer: {{id: T1, rated_kva: 250}}
grid: {{nominal_voltage_v: 277, nominal_frequency_hz: {hz}, enter_service_delay_s: 1}}
breaker: {{opening_time_s: {opening}}}
paths: {{run_dir: {dir}, state_dir: {dir}/state, log_dir: {dir}/log}}
evses:
  - id: US*V2G*E1
    interface: lo
    inverter: {{modbus: {{host: 127.0.0.1, port: 5020}}}}
    dc: {{modbus: {{host: 127.0.0.1, port: 5021}}}}
"""


CODE = "import sys, pathlib; from v2g.guard.tick_main import main; sys.exit(main(pathlib.Path(sys.argv[1])))"


def configure(tmp_path: Path, hz: float = 60.0, opening: float = 0.05) -> Path:
    config_dir = tmp_path / "etc"
    config_dir.mkdir()
    (config_dir / "v2g.yaml").write_text(CONFIG.format(hz=hz, opening=opening, dir=tmp_path))
    (config_dir / "sensor_map.conf").write_text("[top_oil_c]\n")
    return config_dir


def run_tick(tmp_path: Path, hz: float = 60.0, opening: float = 0.05) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CODE, str(configure(tmp_path, hz, opening))]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def test_a_50_hz_grid_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    done = run_tick(tmp_path, hz=50.0)
    assert done.returncode == 2
    assert "nominal_frequency_hz" in done.stderr
    assert not (tmp_path / "breaker").exists()


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


def test_a_hang_up_signal_leaves_it_running(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(20)
        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with subprocess.Popen([sys.executable, "-c", CODE, str(configure(tmp_path))], env=environment) as process:
            try:
                assert notify.recv(4096).startswith(b"READY=1")
                process.send_signal(signal.SIGHUP)
                assert notify.recv(4096).startswith(b"STATUS=")
                assert process.poll() is None
                process.send_signal(signal.SIGTERM)
                assert process.wait(10) == 0
            finally:
                process.kill()
