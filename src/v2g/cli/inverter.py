"""``v2g-tool inverter``: which device is behind an address, all that it tells, and what the inverters lose."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from v2g.cli.common import fail, print_json, say
from v2g.cli.daemons import CONFIG_VARIABLE, DEFAULT_CONFIG_DIR
from v2g.cli.lazy import Later, LazyGroup
from v2g.cli.quantities import Quantity
from v2g.cli.render import table
from v2g.telemetry.lines import escape
from v2g.units import format_power

if TYPE_CHECKING:
    from v2g.hardware.identify import Dump, DumpedPoint, MapShelf, SunSpecFound, UnitFound
    from v2g.hardware.modbus import ModbusLink

_NAME = "v2g-tool"
_MODBUS_PORT = 502
_WORDS_SHOWN = 4
_LATER = {
    "efficiency": Later("v2g.cli.efficiency", "efficiency", "What each inverter loses, by direction and load."),
}
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int = _MODBUS_PORT

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _address(context: click.Context, parameter: click.Parameter, text: str) -> Address:
    try:
        return parse_address(text)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None


def parse_address(text: str) -> Address:
    """``192.0.2.1``, ``inverter1:1502``, ``[::1]:502``, ``::1``. Raises ValueError with the remedy."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r}: write an IPv6 address with a port as [::1]:{_MODBUS_PORT}")
        _require_ipv6(text, host)
        colon, port = rest[:1], rest[1:]
    elif text.count(":") > 1:
        _require_ipv6(text, text)
        return Address(text)
    else:
        host, colon, port = text.partition(":")
    if not host or host != host.strip() or "/" in host:
        raise ValueError(f"{text!r} is no address; for example 192.0.2.1 or 192.0.2.1:{_MODBUS_PORT}")
    if not colon:
        return Address(host)
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) <= 0xFFFF):
        raise ValueError(f"{text!r}: the port must be a number from 1 to 65535; Modbus TCP is {_MODBUS_PORT}")
    return Address(host, int(port))


def _require_ipv6(text: str, host: str) -> None:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        raise ValueError(f"{text!r} is no IPv6 address; with a port: [::1]:{_MODBUS_PORT}") from None


def _device_options(command: F) -> F:
    for option in (
        click.option(
            "--timeout", "timeout_s", metavar="TIME", type=Quantity("s", 0.05, 60.0), default=1.0,
            show_default=True, help="How long to wait for the connection and for each answer.",
        ),
        click.option("--json", "as_json", is_flag=True, help="As JSON."),
        click.option(
            "--config", "config_dir", type=click.Path(path_type=Path, file_okay=False), default=DEFAULT_CONFIG_DIR,
            envvar=CONFIG_VARIABLE,
            show_default=True, help="Directory with devices/, the register maps of the site.",
        ),
        click.argument("address", metavar="HOST[:PORT]", callback=_address),
    ):  # fmt: skip
        command = option(command)
    return command


@click.group(cls=LazyGroup, later=_LATER)
def inverter() -> None:
    """Which inverter is behind an address, all that it tells, and what the inverters lose.

    \b
    Examples:
      v2g-tool inverter detect 192.0.2.1
      v2g-tool inverter dump 192.0.2.1 --model 701 --model 704
      v2g-tool inverter efficiency

    Exit codes: 0 done. 1 not recognised, no answer or no connection. 2 not understood. 3 the daemon is not reachable.
    """


@inverter.command(short_help="Which device is at an address, its driver, and what it lacks.")
@click.option("--unit", type=click.IntRange(0, 255), help="Modbus unit identifier. [default: the usual ones, in turn]")
@_device_options
def detect(address: Address, unit: int | None, timeout_s: float, as_json: bool, config_dir: Path) -> None:
    """Find out what device is at HOST[:PORT]: SunSpec, or by the identity of a register map.

    Says which driver fits, and what the device lacks for charge and discharge. Reads only, never writes. Needs no
    daemon. Some devices take one connection only: stop the daemon first, or it and this command disturb each other.

    \b
    Examples:
      v2g-tool inverter detect 192.0.2.1
      v2g-tool inverter detect 192.0.2.1:1502 --unit 3 --timeout 5s

    Exit codes: 0 recognised. 1 not recognised, no answer or no connection. 2 not understood.
    """
    from v2g.hardware import identify

    shelf = identify.shelf(config_dir)
    units = identify.SCAN_UNITS if unit is None else (unit,)
    found = _ask(address, timeout_s, as_json, lambda open_link: identify.identify(open_link, units, shelf.told))
    if as_json:
        print_json({"address": str(address), "units": found, "maps_without_identity": shelf.without_identity,
                    "map_problems": shelf.problems})  # fmt: skip
    else:
        say(found_text(address, found, shelf))
    if not any(each.recognised for each in found):
        raise SystemExit(1)


@inverter.command(short_help="Every point of a device, by SunSpec or a register map.")
@click.option("--unit", type=click.IntRange(0, 255), default=1, show_default=True, help="Modbus unit identifier.")
@click.option("--map", "map_name", metavar="NAME", help="By this register map, a name or a file. [default: SunSpec]")
@click.option(
    "--model",
    "models",
    type=click.IntRange(1, 65534),
    multiple=True,
    help="Only this SunSpec model; more by repeating.",
)
@_device_options
def dump(
    address: Address,
    unit: int,
    map_name: str | None,
    models: tuple[int, ...],
    timeout_s: float,
    as_json: bool,
    config_dir: Path,
) -> None:
    """Print every point of the device at HOST[:PORT]: value, unit, registers, names of states and bits.

    The sign is the device's: SunSpec counts power into the grid as positive. RAW are the registers in hexadecimal.
    Reads only, never writes. Needs no daemon. Some devices take one connection only: stop the daemon first.

    \b
    Examples:
      v2g-tool inverter dump 192.0.2.1
      v2g-tool inverter dump 192.0.2.1 --model 701 --model 704 --json

    Exit codes: 0 read. 1 no connection, no answer, or not what was asked for. 2 not understood.
    """
    if map_name is not None and models:
        raise click.UsageError("--model is for SunSpec, --map for a register map: give one of them")
    from v2g.hardware import identify
    from v2g.hardware.ports import DeviceError
    from v2g.hardware.register_map import is_path, load_map

    async def read(open_link: Callable[[int], ModbusLink]) -> Dump:
        link = open_link(unit)
        try:
            return await (identify.dump_sunspec(link, models) if map_ is None else identify.dump_map(link, map_))
        finally:
            await link.close()

    try:
        # A path that is typed is relative to where it is typed; one that v2g.yaml names, to its directory.
        wanted = str(Path(map_name).absolute()) if map_name is not None and is_path(map_name) else map_name
        map_ = None if wanted is None else load_map(wanted, config_dir)
    except DeviceError as error:
        _fail(str(error), "MAP", as_json)
    told = _ask(address, timeout_s, as_json, read, unit)
    if as_json:
        print_json(told)
    else:
        say(dump_text(told))
    if told.mismatch is not None:
        raise SystemExit(1)


def _ask(
    address: Address,
    timeout_s: float,
    as_json: bool,
    question: Callable[[Callable[[int], ModbusLink]], Coroutine[Any, Any, T]],
    unit: int | None = None,
) -> T:
    """The answer; what a person can put right ends the command with its text."""
    import asyncio
    import logging

    from v2g.clock import SystemClock
    from v2g.hardware.identify import NoConnectionError, NotSunSpecError, SilentError
    from v2g.hardware.modbus import LinkTiming, ModbusEndpoint, ModbusLink
    from v2g.hardware.ports import DeviceError

    logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
    # Without back-off: a person waits, and each unit is asked a few times only.
    timing = LinkTiming(timeout_s, timeout_s, backoff_first_s=0.0, backoff_max_s=0.0)
    clock = SystemClock()

    def open_link(number: int) -> ModbusLink:
        return ModbusLink("device", ModbusEndpoint(address.host, address.port, number), clock, lambda: 0.5, timing)

    try:
        return asyncio.run(question(open_link))
    except NoConnectionError as error:
        _fail(
            f"{address}: {str(error).partition(';')[0]} within {timeout_s:g} s; check power, cabling, address and "
            "port, and that nobody else holds the only connection that the device takes",
            "NO_CONNECTION",
            as_json,
        )
    except SilentError as error:
        _fail(
            f"{address}: connected, but unit {unit} does not answer ({error}); another --unit, or a longer --timeout?",
            "NO_ANSWER",
            as_json,
        )
    except NotSunSpecError as error:
        _fail(
            f"{address} unit {unit}: {error}; `{_NAME} inverter detect` looks for other devices, --map NAME reads one "
            "by a register map",
            "NOT_SUNSPEC",
            as_json,
        )
    except DeviceError as error:
        _fail(f"{address}: {error}", "DEVICE", as_json)


def _fail(text: str, code: str, as_json: bool) -> NoReturn:
    if as_json:
        print_json({"error": {"code": code, "message": text}})
    fail(_NAME, escape(text), 1)


def found_text(address: Address, found: Iterable[UnitFound], shelf: MapShelf) -> str:
    parts = [str(address)]
    for units, unit in _alike(found):
        head = f"unit {units[0]}" if len(units) == 1 else f"units {', '.join(map(str, units))}"
        if not unit.answers:
            parts.append(f"{head}: no answer")
            continue
        parts.append(f"\n{head}")
        if not unit.recognised:
            parts.append(f"  answers, and is not recognised: {escape(unit.said or 'no SunSpec marker')}")
            parts.append(f"  has registers at: {', '.join(unit.registers_at) or 'none of the places looked at'}")
        if unit.sunspec is not None:
            parts += _sunspec_lines(unit.sunspec)
        for each in unit.maps:
            parts.append(f"  register map {each.name} fits ({each.kind.replace('_', ' ')})")
            parts += [f"    lacks: {escape(text)}" for text in each.lacks]
    if shelf.without_identity:
        parts.append(f"\ncannot be told from others, having no identity: {', '.join(shelf.without_identity)}")
        parts.append(f"  look whether its values make sense: {_NAME} inverter dump {address} --map NAME")
    parts += [f"not looked for: {escape(problem)}" for problem in shelf.problems]
    return "\n".join(parts)


def _alike(found: Iterable[UnitFound]) -> list[tuple[list[int], UnitFound]]:
    """Devices that do not look at the unit identifier answer the same at each: told once."""
    groups: dict[UnitFound, list[int]] = {}
    for unit in found:
        groups.setdefault(replace(unit, unit=-1, said=unit.said if unit.answers else None), []).append(unit.unit)
    return [(units, unit) for unit, units in groups.items()]


def _sunspec_lines(found: SunSpecFound) -> Iterator[str]:
    identity, fit = found.identity, found.fit
    yield f"  SunSpec, base address {found.base}"
    if identity is not None:
        for what, text in (
            ("manufacturer", identity.manufacturer),
            ("model", identity.model),
            ("version", identity.version),
            ("serial", identity.serial),
        ):
            yield f"  {what:<13} {escape(text) or '-'}"
    yield f"  {'models':<13} {', '.join(map(str, found.models)) or 'none'}"
    if found.problem:
        yield f"  {'problem':<13} {escape(found.problem)}"
    family = "none" if fit.family is None else f"sunspec, by the models {fit.family}"
    yield f"  {'driver':<13} {family}"
    for direction, power_w in (("charge", fit.max_charge_w), ("discharge", fit.max_discharge_w)):
        yield f"  {direction:<13} {f'up to {format_power(power_w)}' if fit.permits(direction) else 'no'}"
    for lack in fit.lacks:
        bars = f" (no {' and no '.join(lack.bars)})" if lack.bars else ""
        yield f"  lacks {lack.name}: {lack.reason}{bars}"


def dump_text(dump: Dump) -> str:
    parts = [table(("POINT", "ADDRESS", "VALUE", "UNIT", "RAW", "MEANS"), map(_row, dump.points))]
    if dump.mismatch is not None:
        parts = [f"{escape(dump.mismatch)}; what follows means nothing", *parts]
    return "\n".join([*parts, *(f"- {escape(remark)}" for remark in dump.remarks)])


def _row(point: DumpedPoint) -> tuple[str, ...]:
    words = " ".join(f"{word:04x}" for word in point.registers[:_WORDS_SHOWN])
    return (
        point.name,
        f"{point.address}" if point.table == "holding" else f"{point.address} {point.table}",
        _value(point.value),
        point.unit if point.value is not None else "",
        f"{words} ..." if len(point.registers) > _WORDS_SHOWN else words,
        escape(point.text),
    )


def _value(value: float | int | bool | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return escape(value) if isinstance(value, str) else f"{value:.10g}" if isinstance(value, float) else str(value)
