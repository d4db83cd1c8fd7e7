"""Who may reach what: the firewall as plain data. Built from the configuration, drawn by the renderer.

Each part names the configuration value it comes from (``source``), which goes into the rules' comments.
"""

from __future__ import annotations

from dataclasses import dataclass

from v2g.host.firewall.words import Address, Network, identifiers

TABLE = "v2g"
"""Our only table, of family inet. Others' tables are never read or touched."""
PLC_SET = "plc_macs_"
"""Begin of the names of the sets that vehicles are admitted to; the interface follows."""
MODBUS_PORTS = (502, 802)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvsePorts:
    """What one EVSE serves. ``macs``: the vehicles known there; empty: not limited to known ones."""

    evse_id: str
    source: str
    sdp_port: int
    tcp_port: int
    macs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseLink:
    """A network interface below which vehicles are, with the EVSEs that it serves. ``plc``: only admitted MACs."""

    interface: str
    evses: tuple[EvsePorts, ...]
    plc: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Addresses that reach ports of this host. ``interface`` empty: from any that is no EVSE's."""

    source: str
    networks: tuple[Network, ...]
    tcp: tuple[int, ...] = ()
    udp: tuple[int, ...] = ()
    interface: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A host outside that this one may connect to. ``interface``: of a link-local address."""

    source: str
    network: Network
    tcp: tuple[int, ...] = ()
    udp: tuple[int, ...] = ()
    interface: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A Modbus device that the configuration lists, at one address."""

    source: str
    address: Address
    port: int
    interface: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of each EVSE on a link: open connections, new ones and SDP requests a second. ``log_per_minute`` 0: no log."""

    connections: int = 8
    new_per_s: int = 5
    sdp_per_s: int = 10
    log_per_minute: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole firewall.

    ``guarded``: TCP ports that are Modbus, towards which only ``devices`` are reached. ``strict``: nothing goes out but
    to ``devices``, ``destinations`` and EVSE links. ``forward``: this host may be a router, never for EVSE links.
    """

    site: str
    links: tuple[EvseLink, ...] = ()
    access: tuple[Access, ...] = ()
    devices: tuple[Device, ...] = ()
    destinations: tuple[Destination, ...] = ()
    guarded: tuple[int, ...] = MODBUS_PORTS
    dhcp_interfaces: tuple[str, ...] = ()
    router_advert_interfaces: tuple[str, ...] = ()
    strict: bool = False
    forward: bool = False
    admit_s: int = 43_200
    limits: Limits = Limits()

    @property
    def plc_sets(self) -> dict[str, str]:
        """Interface of each PLC link -> its set."""
        names = self.identifiers
        return {link.interface: PLC_SET + names[link.interface] for link in self.links if link.plc}

    @property
    def identifiers(self) -> dict[str, str]:
        return identifiers(link.interface for link in self.links)


@dataclass(frozen=True, slots=True)
class Features:
    """What the kernel can do of what the rules would like to use."""

    connection_count: bool = True
    limit: bool = True
    log: bool = True
    timeouts: bool = True

    @property
    def lacking(self) -> tuple[str, ...]:
        """What is left out, in words."""
        words = {
            "connection_count": "ct count: connections of an EVSE link are not counted (kernel module nft_connlimit)",
            "limit": "limit: no rate limits on EVSE links, and no log, which would have no bound (nft_limit)",
            "log": "log: what is dropped is counted, but not logged (nft_log)",
            "timeouts": "sets with timeouts: no vehicle can be admitted to a PLC link, all are closed (nft_set_hash)",
        }
        return tuple(text for name, text in words.items() if not getattr(self, name))
