"""What the plant process is told: the JSON file that the supervisor writes for it."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec

MAX_THERMAL_SPEED: Final = 600.0
"""At one wake-up of the plant's clockwork (5 ms) the transformer then moves by 3 s."""
AMBIENT_RANGE_C: Final = (-50.0, 85.0)
INTERLOCK_FILES = {"emergency_stop": "estop", "door": "door"}
"""Contact file in the run directory of each interlock, closed while all is well."""
TOP_OIL_RANGE_C: Final = (-50.0, 150.0)


class PlantEvse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One charger and the TCP ports of its two Modbus servers."""

    evse_id: str
    kind: Literal["DC", "AC"] = "DC"
    inverter_port: int = 0
    inverter_map: str = ""
    """Register map (name or path) that the inverter serves; empty: SunSpec."""
    family: Literal["ieee1547", "legacy"] = "ieee1547"
    """Its inverter's SunSpec models: 701 to 715, or the older 103 and 120 to 124."""
    dc_port: int = 0
    ac_port: int = 0
    """Of an AC EVSE's contactor, meter and pilot."""
    phases: Literal[1, 3] = 3
    rotation: str = "abc"
    """Phases of the bus at the AC EVSE's L1, L2, L3."""
    rated_w: float = 22_000.0
    max_voltage_v: float = 920.0
    min_voltage_v: float = 150.0
    max_current_a: float = 80.0
    voltage_channels: tuple[str, str, str] | None = None
    """Names of waveform channels at its inverter's own terminals; None: there are none."""
    plugged: bool = False
    """From the start, a battery whose contactor moves by itself: for a vehicle that is no child of ours."""


class Conditions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the plant starts with, and how fast its temperatures move."""

    base_load_w: float = 80_000.0
    power_factor: float = 0.95
    """Of the base load, inductive."""
    ambient_c: float = 25.0
    top_oil_c: float | None = None
    """None: where base load and ambient lead."""
    thermal_speed: float = 1.0
    """Seconds of the transformer's thermal time a second. All else in the plant keeps to the clock."""

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("power factor", self.power_factor, 0.1, 1.0),
            ("thermal speed", self.thermal_speed, 1.0, MAX_THERMAL_SPEED),
            ("ambient", self.ambient_c, *AMBIENT_RANGE_C),
            ("top-oil", self.top_oil_c, *TOP_OIL_RANGE_C),
        ):
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name} {value:g} is outside {low:g}..{high:g}")


class PlantConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``scenario``: path of a YAML file with faults, or empty."""

    run_dir: str
    evses: tuple[PlantEvse, ...]
    transducers_port: int
    host: str = "127.0.0.1"
    nominal_voltage_v: float = 277.0
    nominal_frequency_hz: float = 60.0
    rated_va: float = 250_000.0
    conditions: Conditions = Conditions()
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
