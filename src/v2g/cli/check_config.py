"""``--check-config``: everything that would keep a daemon from starting, found before a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from v2g.cli.daemons import problems
from v2g.config.addresses import modbus_addresses, tls_files
from v2g.config.loader import ConfigError, Loaded, Problem, load
from v2g.config.protection import grid_settings, settings_digest
from v2g.config.schema import AcEvse, DcEvse, Evse
from v2g.grid.settings import SettingsUnset
from v2g.hardware.sensor_map import ModbusSource

if TYPE_CHECKING:
    from v2g.hardware.endpoint import TlsFiles


def check(name: str, config_dir: Path) -> int:
    """Print a summary (0) or every problem (1)."""
    try:
        loaded = load(config_dir)
        if found := [*_maps(loaded), *_tls(loaded)]:
            raise ConfigError(found)
    except ConfigError as error:
        problems(name, error)
        return 1
    click.echo(summary(loaded))
    for line in _vehicle_tls(loaded):
        click.echo(line)
    for line in _mesh(loaded):
        click.echo(line)
    for warning in _tls_roles(loaded):
        click.echo(f"warning: {warning}")
    return 0


def _vehicle_tls(loaded: Loaded) -> Iterator[str]:
    """What vehicles would be served with, by a handshake in memory. Certificates may well come later."""
    from pyiso15118.security import TlsError
    from v2g.orchestrator.endpoints import build_endpoints
    from v2g.orchestrator.tls_report import tls_notes

    try:
        endpoints = build_endpoints(loaded.config)
    except TlsError as error:
        yield f"warning: no vehicle could connect: {error}"
        return
    yield from (f"warning: {evse_id}: no vehicle could connect: {why}" for evse_id, why in endpoints.problems.items())
    for note in tls_notes(loaded.config, endpoints.in_force):
        yield f"warning: {note.text}" if note.is_gap else f"  TLS          {note.text}"


def _mesh(loaded: Loaded) -> Iterator[str]:
    if loaded.config.mesh is None:
        return
    from v2g.cli.check_mesh import mesh_lines

    yield from mesh_lines(loaded)


def summary(loaded: Loaded) -> str:
    config = loaded.config
    transformer, grid = config.transformer, config.grid
    lines = [
        f"OK: {', '.join(str(file) for file in loaded.files)}",
        f"  site         {config.site.id}" + (f" ({config.site.name})" if config.site.name else ""),
        f"  transformer  {transformer.id}, {transformer.rated_kva:g} kVA {transformer.cooling}",
        f"  grid         {grid.nominal_voltage_v:g} V line to neutral, {grid.nominal_frequency_hz:g} Hz",
        *_protection(loaded),
        f"  EVSEs        {len(config.evses)}",
    ]
    lines += map(_evse, config.evses)
    return "\n".join([*lines, *(f"warning: {warning}" for warning in loaded.warnings)])


def _evse(evse: Evse) -> str:
    if isinstance(evse, DcEvse):
        kind, part, address = "DC", "inverter", evse.inverter.modbus
    else:
        kind, part, address = "AC", "contactor", evse.ac.modbus
    return (
        f"    {evse.id}  {kind} on {evse.interface} port {evse.tcp_port}, TLS {evse.tls}, {part} "
        f"{address.host}:{address.port} unit {address.unit}"
    )


def _protection(loaded: Loaded) -> Iterator[str]:
    try:
        settings = grid_settings(loaded.config)
    except SettingsUnset:
        yield "  protection   no settings: no power is permitted"
        return
    service = settings.enter_service
    then = f"random up to {service.random_delay_s:g} s" if service.random_delay_s else f"ramp {service.ramp_s:g} s"
    yield (
        f"  protection   {settings.profile}, {len(settings.trips.elements)} trip elements, enter service after "
        f"{service.delay_s:g} s, {then}; settings {settings_digest(loaded.config, loaded.sensors)}"
    )
    yield from (f"    adjusted   {change}" for change in settings.adjusted)


def _maps(loaded: Loaded) -> Iterator[Problem]:
    from v2g.hardware.ac_evse import load_ac_map
    from v2g.hardware.dc_evse import load_dc_map
    from v2g.hardware.filter_registers import check_filter
    from v2g.hardware.map_inverter import load_inverter_map
    from v2g.hardware.ports import DeviceError
    from v2g.hardware.register_map import load_map

    for position, evse in enumerate(loaded.config.evses):
        inverter = evse.inverter if isinstance(evse, DcEvse) else None
        uses = (
            [("dc.map", evse.dc.map, load_dc_map)]
            if isinstance(evse, DcEvse)
            else [("ac.map", evse.ac.map, load_ac_map)]
        )
        if inverter is not None and inverter.driver == "register_map":
            uses.append(("inverter.map", inverter.map, load_inverter_map))
        for key, name, loader in uses:
            try:
                loader(name, loaded.config_dir)
            except DeviceError as error:
                yield _problem(loaded, f"evses[{position}].{key}", str(error), "correct the map or its name")
        if isinstance(evse, AcEvse) and evse.phases == 3:
            yield from _lines(loaded, f"evses[{position}].ac.map", evse.ac.map)
        if inverter is None or (filter_ := inverter.harmonic_filter) is None:
            continue
        try:
            check_filter(load_map(filter_.map, loaded.config_dir))
        except DeviceError as error:
            path = f"evses[{position}].inverter.harmonic_filter.map"
            yield _problem(loaded, path, str(error), "correct the map or its name")


def _lines(loaded: Loaded, path: str, name: str) -> Iterator[Problem]:
    """A line that is not measured is not supervised, and gives no power."""
    from v2g.hardware.ac_evse import load_ac_map
    from v2g.hardware.ports import DeviceError

    try:
        points = load_ac_map(name, loaded.config_dir).points
    except DeviceError:
        return
    wanted = (
        f"{what}_{line}_{unit}"
        for what, unit in (("voltage", "v"), ("current", "a"), ("power", "w"))
        for line in ("l2", "l3")
    )
    if missing := [role for role in wanted if role not in points]:
        reason = f"{name} does not measure every line of a three-phase EVSE: {', '.join(missing)} missing"
        yield _problem(loaded, path, reason, "add them to the map, or write phases: 1 for a single-phase EVSE")


def _tls_addresses(loaded: Loaded) -> Iterator[tuple[str, TlsFiles]]:
    for position, evse in enumerate(loaded.config.evses):
        for part, address in modbus_addresses(evse):
            if (files := tls_files(address.tls, loaded.config_dir)) is not None:
                yield f"evses[{position}].{part}.modbus.tls", files
    for position, meter in enumerate(loaded.config.utility.meters):
        if (files := tls_files(meter.modbus.tls, loaded.config_dir)) is not None:
            yield f"utility.meters[{position}].modbus.tls", files
    for channel in loaded.sensors:
        if isinstance(channel.source, ModbusSource) and channel.source.device.tls is not None:
            yield f"sensors.{channel.name}.source.modbus.tls", channel.source.device.tls


def _tls(loaded: Loaded) -> Iterator[Problem]:
    from v2g.hardware.modbus_tls import TlsProblem, load_context

    for path, files in _tls_addresses(loaded):
        absent = [(key, file) for key in ("ca", "certificate", "key") if not (file := getattr(files, key)).is_file()]
        for key, file in absent:
            yield _problem(loaded, f"{path}.{key}", f"there is no file {file}", "put it there, or correct its name")
        try:
            if not absent:
                load_context(files)
        except TlsProblem as problem:
            yield _problem(loaded, path, str(problem), "correct the file or its name")


def _tls_roles(loaded: Loaded) -> Iterator[str]:
    from v2g.hardware.modbus_tls import ROLE_OID, role

    for path, files in _tls_addresses(loaded):
        if role(files.certificate) is None:
            yield (
                f"{path}: {files.certificate} bears no role (extension {ROLE_OID}); "
                "a device that demands one refuses it"
            )


def _problem(loaded: Loaded, path: str, reason: str, remedy: str) -> Problem:
    """At the line of the value, or at that of the first one inside."""
    if path.startswith("sensors."):
        channel = loaded.sensors.get(path.split(".source.")[0].removeprefix("sensors."))
        file, _, line = channel.place.rpartition(":") if channel is not None else (loaded.sensors.file, "", "1")
        return Problem(file, path, "", reason, remedy, int(line))
    place = next((leaf for leaf in loaded.origin if leaf == path or leaf.startswith(f"{path}.")), path)
    file = loaded.origin.get(place, str(loaded.files[0]))
    return Problem(file, path, "", reason, remedy, loaded.lines.get(place))
