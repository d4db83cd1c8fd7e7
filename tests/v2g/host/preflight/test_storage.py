"""Directories of the daemons, judged."""

from __future__ import annotations

import pytest

from v2g.host.preflight.model import Level
from v2g.host.preflight.storage import DirFacts, judge_disk, size

GIB = 1 << 30
MIB = 1 << 20


def facts(use: str = "logs", **changes: object) -> DirFacts:
    settings = {"free_bytes": 40 * GIB, "total_bytes": 100 * GIB, "free_inodes": 10**6, "inodes": 10**7, **changes}
    return DirFacts(use, f"/var/{use}", **settings)  # type: ignore[arg-type]


def test_directories_with_room_are_told_in_one_line() -> None:
    (line,) = judge_disk([facts(), facts("state"), facts("run", free_bytes=40 * MIB, total_bytes=50 * MIB)])
    assert line.level is Level.PASS
    assert line.found == "logs 40.0 GiB free, state 40.0 GiB free, run 40 MiB free"


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({"problem": "No such file or directory"}, Level.FAIL, "No such file"),
        ({"read_only": True, "write_problem": "Read-only file system"}, Level.FAIL, "is read-only"),
        ({"free_bytes": 0, "write_problem": "No space left on device"}, Level.FAIL, "is full: only 0 MiB free"),
        ({"free_bytes": 15 * MIB}, Level.FAIL, "is full"),
        ({"free_inodes": 3}, Level.FAIL, "3 inodes free"),
        ({"write_problem": "Permission denied"}, Level.FAIL, "cannot be written: Permission denied"),
        ({"free_bytes": 400 * MIB}, Level.WARN, "nearly full"),
        ({"free_inodes": 400}, Level.WARN, "400 inodes free"),
        ({"inodes": 0, "free_inodes": 0}, Level.PASS, "free"),
        ({"free_bytes": 60 * MIB, "total_bytes": 100 * MIB}, Level.PASS, "free"),
    ],
)
def test_what_keeps_logs_and_state_from_being_written_fails_by_name(
    changes: dict[str, object], level: Level, words: str
) -> None:
    (line,) = judge_disk([facts("state", **changes)])
    assert line.level is level
    assert words in line.found
    if level is not Level.PASS:
        assert "/var/state" in line.found
        assert line.remedy


def test_one_bad_directory_does_not_hide_the_good_ones() -> None:
    bad, good = judge_disk([facts("logs", free_bytes=0), facts("state")])
    assert (bad.level, good.level, good.found) == (Level.FAIL, Level.PASS, "state 40.0 GiB free")


def test_sizes_are_as_people_write_them() -> None:
    assert [size(count) for count in (0, 12 * MIB, 3 * GIB // 2)] == ["0 MiB", "12 MiB", "1.5 GiB"]
