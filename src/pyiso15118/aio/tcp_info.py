"""What the kernel knows of a TCP connection (Linux, ``TCP_INFO``): its round trip, and what was lost on the way."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Final

_HEAD: Final = struct.Struct("=8B24I")
"""``struct tcp_info`` of linux/tcp.h as far as every kernel has it: eight octets, the third of them ``retransmits``,
then 32-bit counts. Times are in microseconds where they are of round trips, else in milliseconds."""
_RETRANSMITS, _UNACKED, _LOST = 2, 12, 14
_LAST_DATA_SENT, _LAST_DATA_RECEIVED, _LAST_ACK_RECEIVED = 17, 19, 20
_RTT, _RTT_VARIATION, _TOTAL_RETRANSMITS = 23, 24, 31
_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpState:
    """One connection at one moment. ``since_…_s`` are ages, to a millisecond.

    ``rtt_s``: smoothed, of the network and the peer's kernel alone: what the peer's program takes is not in it.
    ``unacked``: segments of ours that its kernel has not acknowledged. ``retransmits``: how often the oldest of these
    was sent again so far; ``total_retransmits``: of the whole connection.
    """

    rtt_s: float
    rtt_variation_s: float
    unacked: int
    retransmits: int
    total_retransmits: int
    lost: int
    since_data_sent_s: float
    since_data_received_s: float
    since_ack_received_s: float


def parse_tcp_info(content: bytes) -> TcpState | None:
    """What ``getsockopt`` gave; None for less than the oldest kernels give."""
    if len(content) < _HEAD.size:
        return None
    fields = _HEAD.unpack_from(content)
    return TcpState(
        rtt_s=fields[_RTT] / 1e6,
        rtt_variation_s=fields[_RTT_VARIATION] / 1e6,
        unacked=fields[_UNACKED],
        retransmits=fields[_RETRANSMITS],
        total_retransmits=fields[_TOTAL_RETRANSMITS],
        lost=fields[_LOST],
        since_data_sent_s=fields[_LAST_DATA_SENT] / 1e3,
        since_data_received_s=fields[_LAST_DATA_RECEIVED] / 1e3,
        since_ack_received_s=fields[_LAST_ACK_RECEIVED] / 1e3,
    )


def tcp_state(sock: object) -> TcpState | None:
    """Of a socket as a transport tells it; None where it is closed or no TCP socket, or the system has no
    ``TCP_INFO``."""
    ask = getattr(sock, "getsockopt", None)
    if ask is None or _TCP_INFO is None:
        return None
    try:
        return parse_tcp_info(ask(socket.IPPROTO_TCP, _TCP_INFO, _HEAD.size))
    except OSError:
        return None
