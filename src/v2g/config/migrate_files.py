"""Bring the files of a configuration forward on the disk: all or none, each with a copy of what it was beside it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from v2g.config.backups import DIRECTORY
from v2g.config.loader import DROPIN_DIR, MAIN_FILE, load
from v2g.config.migrate import MIGRATIONS, Migration, forward, stamped, version_of
from v2g.config.tree import parse
from v2g.host.files import replace_file


@dataclass(frozen=True, slots=True)
class Move:
    """One file that is of an earlier schema. ``backup``: where what it was is kept."""

    file: Path
    version: int
    newest: int
    words: tuple[str, ...]
    text: str
    backup: Path


def moves(config_dir: Path, migrations: Sequence[Migration] | None = None) -> tuple[Move, ...]:
    """What would be done. Raises :class:`v2g.config.problems.ConfigError`, also where the result would not hold; and
    OSError, UnicodeDecodeError."""
    migrations = MIGRATIONS if migrations is None else migrations
    newest = 1 + len(migrations)
    found = []
    for file in (config_dir / MAIN_FILE, *sorted((config_dir / DROPIN_DIR).glob("*.yaml"))):
        if file.name.startswith(".") or not file.exists():
            continue
        text = file.read_text(encoding="utf-8-sig")
        version = version_of(parse(text, str(file)), migrations)
        if version == newest:
            continue
        moved = stamped(forward(text, version, migrations), newest)
        # Beside drop-ins there may be nothing but drop-ins.
        folder = file.parent / DIRECTORY if file.parent.name == DROPIN_DIR else file.parent
        backup = folder / f"{file.name}.schema-{version}.bak"
        found.append(
            Move(file, version, newest, tuple(each.words for each in migrations[version - 1 :]), moved, backup)
        )
    load(config_dir, {each.file: each.text for each in found})
    return tuple(found)


def write(found: Sequence[Move]) -> None:
    """Put them on the disk, the copies of what was there first. Raises OSError; called again it goes on."""
    for each in found:
        if not each.backup.exists():
            each.backup.parent.mkdir(mode=0o755, exist_ok=True)
            _put(each.backup, each.file.read_bytes(), each.file)
    for each in found:
        _put(each.file, each.text.encode(), each.file)


def _put(path: Path, data: bytes, like: Path) -> None:
    told = like.stat()
    replace_file(path, data, told.st_mode & 0o777, on_disk=True)
    if os.geteuid() == 0:
        os.chown(path, told.st_uid, told.st_gid, follow_symlinks=False)
