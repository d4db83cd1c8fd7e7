"""Plain values to wire types and back: ranges, time anchors, and the errors of either direction.

``sent_*`` checks what the owner gave and raises :class:`LocalProtocolError`; ``read_*`` checks what a peer sent and
raises :class:`RemoteProtocolError`. Both name the value by ``where``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Protocol, TypeVar

from pyiso15118.errors import LocalProtocolError, RemoteProtocolError
from pyiso15118.messages import common_types as ct

T = TypeVar("T")

MAX_MAGNITUDE = 1e9
"""In V, A, W, Wh and any currency: nothing that charges a vehicle comes near."""
DAY_S = 86_400
"""What schedules must cover at least for a vehicle that names no departure time ([V2G20-1563])."""
MAX_UNSIGNED_INT = 2**32 - 1
MAX_UNIX_S = 253_402_300_799
"""The last second of the year 9999, where calendars end."""
MICROSECONDS = 1_000_000
_LARGEST_SECONDS = 100_000_000_000
"""TimeAnchor is in microseconds; below this (the year 5138, or the second day of 1970) it can only be in seconds."""

FULL = ": libcbv2g misreads a list that is exactly full"
"""Why a list is sent one entry below its bound at most: seen with full lists of 5, 8, 10 and 1024."""

_XML_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*")


class Slot(Protocol):
    """Anything that lasts: a slot of a power schedule, a price level, a stack of price rules."""

    @property
    def duration_s(self) -> int: ...


def sent_number(
    where: str, value: float, low: float = -MAX_MAGNITUDE, high: float = MAX_MAGNITUDE
) -> ct.RationalNumberType:
    """``value`` as RationalNumber, of which four or five digits remain."""
    if not is_number(value) or not low <= value <= high:
        raise LocalProtocolError(f"{where} is {value!r}, must be a number within {low:g}..{high:g}")
    return ct.RationalNumberType.of(value)


def sent_optional(
    where: str, value: float | None, low: float = -MAX_MAGNITUDE, high: float = MAX_MAGNITUDE
) -> ct.RationalNumberType | None:
    """As :func:`sent_number`; None stays None."""
    return None if value is None else sent_number(where, value, low, high)


def sent_integer(where: str, value: int, low: int, high: int) -> int:
    """``value`` if it is an integer within the range."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise LocalProtocolError(f"{where} is {value!r}, must be an integer within {low}..{high}")
    return value


def sent_optional_integer(where: str, value: int | None, low: int, high: int) -> int | None:
    """As :func:`sent_integer`; None stays None."""
    return None if value is None else sent_integer(where, value, low, high)


def sent_flag(where: str, value: bool) -> bool:
    """``value`` if it is True or False."""
    if not isinstance(value, bool):
        raise LocalProtocolError(f"{where} is {value!r}, must be True or False")
    return value


def sent_text(where: str, value: str, longest: int, shortest: int = 1) -> str:
    """``value`` if it is printable and of a permitted length."""
    if not isinstance(value, str) or not shortest <= len(value) <= longest or not value.isprintable():
        raise LocalProtocolError(f"{where} is {value!r}, must be {shortest}..{longest} printable characters")
    return value


def sent_optional_text(where: str, value: str | None, longest: int) -> str | None:
    """As :func:`sent_text`; None stays None."""
    return None if value is None else sent_text(where, value, longest)


def sent_id(where: str, value: str | None) -> str | None:
    """``value`` if it can be an XML ID, by which a signature refers to its element."""
    if value is not None and not (isinstance(value, str) and _XML_ID.fullmatch(value)):
        raise LocalProtocolError(f"{where} is {value!r}, must begin with a letter and hold letters, digits, _ . - only")
    return value


def sent_items(where: str, items: Sequence[T], most: int, because: str = "", least: int = 1) -> Sequence[T]:
    """``items`` if there are ``least``..``most`` of them."""
    if not isinstance(items, tuple | list):
        raise LocalProtocolError(f"{where} is {items!r}, must be a tuple")
    if not least <= len(items) <= most:
        raise LocalProtocolError(f"{where} has {len(items)} entries, must have {least}..{most}{because}")
    return items


def sent_anchor(where: str, unix_s: int, slots: Sequence[Slot]) -> int:
    """The TimeAnchor of a list of slots: microseconds, as the standard has all times but durations."""
    sent_integer(where, unix_s, 0, MAX_UNIX_S)
    if unix_s + sum(slot.duration_s for slot in slots) > MAX_UNIX_S:
        raise LocalProtocolError(f"{where} is {unix_s} and the durations end after the year 9999")
    return unix_s * MICROSECONDS


def read_number(
    where: str, value: ct.RationalNumberType, low: float = -MAX_MAGNITUDE, high: float = MAX_MAGNITUDE
) -> float:
    """A peer's number."""
    number = float(value)
    if not low <= number <= high:
        raise RemoteProtocolError(f"{where} is {number:g}, must be within {low:g}..{high:g}")
    return number


def read_optional(
    where: str, value: ct.RationalNumberType | None, low: float = -MAX_MAGNITUDE, high: float = MAX_MAGNITUDE
) -> float | None:
    """As :func:`read_number`; None stays None."""
    return None if value is None else read_number(where, value, low, high)


def read_items(where: str, items: Sequence[T]) -> Sequence[T]:
    """A peer's list. Its upper bound is the schema's, and the codec holds it."""
    if not items:
        raise RemoteProtocolError(f"{where} is empty, must have at least one entry")
    return items


def unix_s_of(secc_time: int) -> float:
    """Unix seconds of a time as a peer sent it: microseconds by the standard ([V2G20-1534]); several stacks send
    seconds, which are told by their size. So a clock that was never set is misread on its first day."""
    return float(secc_time) if secc_time < _LARGEST_SECONDS else secc_time / MICROSECONDS


def read_anchor(where: str, anchor: int, slots: Sequence[Slot]) -> int:
    """Unix seconds of a peer's TimeAnchor, fractions dropped; 0 where the peer names no time."""
    unix_s = int(unix_s_of(anchor))
    if unix_s + sum(slot.duration_s for slot in slots) > MAX_UNIX_S:
        raise RemoteProtocolError(f"{where} is {anchor} and its durations end after the year 9999")
    return unix_s


def is_number(value: object) -> bool:
    """A finite int or float, and no bool."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and (isinstance(value, int) or math.isfinite(value))
    )
