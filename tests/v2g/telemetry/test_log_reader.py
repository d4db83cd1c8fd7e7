"""Logs read back."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest

from v2g.telemetry.lines import text_line, timestamp
from v2g.telemetry.log_entry import Entry, Wanted, parse
from v2g.telemetry.log_follow import Follower, news
from v2g.telemetry.log_reader import LogFiles, last_of, merged
from v2g.telemetry.log_times import moment

T0 = 1_767_323_045.0
"""2026-01-02T03:04:05Z."""


def line(second: float, code: str = "X", message: str = "", level: str = "info", **fields: object) -> bytes:
    return text_line(T0 + second, level, code, message, fields).encode()


def write(path: Path, lines: Iterable[bytes]) -> None:
    data = b"".join(each + b"\n" for each in lines)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def opened(folder: Path, name: str = "comms") -> LogFiles:
    files = LogFiles(name, folder / f"{name}.log")
    files.open()
    return files


def codes(entries: Iterable[Entry]) -> list[str]:
    return [entry.code for entry in entries]


@pytest.fixture
def rotated(tmp_path: Path) -> Path:
    """A to J, in four files."""
    write(tmp_path / "comms.log.3.gz", [line(0, "A"), line(10, "B")])
    write(tmp_path / "comms.log.2.gz", [line(20, "C"), line(30, "D"), line(40, "E")])
    write(tmp_path / "comms.log.1", [line(50, "F"), line(60, "G")])
    write(tmp_path / "comms.log", [line(70, "H"), line(80, "I"), line(90, "J")])
    (tmp_path / "comms.log.bak").write_text("no part of it\n")
    return tmp_path


@pytest.mark.parametrize("second", [-5, 0, 5, 25, 40, 41, 60, 65, 90, 95])
def test_reading_from_a_moment_reaches_as_far_back_as_it_must(rotated: Path, second: int) -> None:
    wanted = Wanted(begin=timestamp(T0 + second))
    expected = [code for number, code in enumerate("ABCDEFGHIJ") if 10 * number >= second]
    assert codes(opened(rotated).forwards(wanted)) == expected
    assert codes(opened(rotated).last(100, wanted)) == expected


def test_it_ends_before_a_moment(rotated: Path) -> None:
    wanted = Wanted(begin=timestamp(T0 + 25), end=timestamp(T0 + 60))
    assert codes(opened(rotated).forwards(wanted)) == ["D", "E", "F"]
    assert codes(opened(rotated).last(2, wanted)) == ["E", "F"]


@pytest.mark.parametrize("count", range(1, 12))
def test_the_last_lines_are_found_through_rotated_files(rotated: Path, count: int) -> None:
    assert codes(opened(rotated).last(count, Wanted())) == list("ABCDEFGHIJ")[-count:]


def test_logs_are_merged_by_time(rotated: Path) -> None:
    write(rotated / "daemon.log", [line(5, "a"), line(55, "f"), line(85, "i")])
    logs = [opened(rotated), opened(rotated, "daemon")]
    assert codes(merged(logs, Wanted())) == ["A", "a", "B", "C", "D", "E", "F", "f", "G", "H", "I", "i", "J"]
    assert codes(last_of(logs, 3, Wanted())) == ["I", "i", "J"]
    assert [entry.log for entry in last_of(logs, 2, Wanted())] == ["daemon", "comms"]


def test_a_search_by_time_in_a_large_file_reads_little_of_it(tmp_path: Path) -> None:
    path = tmp_path / "comms.log"
    with path.open("wb") as file:
        for number in range(20_000):
            file.write(line(number, "LOOP", "x" * 200, number=number) + b"\n")
    files = opened(tmp_path)
    for number in (0, 1, 9_999, 19_990):
        found = files.forwards(Wanted(begin=timestamp(T0 + number)))
        assert next(iter(found)).message_and_fields()[1] == {"number": str(number)}
    file = files._parts[0].file
    start = files._offset_before(files._parts[0], timestamp(T0 + 19_990))
    assert path.stat().st_size - start < 1 << 19
    assert file.tell() > 0
    tracemalloc.start()
    count = sum(1 for _ in files.forwards(Wanted(codes=("NONE",))))
    last = files.last(10, Wanted())
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()
    assert (count, len(last)) == (0, 10)


def test_lines_that_have_no_time_stay_behind_the_one_before_them(tmp_path: Path) -> None:
    write(
        tmp_path / "comms.log",
        [line(0, "A"), "… 3 lines could not be written here: see the journal".encode(), line(1, "B"), b"2026-01-0"],
    )
    forwards = list(opened(tmp_path).forwards(Wanted()))
    assert codes(forwards) == ["A", "", "B", ""]
    assert [entry.time[17:19] for entry in forwards] == ["05", "05", "06", "06"]
    assert opened(tmp_path).last(4, Wanted()) == forwards
    assert codes(opened(tmp_path).forwards(Wanted(level="INFO", codes=("B",)))) == ["B"]


def test_a_line_without_an_end_at_the_files_end_is_shown(tmp_path: Path) -> None:
    (tmp_path / "comms.log").write_bytes(line(0, "A") + b"\n" + line(1, "B"))
    assert codes(opened(tmp_path).forwards(Wanted())) == ["A", "B"]
    assert codes(opened(tmp_path).last(1, Wanted())) == ["B"]


def test_a_line_as_long_as_memory_is_taken_in_pieces(tmp_path: Path) -> None:
    (tmp_path / "comms.log").write_bytes(line(0, "A") + b"\n" + b"x" * 3_000_000 + b"\n" + line(1, "B") + b"\n")
    assert [code for code in codes(opened(tmp_path).forwards(Wanted())) if code] == ["A", "B"]
    assert [code for code in codes(opened(tmp_path).last(100, Wanted())) if code] == ["A", "B"]


def test_files_that_cannot_be_read_are_named_and_the_others_shown(rotated: Path) -> None:
    (rotated / "comms.log.2.gz").write_bytes(b"no gzip")
    (rotated / "comms.log").unlink()
    (rotated / "comms.log").mkdir()
    files = opened(rotated)
    assert codes(files.forwards(Wanted())) == ["A", "B", "F", "G"]
    assert {problem.path.name for problem in files.problems} == {"comms.log", "comms.log.2.gz"}


def test_no_log_is_nothing_and_no_directory_is_told(tmp_path: Path) -> None:
    files = opened(tmp_path)
    assert (list(files.forwards(Wanted())), files.last(3, Wanted()), files.problems) == ([], [], [])
    (missing,) = opened(tmp_path / "nowhere").problems
    assert (missing.reason, missing.denied) == ("No such file or directory", False)


# ---- what is wanted --------------------------------------------------------------------------------------------------


def entry(*args: object, log: str = "comms", **kwargs: object) -> Entry:
    return parse(log, line(*args, **kwargs))  # type: ignore[arg-type]


def test_a_line_is_read_back_as_it_was_written() -> None:
    found = entry(0, "PEER_CLOSED", 'a "quoted" text with x=1 in it', "error", evse="US*V2G*E1", why='say "no"\n')
    assert (found.level, found.code) == ("ERROR", "PEER_CLOSED")
    assert found.as_json() == {
        "time": "2026-01-02T03:04:05.000Z",
        "level": "ERROR",
        "log": "comms",
        "code": "PEER_CLOSED",
        "message": 'a "quoted" text with x=1 in it',
        "evse": "US*V2G*E1",
        "why": 'say "no"\\n',
    }


def test_the_seal_of_the_audit_log_is_not_shown() -> None:
    sealed = line(0, "CALL", user="alice") + b" seq=12 chain=" + b"ab" * 16
    found = parse("audit", sealed)
    assert found.text.endswith("CALL user=alice")
    assert "seq" not in found.as_json()


def test_what_could_move_a_cursor_is_not_shown_as_it_is() -> None:
    assert parse("comms", line(0) + b" \x1b[2J\xff").text.isprintable()


@pytest.mark.parametrize(
    ("wanted", "codes_found"),
    [
        (Wanted(), "ABCD"),
        (Wanted(level="WARNING"), "BC"),
        (Wanted(level="ERROR"), "C"),
        (Wanted(codes=("A", "C")), "AC"),
        (Wanted(codes=("?",)), "ABCD"),
        (Wanted(session="0A0B"), "A"),
        (Wanted(session="0A"), "AB"),
        (Wanted(evse="US*V2G*E1"), "AC"),
        (Wanted(evse="US*V2G*E12"), "B"),
        (Wanted(evse="US*V2G*E1", level="ERROR"), "C"),
        (Wanted(session="FF"), ""),
    ],
)
def test_lines_are_chosen(tmp_path: Path, wanted: Wanted, codes_found: str) -> None:
    write(
        tmp_path / "comms.log",
        [
            line(0, "A", "US*V2G*E1 / here", session="0A0B"),
            line(1, "B", "there", "warning", session="0A1B", evse="US*V2G*E12"),
            line(2, "C", "US*V2G*E1: PLC", "error"),
            line(3, "D", "session=0A0B is in the text, not a field of this line", why="none"),
        ],
    )
    assert "".join(codes(opened(tmp_path).forwards(wanted))) == codes_found
    assert "".join(codes(opened(tmp_path).last(9, wanted))) == codes_found


# ---- following -------------------------------------------------------------------------------------------------------


def test_following_goes_on_behind_what_was_read_and_over_rotation(tmp_path: Path) -> None:
    path = tmp_path / "comms.log"
    write(path, [line(0, "A")])
    files = opened(tmp_path)
    with path.open("ab") as file:
        file.write(line(1, "B") + b"\n")
    follower = files.follower()
    # Moved before it was looked at for the first time.
    path.rename(tmp_path / "comms.log.1")
    assert codes(files.forwards(Wanted())) == ["A"]
    with (tmp_path / "comms.log.1").open("ab") as file:
        file.write(line(2, "C") + b"\n")
    write(path, [line(3, "D")])
    assert codes(news([follower], Wanted())) == ["B", "C", "D"]
    with path.open("ab") as file:
        file.write(line(4, "E")[:30])
        file.flush()
        assert news([follower], Wanted()) == []
        file.write(line(4, "E")[30:] + b"\n")
    assert codes(news([follower], Wanted())) == ["E"]
    os.truncate(path, 0)
    with path.open("ab") as file:
        file.write(line(5, "F") + b"\n")
    assert codes(news([follower], Wanted())) == ["F"]
    follower.close()


def test_a_log_that_comes_later_is_followed_from_its_beginning(tmp_path: Path) -> None:
    follower = Follower("comms", tmp_path / "comms.log")
    assert news([follower], Wanted()) == []
    write(tmp_path / "comms.log", [line(0, "A"), line(1, "B", level="error")])
    assert codes(news([follower], Wanted(level="ERROR"))) == ["B"]


def test_news_of_several_logs_come_by_time(tmp_path: Path) -> None:
    followers = [Follower(name, tmp_path / f"{name}.log") for name in ("comms", "daemon")]
    write(tmp_path / "comms.log", [line(0, "A"), line(2, "C")])
    write(tmp_path / "daemon.log", [line(1, "B")])
    assert codes(news(followers, Wanted())) == ["A", "B", "C"]


# ---- moments ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1h", "2026-01-02T02:04:05.000Z"),
        ("90min", "2026-01-02T01:34:05.000Z"),
        ("7d", "2025-12-26T03:04:05.000Z"),
        ("02:30", "2026-01-02T02:30:00.000Z"),
        ("3:05", "2026-01-01T03:05:00.000Z"),
        ("2026-01-01", "2026-01-01T00:00:00.000Z"),
        ("2026-01-01T18:00", "2026-01-01T18:00:00.000Z"),
        ("2026-01-01T18:00:01.5Z", "2026-01-01T18:00:01.500Z"),
        ("2026-01-01T18:00+03:00", "2026-01-01T15:00:00.000Z"),
    ],
)
def test_moments_are_understood(text: str, found: str) -> None:
    assert moment(text, T0) == found


@pytest.mark.parametrize(
    "text", ["", "yesterday", "25:00", "2026-13-01", "1 fortnight", "-1h", "5", "1e999h", "9" * 400 + "h"]
)
def test_what_is_no_moment_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(ValueError, match=r"02:30"):
        moment(text, T0)
