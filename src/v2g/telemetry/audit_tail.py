"""The end of ``audit.log`` as it is found: where the chain goes on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from v2g.telemetry.audit_chain import ChainKey, Link, chain_event, parse_line

_WINDOW_BYTES = 1 << 16
_MOST_SEQ = 10**17


@dataclass(frozen=True, slots=True)
class Tail:
    """``end``: the last line that fits (without a key: that looks as if). ``torn_bytes``: of a last line without its
    end; ``unended``: there is one, in the file itself and not in an older one."""

    end: Link | None = None
    torn_bytes: int = 0
    unended: bool = False


def read_tail(path: Path, key: ChainKey | None, *, older: bool = True) -> Tail:
    """Of ``path``, and where no line of it fits of ``<path>.1``, if ``older``. What cannot be read has no end."""
    found = tail_of(_read(path), key)
    if found.end is None and older:
        before = tail_of(_read(path.with_name(f"{path.name}.1")), key)
        return Tail(before.end, before.torn_bytes + found.torn_bytes, found.unended)
    return found


def tail_of(data: bytes, key: ChainKey | None) -> Tail:
    """``data``: the last part of a file; what stands before its first line end may be half a line."""
    *lines, torn = data.split(b"\n")
    end: Link | None = None
    for line in lines:
        end = _after(end, line, key) or end
    # Of the last line nothing but its end may be missing.
    if torn and (whole := _after(end, torn, key)) is not None:
        return Tail(whole, 0, unended=True)
    return Tail(end, len(torn), bool(torn))


def _after(end: Link | None, data: bytes, key: ChainKey | None) -> Link | None:
    """The line's place, if it fits behind ``end``."""
    line = parse_line(data)
    if line is None or line.seq >= _MOST_SEQ:
        return None
    link, event = Link(line.seq, line.value), chain_event(line)
    if key is None or (end is None and event is None):
        return link
    if event is not None and key.seal(event.previous.value, line.body) == line.value:
        return link
    fits = end is not None and line.seq == end.seq + 1 and key.seal(end.value, line.body) == line.value
    return link if fits else None


def _read(path: Path) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _WINDOW_BYTES))
            return file.read(_WINDOW_BYTES)
    except OSError:
        return b""
