"""``--check-config``: everything that would keep a daemon from starting, found before a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from v2g.cli.daemons import problems
from v2g.config.loader import ConfigError, Loaded, load
from v2g.config.protection import grid_settings, settings_digest
from v2g.config.schema import DcEvse, Evse
from v2g.config.schema_evse import kind_of
from v2g.grid.settings import SettingsUnset
from v2g.orchestrator.config_check import map_problems, role_warnings, tls_problems


def check(name: str, config_dir: Path) -> int:
    """Print a summary (0) or every problem (1)."""
    try:
        loaded = load(config_dir)
        if found := [*map_problems(loaded), *tls_problems(loaded)]:
            raise ConfigError(found)
    except ConfigError as error:
        problems(name, error)
        return 1
    click.echo(summary(loaded))
    for line in _vehicle_tls(loaded):
        click.echo(line)
    for line in _mesh(loaded):
        click.echo(line)
    for warning in role_warnings(loaded):
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
        part, address = "inverter", evse.inverter.modbus
    else:
        part, address = "contactor", evse.ac.modbus
    return (
        f"    {evse.id}  {kind_of(evse)} on {evse.interface} port {evse.tcp_port}, TLS {evse.tls}, {part} "
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
