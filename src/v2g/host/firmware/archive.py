"""The container of a bundle: a plain POSIX ustar file, read by ourselves, since it is read before it is trusted.

Regular files of known names and nothing else: no links, no devices, no directories, no extended headers, nothing
twice. A reader never holds more than one header, and never believes a size that the file does not have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from v2g.host.firmware.errors import FirmwareError
from v2g.host.firmware.manifest import MANIFEST_MAX_BYTES, MAX_WHEELS, TOTAL_MAX_BYTES, WHEEL_MAX_BYTES

MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"
SIGNATURE_MAX_BYTES: Final = 16 << 10

_BLOCK: Final = 512
_KINDS: Final = {b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"5": "a directory",
                 b"6": "a pipe", b"x": "an extended header", b"g": "an extended header", b"L": "a long name",
                 b"K": "a long name"}  # fmt: skip
_NAME: Final = re.compile(r"manifest\.json|manifest\.sig|wheels/[0-9]{3}\.whl")
_AGAIN: Final = "fetch it anew; a maker makes one with v2g-tool firmware pack"


def wheel_member(position: int) -> str:
    """Of the manifest's wheel at this position: the names of wheels are too long for the header."""
    return f"wheels/{position:03d}.whl"


@dataclass(frozen=True, slots=True)
class Member:
    name: str
    size: int
    offset: int


def read_index(stream: BinaryIO, path: Path) -> dict[str, Member]:
    """Every file of the bundle by its name. Raises :class:`FirmwareError`, OSError."""
    length = stream.seek(0, 2)
    if length > TOTAL_MAX_BYTES + MANIFEST_MAX_BYTES:
        raise FirmwareError(f"{path} has {length >> 20} MiB, more than a bundle may have: take the right file")
    found: dict[str, Member] = {}
    for member in _members(stream, path, length):
        if member.name in found:
            raise FirmwareError(f"{path} holds {member.name} twice: {_AGAIN}")
        if len(found) >= MAX_WHEELS + 2:
            raise FirmwareError(f"{path} holds more than {MAX_WHEELS + 2} files: {_AGAIN}")
        found[member.name] = member
    if MANIFEST not in found:
        raise FirmwareError(f"{path} has no {MANIFEST}, it is no bundle of ours: {_AGAIN}")
    return found


def read_member(stream: BinaryIO, member: Member, path: Path) -> bytes:
    """Of a small one. Raises :class:`FirmwareError`, OSError."""
    stream.seek(member.offset)
    data = stream.read(member.size)
    if len(data) != member.size:
        raise FirmwareError(f"{path} ends within {member.name}, it was cut off: {_AGAIN}")
    return data


def pieces(stream: BinaryIO, member: Member, path: Path, size: int = 1 << 20) -> Iterator[bytes]:
    """A large one, piece by piece. Raises :class:`FirmwareError`, OSError."""
    stream.seek(member.offset)
    left = member.size
    while left:
        data = stream.read(min(size, left))
        if not data:
            raise FirmwareError(f"{path} ends within {member.name}, it was cut off: {_AGAIN}")
        left -= len(data)
        yield data


def _members(stream: BinaryIO, path: Path, length: int) -> Iterator[Member]:
    at = 0
    while True:
        stream.seek(at)
        header = stream.read(_BLOCK)
        if len(header) < _BLOCK:
            raise FirmwareError(f"{path} has no end mark, it was cut off: {_AGAIN}")
        if not header.strip(b"\0"):
            return
        member = _member(header, at, path)
        end = member.offset + member.size
        if end > length:
            raise FirmwareError(f"{path} ends within {member.name}, it was cut off: {_AGAIN}")
        yield member
        at = member.offset + -(-member.size // _BLOCK) * _BLOCK


def _member(header: bytes, at: int, path: Path) -> Member:
    if header[257:262] != b"ustar":
        raise FirmwareError(f"{path} is no bundle, or is damaged at byte {at}: {_AGAIN}")
    checksum = sum(header[:148]) + sum(header[156:]) + 8 * 0x20
    if _octal(header[148:156]) != checksum:
        raise FirmwareError(f"{path} is damaged at byte {at}: {_AGAIN}")
    prefix = header[345:500].split(b"\0", 1)[0]
    name = (prefix + b"/" if prefix else b"") + header[:100].split(b"\0", 1)[0]
    shown = ascii(name[:80].decode("ascii", "replace"))
    kind = header[156:157]
    if kind not in (b"0", b"\0"):
        raise FirmwareError(f"{path} holds {_KINDS.get(kind, 'something that is no file')}, {shown}: {_AGAIN}")
    text = name.decode("ascii", "replace")
    if not _NAME.fullmatch(text):
        what = (
            "an absolute path"
            if text.startswith("/")
            else "a path that leaves it"
            if ".." in text
            else "a strange file"
        )
        raise FirmwareError(f"{path} holds {what}, {shown}: {_AGAIN}")
    size = _octal(header[124:136])
    limit = {MANIFEST: MANIFEST_MAX_BYTES, SIGNATURE: SIGNATURE_MAX_BYTES}.get(text, WHEEL_MAX_BYTES)
    if size is None or size > limit:
        raise FirmwareError(f"{path} holds {shown} of more than {limit} bytes: {_AGAIN}")
    return Member(text, size, at + _BLOCK)


def _octal(field: bytes) -> int | None:
    digits = field.strip(b" \0")
    return int(digits, 8) if re.fullmatch(rb"[0-7]{1,12}", digits) else None
