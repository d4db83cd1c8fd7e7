"""From the plan to nftables' text: byte for byte the same for the same plan, each rule with where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from v2g.host.firewall import words
from v2g.host.firewall.model import MODBUS_PORTS, PLC_SET, TABLE, Access, Destination, Device, EvseLink, Features, Plan
from v2g.host.firewall.words import LOOPBACK, Network

PREFIX = "v2g-drop-"
"""Begin of each line of the kernel's log that tells of a dropped packet; the reason follows."""
SET_SIZE = 1024
"""Vehicles that may be admitted to one link at a time."""
REMOVAL = f"table inet {TABLE}\ndelete table inet {TABLE}\n"
"""Takes our table away, whether it is there or not."""

_LINK_LOCAL = "fe80::/10"
_EVERY = {4: "0.0.0.0/0", 6: "::/0"}
_BURST_FACTOR = 2
_ND_PER_S = 50
_ECHO_PER_S = 10


def render(plan: Plan, features: Features | None = None) -> str:
    """One transaction for ``nft -f``: our table is removed, whatever it was, and made anew."""
    return _Ruleset(plan, features or Features()).text()


def admission(elements: Mapping[str, Sequence[tuple[str, int, int]]]) -> str:
    """Lines that put vehicles into their sets: set -> MAC, its whole time and what is left of it, s."""
    return "".join(
        f"add element inet {TABLE} {name} {{ {mac} timeout {whole_s}s expires {left_s}s }}\n"
        for name, rows in sorted(elements.items())
        for mac, whole_s, left_s in sorted(rows)
    )


class _Ruleset:
    def __init__(self, plan: Plan, features: Features) -> None:
        self._plan = plan
        self._features = features
        self._links = tuple(link for link in plan.links if link.interface != LOOPBACK)
        self._names = plan.identifiers

    def text(self) -> str:
        lines = [
            f"# v2g-orchestrator: the firewall of site {words.comment(self._plan.site)}, made by v2g-tool firewall.",
            "# What is changed here or in the kernel is lost: change the section firewall of /etc/v2g.",
            "# HomePlug frames (0x88E1) are no IP and never come here; a table netdev may judge them.",
            *(f"# Left out, the kernel lacks it: {text}" for text in self._features.lacking),
            *REMOVAL.splitlines(),
            f"table inet {TABLE} {{",
            *self._sets(),
        ]
        for link in self._links:
            lines += self._link(link)
        lines += [*self._deny("modbus", "Modbus is never open inwards"), *self._input(), *self._forward()]
        lines += self._output()
        return "\n".join([*lines, "}", ""])

    def _sets(self) -> Iterator[str]:
        if self._links:
            yield from _set(
                "evse_interfaces", "ifname", [(f'"{link.interface}"', _sources(link)) for link in self._links]
            )
            rows = [(f'"{link.interface}" : goto from_{self._names[link.interface]}', "") for link in self._links]
            yield from _block("map", "evse_links", ["type ifname : verdict"], rows)
        for link in self._links:
            yield from self._mac_sets(link)
        for position, access in enumerate(self._plan.access):
            for version, networks in _by_version(access.networks):
                if networks == [_EVERY[version]]:
                    continue
                rows = [(str(network), "") for network in networks]
                yield f"\t# {words.comment(access.source)}"
                yield from _set(f"access_{position}_v{version}", f"ipv{version}_addr", rows, "flags interval")
        for version in (4, 6):
            rows = [(f"{ip} . {port}", sources) for (ip, port), sources in self._devices(version)]
            yield f"\t# Modbus devices that the configuration lists, IPv{version}"
            yield from _set(f"modbus_v{version}", f"ipv{version}_addr . inet_service", rows)

    def _mac_sets(self, link: EvseLink) -> Iterator[str]:
        name = self._names[link.interface]
        if gate := _known(link):
            yield from _set(f"macs_{name}", "ether_addr", [(mac, "") for mac in gate])
        if len(link.evses) > 1:
            for position, evse in enumerate(link.evses):
                if evse.macs:
                    rows = [(mac, "") for mac in sorted(set(evse.macs))]
                    yield from _set(f"macs_{name}_{position}", "ether_addr", rows)
        if link.plc:
            timeout = ["flags timeout", f"timeout {self._plan.admit_s}s"] if self._features.timeouts else []
            yield "\t# Vehicles that were matched on this PLC link: v2g-tool firewall admit"
            yield from _block("set", PLC_SET + name, ["type ether_addr", f"size {SET_SIZE}", *timeout], [])

    def _link(self, link: EvseLink) -> Iterator[str]:
        name, limits, count = self._names[link.interface], self._plan.limits, len(link.evses)
        if _known(link):
            yield from self._deny(f"{name}_mac", f"{link.interface}: MAC not in firewall.evse_macs", link, "mac")
        if link.plc:
            yield from self._deny(f"{name}_plc", f"{link.interface}: MAC not admitted to the PLC link", link, "plc")
        if self._features.limit:
            yield from self._deny(f"{name}_rate", f"{link.interface}: too many requests a second", link, "rate")
        if self._features.connection_count:
            yield from self._deny(f"{name}_count", f"{link.interface}: too many connections", link, "count")
        rules = []
        if _known(link):
            rules.append(f"ether saddr != @macs_{name} goto deny_{name}_mac")
        if link.plc:
            rules.append(f"ether saddr != @{PLC_SET}{name} goto deny_{name}_plc")
        nd = self._rate(_ND_PER_S, "second", 2 * _ND_PER_S)
        rules += [
            _rule(
                f"icmpv6 type nd-neighbor-solicit ip6 saddr {{ ::, {_LINK_LOCAL} }} ip6 hoplimit 255",
                nd, "accept", f"{link.interface}: neighbour solicitation",
            ),
            _rule(
                f"icmpv6 type nd-neighbor-advert ip6 saddr {_LINK_LOCAL} ip6 hoplimit 255",
                nd, "accept", f"{link.interface}: neighbour advertisement",
            ),
            _rule(
                f"icmpv6 type mld-listener-query ip6 saddr {_LINK_LOCAL} ip6 hoplimit 1",
                nd, "accept", f"{link.interface}: multicast listener query",
            ),
        ]  # fmt: skip
        sdp, tcp = _ports(evse.sdp_port for evse in link.evses), _ports(evse.tcp_port for evse in link.evses)
        if self._features.limit:
            rules.append(f"udp dport {sdp} {_over(limits.sdp_per_s * count)} goto deny_{name}_rate")
            rules.append(f"tcp dport {tcp} ct state new {_over(limits.new_per_s * count)} goto deny_{name}_rate")
        if self._features.connection_count:
            open_ones = limits.connections * count
            rules.append(f"tcp dport {tcp} ct state new ct count over {open_ones} goto deny_{name}_count")
        for position, evse in enumerate(link.evses):
            known = f"ether saddr @macs_{name}_{position} " if count > 1 and evse.macs else ""
            rules.append(
                _rule(
                    f"{known}ip6 saddr {_LINK_LOCAL} ip6 daddr {{ ff02::1, {_LINK_LOCAL} }} udp dport {evse.sdp_port}",
                    "", "accept", f"{evse.source}.sdp_port: SDP of {evse.evse_id}",
                )
            )  # fmt: skip
            rules.append(
                _rule(
                    f"{known}ip6 saddr {_LINK_LOCAL} ip6 daddr {_LINK_LOCAL} tcp dport {evse.tcp_port}",
                    "", "accept", f"{evse.source}.tcp_port: ISO 15118 of {evse.evse_id}",
                )
            )  # fmt: skip
        rules += self._drop(link.interface, f"{link.interface}: everything else from an EVSE link")
        yield from _chain(f"from_{name}", rules)

    def _input(self) -> Iterator[str]:
        plan = self._plan
        rules = [
            "type filter hook input priority filter; policy drop;",
            _rule(f'iifname "{LOOPBACK}"', "", "accept", "this host itself"),
        ]
        if self._links:
            # One answered request would make the rest "established": past the rate, and past a MAC that has expired.
            rules.append("meta l4proto udp iifname vmap @evse_links")
        rules += [
            _rule("ct state established,related", "", "accept", "answers, and connections that are open"),
            _rule("ct state invalid", "", "drop", "packets of no connection"),
        ]
        if self._links:
            rules.append("iifname vmap @evse_links")
        rules += [
            f"tcp dport {_ports(MODBUS_PORTS)} goto deny_modbus",
            _rule(
                "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255", "", "accept", "neighbours"
            ),
        ]
        if plan.router_advert_interfaces:
            match = f"{_in(plan.router_advert_interfaces)} icmpv6 type nd-router-advert"
            match += f" ip6 saddr {_LINK_LOCAL} ip6 hoplimit 255"
            rules.append(_rule(match, "", "accept", "firewall.router_adverts"))
        errors = "destination-unreachable, time-exceeded, parameter-problem"
        some = self._rate(_ND_PER_S, "second", 2 * _ND_PER_S)
        echo = self._rate(_ECHO_PER_S, "second", 2 * _ECHO_PER_S)
        rules += [
            _rule(
                f"icmpv6 type mld-listener-query ip6 saddr {_LINK_LOCAL} ip6 hoplimit 1", some, "accept", "multicast"
            ),
            _rule(f"icmpv6 type {{ packet-too-big, {errors} }}", some, "accept", "path MTU and errors"),
            _rule(f"icmp type {{ {errors} }}", some, "accept", "path MTU and errors"),
            _rule("icmpv6 type echo-request", echo, "accept", "ping"),
            _rule("icmp type echo-request", echo, "accept", "ping"),
        ]
        if plan.dhcp_interfaces:
            where = _in(plan.dhcp_interfaces)
            v6 = f"{where} ip6 saddr {_LINK_LOCAL} udp sport 547 udp dport 546"
            rules.append(
                _rule(f"{where} meta nfproto ipv4 udp sport 67 udp dport 68", "", "accept", "firewall.dhcp_client")
            )
            rules.append(_rule(v6, "", "accept", "firewall.dhcp_client"))
        for position, access in enumerate(plan.access):
            rules += _access(position, access)
        rules.append(
            _rule("meta pkttype { broadcast, multicast }", "", "drop", "broadcasts that nothing here asked for")
        )
        yield from _chain("input", [*rules, *self._drop("input", "everything else")])

    def _forward(self) -> Iterator[str]:
        rules = [f"type filter hook forward priority filter; policy {'accept' if self._plan.forward else 'drop'};"]
        if self._links:
            rules += [
                _rule("iifname @evse_interfaces", "", "drop", "never out of an EVSE link"),
                _rule("oifname @evse_interfaces", "", "drop", "never into an EVSE link"),
            ]
        if not self._plan.forward:
            rules.append(_rule("", "", "drop", "firewall.forward: this host is no router"))
        yield from _chain("forward", rules)

    def _output(self) -> Iterator[str]:
        plan = self._plan
        yield from self._deny("modbus_out", "Modbus to a device that the configuration does not list")
        rules = [
            f"type filter hook output priority filter; policy {'drop' if plan.strict else 'accept'};",
            _rule(f'oifname "{LOOPBACK}"', "", "accept", "this host itself"),
            _rule("ct direction original ip daddr . tcp dport @modbus_v4", "", "accept", "listed Modbus devices"),
            _rule("ct direction original ip6 daddr . tcp dport @modbus_v6", "", "accept", "listed Modbus devices"),
        ]
        rules += [
            _rule(f'ct direction original oifname "{one.interface}" ip6 daddr {one.address} tcp dport {one.port}', "",
                  "accept", f"{one.source}: listed Modbus device")
            for one in _unique_scoped(plan.devices)
        ]  # fmt: skip
        if plan.guarded:
            rules.append(f"ct direction original tcp dport {_ports(plan.guarded)} goto deny_modbus_out")
        if plan.strict:
            rules += self._strict()
        yield from _chain("output", rules)

    def _strict(self) -> Iterator[str]:
        plan = self._plan
        yield _rule("ct state established,related", "", "accept", "answers, and connections that are open")
        yield _rule("meta l4proto { icmp, ipv6-icmp }", "", "accept", "neighbours, errors, ping")
        if self._links:
            sdp = _ports(evse.sdp_port for link in self._links for evse in link.evses)
            match = f"oifname @evse_interfaces ip6 daddr {_LINK_LOCAL} udp sport {sdp}"
            yield _rule(match, "", "accept", "SDP answers")
        if plan.dhcp_interfaces:
            where = _in(plan.dhcp_interfaces, "oifname")
            yield _rule(f"{where} meta nfproto ipv4 udp sport 68 udp dport 67", "", "accept", "firewall.dhcp_client")
            yield _rule(
                f"{where} udp sport 546 ip6 daddr ff02::1:2 udp dport 547", "", "accept", "firewall.dhcp_client"
            )
        for destination in plan.destinations:
            yield from _destination(destination)
        yield from self._drop("output", "everything else (firewall.output: strict)")

    def _devices(self, version: int) -> list[tuple[tuple[str, int], str]]:
        found: dict[tuple[str, int], list[str]] = {}
        for one in sorted(
            plan_devices(self._plan), key=lambda device: (int(device.address), device.port, device.source)
        ):
            if one.address.version == version and not one.interface:
                found.setdefault((str(one.address), one.port), []).append(one.source)
        return [(key, words.comment(", ".join(sources))) for key, sources in found.items()]

    def _deny(self, name: str, why: str, link: EvseLink | None = None, reason: str = "") -> Iterator[str]:
        tag = f"{link.interface}-{reason}" if link is not None else name.replace("_", "-")
        yield from _chain(f"deny_{name}", self._drop(tag, why))

    def _drop(self, tag: str, why: str) -> Iterator[str]:
        per_minute = self._plan.limits.log_per_minute
        if self._features.log and self._features.limit and per_minute:
            yield f'{self._rate(per_minute, "minute", per_minute)} log prefix "{PREFIX}{words.comment(tag)} "'
        yield _rule("", "", "drop", why)

    def _rate(self, rate: int, per: str, burst: int) -> str:
        return f"limit rate {rate}/{per} burst {burst} packets" if self._features.limit else ""


def plan_devices(plan: Plan) -> tuple[Device, ...]:
    """Those that are not on this host itself."""
    return tuple(device for device in plan.devices if not device.address.is_loopback)


def _unique_scoped(devices: Iterable[Device]) -> list[Device]:
    found: dict[tuple[str, int, str], Device] = {}
    for one in devices:
        if one.interface and not one.address.is_loopback:
            found.setdefault((str(one.address), one.port, one.interface), one)
    return [found[key] for key in sorted(found)]


def _known(link: EvseLink) -> list[str]:
    """Every MAC that may be on the link at all; empty: any, since some EVSE of it is for any vehicle."""
    if not all(evse.macs for evse in link.evses):
        return []
    return sorted({mac for evse in link.evses for mac in evse.macs})


def _sources(link: EvseLink) -> str:
    return words.comment(", ".join(f"{evse.source}.interface" for evse in link.evses))


def _access(position: int, access: Access) -> Iterator[str]:
    where = f"{_in((access.interface,))} " if access.interface else ""
    for version, networks in _by_version(access.networks):
        family = "ip" if version == 4 else "ip6"
        anybody = networks == [_EVERY[version]]
        source = where + (f"meta nfproto ipv{version}" if anybody else f"{family} saddr @access_{position}_v{version}")
        for protocol, ports in (("tcp", access.tcp), ("udp", access.udp)):
            if ports:
                yield _rule(f"{source} {protocol} dport {_ports(ports)}", "", "accept", f"{access.source}: {protocol}")


def _destination(destination: Destination) -> Iterator[str]:
    if destination.network.network_address.is_loopback:
        return
    where = f"{_in((destination.interface,), 'oifname')} " if destination.interface else ""
    family = "ip" if destination.network.version == 4 else "ip6"
    for protocol, ports in (("tcp", destination.tcp), ("udp", destination.udp)):
        if ports:
            match = f"{where}{family} daddr {_short(destination.network)} {protocol} dport {_ports(ports)}"
            yield _rule(match, "", "accept", f"{destination.source}: {protocol}")


def _by_version(networks: Iterable[Network]) -> Iterator[tuple[int, list[str]]]:
    all_of_them = words.collapsed(networks)
    for version in (4, 6):
        if texts := [_short(network) for network in all_of_them if network.version == version]:
            yield version, texts


def _short(network: Network) -> str:
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _in(interfaces: Sequence[str], direction: str = "iifname") -> str:
    names = [f'"{name}"' for name in sorted(set(interfaces))]
    return f"{direction} {names[0]}" if len(names) == 1 else f"{direction} {{ {', '.join(names)} }}"


def _ports(ports: Iterable[int]) -> str:
    numbers = sorted(set(ports))
    return str(numbers[0]) if len(numbers) == 1 else f"{{ {', '.join(map(str, numbers))} }}"


def _over(per_s: int) -> str:
    return f"limit rate over {per_s}/second burst {_BURST_FACTOR * per_s} packets"


def _rule(match: str, limit: str, verdict: str, comment: str) -> str:
    parts = (match, limit, "counter", verdict, f'comment "{words.comment(comment)}"')
    return " ".join(part for part in parts if part)


def _chain(name: str, rules: Iterable[str]) -> Iterator[str]:
    yield f"\tchain {name} {{"
    yield from (f"\t\t{rule}" for rule in rules)
    yield "\t}"


def _set(name: str, kind: str, rows: Sequence[tuple[str, str]], *more: str) -> Iterator[str]:
    yield from _block("set", name, [f"type {kind}", *more], rows)


def _block(what: str, name: str, head: Sequence[str], rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    """A set or map; ``rows``: elements, each with where it comes from."""
    yield f"\t{what} {name} {{"
    yield from (f"\t\t{line}" for line in head)
    if rows:
        yield "\t\telements = {"
        yield from (f"\t\t\t{element}," + (f"  # {source}" if source else "") for element, source in rows)
        yield "\t\t}"
    yield "\t}"
