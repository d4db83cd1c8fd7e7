"""What an installation does to each file, from what is to be there, what is there, and what was put there. Pure.

A file that differs from everything that was ever put there is somebody's own: it is never overwritten.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from v2g.host.install.manifest import Entry, Manifest, digest
from v2g.host.install.placing import Placed

Look = Callable[[str], bytes | None]
"""Content of a file by its absolute path; None: there is none."""
NEW = ".new"


class Did(enum.StrEnum):
    MADE = "made"
    KEPT = "kept"
    UPDATED = "updated"
    KEPT_YOURS = "kept yours"
    REMOVED = "removed"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of what was done; ``changed``: whether anything was."""

    did: Did
    path: str
    note: str = ""
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """``write`` goes to its path, ``remove`` goes away; ``line`` says so. Not ``settled``: to be offered again."""

    line: Line
    write: Placed | None = None
    remove: str = ""
    settled: bool = True


@dataclass(slots=True)
class Plan:
    """``intended`` is kept before the first step, ``final`` behind the last: whatever stops the work between, what is
    there is known."""

    directories: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    intended: Manifest = field(default_factory=Manifest)
    final: Manifest = field(default_factory=Manifest)


def plan(wanted: Sequence[Placed], before: Manifest, look: Look, is_directory: Callable[[str], bool]) -> Plan:
    """What to do for ``wanted`` to be there. ``before``: the manifest so far, whose version and commands stay."""
    steps: list[Step] = []
    final: dict[str, Entry] = {}
    intended = {entry.path: entry for entry in before.files}
    for placed in wanted:
        found = look(placed.path)
        if found is None or found == placed.data or _ours(found, before.entry(placed.path), before.complete):
            steps.append(_replaced(placed, found))
        else:
            steps.append(_kept_yours(placed, before, look))
            # What is yours alone is not to become ours when this is stopped half-way.
            if before.entry(placed.path) is None:
                intended[placed.path] = Entry(path=placed.path, sha256=())
        if steps[-1].settled:
            _note(final, placed.path, placed.data)
        elif (old := before.entry(placed.path)) is not None:
            final[placed.path] = old
        beside = placed.path + NEW
        if steps[-1].line.did is Did.KEPT_YOURS:
            if (write := steps[-1].write) is not None:
                _note(final, write.path, write.data)
            elif (old := before.entry(beside)) is not None and look(beside) is not None:
                final[beside] = old
    for entry in before.files:
        if entry.path not in final:
            steps.append(_gone(entry, look(entry.path)))
    for path, entry in final.items():
        was = intended.get(path)
        # The old first: a new one that was not yet put beside yours is put there the next time.
        hashes = entry.sha256 if was is None else (*was.sha256, *entry.sha256)
        if was is None or was.sha256:
            intended[path] = Entry(path=path, sha256=tuple(dict.fromkeys(hashes)))
    missing = _missing([step.write.path for step in steps if step.write is not None], is_directory)
    directories = tuple(dict.fromkeys((*before.directories, *missing)))
    kept = [entry for entry in intended.values() if entry.sha256]
    return Plan(missing, steps, _with(before, kept, directories), _with(before, final.values(), directories))


def _note(entries: dict[str, Entry], path: str, data: bytes) -> None:
    entries[path] = Entry(path=path, sha256=(digest(data),))


def _ours(found: bytes, entry: Entry | None, complete: bool = True) -> bool:
    # A file that was being put there when the power failed may be empty.
    return entry is not None and (digest(found) in entry.sha256 or not (found or complete))


def _replaced(placed: Placed, found: bytes | None) -> Step:
    if found == placed.data:
        return Step(Line(Did.KEPT, placed.path))
    return Step(Line(Did.MADE if found is None else Did.UPDATED, placed.path, changed=True), write=placed)


def _kept_yours(placed: Placed, before: Manifest, look: Look) -> Step:
    """It was edited, or was there before us: a version that it has not seen goes beside it."""
    beside = Placed(placed.path + NEW, placed.data, placed.mode)
    name = PurePosixPath(beside.path).name
    there = look(beside.path)
    entry = before.entry(placed.path)
    if there == placed.data:
        return Step(Line(Did.KEPT_YOURS, placed.path, f"the new one is beside it: {name}"))
    if entry is not None and entry.sha256[:1] == (digest(placed.data),):
        return Step(Line(Did.KEPT_YOURS, placed.path, "what is shipped has not changed"))
    if there is not None and not _ours(there, before.entry(beside.path)):
        line = Line(Did.KEPT_YOURS, placed.path, f"and so is {name}: move it away to get the new one there")
        return Step(line, settled=False)
    return Step(Line(Did.KEPT_YOURS, placed.path, f"the new one is beside it: {name}", changed=True), write=beside)


def _gone(entry: Entry, found: bytes | None) -> Step:
    """Of a file that this version has no more."""
    if found is None:
        return Step(Line(Did.NOTE, entry.path, "is gone already, and this version has none"))
    if digest(found) in entry.sha256:
        return Step(Line(Did.REMOVED, entry.path, "this version has none", changed=True), remove=entry.path)
    return Step(Line(Did.KEPT_YOURS, entry.path, "this version has none; it is yours now, remove it if it is not used"))


def _missing(paths: Sequence[str], is_directory: Callable[[str], bool]) -> list[str]:
    """Directories that have to be made, from the top down."""
    found: dict[str, None] = {}
    for path in paths:
        for parent in reversed(PurePosixPath(path).parents):
            if not is_directory(str(parent)):
                found[str(parent)] = None
    return list(found)


def _with(before: Manifest, entries: Iterable[Entry], directories: tuple[str, ...]) -> Manifest:
    files = sorted(entries, key=lambda entry: entry.path)
    return Manifest(
        version=before.version,
        commands=before.commands,
        files=tuple(files),
        directories=directories,
        users=before.users,
        groups=before.groups,
    )
