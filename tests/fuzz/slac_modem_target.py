"""What is fuzzed of the machine of the own modem: a modem whose answers somebody meddles with."""

from __future__ import annotations

from fuzz.checks import Sampler, require
from pyiso15118.errors import RemoteProtocolError
from pyiso15118.slac.addresses import Mac
from pyiso15118.slac.frame import Frame, decode_frame, encode_frame
from pyiso15118.slac.link_statistics import VS_LNK_STATS_CNF, VS_LNK_STATS_REQ, ReceiveCounters, TransmitCounters
from pyiso15118.slac.machine import MOST_WAITING
from pyiso15118.slac.messages import CM_SET_KEY_CNF, CM_SET_KEY_REQ, Message, UnknownMessage
from pyiso15118.slac.modem import KeyInstalled, ModemConfig, ModemFound, ModemLost, ModemMachine, StationsSeen
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

HOST, MODEM = b"\2\0\0\0\0\2", b"\2\0\0\0\1\2"
VEHICLE, VEHICLES_MODEM = b"\2\0\0\0\0\1", b"\2\0\0\0\1\1"
STRANGER = b"\2\0\0\0\0\x66"
WAIT_S = (0.0, 0.01, 0.1, 0.31, 0.6, 1.1, 9.0, 31.0)
MOST_TURNS = 64
DEAF: tuple[frozenset[type[Message]], ...] = (
    frozenset(),
    frozenset({VS_NW_INFO_REQ}),
    frozenset({VS_NW_INFO_REQ, CC_DISCOVER_LIST_REQ, VS_SW_VER_REQ}),
    frozenset({VS_NW_INFO_REQ, VS_SW_VER_REQ, VS_RS_DEV_REQ, VS_PL_LNK_STATUS_REQ, VS_LNK_STATS_REQ}),
)
MOST_REASONS = 8
INVENTED: tuple[Message, ...] = (
    CM_SET_KEY_CNF(result=1),
    CM_SET_KEY_CNF(result=0x0A),
    VS_SW_VER_CNF(version="\0"),
    VS_SW_VER_CNF(version="x" * 255),
    VS_RS_DEV_CNF(mstatus=0),
    VS_RS_DEV_CNF(mstatus=1),
    VS_NW_INFO_CNF(),
    CM_NW_INFO_CNF(),
    CC_DISCOVER_LIST_CNF(stations=tuple(DiscoveredStation(mac=MODEM, tei=n, same_network=1, snid=1) for n in range(9))),
    VS_PL_LNK_STATUS_CNF(link_status=1),
    UnknownMessage(mmv=1, mmtype=0x6021, body=b"?"),
)


class Modem:
    """Answers as one of Qualcomm's or ST's does, as far as it is not ``deaf``."""

    def __init__(self, deaf: frozenset[type[Message]]) -> None:
        self.deaf = deaf
        self.nid = b""
        self.joined = False
        self.sent = 0

    def answer(self, question: Message) -> Message | None:
        if type(question) in self.deaf:
            return None
        self.sent += 7
        match question:
            case CM_SET_KEY_REQ():
                self.nid = question.nid
                return CM_SET_KEY_CNF(result=1)
            case VS_SW_VER_REQ():
                return VS_SW_VER_CNF(version="MAC")
            case VS_RS_DEV_REQ():
                return VS_RS_DEV_CNF()
            case VS_PL_LNK_STATUS_REQ():
                return VS_PL_LNK_STATUS_CNF(link_status=int(self.joined))
            case VS_NW_INFO_REQ():
                return VS_NW_INFO_CNF(networks=self.networks())
            case CM_NW_INFO_REQ():
                network = NetworkInfo(nid=self.nid or bytes(7), snid=1, tei=1, station_role=2, cco_mac=MODEM)
                return CM_NW_INFO_CNF(networks=(network,) if self.nid else ())
            case CM_NW_STATS_REQ():
                rates = StationStats(mac=VEHICLES_MODEM, avg_tx_mbps=9, avg_rx_mbps=9)
                return CM_NW_STATS_CNF(stations=(rates,) if self.joined else ())
            case CC_DISCOVER_LIST_REQ():
                station = DiscoveredStation(mac=VEHICLES_MODEM, tei=2, same_network=1, snid=1, signal_level=3)
                return CC_DISCOVER_LIST_CNF(stations=(station,) if self.joined else ())
            case VS_LNK_STATS_REQ():
                return self.counters()
        return None

    def networks(self) -> tuple[VsNetwork, ...]:
        if not self.nid:
            return ()
        station = VsStation(mac=VEHICLES_MODEM, tei=2, bridged_mac=VEHICLE, avg_tx_mbps=9, avg_rx_mbps=9)
        stations = (station,) if self.joined else ()
        return (VsNetwork(nid=self.nid, snid=1, tei=1, station_role=2, cco_mac=MODEM, cco_tei=1, stations=stations),)

    def counters(self) -> VS_LNK_STATS_CNF:
        return VS_LNK_STATS_CNF(
            tei=2,
            transmitted=TransmitCounters(
                mpdus_acked=self.sent, mpdus_collided=0, mpdus_failed=1, blocks_passed=self.sent, blocks_failed=1
            ),
            received=ReceiveCounters(mpdus_acked=self.sent, mpdus_failed=0, blocks_passed=self.sent, blocks_failed=0),
        )


class Watch:
    """One modem, its host's machine, and four bytes a turn that say what goes wrong."""

    def __init__(self, setting: int) -> None:
        self.machine = ModemMachine(ModemConfig(host_mac=HOST, reset=bool(setting & 1)))
        self.modem = Modem(DEAF[setting // 2 % len(DEAF)])
        self.now = 0.0
        self.sets = 0
        self.told_lost = False
        self.watched: Mac | None = None
        self.seen = 0
        self.machine.start(0.0)

    def run(self, data: bytes) -> None:
        for at in range(0, min(len(data), 4 * MOST_TURNS), 4):
            self.turn(*data[at : at + 4].ljust(4, b"\0"))

    def turn(self, what: int, wait: int, place: int, bit: int) -> None:
        self.now += WAIT_S[wait % len(WAIT_S)]
        self.pass_time()
        frames = self.machine.frames_to_send()
        require(len(frames) <= MOST_WAITING, "frames without end")
        for frame in frames:
            self.answer(frame, what, place, bit)
        self.read_events()
        match what % 16:
            case 6:
                self.set_key()
            case 7:
                self.watched = VEHICLE if bit & 1 else None
                self.machine.watch(self.watched, self.now)
            case 8:
                self.modem.joined = bool(bit & 1)
            case 9:
                self.modem.nid = bytes((bit,)) * 7
            case 10:
                self.machine.start(self.now)
                self.told_lost = False
            case 11:
                self.receive(INVENTED[place % len(INVENTED)], (MODEM, STRANGER)[bit % 2])
            case 12:
                self.machine.receive_frame(bytes((bit,)) * place, self.now)
        self.pass_time()
        self.read_events()
        require(len(self.machine.ignored) <= MOST_REASONS, f"reasons without end: {self.machine.ignored}")

    def pass_time(self) -> None:
        self.machine.handle_timer(self.now)
        due = self.machine.next_deadline()
        require(due is None or due > self.now - 1e-9, f"a deadline in the past: {due} at {self.now}")

    def set_key(self) -> None:
        self.sets += 1
        self.machine.set_key(bytes((self.sets % 64,)) * 7, bytes((self.sets % 64,)) * 16, self.now)

    def answer(self, frame: bytes, what: int, place: int, bit: int) -> None:
        question = decode_frame(frame).message
        found = self.modem.answer(question)
        if found is None or what % 16 == 1:
            return
        data = encode_frame(Frame(source=MODEM, destination=HOST, message=found))
        if what % 16 == 2:
            at = place % len(data)
            data = data[:at] + bytes((data[at] ^ (1 << bit % 8),)) + data[at + 1 :]
        elif what % 16 == 3:
            data = data[: place % (len(data) + 1)]
        for _ in range(2 if what % 16 == 4 else 1):
            self.machine.receive_frame(data, self.now)

    def receive(self, message: Message, source: Mac) -> None:
        self.machine.receive_frame(encode_frame(Frame(source=source, destination=HOST, message=message)), self.now)

    def read_events(self) -> None:
        count = 0
        while (event := self.machine.next_event()) is not None:
            count += 1
            match event:
                case ModemFound():
                    self.told_lost = False
                case ModemLost():
                    require(not self.told_lost, "lost twice without being found")
                    self.told_lost = True
                    self.set_key()
                case KeyInstalled():
                    require(self.sets > 0 and event.nid == bytes((self.sets % 64,)) * 7, "another key than was set")
                case StationsSeen():
                    require(self.watched is not None or event.vehicle is None, "a vehicle that nobody watches")
                    self.seen += event.vehicle is not None
        require(count <= MOST_WAITING, "events without end")


def check_modem(sampler: Sampler, data: bytes) -> None:
    """It raises nothing, keeps no deadline that has passed, tells a loss once, and finds whom it watches only."""
    try:
        if sampler.due():
            sampler.memory(lambda: Watch(data[0] if data else 0).run(data[1:]), 16_384, ())
        watch = Watch(data[0] if data else 0)
        watch.run(data[1:])
    except RemoteProtocolError as error:
        require(False, f"it sends what cannot be read: {error}")
        return
    sampler.counts["accepted" if watch.seen else "refused"] += 1


def modem_seeds() -> list[bytes]:
    """A modem found, keyed and joined by the vehicle, with one trouble each."""
    begin = bytes((0, 5, 0, 0, 6, 2, 0, 0, 7, 2, 0, 1, 8, 3, 0, 1))
    seeds = []
    for setting in range(8):
        for trouble in range(13):
            script = (
                begin + bytes((0, 3, 0, 0)) * 4 + bytes((trouble, 3, 19 + trouble, 1)) * 3 + bytes((0, 3, 0, 0)) * 4
            )
            seeds.append(bytes((setting,)) + script)
    return seeds
