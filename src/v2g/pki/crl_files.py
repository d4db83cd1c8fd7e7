"""CRL files in directories: read again when they change, in a thread beside the control cycle."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from v2g.pki.crl import LARGEST_CRL, Crl, CrlError, CrlShelf, read_crls

SUFFIXES = (".pem", ".der", ".crl")
MOST_FILES = 256
_Signature = tuple[int, int, int]


class CrlFiles:
    """What the directories hold; a file that did not change is not read again, however many there are."""

    def __init__(self, *folders: Path) -> None:
        self._folders = folders
        self._read: dict[Path, tuple[_Signature, list[Crl], str]] = {}

    def load(self) -> tuple[CrlShelf, bool]:
        """All CRLs, and whether anything changed since the last time. Never raises."""
        present, unlisted = self._present()
        changed = present.keys() != self._read.keys()
        for path, signature in present.items():
            known = self._read.get(path)
            if known is None or known[0] != signature:
                self._read[path] = (signature, *_load(path))
                changed = True
        for path in self._read.keys() - present.keys():
            del self._read[path]
        crls = [crl for _, found, _ in self._read.values() for crl in found]
        problems = [problem for _, _, problem in self._read.values() if problem]
        return CrlShelf(crls, [*unlisted, *problems]), changed

    def _present(self) -> tuple[dict[Path, _Signature], list[str]]:
        found: dict[Path, _Signature] = {}
        problems = []
        for folder in self._folders:
            try:
                with os.scandir(folder) as entries:
                    names = sorted(e.name for e in entries if e.name.lower().endswith(SUFFIXES) and e.name[0] != ".")
            except FileNotFoundError:
                continue
            except OSError as error:
                problems.append(f"{folder} cannot be read: {error.strerror}")
                continue
            if len(names) > MOST_FILES:
                problems.append(f"{folder} holds {len(names)} files, only {MOST_FILES} are read: remove old ones")
            for name in names[:MOST_FILES]:
                try:
                    status = (folder / name).stat()
                    found[folder / name] = (status.st_mtime_ns, status.st_size, status.st_ino)
                except OSError as error:
                    problems.append(f"{folder / name} cannot be read: {error.strerror}")
        return found, problems


def _load(path: Path) -> tuple[list[Crl], str]:
    """Its CRLs, or why there are none."""
    try:
        # Without waiting, should it be a named pipe.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return [], f"{path} is no file: remove it"
            data = file.read(LARGEST_CRL + 1)
        return read_crls(data, str(path)), ""
    except OSError as error:
        return [], f"{path} cannot be read: {error.strerror}"
    except CrlError as error:
        return [], f"{error}: replace or remove it"


def offline_shelf(folders: Sequence[Path]) -> CrlShelf:
    """What the directories hold now."""
    return CrlFiles(*folders).load()[0]
