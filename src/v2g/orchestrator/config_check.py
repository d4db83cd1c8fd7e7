"""What keeps ``wires`` and the guard from starting beyond the schema: register maps, files of Modbus/TCP Security."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from v2g.config.addresses import modbus_addresses, tls_files
from v2g.config.loader import Loaded, Problem
from v2g.config.schema import AcEvse, DcEvse
from v2g.hardware.sensor_map import ModbusSource

if TYPE_CHECKING:
    from v2g.hardware.endpoint import TlsFiles


def map_problems(loaded: Loaded) -> Iterator[Problem]:
    """Register maps that are not there, or cannot be used."""
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


def tls_problems(loaded: Loaded) -> Iterator[Problem]:
    """Files of Modbus/TCP Security that are not there, or cannot be used."""
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


def role_warnings(loaded: Loaded) -> Iterator[str]:
    """Certificates that a device may refuse for want of a role."""
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
