"""``--check-config``: everything that would keep a daemon from starting, found before a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from v2g.cli.daemons import problems
from v2g.config.loader import ConfigError, Loaded, Problem, load
from v2g.config.protection import grid_settings, settings_digest
from v2g.config.schema import DcEvse, Evse
from v2g.grid.settings import SettingsUnset


def check(name: str, config_dir: Path) -> int:
    """Print a summary (0) or every problem (1)."""
    try:
        loaded = load(config_dir)
        if found := list(_maps(loaded)):
            raise ConfigError(found)
    except ConfigError as error:
        problems(name, error)
        return 1
    click.echo(summary(loaded))
    return 0


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
    from v2g.hardware.dc_evse import load_dc_map
    from v2g.hardware.filter_registers import check_filter
    from v2g.hardware.map_inverter import load_inverter_map
    from v2g.hardware.ports import DeviceError
    from v2g.hardware.register_map import load_map

    for position, evse in enumerate(loaded.config.evses):
        if not isinstance(evse, DcEvse):
            continue
        uses = [("dc.map", evse.dc.map, load_dc_map)]
        if evse.inverter.driver == "register_map":
            uses.append(("inverter.map", evse.inverter.map, load_inverter_map))
        for key, name, loader in uses:
            try:
                loader(name, loaded.config_dir)
            except DeviceError as error:
                yield _problem(loaded, f"evses[{position}].{key}", str(error), "correct the map or its name")
        if (filter_ := evse.inverter.harmonic_filter) is None:
            continue
        try:
            check_filter(load_map(filter_.map, loaded.config_dir))
        except DeviceError as error:
            path = f"evses[{position}].inverter.harmonic_filter.map"
            yield _problem(loaded, path, str(error), "correct the map or its name")


def _problem(loaded: Loaded, path: str, reason: str, remedy: str) -> Problem:
    file = loaded.origin.get(path, str(loaded.files[0]))
    return Problem(file, path, "", reason, remedy, loaded.lines.get(path))
