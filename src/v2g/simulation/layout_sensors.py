"""The simulation's sensor map: what its plant measures, and every channel of its waveform buffer."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from v2g.hardware.ports import Quantity
from v2g.hardware.sensor_map import unit_of_channel
from v2g.hardware.waveform_layout import CHANNELS
from v2g.simulation.plant_config import INTERLOCK_FILES
from v2g.simulation.transducer_image import ORDER, SCALE


def write_sensor_map(
    path: Path,
    run_dir: Path,
    *,
    host: str,
    port: int,
    own_channels: Iterable[str],
    nominal_voltage_v: float,
    rated_va: float,
    stress: bool,
) -> None:
    """``host`` and ``port``: of the transducers. ``stress``: the winding stress is read, since something judges it."""
    sensors = _sensors(run_dir, host, port, own_channels, nominal_voltage_v, rated_va)
    if not stress:
        del sensors[Quantity.WINDING_STRESS_MPA.value]
    path.write_text(yaml.safe_dump({"sensors": sensors}, sort_keys=False, allow_unicode=True), encoding="utf-8")


def limits_stress(overlay: bytes) -> bool:
    """The channel of the winding stress is read where an overlay gives it a limit; unset, nothing would judge it."""
    try:
        tree = yaml.safe_load(overlay)
    except yaml.YAMLError:
        # The daemons say what is wrong with it, with file and line.
        return False
    interlocks = tree.get("interlocks") if isinstance(tree, dict) else None
    return isinstance(interlocks, dict) and interlocks.get("winding_stress_limit_mpa") is not None


def _sensors(
    run_dir: Path, host: str, port: int, own_channels: Iterable[str], nominal_voltage_v: float, rated_va: float
) -> dict[str, object]:
    device = {"host": host, "port": port, "unit": 1, "table": "input"}
    sensors: dict[str, object] = {
        quantity.value: {
            "source": {"modbus": {**device, "register": register, "type": "int16"}},
            "scale": SCALE,
            "unit": unit_of_channel(quantity.value),
            "range": [-60, 200] if quantity is not Quantity.WINDING_STRESS_MPA else [-1, 500],
            "max_age_s": 5,
        }
        for register, quantity in enumerate(ORDER)
    }
    for name in (*CHANNELS, *own_channels):
        unit = unit_of_channel(name)
        highest = 2.0 * nominal_voltage_v if unit == "V" else 10.0 * rated_va / (3.0 * nominal_voltage_v)
        sensors[name] = {"source": {"buffer": name}, "unit": unit, "range": [0, round(highest)]}
    for name, file in INTERLOCK_FILES.items():
        sensors[name] = {"source": {"contact": str(run_dir / file)}}
    return sensors
