"""The V2G breaker's output and feedback in a memory-mapped file: hold-to-close.

The guard writes the command, the breaker's driver (or the simulated plant) writes the position. Each side judges the
other by the age of what it wrote: a command that is not refreshed for 500 ms is *open*, a position that old is unknown.
Layout: :mod:`v2g.hardware.record_file` with magic ``V2GBRKR\\0``, version 2 and two records: command, report.
"""

from __future__ import annotations

from pathlib import Path

from v2g.hardware.record_file import HOLD_TIMEOUT_S, Layout, RecordFile, position

__all__ = ["HOLD_TIMEOUT_S", "MmapBreakerDevice", "MmapBreakerOutput"]

_LAYOUT = Layout(b"V2GBRKR\0", 2, 2, "breaker output", "breaker.output_path")
_COMMAND, _REPORT = 0, 1


class MmapBreakerOutput:
    """The guard's side; creates the file when it is absent. Raises :class:`~v2g.hardware.ports.DeviceError`."""

    def __init__(self, path: Path) -> None:
        self._file = RecordFile(path, _LAYOUT)

    def hold(self, close: bool, now_s: float) -> None:
        """Command the breaker; ``True`` must be repeated at least every 100 ms."""
        self._file.refresh()
        self._file.records[_COMMAND].write(int(close), round(now_s * 1e9))

    def is_closed(self, now_s: float) -> bool | None:
        self._file.refresh()
        return position(self._file.records[_REPORT].read(), now_s)

    def close(self) -> None:
        """Command *open* is not implied: without refreshing, the breaker opens by itself."""
        self._file.close()


class MmapBreakerDevice:
    """The breaker's side; creates the file when it is absent. Raises :class:`~v2g.hardware.ports.DeviceError`."""

    def __init__(self, path: Path) -> None:
        self._file = RecordFile(path, _LAYOUT)

    def commanded(self, now_s: float) -> bool:
        """True while a command to close is held and fresh."""
        self._file.refresh()
        return position(self._file.records[_COMMAND].read(), now_s) is True

    def report(self, closed: bool, now_s: float) -> None:
        """The position of the contacts (52a); repeat it at least every 100 ms."""
        self._file.refresh()
        self._file.records[_REPORT].write(int(closed), round(now_s * 1e9))

    def close(self) -> None:
        self._file.close()
