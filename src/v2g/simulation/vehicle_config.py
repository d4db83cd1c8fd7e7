"""What a vehicle process is told: the JSON file that the supervisor writes for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from v2g.simulation.battery import BatteryModel
from v2g.simulation.vehicle_spec import VehicleSpec

_CAR = BatteryModel()


class VehicleConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One vehicle. ``state_file`` outlives the process: a battery keeps its charge when its computer restarts."""

    evccid: str
    evse_id: str
    kind: Literal["DC", "AC"] = "DC"
    """Of the EVSE."""
    connector: Literal["ccs", "mcs"] = "ccs"
    """Of a DC EVSE."""
    interface: str
    sdp_port: int
    powerline: str | None = None
    """Where its powerline modem is: ``unix:/path`` of a simulated line, empty for ``interface``; None: it has none."""
    mac: str = ""
    """Of its computer, as the powerline sees it; of no use where the modem is at an interface, which has its own."""
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
    min_power_w: float = 0.0
    """Below it the vehicle exchanges nothing, as it says; of either direction."""
    target_soc_pct: int = 80
    min_soc_pct: int = 20
    departure_s: float = 8 * 3600.0
    """From the start of its process; below zero: it says all the time that it is about to leave."""
    both_ways: bool = True
    """It asks for bidirectional service."""
    der: Literal["none", "sae", "iec"] = "none"
    """At an AC EVSE: the DER service that it asks for first."""
    control_mode: Literal["dynamic", "scheduled"] = "dynamic"
    needs_by: Literal["vehicle", "station"] = "vehicle"
    """Who provides the mobility needs in dynamic mode."""
    tells_soc: bool = True
    """False: nothing but its energy requests."""
    told_soc_pct: int | None = None
    """A lie: the state of charge that it tells all the time, its energy requests to match."""
    soc_jumps: bool = False
    """A lie: what it tells is off by :data:`v2g.simulation.vehicle_body.JUMP_PU` every other half minute."""
    ignores_limits: bool = False
    """At an AC EVSE: it takes or gives all it can, whatever it is told."""
    slow_s: float | None = None
    """So long it takes to ask again in the charge loop; None: as the standard has it."""
    hangs_after_s: float | None = None
    """So long into its charge loop its computer stands still, once in the life of its process."""


def vehicle_settings(spec: VehicleSpec, *, soc: float, most_w: float, battery: BatteryModel = _CAR) -> dict[str, Any]:
    """The fields of :class:`VehicleConfig` that ``spec`` is about; ``soc``, ``most_w`` and ``battery`` where it leaves
    them open."""
    most_w = most_w if spec.power_w is None else spec.power_w
    if spec.capacity_wh is not None:
        battery = msgspec.structs.replace(battery, capacity_wh=spec.capacity_wh)
    open_ones = {
        "departure_s": spec.departure_s,
        "target_soc_pct": spec.target_soc_pct,
        "min_soc_pct": spec.min_soc_pct,
    }
    return {
        "connector": spec.connector,
        "battery": battery,
        "soc": soc if spec.soc_pct is None else spec.soc_pct / 100.0,
        "max_charge_w": most_w,
        "max_discharge_w": most_w,
        "min_power_w": spec.min_power_w,
        "both_ways": spec.both_ways,
        "der": spec.der,
        "control_mode": spec.control_mode,
        "needs_by": spec.needs_by,
        "tells_soc": spec.tells_soc,
        "told_soc_pct": spec.told_soc_pct,
        "soc_jumps": spec.soc_jumps,
        "ignores_limits": spec.ignores_limits,
        "slow_s": spec.slow_s,
        "hangs_after_s": spec.hangs_after_s,
        **{name: value for name, value in open_ones.items() if value is not None},
    }


class VehicleState(msgspec.Struct, kw_only=True):
    """What the vehicle says of itself, in ``state_file``, every second. Energies at the battery's terminals."""

    evccid: str
    evse_id: str
    soc: float
    stored_wh: float
    energy_in_wh: float = 0.0
    energy_out_wh: float = 0.0
    state: str = "starting"
    """``starting``, ``unplugged``, ``matching`` (SLAC), ``searching``, ``connected``, ``charging`` (the loop runs) or
    ``ended``."""
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
