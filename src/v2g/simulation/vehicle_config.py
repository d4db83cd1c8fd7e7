"""What a vehicle process is told: the JSON file that the supervisor writes for it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from v2g.simulation.battery import BatteryModel


class VehicleConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One vehicle. ``state_file`` outlives the process: a battery keeps its charge when its computer restarts."""

    evccid: str
    evse_id: str
    kind: Literal["DC", "AC"] = "DC"
    """Of the EVSE."""
    interface: str
    sdp_port: int
    plant_socket: str
    cert_chain: str
    cert_key: str
    trust: str
    state_file: str
    soc: float = 0.7
    battery: BatteryModel = BatteryModel()
    max_charge_w: float = 11_000.0
    max_discharge_w: float = 11_000.0
    max_current_a: float = 40.0
    target_soc_pct: int = 80
    min_soc_pct: int = 20
    departure_s: int = 8 * 3600


class VehicleState(msgspec.Struct, kw_only=True):
    """What the vehicle says of itself, in ``state_file``, every second. Energies at the battery's terminals."""

    evccid: str
    evse_id: str
    soc: float
    stored_wh: float
    energy_in_wh: float = 0.0
    energy_out_wh: float = 0.0
    state: str = "starting"
    """``starting``, ``unplugged``, ``searching``, ``connected``, ``charging`` (the loop runs) or ``ended``."""
    session_id: str = ""
    voltage_v: float = 0.0
    current_a: float = 0.0
    power_w: float = 0.0
    sessions: int = 0
    last_end: str = ""
    at_unix_s: float = 0.0


class VehicleConfigError(Exception):
    """The file cannot be used; the message names it and the reason."""


def read_config(path: Path) -> VehicleConfig:
    """Raises :class:`VehicleConfigError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=VehicleConfig)
    except (OSError, msgspec.MsgspecError) as error:
        raise VehicleConfigError(f"vehicle configuration {path}: {error}") from error


def read_state(path: Path) -> VehicleState | None:
    """None when there is none yet or it was cut short."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=VehicleState)
    except (OSError, msgspec.MsgspecError):
        return None


def write_state(path: Path, state: VehicleState) -> None:
    """Whole or not at all."""
    fresh = path.with_suffix(".tmp")
    fresh.write_bytes(msgspec.json.encode(state))
    fresh.replace(path)
