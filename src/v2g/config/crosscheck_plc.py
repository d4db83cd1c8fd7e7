"""Powerline links of EVSEs: against each other, against the firewall's, and against what EVSEs' devices measure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from v2g.config.paths import SUN_PATH_MAX
from v2g.config.problems import Report
from v2g.config.schema import AcEvse, Config, Evse
from v2g.config.schema_plc import EvsePlc
from v2g.config.tree import Tree
from v2g.hardware.pilot_roles import PILOT_STATE_ROLES
from v2g.hardware.ports import DeviceError
from v2g.hardware.register_map import load_map
from v2g.hardware.sensor_map import SensorMap, pilot_channels

_LOOPBACK = "lo"
_UNIX = "unix:"
_OWN_NAME_BYTES = len(".4194304.99")
"""What kplc-driver adds to the path of a simulated powerline for its own end: its process id and a number."""
TOGGLES_ROLE = "pilot_toggles"


def check_plc(config: Config, report: Report) -> None:
    """Every contradiction, into ``report``."""
    first_at: dict[str, tuple[int, Evse]] = {}
    for position, evse in enumerate(config.evses):
        first, other = first_at.setdefault(evse.interface, (position, evse))
        plc, path = evse.plc, f"evses[{position}]"
        if first != position and evse.interface != _LOOPBACK and (plc or other.plc):
            report.add(
                f"{path}.interface",
                repr(evse.interface),
                f"is the interface of EVSE {other.id} (evses[{first}]) too, and one of them has a powerline link (plc)",
                "a modem belongs to one EVSE: give each an interface of its own",
            )
        if plc is None:
            continue
        if evse.interface == _LOOPBACK and not plc.port:
            report.add(
                f"{path}.plc",
                "",
                "is a powerline modem on the loopback, where none can be",
                "name the modem's interface, or the socket of a simulated powerline: 'port: unix:/path'",
            )
        bound = len(plc.port.removeprefix(_UNIX).encode()) + _OWN_NAME_BYTES
        if plc.port and bound > SUN_PATH_MAX:
            report.add(
                f"{path}.plc.port",
                repr(plc.port),
                f"is {bound - SUN_PATH_MAX} bytes too long: kplc-driver's own end beside it has a longer name",
                "choose a shorter directory",
            )


def plc_suspicions(config: Config) -> Iterator[str]:
    """Values that are allowed but probably not meant; for people, never a reason to stop."""
    admitted = config.firewall.plc_interfaces
    for position, evse in enumerate(config.evses):
        if evse.plc is None or evse.interface == _LOOPBACK:
            continue
        if evse.plc.port:
            yield (
                f"evses[{position}].plc.port is {evse.plc.port}, a simulated powerline, and vehicles come by "
                f"{evse.interface}: one is served only if its MAC address there is the one that was matched"
            )
        if evse.interface not in admitted:
            yield (
                f"evses[{position}] has a powerline link on {evse.interface}, which is not in firewall.plc_interfaces: "
                "the firewall lets anybody on that line reach SDP and ISO 15118; add it there, then v2g-tool firewall "
                "apply"
            )
    linked = {evse.interface for evse in config.evses if evse.plc is not None}
    for position, interface in enumerate(admitted):
        evses = [(at, evse.id) for at, evse in enumerate(config.evses) if evse.interface == interface]
        if evses and interface not in linked:
            at, evse_id = evses[0]
            yield (
                f"firewall.plc_interfaces[{position}] is {interface}, and EVSE {evse_id} there has no plc: its "
                f"vehicles are admitted by v2g-tool firewall admit alone; write 'plc: {{}}' in evses[{at}] if "
                "kplc-driver is to run its modem"
            )


def check_plc_devices(config: Config, config_dir: Path, sensors: SensorMap, report: Report) -> None:
    """A pilot that nobody measures never tells of a vehicle. A map that cannot be read is told of elsewhere."""
    maps = _maps(config, config_dir)
    for position, evse, plc in _linked(config):
        points = maps[_map_name(evse)]
        if plc.pilot != "evse" or points is None or points & PILOT_STATE_ROLES:
            continue
        if "high_v" in pilot_channels(sensors, evse.id):
            continue
        report.add(
            f"evses[{position}].plc.pilot",
            repr(plc.pilot),
            f"has nothing that tells the pilot: map {_map_name(evse)!r} has no "
            f"{' or '.join(sorted(PILOT_STATE_ROLES))}, and the sensor map no pilot_high_v@{evse.id}",
            "add one of them; or write pilot: modem (its board tells it), or pilot: none (every vehicle is answered)",
        )


def plc_device_suspicions(config: Config, config_dir: Path, leaves: Mapping[str, Tree]) -> Iterator[str]:
    """As :func:`plc_suspicions`, with register maps and the files as they are written."""
    if config.plc.validate:
        maps = _maps(config, config_dir)
        for position, evse, _ in _linked(config):
            points = maps[_map_name(evse)]
            if points is not None and TOGGLES_ROLE not in points:
                yield (
                    f"plc.validate is on, and map {_map_name(evse)!r} of evses[{position}] has no {TOGGLES_ROLE}: "
                    "toggles of the pilot are over before a state is read, so no vehicle can prove itself there"
                )
    for position in range(len(config.evses)):
        path = f"evses[{position}].plc"
        if path in leaves and leaves[path].value is None:
            yield f"{path} is empty, which means no powerline link; with every default it is written 'plc: {{}}'"


def _linked(config: Config) -> Iterator[tuple[int, Evse, EvsePlc]]:
    for position, evse in enumerate(config.evses):
        if evse.plc is not None:
            yield position, evse, evse.plc


def _map_name(evse: Evse) -> str:
    return evse.ac.map if isinstance(evse, AcEvse) else evse.dc.map


def _maps(config: Config, config_dir: Path) -> dict[str, frozenset[str] | None]:
    """Roles of the register maps of EVSEs with a powerline link; None: the map cannot be read."""
    return {name: _roles(name, config_dir) for name in {_map_name(evse) for _, evse, _ in _linked(config)}}


def _roles(name: str, config_dir: Path) -> frozenset[str] | None:
    try:
        return frozenset(load_map(name, config_dir).points)
    except DeviceError:
        return None
