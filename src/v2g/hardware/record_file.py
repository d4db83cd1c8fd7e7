"""A small file of shared records behind a header: breaker output, contacts.

Layout (little-endian): 8 bytes of magic, u32 version, u32 size of the file, and from 64 on one
:class:`~v2g.hardware.shared_record.SharedRecord` of 64 bytes after the other. A record here is a position (u64, 1:
closed) and CLOCK_MONOTONIC in ns when it was told.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import NamedTuple

from v2g.hardware.file_owner import discard_untrusted
from v2g.hardware.ports import DeviceError
from v2g.hardware.shared_record import RECORD_BYTES, SharedRecord, file_identity, map_file, place_file

RECORDS_AT = 64
HOLD_TIMEOUT_S = 0.5
"""A position that was not told again for this long is unknown."""
AHEAD_S = 0.05
"""A time ahead of now by more than this is from before a reboot, not a fresh one."""

_HEADER = struct.Struct("<8sII")


class Layout(NamedTuple):
    """``what`` and ``setting`` are for people: ``breaker output``, ``breaker.output_path``."""

    magic: bytes
    version: int
    records: int
    what: str
    setting: str

    @property
    def size(self) -> int:
        return RECORDS_AT + self.records * RECORD_BYTES

    @property
    def header(self) -> bytes:
        return _HEADER.pack(self.magic, self.version, self.size)


class RecordFile:
    """The file mapped for writing; created when it is absent. Raises :class:`DeviceError` naming path and remedy."""

    records: tuple[SharedRecord, ...]
    _memory: mmap.mmap

    def __init__(self, path: Path, layout: Layout) -> None:
        self._path = path
        self._layout = layout
        self._identity: tuple[int, int] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Map the file again if somebody removed or replaced it."""
        if self._identity is not None and file_identity(self._path) == self._identity:
            return
        layout = self._layout
        try:
            discard_untrusted(self._path)
            place_file(self._path, layout.header.ljust(layout.size, b"\0"))
            memory, identity = map_file(self._path, layout.size, writable=True)
        except (OSError, ValueError) as error:
            raise DeviceError(
                f"{layout.what} {self._path}: {error}; check {layout.setting} and the file's owner"
            ) from None
        if memory[: len(layout.header)] != layout.header:
            memory.close()
            raise DeviceError(
                f"{layout.what} {self._path} is not one of version {layout.version}; check {layout.setting}, remove "
                "the file and restart"
            )
        self.records = tuple(
            SharedRecord(memory, RECORDS_AT + number * RECORD_BYTES) for number in range(layout.records)
        )
        self._memory, self._identity = memory, identity

    def close(self) -> None:
        self._identity = None
        self.records = ()
        self._memory.close()


def position(pair: tuple[int, int] | None, now_s: float) -> bool | None:
    """What a record says at ``now_s``: None when it was never told, too long ago or before a reboot."""
    if pair is None or pair[0] > 1:
        return None
    age_s = now_s - pair[1] / 1e9
    return bool(pair[0]) if -AHEAD_S <= age_s <= HOLD_TIMEOUT_S else None
