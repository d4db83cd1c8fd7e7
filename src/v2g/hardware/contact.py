"""A contact's position in a memory-mapped file: the hardware relay's feedback, the upstream switch (loss of mains).

The driver of the input writes the position at least every 100 ms; older than 500 ms it is unknown. The layout is that
of the breaker's report record (:mod:`v2g.hardware.breaker`) in a file of its own: magic ``V2GCNTC\\0``, version 1,
size, and one :class:`~v2g.hardware.shared_record.SharedRecord` at 64: position (1 closed), CLOCK_MONOTONIC in ns.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from v2g.hardware.ports import DeviceError
from v2g.hardware.shared_record import RECORD_BYTES, SharedRecord, file_identity, map_file, place_file

MAX_AGE_S = 0.5
_MAGIC = b"V2GCNTC\0"
_VERSION = 1
_HEADER = struct.Struct("<8sII")
_RECORD_AT = 64
_SIZE = _RECORD_AT + RECORD_BYTES
# A time ahead of now by more than this is from before a reboot, not a fresh one.
_AHEAD_S = 0.05


class ContactReader:
    """The guard's side. A file that is missing, foreign or torn is an unknown position, never an error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None
        self._memory: mmap.mmap | None = None
        self._record: SharedRecord | None = None

    def is_closed(self, now_s: float) -> bool | None:
        """None: unknown, or older than 500 ms."""
        self._refresh()
        pair = self._record.read() if self._record is not None else None
        if pair is None:
            return None
        age_s = now_s - pair[1] / 1e9
        return bool(pair[0]) if -_AHEAD_S <= age_s <= MAX_AGE_S else None

    def close(self) -> None:
        self._record = None
        if self._memory is not None:
            self._memory.close()
        self._memory = self._identity = None

    def _refresh(self) -> None:
        identity = file_identity(self._path)
        if identity == self._identity:
            return
        self.close()
        if identity is None:
            return
        try:
            memory, self._identity = map_file(self._path, _SIZE, writable=False)
        except (OSError, ValueError):
            return
        if _HEADER.unpack_from(memory, 0) != (_MAGIC, _VERSION, _SIZE):
            memory.close()
            return
        self._memory, self._record = memory, SharedRecord(memory, _RECORD_AT)


class ContactWriter:
    """The driver's side; creates the file. Raises :class:`~v2g.hardware.ports.DeviceError` naming path and remedy."""

    def __init__(self, path: Path) -> None:
        try:
            place_file(path, _HEADER.pack(_MAGIC, _VERSION, _SIZE).ljust(_SIZE, b"\0"), replace=True)
            self._memory, _ = map_file(path, _SIZE, writable=True)
        except (OSError, ValueError) as error:
            raise DeviceError(f"contact {path}: {error}; check the directory and its owner") from None
        self._record = SharedRecord(self._memory, _RECORD_AT)

    def report(self, closed: bool, now_s: float) -> None:
        self._record.write(int(closed), round(now_s * 1e9))

    def close(self) -> None:
        del self._record
        self._memory.close()
