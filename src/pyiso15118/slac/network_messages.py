"""Management messages of HomePlug AV about networks: who is in the own one, who else is heard.

Layouts of CM_NW_INFO and CC_DISCOVER_LIST are confirmed by recordings, that of CM_NW_STATS by open implementations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pyiso15118.slac.addresses import MAC_BYTES, Mac
from pyiso15118.slac.fields import Items, Number, Octets, Part, Record
from pyiso15118.slac.messages import NID_BYTES, Message


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInfo(Record):
    """A network that a modem belongs to."""

    PARTS: ClassVar[tuple[Part, ...]] = (
        Octets("nid", NID_BYTES),
        Number("snid"),
        Number("tei"),
        Number("station_role"),
        Octets("cco_mac", MAC_BYTES),
        Number("access"),
        Number("num_cord_networks"),
    )

    nid: bytes
    snid: int
    tei: int
    """Terminal equipment identifier; 0: none yet."""
    station_role: int
    """0 station, 1 proxy, 2 central coordinator."""
    cco_mac: Mac
    access: int = 0
    num_cord_networks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CM_NW_INFO_REQ(Message):
    MMTYPE = 0x6038


@dataclass(frozen=True, slots=True, kw_only=True)
class CM_NW_INFO_CNF(Message):
    MMTYPE = 0x6039
    PARTS: ClassVar[tuple[Part, ...]] = (Items("networks", NetworkInfo),)

    networks: tuple[NetworkInfo, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StationStats(Record):
    """Average PHY rates to and from a station, in Mbit/s."""

    PARTS: ClassVar[tuple[Part, ...]] = (Octets("mac", MAC_BYTES), Number("avg_tx_mbps"), Number("avg_rx_mbps"))

    mac: Mac
    avg_tx_mbps: int
    avg_rx_mbps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CM_NW_STATS_REQ(Message):
    MMTYPE = 0x6048


@dataclass(frozen=True, slots=True, kw_only=True)
class CM_NW_STATS_CNF(Message):
    MMTYPE = 0x6049
    PARTS: ClassVar[tuple[Part, ...]] = (Items("stations", StationStats),)

    stations: tuple[StationStats, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveredStation(Record):
    """A modem that ours hears."""

    PARTS: ClassVar[tuple[Part, ...]] = (
        Octets("mac", MAC_BYTES),
        Number("tei"),
        Number("same_network"),
        Number("snid"),
        Number("capabilities"),
        Number("signal_level"),
    )

    mac: Mac
    """Of the modem, not of the host behind it."""
    tei: int
    same_network: int
    """1: it is in our modem's network."""
    snid: int
    """In the lower half."""
    capabilities: int = 0
    signal_level: int = 0
    """1: above -10 dB, then in steps of 5 dB down to 15: -75 dB or less; 0: not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveredNetwork(Record):
    """A network beside ours."""

    PARTS: ClassVar[tuple[Part, ...]] = (
        Octets("nid", NID_BYTES),
        Number("snid"),
        Number("hybrid_mode"),
        Number("num_beacon_slots"),
        Number("cco_status"),
        Number("beacon_offset", 2),
    )

    nid: bytes
    snid: int
    hybrid_mode: int = 0
    num_beacon_slots: int = 0
    cco_status: int = 0
    beacon_offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CC_DISCOVER_LIST_REQ(Message):
    MMTYPE = 0x0014


@dataclass(frozen=True, slots=True, kw_only=True)
class CC_DISCOVER_LIST_CNF(Message):
    MMTYPE = 0x0015
    PARTS: ClassVar[tuple[Part, ...]] = (
        Items("stations", DiscoveredStation),
        Items("networks", DiscoveredNetwork),
    )

    stations: tuple[DiscoveredStation, ...] = ()
    networks: tuple[DiscoveredNetwork, ...] = ()


NETWORK_MESSAGES: tuple[type[Message], ...] = (
    CM_NW_INFO_REQ,
    CM_NW_INFO_CNF,
    CM_NW_STATS_REQ,
    CM_NW_STATS_CNF,
    CC_DISCOVER_LIST_REQ,
    CC_DISCOVER_LIST_CNF,
)
