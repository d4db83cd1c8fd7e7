"""Events of a report out of the logs, whole and rotated, broken and unreadable."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from v2g.cli.report_events import Events, add_lines, read_events
from v2g.telemetry.lines import text_line

T0 = 1_764_000_000.0


def line(at_s: float, level: str, code: str, message: str = "words", **fields: object) -> str:
    return text_line(T0 + at_s, level, code, message, fields)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "comms.log").write_text(
        "\n".join([line(-9.0, "error", "OLD"), line(5.0, "error", "SECC_TIMEOUT", "a"), line(9.0, "info", "SESSION")])
        + "\n"
    )
    (tmp_path / "daemon.log").write_text(line(1.0, "info", "READY", "v2g-orchestrator 0.1.0: ready") + "\ntorn li")
    with gzip.open(tmp_path / "power_quality.log.2.gz", "wt") as file:
        file.write(line(2.0, "warning", "FREQUENCY_DEVIATION", "60.3 Hz") + "\n")
    (tmp_path / "power_quality.log").write_text(
        line(3.0, "warning", "FREQUENCY_DEVIATION", "59.6 Hz") + "\n" + line(4000.0, "warning", "LATER") + "\n"
    )
    return tmp_path


def test_warnings_and_errors_are_counted_by_code_and_the_worst_come_first(logs: Path) -> None:
    events = read_events(logs, T0, T0 + 3600.0)
    kinds = events.sorted_kinds()
    assert [(kind.code, kind.level, kind.log, kind.count) for kind in kinds] == [
        ("SECC_TIMEOUT", "ERROR", "comms", 1),
        ("FREQUENCY_DEVIATION", "WARNING", "power_quality", 2),
    ]
    assert (kinds[1].message, kinds[1].first[-6:], kinds[1].last[-6:]) == ("59.6 Hz", "2.000Z", "3.000Z")
    assert [(code, message) for _, code, message in events.starts] == [("READY", "v2g-orchestrator 0.1.0: ready")]
    assert events.problems == []


def test_what_is_not_there_or_broken_is_said(tmp_path: Path) -> None:
    nothing = read_events(tmp_path / "none", T0, T0 + 60.0)
    assert "cannot be read" in nothing.problems[0]
    empty = read_events(tmp_path, T0, T0 + 60.0)
    assert len(empty.problems) == 3
    (tmp_path / "comms.log.1.gz").write_bytes(b"\x1f\x8b\x08\x00broken")
    (tmp_path / "daemon.log").mkdir()
    problems = " ".join(read_events(tmp_path, T0, T0 + 60.0).problems)
    assert "comms.log.1.gz: cannot be read" in problems
    assert "daemon.log: cannot be read (Is a directory)" in problems


def test_a_log_that_may_not_be_read_names_the_group(monkeypatch: pytest.MonkeyPatch, logs: Path) -> None:
    whole = Path.open

    def denied(self: Path, *arguments: object, **more: object) -> object:
        if self.name == "comms.log":
            raise PermissionError(13, os.strerror(13))
        return whole(self, *arguments, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", denied)
    events = read_events(logs, T0, T0 + 3600.0)
    assert events.problems == [f"{logs / 'comms.log'}: may not be read: ask as root, or as a member of group v2g"]
    assert [kind.code for kind in events.sorted_kinds()] == ["FREQUENCY_DEVIATION"]


def test_a_flood_of_codes_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("v2g.cli.report_events.MOST_KINDS", 5)
    events = Events()
    add_lines(events, "comms", (line(1.0, "warning", f"C{n}").encode() for n in range(20)), T0, T0 + 60.0)
    assert (len(events.kinds), events.left_out, events.lines) == (5, 15, 20)
