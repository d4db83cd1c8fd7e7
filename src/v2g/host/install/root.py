"""The files of one root directory, of the running system or of an image, by their absolute paths in it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
from pathlib import Path

from v2g.host.files import replace_file
from v2g.host.install.errors import InstallError, from_os

_MOST_BYTES = 16 * 1024 * 1024
_WRITTEN = ("/etc", "/etc/v2g", "/usr/share", "/usr/local/share", "/var/lib")
"""Each may be a file system of its own."""


class Root:
    """``directory``: ``/`` or where an image is laid out. What leads out of an image is refused."""

    def __init__(self, directory: Path = Path("/")) -> None:
        self.directory = directory.resolve()
        self.is_host = self.directory == Path("/")

    def at(self, path: str) -> Path:
        """Where ``path`` is for this process. Raises :class:`InstallError` when a link on the way leads out."""
        place = self.directory / path.lstrip("/")
        if not self.is_host and not place.resolve().is_relative_to(self.directory):
            raise InstallError(f"{place} leads out of {self.directory} by a symbolic link: make it a relative one")
        return place

    def look(self, path: str) -> bytes | None:
        """Content of a file; None: there is none. Raises :class:`InstallError` for what is no file or unreadable."""
        place = self.at(path)
        try:
            found = place.stat()
            if not stat.S_ISREG(found.st_mode):
                raise InstallError(f"{place} is no file: move it away, then run this again")
            if found.st_size > _MOST_BYTES:
                raise InstallError(f"{place} has {found.st_size} bytes, which is none of ours: move it away")
            return place.read_bytes()
        except FileNotFoundError:
            if place.is_symlink():
                raise InstallError(f"{place} is a symbolic link that leads nowhere: remove it") from None
            return None
        except OSError as error:
            raise from_os(error, place, "read") from None

    def is_directory(self, path: str) -> bool:
        place = self.at(path)
        if place.exists() and not place.is_dir():
            raise InstallError(f"{place} is a file where a directory belongs: move it away, then run this again")
        return place.is_dir()

    def is_there(self, path: str) -> bool:
        return os.path.lexists(self.at(path))

    def make_directory(self, path: str, mode: int = 0o755) -> None:
        place = self.at(path)
        try:
            place.mkdir(mode, exist_ok=True)
            # Whatever the umask of the caller says.
            place.chmod(mode)
        except OSError as error:
            raise from_os(error, place, "make") from None

    def write(self, path: str, data: bytes, mode: int, *, on_disk: bool = False) -> None:
        """Whole or not at all; also when the power fails where it is ``on_disk``, or since :meth:`sync`."""
        place = self.at(path)
        try:
            # A link of yours stays one: what it leads to is replaced.
            target = place.resolve() if place.is_symlink() else place
            replace_file(target, data, mode, on_disk=on_disk)
            target.chmod(mode)
        except OSError as error:
            # What could not be written whole must not stay.
            with contextlib.suppress(OSError):
                place.with_name(f".{place.name}.{os.getpid()}").unlink(missing_ok=True)
            raise from_os(error, place, "write") from None

    def sync(self) -> None:
        """What was written is on the disk when this returns, as far as the disk says."""
        libc = ctypes.CDLL(None)
        devices: set[int] = set()
        for path in _WRITTEN:
            with contextlib.suppress(OSError):
                fd = os.open(self.at(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    if (device := os.fstat(fd).st_dev) not in devices:
                        devices.add(device)
                        # Not sync(): other file systems of a loaded host may take minutes.
                        libc.syncfs(fd)
                finally:
                    os.close(fd)

    def remove(self, path: str) -> bool:
        """A file; whether it was there."""
        place = self.at(path)
        try:
            place.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise from_os(error, place, "remove") from None
        return True

    def remove_empty(self, path: str) -> bool:
        """A directory, when nothing is in it; whether it was removed."""
        place = self.at(path)
        try:
            place.rmdir()
        except OSError as error:
            if not place.is_dir() or any(place.iterdir()):
                return False
            raise from_os(error, place, "remove") from None
        return True
