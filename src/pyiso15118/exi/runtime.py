"""What generated functions call: variable-length values, and the exceptions they raise.

An encoder carries one ``int`` whose leading bit is the header's, so its bit length is the message's. A decoder carries
the whole input as one ``int`` and the number of bits still unread, ``p``; reading beyond the end makes ``p`` negative,
which the shift refuses.
"""

import operator
from enum import Enum
from typing import Any, TypeVar

E = TypeVar("E", bound=Enum)

LONGEST_INTEGER = 1024
"""Bits of the longest xs:integer read; certificate serial numbers have 160."""

READ_BITS = 4096
"""How many bits already read a loop may drag along before it drops them."""


class Malformed(Exception):
    """The reason, without the place: the line of generated code that raised knows that."""


def as_int(value: Any, low: int | None, high: int | None) -> int:
    """An exact int in range, from anything that is an integer (``IntEnum``, numpy); booleans are none."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise Malformed(f"{value!r} is no integer")
    number = operator.index(value)
    if (low is not None and number < low) or (high is not None and number > high):
        raise Malformed(f"{number} is outside {low} to {high}")
    return number


def as_enum(value: Any, cls: type[E]) -> E:
    """A member of ``cls`` from its string."""
    try:
        return cls(value)
    except ValueError:
        raise Malformed(f"{value!r} is no {cls.__name__}") from None


def wrong_type(value: Any, expected: str) -> Malformed:
    """The error for a value of a class the schema does not permit there."""
    if value is None:
        return Malformed(f"is required ({expected})")
    return Malformed(f"{type(value).__name__} where {expected} is required")


def wrong_length(length: int, low: int, high: int | None, unit: str) -> Malformed:
    """The error for a length outside its facets."""
    return Malformed(f"{length} {unit}, where {low} to {'any number' if high is None else high} are permitted")


def wrong_code() -> Malformed:
    """The error for an event code that the schema gives no meaning, the escape code of deviations included."""
    return Malformed("event code not permitted by the schema here")


def put_uint(acc: int, value: int) -> int:
    """Append an Unsigned Integer (EXI 1.0 section 7.1.6)."""
    while value > 127:
        acc = acc << 8 | value & 127 | 128
        value >>= 7
    return acc << 8 | value


def put_ulong(acc: int, value: int) -> int:
    """As :func:`put_uint`, quick for what time stamps are."""
    if value < 1 << 28 or value >= 1 << 35:
        return put_uint(acc, value)
    return (
        acc << 40
        | (value & 127 | 128) << 32
        | (value >> 7 & 127 | 128) << 24
        | (value >> 14 & 127 | 128) << 16
        | (value >> 21 & 127 | 128) << 8
        | value >> 28
    )


def put_string(acc: int, value: str) -> int:
    """Append a literal string: its length plus two, then its code points."""
    length = len(value)
    acc = acc << 8 | length + 2 if length < 126 else put_uint(acc, length + 2)
    if value.isascii():
        return acc << 8 * length | int.from_bytes(value.encode())
    value.encode()  # refuses lone surrogates
    points = 1
    for character in value:
        points = put_uint(points, ord(character))
        if points >> 4096:
            acc, points = join(acc, points), 1
    return join(acc, points)


def join(acc: int, chunk: int) -> int:
    """Append a chunk, whose leading one bit only marks where it begins."""
    width = chunk.bit_length() - 1
    return acc << width | chunk ^ 1 << width


def put_bytes(acc: int, value: bytes) -> int:
    """Append binary: its length, then its bytes."""
    length = len(value)
    acc = acc << 8 | length if length < 128 else put_uint(acc, length)
    return acc << 8 * length | int.from_bytes(value)


def put_text(acc: int, value: str) -> int:
    """Append a string as an element's content, with the codes before and after it.

    An empty string has no characters event: the element ends by its second-level code, as EXIficient writes it.
    """
    return put_string(acc << 1, value) << 1 if value else acc << 4 | 8


def put_binary(acc: int, value: bytes) -> int:
    """Append binary as an element's content; as :func:`put_text`."""
    return put_bytes(acc << 1, value) << 1 if value else acc << 4 | 8


def get_tail(x: int, p: int, zeros: int) -> int:
    """The last bits of the input, where a length field no longer fits but an empty value's second-level code may."""
    rest = p + 8
    if rest < 3 or x >> rest & (1 << zeros) - 1 != 1 or x >> rest - 3 & 7:
        return x >> p  # p is negative: this raises
    return 1 << 8


def get_more(x: int, p: int, value: int, bits: int) -> tuple[int, int]:
    """The rest of an Unsigned Integer of at most ``bits`` bits, whose first octet gave ``value``."""
    shift = 7
    while True:
        p -= 8
        octet = x >> p & 255
        if octet < 128:
            return value | octet << shift, p
        value |= (octet & 127) << shift
        shift += 7
        if shift >= bits:
            raise Malformed(f"integer of more than {bits} bits")


def get_string(x: int, p: int, code: int, high: int | None) -> tuple[str, int]:
    """A literal string whose length field held ``code``."""
    length = code - 2
    if length < 0:
        raise Malformed("string table hit, where ISO 15118 sends literals only")
    if high is not None and length > high:
        raise wrong_length(length, 0, high, "characters")
    start = p
    p -= 8 * length
    raw = (x >> p & (1 << 8 * length) - 1).to_bytes(length)
    if raw.isascii():
        return raw.decode(), p
    p = start
    characters = []
    for index in range(length):
        if not index & 63 and x.bit_length() - p > READ_BITS:
            x &= (1 << p) - 1
        p -= 8
        point = x >> p & 255
        if point > 127:
            point, p = get_more(x, p, point & 127, 21)
            if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
                raise Malformed(f"code point {point:#x} is no character")
        characters.append(chr(point))
    return "".join(characters), p


def get_bytes(x: int, p: int, length: int, low: int, high: int | None) -> tuple[bytes, int]:
    """Binary of ``length`` bytes."""
    if length < low or (high is not None and length > high):
        raise wrong_length(length, low, high, "bytes")
    p -= 8 * length
    return (x >> p & (1 << 8 * length) - 1).to_bytes(length), p
