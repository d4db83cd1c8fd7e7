"""A configuration directory of a site, as the loader finds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from support.sensors import TOP_OIL


def write_config(folder: Path, main: dict[str, Any]) -> None:
    """``folder`` is made. In block style, so that each key of ``main`` has a line by which it can be named."""
    (folder / "conf.d").mkdir(parents=True)
    (folder / "v2g.yaml").write_text(yaml.safe_dump(main, default_flow_style=False))
    (folder / "sensor_map.conf").write_text(TOP_OIL, encoding="utf-8")


def two_evses(**sections: Any) -> dict[str, Any]:
    """The least that a site with ``US*V2G*E1`` and ``US*V2G*E2`` has to say, and these sections."""
    evses = [
        {
            "id": f"US*V2G*E{n}",
            "interface": f"evse{n}",
            "inverter": {"modbus": {"host": f"10.0.0.{n}"}},
            "dc": {"modbus": {"host": f"10.0.1.{n}"}},
        }
        for n in (1, 2)
    ]
    return {
        "site": {"id": "s1"},
        "transformer": {"id": "T1", "rated_kva": 250},
        "grid": {"nominal_voltage_v": 277},
        "evses": evses,
        **sections,
    }
