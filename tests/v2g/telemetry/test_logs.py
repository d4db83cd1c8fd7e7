from __future__ import annotations

import errno
import json
import os
import pwd
import stat
import tempfile
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
        for number in range(100):
            logs.comms_log().info("CHILD", f"{number} " + "x" * 200)
        os._exit(0)
    for number in range(100):
        logs.comms_log().info("PARENT", f"{number} " + "y" * 200)
    assert os.waitpid(child, 0)[1] == 0
    found = lines(tmp_path / "comms.log")
    assert len(found) == 200
    assert all(line.endswith(("x" * 200, "y" * 200)) for line in found)


def test_a_code_that_floods_is_bounded_and_the_gap_is_told_when_it_is_over(tmp_path: Path, clock: ManualClock) -> None:
    logs.configure(tmp_path, stderr=False, clock=clock)
    for number in range(1000):
        logs.comms_log().warning("GARBAGE", f"number {number}")
    logs.comms_log().error("SECC_TIMEOUT")
    clock.advance(9.0)
    logs.poll()
    assert len(lines(tmp_path / "comms.log")) == 201
    clock.advance(1.0)
    logs.poll()
    found = lines(tmp_path / "comms.log")
    assert found[200].endswith("ERROR: SECC_TIMEOUT")
    assert found[201:] == [
        "2026-01-02T03:04:15.678Z WARNING: GARBAGE number 999 left_out=800 since=2026-01-02T03:04:05.678Z"
    ]


def test_one_evse_that_floods_takes_no_lines_from_another(tmp_path: Path, clock: ManualClock) -> None:
    logs.configure(tmp_path, stderr=False, clock=clock)
    for number in range(1000):
        logs.comms_log().warning("PEER_CLOSED", str(number), evse="US*V2G*E1")
    logs.comms_log().warning("PEER_CLOSED", "here too", evse="US*V2G*E2")
    assert lines(tmp_path / "comms.log")[-1].endswith("PEER_CLOSED here too evse=US*V2G*E2")


def test_a_line_that_repeats_is_told_once_and_then_counted(tmp_path: Path, clock: ManualClock) -> None:
    logs.configure(tmp_path, stderr=False, clock=clock)
    for _ in range(13):
        logs.daemon_log().warning("WIRES_DOWN", "connection refused")
        clock.advance(0.5)
    logs.daemon_log().info("WIRES_UP", "connected")
    assert [line[25:] for line in lines(tmp_path / "daemon.log")] == [
        "WARNING: WIRES_DOWN connection refused",
        "WARNING: WIRES_DOWN connection refused repeated=12 since=2026-01-02T03:04:06.178Z",
        "INFO: WIRES_UP connected",
    ]


def test_repeats_that_nothing_follows_are_told_at_the_latest_when_the_logs_close(
    tmp_path: Path, clock: ManualClock
) -> None:
    logs.configure(tmp_path, stderr=False, clock=clock)
    for _ in range(3):
        logs.daemon_log().warning("WIRES_DOWN")
    logs.close()
    assert lines(tmp_path / "daemon.log")[-1].endswith("WIRES_DOWN repeated=2 since=2026-01-02T03:04:05.678Z")


def test_codes_without_end_share_one_budget(tmp_path: Path, clock: ManualClock) -> None:
    logs.configure(tmp_path, stderr=False, clock=clock)
    for number in range(5000):
        logs.comms_log().info(f"CODE_{number}")
    assert len(lines(tmp_path / "comms.log")) == 1024 + 200


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
    logs.comms_log().info("THREE")
    shown = [line[25:] for line in capsys.readouterr().err.splitlines()]
    assert [line.partition(str(tmp_path))[0] for line in shown] == [
        "ERROR: LOG_UNWRITABLE ",
        "ERROR: LOG_UNWRITABLE ",
        *("INFO: ONE", "INFO: TWO", "INFO: THREE"),
    ]
    assert "comms.log: cannot be written (Not a directory)" in shown[0]
    assert "daemon.log: cannot be written (Not a directory)" in shown[1]
    assert len(logs.problems()) == 2


@pytest.mark.parametrize("kind", ["directory", "symbolic link", "named pipe"])
def test_what_is_no_file_is_not_written_to_and_named(
    kind: str, tmp_path: Path, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "comms.log"
    target = tmp_path / "elsewhere"
    target.write_text("")
    if kind == "directory":
        place.mkdir()
    elif kind == "named pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(target)
    logs.configure(tmp_path, stderr=False, clock=clock)
    logs.comms_log().info("ONE")
    assert f"comms.log: cannot be written (is a {kind})" in capsys.readouterr().err
    assert target.read_text() == ""
    assert lines(tmp_path / "daemon.log")[0].count("LOG_UNWRITABLE") == 1
    if kind == "directory":
        place.rmdir()
    else:
        place.unlink()
    logs.reopen()
    logs.comms_log().info("TWO")
    assert lines(place)[-1].endswith("INFO: TWO")
    assert logs.problems() == ()
    assert "LOG_WRITABLE" in lines(tmp_path / "daemon.log")[-1]


def test_a_pipe_that_somebody_reads_is_refused_all_the_same(
    tmp_path: Path, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "comms.log")
    reader = os.open(tmp_path / "comms.log", os.O_RDONLY | os.O_NONBLOCK)
    logs.configure(tmp_path, stderr=False, clock=clock)
    logs.comms_log().info("ONE")
    assert os.read(reader, 100) == b""
    os.close(reader)
    assert "(is a named pipe)" in capsys.readouterr().err


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: a device file, another user")
@pytest.mark.parametrize("trouble", ["full disk", "no permission"])
def test_a_full_disk_and_a_directory_that_may_not_be_written_are_told_once_and_got_over(
    trouble: str, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "comms.log"
        Path(folder).chmod(0o755)
        if trouble == "full disk":
            # As /dev/full: every write fails for want of room.
            os.mknod(place, 0o600 | stat.S_IFCHR, os.makedev(1, 7))
        logs.configure(Path(folder), stderr=False, clock=clock)
        # The daemon's own log can be written all the same.
        (Path(folder) / "daemon.log").touch()
        (Path(folder) / "daemon.log").chmod(0o666)
        if trouble == "no permission":
            os.seteuid(pwd.getpwnam("nobody").pw_uid)
        try:
            for number in range(20):
                logs.comms_log().info("LOST", str(number))
                clock.advance(0.3)
        finally:
            os.seteuid(0)
        shown = capsys.readouterr().err
        reason = "No space left on device" if trouble == "full disk" else "Permission denied"
        assert shown.count(f"comms.log: cannot be written ({reason})") == 1
        assert shown.count(" INFO: LOST ") == 20
        place.unlink(missing_ok=True)
        clock.advance(1.0)
        logs.comms_log().info("BACK")
        assert lines(place)[-1].endswith("INFO: BACK")
        assert [line.split()[2] for line in lines(Path(folder) / "daemon.log")] == ["LOG_UNWRITABLE", "LOG_WRITABLE"]
        logs.close()


def test_a_hangup_reopens_every_file_with_the_next_poll(tmp_path: Path, clock: ManualClock) -> None:
    logs.configure(tmp_path, stderr=False, clock=clock)
    logs.comms_log().info("ONE")
    opened = open_files(tmp_path)
    logs.reopen()
    assert open_files(tmp_path) == opened
    logs.poll()
    assert open_files(tmp_path) == []
    logs.comms_log().info("TWO")
    assert len(lines(tmp_path / "comms.log")) == 2


def open_files(folder: Path) -> list[str]:
    found = []
    for fd in Path("/proc/self/fd").iterdir():
        try:
            target = str(fd.readlink())
        except OSError:
            continue
        if target.startswith(str(folder)):
            found.append(target)
    return found


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
    assert shown.count("comms.log: cannot be written (No space left on device)") == 1
    assert shown.count("comms.log: is written again; 3 lines") == 1
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
