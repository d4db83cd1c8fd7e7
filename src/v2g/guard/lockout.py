"""The operators' lockout (lock-out, tag-out) of the V2G breaker: while anybody's lock is on, it stays open.

Everybody locks in his own name and takes away his own lock; a lock whose owner is gone is taken away by name, which
the orchestrator lets engineers do. ``<state_dir>/lockout.json`` exists while there are locks. A file that cannot be
read counts as a lock named :data:`UNREADABLE`. No trip reset touches a lock.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from v2g.host.files import replace_file, sync_file
from v2g.host.kept import Kept, decode_kept

UNREADABLE = "lockout-file"
MAX_LOCKS = 8
MAX_NOTE_CHARS = 120
_MAX_FILE_BYTES = 64 * 1024


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    """``by`` locked it at ``unix_s``."""

    by: str
    unix_s: float = 0.0
    note: str = ""


class LockoutRefused(Exception):
    """Nothing has changed; the message says why and what to do."""


class _Kept(Kept, frozen=True, kw_only=True):
    locks: tuple[Lock, ...]


class Lockout:
    """``locks``: those that are on, oldest first. ``problem``: why it is locked though nobody's lock could be read."""

    def __init__(self, path: Path, unix_s: float = 0.0) -> None:
        self.path = path
        self.problem = ""
        self.locks: tuple[Lock, ...] = ()
        try:
            with path.open("rb") as file:
                self.locks = decode_kept(file.read(_MAX_FILE_BYTES), _Kept).locks[:MAX_LOCKS]
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            self.problem = (
                f"{path} cannot be read ({error}): the breaker counts as locked out; when nobody works on the "
                f"installation: v2g-tool lockout off --force {UNREADABLE}"
            )
            self.locks = (Lock(by=UNREADABLE, unix_s=unix_s),)

    @property
    def locked(self) -> bool:
        return bool(self.locks)

    @property
    def names(self) -> str:
        """Who has locked it: ``anna, ben``; empty while nobody has."""
        return ", ".join(lock.by for lock in self.locks)

    def lock(self, by: str, note: str, unix_s: float) -> None:
        """In force when this returns or raises ``OSError``, which says that a restart would forget it.

        A second lock of the same name replaces the note. Raises :class:`LockoutRefused` without a name, and where
        :data:`MAX_LOCKS` others are on.
        """
        if not by:
            raise LockoutRefused("a lock needs a name")
        others = tuple(lock for lock in self.locks if lock.by != by)
        if len(others) >= MAX_LOCKS:
            raise LockoutRefused(f"{MAX_LOCKS} locks are on already ({self.names}): the breaker is locked out")
        own = next((lock for lock in self.locks if lock.by == by), None)
        kept = own.unix_s if own is not None else unix_s
        self.locks = (*others, Lock(by=by, unix_s=kept, note=note[:MAX_NOTE_CHARS]))
        self._keep(self.locks)

    def unlock(self, name: str) -> Lock:
        """Take away the lock of ``name``; the others stay.

        Raises :class:`LockoutRefused` where there is none, and ``OSError`` when that cannot be kept: it is then on
        as before.
        """
        gone = next((lock for lock in self.locks if lock.by == name), None)
        if gone is None:
            on = f"locks are on by {self.names}" if self.locks else "no lock is on"
            raise LockoutRefused(f"{name or 'nobody'} has no lock here: {on}")
        rest = tuple(lock for lock in self.locks if lock is not gone)
        self._keep(rest)
        self.locks, self.problem = rest, ""
        return gone

    def sync(self) -> None:
        """Put it on the disk. May take long; never call it from the tick. Raises ``OSError``."""
        sync_file(self.path)

    def _keep(self, locks: tuple[Lock, ...]) -> None:
        if locks:
            replace_file(self.path, msgspec.json.encode(_Kept(locks=locks)) + b"\n")
        else:
            self.path.unlink(missing_ok=True)
