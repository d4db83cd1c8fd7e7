"""The one writer of drop-ins: ``conf.d/90-operator.yaml`` and its like. People's own files are never touched."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from v2g.config.backups import backups, keep, own_as_parent
from v2g.config.loader import DROPIN_DIR, Loaded, load
from v2g.config.migrate import KEY, SCHEMA_VERSION, read
from v2g.config.problems import ConfigError, Problem

OPERATOR_DROPIN = "90-operator.yaml"
CALIBRATION_DROPIN = "80-calibration.yaml"

_HEADER = """\
# Written by v2g-orchestrator's commands, which rewrite it whole: comments are lost, values are kept.
# It wins over v2g.yaml and over the files of this directory that come before it by name.
"""
_NAME = re.compile(r"[0-9]{2}-[a-z0-9-]+\.yaml")
STEP = re.compile(r"([A-Za-z0-9_]+)|\[([^\]]+)\]|\{([^{}]+)\}")
"""Of a path: a name, ``[an id or a position]``, ``{a name that may have dots}``."""
LOCK_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.05


_NEVER = threading.Event()


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET = _Unset()
"""As a value: take the setting out of the drop-in, so that the files below it count again."""


def write_dropin(config_dir: Path, changes: Mapping[str, Any], name: str = OPERATOR_DROPIN) -> Loaded:
    """Set ``changes`` in the drop-in ``name`` and return the configuration that now holds.

    Keys are paths: ``dispatch.min_soc_pct``, ``evses[US*V2G*E1].max_charge_w`` (by id) or ``evses[0].max_charge_w``
    (by position in the merged list), ``dispatch.min_soc_by_vehicle.{CN=a.b}`` (a name that may have dots); values are
    plain YAML types, or :data:`UNSET`. The merged result is checked before anything is replaced; the file is replaced
    whole and durably, one writer at a time, and what it said before is kept (:mod:`v2g.config.backups`).

    Raises :class:`ConfigError` (nothing is changed), :class:`OSError` where the directory cannot be written, or where
    another writer does not end within :data:`LOCK_WITHIN_S`.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a drop-in: two digits, a dash, a word, .yaml")
    file = dropin_path(config_dir, name)
    directory = file.parent
    if not directory.is_dir():
        directory.mkdir(mode=0o755)
        own_as_parent(directory)
    with _locked(directory):
        content = read(file.read_text(encoding="utf-8"), str(file)).tree.plain() if file.exists() else {}
        assert isinstance(content, dict)  # noqa: S101 (read() saw to it)
        if SCHEMA_VERSION > 1:
            content = {KEY: SCHEMA_VERSION, **content}
        ids = _ids(config_dir)
        for path, value in changes.items():
            _change(content, _steps(path, ids, file), value)
        text = _HEADER + (yaml.safe_dump(content, sort_keys=False, allow_unicode=True) if content else "{}\n")
        loaded = load(config_dir, {file: text})
        keep(file)
        _replace(file, text)
    return loaded


def dropin_path(config_dir: Path, name: str = OPERATOR_DROPIN) -> Path:
    return config_dir / DROPIN_DIR / name


def read_dropin(config_dir: Path, name: str = OPERATOR_DROPIN) -> str | None:
    """The text of a drop-in, for :func:`restore_dropin`; None where there is none. Raises OSError."""
    file = dropin_path(config_dir, name)
    return file.read_text(encoding="utf-8") if file.exists() else None


def restore_dropin(config_dir: Path, name: str, text: str | None) -> None:
    """Take a drop-in back to a text that :func:`read_dropin` gave. Raises OSError."""
    file = dropin_path(config_dir, name)
    with _locked(file.parent):
        if text is None:
            file.unlink(missing_ok=True)
        else:
            _replace(file, text)


def restore_backup(config_dir: Path, name: str, number: int) -> Loaded:
    """Take a drop-in back to one of its backups, and return the configuration that now holds; what it said until now
    is kept as another backup.

    Raises ValueError where there is no such backup, :class:`ConfigError` where the configuration would not hold with
    it, OSError.
    """
    file = dropin_path(config_dir, name)
    chosen = next((each for each in backups(file.parent, name) if each.number == number), None)
    if chosen is None:
        raise ValueError(f"there is no backup {number} of {name}: v2g-config backup list shows those that there are")
    with _locked(file.parent):
        text = chosen.path.read_text(encoding="utf-8")
        loaded = load(config_dir, {file: text})
        keep(file)
        _replace(file, text)
    return loaded


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    lock = directory / ".lock"
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        own_as_parent(lock)
        _take(fd, lock)
        yield
    finally:
        os.close(fd)


def _take(fd: int, lock: Path) -> None:
    for _ in range(round(LOCK_WITHIN_S / _LOOK_EVERY_S)):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _NEVER.wait(_LOOK_EVERY_S)
        else:
            return
    raise TimeoutError(errno.ETIMEDOUT, f"another command has been writing there for {LOCK_WITHIN_S:g} s", str(lock))


def _ids(config_dir: Path) -> list[str]:
    """The ids of the EVSEs by position, for paths by position; none while the configuration has mistakes."""
    try:
        return [evse.id for evse in load(config_dir).config.evses]
    except ConfigError:
        return []


def _steps(path: str, ids: list[str], file: Path) -> list[str | tuple[str]]:
    """``evses[0].dc`` -> ``["evses", ("US*V2G*E1",), "dc"]``; a tuple is the id of an entry of a list."""
    steps: list[str | tuple[str]] = []
    rest = path
    while rest:
        match = STEP.match(rest)
        if match is None or (match[2] is not None and not (steps and isinstance(steps[-1], str))):
            raise ConfigError(
                [Problem(str(file), path, "", "is no path", "write it like evses[US*V2G*E1].max_charge_w")]
            )
        if match[1] is not None or match[3] is not None:
            steps.append(match[1] or match[3])
        elif not match[2].isdecimal():
            steps.append((match[2],))
        elif int(match[2]) < len(ids):
            steps.append((ids[int(match[2])],))
        else:
            reason = f"there is no entry {match[2]}"
            raise ConfigError(
                [Problem(str(file), path, "", reason, f"there are {len(ids)}, counted from 0; or name the id")]
            )
        rest = rest[match.end() :].removeprefix(".")
    if not steps or isinstance(steps[-1], tuple):
        raise ConfigError([Problem(str(file), path, "", "names no setting", "end it with the name of a value")])
    return steps


def _change(content: dict[str, Any], steps: list[str | tuple[str]], value: Any) -> None:
    holders: list[tuple[Any, Any]] = []
    place: Any = content
    for position, step in enumerate(steps[:-1]):
        if isinstance(step, tuple):
            entry = next((item for item in place if item.get("id") == step[0]), None)
            if entry is None:
                entry = {"id": step[0]}
                place.append(entry)
            holders.append((place, entry))
            place = entry
        else:
            empty: Any = [] if isinstance(steps[position + 1], tuple) else {}
            if not isinstance(place.get(step), type(empty)):
                place[step] = empty
            holders.append((place, step))
            place = place[step]
    if value is not UNSET:
        place[steps[-1]] = value
        return
    place.pop(steps[-1], None)
    # An entry that holds nothing but its id, a section that holds nothing: gone, or they would still override.
    for holder, key in reversed(holders):
        if isinstance(holder, list):
            if set(key) <= {"id"}:
                holder.remove(key)
        elif not holder[key]:
            del holder[key]


def _replace(file: Path, text: str) -> None:
    fd, temporary = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        own_as_parent(Path(temporary))
        Path(temporary).replace(file)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
