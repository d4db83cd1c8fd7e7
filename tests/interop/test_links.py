"""Who is answered on which link: a station between two links in network namespaces, and what is not a vehicle there."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyiso15118 import sdp
from pyiso15118.aio import discovery

pytestmark = pytest.mark.interop
TESTS = Path(__file__).parents[1]
FORGED = "fe80::ff:fe00:ca"
"""What the car's MAC address would make of itself (RFC 4291)."""

ASK = """
import socket, sys
interface, source, target, count = sys.argv[1:5]
index = socket.if_nametoindex(interface)
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    sock.bind((source, 0, 0, index if source.startswith("fe80") else 0))
    for _ in range(int(count)):
        sock.sendto(bytes.fromhex(sys.argv[5]), (target, 15118, 0, index))
    sock.settimeout(0.5)
    answers = 0
    try:
        while sock.recvfrom(100):
            answers += 1
    except (TimeoutError, ConnectionRefusedError):
        pass
print(answers)
"""
CONNECT = """
import socket, sys, time
interface, source, target, port = sys.argv[1:5]
index = socket.if_nametoindex(interface)
sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
sock.bind((source, 0, 0, index))
sock.connect((target, int(port), 0, index))
sock.settimeout(float(sys.argv[5]))
print("connected", flush=True)
try:
    print("closed" if not sock.recv(1) else "data")
except TimeoutError:
    print("open")
except ConnectionResetError:
    print("closed")
"""


class Link:
    """The station's namespace with two links, and on each a namespace with one host."""

    CAR, CAR_MAC, STATION, GLOBAL = "fe80::ca", "02:00:00:00:00:ca", "fe80::5ecc", "fd00:15::ca"

    def __init__(self) -> None:
        tag = os.getpid() % 100_000
        self.station, self.car, self.other = (f"v2g{kind}{tag}" for kind in ("st", "car", "oth"))
        for name in (self.station, self.car, self.other):
            self.ip("netns", "add", name)
            for key in ("accept_dad", "disable_ipv6"):
                for scope in ("default", "all"):
                    self.run(name, "sysctl", "-qw", f"net.ipv6.conf.{scope}.{key}=0")
        self._cable("evse0", self.car, self.STATION, self.CAR)
        self._cable("other0", self.other, "fe80::5ecd", "fe80::07")
        self.ip("-n", self.car, "link", "set", "eth0", "address", self.CAR_MAC)
        self.ip("-n", self.station, "addr", "add", "fd00:15::1/64", "dev", "evse0", "nodad")
        self.ip("-n", self.car, "addr", "add", f"{self.GLOBAL}/64", "dev", "eth0", "nodad")
        self.ip("-n", self.car, "addr", "add", "fe80::bad/64", "dev", "eth0", "nodad")

    def _cable(self, interface: str, peer: str, ours: str, theirs: str) -> None:
        self.ip("-n", self.station, "link", "add", interface, "type", "veth", "peer", "name", "eth0", "netns", peer)
        self.ip("-n", self.station, "link", "set", interface, "up")
        self.ip("-n", peer, "link", "set", "eth0", "up")
        self.ip("-n", self.station, "addr", "add", f"{ours}/64", "dev", interface, "nodad")
        self.ip("-n", peer, "addr", "add", f"{theirs}/64", "dev", "eth0", "nodad")

    @staticmethod
    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    @staticmethod
    def run(namespace: str, *words: str) -> str:
        command = ["ip", "netns", "exec", namespace, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout

    def ask(
        self,
        namespace: str,
        source: str,
        target: str = sdp.MULTICAST_GROUP,
        count: int = 1,
        interface: str = "eth0",
    ) -> int:
        """How many answers ``count`` SDP requests get."""
        datagram = sdp.encode(sdp.SdpRequest(security=sdp.Security.NONE)).hex()
        return int(self.run(namespace, sys.executable, "-c", ASK, interface, source, target, str(count), datagram))

    def connect(self, source: str, port: int, wait_s: float, interface: str = "eth0") -> subprocess.Popen[str]:
        words = [sys.executable, "-c", CONNECT, interface, source, self.STATION, str(port), str(wait_s)]
        return subprocess.Popen(["ip", "netns", "exec", self.car, *words], stdout=subprocess.PIPE, text=True)

    def close(self) -> None:
        for name in (self.station, self.car, self.other):
            with contextlib.suppress(subprocess.CalledProcessError):
                self.ip("netns", "del", name)


class RunningStation:
    def __init__(self, link: Link, *words: str) -> None:
        command = ["ip", "netns", "exec", link.station, sys.executable, "-m", "support.link_station", "evse0", *words]
        self._process = subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, text=True)
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self.told: list[dict[str, Any]] = []
        threading.Thread(target=self._read, daemon=True).start()
        self.port = int(self.wait_for("that it listens", lambda said: "listening" in said)["listening"])

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(json.loads(line))

    def wait_for(self, what: str, wanted: Callable[[dict[str, Any]], bool], timeout_s: float = 10.0) -> dict[str, Any]:
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            try:
                said = self._lines.get(timeout=left)
            except queue.Empty:
                break
            self.told.append(said)
            if wanted(said):
                return said
        raise AssertionError(f"the station did not tell {what}: {self.told}")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)


@pytest.fixture(scope="module")
def link() -> Iterator[Link]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    link: Link | None = None
    try:
        link = Link()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr!r}")
    yield link
    link.close()


@pytest.fixture
def station(link: Link) -> Iterator[RunningStation]:
    station = RunningStation(link)
    yield station
    station.close()


def test_sdp_is_answered_on_the_evses_link_alone(link: Link, station: RunningStation) -> None:
    assert link.ask(link.car, Link.CAR) == 1
    assert link.ask(link.other, "fe80::07") == 0
    assert link.ask(link.other, "fe80::07", "fe80::5ecd") == 0
    assert link.ask(link.car, Link.CAR, Link.STATION) == 1


def test_sdp_from_an_address_that_routers_pass_on_is_not_answered(link: Link, station: RunningStation) -> None:
    assert link.ask(link.car, Link.GLOBAL) == 0
    assert link.ask(link.car, Link.GLOBAL, "fd00:15::1") == 0
    assert link.ask(link.car, Link.CAR) == 1


def test_a_flood_gets_the_answers_that_a_vehicle_could_need_and_two_lines(link: Link, station: RunningStation) -> None:
    answers = link.ask(link.car, Link.CAR, count=2000)
    assert discovery.EACH_BURST <= answers <= discovery.EACH_BURST + discovery.EACH_HZ * 2
    station.wait_for("the flood", lambda said: said.get("code") == "SDP_FLOOD")
    counted = station.wait_for("its size", lambda said: "were left out" in said.get("text", ""), 15.0)
    # Of 2000 that came at once the kernel keeps what it has room for until we read: a few hundred on a busy machine.
    assert int(counted["text"].split(": ")[1].split()[0]) > 200
    assert sum(said.get("code") == "SDP_FLOOD" for said in station.told) == 2


def test_the_vehicles_mac_is_known_and_another_address_on_its_link_is_refused_meanwhile(
    link: Link, station: RunningStation
) -> None:
    car = link.connect(Link.CAR, station.port, 3.0)
    said = station.wait_for("the session", lambda said: "mac" in said)
    assert (said["mac"], said["peer"]) == (Link.CAR_MAC, Link.CAR)
    intruder = link.connect("fe80::bad", station.port, 2.0)
    assert intruder.communicate(timeout=10)[0].split() == ["connected", "closed"]
    refused = station.wait_for("the intruder", lambda said: said.get("code") == "SPOOFING_SUSPECTED")
    assert "connection of [fe80::bad%evse0]" in refused["text"]
    assert link.ask(link.car, "fe80::bad") == 0
    station.wait_for("its search", lambda said: "SDP request of [fe80::bad%evse0]" in said.get("text", ""))
    assert link.ask(link.car, Link.CAR) == 1
    assert car.communicate(timeout=10)[0].split() == ["connected", "open"]


@pytest.fixture
def matched(link: Link) -> Iterator[RunningStation]:
    """With a powerline link on which the car was matched."""
    station = RunningStation(link, Link.CAR_MAC)
    yield station
    station.close()


@pytest.fixture
def stranger(link: Link) -> Iterator[str]:
    """The interface of another vehicle on the car's segment, with an address made from the car's MAC address."""
    for words in (
        ("link", "add", "link", "eth0", "name", "mv0", "type", "macvlan", "mode", "bridge"),
        ("link", "set", "mv0", "address", "02:00:00:00:00:bb"),
        ("link", "set", "mv0", "up"),
        ("addr", "add", f"{FORGED}/64", "dev", "mv0", "nodad"),
    ):
        Link.ip("-n", link.car, *words)
    yield "mv0"
    Link.ip("-n", link.car, "link", "del", "mv0")


def forget_neighbours(link: Link) -> None:
    Link.ip("-n", link.station, "neigh", "flush", "dev", "evse0")


def test_the_matched_vehicle_is_answered_once_the_kernel_knows_its_mac(link: Link, matched: RunningStation) -> None:
    forget_neighbours(link)
    assert link.ask(link.car, Link.CAR) == 0, "its first request is multicast, and nobody knows yet who it is"
    assert link.ask(link.car, Link.CAR) == 1
    car = link.connect(Link.CAR, matched.port, 1.0)
    assert matched.wait_for("the session", lambda said: "mac" in said)["mac"] == Link.CAR_MAC
    assert car.communicate(timeout=10)[0].split() == ["connected", "open"]
    assert not any(said.get("code") == "PLC_NOT_MATCHED" for said in matched.told)


def test_another_on_its_segment_reaches_neither_sdp_nor_tcp_whatever_address_it_takes(
    link: Link, matched: RunningStation, stranger: str
) -> None:
    forget_neighbours(link)
    for _ in range(3):
        assert link.ask(link.car, FORGED, interface=stranger) == 0
    refused = matched.wait_for("the stranger", lambda said: said.get("code") == "PLC_NOT_MATCHED")
    assert f"SDP request of [{FORGED}%evse0]" in refused["text"]
    assert (
        f"its MAC address is 02:00:00:00:00:bb, and the vehicle that was matched here is {Link.CAR_MAC}"
        in refused["text"]
    )
    connection = link.connect(FORGED, matched.port, 2.0, interface=stranger)
    assert connection.communicate(timeout=10)[0].split() == ["connected", "closed"]
    refused = matched.wait_for("its connection", lambda said: "connection of" in said.get("text", ""))
    assert refused["code"] == "PLC_NOT_MATCHED"
    assert link.ask(link.car, Link.CAR) + link.ask(link.car, Link.CAR) >= 1, "the car is served meanwhile"
