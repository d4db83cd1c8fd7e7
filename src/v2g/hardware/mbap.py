"""Modbus TCP messages, without input or output.

A frame is a header of seven octets (transaction, protocol 0, length, unit) and a PDU of at most 253: MODBUS Messaging
on TCP/IP Implementation Guide V1.0b, 3.1.3. Modbus/TCP Security carries the same frames in TLS, and neither TCP
segments nor TLS records mark where one ends. PDUs: MODBUS Application Protocol V1.1b3, 6.3, 6.4 and 6.12.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from v2g.hardware.registers import Table

MAX_READ = 125
MAX_WRITE = 123
MAX_LENGTH = 254
"""Unit and PDU."""

_HEADER = struct.Struct(">HHHB")
_REQUEST = struct.Struct(">BHH")
_FUNCTIONS = {Table.HOLDING: 3, Table.INPUT: 4}
_WRITE = 16
_EXCEPTION = 0x80


class WrongAnswer(Exception):
    """What arrived cannot be the answer; the message says why. Nothing that follows can be trusted."""


class Refused(Exception):
    """The device answered with a Modbus exception."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code = code


class Frame(NamedTuple):
    transaction: int
    unit: int
    pdu: bytes


class FrameReader:
    """Puts frames together from octets as they arrive, however they are cut. Holds one chunk and one frame at most."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    @property
    def empty(self) -> bool:
        return not self._buffer

    def next(self) -> Frame | None:
        """None until a frame is complete. Raises :class:`WrongAnswer` as soon as a header cannot be one."""
        buffer = self._buffer
        if len(buffer) < _HEADER.size:
            return None
        transaction, protocol, length, unit = _HEADER.unpack_from(buffer)
        if protocol != 0:
            raise WrongAnswer(f"it answered with protocol {protocol}, which is no Modbus")
        if not 2 <= length <= MAX_LENGTH:
            raise WrongAnswer(f"it answered with a length of {length}; a Modbus frame has 2..{MAX_LENGTH}")
        end = _HEADER.size - 1 + length
        if len(buffer) < end:
            return None
        pdu = bytes(buffer[_HEADER.size : end])
        del buffer[:end]
        return Frame(transaction, unit, pdu)


def frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    return _HEADER.pack(transaction, 0, len(pdu) + 1, unit) + pdu


def read_request(table: Table, address: int, count: int) -> bytes:
    """Functions 3 and 4. ``count`` registers, 1..125; ValueError outside of that or of the address space."""
    _check_range(address, count, MAX_READ)
    return _REQUEST.pack(_FUNCTIONS[table], address, count)


def read_answer(pdu: bytes, table: Table, count: int) -> list[int]:
    """The registers. Raises :class:`Refused` and :class:`WrongAnswer`."""
    _check_function(pdu, _FUNCTIONS[table])
    if len(pdu) < 2:
        raise WrongAnswer("it answered with a function and nothing else")
    octets = pdu[1]
    if octets != len(pdu) - 2:
        raise WrongAnswer(f"it announced {octets} octets and sent {len(pdu) - 2}")
    if octets != 2 * count:
        raise WrongAnswer(f"it answered with {octets / 2:g} registers")
    return list(struct.unpack_from(f">{count}H", pdu, 2))


def write_request(address: int, registers: Sequence[int]) -> bytes:
    """Function 16. 1..123 registers of 0..65535; ValueError otherwise."""
    count = len(registers)
    _check_range(address, count, MAX_WRITE)
    try:
        values = struct.pack(f">{count}H", *registers)
    except struct.error:
        raise ValueError(f"registers {registers} are not all within 0..65535") from None
    return _REQUEST.pack(_WRITE, address, count) + bytes((2 * count,)) + values


def check_write_answer(pdu: bytes, address: int, count: int) -> None:
    """Raises :class:`Refused` and :class:`WrongAnswer`."""
    _check_function(pdu, _WRITE)
    if len(pdu) != _REQUEST.size:
        raise WrongAnswer(f"it acknowledged with {len(pdu)} octets instead of {_REQUEST.size}")
    _, there, acknowledged = _REQUEST.unpack(pdu)
    if (there, acknowledged) != (address, count):
        raise WrongAnswer(f"it acknowledged {acknowledged} at {there}")


def _check_range(address: int, count: int, limit: int) -> None:
    if not (1 <= count <= limit and 0 <= address <= 0x10000 - count):
        raise ValueError(f"{count} registers at {address}: a request has 1..{limit} within 0..65535")


def _check_function(pdu: bytes, function: int) -> None:
    if pdu[0] == function:
        return
    if pdu[0] == function | _EXCEPTION:
        if len(pdu) != 2:
            raise WrongAnswer(f"it answered with an exception of {len(pdu)} octets instead of 2")
        raise Refused(pdu[1])
    raise WrongAnswer(f"it answered another request: function {pdu[0]} instead of {function}")
