"""Who is in the own modem's network, by whatever the modem can be asked. Pure: one object for each time it is found."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from pyiso15118.slac.addresses import MAC_BYTES, Mac, mac_text
from pyiso15118.slac.link_statistics import VS_LNK_STATS_CNF, VS_LNK_STATS_REQ, continues, packet_loss
from pyiso15118.slac.messages import Message
from pyiso15118.slac.modem_events import StationLink, StationsSeen
from pyiso15118.slac.network_messages import (
    CC_DISCOVER_LIST_CNF,
    CC_DISCOVER_LIST_REQ,
    CM_NW_INFO_CNF,
    CM_NW_INFO_REQ,
    CM_NW_STATS_CNF,
    CM_NW_STATS_REQ,
)
from pyiso15118.slac.vendor import (
    VS_NW_INFO_CNF,
    VS_NW_INFO_REQ,
    VS_PL_LNK_STATUS_CNF,
    VS_PL_LNK_STATUS_REQ,
    VS_SW_VER_CNF,
    VS_SW_VER_REQ,
    VsNetwork,
)

MISSES = 2
"""Lists in a row without the vehicle, and polls in a row without an answer, that mean loss."""
_LEARNING_POLLS = 3
_LOSS_ANSWERS = 11
"""Answers that packet loss is told of: the last ten intervals, since in one there is next to no traffic."""
_CONFIRMS: dict[type[Message], type[Message]] = {
    VS_NW_INFO_CNF: VS_NW_INFO_REQ,
    CC_DISCOVER_LIST_CNF: CC_DISCOVER_LIST_REQ,
    VS_PL_LNK_STATUS_CNF: VS_PL_LNK_STATUS_REQ,
    CM_NW_INFO_CNF: CM_NW_INFO_REQ,
    CM_NW_STATS_CNF: CM_NW_STATS_REQ,
    VS_SW_VER_CNF: VS_SW_VER_REQ,
}
_EVIDENCE: tuple[type[Message], ...] = (VS_NW_INFO_REQ, CC_DISCOVER_LIST_REQ, VS_PL_LNK_STATUS_REQ)
"""Best first."""
_SUPPLEMENTS: tuple[type[Message], ...] = (CM_NW_INFO_REQ, CM_NW_STATS_REQ)
"""Asked before the evidence that is judged by them. VS_NW_INFO needs none."""
_LEAST_DB, _DB_STEP, _MOST_LEVEL = -10.0, -5.0, 15


class ModemNetwork:
    """What one modem answers, and what follows from it. :attr:`lost_key` once it is in another network than ours."""

    def __init__(self, own_mac: Mac) -> None:
        self.lost_key = ""
        self._own_mac = own_mac
        self._polls = 0
        self._answers: set[type[Message]] = set()
        self._told: bytes | None = None
        self._rates: dict[Mac, tuple[float, float]] = {}
        self._nid = b""
        self._confirmed = False
        self._foreign = 0
        self._vehicle: Mac | None = None
        self._modem: Mac | None = None
        """Of the vehicle, once it was seen: whoever else has the key by then is not it."""
        self._absent = 0
        self._counters: deque[VS_LNK_STATS_CNF] = deque(maxlen=_LOSS_ANSWERS)
        self._uncounted = 0
        """Requests for counters without an answer. Not every modem keeps any."""
        self.present = False
        """The watched vehicle is in our network."""

    def keyed(self, nid: bytes) -> None:
        """The modem has taken a key for the network ``nid``."""
        self._nid, self._told, self._confirmed, self._foreign = nid, None, False, 0
        self.watch(self._vehicle)

    def watch(self, vehicle: Mac | None) -> None:
        self._vehicle, self.present, self._absent = vehicle, False, 0
        self._modem = None
        self._counters.clear()

    def questions(self) -> list[Message]:
        """What to ask now: everything at first, then only what tells most."""
        best = self._best()
        self._polls += 1
        if best is None or self._polls <= _LEARNING_POLLS:
            kinds = [*_SUPPLEMENTS, *_EVIDENCE, *([VS_SW_VER_REQ] if best is None else [])]
        else:
            helpful = () if best is VS_NW_INFO_REQ else _SUPPLEMENTS
            kinds = [*(kind for kind in helpful if kind in self._answers), best]
        messages = [kind() for kind in kinds]
        if self.present and self._modem is not None and self._uncounted < _LEARNING_POLLS:
            self._uncounted += 1
            messages.append(VS_LNK_STATS_REQ(peer=self._modem))
        return messages

    def answers(self, message: Message) -> bool:
        """Whether this shows that the modem still does what it is watched by; False for what does not matter."""
        kind = _CONFIRMS.get(type(message))
        if kind is None:
            return False
        self._answers.add(kind)
        return self._best() in (None, kind)

    def take(self, message: Message) -> StationsSeen | None:
        """None: it says nothing new about the network."""
        match message:
            case VS_NW_INFO_CNF():
                return self._on_networks(message.networks)
            case CM_NW_INFO_CNF():
                nids = [network.nid for network in message.networks]
                self._told = self._nid if self._nid in nids else nids[0] if nids else b""
            case CM_NW_STATS_CNF():
                self._rates = {s.mac: (float(s.avg_tx_mbps), float(s.avg_rx_mbps)) for s in message.stations}
            case VS_LNK_STATS_CNF(mstatus=0):
                self._uncounted = 0
                if self._counters and not continues(self._counters[-1], message):
                    self._counters.clear()
                self._counters.append(message)
            case CC_DISCOVER_LIST_CNF() if self._best() is CC_DISCOVER_LIST_REQ:
                return self._on_discovered(message)
            case VS_PL_LNK_STATUS_CNF() if self._best() is VS_PL_LNK_STATUS_REQ:
                nobody = bytes(MAC_BYTES)
                there = message.mstatus == 0 and message.link_status == 1
                return self._judge((StationLink(mac=nobody, modem=nobody),) if there else (), self._told)
        return None

    def _best(self) -> type[Message] | None:
        return next((kind for kind in _EVIDENCE if kind in self._answers), None)

    def _on_networks(self, networks: tuple[VsNetwork, ...]) -> StationsSeen | None:
        if not networks:
            return self._judge((), b"")
        network = next((one for one in networks if one.nid == self._nid), networks[0])
        stations = tuple(
            StationLink(
                mac=station.bridged_mac if station.bridged_mac == self._vehicle else station.mac,
                modem=station.mac,
                tx_mbps=float(station.avg_tx_mbps),
                rx_mbps=float(station.avg_rx_mbps),
            )
            for station in network.stations
            if station.mac != self._own_mac
        )
        return self._judge(stations, network.nid)

    def _on_discovered(self, found: CC_DISCOVER_LIST_CNF) -> StationsSeen | None:
        stations = []
        for one in found.stations:
            if one.same_network == 1 and one.mac != self._own_mac:
                tx_mbps, rx_mbps = self._rates.get(one.mac, (None, None))
                signal_db = _signal_db(one.signal_level)
                stations.append(
                    StationLink(mac=one.mac, modem=one.mac, tx_mbps=tx_mbps, rx_mbps=rx_mbps, signal_db=signal_db)
                )
        return self._judge(tuple(stations), self._told)

    def _judge(self, stations: tuple[StationLink, ...], told: bytes | None) -> StationsSeen | None:
        """``told``: NID of the modem's network; None: it does not say, and that the key is ours alone has to do."""
        if not self._nid:
            return None
        ours = told is None or told == self._nid
        # A modem that was without power comes back with a key of its own.
        self._foreign = self._foreign + 1 if told and not ours and self._confirmed else 0
        if self._foreign >= MISSES:
            self.lost_key = f"it is in network {(told or b'').hex()} instead of ours: it was restarted, without our key"
        self._confirmed = self._confirmed or told == self._nid
        if self._vehicle is None:
            return None
        vehicle, problem = self._vehicle_of(stations, self._vehicle) if ours else (None, _not_ours(told, self._nid))
        self._absent = 0 if vehicle is not None else self._absent + 1
        if self.present and 0 < self._absent < MISSES:
            return None
        self.present = vehicle is not None
        if vehicle is not None:
            loss = packet_loss(self._counters[0], self._counters[-1]) if self._counters else None
            vehicle = replace(vehicle, packet_loss=loss)
            self._modem = vehicle.modem
        named = tuple(vehicle if vehicle is not None and s.modem == vehicle.modem else s for s in stations)
        return StationsSeen(stations=named, nid=told or b"", vehicle=vehicle, problem=problem)

    def _vehicle_of(self, stations: tuple[StationLink, ...], vehicle: Mac) -> tuple[StationLink | None, str]:
        for station in stations:
            if vehicle in (station.mac, station.modem):
                return replace(station, mac=vehicle), ""
        if self._modem is not None:
            same = next((station for station in stations if station.modem == self._modem), None)
            if same is not None:
                return replace(same, mac=vehicle), ""
            others = ", ".join(mac_text(station.modem) for station in stations)
            return None, f"its modem has left our network, in which {others} is" if others else ""
        if len(stations) == 1:
            return replace(stations[0], mac=vehicle), ""
        if not stations:
            return None, ""
        names = ", ".join(mac_text(station.modem) for station in stations)
        return None, f"{len(stations)} modems are in our network ({names}), and none is known as the vehicle's"


def _signal_db(level: int) -> float | None:
    """1 is above -10 dB, 2 down to -15 dB, ... 15 below -75 dB; 0: not told."""
    return _LEAST_DB + _DB_STEP * max(0, min(level, _MOST_LEVEL) - 2) if level else None


def _not_ours(told: bytes | None, ours: bytes) -> str:
    where = f"in network {told.hex()}" if told else "in no network yet"
    return f"the own modem is {where}, not in ours ({ours.hex()})"
