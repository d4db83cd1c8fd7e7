from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from v2g.clock import ManualClock
from v2g.telemetry import logs


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(unix_s=1767323045.678)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    logs.close()


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_each_log_has_its_file(tmp_path: Path, clock: ManualClock) -> None:
    logs.configure(tmp_path, stderr=False, clock=clock)
    logs.comms_log().error("SECC_TIMEOUT", "silent", evse_id="US*V2G*E1")
    logs.power_quality_log().warning("REVERSE_FLOW_DENIED", "top oil")
    logs.audit_log().info("CALL", method="dispatch")
    logs.daemon_log().info("READY")
    at = "2026-01-02T03:04:05.678Z"
    assert lines(tmp_path / "comms.log") == [f"{at} ERROR: SECC_TIMEOUT silent evse_id=US*V2G*E1"]
    assert lines(tmp_path / "power_quality.log") == [f"{at} WARNING: REVERSE_FLOW_DENIED top oil"]
    assert lines(tmp_path / "audit.log") == [f"{at} INFO: CALL method=dispatch"]
    assert lines(tmp_path / "daemon.log") == [f"{at} INFO: READY"]
    assert (tmp_path / "audit.log").stat().st_mode & 0o027 == 0


def test_fields_may_have_any_name(tmp_path: Path, clock: ManualClock) -> None:
    logs.configure(tmp_path, stderr=False, clock=clock)
    logs.comms_log().info("X", "", code=1, message=2, event=3, level=4, fields=5, self=6)
    assert lines(tmp_path / "comms.log")[0].endswith("X code=1 message=2 event=3 level=4 fields=5 self=6")


def test_a_bound_log_adds_its_fields(tmp_path: Path, clock: ManualClock) -> None:
    logs.configure(tmp_path, stderr=False, clock=clock)
    bound = logs.comms_log().bind(evse_id="US*V2G*E1").bind(session="ab")
    bound.info("PAUSED", "", session="cd")
    assert lines(tmp_path / "comms.log")[0].endswith("PAUSED evse_id=US*V2G*E1 session=cd")


def test_a_rotated_file_is_left_and_a_new_one_begun(tmp_path: Path, clock: ManualClock) -> None:
    logs.configure(tmp_path, stderr=False, clock=clock)
    log = logs.comms_log()
    log.info("ONE")
    (tmp_path / "comms.log").rename(tmp_path / "comms.log.1")
    log.info("TWO")
    (tmp_path / "comms.log").unlink()
    log.info("THREE")
    assert [line[-3:] for line in lines(tmp_path / "comms.log.1")] == ["ONE"]
    assert [line[-5:] for line in lines(tmp_path / "comms.log")] == ["THREE"]


def test_two_processes_may_share_a_file(tmp_path: Path, clock: ManualClock) -> None:
    logs.configure(tmp_path, stderr=False, clock=clock)
    child = os.fork()
    if child == 0:
        for _ in range(100):
            logs.comms_log().info("CHILD", "x" * 200)
        os._exit(0)
    for _ in range(100):
        logs.comms_log().info("PARENT", "y" * 200)
    assert os.waitpid(child, 0)[1] == 0
    found = lines(tmp_path / "comms.log")
    assert len(found) == 200
    assert all(line.endswith(("x" * 200, "y" * 200)) for line in found)


def test_a_code_that_floods_is_bounded_and_the_gap_is_told(tmp_path: Path, clock: ManualClock) -> None:
    logs.configure(tmp_path, stderr=False, clock=clock)
    for _ in range(1000):
        logs.comms_log().warning("GARBAGE")
    logs.comms_log().error("SECC_TIMEOUT")
    clock.advance(1.0)
    logs.comms_log().warning("GARBAGE")
    found = lines(tmp_path / "comms.log")
    assert len(found) == 202
    assert found[200].endswith("ERROR: SECC_TIMEOUT")
    assert found[201].endswith("left_out_before=800")


def test_codes_without_end_share_one_budget(tmp_path: Path, clock: ManualClock) -> None:
    logs.configure(tmp_path, stderr=False, clock=clock)
    for number in range(5000):
        logs.comms_log().info(f"CODE_{number}")
    assert len(lines(tmp_path / "comms.log")) == 256 + 200


def test_the_audit_log_leaves_nothing_out(tmp_path: Path, clock: ManualClock) -> None:
    logs.configure(tmp_path, stderr=False, clock=clock)
    for _ in range(1000):
        logs.audit_log().info("CALL")
    assert len(lines(tmp_path / "audit.log")) == 1000


def test_an_unwritable_place_sends_lines_to_stderr_and_says_why_once(
    tmp_path: Path, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    logs.configure(tmp_path / "file" / "logs", stderr=False, clock=clock)
    logs.comms_log().info("ONE")
    logs.comms_log().info("TWO")
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 3
    assert "comms.log: cannot be written (Not a directory)" in shown[0]
    assert [line[-3:] for line in shown[1:]] == ["ONE", "TWO"]


def test_a_full_disk_tears_at_most_one_line_and_is_told_when_it_is_over(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(tmp_path, stderr=False, clock=clock)
    room = 10
    write = os.write

    def full(fd: int, data: bytes) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(fd, data[:room])
        room -= written
        return written

    monkeypatch.setattr("v2g.telemetry.files.os.write", full)
    logs.comms_log().info("TORN")
    clock.advance(2.0)
    logs.comms_log().info("LOST")
    logs.comms_log().info("LOST_TOO")
    monkeypatch.setattr("v2g.telemetry.files.os.write", write)
    clock.advance(2.0)
    logs.comms_log().info("BACK")
    found = lines(tmp_path / "comms.log")
    assert found[0] == "2026-01-02"
    assert "3 lines could not be written here" in found[1]
    assert found[2].endswith("INFO: BACK")
    shown = capsys.readouterr().err
    assert shown.count("No space left on device") == 1
    assert all(code in shown for code in ("TORN", "LOST", "LOST_TOO"))


def test_json_goes_to_stderr_while_files_stay_text(
    tmp_path: Path, clock: ManualClock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    logs.configure(tmp_path, json=True, clock=clock)
    logs.comms_log().info("PAUSED", evse_id="US*V2G*E1")
    assert json.loads(capsys.readouterr().err)["evse_id"] == "US*V2G*E1"
    assert lines(tmp_path / "comms.log")[0].endswith("INFO: PAUSED evse_id=US*V2G*E1")


def test_a_terminal_sees_the_daemon_log_and_what_is_wrong(
    clock: ManualClock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    logs.configure(None, clock=clock)
    logs.daemon_log().info("READY")
    logs.comms_log().info("PAUSED")
    logs.comms_log().error("SECC_TIMEOUT")
    assert [line.split()[-1] for line in capsys.readouterr().err.splitlines()] == ["READY", "SECC_TIMEOUT"]


def test_the_journal_is_told_the_priority(
    clock: ManualClock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    logs.configure(None, clock=clock)
    logs.daemon_log().error("STOPPED")
    assert capsys.readouterr().err.startswith("<3>2026-01-02T03:04:05.678Z ERROR: STOPPED")


def test_before_configuration_only_what_is_wrong_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    logs.daemon_log().info("READY")
    logs.daemon_log().warning("SLOW")
    assert "READY" not in (shown := capsys.readouterr().err)
    assert "SLOW" in shown
