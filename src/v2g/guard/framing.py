"""Frames of the wires socket: a 4-byte big-endian length and that many bytes."""

from __future__ import annotations

from collections.abc import Iterator

from v2g.guard.link import MAX_FRAME_BYTES

_LENGTH_BYTES = 4


class FrameError(ValueError):
    """A frame that is empty or too long; what follows it cannot be trusted."""


def frame(payload: bytes) -> bytes:
    """Raises :class:`FrameError` when ``payload`` is empty or longer than ``MAX_FRAME_BYTES``."""
    _check(len(payload))
    return len(payload).to_bytes(_LENGTH_BYTES, "big") + payload


class FrameReader:
    """Payloads out of a stream in any split. Holds at most one frame beyond what was just received."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payloads that are complete. Raises :class:`FrameError`; the stream is over then."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH_BYTES:
            length = int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
            _check(length)
            if len(self._buffer) < _LENGTH_BYTES + length:
                return
            payload = bytes(self._buffer[_LENGTH_BYTES : _LENGTH_BYTES + length])
            del self._buffer[: _LENGTH_BYTES + length]
            yield payload


def _check(length: int) -> None:
    if not 0 < length <= MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {length} bytes; 1..{MAX_FRAME_BYTES} are allowed")
