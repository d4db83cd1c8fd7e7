"""``v2g-tool log``."""

from __future__ import annotations

import gzip
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from v2g.cli.log import log
from v2g.cli.log_places import log_place
from v2g.clock import ManualClock
from v2g.telemetry import logs

T0 = 1_767_323_045.0
"""2026-01-02T03:04:05Z."""
TOOL = [sys.executable, "-m", "v2g.cli.tool", "log"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sessions at two EVSEs, a trip between them, an hour apart; the first hour is rotated away."""
    clock = ManualClock(unix_s=T0)
    logs.configure(tmp_path, stderr=False, clock=clock)
    comms, quality = logs.comms_log(), logs.power_quality_log()
    comms.info("SESSION_START", "US*V2G*E1 / A", evse="US*V2G*E1", session="0A0B0C0D0E0F0A0B")
    comms.error("SECC_TIMEOUT", "US*V2G*E1 / A: silent", evse="US*V2G*E1", session="0A0B0C0D0E0F0A0B")
    logs.close()
    (tmp_path / "comms.log.2.gz").write_bytes(gzip.compress((tmp_path / "comms.log").read_bytes()))
    (tmp_path / "comms.log").unlink()
    clock.advance(3600.0)
    logs.configure(tmp_path, stderr=False, clock=clock)
    quality.error("TRIP", "OV2: breaker opened and latched", element="OV2")
    clock.advance(1.0)
    logs.daemon_log().warning("NO_PERMIT", "no energy: tripped")
    clock.advance(3600.0)
    comms.info("SESSION_START", "US*V2G*E2 / B", evse="US*V2G*E2", session="1111111111111111")
    logs.audit_log().info("CALL", user="alice", method="trip.reset")
    logs.close()
    return tmp_path


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(log, ["--dir", str(folder), *words])


def codes(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [line.split(": ")[1].split()[0] for line in result.stdout.splitlines()]


ALL = ["SESSION_START", "SECC_TIMEOUT", "TRIP", "NO_PERMIT", "SESSION_START", "CALL"]


def test_all_logs_are_one_by_time(folder: Path) -> None:
    result = run(folder)
    assert codes(result) == ALL
    assert result.stdout.splitlines()[2] == (
        "2026-01-02T04:04:05.000Z power_quality ERROR: TRIP OV2: breaker opened and latched element=OV2"
    )


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("-n 2", ALL[-2:]),
        ("--level warning", ["SECC_TIMEOUT", "TRIP", "NO_PERMIT"]),
        ("--level ERROR -n 1", ["TRIP"]),
        ("--code secc_timeout", ["SECC_TIMEOUT"]),
        ("--code SECC_TIMEOUT,TRIP", ["SECC_TIMEOUT", "TRIP"]),
        ("--code SESSION_* --code CALL", ["SESSION_START", "SESSION_START", "CALL"]),
        ("--session 0a0b0c0d0e0f0a0b", ["SESSION_START", "SECC_TIMEOUT"]),
        ("--session 0x0a0b", ["SESSION_START", "SECC_TIMEOUT"]),
        ("--evse US*V2G*E2", ["SESSION_START"]),
        ("--file audit", ["CALL"]),
        ("--file audit --file power_quality", ["TRIP", "CALL"]),
        ("--file all -n 1", ["CALL"]),
        ("--since 2026-01-02T04:04:05", ["TRIP", "NO_PERMIT", "SESSION_START", "CALL"]),
        ("--since 2026-01-02T03:00 --until 2026-01-02T04:04:06", ["SESSION_START", "SECC_TIMEOUT", "TRIP"]),
        ("--until 2026-01-02T04:04:06 -n 1", ["TRIP"]),
    ],
)
def test_lines_are_chosen(folder: Path, words: str, found: list[str]) -> None:
    assert codes(run(folder, *words.split())) == found


def test_a_code_is_found_in_any_case(folder: Path) -> None:
    (folder / "comms.log").write_text(
        "2026-01-02T06:00:00.000Z ERROR: 0xEF22 x\n2026-01-02T06:00:01.000Z INFO: odd y\n"
    )
    assert codes(run(folder, "--code", "0xef22")) == ["0xEF22"]
    assert codes(run(folder, "--code", "ODD,0XEF22")) == ["0xEF22", "odd"]
    assert codes(run(folder, "--code", "o*")) == ["odd"]


def test_a_log_alone_needs_no_label(folder: Path) -> None:
    result = run(folder, "--file", "daemon")
    assert result.stdout == "2026-01-02T04:04:06.000Z WARNING: NO_PERMIT no energy: tripped\n"


def test_json_is_an_object_a_line(folder: Path) -> None:
    found = [json.loads(line) for line in run(folder, "--json", "--code", "TRIP").stdout.splitlines()]
    assert found == [
        {
            "time": "2026-01-02T04:04:05.000Z",
            "level": "ERROR",
            "log": "power_quality",
            "code": "TRIP",
            "message": "OV2: breaker opened and latched",
            "element": "OV2",
        }
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--since yesterday", "02:30"),
        ("--since 2026-01-02 --until 2026-01-01", "is not behind"),
        ("--follow --until 1h", "no end"),
        ("--session last", "SESSION_START shows them"),
        ("--level fatal", "fatal"),
        ("-n 0", "0"),
    ],
)
def test_what_cannot_be_meant_is_a_mistake_of_usage(folder: Path, words: str, said: str) -> None:
    result = run(folder, *words.split())
    assert result.exit_code == 2
    assert said in result.stderr


def test_nothing_found_says_so_and_what_may_have_been_meant(folder: Path) -> None:
    result = run(folder, "--code", "SECC_TIME")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "did you mean SECC_TIMEOUT" in result.stderr


def test_a_directory_that_is_not_there_is_told_once(tmp_path: Path) -> None:
    result = run(tmp_path / "nowhere")
    assert result.exit_code == 1
    assert result.stderr.count("nowhere cannot be read: No such file or directory; name the logs with --dir") == 1


def test_the_logs_beside_the_socket_are_those_of_a_simulation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log").mkdir()
    monkeypatch.setenv("V2G_SOCKET", str(tmp_path / "control.sock"))
    assert log_place(None, tmp_path, "x").path == tmp_path / "log"
    assert log_place(Path("/elsewhere"), tmp_path, "x").path == Path("/elsewhere")


def test_a_configuration_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("V2G_SOCKET", raising=False)
    result = CliRunner().invoke(log, ["--config", str(tmp_path)])
    assert result.exit_code == 1
    assert "cannot be used" in result.stderr
    assert "--dir" in result.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="needs to become another user")
def test_who_may_not_read_is_told_which_group_may(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as elsewhere:
        open_to_all = Path(shutil.copytree(folder, Path(elsewhere) / "log"))
        for path in (Path(elsewhere), open_to_all, *open_to_all.iterdir()):
            path.chmod(0o755)
        (open_to_all / "audit.log").chmod(0o600)
        result = _as(pwd.getpwnam("nobody").pw_uid, run, open_to_all)
    assert result.exit_code == 1
    assert [line.split(": ")[1].split()[0] for line in result.stdout.splitlines()] == ALL[:-1]
    assert "audit.log cannot be read: Permission denied; become a member of a group" in result.stderr
    assert "usermod -aG v2g-viewer" in result.stderr


def _as(uid: int, call: object, *args: object) -> Result:
    os.seteuid(uid)
    try:
        return call(*args)  # type: ignore[operator, no-any-return]
    finally:
        os.seteuid(0)


# ---- with processes --------------------------------------------------------------------------------------------------


@pytest.mark.soak
def test_following_survives_rotation_and_ends_with_its_reader(folder: Path) -> None:
    process = subprocess.Popen([*TOOL, "--dir", folder, "-f", "-n", "1"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "CALL" in process.stdout.readline()
    clock = ManualClock(unix_s=T0 + 9000)
    logs.configure(folder, stderr=False, clock=clock)
    logs.comms_log().error("ONE")
    assert "ERROR: ONE" in process.stdout.readline()
    (folder / "comms.log").rename(folder / "comms.log.1")
    logs.comms_log().error("TWO")
    logs.close()
    assert "ERROR: TWO" in process.stdout.readline()
    assert process.poll() is None
    process.stdout.close()
    assert process.wait(10) == 141


@pytest.mark.soak
def test_an_interrupt_ends_following_without_a_traceback(folder: Path) -> None:
    process = subprocess.Popen(
        [*TOOL, "--dir", folder, "-f"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert (process.returncode, said.strip()) == (130, "")


@pytest.mark.soak
def test_a_pipe_closed_by_head_is_no_error(folder: Path) -> None:
    with (folder / "daemon.log").open("w") as file:
        file.writelines(f"2026-01-03T00:00:00.000Z INFO: X number {number}\n" for number in range(50_000))
    done = subprocess.run(  # noqa: S602 (as people write it)
        f"{sys.executable} -m v2g.cli.tool log --dir {folder} --since 2026-01-01 | head -3",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr == ""
