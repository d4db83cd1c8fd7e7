"""Frames: what is taken, what is refused and how it is said, and that writing and reading are inverse."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyiso15118.errors import LocalProtocolError
from pyiso15118.slac.addresses import BROADCAST, LOCAL_MODEM, mac_text, parse_mac
from pyiso15118.slac.fields import Items, Levels, Nibbles, Number, Octets, Record, SlacFrameError, Text
from pyiso15118.slac.frame import MAX_BYTES, MIN_BYTES, Frame, decode_frame, encode_frame, is_homeplug
from pyiso15118.slac.link_statistics import (
    STATISTICS_MESSAGES,
    VS_LNK_STATS_CNF,
    Direction,
    ReceiveCounters,
    TransmitCounters,
)
from pyiso15118.slac.messages import (
    CM_ATTEN_PROFILE_IND,
    CM_SET_KEY_REQ,
    CM_SLAC_MATCH_CNF,
    CM_SLAC_PARM_REQ,
    CM_START_ATTEN_CHAR_IND,
    MESSAGES,
    Message,
    UnknownMessage,
)
from pyiso15118.slac.network_messages import NETWORK_MESSAGES
from pyiso15118.slac.vendor import VENDOR_MESSAGES, VS_NW_INFO_CNF, VS_SW_VER_CNF, VsNetwork

EV, EVSE = parse_mac("02:00:00:00:00:01"), parse_mac("02:00:00:00:00:02")
REQUEST = CM_SLAC_PARM_REQ(run_id=b"run id 8")


def wire(message: Message = REQUEST, **fields: Any) -> bytes:
    return encode_frame(Frame(source=EV, destination=BROADCAST, message=message, **fields))


def values(record: type[Record]) -> st.SearchStrategy[Any]:
    """Any message of this kind, by its layout; by hand where it has none of its own."""
    if record is VS_NW_INFO_CNF:
        return st.builds(VS_NW_INFO_CNF, networks=st.tuples(values(VsNetwork)) | st.just(()))
    if record is VS_LNK_STATS_CNF:
        return st.one_of(
            st.builds(VS_LNK_STATS_CNF, mstatus=st.integers(1, 255), direction=st.integers(0, 255)),
            st.builds(VS_LNK_STATS_CNF, direction=st.just(Direction.TRANSMIT), transmitted=values(TransmitCounters)),
            st.builds(VS_LNK_STATS_CNF, direction=st.just(Direction.RECEIVE), received=values(ReceiveCounters)),
            st.builds(VS_LNK_STATS_CNF, transmitted=values(TransmitCounters), received=values(ReceiveCounters)),
        )
    if not record.PARTS and dataclasses.fields(record):  # type: ignore[arg-type]
        levels = st.lists(st.integers(0, 255), min_size=1, max_size=255).map(tuple)
        return st.builds(record, pev_mac=st.binary(min_size=6, max_size=6), aag=levels)
    return st.builds(record, **{part.name: strategy(part) for part in record.PARTS if part.name})


def strategy(part: Any) -> st.SearchStrategy[Any]:
    match part:
        case Number():
            return st.integers(0, (1 << 8 * part._size) - 1)
        case Octets():
            return st.binary(min_size=part._size, max_size=part._size)
        case Levels():
            return st.lists(st.integers(0, 255), min_size=1, max_size=255).map(tuple)
        case Nibbles():
            return st.lists(st.integers(0, 15), max_size=1155).map(tuple)
        case Text():
            return st.text(st.characters(codec="latin-1"), max_size=255)
        case Items():
            return st.lists(values(part._record), max_size=3).map(tuple)
    raise AssertionError(part)


KINDS = (*MESSAGES, *NETWORK_MESSAGES, *VENDOR_MESSAGES, *STATISTICS_MESSAGES)
ANY_MESSAGE = st.one_of([values(kind) for kind in KINDS])


@given(message=ANY_MESSAGE, vlan=st.none() | st.integers(0, 0xFFFF))
def test_every_message_survives_the_wire(message: Message, vlan: int | None) -> None:
    frame = Frame(source=EV, destination=EVSE, message=message, vlan=vlan)
    data = encode_frame(frame)
    assert MIN_BYTES <= len(data) <= MAX_BYTES
    assert is_homeplug(data)
    assert decode_frame(data) == frame


@given(data=st.binary(max_size=200) | st.binary(max_size=80).map(lambda rest: wire()[:17] + rest))
def test_bytes_of_any_kind_are_a_frame_or_a_declared_error(data: bytes) -> None:
    try:
        frame = decode_frame(data)
    except SlacFrameError:
        return
    assert decode_frame(encode_frame(frame)) == frame


@given(message=ANY_MESSAGE, cut=st.integers(1, 40))
def test_a_frame_that_is_cut_off_is_refused_or_shorter_by_padding_only(message: Message, cut: int) -> None:
    data = encode_frame(Frame(source=EV, destination=EVSE, message=message))
    try:
        found = decode_frame(data[:-cut])
    except SlacFrameError:
        return
    assert found.message == message


def test_short_frames_are_filled_with_zeros_and_remains_behind_a_message_are_kept() -> None:
    data = wire()
    assert len(data) == MIN_BYTES
    with_remains = data[:40] + b"\x01" + data[41:]
    frame = decode_frame(with_remains)
    assert frame.message == REQUEST
    assert b"\x01" in frame.trailer
    assert encode_frame(frame) == with_remains


def test_a_vlan_tag_is_read_and_written() -> None:
    data = wire(vlan=0x2001)
    assert data[12:18].hex() == "8100200188e1"
    assert decode_frame(data).vlan == 0x2001


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "destination"),
        (wire()[:13], "Ethertype"),
        (wire()[:12] + b"\x08\x00" + wire()[14:], "Ethertype 0x0800"),
        (wire()[:12] + b"\x81\x00\x00\x01\x81\x00\x00\x02\x88\xe1" + wire()[14:], "Ethertype 0x8100"),
        (wire()[:16], "MMTYPE"),
        (wire()[:17] + b"\x11\x00" + wire()[19:], "fragment 0x1100"),
        (wire()[:22], "CM_SLAC_PARM_REQ: run_id at byte 21 needs 8 bytes"),
        (wire()[:14] + b"\x00" + wire()[15:], "does not go with MMV 0"),
        (bytes(MAX_BYTES + 1), f"at most {MAX_BYTES}"),
        (wire(CM_ATTEN_PROFILE_IND(pev_mac=EV, aag=(1,) * 58))[:80], "aag at byte 27 needs 58 bytes"),
    ],
)
def test_what_is_wrong_is_said_with_message_field_and_place(data: bytes, named: str) -> None:
    with pytest.raises(SlacFrameError) as error:
        decode_frame(data)
    assert named in str(error.value)


def test_a_length_that_must_be_another_is_refused() -> None:
    answer = CM_SLAC_MATCH_CNF(pev_mac=EV, evse_mac=EVSE, run_id=bytes(8), nid=bytes(7), nmk=bytes(16))
    data = bytearray(wire(answer))
    data[21] = 0x55
    with pytest.raises(SlacFrameError, match=r"MVFLength.*5500, must be 5600"):
        decode_frame(bytes(data))


def test_a_count_of_no_groups_is_refused() -> None:
    data = bytearray(wire(CM_ATTEN_PROFILE_IND(pev_mac=EV, aag=(1,))))
    data[25] = 0
    with pytest.raises(SlacFrameError, match="no carrier group"):
        decode_frame(bytes(data))


def test_a_length_inside_network_information_that_is_too_short_is_refused() -> None:
    data = bytearray(wire(VS_NW_INFO_CNF()))
    data[24] -= 1
    with pytest.raises(SlacFrameError, match="the length"):
        decode_frame(bytes(data))


@pytest.mark.parametrize("length", [0, 40])
def test_a_length_inside_network_information_may_be_missing_or_count_more(length: int) -> None:
    data = bytearray(wire(VS_NW_INFO_CNF()))
    data[24] = length
    assert decode_frame(bytes(data)).message == VS_NW_INFO_CNF()


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (CM_SLAC_PARM_REQ(run_id=b"short"), "run_id has 5 bytes, must have 8"),
        (CM_ATTEN_PROFILE_IND(pev_mac=EV, aag=()), "aag has 0 groups"),
        (CM_ATTEN_PROFILE_IND(pev_mac=EV, aag=(300,)), "outside 0..255 dB"),
        (
            CM_START_ATTEN_CHAR_IND(num_sounds=256, time_out_100ms=6, forwarding_sta=EV, run_id=bytes(8)),
            "num_sounds is 256, must be within 0..255",
        ),
        (VS_SW_VER_CNF(version="€"), "no Latin-1"),
        (VS_SW_VER_CNF(version="x" * 256), "256 characters"),
        (UnknownMessage(mmv=1, mmtype=0x1_0000, body=b""), "does not fit"),
    ],
)
def test_a_value_that_does_not_fit_is_our_error_and_named(message: Message, named: str) -> None:
    with pytest.raises(LocalProtocolError) as error:
        wire(message)
    assert named in str(error.value)


def test_addresses_and_tags_that_do_not_fit_are_our_error() -> None:
    with pytest.raises(LocalProtocolError, match="source has 2 bytes"):
        encode_frame(Frame(source=b"\0\1", destination=EV, message=REQUEST))
    with pytest.raises(LocalProtocolError, match="VLAN tag"):
        wire(vlan=70_000)
    with pytest.raises(LocalProtocolError, match="at most"):
        wire(UnknownMessage(mmv=1, mmtype=1, body=bytes(1600)))


def test_keys_are_not_shown() -> None:
    secret = bytes(range(16))
    shown = repr(CM_SET_KEY_REQ(nid=bytes(7), new_key=secret)) + repr(
        CM_SLAC_MATCH_CNF(pev_mac=EV, evse_mac=EVSE, run_id=bytes(8), nid=bytes(7), nmk=secret)
    )
    assert repr(secret) not in shown
    assert secret.hex() not in shown


def test_mac_addresses_are_read_and_shown() -> None:
    assert parse_mac("00-B0-52-00-00-01") == LOCAL_MODEM
    assert mac_text(LOCAL_MODEM) == "00:b0:52:00:00:01"
    for wrong in ("", "00:b0:52:00:00", "00:b0:52:00:00:zz", "00b052000001"):
        with pytest.raises(LocalProtocolError, match="MAC address"):
            parse_mac(wrong)
