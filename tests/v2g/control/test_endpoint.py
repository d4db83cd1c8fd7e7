from __future__ import annotations

import errno
import fcntl
import grp
import os
import socket
import stat
from pathlib import Path

import pytest

from v2g.control.endpoint import Endpoint, EndpointError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


def test_the_socket_is_for_its_groups_alone(path: Path) -> None:
    endpoint = Endpoint(path)
    listener, remarks = endpoint.open([])
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert remarks == []
    listener.close()
    endpoint.close()
    assert not path.exists()


def test_existing_groups_get_an_access_list_entry_and_missing_ones_a_remark(path: Path) -> None:
    group = grp.getgrgid(os.getgid())
    endpoint = Endpoint(path)
    listener, remarks = endpoint.open([group.gr_name, "no-such-group", "no-such-group"])
    listener.close()
    assert remarks[0] == "the group no-such-group does not exist: its role has no members"
    if len(remarks) == 1:
        entry = (8).to_bytes(2, "little") + (6).to_bytes(2, "little") + group.gr_gid.to_bytes(4, "little")
        assert entry in os.getxattr(path, "system.posix_acl_access")
    else:
        assert "takes no access list" in remarks[1]
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0
    endpoint.close()


def test_without_access_lists_nobody_is_told_to_join_the_daemons_group(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    endpoint = Endpoint(path)
    listener, remarks = endpoint.open([grp.getgrgid(os.getgid()).gr_name])
    listener.close()
    endpoint.close()
    assert len(remarks) == 1
    assert "takes no access list (Operation not supported)" in remarks[0]
    assert "a file system with POSIX access lists" in remarks[0]
    assert "Do not add people to that group" in remarks[0]


def test_a_stale_socket_file_is_replaced(path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(str(path))
    dead.close()
    endpoint = Endpoint(path)
    listener, _ = endpoint.open([])
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(path))
    listener.close()
    endpoint.close()


def test_a_second_orchestrator_is_told_the_pid_of_the_first(path: Path) -> None:
    first = Endpoint(path)
    listener, _ = first.open([])
    with pytest.raises(EndpointError) as caught:
        Endpoint(path).open([])
    assert f"another orchestrator (pid {os.getpid()}) serves {path} already" in str(caught.value)
    assert "systemctl stop v2g-orchestrator" in str(caught.value)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(path))
    listener.close()
    first.close()


def test_a_living_socket_without_its_lock_file_is_not_taken_over(path: Path) -> None:
    first = Endpoint(path)
    listener, _ = first.open([])
    path.with_suffix(".lock").unlink()
    with pytest.raises(EndpointError, match=f"pid {os.getpid()}"):
        Endpoint(path).open([])
    assert path.exists()
    listener.close()
    first.close()


def test_a_lock_without_a_pid_is_told_all_the_same(path: Path) -> None:
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(EndpointError, match="another orchestrator serves"):
        Endpoint(path).open([])
    os.close(lock)


def test_something_else_in_its_place_is_left_alone(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(EndpointError, match="is no socket"):
        Endpoint(path).open([])
    assert path.read_text() == "precious"


def test_a_missing_directory_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match=r"paths\.run_dir"):
        Endpoint(tmp_path / "nowhere" / "control.sock").open([])


def test_closing_spares_the_socket_of_a_successor(path: Path) -> None:
    first = Endpoint(path)
    listener, _ = first.open([])
    path.unlink()
    successor = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    successor.bind(str(path))
    first.close()
    assert path.exists()
    listener.close()
    successor.close()
