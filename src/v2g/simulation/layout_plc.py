"""The simulation's powerline: one segment with the modems of EVSEs and vehicles; neighbours are heard by crosstalk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from v2g.simulation.powerline_config import PairConfig, PowerlineConfig, StationConfig

CALIBRATION_DB = 5.0
"""What an EVSE's own coupling adds, and its configuration takes off again."""
CABLE_DB = 8.0
"""Of the first EVSE; each further cable is a little longer."""
_LONGER_DB = 0.6
_LONGEST_DB = 14.0
CROSSTALK_DB = 32.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseLine:
    """The powerline between one EVSE and its vehicle. Ports are addresses of :func:`v2g.hardware.ethernet_port`."""

    number: int
    evse_port: str
    vehicle_port: str
    vehicle_mac: str

    @property
    def section(self) -> dict[str, Any]:
        """``plc`` of the EVSE's configuration."""
        return {"port": self.evse_port, "calibration_db": CALIBRATION_DB}

    @property
    def evse_station(self) -> str:
        return f"EVSE {self.number}"

    @property
    def vehicle_station(self) -> str:
        return f"vehicle {self.number}"


def line_of(run_dir: Path, number: int) -> EvseLine:
    """``number`` from 1."""
    return EvseLine(
        number=number,
        evse_port=f"unix:{run_dir / f'plc-{number}.sock'}",
        vehicle_port=f"unix:{run_dir / f'plc-v{number}.sock'}",
        vehicle_mac=f"02:00:00:ee:{number >> 8:02x}:{number & 255:02x}",
    )


def write_powerline(path: Path, run_dir: Path, lines: Sequence[EvseLine]) -> None:
    """The configuration of the powerline's process."""
    stations, pairs = [], []
    for line in lines:
        high, low = line.number >> 8, line.number & 255
        stations += [
            StationConfig(
                name=line.evse_station,
                kind="unix",
                address=line.evse_port.removeprefix("unix:"),
                modem_mac=f"02:00:00:51:{high:02x}:{low:02x}",
                offset_db=CALIBRATION_DB,
            ),
            StationConfig(
                name=line.vehicle_station,
                kind="unix",
                address=line.vehicle_port.removeprefix("unix:"),
                modem_mac=f"02:00:00:5e:{high:02x}:{low:02x}",
                plugged=False,
            ),
        ]
        level_db = min(_LONGEST_DB, CABLE_DB + _LONGER_DB * (line.number - 1))
        pairs.append(PairConfig(one=line.evse_station, other=line.vehicle_station, db=level_db))
    config = PowerlineConfig(
        control_socket=str(run_dir / "powerline.sock"),
        stations=tuple(stations),
        pairs=tuple(pairs),
        default_db=CROSSTALK_DB,
    )
    path.write_bytes(msgspec.json.encode(config))
