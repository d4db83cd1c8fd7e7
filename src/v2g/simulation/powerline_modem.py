"""A simulated powerline modem: what it answers its own host, what it measures, which network it is in. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pyiso15118.slac.addresses import BROADCAST, LOCAL_MODEM, Mac
from pyiso15118.slac.frame import Frame
from pyiso15118.slac.messages import (
    CM_AMP_MAP_CNF,
    CM_AMP_MAP_REQ,
    CM_ATTEN_PROFILE_IND,
    CM_SET_KEY_CNF,
    CM_SET_KEY_REQ,
    Message,
)
from pyiso15118.slac.network_messages import (
    CC_DISCOVER_LIST_CNF,
    CC_DISCOVER_LIST_REQ,
    CM_NW_INFO_CNF,
    CM_NW_INFO_REQ,
    DiscoveredStation,
    NetworkInfo,
)
from pyiso15118.slac.vendor import (
    VS_ATTENUATION_CHARACTERISTICS_IND,
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

VERSION = "MAC-SIM7005-1.0.0"
RESET_S = 1.0
"""So long a modem is silent after a reset."""
JOIN_S = 0.4
"""From two modems with one key to their network."""
_SNID = 3
_CCO, _STATION = 2, 0


@dataclass(slots=True, kw_only=True)
class Modem:
    """One station of a powerline: the modem and the host behind it.

    ``offset_db``: what its coupling adds to every level it measures; a host takes it off as its calibration.
    """

    name: str
    host_mac: Mac
    modem_mac: Mac
    offset_db: float = 0.0
    nid: bytes = b""
    nmk: bytes = b""
    keyed_at: float = 0.0
    silent_until: float = 0.0
    answers: bool = True
    """False: broken, it answers nobody and passes nothing."""
    plugged: bool = True
    """False: it is off the line, and answers its host all the same."""
    neighbours: list[tuple[Modem, float]] = field(default_factory=list)
    """Those in its network now, with the PHY rate to each in Mbit/s; kept by the line."""

    def is_mute(self, now: float) -> bool:
        return not self.answers or now < self.silent_until

    def shares_network(self, other: Modem, now: float) -> bool:
        """Both have one key for long enough. Whether they reach each other is the line's to say."""
        return (
            bool(self.nmk)
            and (self.nid, self.nmk) == (other.nid, other.nmk)
            and now - max(self.keyed_at, other.keyed_at) >= JOIN_S
        )

    def concerns(self, frame: Frame) -> bool:
        """Whether a management frame of its host is for the modem itself."""
        return frame.destination in (LOCAL_MODEM, self.modem_mac) or (
            frame.destination == BROADCAST and isinstance(frame.message, VS_SW_VER_REQ)
        )

    def answer(self, message: Message, now: float, nonce: int) -> Message | None:
        """Its answer to its host; None: it knows no such request."""
        match message:
            case CM_SET_KEY_REQ():
                self.nid, self.nmk, self.keyed_at = message.nid, message.new_key, now
                return CM_SET_KEY_CNF(result=1, my_nonce=nonce, pid=message.pid, pmn=255)
            case VS_SW_VER_REQ():
                return VS_SW_VER_CNF(version=VERSION, device_id=0x22)
            case VS_RS_DEV_REQ():
                self.nid = self.nmk = b""
                self.silent_until = now + RESET_S
                return VS_RS_DEV_CNF()
            case VS_PL_LNK_STATUS_REQ():
                return VS_PL_LNK_STATUS_CNF(link_status=int(bool(self.neighbours)))
            case CM_AMP_MAP_REQ():
                return CM_AMP_MAP_CNF()
            case VS_NW_INFO_REQ():
                return VS_NW_INFO_CNF(networks=self._networks())
            case CM_NW_INFO_REQ():
                return CM_NW_INFO_CNF(networks=self._short_networks())
            case CC_DISCOVER_LIST_REQ():
                return CC_DISCOVER_LIST_CNF(stations=tuple(self._discovered()))
        return None

    def measured(self, pev_mac: Mac, levels_db: Sequence[float], noise: Callable[[], float]) -> tuple[Message, ...]:
        """What it tells its host of a sound it heard, as recorded modems do it. ``noise`` in dB."""
        aag = tuple(min(255, max(0, round(level + self.offset_db + noise()))) for level in levels_db)
        return (
            VS_ATTENUATION_CHARACTERISTICS_IND(pev_mac=pev_mac, aag=aag),
            CM_ATTEN_PROFILE_IND(pev_mac=pev_mac, aag=aag),
        )

    def _role(self) -> tuple[int, Modem]:
        """The modem with the lowest address coordinates."""
        everybody = [self, *(modem for modem, _ in self.neighbours)]
        coordinator = min(everybody, key=lambda modem: modem.modem_mac)
        return (_CCO if coordinator is self else _STATION), coordinator

    def _tei(self, modem: Modem) -> int:
        members = sorted([self, *(other for other, _ in self.neighbours)], key=lambda each: each.modem_mac)
        return members.index(modem) + 1

    def _networks(self) -> tuple[VsNetwork, ...]:
        if not self.nid:
            return ()
        role, coordinator = self._role()
        return (
            VsNetwork(
                nid=self.nid,
                snid=_SNID,
                tei=self._tei(self),
                station_role=role,
                cco_mac=coordinator.modem_mac,
                cco_tei=self._tei(coordinator),
                stations=tuple(
                    VsStation(
                        mac=modem.modem_mac,
                        tei=self._tei(modem),
                        bridged_mac=modem.host_mac,
                        avg_tx_mbps=round(rate),
                        avg_rx_mbps=round(rate),
                    )
                    for modem, rate in self.neighbours
                ),
            ),
        )

    def _short_networks(self) -> tuple[NetworkInfo, ...]:
        if not self.nid:
            return ()
        role, coordinator = self._role()
        return (
            NetworkInfo(
                nid=self.nid,
                snid=_SNID,
                tei=self._tei(self),
                station_role=role,
                cco_mac=coordinator.modem_mac,
            ),
        )

    def _discovered(self) -> Iterable[DiscoveredStation]:
        return (
            DiscoveredStation(mac=modem.modem_mac, tei=self._tei(modem), same_network=1, snid=_SNID)
            for modem, _ in self.neighbours
        )
