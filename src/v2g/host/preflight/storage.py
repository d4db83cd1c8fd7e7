"""Directories that the daemons write: there, writable, with room. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from v2g.host.preflight.model import PreflightLine, failed, passed, warned

_MIB = 1 << 20
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class DirFacts:
    """``problem``: why it cannot be looked at; ``write_problem``: why a small file could not be written there.

    ``free_bytes`` and ``free_inodes`` for users that are not root; ``inodes`` 0: the file system does not count them.
    """

    use: str
    path: str
    problem: str = ""
    write_problem: str = ""
    read_only: bool = False
    free_bytes: int = 0
    total_bytes: int = 0
    free_inodes: int = 0
    inodes: int = 0


@dataclass(frozen=True, slots=True)
class Room:
    """Less than ``fail_bytes`` is full; less than ``warn_bytes``, or a twentieth of the whole if that is less, is
    nearly so."""

    fail_bytes: int
    warn_bytes: int


ROOMS = {"logs": Room(16 * _MIB, 512 * _MIB), "state": Room(16 * _MIB, 512 * _MIB), "run": Room(2 * _MIB, 8 * _MIB)}
_FAIL_INODES, _WARN_INODES = 16, 512
_FREE = "free some: journalctl --vacuum-size=100M, old files in {path}; df -h {path} shows it"


def judge_disk(directories: Sequence[DirFacts]) -> Iterator[PreflightLine]:
    good = []
    for facts in directories:
        line = _judged(facts)
        if line is None:
            good.append(f"{facts.use} {size(facts.free_bytes)} free")
        else:
            yield line
    if good:
        yield passed("disk", ", ".join(good))


def _judged(facts: DirFacts) -> PreflightLine | None:
    name, where = "disk", f"{facts.use} directory {facts.path}"
    if facts.problem:
        return failed(name, f"{where}: {facts.problem}", "v2g-tool install makes it; or correct paths in v2g.yaml")
    room = ROOMS.get(facts.use, ROOMS["state"])
    full = f"only {size(facts.free_bytes)} free"
    remedy = _FREE.format(path=facts.path)
    if facts.read_only:
        return failed(
            name, f"{where} is read-only", "mount its file system writable; dmesg says if the disk has failed"
        )
    if facts.free_bytes < room.fail_bytes:
        return failed(name, f"{where} is full: {full}", remedy)
    if facts.inodes and facts.free_inodes < _FAIL_INODES:
        return failed(
            name, f"{where} is full: {facts.free_inodes} inodes free", "remove small files; df -i shows where"
        )
    if facts.write_problem:
        return failed(
            name,
            f"{where} cannot be written: {facts.write_problem}",
            "owner and mode as systemd/tmpfiles.d/v2g.conf says: systemd-tmpfiles --create v2g.conf",
        )
    if facts.free_bytes < min(room.warn_bytes, facts.total_bytes // 20):
        return warned(name, f"{where} is nearly full: {full}", remedy)
    if facts.inodes and facts.free_inodes < min(_WARN_INODES, facts.inodes // 20):
        return warned(name, f"{where}: {facts.free_inodes} inodes free", "remove small files; df -i shows where")
    return None


def size(count: int) -> str:
    """``1.5 GiB``, ``12 MiB``."""
    return f"{count / _GIB:.1f} GiB" if count >= _GIB else f"{count / _MIB:.0f} MiB"
