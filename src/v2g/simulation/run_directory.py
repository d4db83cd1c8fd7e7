"""The simulation's own directory: where it is, whose it is, and that one simulation has it at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from pathlib import Path

from v2g.control.client import simulation_dirs

_LOCK = "simulation.lock"
_MAX_PATH_BYTES = 70
"""A Unix socket's path has 108 bytes; the longest name below this directory needs the rest."""
_REMADE = ("etc", "pki", "est", "notify", "vehicles", "state", "log")
_LEFTOVERS = ("waveform", "breaker", "relay", "mains", "estop", "door", "guard-status", "plant.json", "control.lock")


class RunDirectoryError(Exception):
    """The directory cannot be used; the message says why and what to do."""


class RunDirectory:
    """Taken by :meth:`take`, given back by :meth:`release`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1

    @classmethod
    def choose(cls, wanted: Path | None) -> RunDirectory:
        """The given one, else the default of this user (where ``v2g-control`` looks)."""
        if wanted is not None:
            return cls(wanted.absolute())
        for candidate in simulation_dirs():
            if os.access(candidate.parent, os.W_OK | os.X_OK):
                return cls(candidate)
        return cls(simulation_dirs()[-1])

    @property
    def is_one(self) -> bool:
        """A simulation made it, now or before."""
        return (self.path / _LOCK).is_file()

    def take(self) -> None:
        """Make it, check its owner, lock it, empty what a former simulation left. Raises :class:`RunDirectoryError`."""
        path = self.path
        if len(os.fsencode(path)) > _MAX_PATH_BYTES:
            raise RunDirectoryError(f"{path} is too long for sockets in it: give a shorter --run-dir")
        try:
            path.mkdir(mode=0o700, parents=False, exist_ok=True)
            info = path.lstat()
        except OSError as error:
            raise RunDirectoryError(f"{path} cannot be made: {error.strerror}; give another --run-dir") from None
        if not stat.S_ISDIR(info.st_mode):
            raise RunDirectoryError(f"{path} is not a directory of its own (a link, a file): give another --run-dir")
        if info.st_uid != os.getuid():
            raise RunDirectoryError(f"{path} belongs to another user (uid {info.st_uid}): give another --run-dir")
        if any(path.iterdir()) and not (path / _LOCK).exists():
            raise RunDirectoryError(f"{path} is not empty and no simulation made it: give another --run-dir")
        path.chmod(0o700)
        self._take_lock()
        self._clean(_REMADE)

    def release(self) -> None:
        """Remove sockets, keys and buffers; logs and the vehicles' last states stay."""
        self._clean(("etc", "pki", "est", "notify"))
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _take_lock(self) -> None:
        lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
            os.close(lock)
            raise RunDirectoryError(
                f"a simulation (pid {owner or 'unknown'}) runs in {self.path} already: "
                "end it with Ctrl-C, or give another --run-dir"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        self._lock = lock

    def _clean(self, folders: tuple[str, ...]) -> None:
        for name in folders:
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in _LEFTOVERS:
            (self.path / name).unlink(missing_ok=True)
        for leftover in self.path.glob("*.sock"):
            leftover.unlink(missing_ok=True)
