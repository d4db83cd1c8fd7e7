from __future__ import annotations

import os
from pathlib import Path

import pytest

from v2g.host.firewall.nft import FirewallError
from v2g.host.firewall.state import Confirmed, Pending, Place, StateDir, place

CONFIRMED = Confirmed(text="table inet v2g {}", at_unix_s=1.0)


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    found = StateDir(tmp_path / "state")
    found.prepare()
    return found


def test_what_is_written_is_root_s_alone_and_read_again(state: StateDir) -> None:
    state.write(CONFIRMED)
    path = state.path / "confirmed.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert state.path.stat().st_mode & 0o777 == 0o700
    assert state.read(Confirmed) == CONFIRMED
    assert state.read(Pending) is None
    state.forget(Confirmed)
    state.forget(Confirmed)
    assert state.read(Confirmed) is None


def test_a_directory_that_others_may_write_is_refused(state: StateDir) -> None:
    state.path.chmod(0o770)
    with pytest.raises(FirewallError, match="chmod 700"), state.locked():
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
def test_what_belongs_to_another_user_is_refused(state: StateDir) -> None:
    state.write(CONFIRMED)
    os.chown(state.path / "confirmed.json", 65534, 65534)
    with pytest.raises(FirewallError, match="root's alone"):
        state.read(Confirmed)
    os.chown(state.path, 65534, 65534)
    with pytest.raises(FirewallError, match="belongs to another user"):
        state.prepare()


def test_a_link_in_place_of_directory_or_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "state").symlink_to(tmp_path / "real")
    with pytest.raises(FirewallError, match="is no directory"):
        StateDir(tmp_path / "state").prepare()
    real = StateDir(tmp_path / "real")
    (tmp_path / "elsewhere").write_text("{}")
    (real.path / "confirmed.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FirewallError, match="cannot be read"):
        real.read(Confirmed)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"text": 1, "at_unix_s": 2}', b"\xff\xfe", b'{"text": "x"}'])
def test_a_damaged_file_says_so(state: StateDir, data: bytes) -> None:
    path = state.path / "confirmed.json"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(FirewallError, match="is damaged"):
        state.read(Confirmed)


def test_a_pipe_in_place_of_the_file_holds_nobody_up(state: StateDir) -> None:
    os.mkfifo(state.path / "confirmed.json", 0o600)
    with pytest.raises(FirewallError):
        state.read(Confirmed)


def test_a_place_is_this_boot_and_this_network_namespace() -> None:
    assert place() == place()
    assert len(place().boot_id) == 36


def test_a_proc_that_tells_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FirewallError, match="does not tell this boot"):
        place(tmp_path)
    assert isinstance(place(), Place)
