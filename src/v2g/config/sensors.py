"""``sensor_map.conf``: read, checked, and turned into :class:`v2g.hardware.sensor_map.SensorMap`."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from v2g.config.addresses import tls_files
from v2g.config.paths import run_paths, sensor_map_path
from v2g.config.problems import ConfigError, Problem, Report
from v2g.config.schema import Config
from v2g.config.schema_base import Section
from v2g.config.schema_evse import ModbusAddress
from v2g.config.tree import Tree, parse, without_nulls
from v2g.config.validate import validate
from v2g.hardware.endpoint import ModbusEndpoint
from v2g.hardware.ports import Quantity
from v2g.hardware.registers import RegisterType, Table, WordOrder
from v2g.hardware.sensor_map import (
    CONTACTS,
    INTERLOCKS,
    PILOT_UNITS,
    BufferSource,
    Channel,
    ContactSource,
    Family,
    FileSource,
    Filter,
    ModbusSource,
    SensorMap,
    Source,
    buffer_factors,
    family_of,
    pilot_evse,
    unit_of_channel,
)

MAX_CHANNELS = 4096
_MAX_BYTES = 1 << 20
_MAX_AGE_S = 5.0
_CONTACT_MAX_AGE_S = 1.0
_SOURCES = {
    Family.QUANTITY: ("modbus", "file"),
    Family.BUFFER: ("buffer",),
    Family.CONTACT: ("contact", "modbus"),
    Family.PILOT: ("modbus", "file"),
}
_INI_SECTION = re.compile(r"^\[\w+\][ \t]*$", re.MULTILINE)
_OF_CONTACTS = ("source", "max_age_s", "closed_is")
_FORM = "the head of etc/v2g/sensor_map.conf tells the form"


class _Modbus(ModbusAddress, frozen=True, kw_only=True):
    register: Annotated[int, Meta(ge=0, le=65535)]
    table: Table = Table.INPUT
    type: RegisterType = RegisterType.INT16
    word_order: WordOrder = WordOrder.BIG
    bit: Annotated[int, Meta(ge=0, le=15)] | None = None


class _Source(Section, frozen=True, kw_only=True):
    modbus: _Modbus | None = None
    buffer: str | None = None
    file: str | None = None
    contact: str | None = None


class _Filter(Section, frozen=True, kw_only=True):
    median: Annotated[int, Meta(ge=3, le=31)] | None = None
    time_constant_s: Annotated[float, Meta(gt=0, le=3600)] | None = None


class _Sensor(Section, frozen=True, kw_only=True):
    source: _Source
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""
    range: tuple[float, float] | None = None
    filter: _Filter = _Filter()
    max_age_s: Annotated[float, Meta(ge=0.1, le=3600)] | None = None
    closed_is: Annotated[str, Meta(pattern="^(healthy|tripped)$")] = "healthy"


class _File(Section, frozen=True, kw_only=True):
    sensors: dict[str, _Sensor]


def load_sensor_map(file: Path, config_dir: Path) -> SensorMap:
    """Paths of TLS files are relative to ``config_dir``.

    Raises :class:`ConfigError` with every problem found, also when the file cannot be read.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ValueError("it is larger than 1 MiB")
        text = data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError([Problem(str(file), "", "", f"cannot be read: {reason}", _FORM)]) from None
    return parse_sensor_map(text, str(file), config_dir)


def parse_sensor_map(text: str, file: str = "sensor_map.conf", config_dir: Path = Path()) -> SensorMap:
    """Raises :class:`ConfigError` with every problem found, each with file, line, place, reason and remedy."""
    if section := _INI_SECTION.search(text):
        line = text.count("\n", 0, section.start()) + 1
        reason = f"is an INI file ({section[0].strip()}), and not YAML"
        raise ConfigError([Problem(file, "", "", reason, f"write it anew, one entry a channel: {_FORM}", line)])
    tree = parse(text, file)
    problems = validate(tree, _File)
    if problems:
        raise ConfigError(problems)
    raw = msgspec.convert(without_nulls(tree.plain()), _File)
    reader = _Reader(tree, config_dir)
    channels = tuple(reader.channel(name, sensor) for name, sensor in raw.sensors.items())
    reader.one_source_one_channel(channels)
    if len(channels) > MAX_CHANNELS:
        reader.say("", f"has {len(channels)} channels", f"write at most {MAX_CHANNELS}")
    if reader.problems:
        raise ConfigError(reader.problems)
    return SensorMap(tuple(channel for channel in channels if channel is not None), file)


def site_sensors(config: Config, config_dir: Path, report: Report) -> SensorMap:
    """The sensor map of a configuration, checked against it; problems go into ``report``."""
    file = sensor_map_path(config, config_dir)
    if not file.is_file():
        report.add(
            "sensor_map",
            repr(config.sensor_map),
            f"{file} does not exist" if not file.exists() else f"{file} is no file",
            "without sensors no power is permitted: create the file (see etc/v2g/sensor_map.conf) or correct the name",
        )
        return SensorMap()
    try:
        sensors = load_sensor_map(file, config_dir)
    except ConfigError as error:
        report.problems += error.problems
        return SensorMap()
    limit_mpa = config.interlocks.winding_stress_limit_mpa
    if limit_mpa is not None and sensors.get(Quantity.WINDING_STRESS_MPA) is None:
        report.add(
            "interlocks.winding_stress_limit_mpa",
            f"{limit_mpa:g}",
            f"is set, and nothing measures winding_stress_mpa ({file})",
            "map the channel there, or remove the limit: it would hold nothing back",
        )
    report.problems += _of_site(config, sensors)
    return sensors


def calibrated(config: Config) -> dict[str, float]:
    """The calibrated factor of each channel that has one."""
    return {name: entry.factor for name, entry in config.calibration.sensors.items()}


def sample_factors(config: Config, sensors: SensorMap) -> dict[str, tuple[float, float]]:
    """What the samples of the waveform buffer are corrected by: ``{channel: (scale, offset)}``."""
    return buffer_factors(sensors, calibrated(config))


class _Reader:
    """From what the file says to channels; collects what is wrong."""

    def __init__(self, tree: Tree, config_dir: Path) -> None:
        self.problems: list[Problem] = []
        self._config_dir = config_dir
        self._tree = tree

    def say(self, path: str, reason: str, remedy: str, value: object = "") -> None:
        place = self._place(path)
        full = f"sensors.{path}" if path else "sensors"
        self.problems.append(Problem(place.file, full, str(value), reason, remedy, place.line))

    def channel(self, name: str, raw: _Sensor) -> Channel | None:
        before = len(self.problems)
        family = family_of(name)
        if family is None:
            self.say(name, "is no known channel", _known(name))
            return None
        source = self._source(name, family, raw.source)
        if family is Family.CONTACT:
            self._contact(name)
        else:
            self._measured(name, family, raw)
        if len(self.problems) != before or source is None:
            return None
        low, high = raw.range or (0.0, 0.0)
        default_age_s = _CONTACT_MAX_AGE_S if family in (Family.CONTACT, Family.PILOT) else _MAX_AGE_S
        place = self._place(name)
        return Channel(
            name=name,
            source=source,
            scale=raw.scale,
            offset=raw.offset,
            minimum=low,
            maximum=high,
            filter=Filter(raw.filter.median, raw.filter.time_constant_s),
            max_age_s=default_age_s if raw.max_age_s is None else raw.max_age_s,
            closed_is_healthy=raw.closed_is == "healthy",
            place=f"{place.file}:{place.line}",
        )

    def one_source_one_channel(self, channels: tuple[Channel | None, ...]) -> None:
        first: dict[tuple[object, ...], Channel] = {}
        for channel in channels:
            if channel is None:
                continue
            source = channel.source
            keys: list[tuple[object, ...]] = [(str(source),)]
            if isinstance(source, ModbusSource):
                # TLS or not, it is the same device; each bit of a register is a source of its own.
                device = source.device
                words = range(source.register, source.register + source.type.words)
                keys = [(device.host, device.port, device.unit, source.table, word, source.bit) for word in words]
            for key in keys:
                other = first.setdefault(key, channel)
                if other is not channel:
                    reason = f"is read for {other.name} already ({other.place})"
                    self.say(f"{channel.name}.source", reason, "one register is one quantity: correct one", source)
                    break

    def _source(self, name: str, family: Family, raw: _Source) -> Source | None:
        given = [kind for kind in ("modbus", "buffer", "file", "contact") if getattr(raw, kind) is not None]
        allowed = _SOURCES[family]
        if len(given) != 1:
            reason = f"names {' and '.join(given)}" if given else "names no source"
            self.say(f"{name}.source", reason, f"write one of {', '.join(allowed)}")
            return None
        kind = given[0]
        if kind not in allowed:
            self.say(f"{name}.source.{kind}", f"is no source of {name}", f"write one of {', '.join(allowed)}")
            return None
        if raw.modbus is not None:
            return self._modbus(name, family, raw.modbus)
        if raw.buffer is not None:
            if raw.buffer != name:
                reason = "is another channel of the waveform buffer"
                remedy = f"a channel of the buffer bears the name of the sensor map: write {name}"
                self.say(f"{name}.source.buffer", reason, remedy, repr(raw.buffer))
            return BufferSource(raw.buffer)
        path = Path(raw.file or raw.contact or "")
        if not path.is_absolute():
            self.say(f"{name}.source.{kind}", "is no absolute path", "begin it with /", repr(str(path)))
        return FileSource(path) if raw.file is not None else ContactSource(path)

    def _modbus(self, name: str, family: Family, raw: _Modbus) -> ModbusSource:
        where = f"{name}.source.modbus"
        if not raw.host:
            self.say(f"{where}.host", "is empty", "write the address of the device or of its gateway")
        if raw.register + raw.type.words > 65536:
            last = 65536 - raw.type.words
            self.say(f"{where}.register", f"leaves no room for {raw.type}", f"write 0 to {last}", raw.register)
        if family is not Family.CONTACT and raw.bit is not None:
            self.say(f"{where}.bit", f"is for contacts, {name} is measured", "remove it", raw.bit)
        if family is Family.CONTACT and raw.bit is None:
            self.say(f"{where}.bit", "is missing", "write the bit of the register, 0 (lowest) to 15")
        if family is Family.CONTACT and raw.type.words != 1:
            self.say(f"{where}.type", "has more than 16 bits", "write uint16", raw.type)
        device = ModbusEndpoint(raw.host, raw.port, raw.unit, tls_files(raw.tls, self._config_dir))
        return ModbusSource(device, raw.table, raw.register, raw.type, raw.word_order, raw.bit)

    def _contact(self, name: str) -> None:
        entry = self._place(name).value
        for key in entry if isinstance(entry, dict) else ():
            if key not in _OF_CONTACTS:
                self.say(f"{name}.{key}", f"is for measured values, {name} is a contact", "remove it")
            elif key == "closed_is" and name not in INTERLOCKS:
                self.say(f"{name}.{key}", f"is for interlocks ({', '.join(INTERLOCKS)})", "remove it")

    def _measured(self, name: str, family: Family, raw: _Sensor) -> None:
        unit = unit_of_channel(name)
        if self._given(name, "closed_is"):
            self.say(f"{name}.closed_is", f"is for contacts, {name} is measured", "remove it")
        if not raw.unit:
            self.say(f"{name}.unit", "is missing", f"add 'unit: {unit}'")
        elif raw.unit != unit:
            remedy = f"scale and offset must give {unit}; then write 'unit: {unit}'"
            self.say(f"{name}.unit", f"is not the unit of {name}", remedy, repr(raw.unit))
        if raw.scale == 0:
            self.say(f"{name}.scale", "would turn every value into the offset", "write the units a count", raw.scale)
        if raw.range is None:
            self.say(f"{name}.range", "is missing", f"add 'range: [lowest, highest]' that is plausible, in {unit}")
        elif raw.range[0] >= raw.range[1]:
            self.say(f"{name}.range", "is not in order", "write the lower value first", list(raw.range))
        if raw.filter.median is not None and raw.filter.time_constant_s is not None:
            self.say(f"{name}.filter", "names median and time_constant_s", "write one of them")
        if raw.filter.median is not None and raw.filter.median % 2 == 0:
            self.say(f"{name}.filter.median", "is even", "write an odd number of readings", raw.filter.median)
        if family is Family.BUFFER:
            for key in ("filter", "max_age_s"):
                if self._given(name, key):
                    reason = "is not for channels of the waveform buffer: protection works by their samples as they are"
                    self.say(f"{name}.{key}", reason, "remove it")
            if raw.scale < 0:
                reason = "turns the channel round" if name[0] == "v" else "turns the direction of the current round"
                self.say(f"{name}.scale", reason, "exchange the conductors, or correct the buffer's scale", raw.scale)

    def _given(self, name: str, key: str) -> bool:
        entry = self._place(name).value
        return isinstance(entry, dict) and key in entry

    def _place(self, path: str) -> Tree:
        """The deepest tree on the way to ``path``; a name may hold what looks like no key, so it goes first."""
        top = self._tree.value
        sensors = top.get("sensors", self._tree) if isinstance(top, dict) else self._tree
        place, rest = sensors, path
        while rest and isinstance(place.value, dict):
            key = next((key for key in place.value if rest == key or rest.startswith(f"{key}.")), None)
            if key is None:
                break
            place, rest = place.value[key], rest[len(key) + 1 :]
        return place


def _of_site(config: Config, sensors: SensorMap) -> list[Problem]:
    """What only the configuration can tell: EVSEs of pilots, limits, files that both name."""
    found = []
    if sensors.get(Quantity.TOP_OIL_C) is None:
        remedy = f"without a top-oil transducer no power is permitted: {_FORM}"
        found.append(Problem(sensors.file, "sensors.top_oil_c", "", "is missing", remedy))
    paths = run_paths(config)
    named = {
        "relay": (paths.relay_feedback, "relay.feedback_path"),
        "mains": (paths.mains_input, "protection.mains_input_path"),
        "breaker": (paths.breaker, "breaker.output_path"),
    }
    evses = [evse.id for evse in config.evses]
    for channel in sensors:
        where = f"sensors.{channel.name}"
        file, _, line = channel.place.rpartition(":")
        evse_id = pilot_evse(channel.name)
        if evse_id is not None and evse_id not in evses:
            remedy = f"there are {', '.join(evses[:8])}"
            found.append(Problem(file, where, "", f"there is no EVSE {evse_id}", remedy, int(line)))
        if channel.name == Quantity.WINDING_STRESS_MPA and config.interlocks.winding_stress_limit_mpa is None:
            reason = "is mapped and interlocks.winding_stress_limit_mpa is not set"
            found.append(Problem(file, where, "", reason, "set the limit, or remove the channel", int(line)))
        if channel.name not in named:
            continue
        path, setting = named[channel.name]
        if channel.name == "breaker" and not isinstance(channel.source, ContactSource):
            remedy = "the breaker's position comes with its output: write its contact, or remove the channel"
            found.append(Problem(file, where, "", "cannot be read over Modbus", remedy, int(line)))
            continue
        mapped = channel.source.path if isinstance(channel.source, ContactSource) else paths.contact(channel.name)
        if path != mapped:
            reason = f"is {mapped} here and {path or 'not set'} in {setting}"
            found.append(Problem(file, where, "", reason, f"write {setting}: {mapped}, or correct it here", int(line)))
    return found


def _known(name: str) -> str:
    fixed = [*Quantity, *CONTACTS]
    close = difflib.get_close_matches(name, fixed, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    pilots = ", ".join(PILOT_UNITS)
    return (
        f"there are {', '.join(fixed)}, channels of the waveform buffer (v_..., i_...) and "
        f"pilot_<what>@<EVSE id> with {pilots}"
    )
