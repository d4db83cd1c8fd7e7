from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from v2g.control import messages
from v2g.control.client import CallRefused, ControlClient, DaemonNotReachable, find_socket, simulation_dirs


@contextmanager
def impostor(path: Path, answer: bytes) -> Iterator[None]:
    """A server that says the same to everybody, then hangs up."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(10_000)
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    thread.join()
    listener.close()


async def test_a_call_says_hello_first_and_returns_the_result(site: Any) -> None:
    site.groups = frozenset({"v2g-operator"})

    def talk() -> tuple[dict[str, Any], dict[str, Any], messages.HelloResult | None]:
        with ControlClient(site.path) as client:
            params = messages.DispatchParams(mode="discharge", power_w=10000)
            return client.call("dispatch", params), client.call("status"), client.hello

    granted, status, hello = await asyncio.to_thread(talk)
    assert granted["granted_w"] == -10000
    assert status == {"site": "s1"}
    assert hello is not None
    assert hello.role == "operator"


async def test_a_refusal_has_text_code_and_exit_code_1(site: Any) -> None:
    site.groups = frozenset({"v2g-operator"})
    with pytest.raises(CallRefused) as caught:
        await asyncio.to_thread(ControlClient(site.path).call, "dispatch", {"mode": "fly"})
    assert (str(caught.value), caught.value.code, caught.value.exit_code) == ("vehicles do not fly", "NO_WINGS", 1)


async def test_notifications_come_until_the_daemon_ends(site: Any) -> None:
    site.groups = frozenset({"v2g-viewer"})
    heard: list[dict[str, Any]] = []

    def listen() -> None:
        with ControlClient(site.path) as client:
            for payload in client.notifications():
                heard.append(payload)

    listening = asyncio.create_task(asyncio.to_thread(listen))
    while site.server.subscribers == 0:
        await asyncio.sleep(0.005)
    site.server.broadcast("status", {"n": 1})
    site.server.broadcast("status", {"n": 2})
    while len(heard) < 2:
        await asyncio.sleep(0.005)
    await site.server.close()
    with pytest.raises(DaemonNotReachable, match="ended the connection"):
        await listening
    assert heard == [{"n": 1}, {"n": 2}]


def test_no_daemon_names_the_socket_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DaemonNotReachable) as caught:
        ControlClient(tmp_path / "control.sock").call("status")
    text = str(caught.value)
    assert caught.value.exit_code == 3
    for part in (str(tmp_path / "control.sock"), "systemctl status v2g-orchestrator", "v2g-orchestrator --simulate"):
        assert part in text


def test_a_daemon_that_died_is_not_reachable(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(tmp_path / "control.sock"))
    with pytest.raises(DaemonNotReachable, match="left behind by a daemon that is gone"):
        ControlClient(tmp_path / "control.sock").call("status")


@pytest.mark.skipif(os.getuid() != 0, reason="needs to become another user")
def test_who_may_not_open_the_socket_is_told_the_group(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0o600)
        for directory in (tmp_path, *tmp_path.parents[:3]):
            directory.chmod(0o755)
        os.seteuid(65534)
        try:
            with pytest.raises(DaemonNotReachable, match="usermod -aG v2g-operator"):
                ControlClient(path).call("status")
        finally:
            os.seteuid(0)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "ended the connection"),
        (b"SSH-2.0-OpenSSH\n", "no JSON-RPC"),
        (b'{"jsonrpc":"2.0","id":1,"result":{"server":"x"}}\n', "no v2g-orchestrator"),
        (b"[1]\n", "no JSON-RPC"),
    ],
)
def test_whatever_else_answers_is_not_our_daemon(tmp_path: Path, answer: bytes, reason: str) -> None:
    path = tmp_path / "control.sock"
    with impostor(path, answer), pytest.raises(DaemonNotReachable, match=reason):
        ControlClient(path).call("status")


def test_a_daemon_that_stalls_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(DaemonNotReachable, match=r"no answer within 0\.05 s"):
            ControlClient(path, timeout_s=0.05).call("status")


def test_the_named_socket_wins(tmp_path: Path) -> None:
    (tmp_path / "default").touch()
    assert find_socket({"V2G_SOCKET": "/x/control.sock"}, tmp_path / "default") == Path("/x/control.sock")
    assert find_socket({}, tmp_path / "default") == tmp_path / "default"


def test_a_simulation_is_found_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "v2g-sim").mkdir()
    (tmp_path / "v2g-sim" / "control.sock").touch()
    found = find_socket({"XDG_RUNTIME_DIR": str(tmp_path)}, tmp_path / "absent")
    assert found == tmp_path / "v2g-sim" / "control.sock"
    assert "talking to the simulation" in capsys.readouterr().err


@pytest.mark.skipif(os.getuid() != 0, reason="needs to give a directory away")
def test_the_directory_of_somebody_else_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "v2g-sim").mkdir()
    (tmp_path / "v2g-sim" / "control.sock").touch()
    os.chown(tmp_path / "v2g-sim", 65534, 65534)
    assert tmp_path not in find_socket({"XDG_RUNTIME_DIR": str(tmp_path)}, Path("/absent")).parents


def test_the_simulation_runs_in_the_users_runtime_directory_or_tmp() -> None:
    fallback = Path(f"/tmp/v2g-sim-{os.getuid()}")
    assert simulation_dirs({"XDG_RUNTIME_DIR": "/run/user/1"}) == (Path("/run/user/1/v2g-sim"), fallback)
    assert simulation_dirs({}) == (fallback,)
