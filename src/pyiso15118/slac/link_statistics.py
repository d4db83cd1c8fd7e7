"""Counters of a powerline link, as Qualcomm's modems keep them: what went wrong between two of them, and how often.

The layout of VS_LNK_STATS is that of three public sources that agree: Qualcomm's Open Powerline Toolkit
(``plc/LinkStatistics.c``, ``plc/plcstat.c``), Wireshark's dissector and faifa, whose manual prints a modem's answer.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

from pyiso15118.errors import LocalProtocolError
from pyiso15118.slac.addresses import MAC_BYTES, Mac
from pyiso15118.slac.fields import Cursor, Items, Number, Octets, Part, Record
from pyiso15118.slac.messages import Message
from pyiso15118.slac.vendor import QUALCOMM, Qualcomm

_COUNTER_BYTES = 8
LINK_WITH_PEER = 0xF8
"""Link identifier: all there is between the modem and the one whose address is given."""
LINK_ALL = 0xFC
"""Link identifier: all contention-based traffic of the modem, with whomever."""
_NOBODY = bytes(MAC_BYTES)


class Direction(enum.IntEnum):
    """Of what is counted, as the modem asked sees it."""

    TRANSMIT = 0
    RECEIVE = 1
    BOTH = 2


def _counter(name: str) -> Number:
    return Number(name, _COUNTER_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransmitCounters(Record):
    """MPDUs are what is sent at once and acknowledged; blocks (PBs, 520 bytes) are what is repeated of them."""

    PARTS: ClassVar[tuple[Part, ...]] = (
        _counter("mpdus_acked"),
        _counter("mpdus_collided"),
        _counter("mpdus_failed"),
        _counter("blocks_passed"),
        _counter("blocks_failed"),
    )

    mpdus_acked: int
    mpdus_collided: int
    mpdus_failed: int
    blocks_passed: int
    blocks_failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveInterval(Record):
    """What was received in one part of the mains cycle, for which modems keep a tone map of its own."""

    PARTS: ClassVar[tuple[Part, ...]] = (
        Number("phy_rate_mbps"),
        _counter("blocks_passed"),
        _counter("blocks_failed"),
        _counter("bit_errors_passed"),
        _counter("bit_errors_failed"),
    )

    phy_rate_mbps: int
    blocks_passed: int
    blocks_failed: int
    bit_errors_passed: int
    bit_errors_failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveCounters(Record):
    """Bit errors: corrected ones of the turbo code, in blocks that passed and in those that failed all the same."""

    PARTS: ClassVar[tuple[Part, ...]] = (
        _counter("mpdus_acked"),
        _counter("mpdus_failed"),
        _counter("blocks_passed"),
        _counter("blocks_failed"),
        _counter("bit_errors_passed"),
        _counter("bit_errors_failed"),
        Items("intervals", ReceiveInterval),
    )

    mpdus_acked: int
    mpdus_failed: int
    blocks_passed: int
    blocks_failed: int
    bit_errors_passed: int = 0
    bit_errors_failed: int = 0
    intervals: tuple[ReceiveInterval, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VS_LNK_STATS_REQ(Qualcomm):
    """``peer``: the other modem's address, for :data:`LINK_WITH_PEER`."""

    MMTYPE = 0xA030
    PARTS: ClassVar[tuple[Part, ...]] = (
        QUALCOMM,
        Number("control"),
        Number("direction"),
        Number("link_id"),
        Octets("peer", MAC_BYTES),
    )

    peer: Mac = _NOBODY
    direction: int = Direction.BOTH
    link_id: int = LINK_WITH_PEER
    control: int = 0
    """0 reads the counters, 1 sets all of them to zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VS_LNK_STATS_CNF(Message):
    """``mstatus`` 0: well; then ``direction`` says which counters are there. Any other: none is."""

    MMTYPE = 0xA031
    MMV = 0

    direction: int = Direction.BOTH
    link_id: int = LINK_WITH_PEER
    tei: int = 0
    """Of the other modem."""
    transmitted: TransmitCounters | None = None
    received: ReceiveCounters | None = None
    mstatus: int = 0

    @classmethod
    def read(cls, cursor: Cursor) -> VS_LNK_STATS_CNF:
        QUALCOMM.read(cursor)
        mstatus, direction, link_id, tei = cursor.take(4, "mstatus, direction, link_id and tei")
        transmits, receives = _sides(mstatus, direction)
        if mstatus == 0 and not (transmits or receives):
            raise cursor.wrong("direction", f"is {direction}, must be within 0..2")
        return cls(
            direction=direction,
            link_id=link_id,
            tei=tei,
            transmitted=TransmitCounters.read(cursor) if transmits else None,
            received=ReceiveCounters.read(cursor) if receives else None,
            mstatus=mstatus,
        )

    def pack(self, message: str = "") -> bytes:
        name = message or type(self).__name__
        if _sides(self.mstatus, self.direction) != (self.transmitted is not None, self.received is not None):
            raise LocalProtocolError(f"{name}: the counters do not go with direction {self.direction}")
        numbers = ("mstatus", "direction", "link_id", "tei")
        head = b"".join(Number(number).write(getattr(self, number), name) for number in numbers)
        sides = b"".join(side.pack(name) for side in (self.transmitted, self.received) if side is not None)
        return QUALCOMM.write(None, name) + head + sides

    def mpdus(self) -> tuple[int, int]:
        """Those that came over in both directions, and those that did not. Since the counters were set to zero."""
        sides = [side for side in (self.transmitted, self.received) if side is not None]
        return sum(side.mpdus_acked for side in sides), sum(side.mpdus_failed for side in sides)


def _sides(mstatus: int, direction: int) -> tuple[bool, bool]:
    well = mstatus == 0
    return (
        well and direction in (Direction.TRANSMIT, Direction.BOTH),
        well and direction in (Direction.RECEIVE, Direction.BOTH),
    )


def continues(earlier: VS_LNK_STATS_CNF, later: VS_LNK_STATS_CNF) -> bool:
    """Both are about one link, and its counters were not set to zero in between."""
    if (earlier.direction, earlier.link_id, earlier.tei) != (later.direction, later.link_id, later.tei):
        return False
    return all(before <= after for before, after in zip(earlier.mpdus(), later.mpdus(), strict=True))


def packet_loss(earlier: VS_LNK_STATS_CNF, later: VS_LNK_STATS_CNF) -> float | None:
    """0..1: MPDUs that did not come over, of all between two answers about one link.

    The modems send them again, so this is what a link suffers, not what its user misses. None: nothing was sent, or
    ``later`` does not continue ``earlier``.
    """
    came, failed = (after - before for before, after in zip(earlier.mpdus(), later.mpdus(), strict=True))
    if not continues(earlier, later) or came + failed == 0:
        return None
    return failed / (came + failed)


STATISTICS_MESSAGES: tuple[type[Message], ...] = (VS_LNK_STATS_REQ, VS_LNK_STATS_CNF)
