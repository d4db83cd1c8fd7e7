"""``/opt/v2g``: the slots, the link that says which one runs, and the journal; every change survives a loss of power.

``slots/a`` and ``slots/b`` are virtual environments, ``package`` is one that a package manager owns; ``current`` is a
symbolic link to one of them. Commands are
scripts that name their slot's interpreter, so that what was started from one slot never takes code from the other.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from v2g.host.files import replace_file, sync_file
from v2g.host.firmware.errors import FirmwareError
from v2g.host.firmware.steps import PACKAGE, SCHEMA, SLOTS, Journal, Last

_MARK: Final = "v2g-slot.json"
_MAX_BYTES: Final = 1 << 20

T = TypeVar("T")


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Written last into a slot: it is whole."""

    version: str
    digest: str


def _below(slot: str) -> str:
    return slot if slot == PACKAGE else f"slots/{slot}"


class Slots:
    """Below ``root``. Methods that change something raise :class:`FirmwareError` with what to do."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.current = root / "current"
        self.staging = root / "staging"
        self.probe = root / "probe"
        self.backups = root / "backups"

    def path(self, slot: str) -> Path:
        return self.root / _below(slot)

    def active(self) -> str | None:
        """Which slot runs; None: there is no link yet. Raises :class:`FirmwareError` where it is none of ours."""
        try:
            target = self.current.readlink()
        except FileNotFoundError:
            return None
        except OSError:
            raise FirmwareError(
                f"{self.current} is no symbolic link: move it away; updates need it to be one to slots/a or slots/b"
            ) from None
        slot = target.name
        if slot not in (*SLOTS, PACKAGE) or self.root / target != self.path(slot):
            raise FirmwareError(
                f"{self.current} leads to {target}: it has to lead to slots/a or slots/b, or to {PACKAGE}"
            )
        return slot

    def mark(self, slot: str) -> Mark | None:
        """None: the slot is empty or not whole."""
        try:
            return msgspec.json.decode((self.path(slot) / _MARK).read_bytes()[:_MAX_BYTES], type=Mark)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def clear(self, slot: str) -> None:
        """Empty it; its mark goes first."""
        if slot == self.active():
            raise FirmwareError(f"slot {slot} runs: it is never emptied")
        if slot == PACKAGE:
            raise FirmwareError(f"{self.path(slot)} belongs to the package manager: it is never emptied")
        path = self.path(slot)
        with self._told(f"{path} cannot be emptied"):
            (path / _MARK).unlink(missing_ok=True)
            if path.exists():
                sync_file(path / _MARK)
                shutil.rmtree(path)
            path.parent.mkdir(mode=0o755, exist_ok=True)

    def seal(self, slot: str, mark: Mark) -> None:
        """All of the slot is on the disk, then its mark."""
        with self._told(f"{self.path(slot)} cannot be written"):
            os.sync()
            replace_file(self.path(slot) / _MARK, msgspec.json.encode(mark), 0o644, on_disk=True)
            sync_file(self.path(slot))

    def point_to(self, slot: str | None) -> None:
        """Move ``current`` in one step; None: take it away. On the disk when this returns."""
        with self._told(f"{self.current} cannot be moved"):
            if slot is None:
                self.current.unlink(missing_ok=True)
            else:
                self._link("current", slot)
            _sync_dir(self.root)

    def call_proven(self, slot: str) -> None:
        """Move ``proven``: whose commands take an update back at a boot, when the one in place may be broken."""
        with self._told(f"{self.root / 'proven'} cannot be moved"):
            self._link("proven", slot)
            _sync_dir(self.root)

    def journal(self) -> Journal | None:
        return self._read("journal.json", Journal)

    def write_journal(self, journal: Journal) -> None:
        self._write("journal.json", journal)

    def last(self) -> Last | None:
        return self._read("last.json", Last)

    def finish(self, last: Last) -> None:
        """How it ended, then no journal any more."""
        self._write("last.json", last)
        self.forget()

    def forget(self) -> None:
        with self._told(f"{self.root / 'journal.json'} cannot be removed"):
            (self.root / "journal.json").unlink(missing_ok=True)
            _sync_dir(self.root)

    def tidy(self) -> None:
        """Take away what only an update under way needs. Never raises: it is in nobody's way."""
        for path in (self.staging, self.probe):
            shutil.rmtree(path, ignore_errors=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One command at a time, in a directory that only its owner may write."""
        with self._told(f"{self.root} cannot be made"):
            self.root.mkdir(mode=0o755, parents=True, exist_ok=True)
        found = self.root.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise FirmwareError(f"{self.root} is no directory: name another one in firmware.dir")
        if found.st_uid != os.geteuid():
            raise FirmwareError(f"{self.root} belongs to uid {found.st_uid}: run this as that user, with sudo for root")
        if found.st_mode & 0o022:
            raise FirmwareError(f"{self.root} may be written by others: chmod go-w {self.root}")
        lock = self.root / "lock"
        with self._told(f"{lock} cannot be opened"):
            fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
                raise FirmwareError(
                    f"process {holder or 'unknown'} is changing {self.root} already: wait for its end"
                ) from None
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(fd)

    def _link(self, name: str, slot: str) -> None:
        temporary = self.root / f".{name}.new"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(_below(slot))
        temporary.replace(self.root / name)

    def _read(self, name: str, kind: type[T]) -> T | None:
        path = self.root / name
        try:
            data = path.read_bytes()[:_MAX_BYTES]
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FirmwareError(f"{path} cannot be read: {error.strerror}; run this with sudo") from None
        try:
            schema = msgspec.json.decode(data, type=dict[str, object]).get("schema", 1)
            if isinstance(schema, int) and schema > SCHEMA:
                raise FirmwareError(
                    f"{path} was written by a newer v2g-tool (schema {schema}, this one knows up to {SCHEMA}): use the "
                    "v2g-tool of the other slot"
                )
            return msgspec.json.decode(data, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise FirmwareError(
                f"{path} is damaged ({error}): see where {self.current} leads to, start the services, then remove "
                "the file"
            ) from None

    def _write(self, name: str, record: Journal | Last) -> None:
        with self._told(f"{self.root / name} cannot be written"):
            replace_file(self.root / name, msgspec.json.encode(record) + b"\n", 0o644, on_disk=True)

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            hint = "; run this with sudo" if isinstance(error, PermissionError) else ""
            raise FirmwareError(f"{what}: {error.strerror or error}{hint}") from None


def _sync_dir(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
