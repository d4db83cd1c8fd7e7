"""Frames of our Unix stream sockets: a 4-byte big-endian length and that many bytes."""

from __future__ import annotations

from collections.abc import Iterator

_LENGTH_BYTES = 4
MAX_BYTES = 1 << 20
"""Longest payload, where nothing else is said."""


class FrameError(ValueError):
    """A frame that is empty or too long; what follows it cannot be trusted."""


def frame(payload: bytes, max_bytes: int = MAX_BYTES) -> bytes:
    """Raises :class:`FrameError` when ``payload`` is empty or longer than ``max_bytes``."""
    _check(len(payload), max_bytes)
    return len(payload).to_bytes(_LENGTH_BYTES, "big") + payload


class FrameReader:
    """Payloads out of a stream in any split. Holds at most one frame beyond what was just received."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payloads that are complete. Raises :class:`FrameError`; the stream is over then."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH_BYTES:
            length = int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
            _check(length, self._max_bytes)
            if len(self._buffer) < _LENGTH_BYTES + length:
                return
            payload = bytes(self._buffer[_LENGTH_BYTES : _LENGTH_BYTES + length])
            del self._buffer[: _LENGTH_BYTES + length]
            yield payload


def _check(length: int, max_bytes: int) -> None:
    if not 0 < length <= max_bytes:
        raise FrameError(f"a frame of {length} bytes; 1..{max_bytes} are allowed")
