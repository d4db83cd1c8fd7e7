"""V2GTP frames of a capture: discovery's datagrams, TCP streams, and what of TLS could be opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from pyiso15118 import sdp
from pyiso15118.capture.files import KeyLog, Packet, PacketReader
from pyiso15118.capture.network import UDP, Host, transport
from pyiso15118.capture.tcp import Piece, Streams
from pyiso15118.capture.tls import TlsConnection, Unread, begins_tls
from pyiso15118.capture.tls_keys import Secrets
from pyiso15118.errors import RemoteProtocolError
from pyiso15118.v2gtp import Frame, FrameReader, decode_datagram

MAX_CONNECTIONS: Final = 1024
"""Streams of V2GTP followed at once; of more the oldest is given up."""
MAX_TLS_CONNECTIONS: Final = 64
_FRAME_START: Final = b"\x01\xfe"


@dataclass(frozen=True, slots=True)
class Captured:
    """A frame of a capture, and when (s) it was whole; ``problem`` instead of one where bytes cannot be read as V2GTP.

    ``secured``: it was opened from within TLS.
    """

    unix_s: float
    source: Host
    target: Host
    frame: Frame | None
    problem: str = ""
    secured: bool = False


@dataclass(slots=True)
class _Stream:
    reader: FrameReader = field(default_factory=FrameReader)
    lost: bool = True
    """Where the next frame begins is not known."""


class FrameFinder:
    """Takes a capture in pieces of any size and gives the V2GTP frames in it, in the order in which they can be read.

    What belongs to other protocols is left out; TLS connections that stayed closed are told by :meth:`end`. Secrets of
    TLS 1.3 come from ``secrets``, from the capture itself (pcapng) and from datagrams that disclose them, in a capture
    also after the records that they open. Memory is bounded whatever comes. All methods raise
    :class:`~pyiso15118.capture.CaptureError` where the file cannot be read on.
    """

    def __init__(self, secrets: Secrets | None = None) -> None:
        self._secrets = secrets if secrets is not None else Secrets()
        self._packets = PacketReader()
        self._streams = Streams()
        self._v2gtp: dict[tuple[Host, Host], _Stream] = {}
        self._tls: dict[frozenset[Host], TlsConnection] = {}

    def feed(self, data: bytes) -> Iterator[Captured | Unread]:
        """What the next bytes of the file make readable. Iterate until exhausted."""
        self._packets.feed(data)
        for found in self._packets:
            if isinstance(found, KeyLog):
                yield from self._key_log(found.text)
            else:
                yield from self._packet(found)

    def end(self) -> Iterator[Captured | Unread]:
        """What is left when the file is over. Iterate until exhausted."""
        for piece in self._streams.rest():
            yield from self._piece(piece)
        for connection in self._tls.values():
            yield from self._told(connection)
        self._tls.clear()
        self._packets.end()

    def _packet(self, packet: Packet) -> Iterator[Captured | Unread]:
        found = transport(packet.link, packet.data)
        if found is None:
            return
        if found.protocol == UDP:
            yield from self._datagram(packet.unix_s, found.source, found.target, found.body[8:])
            return
        for piece in self._streams.segment(packet.unix_s, found):
            yield from self._piece(piece)

    def _datagram(self, unix_s: float, source: Host, target: Host, data: bytes) -> Iterator[Captured | Unread]:
        if data.startswith((b"CLIENT_", b"SERVER_")):
            yield from self._key_log(data)
        if sdp.PORT not in (source.port, target.port) or not data.startswith(_FRAME_START):
            return
        try:
            yield Captured(unix_s, source, target, decode_datagram(data))
        except RemoteProtocolError as error:
            yield Captured(unix_s, source, target, None, str(error))

    def _key_log(self, text: bytes) -> Iterator[Captured | Unread]:
        if self._secrets.add(text):
            for connection in list(self._tls.values()):
                yield from self._opened(connection.retry())

    def _piece(self, piece: Piece) -> Iterator[Captured | Unread]:
        ends = frozenset((piece.source, piece.target))
        connection = self._tls.get(ends)
        if connection is not None and piece.begins and connection.is_over(piece.data):
            yield from self._told(self._tls.pop(ends))
            connection = None
        if connection is None and begins_tls(piece.data):
            if len(self._tls) >= MAX_TLS_CONNECTIONS:
                yield from self._told(self._tls.pop(next(iter(self._tls))))
            connection = self._tls[ends] = TlsConnection(self._secrets, piece.source, piece.target)
        if connection is not None:
            yield from self._opened(connection.feed(piece))
        else:
            yield from self._stream(piece, secured=False)

    def _told(self, connection: TlsConnection) -> Iterator[Captured | Unread]:
        yield from self._opened(connection.finish())
        if (unread := connection.unread()) is not None:
            yield unread

    def _opened(self, pieces: Iterable[Piece]) -> Iterator[Captured]:
        for piece in pieces:
            yield from self._stream(piece, secured=True)

    def _stream(self, piece: Piece, *, secured: bool) -> Iterator[Captured]:
        key = piece.source, piece.target
        if piece.begins:
            self._v2gtp.pop(key, None)
        begins = piece.data.startswith(_FRAME_START) or (piece.begins and _FRAME_START.startswith(piece.data[:2]))
        stream = self._v2gtp.get(key)
        if stream is None:
            if not begins:
                return
            if len(self._v2gtp) >= MAX_CONNECTIONS:
                del self._v2gtp[next(iter(self._v2gtp))]
            stream = self._v2gtp[key] = _Stream()
        if piece.gap and not stream.lost:
            stream.lost = True
            yield Captured(piece.unix_s, *key, None, "bytes before this are missing in the capture", secured)
        if stream.lost:
            if not begins:
                return
            stream.reader, stream.lost = FrameReader(), False
        try:
            stream.reader.feed(piece.data)
            for frame in stream.reader:
                yield Captured(piece.unix_s, *key, frame, secured=secured)
        except RemoteProtocolError as error:
            stream.lost = True
            yield Captured(piece.unix_s, *key, None, str(error), secured)


def frames(chunks: Iterable[bytes], secrets: Secrets | None = None) -> Iterator[Captured | Unread]:
    """:class:`FrameFinder` for a whole capture, given as the pieces that it is read in.

    Raises :class:`~pyiso15118.capture.CaptureError`, after what could be read.
    """
    finder = FrameFinder(secrets)
    for chunk in chunks:
        yield from finder.feed(chunk)
    yield from finder.end()
