"""V2GTP of sessions as a capture, and a capture as V2GTP frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import IO, Final

from pyiso15118.errors import RemoteProtocolError
from pyiso15118.v2gtp import Frame, FrameReader, decode_datagram
from v2g.host.pcap import CaptureWriter, Host, TcpConversation, udp_packet
from v2g.host.pcap_read import Piece, pieces

PORT: Final = 15118
"""Of discovery, and in our captures also the station's TCP port, so that dissectors know it."""
_ALL_NODES: Final = IPv6Address("ff02::1")
_FRAME_START: Final = b"\x01\xfe"
_SHORTLY_S: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Bytes:
    """Of one direction: ``offset`` of the first one."""

    unix_s: float
    sent: bool
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Recorded:
    """One connection. ``vehicle`` and ``station``: address without zone, and TCP port. ``discovery``: time, where
    the vehicle asked from, SDP request and answer. ``over``: both ends have closed."""

    vehicle: Host
    station: Host
    pieces: tuple[Bytes, ...]
    comment: str
    discovery: tuple[float, Host, bytes, bytes] | None = None
    over: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A frame of a capture; ``problem`` instead of one where bytes cannot be read as V2GTP."""

    unix_s: float
    source: Host
    target: Host
    frame: Frame | None
    problem: str = ""


@dataclass(slots=True)
class _Side:
    reader: FrameReader = field(default_factory=FrameReader)
    lost: bool = True
    """Where the next frame begins is not known."""


def write(file: IO[bytes], application: str, recorded: Iterable[Recorded]) -> int:
    """A capture of these connections; how many pieces of TCP it has."""
    sessions = list(recorded)
    comment = "V2GTP as it is above TLS. TCP around it was made by the recorder; the station's port was another one."
    writer, count = CaptureWriter(file, application, comment), 0
    for session in sessions:
        if session.discovery is not None:
            at, asker, request, answer = session.discovery
            station = Host(session.station.address, PORT)
            writer.packet(at, udp_packet(asker, Host(_ALL_NODES, PORT), request))
            writer.packet(at + _SHORTLY_S, udp_packet(station, asker, answer))
        conversation = TcpConversation(writer, session.vehicle, Host(session.station.address, PORT))
        begin = session.pieces[0].unix_s - _SHORTLY_S if session.pieces else 0.0
        conversation.open(begin, f"{session.comment}; station's TCP port {session.station.port}")
        end = begin
        for piece in _aligned(session.pieces):
            conversation.data(piece.unix_s, piece.offset, piece.data, sent=piece.sent)
            count, end = count + 1, piece.unix_s
        if session.over:
            conversation.close(end + _SHORTLY_S)
    return count


def frames(file: IO[bytes]) -> Iterator[Found]:
    """V2GTP frames of a capture, ours or another's. What is none (TLS, other protocols) is left out.

    Raises :class:`v2g.host.pcap_read.CaptureError`.
    """
    sides: dict[tuple[Host, Host], _Side] = {}
    for piece in pieces(file):
        if piece.udp:
            yield from _datagram(piece)
        else:
            yield from _stream(sides.setdefault((piece.source, piece.target), _Side()), piece)


def _aligned(found: Iterable[Bytes]) -> Iterator[Bytes]:
    """After a gap, from where a frame begins: a dissector could not find it."""
    behind = {True: 0, False: 0}
    for piece in found:
        if piece.offset != behind[piece.sent] and not piece.data.startswith(_FRAME_START):
            continue
        behind[piece.sent] = piece.offset + len(piece.data)
        yield piece


def _datagram(piece: Piece) -> Iterator[Found]:
    if PORT not in (piece.source.port, piece.target.port) or not piece.data.startswith(_FRAME_START):
        return
    try:
        yield Found(piece.unix_s, piece.source, piece.target, decode_datagram(piece.data))
    except RemoteProtocolError as error:
        yield Found(piece.unix_s, piece.source, piece.target, None, str(error))


def _stream(side: _Side, piece: Piece) -> Iterator[Found]:
    if piece.gap and not side.lost:
        side.lost = True
        yield Found(piece.unix_s, piece.source, piece.target, None, "bytes before this are missing in the capture")
    if side.lost:
        if not piece.data.startswith(_FRAME_START):
            return
        side.reader, side.lost = FrameReader(), False
    try:
        side.reader.feed(piece.data)
        for frame in side.reader:
            yield Found(piece.unix_s, piece.source, piece.target, frame)
    except RemoteProtocolError as error:
        side.lost = True
        yield Found(piece.unix_s, piece.source, piece.target, None, str(error))
