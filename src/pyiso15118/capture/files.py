"""The files themselves: pcapng and pcap, of either byte order, into packets."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pyiso15118.errors import Iso15118Error

MAX_BLOCK_BYTES: Final = 1 << 22
"""Of one block or packet; what announces more is no capture that is read here."""
_SECTION: Final = b"\x0a\x0d\x0d\x0a"
_INTERFACE, _SIMPLE, _PACKET, _SECRETS = 1, 3, 6, 10
_TLS_KEY_LOG: Final = 0x544C534B
_PCAP: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e6),
    b"\xa1\xb2\xc3\xd4": (">", 1e6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e9),
    b"\xa1\xb2\x3c\x4d": (">", 1e9),
}
_MICROSECONDS: Final = 1e6


class CaptureError(Iso15118Error):
    """No capture, or one that is cut or broken; the text says where."""


@dataclass(frozen=True, slots=True)
class Packet:
    """``unix_s``: when it was seen (s). ``link``: what ``data`` begins with, by the number of its link type."""

    unix_s: float
    link: int
    data: bytes


@dataclass(frozen=True, slots=True)
class KeyLog:
    """Lines of TLS secrets that a capture brings along (pcapng: Decryption Secrets Block)."""

    text: bytes


@dataclass(frozen=True, slots=True)
class _Interface:
    link: int
    ticks_per_s: float
    offset_s: int


class PacketReader:
    """Takes a capture in pieces of any size and gives its packets.

    It holds one block at a time, and no longer one than :data:`MAX_BLOCK_BYTES`. Iterate until exhausted after each
    :meth:`feed`; then call :meth:`end`. All raise :class:`CaptureError`.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._position = 0
        """Up to where the buffer was read."""
        self._passed = 0
        """Bytes of the file before the buffer."""
        self._order = "<"
        self._pcap: tuple[float, int] | None = None
        self._interfaces: list[_Interface] | None = None

    def feed(self, data: bytes) -> None:
        """Append what comes next in the file."""
        self._buffer += data

    def end(self) -> None:
        """The file has no more. Raises :class:`CaptureError` where it was cut within a block, or is no capture."""
        if self._position < len(self._buffer):
            raise CaptureError(f"the capture is cut off at byte {self._at}")
        if self._pcap is None and self._interfaces is None:
            raise CaptureError("the capture is empty")

    def __iter__(self) -> Iterator[Packet | KeyLog]:
        try:
            while (found := self._next()) is not None:
                yield from found
        finally:
            self._passed += self._position
            del self._buffer[: self._position]
            self._position = 0

    @property
    def _at(self) -> int:
        return self._passed + self._position

    def _next(self) -> tuple[Packet | KeyLog, ...] | None:
        """What the next block gives, perhaps nothing; None where it is not whole yet."""
        head = self._peek(4)
        if head is None:
            return None
        if self._pcap is not None:
            return self._pcap_packet(*self._pcap)
        if head == _SECTION or self._interfaces is not None:
            return self._block()
        if head in _PCAP:
            return self._pcap_head(head)
        raise CaptureError("this is no capture: it begins as neither pcapng nor pcap does")

    def _peek(self, size: int) -> bytes | None:
        data = bytes(self._buffer[self._position : self._position + size])
        return data if len(data) == size else None

    def _pcap_head(self, magic: bytes) -> tuple[()] | None:
        head = self._peek(24)
        if head is None:
            return None
        self._order, ticks_per_s = _PCAP[magic]
        self._pcap = ticks_per_s, self._number("I", head, 20) & 0xFFFF
        self._position += 24
        return ()

    def _pcap_packet(self, ticks_per_s: float, link: int) -> tuple[Packet] | None:
        head = self._peek(16)
        if head is None:
            return None
        seconds, fraction, size, _ = struct.unpack(f"{self._order}IIII", head)
        self._bound(size)
        whole = self._peek(16 + size)
        if whole is None:
            return None
        self._position += 16 + size
        return (Packet(seconds + fraction / ticks_per_s, link, whole[16:]),)

    def _block(self) -> tuple[Packet | KeyLog, ...] | None:
        head = self._peek(12)
        if head is None:
            return None
        if head[:4] == _SECTION:
            self._order = "<" if head[8:] == b"\x4d\x3c\x2b\x1a" else ">"
            if head[8:] not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
                raise CaptureError(f"the section at byte {self._at} of the capture tells no byte order")
        size = self._number("I", head, 4)
        self._bound(size)
        if size < 12 or size % 4:
            raise CaptureError(f"the block at byte {self._at} of the capture announces {size} bytes")
        whole = self._peek(size)
        if whole is None:
            return None
        self._position += size
        if head[:4] == _SECTION:
            self._interfaces = []
            return ()
        return self._content(self._number("I", head, 0), whole[8:-4])

    def _content(self, kind: int, body: bytes) -> tuple[Packet | KeyLog, ...]:
        interfaces = self._interfaces or []
        if kind == _INTERFACE and len(body) >= 8:
            if self._interfaces is not None:
                self._interfaces.append(_Interface(self._number("H", body, 0), *self._clock(body[8:])))
        elif kind == _PACKET and len(body) >= 20:
            number, high, low, size = struct.unpack_from(f"{self._order}IIII", body)
            if number < len(interfaces):
                found = interfaces[number]
                unix_s = found.offset_s + ((high << 32) + low) / found.ticks_per_s
                return (Packet(unix_s, found.link, body[20 : 20 + size]),)
        elif kind == _SIMPLE and len(body) >= 4 and interfaces:
            return (Packet(0.0, interfaces[0].link, body[4 : 4 + self._number("I", body, 0)]),)
        elif kind == _SECRETS and len(body) >= 8 and self._number("I", body, 0) == _TLS_KEY_LOG:
            return (KeyLog(body[8 : 8 + self._number("I", body, 4)]),)
        return ()

    def _clock(self, options: bytes) -> tuple[float, int]:
        """Ticks in a second (option if_tsresol, or microseconds) and seconds to add (if_tsoffset)."""
        ticks_per_s, offset_s = _MICROSECONDS, 0
        while len(options) >= 4:
            code, size = struct.unpack_from(f"{self._order}HH", options)
            value = options[4 : 4 + size]
            if code == 0:
                break
            if code == 9 and len(value) == 1:
                ticks_per_s = float(2 ** (value[0] & 0x7F)) if value[0] & 0x80 else 10.0 ** value[0]
            elif code == 14 and len(value) == 8:
                offset_s = self._number("q", value, 0)
            options = options[4 + size + (-size % 4) :]
        return ticks_per_s, offset_s

    def _number(self, form: str, data: bytes, position: int) -> int:
        (number,) = struct.unpack_from(f"{self._order}{form}", data, position)
        return int(number)

    def _bound(self, size: int) -> None:
        if size > MAX_BLOCK_BYTES:
            raise CaptureError(
                f"the block at byte {self._at} of the capture announces {size} bytes, more than the "
                f"{MAX_BLOCK_BYTES} that are read"
            )
