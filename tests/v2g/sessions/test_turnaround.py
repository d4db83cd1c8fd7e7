"""The 500 ms rule: what is counted, what is told and how often, and what a silence is put down to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from pyiso15118.aio.tcp_info import TcpState
from v2g.sessions.turnaround import (
    LOOP,
    OTHER,
    SETUP,
    CableState,
    Cause,
    SessionTiming,
    StationTiming,
    judge,
)

E1 = "US*V2G*E1"
FINE = TcpState(
    rtt_s=0.004,
    rtt_variation_s=0.001,
    unacked=0,
    retransmits=0,
    total_retransmits=0,
    lost=0,
    since_data_sent_s=0.5,
    since_data_received_s=0.0,
    since_ack_received_s=0.49,
)


def tcp(**changes: Any) -> TcpState:
    fields = {name: getattr(FINE, name) for name in TcpState.__slots__}
    return TcpState(**{**fields, **changes})


class Connection:
    handshake_s: float | None = 0.03

    def __init__(self) -> None:
        self.on_turnaround: Callable[[float, str, str], None] | None = None
        self.state: TcpState | None = FINE
        self.asked = 0

    def round_trip(self) -> TcpState | None:
        self.asked += 1
        return self.state


class Rig:
    def __init__(self) -> None:
        self.now_s = 100.0
        self.connection = Connection()
        self.station = StationTiming()
        self.told: list[tuple[str, str, Mapping[str, object]]] = []
        self.timing = SessionTiming(
            E1, self.connection, self.station, lambda: self.now_s, lambda *line: self.told.append(line)
        )

    def turn(self, seconds: float, ours: str = "DC_ChargeLoopRes", theirs: str = "DC_ChargeLoopReq") -> None:
        self.now_s += seconds
        assert self.connection.on_turnaround is not None
        self.connection.on_turnaround(seconds, ours, theirs)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_turns_are_counted_by_service_and_stage(rig: Rig) -> None:
    rig.turn(0.004, "SessionSetupRes", "AuthorizationSetupReq")
    rig.timing.service = "DC_BPT"
    rig.turn(3.0, "PowerDeliveryRes", "DC_ChargeLoopReq")
    rig.turn(0.2)
    rig.turn(0.2, "DC_ChargeLoopRes", "PowerDeliveryReq")
    counts = {key: seen.count for key, seen in rig.station.turnaround.items()}
    assert counts == {(SETUP, OTHER): 1, ("DC_BPT", OTHER): 1, ("DC_BPT", LOOP): 2}
    assert rig.timing.loop.count == 2
    assert rig.station.handshake.count == 1
    assert rig.told == [], "the first loop request may take seconds"


def test_the_first_slow_turn_is_told_at_once_and_then_a_count_each_minute(rig: Rig) -> None:
    rig.turn(0.25)
    assert rig.told == []
    rig.turn(0.3)
    (code, text, fields), *_ = rig.told
    assert code == "TURNAROUND_SLOW"
    assert "asked 0.300 s after our response, more than 0.25 s" in text
    assert fields == {"slowest_s": 0.3, "slow": 1, "rtt_ms": 4.0, "retransmits": 0}
    for _ in range(150):
        rig.turn(0.2)
        rig.turn(0.3)
    assert len(rig.told) == 2, "75 s later, and once a minute"
    assert "120 of 240 times in the last 60 s, at most 0.300 s" in rig.told[1][1]
    assert rig.timing.slow == rig.station.slow[E1] == 151


def test_a_slow_minute_is_told_although_no_slow_turn_follows(rig: Rig) -> None:
    rig.turn(0.3)
    rig.turn(0.4)
    for _ in range(400):
        rig.turn(0.2)
    assert [fields["slow"] for _, _, fields in rig.told] == [1, 1]
    assert rig.told[1][2]["slowest_s"] == 0.4


def test_a_request_that_lay_in_the_kernel_is_told_to_have_waited_for_this_controller(rig: Rig) -> None:
    rig.connection.state = tcp(since_data_received_s=0.18)
    rig.turn(0.32)
    assert "up to 0.180 s of that the request waited for this controller, which was busy" in rig.told[0][1]


def test_the_kernel_is_asked_once_a_second_and_not_with_each_turn(rig: Rig) -> None:
    for _ in range(50):
        rig.turn(0.2)
    assert 9 <= rig.station.rtt.count <= 11
    assert rig.connection.asked == rig.station.rtt.count


def test_a_session_that_is_over_keeps_what_the_kernel_knew_last(rig: Rig) -> None:
    rig.connection.state = tcp(total_retransmits=7)
    rig.timing.close()
    assert rig.connection.on_turnaround is None
    rig.connection.state = None
    last = rig.timing.round_trip()
    assert last is not None
    assert last.total_retransmits == 7


def test_a_connection_that_tells_no_times_is_borne() -> None:
    timing = SessionTiming(E1, None, StationTiming(), lambda: 0.0, lambda *_: None)
    timing.close()
    verdict = timing.timeout(None)
    assert verdict.cause is Cause.UNKNOWN
    assert "charging cable" in verdict.hint


BAD = CableState(attenuation_db=31.0)
GOOD = CableState(attenuation_db=8.5, packet_loss=0.001)


@pytest.mark.parametrize(
    ("state", "cable", "cause", "words"),
    [
        (FINE, None, Cause.VEHICLE, "the vehicle's computer was too slow"),
        (FINE, GOOD, Cause.VEHICLE, "attenuation 8.5 dB, within 20 dB"),
        (FINE, BAD, Cause.CABLE, "attenuation 31.0 dB, above 20 dB"),
        (FINE, CableState(packet_loss=0.2), Cause.CABLE, "attenuation not measured"),
        (tcp(rtt_s=0.18), GOOD, Cause.CABLE, "round trip 180.0 ms"),
        (tcp(total_retransmits=12), None, Cause.CABLE, "12 segments sent again in 500 turns"),
        (tcp(total_retransmits=2), None, Cause.VEHICLE, "acknowledged our response"),
        (tcp(unacked=1, retransmits=2, total_retransmits=2), None, Cause.CONNECTION, "although it was sent 3 times"),
        (tcp(unacked=1), BAD, Cause.CONNECTION, "the connection is dead"),
        (FINE, CableState(down="waiting for the vehicle"), Cause.CONNECTION, "link is down (waiting for the vehicle)"),
        (None, GOOD, Cause.UNKNOWN, "nothing is known of the connection"),
    ],
)
def test_vehicle_cable_and_connection_are_told_apart(
    state: TcpState | None, cable: CableState | None, cause: Cause, words: str
) -> None:
    verdict = judge(state, cable, 500)
    assert verdict.cause is cause
    assert verdict.fields["cause"] == cause.value
    assert words in verdict.hint
    assert "cable" in verdict.hint
    assert "attenuation" in verdict.hint


def test_the_loops_timeout_is_named_where_the_loop_timed_out(rig: Rig) -> None:
    rig.turn(0.01, "SessionSetupRes", "AuthorizationSetupReq")
    assert "charge_loop_timeout_s" not in rig.timing.timeout(None).hint
    rig.turn(0.2)
    assert "raise secc.charge_loop_timeout_s" in rig.timing.timeout(None).hint


def test_the_figures_stand_in_the_fields() -> None:
    fields = judge(tcp(rtt_s=0.0123, total_retransmits=4), GOOD, 10).fields
    assert fields == {
        "cause": "cable",
        "rtt_ms": 12.3,
        "rtt_var_ms": 1.0,
        "unacked": 0,
        "retransmits": 4,
        "attenuation_db": 8.5,
        "packet_loss_pct": 0.1,
    }
    assert msgspec.json.encode(fields)
