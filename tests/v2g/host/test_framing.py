"""Frames of our Unix sockets: any split, any limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.host.framing import MAX_BYTES, FrameError, FrameReader, frame


@given(payloads=st.lists(st.binary(min_size=1, max_size=300), max_size=8), data=st.data())
def test_frames_come_out_of_any_split(payloads: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(frame, payloads))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader = FrameReader()
    got: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += reader.feed(stream[start:end])
    assert got == payloads


@pytest.mark.parametrize("length", [0, MAX_BYTES + 1, 0xFFFFFFFF])
def test_impossible_lengths_are_refused_before_their_bytes_arrive(length: int) -> None:
    with pytest.raises(FrameError, match=f"a frame of {length} bytes"):
        list(FrameReader().feed(length.to_bytes(4, "big")))


def test_nothing_too_long_is_sent() -> None:
    with pytest.raises(FrameError):
        frame(b"x" * (MAX_BYTES + 1))


def test_a_socket_may_have_a_lower_limit_of_its_own() -> None:
    assert list(FrameReader(4).feed(frame(b"1234", 4))) == [b"1234"]
    with pytest.raises(FrameError, match=r"1\.\.4 are allowed"):
        frame(b"12345", 4)
    with pytest.raises(FrameError, match=r"1\.\.4 are allowed"):
        list(FrameReader(4).feed(frame(b"12345")))
