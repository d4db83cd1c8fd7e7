"""A simulated powerline modem: what it answers its own host, what it measures, which network it is in. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pyiso15118.slac.addresses import BROADCAST, LOCAL_MODEM, Mac
from pyiso15118.slac.frame import Frame
from pyiso15118.slac.link_statistics import (
    VS_LNK_STATS_CNF,
    VS_LNK_STATS_REQ,
    Direction,
    ReceiveCounters,
    TransmitCounters,
)
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
    CM_NW_STATS_CNF,
    CM_NW_STATS_REQ,
    DiscoveredStation,
    NetworkInfo,
    StationStats,
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
_FIRST_LEVEL_DB, _LEVEL_STEP_DB, _LAST_LEVEL = 10.0, 5.0, 15

_QUALCOMM = (VS_SW_VER_REQ, VS_RS_DEV_REQ, VS_PL_LNK_STATUS_REQ, VS_NW_INFO_REQ, VS_LNK_STATS_REQ)

Make = Literal["qualcomm", "st"]
"""Which requests a modem knows: those of Qualcomm (VS_*), or, as ST's, those of the standard alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """Another modem in a modem's network. The PHY rate is the same both ways."""

    modem: Modem
    rate_mbps: float
    attenuation_db: float

    @property
    def mbps(self) -> int:
        """As messages tell it."""
        return round(self.rate_mbps)


@dataclass(slots=True, kw_only=True)
class LinkCounters:
    """What two modems of one network sent to each other by ``counted_at``; alike both ways."""

    counted_at: float
    came: int = 0
    failed: int = 0


@dataclass(slots=True, kw_only=True)
class Modem:
    """One station of a powerline: the modem and the host behind it.

    ``offset_db``: what its coupling adds to every level it measures; a host takes it off as its calibration.
    """

    name: str
    host_mac: Mac
    modem_mac: Mac
    offset_db: float = 0.0
    make: Make = "qualcomm"
    nid: bytes = b""
    nmk: bytes = b""
    keyed_at: float = 0.0
    silent_until: float = 0.0
    answers: bool = True
    """False: broken, it answers nobody and passes nothing."""
    plugged: bool = True
    """False: it is off the line, and answers its host all the same."""
    counters: dict[Mac, LinkCounters] = field(default_factory=dict)
    """Of its links, by the other modem; kept by the line."""
    neighbours: list[Neighbour] = field(default_factory=list)
    """Those in its network now; kept by the line."""

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
            case _ if self.make == "st" and isinstance(message, _QUALCOMM):
                return None
            case CM_SET_KEY_REQ():
                self.nid, self.nmk, self.keyed_at = message.nid, message.new_key, now
                return CM_SET_KEY_CNF(result=1, my_nonce=nonce, pid=message.pid, pmn=255)
            case VS_SW_VER_REQ():
                return VS_SW_VER_CNF(version=VERSION, device_id=0x22)
            case VS_RS_DEV_REQ():
                self.nid = self.nmk = b""
                self.counters.clear()
                self.silent_until = now + RESET_S
                return VS_RS_DEV_CNF()
            case VS_PL_LNK_STATUS_REQ():
                return VS_PL_LNK_STATUS_CNF(link_status=int(bool(self.neighbours)))
            case CM_AMP_MAP_REQ():
                return CM_AMP_MAP_CNF()
            case VS_NW_INFO_REQ():
                return VS_NW_INFO_CNF(networks=self._networks())
            case VS_LNK_STATS_REQ():
                return self._statistics(message)
            case CM_NW_INFO_REQ():
                return CM_NW_INFO_CNF(networks=self._short_networks())
            case CM_NW_STATS_REQ():
                return CM_NW_STATS_CNF(
                    stations=tuple(
                        StationStats(mac=one.modem.modem_mac, avg_tx_mbps=one.mbps, avg_rx_mbps=one.mbps)
                        for one in self.neighbours
                    )
                )
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

    def _statistics(self, request: VS_LNK_STATS_REQ) -> VS_LNK_STATS_CNF:
        peer = next((one.modem for one in self.neighbours if one.modem.modem_mac == request.peer), None)
        counted = self.counters.get(request.peer)
        if peer is None or counted is None or request.direction not in tuple(Direction):
            return VS_LNK_STATS_CNF(direction=request.direction, link_id=request.link_id, mstatus=1)
        sent = TransmitCounters(
            mpdus_acked=counted.came,
            mpdus_collided=0,
            mpdus_failed=counted.failed,
            blocks_passed=counted.came,
            blocks_failed=counted.failed,
        )
        received = ReceiveCounters(
            mpdus_acked=counted.came,
            mpdus_failed=counted.failed,
            blocks_passed=counted.came,
            blocks_failed=counted.failed,
        )
        return VS_LNK_STATS_CNF(
            direction=request.direction,
            link_id=request.link_id,
            tei=self._tei(peer),
            transmitted=sent if request.direction != Direction.RECEIVE else None,
            received=received if request.direction != Direction.TRANSMIT else None,
        )

    def _role(self) -> tuple[int, Modem]:
        """The modem with the lowest address coordinates."""
        everybody = [self, *(one.modem for one in self.neighbours)]
        coordinator = min(everybody, key=lambda modem: modem.modem_mac)
        return (_CCO if coordinator is self else _STATION), coordinator

    def _tei(self, modem: Modem) -> int:
        members = sorted([self, *(one.modem for one in self.neighbours)], key=lambda each: each.modem_mac)
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
                        mac=one.modem.modem_mac,
                        tei=self._tei(one.modem),
                        bridged_mac=one.modem.host_mac,
                        avg_tx_mbps=one.mbps,
                        avg_rx_mbps=one.mbps,
                    )
                    for one in self.neighbours
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
            DiscoveredStation(
                mac=one.modem.modem_mac,
                tei=self._tei(one.modem),
                same_network=1,
                snid=_SNID,
                signal_level=_signal_level(one.attenuation_db),
            )
            for one in self.neighbours
        )


def _signal_level(attenuation_db: float) -> int:
    """Of CC_DISCOVER_LIST.CNF: 1 above -10 dB, then one more for each 5 dB less."""
    if attenuation_db < _FIRST_LEVEL_DB:
        return 1
    return min(_LAST_LEVEL, 2 + int((attenuation_db - _FIRST_LEVEL_DB) / _LEVEL_STEP_DB))
