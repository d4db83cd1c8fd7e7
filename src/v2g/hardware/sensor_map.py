"""``sensor_map.conf``: which transducer measures what, and where it is read.

One section a quantity (the names of :class:`v2g.hardware.ports.Quantity`); values come out in the unit of that name.
"""

from __future__ import annotations

import configparser
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from v2g.hardware.modbus import ModbusEndpoint
from v2g.hardware.ports import Quantity
from v2g.hardware.registers import RegisterType, Table, WordOrder

_T = TypeVar("_T", int, float)

_MAX_BYTES = 1 << 20
_REQUIRED = ("source", "host", "register", "min", "max")
_KNOWN = (*_REQUIRED, "port", "unit", "table", "type", "word_order", "scale", "offset", "max_age_s")


@dataclass(frozen=True, slots=True)
class Sensor:
    """One transducer: ``value = register * scale + offset``, believed within ``minimum``..``maximum``."""

    quantity: Quantity
    endpoint: ModbusEndpoint
    table: Table
    register: int
    type: RegisterType
    word_order: WordOrder
    scale: float
    offset: float
    minimum: float
    maximum: float
    max_age_s: float


@dataclass(frozen=True, slots=True)
class SensorMapProblem:
    file: str
    section: str
    key: str
    reason: str

    def __str__(self) -> str:
        place = f"[{self.section}] {self.key}".rstrip() if self.section else self.key
        return f"{self.file}: {place}: {self.reason}" if place else f"{self.file}: {self.reason}"


class SensorMapError(Exception):
    """All problems of a file, each with file, section, key and reason."""

    def __init__(self, problems: list[SensorMapProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def load_sensor_map(path: Path) -> tuple[Sensor, ...]:
    """Raises :class:`SensorMapError`, also when the file cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ValueError("it is larger than 1 MiB")
        text = data.decode("utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SensorMapError([SensorMapProblem(str(path), "", "", reason)]) from None
    return parse_sensor_map(text, str(path))


def parse_sensor_map(text: str, file: str = "sensor_map.conf") -> tuple[Sensor, ...]:
    """Raises :class:`SensorMapError` with every problem found, not only the first."""
    parser = configparser.ConfigParser(interpolation=None, default_section="", inline_comment_prefixes=("#", ";"))
    try:
        parser.read_string(text, file)
    except configparser.Error as error:
        raise SensorMapError([SensorMapProblem(file, "", "", " ".join(str(error).split()))]) from None
    problems: list[SensorMapProblem] = []
    sensors = []
    for name in parser.sections():
        section = _Section(file, name, dict(parser[name]), problems)
        if name not in tuple(Quantity):
            section.say("", f"unknown quantity; known are {', '.join(Quantity)}")
            continue
        sensor = _sensor(section, Quantity(name))
        if sensor is not None:
            sensors.append(sensor)
    if problems:
        raise SensorMapError(problems)
    return tuple(sensors)


class _Section:
    def __init__(self, file: str, name: str, values: dict[str, str], problems: list[SensorMapProblem]) -> None:
        self.file = file
        self.name = name
        self.values = values
        self.problems = problems

    def say(self, key: str, reason: str) -> None:
        self.problems.append(SensorMapProblem(self.file, self.name, key, reason))

    def number(self, key: str, default: float, low: float = -math.inf, high: float = math.inf) -> float:
        return self._value(key, default, float, "a number", low, high)

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        return self._value(key, default, lambda text: int(text, 0), "a whole number", low, high)

    def choice(self, key: str, default: str, choices: list[str]) -> str:
        value = self.values.get(key, default)
        if value not in choices:
            self.say(key, f"{value!r}; wanted is one of {', '.join(choices)}")
            return default
        return value

    def _value(self, key: str, default: _T, parse: Callable[[str], _T], what: str, low: float, high: float) -> _T:
        text = self.values.get(key)
        if text is None:
            return default
        try:
            value = parse(text)
        except ValueError:
            self.say(key, f"{text!r} is not {what}; the unit belongs to the section's name, not to the value")
            return default
        if not (math.isfinite(value) and low <= value <= high):
            self.say(key, f"{text} is not within {low:g}..{high:g}")
            return default
        return value


def _sensor(section: _Section, quantity: Quantity) -> Sensor | None:
    before = len(section.problems)
    for key in section.values:
        if key not in _KNOWN:
            section.say(key, f"unknown key; known are {', '.join(_KNOWN)}")
    for key in _REQUIRED:
        if not section.values.get(key, "").strip():
            section.say(key, "missing")
    section.choice("source", "modbus", ["modbus"])
    type_ = RegisterType(section.choice("type", "int16", list(RegisterType)))
    scale = section.number("scale", 1.0)
    minimum = section.number("min", 0.0)
    maximum = section.number("max", 0.0)
    if scale == 0:
        section.say("scale", "0 would turn every value into the offset")
    if "min" in section.values and "max" in section.values and minimum >= maximum:
        section.say("min", f"{minimum:g} is not below max ({maximum:g})")
    sensor = Sensor(
        quantity=quantity,
        endpoint=ModbusEndpoint(
            host=section.values.get("host", ""),
            port=section.integer("port", 502, 1, 65535),
            unit=section.integer("unit", 1, 0, 255),
        ),
        table=Table(section.choice("table", "input", list(Table))),
        register=section.integer("register", 0, 0, 65536 - type_.words),
        type=type_,
        word_order=WordOrder(section.choice("word_order", "big", list(WordOrder))),
        scale=scale,
        offset=section.number("offset", 0.0),
        minimum=minimum,
        maximum=maximum,
        max_age_s=section.number("max_age_s", 5.0, 0.1, 3600.0),
    )
    return sensor if len(section.problems) == before else None
