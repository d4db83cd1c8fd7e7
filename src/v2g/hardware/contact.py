"""A contact's position in a memory-mapped file: the hardware relay's feedback, the upstream switch (loss of mains).

The driver of the input writes the position at least every 100 ms; older than 500 ms it is unknown. Layout:
:mod:`v2g.hardware.record_file` with magic ``V2GCNTC\\0``, version 1 and one record (position 1: closed).
"""

from __future__ import annotations

import os
from pathlib import Path

from v2g.hardware.file_owner import require_trusted
from v2g.hardware.record_file import RECORDS_AT, Layout, RecordFile, position
from v2g.hardware.shared_record import file_identity, newest_slot

_LAYOUT = Layout(b"V2GCNTC\0", 1, 1, "contact", "relay.feedback_path or protection.mains_input_path")


class ContactReader:
    """The guard's side. A file that is missing, foreign, torn or somebody else's is an unknown position, no error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._identity: tuple[int, int] | None = None

    def is_closed(self, now_s: float) -> bool | None:
        """None: unknown, or older than 500 ms."""
        try:
            content = self._content()
        except (OSError, ValueError):
            self.close()
            return None
        if len(content) < _LAYOUT.size or not content.startswith(_LAYOUT.header):
            return None
        pair = newest_slot(content[RECORDS_AT:])
        return position(pair[1:] if pair else None, now_s)

    def close(self) -> None:
        """Let go of the file; a later read opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._identity = -1, None

    def _content(self) -> bytes:
        if self._identity is None or file_identity(self._path) != self._identity:
            self.close()
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            status = os.fstat(self._fd)
            require_trusted(self._path, status)
            self._identity = status.st_dev, status.st_ino
        # pread, not mmap: a file that was truncated under a mapping would kill the reader with SIGBUS.
        return os.pread(self._fd, _LAYOUT.size, 0)


class ContactWriter:
    """The driver's side; creates the file. Raises :class:`~v2g.hardware.ports.DeviceError` naming path and remedy."""

    def __init__(self, path: Path) -> None:
        self._file = RecordFile(path, _LAYOUT)

    def report(self, closed: bool, now_s: float) -> None:
        """Repeat it at least every 100 ms. Raises :class:`~v2g.hardware.ports.DeviceError`."""
        self._file.refresh()
        self._file.records[0].write(int(closed), round(now_s * 1e9))

    def close(self) -> None:
        """The file stays; its reader sees the position age."""
        self._file.close()
