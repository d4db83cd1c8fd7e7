"""The first bytes of the guard's status: its layout, and the version of the ``tick`` that writes it.

They stay what they are in all versions, so that each can say of another one why its status cannot be read.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from pathlib import Path

from v2g.hardware.file_owner import require_trusted

_STEM = b"V2GST\x00\x00"
_VERSION_AT = slice(8, 40)
HEADER_BYTES = 64


@dataclass(frozen=True, slots=True)
class Header:
    """``version``: empty where the writer does not tell."""

    layout: int
    version: str


def magic(layout: int) -> bytes:
    """The eight bytes that a file of this layout (1..255) begins with."""
    return _STEM + bytes([layout])


def write_version(memory: mmap.mmap, version: str) -> None:
    text = version.encode("ascii", "replace")[: _VERSION_AT.stop - _VERSION_AT.start]
    memory[_VERSION_AT] = text.ljust(_VERSION_AT.stop - _VERSION_AT.start, b"\0")


def read_header(path: Path) -> Header | None:
    """None: there is no status, or it is none of ours. Never raises."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            require_trusted(path, os.fstat(fd))
            content = os.pread(fd, HEADER_BYTES, 0)
        finally:
            os.close(fd)
    except (OSError, ValueError):
        return None
    if len(content) < HEADER_BYTES or not content.startswith(_STEM):
        return None
    text = content[_VERSION_AT].rstrip(b"\0").decode("ascii", "replace")
    return Header(content[len(_STEM)], text if text.isprintable() else "")
