"""Open ports against the rules: what no rule explains, and rules for ports at which nobody listens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from v2g.host.firewall.model import MODBUS_PORTS, Plan
from v2g.host.firewall.sockets import Listener
from v2g.host.firewall.words import LOOPBACK

_DHCP = {68: "DHCP", 546: "DHCPv6"}
_REMEDIES = {
    22: "to let people in, list it in firewall.operators or firewall.utility; else systemctl disable --now ssh",
    53: "a DNS server that others can reach is not wanted here: let it listen on 127.0.0.1, or remove it",
    111: "rpcbind is not needed here: systemctl disable --now rpcbind.socket rpcbind.service",
    123: "an NTP server is not needed for this host's own time: 'port 0' in chrony.conf",
    323: "chronyd's command port: 'bindcmdaddress 127.0.0.1' in chrony.conf",
    5353: "mDNS tells the network about this host: systemctl disable --now avahi-daemon",
    5355: "LLMNR tells the network about this host: LLMNR=no in resolved.conf",
}


class Finding(StrEnum):
    """``LOCAL``: only this host reaches it. ``CLIENT``: a UDP socket at a port that the kernel chose, for answers."""

    EXPLAINED = "explained"
    LOCAL = "local"
    CLIENT = "client"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class Judged:
    """One socket. ``words``: the rule that explains it, or what to do."""

    listener: Listener
    finding: Finding
    words: str


@dataclass(frozen=True, slots=True)
class Idle:
    """A rule for a port at which nobody listens."""

    protocol: str
    port: int
    source: str


def judge(plan: Plan, sockets: Sequence[Listener], ephemeral: range) -> tuple[Judged, ...]:
    """Each socket with what explains it."""
    return tuple(_judged(plan, one, ephemeral) for one in sockets)


def idle(plan: Plan, sockets: Sequence[Listener]) -> tuple[Idle, ...]:
    """Ports that rules open to others and at which nobody listens."""
    open_ones = {(one.protocol, one.port) for one in sockets if not one.address.is_loopback}
    wanted = dict.fromkeys((protocol, port, source) for protocol, port, source in _opened(plan))
    return tuple(Idle(*one) for one in wanted if one[:2] not in open_ones)


def _judged(plan: Plan, one: Listener, ephemeral: range) -> Judged:
    if one.address.is_loopback:
        return Judged(one, Finding.LOCAL, "only this host itself reaches it")
    if sources := [source for protocol, port, source in _opened(plan) if (protocol, port) == (one.protocol, one.port)]:
        more = f" and {len(sources) - 3} more" if len(sources) > 3 else ""
        return Judged(one, Finding.EXPLAINED, ", ".join(sources[:3]) + more)
    if one.protocol == "udp" and one.port in _DHCP and plan.dhcp_interfaces:
        return Judged(one, Finding.EXPLAINED, "firewall.dhcp_client")
    if one.protocol == "udp" and one.port in ephemeral:
        return Judged(one, Finding.CLIENT, "a client's socket: only answers reach it")
    return Judged(one, Finding.UNEXPLAINED, _remedy(one))


def _remedy(one: Listener) -> str:
    if one.port in MODBUS_PORTS and one.protocol == "tcp":
        return "Modbus is never open inwards: stop this server, or let it listen on 127.0.0.1"
    if one.protocol == "udp" and one.port in _DHCP:
        return f"a {_DHCP[one.port]} client: name its interface in firewall.dhcp_client, or give a fixed address"
    who = one.owner.partition("[")[0] or "the program (v2g-tool firewall check as root names it)"
    return _REMEDIES.get(
        one.port,
        f"no rule lets anybody reach it: stop {who}, let it listen on 127.0.0.1, or list the port in "
        "firewall.utility or firewall.operators",
    )


def _opened(plan: Plan) -> Iterator[tuple[str, int, str]]:
    for link in plan.links:
        for evse in link.evses:
            if link.interface != LOOPBACK:
                yield "udp", evse.sdp_port, f"{evse.source}.sdp_port"
                yield "tcp", evse.tcp_port, f"{evse.source}.tcp_port"
    for access in plan.access:
        yield from (("tcp", port, access.source) for port in access.tcp)
        yield from (("udp", port, access.source) for port in access.udp)
