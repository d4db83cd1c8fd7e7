from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.sensors import TOP_OIL

BASE = """\
site: {id: s1}
transformer: {id: T1, rated_kva: 250}
grid: {nominal_voltage_v: 277}
relay: {setting_pu: 1.10, delay_s: 12.5, feedback_path: /run/v2g-io/relay}
evses:
  - id: US*V2G*E1
    interface: evse1
    inverter: {modbus: {host: 10.0.0.1}}
    dc: {modbus: {host: 10.0.1.1}}
  - id: US*V2G*E2
    interface: evse2
    max_charge_w: 11000
    inverter: {modbus: {host: 10.0.0.2}}
    dc: {modbus: {host: 10.0.1.2}}
"""

Configure = Callable[..., Path]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Writes a configuration directory: the base, or ``main``, with drop-ins by name."""

    def write(main: str = BASE, **dropins: str) -> Path:
        (tmp_path / "v2g.yaml").write_text(main, encoding="utf-8")
        (tmp_path / "sensor_map.conf").write_text(TOP_OIL, encoding="utf-8")
        (tmp_path / "conf.d").mkdir(exist_ok=True)
        for name, text in dropins.items():
            (tmp_path / "conf.d" / f"{name}.yaml").write_text(text, encoding="utf-8")
        return tmp_path

    return write
