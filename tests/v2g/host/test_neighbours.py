"""The kernel's neighbour table: what it says, cut anywhere and made up."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.host import neighbours
from v2g.host.neighbours import Neighbour, eui64_mac, mac_of, parse, request, table_mac

ADDRESS = IPv6Address("fe80::1234:5678:9abc:def0")
MAC = bytes.fromhex("02aabbccddee")
STALE, FAILED, INCOMPLETE = 0x04, 0x20, 0x01


def attribute(kind: int, value: bytes) -> bytes:
    padding = -len(value) % 4
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(padding)


def entry(
    mac: bytes = MAC, state: int = STALE, family: int = socket.AF_INET6, address: bytes = ADDRESS.packed, kind: int = 28
) -> bytes:
    body = struct.pack("=BxxxiHBB", family, 7, state, 0, 1) + attribute(1, address) + attribute(2, mac)
    # What else the kernel tells: probes and ages.
    body += attribute(4, bytes(4)) + attribute(3, bytes(16))
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body


def test_an_entry_gives_address_interface_and_mac() -> None:
    assert list(parse(entry())) == [Neighbour(ADDRESS, 7, MAC)]


def test_several_entries_in_one_datagram_are_all_read() -> None:
    assert len(list(parse(entry() + entry(mac=bytes(5)) + entry()))) == 3


@pytest.mark.parametrize("state", [FAILED, INCOMPLETE])
def test_a_mac_that_does_not_hold_is_none(state: int) -> None:
    assert [n.mac for n in parse(entry(state=state))] == [None]


@pytest.mark.parametrize("mac", [b"", bytes(6), bytes(8)])
def test_what_is_no_mac_is_none(mac: bytes) -> None:
    assert [n.mac for n in parse(entry(mac=mac))] == [None]


def test_other_families_kinds_and_errors_are_passed_over() -> None:
    assert list(parse(entry(family=socket.AF_INET))) == []
    assert list(parse(entry(address=bytes(4)))) == []
    assert list(parse(entry(kind=29) + entry())) == [Neighbour(ADDRESS, 7, MAC)]
    error = struct.pack("=IHHIIi", 20, 2, 0, 1, 0, -2)
    assert list(parse(error + entry())) == []


@given(st.one_of(st.binary(max_size=200), st.integers(0, 120).map(lambda n: entry()[:n])))
def test_whatever_comes_is_read_without_an_error(data: bytes) -> None:
    assert all(n.mac is None or len(n.mac) == 6 for n in parse(data))


@given(st.integers(0, len(entry()) - 1), st.integers(0, 255))
def test_an_entry_changed_anywhere_is_read_without_an_error(position: int, value: int) -> None:
    data = bytearray(entry())
    data[position] = value
    list(parse(bytes(data)))


def test_a_question_is_for_one_entry() -> None:
    question = request(ADDRESS, 7)
    assert struct.unpack_from("=IHH", question) == (len(question), 30, 1)
    assert question.endswith(ADDRESS.packed)


def test_an_address_made_from_a_mac_gives_it_back_where_the_table_does_not() -> None:
    assert eui64_mac(IPv6Address("fe80::aa:bbff:fecc:ddee")) == MAC
    assert eui64_mac(ADDRESS) is None
    assert eui64_mac(IPv6Address("2001:db8::aa:bbff:fecc:ddee")) is None
    assert mac_of("fe80::aa:bbff:fecc:ddee%evse1", 0) == "02:aa:bb:cc:dd:ee"


@pytest.mark.parametrize(("host", "interface"), [("no address", 1), ("::1", 0), ("fe80::1", 999_999), ("::1", 1)])
def test_nobody_knows_is_none_and_never_an_error(host: str, interface: int) -> None:
    assert mac_of(host, interface) is None


def test_a_host_without_netlink_knows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(neighbours.socket, "socket", refuse)
    assert mac_of(str(ADDRESS), 7) is None


def test_the_table_alone_is_asked_where_it_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    forged = "fe80::aa:bbff:fecc:ddee"
    known: dict[str, bytes | None] = {forged: None}
    monkeypatch.setattr(neighbours, "_ask", lambda address, interface: known[str(address)])
    assert (table_mac(forged, 7), mac_of(forged, 7)) == (None, "02:aa:bb:cc:dd:ee")
    known[forged] = bytes.fromhex("020000000099")
    assert table_mac(f"{forged}%evse1", 7) == mac_of(forged, 7) == "02:00:00:00:00:99"
    assert table_mac(forged, 0) is None
    assert table_mac("no address", 7) is None
