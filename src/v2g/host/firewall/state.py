"""What is known between commands: what was applied, what was confirmed, and a rollback that is pending.

The directory belongs to root alone: what is in it is handed to ``nft`` by root.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from v2g.host.files import replace_file, sync_file
from v2g.host.firewall.model import Features
from v2g.host.firewall.nft import FirewallError

DEFAULT_DIR = Path("/var/lib/v2g-firewall")
_MAX_BYTES = 64 << 20


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Which kernel and which network namespace a ruleset was put into; neither survives a boot."""

    boot_id: str
    netns: int


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """A ruleset that was put: its text, and the kernel's own listing of it (:func:`v2g.host.firewall.kernel.shape`)."""

    text: str
    shape: tuple[str, ...]
    place: Place
    at_unix_s: float
    lacking: tuple[str, ...] = ()
    features: Features = Features()


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """The process of sshd that serves one connection: its id, and when it began in ticks since boot."""

    pid: int
    began: int


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """Not confirmed yet. ``previous_text``: what to go back to; empty: to no table of ours at all.

    ``deadline_s``: CLOCK_MONOTONIC. ``login``: of whom the rules were applied by, where that was over SSH.
    """

    id: str
    place: Place
    deadline_s: float
    previous_text: str
    previous: Applied | None
    login: Login | None = None


class Confirmed(msgspec.Struct, frozen=True, kw_only=True):
    """The last text that somebody confirmed: what a boot puts."""

    text: str
    at_unix_s: float


T = TypeVar("T", Applied, Pending, Confirmed)
_FILES: dict[type, str] = {Applied: "applied.json", Pending: "pending.json", Confirmed: "confirmed.json"}


class StateDir:
    """The state files below ``path``; every change is made with :meth:`locked`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self) -> None:
        """Make the directory, or check it. Raises :class:`FirewallError`."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.path.lstat()
        except OSError as error:
            raise FirewallError(f"{self.path} cannot be made: {error.strerror}; run this with sudo") from None
        self._judge(found)

    def _judge(self, found: os.stat_result) -> None:
        if not stat.S_ISDIR(found.st_mode):
            raise FirewallError(f"{self.path} is no directory: move it away; v2g-tool firewall makes its own")
        if found.st_uid != os.geteuid():
            raise FirewallError(f"{self.path} belongs to another user: run this with sudo, or chown root {self.path}")
        if found.st_mode & 0o022:
            raise FirewallError(f"{self.path} may be written by others: chmod 700 {self.path}")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One command at a time. Raises :class:`FirewallError`."""
        self.prepare()
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fd = os.open(self.path / "lock", flags, 0o600)
        except OSError as error:
            raise FirewallError(f"{self.path / 'lock'} cannot be opened: {error.strerror}") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def read(self, kind: type[T]) -> T | None:
        """None: there is none. Raises :class:`FirewallError` where it is there and cannot be read."""
        path = self.path / _FILES[kind]
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise FirewallError(f"{path} cannot be read: {error.strerror}; run this with sudo") from None
        with os.fdopen(fd, "rb") as file:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
                raise FirewallError(f"{path} is no file of root's alone: remove it, then apply again")
            data = file.read(_MAX_BYTES + 1)
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            raise FirewallError(f"{path} is damaged ({error}): remove it, then apply again") from None

    def write(self, record: Applied | Pending | Confirmed) -> None:
        """On the disk when this returns. Raises :class:`FirewallError`."""
        path = self.path / _FILES[type(record)]
        try:
            replace_file(path, msgspec.json.encode(record), 0o600, on_disk=True)
        except OSError as error:
            raise FirewallError(f"{path} cannot be written: {error.strerror}; nothing was changed for it") from None

    def forget(self, kind: type[T]) -> None:
        """Raises :class:`FirewallError`."""
        path = self.path / _FILES[kind]
        try:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            sync_file(path)
        except OSError as error:
            raise FirewallError(f"{path} cannot be removed: {error.strerror}") from None


def place(proc: Path = Path("/proc")) -> Place:
    """Of this process. Raises :class:`FirewallError`."""
    try:
        boot_id = (proc / "sys/kernel/random/boot_id").read_text().strip()
        return Place(boot_id=boot_id, netns=(proc / "self/ns/net").stat().st_ino)
    except OSError as error:
        raise FirewallError(f"{proc} does not tell this boot and network namespace: {error.strerror}") from None
