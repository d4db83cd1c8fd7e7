"""What is fuzzed of SLAC: the decoder of frames, and both machines in a conversation that somebody meddles with."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

from fuzz.checks import Sampler, require
from fuzz.seeds import REFERENCE
from fuzz.slac_modem_target import MOST_TURNS, check_modem, modem_seeds
from pyiso15118.slac import events as slac
from pyiso15118.slac.addresses import BROADCAST, LOCAL_MODEM, Mac
from pyiso15118.slac.ev import EvMachine, EvSlacConfig
from pyiso15118.slac.evse import EvseMachine, EvseSlacConfig
from pyiso15118.slac.fields import SlacFrameError
from pyiso15118.slac.frame import Frame, decode_frame, encode_frame
from pyiso15118.slac.link_statistics import (
    VS_LNK_STATS_CNF,
    VS_LNK_STATS_REQ,
    ReceiveCounters,
    ReceiveInterval,
    TransmitCounters,
)
from pyiso15118.slac.machine import MOST_WAITING
from pyiso15118.slac.messages import (
    CM_AMP_MAP_REQ,
    CM_ATTEN_CHAR_IND,
    CM_ATTEN_CHAR_RSP,
    CM_ATTEN_PROFILE_IND,
    CM_MNBC_SOUND_IND,
    CM_SET_KEY_CNF,
    CM_SET_KEY_REQ,
    CM_SLAC_MATCH_CNF,
    CM_SLAC_MATCH_REQ,
    CM_SLAC_PARM_CNF,
    CM_SLAC_PARM_REQ,
    CM_START_ATTEN_CHAR_IND,
    CM_VALIDATE_CNF,
    CM_VALIDATE_REQ,
    Message,
    UnknownMessage,
)
from pyiso15118.slac.network_messages import CC_DISCOVER_LIST_CNF, CM_NW_INFO_CNF, DiscoveredStation, NetworkInfo
from pyiso15118.slac.vendor import VS_NW_INFO_CNF, VS_ST_IOTECHA_CP_STATE_IND, VS_SW_VER_CNF, VsNetwork, VsStation

EV, EVSE, MODEM = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2", b"\2\0\0\0\0\3"
RUN = bytes(range(8))
NOISE = b"\2\0\0\0\0\x66"
WAIT_S = (0.0, 0.001, 0.05, 0.25, 0.7, 5.0, 12.0, 51.0)
GROUPS = tuple(range(58))
TRANSMITTED = TransmitCounters(mpdus_acked=9, mpdus_collided=1, mpdus_failed=1, blocks_passed=9, blocks_failed=1)
INTERVAL = ReceiveInterval(phy_rate_mbps=9, blocks_passed=8, blocks_failed=1, bit_errors_passed=3, bit_errors_failed=4)
RECEIVED = ReceiveCounters(
    mpdus_acked=8, mpdus_failed=2, blocks_passed=8, blocks_failed=2, intervals=(INTERVAL, INTERVAL)
)
MOST_FRAMES = 64
RECORDED = REFERENCE.parent / "slac" / "frames.jsonl"
MOST_RUNS = 5


def seed_messages() -> list[Message]:
    """One of each kind, those of one matching in order first."""
    return [
        CM_SLAC_PARM_REQ(run_id=RUN),
        CM_SLAC_PARM_CNF(num_sounds=10, time_out_100ms=6, forwarding_sta=EV, run_id=RUN),
        CM_START_ATTEN_CHAR_IND(num_sounds=10, time_out_100ms=6, forwarding_sta=EV, run_id=RUN),
        CM_MNBC_SOUND_IND(cnt=9, run_id=RUN, rnd=bytes(16)),
        CM_ATTEN_PROFILE_IND(pev_mac=EV, aag=GROUPS),
        CM_ATTEN_CHAR_IND(source_address=EV, run_id=RUN, num_sounds=10, aag=(5,) * 58),
        CM_ATTEN_CHAR_RSP(source_address=EV, run_id=RUN),
        CM_VALIDATE_REQ(timer=2),
        CM_VALIDATE_CNF(result=1),
        CM_SLAC_MATCH_REQ(pev_mac=EV, evse_mac=EVSE, run_id=RUN),
        CM_SLAC_MATCH_CNF(pev_mac=EV, evse_mac=EVSE, run_id=RUN, nid=bytes(7), nmk=bytes(16)),
        CM_SET_KEY_REQ(nid=bytes(7), new_key=bytes(16)),
        CM_SET_KEY_CNF(result=1),
        CM_AMP_MAP_REQ(amap=(1, 2, 3)),
        CM_NW_INFO_CNF(networks=(NetworkInfo(nid=bytes(7), snid=1, tei=1, station_role=2, cco_mac=MODEM),)),
        CC_DISCOVER_LIST_CNF(stations=(DiscoveredStation(mac=MODEM, tei=2, same_network=1, snid=3),)),
        VS_SW_VER_CNF(version="MAC"),
        VS_LNK_STATS_REQ(peer=MODEM),
        VS_LNK_STATS_CNF(transmitted=TRANSMITTED, received=RECEIVED),
        VS_NW_INFO_CNF(
            networks=(
                VsNetwork(
                    nid=bytes(7),
                    snid=1,
                    tei=1,
                    station_role=2,
                    cco_mac=MODEM,
                    cco_tei=1,
                    stations=(VsStation(mac=MODEM, tei=2, bridged_mac=EV, avg_tx_mbps=9, avg_rx_mbps=9),),
                ),
            )
        ),
        VS_ST_IOTECHA_CP_STATE_IND(duty_pct=5, frequency_hz=1000, voltage_mv=9000, state=3),
        UnknownMessage(mmv=1, mmtype=0x6030, body=b"?"),
    ]


def frame_seeds() -> list[bytes]:
    """Ours, and of the recorded ones the first of each kind and length."""
    frames = [encode_frame(Frame(source=EV, destination=BROADCAST, message=message)) for message in seed_messages()]
    tagged = encode_frame(Frame(source=EV, destination=EVSE, message=seed_messages()[0], vlan=5))
    return [*frames, tagged, *recorded_frames()]


def recorded_frames() -> list[bytes]:
    """Empty where the recordings are not at hand."""
    found: dict[tuple[str, int], bytes] = {}
    for file in (RECORDED, RECORDED.with_name("frames_synthetic.jsonl")):
        for row in map(json.loads, file.read_text().splitlines() if file.exists() else ()):
            found.setdefault((row["name"], len(row["hex"])), bytes.fromhex(row["hex"]))
    return list(found.values())


def check_frame(sampler: Sampler, data: bytes) -> None:
    """Refused in words, or a frame that is written back to what reads the same."""
    if sampler.due():
        sampler.memory(lambda: decode_frame(data), len(data), (SlacFrameError,))
    try:
        frame = decode_frame(data)
    except SlacFrameError as error:
        sampler.counts["refused"] += 1
        require(bool(str(error)), "refused without a word")
        return
    sampler.counts["accepted"] += 1
    again = encode_frame(frame)
    require(decode_frame(again) == frame, f"{data.hex()} is another frame when sent again: {again.hex()}")


class Talk:
    """A vehicle, an EVSE and what the input does to each frame between them: four bytes a turn."""

    def __init__(self, seed: int) -> None:
        random = Random(seed)
        self.evse = EvseMachine(EvseSlacConfig(evse_mac=EVSE, validate=bool(seed & 1)), random=random.randbytes)
        self.ev = EvMachine(EvSlacConfig(ev_mac=EV, use_validation=bool(seed & 2)), random=random.randbytes)
        self.now = 0.0
        self.links = 0
        self.given: set[bytes] = set()
        self.evse.start(0.0)
        self.evse.key_set(0.0)
        self.evse.plugged(True, 0.0)
        self.ev.start(0.0)

    def run(self, data: bytes) -> None:
        for at in range(0, min(len(data), 4 * MOST_FRAMES), 4):
            self.turn(*data[at : at + 4].ljust(4, b"\0"))

    def turn(self, what: int, wait: int, place: int, bit: int) -> None:
        self.now += WAIT_S[wait % len(WAIT_S)]
        for machine in (self.evse, self.ev):
            due = machine.next_deadline()
            if due is not None and due <= self.now:
                machine.handle_timer(self.now)
        frames = self.evse.frames_to_send() + self.ev.frames_to_send()
        require(len(frames) <= 2 * MOST_WAITING, "frames without end")
        for frame in frames:
            self.pass_on(frame, what, place, bit)
        match what % 16:
            case 9:
                self.evse.plugged((True, False, None)[place % 3], self.now)
            case 10:
                self.evse.link(bool(bit & 1), self.now)
                self.ev.link(bool(bit & 2), self.now)
            case 11:
                self.evse.modem_lost("fuzzed", self.now)
                self.evse.start(self.now)
            case 12:
                self.evse.key_failed("fuzzed", self.now)
                self.ev.key_failed("fuzzed", self.now)
            case 13:
                self.evse.toggles(place, self.now)
                self.ev.toggled(bit, self.now)
            case 14:
                self.ev.unplugged(self.now)
                self.ev.start(self.now)
            case 15:
                self.strange(place, bit)
        self.read_events()
        require(len(self.evse.matchings) <= MOST_RUNS, "more vehicles match than may")
        for machine in (self.evse, self.ev):
            machine.handle_timer(self.now)
            due = machine.next_deadline()
            require(due is None or due > self.now - 1e-9, f"a deadline in the past: {due} at {self.now}")

    def pass_on(self, frame: bytes, what: int, place: int, bit: int) -> None:
        kind = what % 16
        if kind == 1:
            return
        if kind == 2:
            position = place % len(frame)
            frame = frame[:position] + bytes((frame[position] ^ (1 << bit % 8),)) + frame[position + 1 :]
        elif kind == 3:
            frame = frame[: place % (len(frame) + 1)]
        for _ in range(2 if kind == 4 else 1):
            self.evse.receive_frame(frame, self.now)
            self.ev.receive_frame(frame, self.now)
        try:
            read = decode_frame(frame)
        except SlacFrameError:
            return
        if isinstance(read.message, CM_MNBC_SOUND_IND) and kind != 5:
            self.profile(read.source, place)

    def profile(self, pev_mac: Mac, level: int) -> None:
        message = CM_ATTEN_PROFILE_IND(pev_mac=pev_mac, aag=(level % 25,) * 58)
        self.evse.receive_frame(encode_frame(Frame(source=MODEM, destination=EVSE, message=message)), self.now)

    def strange(self, place: int, bit: int) -> None:
        """Somebody else's frame, or one in the vehicle's name."""
        messages = seed_messages()
        source = (EV, NOISE, EVSE, bytes((2, 0, 0, 0, 1, bit)))[bit % 4]
        message = messages[place % len(messages)]
        frame = encode_frame(Frame(source=source, destination=(BROADCAST, EVSE, LOCAL_MODEM)[bit % 3], message=message))
        self.evse.receive_frame(frame, self.now)
        self.ev.receive_frame(frame, self.now)

    def read_events(self) -> None:
        count = 0
        while (event := self.evse.next_event()) is not None:
            count += 1
            if isinstance(event, slac.SetKey):
                require(event.nmk not in self.given, "a key that was used before")
                self.given.add(event.nmk)
                self.evse.key_set(self.now)
            self.links += isinstance(event, slac.LinkUp)
        while (event := self.ev.next_event()) is not None:
            count += 1
            if isinstance(event, slac.SetKey):
                self.ev.key_set(self.now)
        require(count <= 4 * MOST_WAITING, "events without end")


def check_talk(sampler: Sampler, data: bytes) -> None:
    """Neither machine raises, keeps a deadline that has passed, or lets more than one vehicle have a key."""
    if sampler.due():
        sampler.memory(lambda: Talk(data[0] if data else 0).run(data[1:]), 16_384, ())
    talk = Talk(data[0] if data else 0)
    talk.run(data[1:])
    sampler.counts["accepted" if talk.links else "refused"] += 1


def talk_seeds() -> list[bytes]:
    """Whole matchings, with one trouble each."""
    quiet = bytes((0, 2, 8, 0)) * 20
    seeds = []
    for setting in range(4):
        for trouble in range(16):
            for place in (3, 9, 14):
                script = bytearray(quiet + bytes((13, 4, 3, 3)) + bytes((0, 3, 8, 0)) * 6 + bytes((10, 0, 0, 3)))
                script[4 * place : 4 * place + 4] = bytes((trouble, 3, place, 1))
                seeds.append(bytes((setting,)) + bytes(script))
    return seeds


CHECKS: dict[str, tuple[Callable[[Sampler, bytes], None], Callable[[], list[bytes]], int]] = {
    "slac-frame": (check_frame, frame_seeds, 1600),
    "slac-modem": (check_modem, modem_seeds, 1 + 4 * MOST_TURNS),
    "slac-talk": (check_talk, talk_seeds, 1 + 4 * MOST_FRAMES),
}
