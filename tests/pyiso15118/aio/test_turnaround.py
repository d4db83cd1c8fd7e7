"""How long a peer takes to ask again, and what the kernel knows of the connection; over real sockets."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace

import pytest

from pyiso15118 import events as ev
from pyiso15118.aio import SeccConnection, SeccServer, connect
from pyiso15118.aio.tcp_info import TcpState, parse_tcp_info, tcp_state
from pyiso15118.aio.turnaround import TurnaroundClock
from pyiso15118.commands import UpdateDcVehicle
from pyiso15118.evcc import EvccConfig
from support.stations import QUICK, Contexts, Station, drive


def received(name: str) -> ev.MessageReceived:
    return ev.MessageReceived(name=name, message=None, payload=b"")


def sent(name: str) -> ev.MessageSent:
    return ev.MessageSent(name=name, message=None, payload=b"")


def test_the_time_runs_from_the_written_response_to_the_first_request_after_it() -> None:
    told: list[tuple[float, str, str]] = []
    clock = TurnaroundClock()
    tell = lambda *turn: told.append(turn)  # noqa: E731
    clock.arrived(1.0)
    clock.look(received("AReq"), tell)
    assert told == [], "nothing was written before"
    clock.look(sent("ARes"), tell)
    clock.written(1.5)
    clock.arrived(2.0)
    clock.look(received("BReq"), tell)
    clock.look(received("CReq"), tell)
    assert told == [(0.5, "ARes", "BReq")]
    clock.look(sent("BRes"), None)
    clock.written(2.25)
    clock.arrived(2.125)
    clock.look(received("DReq"), tell)
    assert told[1] == (0.0, "BRes", "DReq"), "what came before the response was written waited for nothing"


def test_fields_of_the_kernel_are_read_from_their_places() -> None:
    words = [0] * 24
    words[4], words[6] = 2, 1
    words[9], words[11], words[12] = 480, 490, 120
    words[15], words[16], words[23] = 4200, 1100, 9
    content = struct.pack("=8B24I", 1, 0, 3, 0, 0, 0, 0, 0, *words)
    expected = TcpState(
        rtt_s=0.0042,
        rtt_variation_s=0.0011,
        unacked=2,
        retransmits=3,
        total_retransmits=9,
        lost=1,
        since_data_sent_s=0.48,
        since_data_received_s=0.49,
        since_ack_received_s=0.12,
    )
    assert parse_tcp_info(content) == expected
    assert parse_tcp_info(content + bytes(128)) == expected, "newer kernels tell more"
    assert parse_tcp_info(content[:-1]) is None


def test_a_live_socket_has_a_state_and_a_closed_or_another_one_has_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
        with theirs:
            ours.sendall(b"x")
            theirs.recv(1)
            state = tcp_state(theirs)
            assert state is not None
            assert state.since_data_received_s < 5.0
            assert state.total_retransmits == 0
        ours.close()
        assert tcp_state(ours) is None
    with socket.socket(socket.AF_UNIX) as unix:
        assert tcp_state(unix) is None
    assert tcp_state(None) is None


async def test_a_session_tells_its_turns_and_keeps_the_round_trip_of_its_end(
    station: Station, vehicle: UpdateDcVehicle, strict: Contexts
) -> None:
    turns: list[tuple[float, str, str]] = []
    states: list[TcpState | None] = []

    async def owner(connection: SeccConnection) -> None:
        connection.on_turnaround = lambda *turn: turns.append(turn)
        states.append(connection.round_trip())
        assert connection.handshake_s is not None
        assert 0.0 < connection.handshake_s < 5.0
        await station.serve(connection)
        states.append(connection.round_trip())

    async with SeccServer([station.endpoint(1, tls=strict.server)], owner) as server:
        config = EvccConfig(evccid="WMIV1234567890ABCDEX", timers=replace(QUICK, charge_loop_period_s=0.06))
        address = server.address("US*V2G*E1")
        await drive(await connect(address, config, tls=strict.client, vehicle=vehicle), 5)
    in_loop = [taken_s for taken_s, ours, _ in turns if ours == "DC_ChargeLoopRes"][:4]
    assert len(in_loop) == 4
    assert all(0.05 < taken_s < 0.5 for taken_s in in_loop)
    assert turns[0][1:] == ("supportedAppProtocolRes", "SessionSetupReq")
    before, after = states
    assert before is not None
    assert after is not None, "what it was at the end stays known after the stream is gone"
    assert after.total_retransmits == 0


@pytest.mark.parametrize("bytes_of", [b"", b"\0" * 103])
def test_less_than_the_oldest_kernel_tells_is_nothing(bytes_of: bytes) -> None:
    assert parse_tcp_info(bytes_of) is None
