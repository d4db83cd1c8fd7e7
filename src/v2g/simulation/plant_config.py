"""What the plant process is told: the JSON file that the supervisor writes for it."""

from __future__ import annotations

from pathlib import Path

import msgspec


class PlantEvse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One charger and the TCP ports of its two Modbus servers."""

    evse_id: str
    inverter_port: int
    dc_port: int
    rated_w: float = 22_000.0
    max_voltage_v: float = 920.0
    min_voltage_v: float = 150.0
    max_current_a: float = 80.0
    voltage_channels: tuple[str, str, str] | None = None
    """Names of waveform channels at its inverter's own terminals; None: there are none."""
    plugged: bool = False
    """From the start, a battery whose contactor moves by itself: for a vehicle that is no child of ours."""


class PlantConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``scenario``: path of a YAML file with faults, or empty."""

    run_dir: str
    evses: tuple[PlantEvse, ...]
    transducers_port: int
    host: str = "127.0.0.1"
    nominal_voltage_v: float = 277.0
    nominal_frequency_hz: float = 60.0
    rated_va: float = 250_000.0
    base_load_w: float = 80_000.0
    ambient_c: float = 25.0
    enter_service_delay_s: float = 1.0
    relay_setting_pu: float = 1.10
    relay_delay_s: float = 14.0
    scenario: str = ""
    seed: int = 1


class PlantConfigError(Exception):
    """The file cannot be used; the message names it and the reason."""


def read_config(path: Path) -> PlantConfig:
    """Raises :class:`PlantConfigError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=PlantConfig)
    except (OSError, msgspec.MsgspecError) as error:
        raise PlantConfigError(f"plant configuration {path}: {error}") from error


def write_config(path: Path, config: PlantConfig) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(config), indent=2))
