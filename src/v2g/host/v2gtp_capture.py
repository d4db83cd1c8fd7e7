"""V2GTP of sessions as a capture; :mod:`pyiso15118.capture` reads it back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import IO, Final

from pyiso15118.capture import Host
from v2g.host.pcap import CaptureWriter, TcpConversation, udp_packet

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


def _aligned(found: Iterable[Bytes]) -> Iterator[Bytes]:
    """After a gap, from where a frame begins: a dissector could not find it."""
    behind = {True: 0, False: 0}
    for piece in found:
        if piece.offset != behind[piece.sent] and not piece.data.startswith(_FRAME_START):
            continue
        behind[piece.sent] = piece.offset + len(piece.data)
        yield piece
