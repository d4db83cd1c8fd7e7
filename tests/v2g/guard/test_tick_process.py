from __future__ import annotations

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


def run_tick(tmp_path: Path, hz: float = 60.0, opening: float = 0.05) -> subprocess.CompletedProcess[str]:
    config_dir = tmp_path / "etc"
    config_dir.mkdir()
    (config_dir / "v2g.yaml").write_text(CONFIG.format(hz=hz, opening=opening, dir=tmp_path))
    (config_dir / "sensor_map.conf").write_text("")
    code = "import sys, pathlib; from v2g.guard.tick_main import main; sys.exit(main(pathlib.Path(sys.argv[1])))"
    return subprocess.run(
        [sys.executable, "-c", code, str(config_dir)], capture_output=True, text=True, timeout=20, check=False
    )


def test_a_50_hz_grid_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    done = run_tick(tmp_path, hz=50.0)
    assert done.returncode == 2
    assert "nominal_frequency_hz" in done.stderr
    assert not (tmp_path / "breaker").exists()


def test_a_breaker_too_slow_is_refused_with_the_time_it_would_need(tmp_path: Path) -> None:
    done = run_tick(tmp_path, opening=0.2)
    assert done.returncode == 2
    assert "must open within 0.065 s" in done.stderr


def test_a_second_tick_leaves_the_first_ones_breaker_alone(tmp_path: Path) -> None:
    writer = StatusWriter(tmp_path / "guard-status")
    done = run_tick(tmp_path)
    writer.close()
    assert done.returncode == 1
    assert "stop the other v2g-guard tick first" in done.stderr
    assert not (tmp_path / "breaker").exists()
    assert not (tmp_path / "tick.sock").exists()
