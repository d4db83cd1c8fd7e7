"""From the configuration to the firewall's model: EVSE links, who reaches what, every device and server it names."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit

from v2g.config.addresses import is_this_host, modbus_addresses
from v2g.config.loader import Loaded
from v2g.config.places import TcpPlace, probe_place
from v2g.config.problems import ConfigError, Problem
from v2g.config.schema import Config
from v2g.config.schema_firewall import OutputPolicy
from v2g.config.schema_mesh import MeshNeighbour
from v2g.hardware.sensor_map import ModbusSource
from v2g.host.firewall import model, words
from v2g.host.firewall.model import MODBUS_PORTS, Access, Destination, Device, EvseLink, EvsePorts, Limits, Plan
from v2g.host.firewall.words import LOOPBACK, Address, Network, WordError

_ANYBODY: tuple[Network, ...] = (ipaddress.IPv4Network("0.0.0.0/0"), ipaddress.IPv6Network("::/0"))
_DNS_PORTS = (53, 853)
_NTP_PORT, _NTS_PORT = 123, 4460


def firewall_plan(loaded: Loaded) -> Plan:
    """The whole firewall of a site. Raises :class:`ConfigError` with everything that cannot become a rule."""
    config = loaded.config
    builder = _Builder(loaded)
    plan = Plan(
        site=config.site.id,
        links=builder.links(),
        access=builder.access(),
        devices=builder.devices(),
        destinations=builder.destinations(),
        guarded=builder.guarded(),
        dhcp_interfaces=config.firewall.dhcp_client,
        router_advert_interfaces=config.firewall.router_adverts,
        strict=config.firewall.output is OutputPolicy.STRICT,
        forward=config.firewall.forward,
        admit_s=config.firewall.admit_s,
        limits=Limits(
            connections=config.firewall.connections,
            new_per_s=config.firewall.new_per_s,
            sdp_per_s=config.firewall.sdp_per_s,
            log_per_minute=config.firewall.log_per_minute,
        ),
    )
    if builder.problems:
        raise ConfigError(builder.problems)
    return plan


def plan_remarks(loaded: Loaded) -> tuple[str, ...]:
    """What the rules leave open although it could be closed, or close although it may be needed."""
    config, found = loaded.config, []
    firewall = config.firewall
    any_vehicle = [
        evse.interface
        for evse in config.evses
        if evse.id not in firewall.evse_macs and evse.interface not in (*firewall.plc_interfaces, LOOPBACK)
    ]
    if any_vehicle:
        shown = ", ".join(list(dict.fromkeys(any_vehicle))[:8])
        found.append(f"any device below {shown} reaches SDP and ISO 15118: name firewall.evse_macs or plc_interfaces")
    if firewall.output is OutputPolicy.STRICT:
        revocation = config.pki.revocation
        if revocation.check and (revocation.ocsp or revocation.fetch_crls):
            found.append(
                "firewall.output is strict, and certificates name the servers of CRLs and OCSP: list these in "
                "firewall.destinations"
            )
    for path, listen, neighbours in _wires(config):
        ports = _open_ports(listen)
        unknown = [each.node for each in neighbours if each.address is None and each.node not in firewall.hosts]
        if ports and unknown:
            shown = ", ".join(unknown[:8]) + (f" and {len(unknown) - 8} more" if len(unknown) > 8 else "")
            found.append(
                f"{path}.listen: port {', '.join(map(str, ports))} is open to anybody, for {shown} dial us from "
                f"addresses that are not known (certificates still decide): add firewall.hosts: "
                f"{{{unknown[0]}: [192.0.2.7]}}"
            )
    return tuple(found)


class _Builder:
    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._config = loaded.config
        self.problems: list[Problem] = []

    def links(self) -> tuple[EvseLink, ...]:
        firewall = self._config.firewall
        by_interface: dict[str, list[EvsePorts]] = {}
        for position, evse in enumerate(self._config.evses):
            path = f"evses[{position}]"
            try:
                interface = words.interface(evse.interface)
            except WordError as error:
                self._problem(f"{path}.interface", repr(evse.interface), error.reason, error.remedy)
                continue
            macs = tuple(dict.fromkeys(words.mac(text) for text in firewall.evse_macs.get(evse.id, ())))
            ports = EvsePorts(evse_id=evse.id, source=path, sdp_port=evse.sdp_port, tcp_port=evse.tcp_port, macs=macs)
            by_interface.setdefault(interface, []).append(ports)
        return tuple(
            EvseLink(interface=name, evses=tuple(evses), plc=name in firewall.plc_interfaces)
            for name, evses in by_interface.items()
        )

    def access(self) -> tuple[Access, ...]:
        return (*self._people(), *self._neighbours())

    def _people(self) -> Iterator[Access]:
        return (
            Access(
                source=f"firewall.{name}[{position}]",
                networks=words.collapsed(map(words.network, entry.addresses)),
                tcp=entry.ports,
                udp=entry.udp_ports,
                interface=entry.interface,
            )
            for name in ("operators", "utility")
            for position, entry in enumerate(getattr(self._config.firewall, name))
        )

    def _neighbours(self) -> Iterator[Access]:
        """Where the mesh listens, for its neighbours; for anybody where one dials us from who knows where."""
        hosts = self._config.firewall.hosts
        for path, listen, neighbours in _wires(self._config):
            by_scope: dict[str, list[Network]] = {}
            for position, neighbour in enumerate(neighbours):
                if neighbour.address is not None:
                    at = self._resolved(f"{path}.neighbours[{position}].address", _host_port(neighbour.address)[0])
                elif (listed := hosts.get(neighbour.node)) is not None:
                    at = [words.address(text) for text in listed]
                else:
                    by_scope.setdefault("", []).extend(_ANYBODY)
                    continue
                for address, scope in at:
                    if not address.is_loopback:
                        by_scope.setdefault(scope, []).append(ipaddress.ip_network(address))
            if ports := _open_ports(listen):
                for scope, networks in by_scope.items():
                    yield Access(
                        source=f"{path}.listen", networks=words.collapsed(networks), tcp=ports, interface=scope
                    )

    def devices(self) -> tuple[Device, ...]:
        return tuple(
            Device(source=path, address=address, port=port, interface=interface)
            for path, host, port in self._modbus()
            for address, interface in self._resolved(path, host)
        )

    def guarded(self) -> tuple[int, ...]:
        """Ports of Modbus, but those that something else of the configuration is reached at."""
        others = {port for _, _, port in self._servers()}
        others |= {port for one in self._config.firewall.destinations for port in one.ports}
        ports = {port for _, host, port in self._modbus() if not is_this_host(host)}
        return tuple(sorted({*MODBUS_PORTS, *ports} - (others - set(MODBUS_PORTS))))

    def destinations(self) -> tuple[Destination, ...]:
        if self._config.firewall.output is not OutputPolicy.STRICT:
            return ()
        return tuple(self._destinations())

    def _destinations(self) -> Iterator[Destination]:
        firewall = self._config.firewall
        for path, host, port in self._servers():
            for address, scope in self._resolved(path, host):
                yield _host(path, address, scope, (port,), ())
        for position, text in enumerate(firewall.dns):
            yield _host(f"firewall.dns[{position}]", *words.address(text), _DNS_PORTS, (_DNS_PORTS[0],))
        for position, text in enumerate(firewall.ntp):
            yield _host(f"firewall.ntp[{position}]", *words.address(text), (_NTS_PORT,), (_NTP_PORT,))
        for position, entry in enumerate(firewall.destinations):
            for network in words.collapsed(map(words.network, entry.addresses)):
                source = f"firewall.destinations[{position}]"
                yield Destination(source=source, network=network, tcp=entry.ports, udp=entry.udp_ports)

    def _modbus(self) -> Iterator[tuple[str, str, int]]:
        """Path, host and port of every device that is spoken to by Modbus."""
        for position, evse in enumerate(self._config.evses):
            for part, address in modbus_addresses(evse):
                yield f"evses[{position}].{part}.modbus", address.host, address.port
        for position, meter in enumerate(self._config.utility.meters):
            yield f"utility.meters[{position}].modbus", meter.modbus.host, meter.modbus.port
        for channel in self._loaded.sensors:
            if isinstance(channel.source, ModbusSource):
                device = channel.source.device
                yield f"sensors.{channel.name}.source.modbus", device.host, device.port

    def _servers(self) -> Iterator[tuple[str, str, int]]:
        openadr, enrolment = self._config.utility.openadr, self._config.pki.enrolment
        urls = []
        if openadr is not None:
            urls += [("utility.openadr.url", openadr.url), ("utility.openadr.token_url", openadr.token_url)]
        if enrolment is not None:
            urls.append(("pki.enrolment.url", enrolment.url))
        for path, url in urls:
            try:
                parts = urlsplit(url)
                port = parts.port or (80 if parts.scheme == "http" else 443)
            except ValueError:
                self._problem(path, repr(url), "is no URL", "write it as https://host:port/path")
                continue
            if parts.hostname:
                yield path, parts.hostname, port
        if (probe := self._config.heartbeat.probe) and isinstance(place := probe_place(probe), TcpPlace):
            yield "heartbeat.probe", place.host, place.port
        for path, _, neighbours in _wires(self._config):
            for position, neighbour in enumerate(neighbours):
                if neighbour.address is not None:
                    yield f"{path}.neighbours[{position}].address", *_host_port(neighbour.address)

    def _resolved(self, path: str, host: str) -> Iterable[tuple[Address, str]]:
        if is_this_host(host):
            return [(ipaddress.IPv4Address("127.0.0.1"), "")]
        if (listed := self._config.firewall.hosts.get(host)) is not None:
            return [words.address(text) for text in listed]
        try:
            return [words.address(host)]
        except WordError as error:
            if _is_name(host):
                reason = "is a host name, and the firewall looks none up (it is made before the network is up)"
                remedy = f"write the address, or add it to firewall.hosts: {{{host}: [192.0.2.7]}}"
            else:
                reason, remedy = error.reason, error.remedy
            key = path if path.endswith(("url", "address", "probe")) else f"{path}.host"
            self._problem(key, repr(host), reason, remedy)
            return []

    def _problem(self, path: str, value: str, reason: str, remedy: str) -> None:
        file, line = self._loaded.origin.get(path), self._loaded.lines.get(path)
        if path.startswith("sensors."):
            channel = self._loaded.sensors.get(path.split(".source.")[0].removeprefix("sensors."))
            at, _, number = channel.place.rpartition(":") if channel is not None else ("", "", "")
            file, line = at or self._loaded.sensors.file, int(number) if number.isdecimal() else None
        problem = Problem(file or str(self._loaded.files[0]), path, value, reason, remedy, line)
        if problem not in self.problems:
            self.problems.append(problem)


def _wires(config: Config) -> Iterator[tuple[str, Sequence[str], Sequence[MeshNeighbour]]]:
    """Of the mesh that we are in and of the one above it: path, where we listen, neighbours."""
    if (mesh := config.mesh) is not None:
        yield "mesh", mesh.listen, mesh.neighbours
        if mesh.north is not None:
            yield "mesh.north", mesh.north.listen, mesh.north.neighbours


def _open_ports(listen: Sequence[str]) -> tuple[int, ...]:
    """Those that another host could reach."""
    return tuple(sorted({port for host, port in map(_host_port, listen) if not is_this_host(host)}))


def _host_port(locator: str) -> tuple[str, int]:
    """``tls/[::]:7447`` -> ``::`` and 7447."""
    host, _, port = locator.removeprefix("tls/").rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _host(path: str, address: Address, scope: str, tcp: tuple[int, ...], udp: tuple[int, ...]) -> Destination:
    return model.Destination(source=path, network=ipaddress.ip_network(address), tcp=tcp, udp=udp, interface=scope)


def _is_name(host: str) -> bool:
    labels = host.rstrip(".").split(".")
    return all(part and part.replace("-", "").replace("_", "").isalnum() for part in labels) and len(host) <= 253
