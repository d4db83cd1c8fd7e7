"""What a real kernel knows at a vehicle's silence: its computer hangs, or the link to it is gone (in namespaces)."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from pyiso15118.aio.tcp_info import TcpState, tcp_state
from v2g.sessions.turnaround import Cause, judge

pytestmark = pytest.mark.interop
TURNS = 20
STATION = "fd15:118::1"
TIMEOUT_S = 0.5
NAMES = f"v2gs{os.getpid()}", f"v2gv{os.getpid()}", f"v2gn{os.getpid()}"
"""Interfaces of station and vehicle, and the vehicle's namespace."""
VEHICLE = """
import socket, sys, time
vehicle = socket.create_connection((sys.argv[1], int(sys.argv[2])))
for _ in range(int(sys.argv[3])):
    vehicle.sendall(b"request")
    vehicle.recv(100)
    time.sleep(0.02)
time.sleep(60.0)
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def link() -> Iterator[socket.socket]:
    """A connection whose vehicle has just asked for the last time."""
    if os.getuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and ip: a network namespace")
    ours, theirs, space = NAMES
    try:
        ip("netns", "add", space)
        ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", space)
        ip("addr", "add", f"{STATION}/64", "dev", ours, "nodad")
        ip("link", "set", ours, "up")
        ip("-n", space, "addr", "add", "fd15:118::2/64", "dev", theirs, "nodad")
        ip("-n", space, "link", "set", theirs, "up")
    except subprocess.CalledProcessError as error:
        subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)
        pytest.skip(f"no network namespace can be made here: {error.stderr.decode().strip()}")
    vehicle: subprocess.Popen[bytes] | None = None
    try:
        with socket.create_server((STATION, 0), family=socket.AF_INET6) as listener:
            listener.settimeout(20.0)
            words = [sys.executable, "-c", VEHICLE, STATION, str(listener.getsockname()[1]), str(TURNS)]
            vehicle = subprocess.Popen(["ip", "netns", "exec", space, *words])
            station, _ = listener.accept()
        with station:
            station.settimeout(10.0)
            for _ in range(TURNS - 1):
                assert station.recv(100)
                station.sendall(b"response")
            assert station.recv(100)
            yield station
    finally:
        if vehicle is not None:
            vehicle.kill()
            vehicle.wait()
        # The namespace goes when its last process does; the link at once.
        ip("link", "del", ours)
        ip("netns", "del", space)


def at_the_timeout(station: socket.socket) -> TcpState:
    station.sendall(b"response")
    time.sleep(TIMEOUT_S)
    state = tcp_state(station)
    assert state is not None
    return state


def test_a_computer_that_hangs_has_acknowledged(link: socket.socket) -> None:
    state = at_the_timeout(link)
    assert (state.unacked, state.retransmits) == (0, 0)
    assert state.since_ack_received_s < TIMEOUT_S + 0.1
    assert judge(state, None, TURNS).cause is Cause.VEHICLE


def test_a_link_that_is_gone_leaves_our_response_unacknowledged(
    link: socket.socket,
) -> None:
    ip("-n", NAMES[2], "link", "set", NAMES[1], "down")
    state = at_the_timeout(link)
    assert state.unacked == 1
    verdict = judge(state, None, TURNS)
    assert verdict.cause is Cause.CONNECTION
    assert "our last response was not acknowledged" in verdict.hint
