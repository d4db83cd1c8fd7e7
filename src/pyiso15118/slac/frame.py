"""Ethernet frames with HomePlug management messages, to bytes and back. Strict, bounded, no input or output."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pyiso15118.errors import LocalProtocolError
from pyiso15118.slac.addresses import MAC_BYTES, Mac
from pyiso15118.slac.fields import Cursor, SlacFrameError
from pyiso15118.slac.link_statistics import STATISTICS_MESSAGES
from pyiso15118.slac.messages import MESSAGES, Message, UnknownMessage
from pyiso15118.slac.network_messages import NETWORK_MESSAGES
from pyiso15118.slac.vendor import VENDOR_MESSAGES

ETHERTYPE = 0x88E1
"""HomePlug AV."""
MIN_BYTES = 60
"""Of an Ethernet frame without its checksum; shorter ones are filled with zeros."""
MAX_BYTES = 1518

_ETHERTYPE = ETHERTYPE.to_bytes(2, "big")
_VLAN = b"\x81\0"
_ADDRESSES = 2 * MAC_BYTES
_HEAD = struct.Struct("<6s6s2sBH")
_FRAGMENT_BYTES = 2
_KINDS = (*MESSAGES, *NETWORK_MESSAGES, *VENDOR_MESSAGES, *STATISTICS_MESSAGES)
_BY_TYPE = {(kind.MMV, kind.MMTYPE): kind for kind in _KINDS}
_KNOWN = {kind.MMTYPE for kind in _KINDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame. ``vlan``: the 16 bits of an 802.1Q tag.

    ``trailer``: what follows the message where it is not just zeros up to 60 bytes; real modems leave remains there.
    """

    source: Mac
    destination: Mac
    message: Message
    vlan: int | None = None
    trailer: bytes = b""


def is_homeplug(data: bytes) -> bool:
    """By the Ethertype alone, behind a VLAN tag as well."""
    kind = data[_ADDRESSES : _ADDRESSES + 2]
    return kind == _ETHERTYPE or (kind == _VLAN and data[_ADDRESSES + 4 : _ADDRESSES + 6] == _ETHERTYPE)


def decode_frame(data: bytes) -> Frame:
    """Of an Ethernet frame without its checksum. Raises :class:`SlacFrameError`, and nothing else."""
    if len(data) > MAX_BYTES:
        raise SlacFrameError(f"a frame of {len(data)} bytes; at most {MAX_BYTES} are possible")
    vlan: int | None = None
    if len(data) >= _HEAD.size and data[_ADDRESSES] == _ETHERTYPE[0]:
        destination, source, kind, mmv, mmtype = _HEAD.unpack_from(data)
        at = _HEAD.size
        if kind != _ETHERTYPE:
            raise _other_kind(kind)
    else:
        destination, source, vlan, mmv, mmtype, at = _tagged_or_short(data)
    if mmv == 1:
        at += _FRAGMENT_BYTES
        fragment = data[at - _FRAGMENT_BYTES : at]
        if len(fragment) < _FRAGMENT_BYTES or fragment[0] != 0:
            raise _fragmented(fragment, mmtype, at - _FRAGMENT_BYTES)
    found = _BY_TYPE.get((mmv, mmtype))
    if found is None:
        if mmtype in _KNOWN and mmv in (0, 1):
            raise SlacFrameError(f"HomePlug header: MMTYPE 0x{mmtype:04x} does not go with MMV {mmv}")
        return _unknown(destination, source, vlan, mmv, mmtype, data, at)
    cursor = Cursor(found.__name__, data, at)
    message: Message = found.read(cursor)
    rest = data[cursor.at :]
    padded = max(0, MIN_BYTES - cursor.at)
    trailer = b"" if rest == bytes(padded) else rest
    return Frame(source=source, destination=destination, message=message, vlan=vlan, trailer=trailer)


def _tagged_or_short(data: bytes) -> tuple[Mac, Mac, int | None, int, int, int]:
    head = Cursor("Ethernet frame", data, 0)
    destination, source = head.take(MAC_BYTES, "destination"), head.take(MAC_BYTES, "source")
    kind, vlan = head.take(2, "Ethertype"), None
    if kind == _VLAN:
        vlan = int.from_bytes(head.take(2, "VLAN tag"), "big")
        kind = head.take(2, "Ethertype")
    if kind != _ETHERTYPE:
        raise _other_kind(kind)
    head.name = "HomePlug header"
    mmv = head.take(1, "MMV")[0]
    mmtype = int.from_bytes(head.take(2, "MMTYPE"), "little")
    return destination, source, vlan, mmv, mmtype, head.at


def _other_kind(kind: bytes) -> SlacFrameError:
    return SlacFrameError(f"Ethertype 0x{kind.hex()} is not HomePlug AV (0x{ETHERTYPE:04x})")


def _fragmented(fragment: bytes, mmtype: int, at: int) -> SlacFrameError:
    if len(fragment) < _FRAGMENT_BYTES:
        why = f"FMI at byte {at} needs {_FRAGMENT_BYTES} bytes, and the frame has {len(fragment)} left"
    else:
        why = f"fragment 0x{fragment.hex()} of MMTYPE 0x{mmtype:04x}: not put together"
    return SlacFrameError(f"HomePlug header: {why}")


def _unknown(destination: Mac, source: Mac, vlan: int | None, mmv: int, mmtype: int, data: bytes, at: int) -> Frame:
    message = UnknownMessage(mmv=mmv, mmtype=mmtype, body=data.ljust(MIN_BYTES, b"\0")[at:])
    return Frame(source=source, destination=destination, message=message, vlan=vlan)


def encode_frame(frame: Frame) -> bytes:
    """Filled with zeros to 60 bytes. Raises :class:`LocalProtocolError` for a value that does not fit its field."""
    message = frame.message
    for name, mac in (("source", frame.source), ("destination", frame.destination)):
        if len(mac) != MAC_BYTES:
            raise LocalProtocolError(f"Ethernet frame: {name} has {len(mac)} bytes, must have {MAC_BYTES}")
    if frame.vlan is not None and not 0 <= frame.vlan <= 0xFFFF:
        raise LocalProtocolError(f"Ethernet frame: VLAN tag {frame.vlan} is outside 0..65535")
    tag = b"" if frame.vlan is None else _VLAN + frame.vlan.to_bytes(2, "big")
    if isinstance(message, UnknownMessage):
        mmv, mmtype, body = message.mmv, message.mmtype, message.body
        if not (0 <= mmv <= 255 and 0 <= mmtype <= 0xFFFF):
            raise LocalProtocolError(f"UnknownMessage: MMV {mmv} or MMTYPE {mmtype} does not fit its field")
    else:
        mmv, mmtype, body = message.MMV, message.MMTYPE, message.pack()
    fragment = b"\0\0" if mmv == 1 else b""
    head = frame.destination + frame.source + tag + _ETHERTYPE + bytes((mmv,)) + mmtype.to_bytes(2, "little")
    data = (head + fragment + body + frame.trailer).ljust(0 if frame.trailer else MIN_BYTES, b"\0")
    if len(data) > MAX_BYTES:
        raise LocalProtocolError(f"{type(message).__name__}: a frame of {len(data)} bytes; at most {MAX_BYTES} go")
    return data
