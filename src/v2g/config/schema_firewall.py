"""The section ``firewall``: who may reach this host and what it may reach. ``v2g-tool firewall`` makes the rules."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec
from msgspec import Meta

from v2g.config.schema_base import Port, Section

Addresses = Annotated[tuple[str, ...], Meta(min_length=1, max_length=1000)]
Ports = Annotated[tuple[Port, ...], Meta(max_length=64)]


class OutputPolicy(enum.StrEnum):
    OPEN = "open"
    """Modbus only to the listed devices; everything else may go out."""
    STRICT = "strict"
    """Nothing goes out but what the configuration names."""


class Access(Section, frozen=True, kw_only=True):
    """Who reaches which ports: nobody else reaches them, and they reach no others."""

    addresses: Addresses
    """IPv4 and IPv6 addresses and networks."""
    ports: Ports = ()
    """TCP: 22 is SSH. Modbus (502, 802) is never open inwards."""
    udp_ports: Ports = ()
    """Likewise UDP."""
    interface: str = ""
    """Only on this interface; empty: on any that is no EVSE's."""


class Destination(Section, frozen=True, kw_only=True):
    """What may be reached with output strict, besides what other sections name."""

    addresses: Addresses
    """IPv4 and IPv6 addresses and networks."""
    ports: Ports = ()
    """TCP."""
    udp_ports: Ports = ()
    """UDP."""


class Firewall(Section, frozen=True, kw_only=True):
    operators: Annotated[tuple[Access, ...], Meta(max_length=64)] = ()
    """People who look after this controller."""
    utility: Annotated[tuple[Access, ...], Meta(max_length=64)] = ()
    """The utility's control addresses."""
    local_only: bool = False
    """Nobody reaches this host over the network: only then rules without operators and utility are applied."""
    evse_macs: dict[str, Annotated[tuple[str, ...], Meta(min_length=1, max_length=10_000)]] = msgspec.field(
        default_factory=dict
    )
    """By EVSE: MAC addresses of the vehicles that are served there; an EVSE that is not named serves any."""
    plc_interfaces: Annotated[tuple[str, ...], Meta(max_length=500)] = ()
    """EVSE interfaces that are powerline links: only vehicles that were admitted when they were matched are served."""
    admit_s: Annotated[int, Meta(ge=1, le=604_800)] = 43_200
    """How long a vehicle stays admitted unless it is told otherwise."""
    connections: Annotated[int, Meta(ge=1, le=1000)] = 8
    """TCP connections that may be open to one EVSE. What is on one interface shares the sum of its EVSEs."""
    new_per_s: Annotated[int, Meta(ge=1, le=1000)] = 5
    """New ones in a second, likewise."""
    sdp_per_s: Annotated[int, Meta(ge=1, le=1000)] = 10
    """SDP requests in a second, likewise; a vehicle sends four."""
    dhcp_client: tuple[str, ...] = ()
    """Interfaces whose addresses come by DHCP."""
    router_adverts: tuple[str, ...] = ()
    """Interfaces whose IPv6 routes come by router advertisements."""
    forward: bool = False
    """This host passes packets on between interfaces; never for those of EVSEs."""
    output: OutputPolicy = OutputPolicy.OPEN
    """``open``: Modbus only to listed devices, all else may go out; ``strict``: nothing but what the configuration
    names."""
    hosts: dict[str, Addresses] = msgspec.field(default_factory=dict)
    """Addresses of host names that other sections use. No name is looked up: rules are made before the network is up,
    and a name server could otherwise open them."""
    dns: tuple[str, ...] = ()
    """Name servers (53, 853), for output strict."""
    ntp: tuple[str, ...] = ()
    """Time servers (123, 4460), likewise."""
    destinations: Annotated[tuple[Destination, ...], Meta(max_length=64)] = ()
    """What else may be reached with output strict."""
    log_per_minute: Annotated[int, Meta(ge=0, le=600)] = 10
    """Dropped packets that the kernel's log tells of, for each reason; 0: none, they are only counted."""
    state_dir: str = "/var/lib/v2g-firewall"
    """Of root alone: what was applied and confirmed, and a rollback that is pending."""
