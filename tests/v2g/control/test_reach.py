"""Why no daemon answers, and what to run then."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

import pytest

from v2g.control import reach
from v2g.control.client import ControlClient, DaemonNotReachable
from v2g.control.reach import busy, is_absent, no_answer

SYSTEM = Path("/run/v2g/control.sock")


def said(path: Path) -> tuple[str, bool]:
    with pytest.raises(DaemonNotReachable) as caught:
        ControlClient(path).call("status")
    assert caught.value.exit_code == 3
    return str(caught.value), caught.value.absent


def test_no_socket_means_that_it_does_not_run(tmp_path: Path) -> None:
    text, absent = said(tmp_path / "control.sock")
    assert absent
    assert f"there is no {tmp_path}/control.sock" in text
    assert "v2g-orchestrator --simulate" in text
    text, absent = said(tmp_path / "gone" / "control.sock")
    assert (absent, f"{tmp_path}/gone is not there" in text) == (True, True)


def test_a_socket_that_a_dead_daemon_left_is_told_from_one_that_answers(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    text, absent = said(path)
    assert (absent, "left behind by a daemon that is gone" in text) == (True, True)


def test_a_daemon_that_holds_its_lock_and_has_no_socket_yet_is_starting(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with (tmp_path / "control.lock").open("w") as lock:
        lock.write("4711\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        text, absent = said(path)
        assert (absent, "(pid 4711) is starting or stopping" in text) == (False, True)
    assert said(path)[1], "a lock that nobody holds says nothing"


def test_one_that_takes_no_word_is_busy_and_not_absent(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(DaemonNotReachable) as caught:
            ControlClient(path, timeout_s=0.05).call("status")
    assert not caught.value.absent
    assert "gives no answer within 0.05 s" in str(caught.value)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file"), "systemctl start v2g-orchestrator"),
        (ConnectionRefusedError(111, "Connection refused"), "why it went: journalctl -u v2g-orchestrator"),
        (TimeoutError(110, "timed out"), "systemctl status v2g-orchestrator"),
        (OSError(24, "Too many open files"), "Too many open files"),
    ],
)
def test_of_an_installed_daemon_systemd_knows_more(error: OSError, words: str) -> None:
    assert words in no_answer(SYSTEM, error)
    assert "v2g-orchestrator" in no_answer(SYSTEM, error)
    assert "journalctl" in busy(SYSTEM, "it hangs")


def test_nobody_is_absent_who_forbids(tmp_path: Path) -> None:
    assert not is_absent(tmp_path / "control.sock", PermissionError(13, "Permission denied"))


def test_who_may_not_open_it_is_told_the_groups_that_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "control.sock"
    path.touch()
    monkeypatch.setattr(reach, "_let_in", lambda path: ["v2g-viewer", "v2g-operator"])
    monkeypatch.setattr(reach, "user_name", lambda: "nora")
    monkeypatch.setattr(reach, "_groups_on_record", lambda user: set())
    text = no_answer(path, PermissionError(13, "Permission denied"))
    assert "open to the groups v2g-viewer, v2g-operator" in text
    assert "usermod -aG v2g-operator nora" in text
    monkeypatch.setattr(reach, "_groups_on_record", lambda user: {"v2g-viewer"})
    again = no_answer(path, PermissionError(13, "Permission denied"))
    assert "this login is older than that" in again
    assert "newgrp v2g-viewer" in again


@pytest.mark.skipif(os.getuid() != 0, reason="needs to set an access list")
def test_the_groups_are_those_of_the_access_list(tmp_path: Path) -> None:
    from v2g.control.endpoint import Endpoint

    endpoint = Endpoint(tmp_path / "control.sock")
    listener, remarks = endpoint.open(["daemon", "nosuchgroup"])
    try:
        if any("takes no access list" in remark for remark in remarks):
            pytest.skip("a file system without access lists")
        assert reach._let_in(tmp_path / "control.sock") == ["daemon"]
    finally:
        listener.close()
        endpoint.close()
