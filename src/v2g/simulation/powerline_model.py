"""A powerline as a medium: who hears whom, how well, and what gets through. Pure: time and chance come as arguments.

Management frames (0x88E1) pass between all stations in reach, whatever their network, as SLAC needs it; every other
frame only within a network, which two modems form some tenths of a second after they have the same key.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from pyiso15118.errors import RemoteProtocolError
from pyiso15118.slac.addresses import MAC_BYTES, Mac
from pyiso15118.slac.attenuation import GROUPS
from pyiso15118.slac.frame import Frame, decode_frame, encode_frame, is_homeplug
from pyiso15118.slac.messages import CM_MNBC_SOUND_IND, Message
from v2g.simulation.powerline_modem import LinkCounters, Modem, Neighbour

REACH_DB = 70.0
"""Further away nothing is heard."""
NETWORK_DB = 50.0
"""Further away two modems hold no network."""
_CHATTER_PER_S = 30.0
"""What two modems of one network send to each other by themselves."""
_MOST_CHATTER = 300
_MOST_WAITING = 4096
_NOISE_DB = 0.8
_RIPPLE_DB = 2.5
_SLOPE_DB = 3.0
_BEST_MBPS = 10.0
"""PHY rate of Green PHY's most robust mode at its best."""


def _shape_db() -> tuple[float, ...]:
    shape = [
        _SLOPE_DB * (2.0 * group / (GROUPS - 1) - 1.0) + _RIPPLE_DB * math.sin(group / 3.1) for group in range(GROUPS)
    ]
    mean = sum(shape) / GROUPS
    return tuple(value - mean for value in shape)


_SHAPE_DB = _shape_db()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A frame that comes out at the port of ``station``'s host."""

    station: str
    data: bytes


def levels_db(average_db: float) -> tuple[float, ...]:
    """An attenuation by carrier group with this average: rising with frequency, rippled as by reflections.

    Little attenuation varies little, so that no group amplifies.
    """
    share = min(1.0, average_db / -min(_SHAPE_DB))
    return tuple(average_db + share * value for value in _SHAPE_DB)


class Powerline:
    """All stations of one segment. ``random`` decides loss, noise and nonces.

    ``default_db`` between two stations without a figure of their own: crosstalk.
    """

    def __init__(self, random: Random, *, default_db: float = 100.0, loss: float = 0.0, delay_s: float = 0.001) -> None:
        self.stations: dict[str, Modem] = {}
        self.default_db = default_db
        self.loss = loss
        self.delay_s = delay_s
        self.dropped = 0
        self._random = random
        self._between: dict[frozenset[str], float] = {}
        self._waiting: list[tuple[float, int, Delivery]] = []
        self._numbers = itertools.count()

    def add(self, modem: Modem) -> None:
        """ValueError for a name that is taken."""
        if modem.name in self.stations:
            raise ValueError(f"station {modem.name!r} is there already")
        self.stations[modem.name] = modem

    def set_attenuation(self, one: str, other: str, average_db: float) -> None:
        """Both ways. KeyError for a station that is not there, ValueError for less than 0 dB."""
        if not average_db >= 0.0:
            raise ValueError(f"attenuation {average_db:g} dB must be 0 or more")
        self._between[frozenset((self.stations[one].name, self.stations[other].name))] = average_db

    def attenuation_db(self, one: str, other: str) -> float:
        return self._between.get(frozenset((one, other)), self.default_db)

    def from_host(self, name: str, data: bytes, now: float) -> None:
        """A frame that the host of station ``name`` sent. What is no frame is dropped, as a modem would."""
        sender = self.stations[name]
        if sender.is_mute(now) or len(data) < 2 * MAC_BYTES + 2:
            self.dropped += 1
            return
        frame = _managed(data)
        if frame is not None and sender.concerns(frame):
            self._refresh(sender, now)
            answer = sender.answer(frame.message, now, self._random.getrandbits(32))
            if answer is not None:
                self._tell_host(sender, answer, frame.source, now)
            return
        if not sender.plugged:
            self.dropped += 1
            return
        for other in self._hearing(sender, now):
            if frame is None and not is_homeplug(data):
                if self._joined(sender, other, now):
                    self._deliver(other, data, now)
            elif data[0] & 1 or data[:MAC_BYTES] == other.host_mac:
                heard = self._deliver(other, data, now)
                if heard and frame is not None and isinstance(frame.message, CM_MNBC_SOUND_IND):
                    self._measure(sender, other, frame, now)

    def next_due(self) -> float | None:
        return self._waiting[0][0] if self._waiting else None

    def take(self, now: float) -> list[Delivery]:
        """What comes out by ``now``, in order."""
        out = []
        while self._waiting and self._waiting[0][0] <= now:
            out.append(heapq.heappop(self._waiting)[2])
        return out

    def network_of(self, name: str, now: float) -> tuple[str, ...]:
        """Stations in one network with ``name``."""
        modem = self.stations[name]
        self._refresh(modem, now)
        return tuple(neighbour.modem.name for neighbour in modem.neighbours)

    def _hearing(self, sender: Modem, now: float) -> Iterable[Modem]:
        for other in self.stations.values():
            if other is sender or not other.plugged or other.is_mute(now):
                continue
            if self.attenuation_db(sender.name, other.name) <= REACH_DB:
                yield other

    def _joined(self, one: Modem, other: Modem, now: float) -> bool:
        within = self.attenuation_db(one.name, other.name) <= NETWORK_DB
        return within and one.plugged and other.plugged and one.shares_network(other, now)

    def _refresh(self, modem: Modem, now: float) -> None:
        modem.neighbours = [
            self._neighbour(modem, other)
            for other in self.stations.values()
            if other is not modem and not other.is_mute(now) and self._joined(modem, other, now)
        ]
        for neighbour in modem.neighbours:
            counters = modem.counters.setdefault(neighbour.modem.modem_mac, LinkCounters(counted_at=now))
            sent = min(_MOST_CHATTER, int((now - counters.counted_at) * _CHATTER_PER_S))
            if sent:
                failed = sum(self._random.random() < self.loss for _ in range(sent))
                counters.came, counters.failed = counters.came + sent - failed, counters.failed + failed
                counters.counted_at = now

    def _neighbour(self, one: Modem, other: Modem) -> Neighbour:
        level_db = self.attenuation_db(one.name, other.name)
        return Neighbour(
            modem=other, rate_mbps=max(1.0, _BEST_MBPS * (1.0 - level_db / REACH_DB)), attenuation_db=level_db
        )

    def _measure(self, sender: Modem, listener: Modem, frame: Frame, now: float) -> None:
        levels = levels_db(self.attenuation_db(sender.name, listener.name))
        for message in listener.measured(frame.source, levels, lambda: self._random.gauss(0.0, _NOISE_DB)):
            self._tell_host(listener, message, listener.host_mac, now + 0.002)

    def _tell_host(self, modem: Modem, message: Message, host: Mac, now: float) -> None:
        data = encode_frame(Frame(source=modem.modem_mac, destination=host, message=message))
        self._put(now + self.delay_s, Delivery(station=modem.name, data=data))

    def _deliver(self, to: Modem, data: bytes, now: float) -> bool:
        """False: it is lost on the way."""
        if self.loss and self._random.random() < self.loss:
            self.dropped += 1
            return False
        return self._put(now + self.delay_s, Delivery(station=to.name, data=data))

    def _put(self, at: float, delivery: Delivery) -> bool:
        if len(self._waiting) >= _MOST_WAITING:
            self.dropped += 1
            return False
        heapq.heappush(self._waiting, (at, next(self._numbers), delivery))
        return True


def _managed(data: bytes) -> Frame | None:
    if not is_homeplug(data):
        return None
    try:
        return decode_frame(data)
    except RemoteProtocolError:
        return None
