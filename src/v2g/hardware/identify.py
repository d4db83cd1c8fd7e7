"""Which device is behind an address, and all that it tells. Reads only: no function here writes a register.

For whoever puts an installation into service, before anything is configured. Nothing is assumed of the device: it may
not answer, answer with exceptions, or be none that is known here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from v2g.hardware.map_check import role_unit
from v2g.hardware.modbus import ModbusLink
from v2g.hardware.ports import DeviceError
from v2g.hardware.register_map import Block, RegisterImage, RegisterMap, known_maps, load_map
from v2g.hardware.registers import Table
from v2g.hardware.sunspec.codec import BASE_ADDRESSES, SUNS, ModelImage, SunSpecError, load_model
from v2g.hardware.sunspec.discovery import Identity, ModelLocation, models_at, read_identity, read_span
from v2g.hardware.sunspec.driver_fit import DriverFit, judge, wanted_models
from v2g.hardware.sunspec.groups import read_model

SCAN_UNITS = (1, 2, 3, 126, 227, 255)
"""Where devices commonly are: 1 and the next ones; 3 and 126 of SMA (own profile, SunSpec); 227 of Victron's VE.Bus;
255, which Modbus TCP recommends for a device without a gateway."""
SCAN_PATIENCE, PATIENCE = 2, 6
"""After so many unanswered requests a unit that has not said anything is left: of several, and one that was named."""
_MAX_TEXT = 200


class NoConnectionError(DeviceError):
    """No TCP connection to the address."""


class SilentError(DeviceError):
    """Connected, but the unit answers nothing, or leaves too much unanswered."""


class NotSunSpecError(DeviceError):
    """It answers, and has no SunSpec marker."""


@dataclass(frozen=True, slots=True)
class SunSpecFound:
    """``base``: address of the marker. ``problem``: what could not be read, for people."""

    base: int
    models: tuple[int, ...]
    identity: Identity | None
    fit: DriverFit
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class MapFound:
    """A register map whose identity fits; ``lacks`` in its own words."""

    name: str
    kind: str
    lacks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnitFound:
    """What is known of one unit identifier. ``answers``: anything came, be it an exception; ``said`` is the first of
    those, or why there is nothing. ``registers_at``: which of the places that were looked at hold registers."""

    unit: int
    answers: bool
    said: str | None = None
    registers_at: tuple[str, ...] = ()
    sunspec: SunSpecFound | None = None
    maps: tuple[MapFound, ...] = ()

    @property
    def recognised(self) -> bool:
        return self.sunspec is not None or bool(self.maps)


@dataclass(frozen=True, slots=True)
class MapShelf:
    """The register maps known here: those that can be told by their identity, and the names of those that cannot.
    ``problems``: maps that cannot be used, each with the reason."""

    told: tuple[RegisterMap, ...]
    without_identity: tuple[str, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DumpedPoint:
    """``value`` scaled, None where the device has none; ``registers`` as on the wire, empty where they were not read;
    ``text``: the name of an enumeration's value, or of the bits that are set."""

    name: str
    table: Table
    address: int
    registers: tuple[int, ...]
    value: float | int | bool | str | None
    unit: str
    text: str


@dataclass(frozen=True, slots=True)
class Dump:
    """``remarks``: what could not be read, and faults, for people. ``mismatch``: why the register map is not the
    device's, so that its points mean nothing."""

    points: tuple[DumpedPoint, ...]
    remarks: tuple[str, ...]
    mismatch: str | None = None


def shelf(config_dir: Path | None) -> MapShelf:
    """All maps built in and in ``devices/`` of ``config_dir``."""
    told, alike, problems = [], [], []
    for name in known_maps(config_dir):
        try:
            map_ = load_map(name, config_dir)
        except DeviceError as error:
            problems.append(str(error))
            continue
        if map_.identity:
            told.append(map_)
        else:
            alike.append(name)
    return MapShelf(tuple(told), tuple(alike), tuple(problems))


async def identify(
    open_link: Callable[[int], ModbusLink], units: Sequence[int], maps: Sequence[RegisterMap]
) -> tuple[UnitFound, ...]:
    """Each unit in turn, one connection at a time. Raises :class:`NoConnectionError` when there never was one."""
    patience = PATIENCE if len(units) == 1 else SCAN_PATIENCE
    found: list[UnitFound] = []
    for unit in units:
        link = open_link(unit)
        try:
            found.append(await identify_unit(link, unit, maps, patience))
        except NoConnectionError as error:
            # One that was connected before and is not any more: a device may need a moment between connections.
            if not found:
                raise
            found.append(UnitFound(unit, answers=False, said=str(error)))
        finally:
            await link.close()
    return tuple(found)


async def identify_unit(
    link: ModbusLink, unit: int, maps: Sequence[RegisterMap], patience: int = PATIENCE
) -> UnitFound:
    """Raises :class:`NoConnectionError`; a unit that is silent is told as such."""
    probe = _Probe(link, patience)
    sunspec: SunSpecFound | None = None
    fitting: list[MapFound] = []
    try:
        base = await _find_base(probe)
        sunspec = None if base is None else await _sunspec(link, base)
        for map_ in maps:
            if await _fits(probe, map_):
                fitting.append(MapFound(map_.name, map_.kind, map_.lacks))
    except SilentError:
        pass
    return UnitFound(unit, probe.answered, probe.first, tuple(dict.fromkeys(probe.places)), sunspec, tuple(fitting))


async def dump_sunspec(link: ModbusLink, models: Collection[int] = ()) -> Dump:
    """Every point of these models, or of all; of a model unknown here its place alone. Signs are the device's.

    Raises :class:`NoConnectionError`, :class:`SilentError`, :class:`NotSunSpecError`, and :class:`DeviceError` for a
    model that it does not have and a device that is lost on the way.
    """
    probe = _Probe(link, PATIENCE)
    base = await _find_base(probe)
    if base is None and not probe.answered:
        raise SilentError(probe.said or "no answer")
    if base is None:
        said = f" ({probe.first})" if probe.first else ""
        raise NotSunSpecError(f"no SunSpec marker at {', '.join(map(str, BASE_ADDRESSES))}{said}")
    locations = await models_at(link, base)
    missing = [str(number) for number in models if number not in locations]
    if missing:
        has = ", ".join(map(str, locations)) or "none"
        raise DeviceError(f"it has no SunSpec model {', '.join(missing)}; it has {has}")
    points: list[DumpedPoint] = []
    remarks: list[str] = []
    for location in locations.values():
        if models and location.id not in models:
            continue
        image, remark = await _image(link, location)
        if remark is not None:
            remarks.append(remark)
        if image is not None:
            points += _sunspec_points(image, location)
    return Dump(tuple(points), tuple(remarks))


async def dump_map(link: ModbusLink, map_: RegisterMap) -> Dump:
    """Every point of a register map; signs are those of its roles. Errors as in :func:`dump_sunspec`."""
    probe = _Probe(link, PATIENCE)
    image = RegisterImage(map_)
    remarks: list[str] = []
    read: set[tuple[Table, int]] = set()
    for block in (*map_.read_blocks(), *map_.command_blocks()):
        registers = await probe.read(block.table, block.address, block.count)
        if registers is None:
            remarks.append(probe.said or "not read")
        else:
            image.load(block, registers)
            read |= {(block.table, block.address + offset) for offset in range(block.count)}
    if not read:
        raise DeviceError(probe.said or f"register map {map_.name} has nothing to be read")
    mismatch = None
    if all((item.table, item.address) in read for item in map_.identity):
        wrong = image.wrong_identity()
        mismatch = None if wrong is None else f"it is no {map_.name}: {wrong}"
    remarks += [f"fault: {text}" for text in image.faults()]
    remarks += [f"alarm: {text}" for text in image.faults(alarm=True)]
    points = []
    for role, point in map_.points.items():
        seen = all((point.table, address) in read for address in range(point.address, point.end))
        value = image.value(role) if seen else None
        points.append(
            DumpedPoint(
                name=role,
                table=point.table,
                address=point.address,
                registers=image.raw(role) if seen else (),
                value=value,
                unit=point.unit or role_unit(role) or "",
                text="write only" if point.access == "w" else "" if point.bit is None else f"bit {point.bit}",
            )
        )
    return Dump(tuple(points), tuple(remarks), mismatch)


class _Probe:
    """Asks a device that may not be there. ``first`` and ``said``: the first and the last thing that were no registers;
    ``places``: where there are some."""

    def __init__(self, link: ModbusLink, patience: int) -> None:
        self.answered = False
        self.first: str | None = None
        self.said: str | None = None
        self.places: list[str] = []
        self._link = link
        self._patience = patience
        self._unanswered = 0

    async def read(self, table: Table, address: int, count: int) -> list[int] | None:
        """None for an exception or no answer. Raises :class:`NoConnectionError` and :class:`SilentError`."""
        try:
            registers = await self._link.read(table, address, count)
        except DeviceError as error:
            self.said = (self._link.state.error or str(error))[:_MAX_TEXT]
            self.first = self.first or self.said
            if self._link.generation == 0:
                raise NoConnectionError(self.said) from None
            # An exception code is an answer.
            if self._link.state.online:
                self.answered = True
                return None
            self._unanswered += 1
            if self._unanswered >= (2 * PATIENCE if self.answered else self._patience):
                raise SilentError(self.said) from None
            return None
        self.answered = True
        self.places.append(f"{table} {address}")
        return registers


async def _find_base(probe: _Probe) -> int | None:
    for base in BASE_ADDRESSES:
        marker = await probe.read(Table.HOLDING, base, len(SUNS))
        if marker is not None and tuple(marker) == SUNS:
            return base
    return None


async def _fits(probe: _Probe, map_: RegisterMap) -> bool:
    image = RegisterImage(map_)
    for item in map_.identity:
        block = Block(item.table, item.address, item.words)
        registers = await probe.read(block.table, block.address, block.count)
        if registers is None:
            return False
        image.load(block, registers)
    return image.wrong_identity() is None


async def _sunspec(link: ModbusLink, base: int) -> SunSpecFound:
    problems: list[str] = []
    locations: dict[int, ModelLocation] = {}
    identity: Identity | None = None
    images: dict[int, ModelImage] = {}
    try:
        locations = await models_at(link, base)
        identity = await read_identity(link, locations[1]) if 1 in locations else None
        for number in wanted_models(locations):
            image, problem = await _image(link, locations[number])
            problems += [] if problem is None else [problem]
            images |= {} if image is None else {number: image}
    except DeviceError as error:
        problems.append((link.state.error or str(error))[:_MAX_TEXT])
    return SunSpecFound(base, tuple(locations), identity, judge(locations, images), "; ".join(problems) or None)


async def _image(link: ModbusLink, location: ModelLocation) -> tuple[ModelImage | None, str | None]:
    """All of a model or what of it makes sense, and what was wrong. Raises :class:`DeviceError` for a lost device."""
    try:
        fixed = load_model(location.id)
    except SunSpecError:
        return None, f"SunSpec model {location.id} at {location.address}: unknown here, {location.length} registers"
    try:
        return await read_model(link, location), None
    except SunSpecError as error:
        return ModelImage(fixed, await read_span(link, location, 0, fixed.length)), str(error)
    except DeviceError as error:
        if not link.state.online:
            raise
        return None, f"SunSpec model {location.id} at {location.address}: {link.state.error or error}"


def _sunspec_points(image: ModelImage, location: ModelLocation) -> list[DumpedPoint]:
    points = []
    for point in image.model.points.values():
        text = " ".join(image.bits(point.name)) if point.type.startswith("bitfield") else image.symbol(point.name) or ""
        points.append(
            DumpedPoint(
                name=f"{location.id}.{point.name}",
                table=Table.HOLDING,
                address=location.address + point.offset,
                registers=tuple(image.words(point.name)),
                value=image.get(point.name),
                unit=point.unit,
                text=text,
            )
        )
    return points
