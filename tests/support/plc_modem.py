"""A powerline modem for tests: answers its host as a Qualcomm or an ST/IoTecha one does."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyiso15118.slac.addresses import parse_mac
from pyiso15118.slac.messages import CM_SET_KEY_CNF, CM_SET_KEY_REQ, Message
from pyiso15118.slac.network_messages import (
    CC_DISCOVER_LIST_CNF,
    CC_DISCOVER_LIST_REQ,
    CM_NW_INFO_CNF,
    CM_NW_INFO_REQ,
    CM_NW_STATS_CNF,
    CM_NW_STATS_REQ,
    DiscoveredStation,
    NetworkInfo,
    StationStats,
)
from pyiso15118.slac.vendor import (
    VS_NW_INFO_CNF,
    VS_NW_INFO_REQ,
    VS_PL_LNK_STATUS_CNF,
    VS_PL_LNK_STATUS_REQ,
    VS_RS_DEV_CNF,
    VS_RS_DEV_REQ,
    VS_SW_VER_CNF,
    VS_SW_VER_REQ,
    VsNetwork,
    VsStation,
)

MODEM = parse_mac("00:01:87:00:00:01")
FOREIGN_NID = bytes.fromhex("79e6b1db41380b")
QUALCOMM = {VS_SW_VER_REQ, VS_NW_INFO_REQ, CM_NW_INFO_REQ, CM_SET_KEY_REQ, VS_RS_DEV_REQ, VS_PL_LNK_STATUS_REQ}
ST = {CM_NW_INFO_REQ, CC_DISCOVER_LIST_REQ, CM_SET_KEY_REQ}


@dataclass
class Modem:
    """Answers what it knows. ``members``: (modem, bridged host) of the other stations in its network."""

    knows: set[type[Message]]
    mac: bytes = MODEM
    on: bool = True
    nid: bytes = FOREIGN_NID
    nmk: bytes = b""
    key_result: int = 1
    key_forms_after_s: float = 0.0
    members: list[tuple[bytes, bytes]] = field(default_factory=list)
    asked: list[Message] = field(default_factory=list)
    _next: tuple[float, bytes] | None = None

    def answer(self, message: Message, now: float) -> list[Message]:
        self.asked.append(message)
        if not self.on or type(message) not in self.knows:
            return []
        if self._next is not None and now >= self._next[0]:
            self.nid, self._next = self._next[1], None
        match message:
            case VS_RS_DEV_REQ():
                return [VS_RS_DEV_CNF()]
            case VS_SW_VER_REQ():
                return [VS_SW_VER_CNF(version="MAC-QCA7000-1.1.0.730-04", device_id=7)]
            case CM_SET_KEY_REQ():
                if self.key_result in (0, 1):
                    self.nmk = message.new_key
                    self._next = (now + self.key_forms_after_s, message.nid)
                return [CM_SET_KEY_CNF(result=self.key_result)]
            case CM_NW_INFO_REQ():
                if not self.nid:
                    return [CM_NW_INFO_CNF()]
                info = NetworkInfo(nid=self.nid, snid=3, tei=1, station_role=2, cco_mac=self.mac)
                return [CM_NW_INFO_CNF(networks=(info,))]
            case CC_DISCOVER_LIST_REQ():
                return [
                    CC_DISCOVER_LIST_CNF(
                        stations=tuple(
                            DiscoveredStation(mac=mac, tei=2 + at, same_network=1, snid=3, signal_level=4)
                            for at, (mac, _) in enumerate(self.members)
                        )
                    )
                ]
            case CM_NW_STATS_REQ():
                stats = tuple(StationStats(mac=mac, avg_tx_mbps=9, avg_rx_mbps=8) for mac, _ in self.members)
                return [CM_NW_STATS_CNF(stations=stats)]
            case VS_PL_LNK_STATUS_REQ():
                return [VS_PL_LNK_STATUS_CNF(link_status=int(bool(self.members)))]
            case VS_NW_INFO_REQ():
                stations = tuple(
                    VsStation(mac=mac, tei=2 + at, bridged_mac=bridged, avg_tx_mbps=10, avg_rx_mbps=12)
                    for at, (mac, bridged) in enumerate(self.members)
                )
                network = VsNetwork(
                    nid=self.nid, snid=3, tei=1, station_role=2, cco_mac=self.mac, cco_tei=1, stations=stations
                )
                return [VS_NW_INFO_CNF(networks=(network,) if self.nid else ())]
        return []
