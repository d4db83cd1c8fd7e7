"""Which transducer measures what, and how its reading becomes a value: what ``sensor_map.conf`` says, as types.

The file is read by :mod:`v2g.config.sensors`. A channel's name carries its unit, or says that it is a contact. Nothing
here needs a Modbus library: the guard's ``tick`` loads it too.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from v2g.hardware.endpoint import ModbusEndpoint
from v2g.hardware.ports import Quantity
from v2g.hardware.registers import RegisterType, Table, WordOrder

CONTACTS = ("emergency_stop", "door", "relay", "mains", "breaker")
INTERLOCKS = ("emergency_stop", "door")
WINDING_STRESS = "winding_stress"
"""The contact file that stands for the channel ``winding_stress_mpa``: closed while it is within its limit."""
PILOT_UNITS = {"high_v": "V", "low_v": "V", "duty_pct": "%", "frequency_hz": "Hz", "earth_ohm": "Ω"}

_QUANTITY_UNITS = {
    Quantity.TOP_OIL_C: "°C",
    Quantity.AMBIENT_C: "°C",
    Quantity.WINDING_C: "°C",
    Quantity.WINDING_STRESS_MPA: "MPa",
}
# As the waveform buffer's table takes them: 24 bytes, one of them zero.
_BUFFER = re.compile(r"([vi])_[a-z0-9_]{1,21}")
_PILOT = re.compile(rf"pilot_({'|'.join(PILOT_UNITS)})@(.+)")


class Family(enum.StrEnum):
    """What kind of channel a name stands for; each kind has sources of its own."""

    QUANTITY = "quantity"
    BUFFER = "buffer"
    CONTACT = "contact"
    PILOT = "pilot"


@dataclass(frozen=True, slots=True)
class ModbusSource:
    """A value in registers, or one bit of a register (``bit`` 0 is the lowest)."""

    device: ModbusEndpoint
    table: Table
    register: int
    type: RegisterType = RegisterType.INT16
    word_order: WordOrder = WordOrder.BIG
    bit: int | None = None

    def __str__(self) -> str:
        bit = "" if self.bit is None else f" bit {self.bit}"
        return f"{self.device} {self.table} register {self.register}{bit}"


@dataclass(frozen=True, slots=True)
class BufferSource:
    """A channel of the waveform buffer."""

    channel: str

    def __str__(self) -> str:
        return f"waveform buffer {self.channel}"


@dataclass(frozen=True, slots=True)
class FileSource:
    """A number in a small file, as the kernel's IIO and hwmon drivers give it."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class ContactSource:
    """A memory-mapped contact (:mod:`v2g.hardware.contact`)."""

    path: Path

    def __str__(self) -> str:
        return f"contact {self.path}"


Source = ModbusSource | BufferSource | FileSource | ContactSource


@dataclass(frozen=True, slots=True)
class Filter:
    """Of readings, in the order they come: the median of ``median``, or first order with ``time_constant_s``."""

    median: int | None = None
    time_constant_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One channel: ``value = (raw * scale + offset) * calibrated factor``, believed within ``minimum``..``maximum``.

    A contact has neither scale nor range. ``place`` is ``file:line`` of its entry.
    """

    name: str
    source: Source
    scale: float = 1.0
    offset: float = 0.0
    minimum: float = 0.0
    maximum: float = 0.0
    filter: Filter = Filter()
    max_age_s: float = 5.0
    closed_is_healthy: bool = True
    """Of an interlock: its contact is closed (for a Modbus bit: 1) while nothing is wrong."""
    place: str = ""

    @property
    def family(self) -> Family:
        family = family_of(self.name)
        assert family is not None  # noqa: S101 - the loader took only known names
        return family

    @property
    def unit(self) -> str:
        return unit_of_channel(self.name)


@dataclass(frozen=True, slots=True)
class SensorMap:
    """The channels in the order of the file. ``file`` is where they come from."""

    channels: tuple[Channel, ...] = ()
    file: str = ""

    def __iter__(self) -> Iterator[Channel]:
        return iter(self.channels)

    def get(self, name: str) -> Channel | None:
        return next((channel for channel in self.channels if channel.name == name), None)


@dataclass(frozen=True, slots=True)
class InterlockChannel:
    """What ``tick`` watches for one interlock.

    ``path`` None: ``wires`` mirrors it into the contact file ``<run_dir>/contact-<name>``, closed while healthy.
    """

    name: str
    path: Path | None
    closed_is_healthy: bool


Factors = Mapping[str, tuple[float, float]]
"""By channel of the waveform buffer: ``(scale, offset)``, what its samples are multiplied by and what is added."""


def family_of(name: str) -> Family | None:
    """None: no channel has this name."""
    if name in tuple(Quantity):
        return Family.QUANTITY
    if name in CONTACTS:
        return Family.CONTACT
    if _PILOT.fullmatch(name):
        return Family.PILOT
    return Family.BUFFER if _BUFFER.fullmatch(name) else None


def unit_of_channel(name: str) -> str:
    """``°C`` of ``top_oil_c``; empty for a contact and an unknown name."""
    if name in tuple(Quantity):
        return _QUANTITY_UNITS[Quantity(name)]
    if pilot := _PILOT.fullmatch(name):
        return PILOT_UNITS[pilot[1]]
    if name not in CONTACTS and (buffer := _BUFFER.fullmatch(name)):
        return "V" if buffer[1] == "v" else "A"
    return ""


def pilot_evse(name: str) -> str | None:
    """The EVSE of a pilot channel: ``US*V2G*E1`` of ``pilot_high_v@US*V2G*E1``."""
    pilot = _PILOT.fullmatch(name)
    return pilot[2] if pilot else None


def pilot_channels(sensors: SensorMap, evse_id: str) -> dict[str, str]:
    """The pilot channels of one EVSE: field of :class:`~v2g.hardware.ports.PilotReading` -> name of the channel."""
    names = [channel.name for channel in sensors if pilot_evse(channel.name) == evse_id]
    return {name.removeprefix("pilot_").partition("@")[0]: name for name in names}


def interlock_channels(sensors: SensorMap) -> tuple[InterlockChannel, ...]:
    """Each interlock that is mapped: emergency stop, door, and the winding stress against its limit."""
    found = []
    for channel in sensors:
        if channel.name == Quantity.WINDING_STRESS_MPA:
            found.append(InterlockChannel(WINDING_STRESS, None, True))
        elif channel.name in INTERLOCKS:
            if isinstance(channel.source, ContactSource):
                found.append(InterlockChannel(channel.name, channel.source.path, channel.closed_is_healthy))
            else:
                found.append(InterlockChannel(channel.name, None, True))
    return tuple(found)


def buffer_factors(sensors: SensorMap, calibration: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Of each mapped or calibrated channel of the waveform buffer, by name. ``calibration``: the calibrated factors."""
    found = {}
    for name in sorted({channel.name for channel in sensors} | set(calibration)):
        if family_of(name) is Family.BUFFER:
            channel = sensors.get(name)
            scale, offset = (1.0, 0.0) if channel is None else (channel.scale, channel.offset)
            factor = calibration.get(name, 1.0)
            found[name] = (scale * factor, offset * factor)
    return found
