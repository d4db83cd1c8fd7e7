from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from v2g.clock import ManualClock, SystemClock
from v2g.pki.clock_sync import (
    RELEASED_UNIX_S,
    STATE_FILE,
    WRITTEN_EVERY_S,
    ClockWatch,
    JudgedTime,
    is_synchronised,
    judge,
)

KNOWN = 1_800_000_000.0


class Lines:
    def __init__(self) -> None:
        self.codes: list[str] = []

    def info(self, code: str, message: str = "", /, **_: object) -> None:
        self.codes.append(code)

    warning = info


@pytest.mark.parametrize(
    ("system", "synchronised", "expected"),
    [
        (KNOWN + 50, True, JudgedTime(KNOWN + 50, False)),
        (KNOWN - 50, True, JudgedTime(KNOWN - 50, False)),
        (KNOWN + 50, False, JudgedTime(KNOWN + 50, True)),
        (0.0, False, JudgedTime(KNOWN, True)),
        (KNOWN + 50, None, JudgedTime(KNOWN + 50, False)),
        (0.0, None, JudgedTime(KNOWN, True)),
    ],
)
def test_the_time_that_counts(system: float, synchronised: bool | None, expected: JudgedTime) -> None:
    assert judge(system, synchronised, KNOWN) == expected


def test_the_hosts_kernel_can_be_asked() -> None:
    assert is_synchronised() in (True, False, None)


def test_the_release_is_a_time_that_has_passed() -> None:
    assert SystemClock().unix_s() > RELEASED_UNIX_S


def watch(
    tmp_path: Path, clock: ManualClock, state: list[bool | None], log: Any = None, known: float = KNOWN
) -> ClockWatch:
    return ClockWatch(clock, tmp_path, known_unix_s=[known], log=log, probe=lambda: state[0])


def test_a_clock_at_1970_is_judged_by_what_is_known(tmp_path: Path) -> None:
    clock = ManualClock(unix_s=100.0)
    assert watch(tmp_path, clock, [False]).judged() == JudgedTime(KNOWN, True)
    assert watch(tmp_path, clock, [False], known=5.0).judged() == JudgedTime(RELEASED_UNIX_S, True)


def test_the_time_is_written_down_while_it_is_right_and_counts_after_a_boot(tmp_path: Path) -> None:
    clock = ManualClock(unix_s=KNOWN + 9e6)
    watch(tmp_path, clock, [True]).refresh()
    assert watch(tmp_path, ManualClock(unix_s=0.0), [False]).judged() == JudgedTime(KNOWN + 9e6, True)


@pytest.mark.parametrize("state", [False, None])
def test_a_time_that_may_be_wrong_is_not_written_down(tmp_path: Path, state: bool | None) -> None:
    watch(tmp_path, ManualClock(unix_s=KNOWN + 9e9), [state]).refresh()
    assert not (tmp_path / STATE_FILE).exists()


def test_the_disk_is_written_once_an_hour(tmp_path: Path) -> None:
    clock = ManualClock(unix_s=KNOWN)
    watching = watch(tmp_path, clock, [True])
    watching.refresh()
    clock.advance(WRITTEN_EVERY_S - 10)
    watching.refresh()
    assert json.loads((tmp_path / STATE_FILE).read_text()) == {"unix_s": KNOWN}
    clock.advance(20)
    watching.refresh()
    assert json.loads((tmp_path / STATE_FILE).read_text()) == {"unix_s": KNOWN + WRITTEN_EVERY_S + 10}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"unix_s": "x"}', b'{"unix_s": 1e999}', b"\xff" * 9000])
def test_a_file_that_was_damaged_counts_for_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STATE_FILE).write_bytes(content)
    assert watch(tmp_path, ManualClock(unix_s=0.0), [False]).judged() == JudgedTime(KNOWN, True)


def test_begin_and_end_are_told_once(tmp_path: Path) -> None:
    clock, state, log = ManualClock(unix_s=0.0), [False], Lines()
    watching = watch(tmp_path, clock, state, log)
    for _ in range(3):
        watching.refresh()
        clock.advance(2.0)
    state[0] = True
    for _ in range(3):
        watching.refresh()
        clock.advance(2.0)
    assert log.codes == ["CLOCK_UNSYNCED", "CLOCK_SYNCED"]


def test_a_clock_that_is_right_is_not_spoken_of(tmp_path: Path) -> None:
    log = Lines()
    watch(tmp_path, ManualClock(unix_s=KNOWN), [True], log).refresh()
    assert log.codes == []


def test_the_kernel_is_asked_once_a_second_at_most(tmp_path: Path) -> None:
    clock, asked = ManualClock(unix_s=KNOWN), []
    watching = ClockWatch(clock, tmp_path, probe=lambda: bool(asked.append(1)))
    for _ in range(5):
        watching.judged()
    clock.advance(1.0)
    watching.judged()
    assert len(asked) == 2


def test_a_disk_that_is_full_stops_nothing(tmp_path: Path) -> None:
    clock = ManualClock(unix_s=KNOWN)
    watching = ClockWatch(clock, tmp_path / "absent", probe=lambda: True)
    watching.refresh()
    assert watching.judged().at_unix_s == KNOWN
