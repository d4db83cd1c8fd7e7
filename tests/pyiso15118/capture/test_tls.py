"""TLS connections of a capture: opened with secrets, named without."""

from __future__ import annotations

import struct

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from OpenSSL import SSL

from pyiso15118.capture import Captured, Host, Secrets, Unread, frames
from pyiso15118.capture import finder as finder_module
from pyiso15118.capture import tls as tls_module
from pyiso15118.capture.network import LINKTYPE_RAW
from pyiso15118.capture.tls_keys import SUITES, RecordKey
from pyiso15118.v2gtp import PayloadType, encode_frame
from support.captures import STATION, VEHICLE, Conversation, block, pcapng, udp
from support.secured_capture import SUITE_NAMES, Secured


def frame(number: int, size: int = 30) -> bytes:
    return encode_frame(PayloadType.DC, bytes([number]) * size)


def secrets(text: bytes) -> Secrets:
    found = Secrets()
    assert found.add(text)
    return found


def numbers(found: list[Captured | Unread]) -> list[int]:
    assert not any(isinstance(each, Captured) and each.problem for each in found)
    return [each.frame.payload[0] for each in found if isinstance(each, Captured) and each.frame is not None]


@pytest.mark.parametrize("suite", SUITE_NAMES)
def test_a_key_log_opens_every_suite_of_tls_13(suite: str) -> None:
    secured = Secured(suite).talk()
    found = list(frames([secured.capture], secrets(secured.key_log)))
    assert numbers(found) == list(range(10))
    assert len(found) == 10
    assert all(each.secured for each in found if isinstance(each, Captured))
    assert [(each.source, each.target) for each in found[:2]] == [(VEHICLE, STATION), (STATION, VEHICLE)]


def test_messages_over_several_records_are_whole() -> None:
    secured = Secured()
    for byte in frame(7):
        secured.say(bytes([byte]))
    secured.say(frame(8, 60_000))
    assert numbers(list(frames([secured.capture], secrets(secured.key_log)))) == [7, 8]


def test_secrets_may_come_late_in_a_block_or_in_datagrams() -> None:
    secured = Secured().talk()
    block_of_secrets = block(10, struct.pack("<II", 0x544C534B, len(secured.key_log)) + secured.key_log)
    assert numbers(list(frames([secured.capture + block_of_secrets]))) == list(range(10))
    told = [udp(VEHICLE, Host(STATION.address, 52_345), line) for line in secured.log]
    for packets in ([*told, *secured.conversation.packets], [*secured.conversation.packets, *told]):
        found = list(frames([pcapng(packets, LINKTYPE_RAW)]))
        assert numbers(found) == list(range(10))


def test_one_secret_opens_its_direction() -> None:
    secured = Secured().talk()
    ours = b"\n".join(line for line in secured.log if line.startswith(b"SERVER"))
    found = list(frames([secured.capture], secrets(ours)))
    assert numbers(found) == [1, 3, 5, 7, 9]
    (unread,) = [each for each in found if isinstance(each, Unread)]
    assert unread.records >= 5


def test_without_secrets_the_connection_is_named_with_what_would_help() -> None:
    (unread,) = frames([Secured().talk().capture])
    assert isinstance(unread, Unread)
    assert (unread.source, unread.target, unread.version) == (VEHICLE, STATION, "1.3")
    assert unread.records >= 10
    assert "no secrets are known" in unread.reason
    assert "--keylog" in unread.reason


def test_secrets_of_another_connection_open_nothing_and_that_is_said() -> None:
    secured, other = Secured().talk(), Secured().talk()
    (unread,) = frames([secured.capture], secrets(other.key_log))
    assert isinstance(unread, Unread)
    assert "no secrets are known" in unread.reason
    random = next(line.split()[1] for line in secured.log)
    forged = b"\n".join(b" ".join((line.split()[0], random, line.split()[2])) for line in other.log)
    (unread,) = frames([secured.capture], secrets(forged))
    assert isinstance(unread, Unread)
    assert "of another connection, or wrong" in unread.reason
    short = b"\n".join(line[:-32] for line in secured.log)
    (unread,) = frames([secured.capture], secrets(short))
    assert isinstance(unread, Unread)
    assert "does not fit TLS_AES_256_GCM_SHA384" in unread.reason


def test_what_was_lost_ends_the_reading_of_that_direction_alone() -> None:
    secured = Secured().talk(4)
    secured.say(frame(90), lost=True)
    for number in range(91, 100):
        secured.say(frame(number), from_server=number % 2 == 1)
    found = list(frames([secured.capture], secrets(secured.key_log)))
    assert numbers(found) == [0, 1, 2, 3, 91, 93, 95, 97, 99]
    (unread,) = [each for each in found if isinstance(each, Unread)]
    assert (unread.records, unread.reason) == (4, "bytes of it are missing in the capture")


def test_older_tls_is_named_and_not_opened() -> None:
    secured = Secured(version=SSL.TLS1_2_VERSION).talk()
    (unread,) = frames([secured.capture])
    assert isinstance(unread, Unread)
    assert (unread.version, unread.records) == ("1.2", 10)
    assert "TLS 1.2 is not opened here" in unread.reason


def test_a_capture_that_begins_within_tls_says_so() -> None:
    secured = Secured()
    before = len(secured.conversation.packets)
    secured.talk()
    (unread,) = frames([pcapng(secured.conversation.packets[before:], LINKTYPE_RAW)], secrets(secured.key_log))
    assert isinstance(unread, Unread)
    assert (unread.version, unread.records) == ("", 10)
    assert "beginning of the connection" in unread.reason


def test_the_next_connection_between_the_same_ports_is_another() -> None:
    first, second = Secured().talk(3), Secured().talk(5)
    packets = first.conversation.packets + second.conversation.packets
    found = list(frames([pcapng(packets, LINKTYPE_RAW)], secrets(first.key_log + second.key_log)))
    assert numbers(found) == [0, 1, 2, 0, 1, 2, 3, 4]
    plain = Conversation()
    plain.send(frame(50))
    found = list(frames([pcapng(first.conversation.packets + plain.packets, LINKTYPE_RAW)]))
    assert [isinstance(each, Unread) for each in found] == [True, False]
    assert numbers(found) == [50]


def test_what_waits_for_secrets_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_module, "MAX_HELD_BYTES", 2_000)
    secured = Secured().talk(100)
    late = [udp(VEHICLE, STATION, line) for line in secured.log]
    found = list(frames([pcapng([*secured.conversation.packets, *late], LINKTYPE_RAW)]))
    assert [each.reason for each in found if isinstance(each, Unread)] == ["its secrets come too late in the capture"]
    monkeypatch.setattr(finder_module, "MAX_TLS_CONNECTIONS", 2)
    packets = [
        packet
        for port in range(5)
        for packet in Secured(client=Host(VEHICLE.address, 40_000 + port)).talk(2).conversation.packets
    ]
    assert len(list(frames([pcapng(packets, LINKTYPE_RAW)]))) == 5


def test_records_are_opened_as_rfc_8448_has_them() -> None:
    """Its simple 1-RTT handshake, section 3."""
    key = RecordKey(SUITES[0x1301], bytes.fromhex("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"))
    record = bytes.fromhex(
        "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a"
        "6292a2977014bd1e3deae63aeebb21694915e4"
    )
    assert key.open(record) == (23, bytes(range(50)))
    assert key.open(record) is None


def test_a_key_update_changes_the_key_of_its_direction() -> None:
    """Written here by the same rule (RFC 8446, 7.2): OpenSSL's binding has no call that would update a key."""
    secured = Secured(SUITE_NAMES[0]).talk(3)
    secret = next(bytes.fromhex(line.split()[2].decode()) for line in secured.log if line.startswith(b"CLIENT_TRAFFIC"))
    key = RecordKey(SUITES[0x1301], secret)
    key._number = 2
    for number, content, kind in ((2, b"\x18\0\0\x01\0", 22), (0, frame(40), 23), (1, frame(41), 23)):
        inner = content + bytes([kind]) + bytes(9)
        head = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2)
        nonce = (int.from_bytes(key._iv) ^ number).to_bytes(12)
        sealed = AESGCM(key._expand(b"key", 16)).encrypt(nonce, inner, head)
        secured.conversation.send(head + sealed)
        if kind == 22:
            key = key.updated()
    assert numbers(list(frames([secured.capture], secrets(secured.key_log)))) == [0, 1, 2, 40, 41]


def test_only_lines_of_messages_count_as_secrets() -> None:
    log = Secrets()
    assert not log.add(b"")
    assert not log.add(b"# CLIENT_TRAFFIC_SECRET_0\nCLIENT_RANDOM 00 11\nSERVER_TRAFFIC_SECRET_0 12 34\n")
    assert log.add(b"SERVER_TRAFFIC_SECRET_0 " + b"ab" * 32 + b" " + b"CD" * 48 + b"\r\n")
    assert log.traffic(b"\xab" * 32, server=True) == b"\xcd" * 48
    assert log.traffic(b"\xab" * 32, server=False) is None
