import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyiso15118.errors import LocalProtocolError, RemoteProtocolError
from pyiso15118.messages import Namespace
from pyiso15118.v2gtp import SIDE_STREAMS, Frame, FrameReader, PayloadType, encode_frame, namespace_of, payload_type_of
from support.examples import examples

FRAMES = st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=8)


def test_frame_has_the_header_of_the_standard() -> None:
    assert encode_frame(PayloadType.SDP_REQUEST, b"\x00\x00").hex() == "01fe9000000000020000"


@given(frames=FRAMES, cuts=st.lists(st.integers(1, 30), min_size=1, max_size=40))
def test_any_split_of_the_stream_gives_the_same_frames(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(encode_frame(t, p) for t, p in frames)
    reader, got, position = FrameReader(), [], 0
    for cut in cuts * (len(stream) + 1):
        if position >= len(stream):
            break
        reader.feed(stream[position : position + cut])
        got += list(reader)
        position += cut
    assert got == [Frame(t, p) for t, p in frames]
    assert reader.buffered_bytes == 0


def test_several_frames_in_one_segment_are_all_read() -> None:
    reader = FrameReader()
    reader.feed(encode_frame(0x8001, b"a") + encode_frame(0x8002, b"") + encode_frame(0x8004, b"bc")[:-1])
    assert [f.payload_type for f in reader] == [0x8001, 0x8002]
    reader.feed(b"c")
    assert list(reader) == [Frame(0x8004, b"bc")]


@pytest.mark.parametrize("header", ["02fe8001", "01fd8001", "00ff8001", "474554"])
def test_wrong_version_or_inverse_version_is_refused(header: str) -> None:
    reader = FrameReader()
    reader.feed(bytes.fromhex(header).ljust(8, b"\0"))
    with pytest.raises(RemoteProtocolError, match="not a V2GTP stream"):
        reader.next_frame()


def test_an_announced_length_above_the_limit_is_refused_before_its_payload_arrives() -> None:
    reader = FrameReader(max_payload_bytes=100)
    reader.feed(encode_frame(0x8002, bytes(101))[:8])
    with pytest.raises(RemoteProtocolError, match="101 bytes announced, more than the 100"):
        reader.next_frame()


def test_a_payload_of_exactly_the_limit_passes() -> None:
    reader = FrameReader(max_payload_bytes=100)
    reader.feed(encode_frame(0x8002, bytes(100)))
    assert reader.next_frame() == Frame(0x8002, bytes(100))


def test_unread_frames_do_not_pile_up_without_bound() -> None:
    reader = FrameReader(max_payload_bytes=100)
    for _ in range(2):
        reader.feed(encode_frame(0x8002, bytes(50)))
    with pytest.raises(RemoteProtocolError, match="before the first was answered"):
        reader.feed(encode_frame(0x8002, bytes(50)))
    assert reader.buffered_bytes == 2 * 58


def test_whole_frames_are_counted_without_being_read() -> None:
    reader = FrameReader(max_payload_bytes=100)
    frame = encode_frame(0x8002, bytes(10))
    assert reader.whole_frames(5) == 0
    reader.feed(frame * 3 + frame[:-1])
    assert (reader.whole_frames(5), reader.whole_frames(2)) == (3, 2)
    reader.feed(frame[-1:])
    assert reader.whole_frames(5) == 4
    assert len(list(reader)) == 4
    reader.feed(frame + b"GET / HTTP/1.1")
    assert reader.whole_frames(5) == 1


def test_side_streams_are_those_beside_the_charge_loop() -> None:
    assert sorted(SIDE_STREAMS) == [0x8101, 0x8102, 0x8103, 0x8104]
    for namespace in (Namespace.APP_PROTOCOL, Namespace.COMMON_MESSAGES, Namespace.AC, Namespace.DC):
        assert payload_type_of(namespace) not in SIDE_STREAMS


@settings(max_examples=examples(200))
@given(data=st.binary(max_size=64))
def test_garbage_gives_frames_or_a_protocol_error(data: bytes) -> None:
    reader = FrameReader(max_payload_bytes=64)
    reader.feed(data)
    try:
        frames = list(reader)
    except RemoteProtocolError:
        return
    assert sum(8 + len(f.payload) for f in frames) + reader.buffered_bytes == len(data)


def test_payload_types_select_the_schema() -> None:
    assert namespace_of(0x8001) is Namespace.APP_PROTOCOL
    assert namespace_of(0x8002) is Namespace.COMMON_MESSAGES
    assert namespace_of(0x8003) is Namespace.AC
    assert namespace_of(0x8004) is Namespace.DC
    assert namespace_of(0x8101) is Namespace.COMMON_MESSAGES
    assert namespace_of(0x8005) is Namespace.ACDP
    assert namespace_of(0x8006) is Namespace.WPT
    assert namespace_of(0x8010) is Namespace.AC_DER_IEC
    assert namespace_of(0x8011) is Namespace.AC_DER_SAE
    assert namespace_of(0x8103) is Namespace.ACDP
    assert namespace_of(0x1234) is None


def test_main_stream_payload_types_lead_back_to_their_schema() -> None:
    for namespace in set(Namespace) - {Namespace.COMMON_TYPES, Namespace.XMLDSIG}:
        assert namespace_of(payload_type_of(namespace)) is namespace
    with pytest.raises(LocalProtocolError, match="no messages"):
        payload_type_of(Namespace.XMLDSIG)


def test_a_payload_type_wider_than_two_bytes_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="no V2GTP frame"):
        encode_frame(0x1_0000, b"")
