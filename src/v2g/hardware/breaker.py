"""The V2G breaker's output and feedback in a memory-mapped file: hold-to-close.

The guard writes the command, the breaker's driver (or the simulated plant) writes the position. Each side judges the
other by the age of what it wrote: a command that is not refreshed for 500 ms is *open*, a position that old is unknown.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from v2g.hardware.ports import DeviceError
from v2g.hardware.shared_record import RECORD_BYTES, SharedRecord, file_identity, map_file, place_file

HOLD_TIMEOUT_S = 0.5
"""Open after this long without a refreshed command; the position is unknown after this long without a report."""

_MAGIC = b"V2GBRKR\0"
_VERSION = 1
_HEADER = struct.Struct("<8sII")
_COMMAND_AT = 64
_REPORT_AT = _COMMAND_AT + RECORD_BYTES
_SIZE = _REPORT_AT + RECORD_BYTES
# A time ahead of now by more than this is from before a reboot, not a fresh one.
_AHEAD_S = 0.05


class MmapBreakerOutput:
    """The guard's side; creates the file when it is absent. Raises :class:`DeviceError` naming path and remedy."""

    def __init__(self, path: Path) -> None:
        self._file = _BreakerFile(path)

    def hold(self, close: bool, now_s: float) -> None:
        """Command the breaker; ``True`` must be repeated at least every 100 ms."""
        self._file.refresh()
        self._file.command.write(int(close), round(now_s * 1e9))

    def is_closed(self, now_s: float) -> bool | None:
        self._file.refresh()
        return _fresh(self._file.report, now_s)

    def close(self) -> None:
        """Command *open* is not implied: without refreshing, the breaker opens by itself."""
        self._file.close()


class MmapBreakerDevice:
    """The breaker's side; creates the file when it is absent. Raises :class:`DeviceError` naming path and remedy."""

    def __init__(self, path: Path) -> None:
        self._file = _BreakerFile(path)

    def commanded(self, now_s: float) -> bool:
        """True while a command to close is held and fresh."""
        self._file.refresh()
        return _fresh(self._file.command, now_s) is True

    def report(self, closed: bool, now_s: float) -> None:
        """The position of the contacts (52a); repeat it at least every 100 ms."""
        self._file.refresh()
        self._file.report.write(int(closed), round(now_s * 1e9))

    def close(self) -> None:
        self._file.close()


class _BreakerFile:
    command: SharedRecord
    report: SharedRecord
    _memory: mmap.mmap

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Map the file again if somebody removed or replaced it."""
        if self._identity is not None and file_identity(self._path) == self._identity:
            return
        try:
            place_file(self._path, _HEADER.pack(_MAGIC, _VERSION, _SIZE).ljust(_SIZE, b"\0"), replace=False)
            memory, identity = map_file(self._path, _SIZE, writable=True)
        except (OSError, ValueError) as error:
            raise DeviceError(
                f"breaker output {self._path}: {error}; check breaker.output_path and its owner"
            ) from None
        magic, version, size = _HEADER.unpack_from(memory, 0)
        if (magic, version, size) != (_MAGIC, _VERSION, _SIZE):
            raise DeviceError(
                f"breaker output {self._path} is not a breaker file of version {_VERSION}; remove it and restart"
            )
        self.command = SharedRecord(memory, _COMMAND_AT)
        self.report = SharedRecord(memory, _REPORT_AT)
        self._memory, self._identity = memory, identity

    def close(self) -> None:
        self._identity = None
        del self.command, self.report
        self._memory.close()


def _fresh(record: SharedRecord, now_s: float) -> bool | None:
    pair = record.read()
    if pair is None:
        return None
    age_s = now_s - pair[1] / 1e9
    return bool(pair[0]) if -_AHEAD_S <= age_s <= HOLD_TIMEOUT_S else None
