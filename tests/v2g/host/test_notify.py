from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from v2g.host.notify import Notifier


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(2.0)
        yield listener


def environ(listener: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": listener.getsockname(), **more}


def test_says_ready_status_watchdog_and_stopping(supervisor: socket.socket) -> None:
    notifier = Notifier(environ(supervisor))
    notifier.ready("ISO 15118 ready")
    notifier.status("2 vehicles")
    notifier.watchdog()
    notifier.stopping()
    assert [supervisor.recv(1000) for _ in range(4)] == [
        b"READY=1\nSTATUS=ISO 15118 ready",
        b"STATUS=2 vehicles",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]


def test_a_status_cannot_smuggle_in_another_message(supervisor: socket.socket) -> None:
    Notifier(environ(supervisor)).status("vehicle X\nMAINPID=1\r\nREADY=1")
    assert supervisor.recv(1000) == b"STATUS=vehicle X MAINPID=1 READY=1"


def test_an_abstract_address_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0v2g-notify-{os.getpid()}")
        listener.settimeout(2.0)
        Notifier({"NOTIFY_SOCKET": f"@v2g-notify-{os.getpid()}"}).watchdog()
        assert listener.recv(100) == b"WATCHDOG=1"


def test_the_interval_is_half_of_what_the_supervisor_allows(supervisor: socket.socket) -> None:
    assert Notifier(environ(supervisor, WATCHDOG_USEC="2000000")).interval_s == 1.0
    assert Notifier(environ(supervisor, WATCHDOG_USEC="2000000", WATCHDOG_PID=str(os.getpid()))).interval_s == 1.0


@pytest.mark.parametrize("more", [{}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_PID": "1"}])
def test_no_watchdog_is_kept_that_was_not_asked_of_this_process(
    supervisor: socket.socket, more: dict[str, str]
) -> None:
    base = {"WATCHDOG_USEC": "2000000"} if "WATCHDOG_PID" in more else {}
    assert Notifier(environ(supervisor, **base, **more)).interval_s is None


def test_without_a_supervisor_nothing_happens() -> None:
    notifier = Notifier({"WATCHDOG_USEC": "2000000"})
    notifier.ready()
    notifier.watchdog()
    assert not notifier.enabled
    assert notifier.interval_s is None


def test_a_supervisor_that_is_gone_or_does_not_read_harms_nobody(supervisor: socket.socket) -> None:
    notifier = Notifier(environ(supervisor))
    for _ in range(2000):  # more than the queue of a datagram socket holds
        notifier.watchdog()
    Path(supervisor.getsockname()).unlink()
    notifier.ready()
    notifier.close()
    notifier.watchdog()
    assert not notifier.enabled
