"""Which files of the configuration are what they were: digests, kept from one start to the next.

A file that was edited by hand is seen at the next start or within :data:`LOOK_EVERY_S`, and named in the audit log with
its owner and the time that it was written.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from v2g.host.files import replace_file
from v2g.host.kept import Kept, decode_kept
from v2g.telemetry.lines import timestamp

LOOK_EVERY_S: Final = 10.0
RECORD_FILE: Final = "audit.config"
NONE: Final = "none"
_SUFFIXES: Final = frozenset({".yaml", ".conf"})
_MOST_FILES: Final = 500
_MOST_BYTES: Final = 1 << 20
_MOST_RECORD_BYTES: Final = 1 << 20
_MOST_DEPTH: Final = 2


class _Record(Kept, frozen=True, kw_only=True):
    files: dict[str, str]
    running: bool


@dataclass(frozen=True, slots=True)
class Change:
    """``now`` and ``was``: the first 16 hexadecimal digits of SHA-256, or ``none`` for a file that is absent."""

    file: str
    now: str
    was: str
    owner: str = ""
    written: str = ""


class ConfigRecord:
    """Of ``config_dir``, kept in ``state_dir``. :meth:`begin` and :meth:`look` read files: not in the event loop while
    others wait. Neither raises: what cannot be read has the digest ``unreadable``."""

    def __init__(self, config_dir: Path, state_dir: Path) -> None:
        self._dir = config_dir
        self._file = state_dir / RECORD_FILE
        self._files: dict[str, str] = {}
        self._signature: object = None
        self.before = "unknown"
        """How the run before this one ended: ``ended``, ``not ended`` (killed, or the power failed) or ``unknown``."""

    @property
    def digest(self) -> str:
        """Of all files together."""
        text = "\n".join(f"{name} {digest}" for name, digest in sorted(self._files.items()))
        return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]

    @property
    def count(self) -> int:
        return len(self._files)

    def begin(self) -> list[Change]:
        """What is not as it was when somebody looked last; every file where nobody ever did."""
        try:
            with self._file.open("rb") as file:
                record = decode_kept(file.read(_MOST_RECORD_BYTES), _Record)
            self._files, self.before = record.files, "not ended" if record.running else "ended"
        except (OSError, msgspec.MsgspecError):
            self._files = {}
        changes = self.look()
        self._keep(running=True)
        return changes

    def look(self) -> list[Change]:
        """What has changed since the last look."""
        found = dict(self._find())
        signature = {name: (s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in found.items()}
        if signature == self._signature:
            return []
        self._signature = signature
        now = {name: self._digest(name) for name in found}
        changes = [
            Change(name, now.get(name, NONE), self._files.get(name, NONE), *_by(found.get(name)))
            for name in sorted({*now, *self._files})
            if now.get(name, NONE) != self._files.get(name, NONE)
        ]
        if changes:
            self._files = now
            self._keep(running=True)
        return changes

    def end(self) -> list[Change]:
        changes = self.look()
        self._keep(running=False)
        return changes

    def _keep(self, *, running: bool) -> None:
        try:
            replace_file(self._file, msgspec.json.encode(_Record(files=self._files, running=running)))
        except OSError:
            pass  # the next start tells every file as new, which is more, not less

    def _find(self) -> Iterator[tuple[str, os.stat_result]]:
        count = 0
        for folder, folders, names in os.walk(self._dir):
            where = Path(folder)
            if len(where.relative_to(self._dir).parts) >= _MOST_DEPTH:
                folders.clear()
            folders.sort()
            for name in sorted(names):
                path = where / name
                if path.suffix not in _SUFFIXES or name.startswith("."):
                    continue
                try:
                    found = path.stat()
                except OSError:
                    continue
                if stat.S_ISREG(found.st_mode) and count < _MOST_FILES:
                    count += 1
                    yield path.relative_to(self._dir).as_posix(), found

    def _digest(self, name: str) -> str:
        try:
            with (self._dir / name).open("rb") as file:
                return hashlib.sha256(file.read(_MOST_BYTES)).hexdigest()[:16]
        except OSError:
            return "unreadable"


def _by(found: os.stat_result | None) -> tuple[str, str]:
    return ("", "") if found is None else (f"uid {found.st_uid}", timestamp(found.st_mtime))


def fields(change: Change) -> Mapping[str, object]:
    """For the audit line."""
    told: dict[str, object] = {"file": change.file, "sha256": change.now, "was": change.was}
    return told | ({"owner": change.owner, "written": change.written} if change.owner else {})
