"""A simulated vehicle in words: ``dc,v2g,soc=40,mode=scheduled``, as ``--vehicle`` of the simulation takes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from v2g.units import QuantityError, parse_duration_s, parse_power_w, parse_quantity

JUMPS = "jumps"
_NUMBER = re.compile(r"[0-9]{1,4}(\.[0-9]{1,6})?")
_ENERGY_FACTORS = {"Wh": 1.0, "kWh": 1e3}
_PHASES: dict[str, Literal[1, 3]] = {"1": 1, "3": 3}


class VehicleSpecError(ValueError):
    """Words that are no vehicle; the message names them and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleSpec:
    """What is asked for; None where the simulation chooses.

    ``both_ways``: it asks for bidirectional service. ``told_soc_pct`` and ``soc_jumps``: how it lies about its state of
    charge. ``ignores_limits``: it takes all it can, whatever it is told. ``departure_s`` counts from its start; below
    zero: it says all the time that it is about to leave. ``phases``: of its AC EVSE. ``min_power_w`` of either
    direction. ``slow_s``: so long it takes to ask again in the charge loop. ``hangs_after_s``: so long into its charge
    loop its computer stands still for some seconds, once.
    """

    kind: Literal["DC", "AC"]
    connector: Literal["ccs", "mcs"] = "ccs"
    """Of its DC EVSE."""
    both_ways: bool = False
    der: Literal["none", "sae", "iec"] = "none"
    """At an AC EVSE: it asks for AC_DER_SAE or AC_DER_IEC first."""
    soc_pct: float | None = None
    capacity_wh: float | None = None
    power_w: float | None = None
    min_power_w: float = 0.0
    departure_s: float | None = None
    target_soc_pct: int | None = None
    min_soc_pct: int | None = None
    control_mode: Literal["dynamic", "scheduled"] = "dynamic"
    needs_by: Literal["vehicle", "station"] = "vehicle"
    tells_soc: bool = True
    told_soc_pct: int | None = None
    soc_jumps: bool = False
    ignores_limits: bool = False
    phases: Literal[1, 3] | None = None
    slow_s: float | None = None
    hangs_after_s: float | None = None


def parse_vehicle(text: str) -> VehicleSpec:
    """``ac,v2g,soc=40,departs=8h`` -> the vehicle. Raises :class:`VehicleSpecError`."""
    kind, *options = [part.strip() for part in text.split(",")]
    if kind not in _KINDS:
        raise VehicleSpecError(f"{text!r} is no vehicle: begin with dc, mcs or ac, like dc,v2g,soc=40")
    spec = _KINDS[kind]
    for option in options:
        name, given, value = option.partition("=")
        if name in _FLAGS and not given:
            spec = replace(spec, **_FLAGS[name])
        elif name in _VALUES and given:
            try:
                spec = replace(spec, **_VALUES[name](value))
            except ValueError as error:
                raise VehicleSpecError(f"{text!r}: {name}={value}: {error}") from None
        else:
            known = ", ".join([*_FLAGS, *(f"{known}=..." for known in _VALUES)])
            raise VehicleSpecError(f"{text!r}: {option!r} is not known; after the kind may come {known}")
    return _checked(spec, text)


def _checked(spec: VehicleSpec, text: str) -> VehicleSpec:
    if spec.kind == "DC" and spec.ignores_limits:
        raise VehicleSpecError(f"{text!r}: at a DC EVSE the inverter sets the power: ignore-limits is for ac")
    if spec.kind == "DC" and spec.phases is not None:
        raise VehicleSpecError(f"{text!r}: phases is for ac")
    if spec.kind == "DC" and spec.der != "none":
        raise VehicleSpecError(f"{text!r}: der is for ac: at a DC EVSE the station's inverter is the DER")
    if not spec.tells_soc and (spec.told_soc_pct is not None or spec.soc_jumps):
        raise VehicleSpecError(f"{text!r}: no-soc and lie-soc exclude each other")
    if spec.control_mode == "scheduled" and spec.needs_by == "station":
        raise VehicleSpecError(
            f"{text!r}: needs=station is of dynamic mode: in scheduled mode the vehicle has the needs"
        )
    return spec


def _percent(value: str) -> int:
    percent = int(value) if value.isascii() and value.isdigit() and len(value) <= 3 else -1
    if not 0 <= percent <= 100:
        raise ValueError("give a whole percentage, 0..100")
    return percent


def _energy_wh(value: str) -> float:
    energy, unit = parse_quantity(value)
    if unit not in _ENERGY_FACTORS or not energy > 0.0:
        raise QuantityError("give an energy above zero in kWh or Wh, like 60kWh")
    return energy * _ENERGY_FACTORS[unit]


def _seconds(value: str) -> float:
    """With its unit or without."""
    seconds = float(value) if _NUMBER.fullmatch(value) else parse_duration_s(value)
    if not 0.0 < seconds <= 3600.0:
        raise ValueError("give a time above zero, like 0.3s")
    return seconds


def _departs(value: str) -> dict[str, Any]:
    return {"departure_s": -parse_duration_s(value[1:]) if value.startswith("-") else parse_duration_s(value)}


def _lie(value: str) -> dict[str, Any]:
    return {"soc_jumps": True} if value == JUMPS else {"told_soc_pct": _percent(value)}


def _one_of(field: str, *choices: str) -> Callable[[str], dict[str, Any]]:
    def read(value: str) -> dict[str, Any]:
        if value not in choices:
            raise ValueError(f"give {' or '.join(choices)}")
        return {field: value}

    return read


def _phases(value: str) -> dict[str, Any]:
    if value not in _PHASES:
        raise ValueError("give 1 or 3")
    return {"phases": _PHASES[value]}


_KINDS = {
    "dc": VehicleSpec(kind="DC"),
    "mcs": VehicleSpec(kind="DC", connector="mcs"),
    "ac": VehicleSpec(kind="AC"),
}
_FLAGS: dict[str, dict[str, Any]] = {
    "v2g": {"both_ways": True},
    "no-soc": {"tells_soc": False},
    "ignore-limits": {"ignores_limits": True},
}
_VALUES: dict[str, Callable[[str], dict[str, Any]]] = {
    "soc": lambda value: {"soc_pct": float(_percent(value))},
    "capacity": lambda value: {"capacity_wh": _energy_wh(value)},
    "power": lambda value: {"power_w": parse_power_w(value)},
    "min-power": lambda value: {"min_power_w": parse_power_w(value)},
    "departs": _departs,
    "target": lambda value: {"target_soc_pct": _percent(value)},
    "min-soc": lambda value: {"min_soc_pct": _percent(value)},
    "mode": _one_of("control_mode", "dynamic", "scheduled"),
    "needs": _one_of("needs_by", "vehicle", "station"),
    "lie-soc": _lie,
    "slow": lambda value: {"slow_s": _seconds(value)},
    "hangs": lambda value: {"hangs_after_s": _seconds(value)},
    "phases": _phases,
    "der": lambda value: {"both_ways": True, **_one_of("der", "sae", "iec")(value)},
}
