"""What no single value of ``firewall`` can show, and words that would not be taken by its rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from v2g.config.problems import Report
from v2g.config.schema import Config
from v2g.config.schema_firewall import Access, Destination
from v2g.host.firewall import words
from v2g.host.firewall.model import MODBUS_PORTS
from v2g.host.firewall.words import LOOPBACK, WordError

_WIDE_V4, _WIDE_V6 = 8, 19


def check_firewall(config: Config, report: Report) -> None:
    """Every contradiction, into ``report``."""
    firewall = config.firewall
    for name in ("operators", "utility"):
        for position, access in enumerate(getattr(firewall, name)):
            _access(f"firewall.{name}[{position}]", access, config, report)
    for position, destination in enumerate(firewall.destinations):
        _networks(f"firewall.destinations[{position}]", destination, report)
    for name in ("dhcp_client", "router_adverts"):
        for position, interface in enumerate(getattr(firewall, name)):
            _own_interface(f"firewall.{name}[{position}]", interface, config, report)
    for name in ("dns", "ntp"):
        for position, address in enumerate(getattr(firewall, name)):
            _word(f"firewall.{name}[{position}]", address, words.address, report)
    for host, addresses in firewall.hosts.items():
        for position, address in enumerate(addresses):
            _word(f"firewall.hosts.{host}[{position}]", address, words.address, report)
    _macs(config, report)
    _plc(config, report)
    if not Path(firewall.state_dir).is_absolute():
        report.add("firewall.state_dir", repr(firewall.state_dir), "is no absolute path", "begin it with /")


def firewall_suspicions(config: Config) -> Iterator[str]:
    """Values that are allowed but probably not meant; for people, never a reason to stop."""
    firewall = config.firewall
    for name in ("operators", "utility"):
        for position, access in enumerate(getattr(firewall, name)):
            for text in access.addresses:
                network = words.network(text)
                if network.prefixlen < (_WIDE_V4 if network.version == 4 else _WIDE_V6):
                    yield f"firewall.{name}[{position}].addresses has {text}: {network.num_addresses:.2g} addresses"
    at: dict[str, list[str]] = {}
    for evse_id, macs in firewall.evse_macs.items():
        for address in dict.fromkeys(map(words.mac, macs)):
            at.setdefault(address, []).append(evse_id)
    shared = [f"{address} at {', '.join(evses)}" for address, evses in at.items() if len(evses) > 1]
    if shared:
        more = f" and {len(shared) - 3} more" if len(shared) > 3 else ""
        yield f"firewall.evse_macs: known at several EVSEs, and served at each: {'; '.join(shared[:3])}{more}"


def _access(path: str, access: Access, config: Config, report: Report) -> None:
    _networks(path, access, report)
    for position, port in enumerate(access.ports):
        if port in MODBUS_PORTS:
            report.add(
                f"{path}.ports[{position}]", port, "is Modbus, which is never open inwards", "take it out of the list"
            )
    if access.interface:
        _own_interface(f"{path}.interface", access.interface, config, report)


def _networks(path: str, entry: Access | Destination, report: Report) -> None:
    link_local = False
    for position, text in enumerate(entry.addresses):
        if _word(f"{path}.addresses[{position}]", text, words.network, report):
            link_local = link_local or words.network(text).is_link_local
    if not entry.ports and not entry.udp_ports:
        report.add(path, "", "opens no port", "add 'ports: ' with TCP ports, such as [22], or udp_ports")
    if link_local and not getattr(entry, "interface", ""):
        report.add(
            path, "", "has link-local addresses without their interface", "add 'interface: '; or other addresses"
        )


def _own_interface(path: str, interface: str, config: Config, report: Report) -> None:
    """One on which no vehicle is."""
    if not _word(path, interface, words.interface, report):
        return
    evse = next((evse.id for evse in config.evses if evse.interface == interface), None)
    if interface == LOOPBACK:
        report.add(path, repr(interface), "is the loopback, which is never filtered", "name a network interface")
    elif evse is not None:
        report.add(
            path,
            repr(interface),
            f"is the interface of EVSE {evse}: from there only SDP and ISO 15118 are let in",
            "name another interface; people and vehicles on one wire cannot be told apart",
        )


def _macs(config: Config, report: Report) -> None:
    known = {evse.id for evse in config.evses}
    for evse_id, macs in config.firewall.evse_macs.items():
        path = f"firewall.evse_macs.{evse_id}"
        if evse_id not in known:
            ids = ", ".join(sorted(known)[:8])
            report.add(path, "", f"there is no EVSE {evse_id!r}", f"name one of {ids}")
        for position, text in enumerate(macs):
            _word(f"{path}[{position}]", text, words.mac, report)


def _plc(config: Config, report: Report) -> None:
    interfaces = {evse.interface for evse in config.evses}
    for position, interface in enumerate(config.firewall.plc_interfaces):
        path = f"firewall.plc_interfaces[{position}]"
        if interface not in interfaces:
            known = ", ".join(sorted(interfaces)[:8])
            report.add(path, repr(interface), "is the interface of no EVSE", f"name one of {known}")
        elif interface == LOOPBACK:
            report.add(path, repr(interface), "is the loopback, which is never filtered", "take it out of the list")


def _word(path: str, text: str, parse: Callable[[str], object], report: Report) -> bool:
    try:
        parse(text)
    except WordError as error:
        report.add(path, repr(text), error.reason, error.remedy)
        return False
    return True
