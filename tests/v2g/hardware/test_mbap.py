"""Modbus frames and messages, without a connection."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.hardware import mbap
from v2g.hardware.registers import Table

REGISTERS = st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=mbap.MAX_WRITE)


def answer_of(function: int, values: list[int]) -> bytes:
    return bytes([function, 2 * len(values)]) + b"".join(value.to_bytes(2, "big") for value in values)


def frames_of(reader: mbap.FrameReader) -> list[mbap.Frame]:
    found = []
    while (frame := reader.next()) is not None:
        found.append(frame)
    return found


def test_requests_are_those_of_the_specifications_examples() -> None:
    """MODBUS Application Protocol V1.1b3, 6.3, 6.4 and 6.12."""
    assert mbap.read_request(Table.HOLDING, 107, 3) == bytes.fromhex("03006b0003")
    assert mbap.read_request(Table.INPUT, 8, 1) == bytes.fromhex("0400080001")
    assert mbap.write_request(1, [10, 258]) == bytes.fromhex("100001000204000a0102")
    assert mbap.read_answer(bytes.fromhex("0306022b00000064"), Table.HOLDING, 3) == [555, 0, 100]
    mbap.check_write_answer(bytes.fromhex("1000010002"), 1, 2)
    assert mbap.frame(1, 255, bytes.fromhex("0300040001")) == bytes.fromhex("000100000006ff0300040001")


@given(
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 255), st.binary(min_size=1, max_size=253)), max_size=6),
    st.data(),
)
@settings(max_examples=examples(200), deadline=None)
def test_frames_come_out_whole_however_they_are_cut(sent: list[tuple[int, int, bytes]], data: st.DataObject) -> None:
    stream = b"".join(mbap.frame(*each) for each in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    reader, found = mbap.FrameReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        reader.feed(stream[start:end])
        found += frames_of(reader)
    assert found == sent
    assert reader.empty


@given(st.lists(st.binary(max_size=600), max_size=4))
@settings(max_examples=examples(200), deadline=None)
def test_whatever_arrives_is_a_frame_a_refusal_or_waited_for_within_a_frames_size(chunks: list[bytes]) -> None:
    reader = mbap.FrameReader()
    for chunk in chunks:
        reader.feed(chunk)
        try:
            for frame in frames_of(reader):
                assert 1 <= len(frame.pdu) <= 253
        except mbap.WrongAnswer:
            return
        assert len(reader._buffer) < 260


@pytest.mark.parametrize("head", ["000100000000ff", "000100000001ff", "0001000000ffff", "00010000ffffff"])
def test_a_length_that_no_frame_has_is_refused_with_the_header(head: str) -> None:
    reader = mbap.FrameReader()
    reader.feed(bytes.fromhex(head))
    with pytest.raises(mbap.WrongAnswer, match=r"length of"):
        reader.next()


def test_another_protocol_is_refused_with_the_header() -> None:
    reader = mbap.FrameReader()
    reader.feed(bytes.fromhex("0001beef0003ff"))
    with pytest.raises(mbap.WrongAnswer, match=r"protocol 48879, which is no Modbus"):
        reader.next()


@given(REGISTERS, st.sampled_from(list(Table)))
@settings(max_examples=examples(100), deadline=None)
def test_registers_survive(values: list[int], table: Table) -> None:
    function = mbap.read_request(table, 0, len(values))[0]
    assert mbap.read_answer(answer_of(function, values), table, len(values)) == values


@given(st.binary(min_size=1, max_size=253), st.integers(1, 125), st.sampled_from(list(Table)))
@settings(max_examples=examples(300), deadline=None)
def test_any_other_answer_is_refused(pdu: bytes, count: int, table: Table) -> None:
    try:
        values = mbap.read_answer(pdu, table, count)
    except (mbap.WrongAnswer, mbap.Refused):
        return
    assert pdu == answer_of(mbap.read_request(table, 0, 1)[0], values)


@pytest.mark.parametrize(
    ("pdu", "why"),
    [
        ("0302", "announced 2 octets and sent 0"),
        ("03", "a function and nothing else"),
        ("0302000100", "announced 2 octets and sent 3"),
        ("0303000000", "answered with 1.5 registers"),
        ("030400010002", "answered with 2 registers"),
        ("04020001", "function 4 instead of 3"),
        ("8302ff", "an exception of 3 octets"),
        ("8402", "function 132 instead of 3"),
    ],
)
def test_a_wrong_answer_to_a_read_says_what_is_wrong(pdu: str, why: str) -> None:
    with pytest.raises(mbap.WrongAnswer, match=why):
        mbap.read_answer(bytes.fromhex(pdu), Table.HOLDING, 1)


@pytest.mark.parametrize(
    ("pdu", "why"),
    [
        ("1000010001", "acknowledged 1 at 1"),
        ("1000020002", "acknowledged 2 at 2"),
        ("10000100", "acknowledged with 4 octets"),
        ("0600010002", "function 6 instead of 16"),
    ],
)
def test_a_wrong_acknowledgement_says_what_is_wrong(pdu: str, why: str) -> None:
    with pytest.raises(mbap.WrongAnswer, match=why):
        mbap.check_write_answer(bytes.fromhex(pdu), 1, 2)


def test_an_exception_carries_its_code() -> None:
    for ask in (
        lambda: mbap.read_answer(bytes.fromhex("8306"), Table.HOLDING, 1),
        lambda: mbap.check_write_answer(bytes.fromhex("9006"), 1, 2),
    ):
        with pytest.raises(mbap.Refused) as refused:
            ask()
        assert refused.value.code == 6


@pytest.mark.parametrize(("address", "count"), [(0, 0), (0, 126), (65536, 1), (65535, 2), (-1, 1)])
def test_a_read_that_no_request_can_carry_is_refused(address: int, count: int) -> None:
    with pytest.raises(ValueError, match=r"1..125"):
        mbap.read_request(Table.HOLDING, address, count)


@pytest.mark.parametrize(("address", "values"), [(0, []), (0, [0] * 124), (65535, [0, 0]), (0, [65536]), (0, [-1])])
def test_a_write_that_no_request_can_carry_is_refused(address: int, values: list[int]) -> None:
    with pytest.raises(ValueError, match=r"within 0..65535"):
        mbap.write_request(address, values)
