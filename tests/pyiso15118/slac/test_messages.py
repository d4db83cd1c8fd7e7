"""Layouts, byte by byte, of the messages that no recording has, and what link counters say."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pyiso15118.errors import LocalProtocolError
from pyiso15118.slac.addresses import BROADCAST, parse_mac
from pyiso15118.slac.fields import Items, Levels, Nibbles, Number, Octets, Part, Record, SlacFrameError, Text
from pyiso15118.slac.frame import MIN_BYTES, Frame, decode_frame, encode_frame
from pyiso15118.slac.link_statistics import (
    LINK_ALL,
    STATISTICS_MESSAGES,
    VS_LNK_STATS_CNF,
    VS_LNK_STATS_REQ,
    Direction,
    ReceiveCounters,
    ReceiveInterval,
    TransmitCounters,
    packet_loss,
)
from pyiso15118.slac.messages import (
    CM_AMP_MAP_CNF,
    CM_AMP_MAP_REQ,
    CM_VALIDATE_CNF,
    CM_VALIDATE_REQ,
    MESSAGES,
    Message,
    ValidateResult,
)
from pyiso15118.slac.network_messages import CM_NW_STATS_CNF, CM_NW_STATS_REQ, NETWORK_MESSAGES, StationStats
from pyiso15118.slac.vendor import VENDOR_MESSAGES

MODEM = parse_mac("88:fc:a6:1c:7c:88")
KINDS = (*MESSAGES, *NETWORK_MESSAGES, *VENDOR_MESSAGES, *STATISTICS_MESSAGES)
OPERATIONS = {"REQ": 0, "CNF": 1, "IND": 2, "RSP": 3}
TRANSMITTED = TransmitCounters(
    mpdus_acked=1249, mpdus_collided=271, mpdus_failed=0, blocks_passed=1628, blocks_failed=0
)
RECEIVED = ReceiveCounters(
    mpdus_acked=886,
    mpdus_failed=0,
    blocks_passed=1539,
    blocks_failed=0,
    bit_errors_passed=241,
    bit_errors_failed=0,
    intervals=(
        ReceiveInterval(phy_rate_mbps=93, blocks_passed=17, blocks_failed=0, bit_errors_passed=26, bit_errors_failed=0),
    ),
)
"""Both are what the manual of faifa prints of a modem's answer."""


def least(record: type[Record]) -> Any:
    """A message of a kind with as little in it as goes."""
    return record(**{part.name: least_of(part)[0] for part in record.PARTS if part.name})


def least_of(part: Part) -> tuple[Any, list[Any]]:
    """A value that fits a field, and some that do not."""
    match part:
        case Number():
            return 0, [-1, 1 << 8 * part._size]
        case Octets():
            return bytes(part._size), [b"", bytes(part._size - 1), bytes(part._size + 1)]
        case Levels():
            return (0,), [(), (0,) * 256, (256,), (-1,)]
        case Nibbles():
            return (), [(16,), (-1,), (0,) * 2049]
        case Text():
            return "", ["€", "x" * 256]
        case Items():
            return (), [(least(part._record),) * 256]
    raise AssertionError(part)


NO_FIT = [
    pytest.param(kind, part.name, value, id=f"{kind.__name__}-{part.name}-{at}")
    for kind in (*KINDS, *(StationStats, TransmitCounters, ReceiveCounters, ReceiveInterval))
    for part in kind.PARTS
    if part.name
    for at, value in enumerate(least_of(part)[1])
]


def body(message: Message) -> str:
    """Behind the header, without padding."""
    data = encode_frame(Frame(source=MODEM, destination=BROADCAST, message=message))
    assert len(data) >= MIN_BYTES
    return data[17 if message.MMV == 0 else 19 :].rstrip(b"\0").hex()


def numbers(*values: int) -> str:
    return "".join(value.to_bytes(8, "little").hex() for value in values)


@pytest.mark.parametrize(
    ("message", "mmtype", "layout"),
    [
        (CM_VALIDATE_REQ(signal_type=0, timer=2, result=1), 0x6078, "000201"),
        (CM_VALIDATE_CNF(signal_type=0, toggle_num=3, result=ValidateResult.SUCCESS), 0x6079, "000302"),
        (CM_AMP_MAP_REQ(amap=(1, 2, 15)), 0x601C, "0300210f"),
        (CM_AMP_MAP_CNF(resp_type=1), 0x601D, "01"),
        (CM_NW_STATS_REQ(), 0x6048, ""),
        (
            CM_NW_STATS_CNF(stations=(StationStats(mac=MODEM, avg_tx_mbps=9, avg_rx_mbps=8),)),
            0x6049,
            "0188fca61c7c880908",
        ),
        (VS_LNK_STATS_REQ(peer=MODEM), 0xA030, "00b0520002f888fca61c7c88"),
        (VS_LNK_STATS_REQ(link_id=LINK_ALL, direction=Direction.RECEIVE, control=1), 0xA030, "00b0520101fc"),
        (
            VS_LNK_STATS_CNF(link_id=LINK_ALL, tei=7, transmitted=TRANSMITTED, received=RECEIVED),
            0xA031,
            "00b0520002fc07"
            + numbers(1249, 271, 0, 1628, 0)
            + numbers(886, 0, 1539, 0, 241, 0)
            + "01"
            + "5d"
            + numbers(17, 0, 26)
            + numbers(0),
        ),
    ],
)
def test_a_message_that_no_recording_has_is_laid_out_as_public_sources_say(
    message: Message, mmtype: int, layout: str
) -> None:
    assert mmtype == message.MMTYPE
    assert body(message) == bytes.fromhex(layout).rstrip(b"\0").hex()
    assert decode_frame(encode_frame(Frame(source=MODEM, destination=BROADCAST, message=message))).message == message


def test_no_two_messages_have_one_type_and_names_agree_with_the_operation_in_it() -> None:
    assert len({kind.MMTYPE for kind in KINDS}) == len(KINDS)
    for kind in KINDS:
        assert OPERATIONS[kind.__name__.rpartition("_")[2]] == kind.MMTYPE & 3, kind


def test_every_field_of_a_message_is_in_its_layout() -> None:
    for kind in KINDS:
        if kind.PARTS:
            fields = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
            assert fields == {part.name for part in kind.PARTS if part.name}, kind


@pytest.mark.parametrize(
    ("direction", "sides"),
    [(Direction.TRANSMIT, {"transmitted": TRANSMITTED}), (Direction.RECEIVE, {"received": RECEIVED})],
)
def test_counters_of_one_direction_come_alone(direction: Direction, sides: dict[str, TransmitCounters]) -> None:
    answer = VS_LNK_STATS_CNF(direction=direction, **sides)  # type: ignore[arg-type]
    assert decode_frame(encode_frame(Frame(source=MODEM, destination=BROADCAST, message=answer))).message == answer


def test_a_modem_that_refuses_to_count_gives_no_counters() -> None:
    refusal = VS_LNK_STATS_CNF(mstatus=1)
    found = decode_frame(encode_frame(Frame(source=MODEM, destination=BROADCAST, message=refusal))).message
    assert found == refusal
    assert refusal.mpdus() == (0, 0)


def test_counters_of_a_direction_that_there_is_not_are_refused() -> None:
    data = bytearray(
        encode_frame(
            Frame(
                source=MODEM,
                destination=BROADCAST,
                message=VS_LNK_STATS_CNF(transmitted=TRANSMITTED, received=RECEIVED),
            )
        )
    )
    data[21] = 3
    with pytest.raises(SlacFrameError, match="direction before byte 24 is 3"):
        decode_frame(bytes(data))


def test_counters_that_do_not_go_with_their_direction_are_our_error() -> None:
    with pytest.raises(LocalProtocolError, match="do not go with direction 1"):
        body(VS_LNK_STATS_CNF(direction=Direction.RECEIVE, transmitted=TRANSMITTED))


def test_more_intervals_than_a_frame_holds_are_refused_where_they_end() -> None:
    answer = VS_LNK_STATS_CNF(transmitted=TRANSMITTED, received=RECEIVED)
    data = bytearray(encode_frame(Frame(source=MODEM, destination=BROADCAST, message=answer)))
    data[17 + 7 + 5 * 8 + 6 * 8] = 255
    with pytest.raises(SlacFrameError, match="phy_rate_mbps at byte"):
        decode_frame(bytes(data))


def counted(acked: int, failed: int, tei: int = 2) -> VS_LNK_STATS_CNF:
    return VS_LNK_STATS_CNF(
        direction=Direction.TRANSMIT,
        tei=tei,
        transmitted=TransmitCounters(
            mpdus_acked=acked, mpdus_collided=9, mpdus_failed=failed, blocks_passed=0, blocks_failed=0
        ),
    )


def test_packet_loss_is_the_share_that_failed_between_two_answers() -> None:
    assert packet_loss(counted(100, 10), counted(190, 20)) == pytest.approx(0.1)


def test_both_directions_count_for_packet_loss() -> None:
    before = VS_LNK_STATS_CNF(transmitted=TRANSMITTED, received=RECEIVED)
    after = VS_LNK_STATS_CNF(
        transmitted=dataclasses.replace(TRANSMITTED, mpdus_acked=1249 + 50),
        received=dataclasses.replace(RECEIVED, mpdus_acked=886 + 25, mpdus_failed=25),
    )
    assert packet_loss(before, after) == pytest.approx(0.25)


@pytest.mark.parametrize(
    "later",
    [counted(100, 10), counted(5, 0), counted(190, 20, tei=3), VS_LNK_STATS_CNF(mstatus=1)],
    ids=["nothing sent", "counters set to zero", "another modem", "refused"],
)
def test_packet_loss_is_not_known(later: VS_LNK_STATS_CNF) -> None:
    assert packet_loss(counted(100, 10), later) is None


@pytest.mark.parametrize(("kind", "name", "value"), NO_FIT)
def test_a_value_that_does_not_fit_its_field_is_our_error_and_names_it(
    kind: type[Record], name: str, value: object
) -> None:
    whole = least(kind)
    assert whole.pack()
    with pytest.raises(LocalProtocolError, match=name):
        dataclasses.replace(whole, **{name: value}).pack()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.PARTS], ids=lambda kind: kind.__name__)
def test_a_message_cut_anywhere_is_refused_and_where_is_told(kind: type[Message]) -> None:
    data = encode_frame(Frame(source=MODEM, destination=BROADCAST, message=least(kind)))
    begin = 17 if kind.MMV == 0 else 19
    for length in range(begin, begin + len(least(kind).pack())):
        with pytest.raises(SlacFrameError, match=rf"^{kind.__name__}: .* at byte \d+ needs \d+ bytes"):
            decode_frame(data[:length])
