"""The chain of ``audit.log``: each line ends with ``seq=<n> chain=<hex>``, and a line that was changed does not fit.

``chain`` is HMAC-SHA-256 of the chain value before and of the line's own bytes up to and with ``seq=<n>``, cut to 128
bits (as RFC 4868 does). Without the key nobody can make a line that fits; with it, and only with it, the whole can be
checked. Lines of the chain itself (``CHAIN_STARTED``, ``CHAIN_CONTINUED``, ``CHAIN_RESUMED``) carry the value that they
follow, so that a file can be checked where older ones are gone. Pure.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import msgspec

KEY_BYTES = 32
VALUE_BYTES = 16
STARTED, CONTINUED, RESUMED = "CHAIN_STARTED", "CHAIN_CONTINUED", "CHAIN_RESUMED"
NEW_KEY, NO_HEAD, NO_LOG = "new key", "no head", "the log is gone"
"""Reasons of such a line after which nobody can tell whether lines before it were removed."""

_SEALED = re.compile(rb"(.*) seq=([0-9]{1,18}) chain=([0-9a-f]{32})", re.DOTALL)
_CODE = re.compile(rb"\S+ [A-Z]+: (CHAIN_STARTED|CHAIN_CONTINUED|CHAIN_RESUMED) ")
_FIELD = re.compile(rb" (previous_seq|previous_chain|key|torn_bytes|earlier_bytes)=([0-9a-f]+)(?= |$)")


@dataclass(frozen=True, slots=True)
class Link:
    """A place in the chain: the number of a line and its value."""

    seq: int
    value: str


BEGINNING = Link(0, "0" * (2 * VALUE_BYTES))


class ChainKey:
    """The key, ready for use. ``id`` names it and tells nothing of it."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the key of the audit log has {KEY_BYTES} bytes")
        # HMAC by its two pads: hmac.digest() looks the algorithm up anew for each line, which costs more than the line.
        padded = key.ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))
        self.id = self._mac(b"key id")[:4].hex()

    def seal(self, before: str, body: bytes) -> str:
        """The chain value of the line ``body``, which ends with its ``seq=<n>``."""
        return self._mac(b"line " + before.encode() + b" " + body)[:VALUE_BYTES].hex()

    def seal_head(self, content: bytes) -> str:
        return self._mac(b"head " + content)[:VALUE_BYTES].hex()

    def _mac(self, data: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(data)
        outer.update(inner.digest())
        return outer.digest()


def sealed(line: str, before: Link, key: ChainKey) -> tuple[bytes, Link]:
    """The line as it goes into the file, without its end, and its place in the chain."""
    seq = before.seq + 1
    body = f"{line} seq={seq}".encode("utf-8", "backslashreplace")
    value = key.seal(before.value, body)
    return body + b" chain=" + value.encode(), Link(seq, value)


@dataclass(frozen=True, slots=True)
class SealedLine:
    """A line of the log as it is read. ``body`` is what was sealed, ``text`` is it without ``seq``."""

    text: bytes
    body: bytes
    seq: int
    value: str


def parse_line(line: bytes) -> SealedLine | None:
    """None: it has no ``seq`` and ``chain`` at its end. ``line`` is without its line end."""
    match = _SEALED.fullmatch(line)
    if match is None:
        return None
    return SealedLine(match[1], line[: match.start(3) - len(b" chain=")], int(match[2]), match[3].decode())


@dataclass(frozen=True, slots=True)
class ChainEvent:
    """What a line of the chain itself says. ``torn_bytes``: of a line before it that was cut off;
    ``earlier_bytes``: of what was in the file before the chain began; ``doubt``: :data:`NEW_KEY` and its like."""

    code: str
    previous: Link
    key_id: str
    torn_bytes: int = 0
    earlier_bytes: int = 0
    doubt: str = ""


def chain_event(line: SealedLine) -> ChainEvent | None:
    """None: a line of the log's own. Whether it is genuine, its seal tells."""
    code = _CODE.match(line.text + b" ")
    if code is None:
        return None
    fields = {name.decode(): value.decode() for name, value in _FIELD.findall(line.text)}
    numbers = {name: fields.get(name, "0") for name in ("previous_seq", "torn_bytes", "earlier_bytes")}
    if not all(text.isdecimal() and len(text) < 19 for text in numbers.values()):
        return None
    previous = Link(int(numbers["previous_seq"]), fields.get("previous_chain", ""))
    return ChainEvent(
        code[1].decode(),
        previous,
        fields.get("key", ""),
        int(numbers["torn_bytes"]),
        int(numbers["earlier_bytes"]),
        next((reason for reason in (NEW_KEY, NO_HEAD, NO_LOG) if f' reason="{reason}"'.encode() in line.text), ""),
    )


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the chain as it was on the disk at ``unix_s``: the log has at least so many lines."""

    seq: int
    chain: str
    key: str
    unix_s: float
    seal: str = ""

    @property
    def link(self) -> Link:
        return Link(self.seq, self.chain)

    def sealed_with(self, key: ChainKey) -> Head:
        return msgspec.structs.replace(self, seal=key.seal_head(self._content()))

    def is_sealed_with(self, key: ChainKey) -> bool:
        return self.seal == key.seal_head(self._content())

    def _content(self) -> bytes:
        return f"{self.seq} {self.chain} {self.key} {self.unix_s!r}".encode()


def parse_head(data: bytes) -> Head:
    """Raises ``ValueError`` for what is no head."""
    try:
        head = msgspec.json.decode(data, type=Head)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    if head.seq < 0 or not re.fullmatch(r"[0-9a-f]{32}", head.chain):
        raise ValueError("its seq or chain is none")
    return head
