"""journald in its native protocol: one datagram an event, with fields that ``journalctl CODE=TRIP`` finds.

Sending never waits. A datagram that is too large goes as a sealed memory file, or, where that is refused, clipped.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

SOCKET = Path("/run/systemd/journal/socket")
PRIORITIES = {"info": "6", "warning": "4", "error": "3"}
MAX_DATAGRAM_BYTES = 64 * 1024
"""Above this a memory file is passed instead; the kernel's own limit is mostly 212,992."""
CLIPPED_BYTES = 8 * 1024
_SEALS = 0x0F
"""F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_WRITE: journald takes no file that can still be changed."""
_F_ADD_SEALS = 1033
_MFD_ALLOW_SEALING = 2
_MFD_CLOEXEC = 1
_BUSY = (errno.EAGAIN, errno.ENOBUFS)


def is_journal(environ: Mapping[str, str], fd: int = 2) -> bool:
    """Whether what ``fd`` is connected to is the journal's stream: systemd names it in ``JOURNAL_STREAM``."""
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


def encode(fields: Mapping[str, str]) -> bytes:
    """As journald reads it; values may have line ends. Names are upper-case letters, digits and underscores."""
    parts = []
    for name, value in fields.items():
        data = value.encode("utf-8", "backslashreplace")
        if b"\n" in data:
            parts.append(name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n")
        else:
            parts.append(name.encode() + b"=" + data + b"\n")
    return b"".join(parts)


class Journal:
    """A connection to journald. ``lost`` counts events that it had no room for; they are told with the next one."""

    def __init__(self, path: Path = SOCKET) -> None:
        self._path = str(path)
        self._socket: socket.socket | None = None
        self.lost = 0

    def send(self, fields: Mapping[str, str]) -> bool:
        """Whether journald has it, or will never have it since it has no room: False is "nobody is there"."""
        if self.lost:
            fields = {**fields, "LOST_BEFORE": str(self.lost)}
        try:
            self._send(encode(fields), fields)
        except OSError as error:
            if error.errno in _BUSY:
                self.lost += 1
                return True
            self.close()
            return False
        self.lost = 0
        return True

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, data: bytes, fields: Mapping[str, str]) -> None:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        if len(data) <= MAX_DATAGRAM_BYTES:
            try:
                self._socket.sendto(data, self._path)
                return
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
        try:
            self._send_file(data)
        except OSError as error:
            if error.errno in (*_BUSY, errno.ECONNREFUSED, errno.ENOENT):
                raise
            clipped = {name: value[:CLIPPED_BYTES] for name, value in fields.items()}
            self._socket.sendto(encode(clipped)[:MAX_DATAGRAM_BYTES], self._path)

    def _send_file(self, data: bytes) -> None:
        import fcntl

        assert self._socket is not None  # noqa: S101 (_send made it)
        fd = os.memfd_create("v2g-log", _MFD_CLOEXEC | _MFD_ALLOW_SEALING)
        try:
            with os.fdopen(os.dup(fd), "wb") as file:
                file.write(data)
            fcntl.fcntl(fd, _F_ADD_SEALS, _SEALS)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", fd))]
            self._socket.sendmsg([], rights, 0, self._path)
        finally:
            os.close(fd)
