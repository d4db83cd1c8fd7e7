from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from support.firewall_kernel import process
from support.firewall_plans import full
from v2g.host.firewall.session import Peer, login, may_come_back, ssh_peer
from v2g.host.firewall.state import Login

CONNECTION = b"HOME=/root\0SSH_CONNECTION=10.1.2.3 50000 10.9.0.1 22\0X=1\0"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    process(tmp_path, 1, "systemd", 0)
    process(tmp_path, 10, "sshd", 1)
    process(tmp_path, 20, "sshd", 10, began=200)
    process(tmp_path, 30, "sh (1) ) x", 20, CONNECTION)
    process(tmp_path, 40, "sudo", 30)
    process(tmp_path, 50, "v2g-tool", 40)
    process(tmp_path, 60, "bash", 1)
    return tmp_path


def test_the_nearest_sshd_is_the_connection_whatever_is_between(proc: Path) -> None:
    assert login(50, proc) == Login(pid=20, began=200)


def test_at_the_console_there_is_no_connection(proc: Path) -> None:
    assert login(60, proc) is None
    assert ssh_peer(60, proc) is None


def test_where_one_came_from_is_known_through_sudo(proc: Path) -> None:
    assert ssh_peer(50, proc) == Peer(ipaddress.ip_address("10.1.2.3"), 22)


@pytest.mark.parametrize(
    "text", [b"", b"SSH_CONNECTION=", b"SSH_CONNECTION=a b c d", b"SSH_CONNECTION=10.0.0.1 1 2 x", b"\xff"]
)
def test_what_is_no_connection_is_none(tmp_path: Path, text: bytes) -> None:
    process(tmp_path, 5, "bash", 1, text)
    assert ssh_peer(5, tmp_path) is None


@pytest.mark.parametrize("text", ["", "5", "5 (x) S", "5 (x) S a b", "\0\0"])
def test_a_process_that_cannot_be_read_ends_the_walk(tmp_path: Path, text: str) -> None:
    (tmp_path / "5").mkdir()
    (tmp_path / "5" / "stat").write_text(text)
    assert login(5, tmp_path) is None


def test_a_ring_of_parents_ends(tmp_path: Path) -> None:
    process(tmp_path, 5, "a", 6)
    process(tmp_path, 6, "b", 5)
    assert login(5, tmp_path) is None


@pytest.mark.parametrize(
    ("address", "port", "may"),
    [("10.1.2.3", 22, True), ("::ffff:10.1.2.3", 22, True), ("10.1.2.3", 23, False), ("172.16.0.1", 22, False),
     ("2001:db8::9", 22, True), ("2001:db9::9", 22, False), ("127.0.0.1", 22, True)],
)  # fmt: skip
def test_who_would_be_locked_out_is_known_before(address: str, port: int, may: bool) -> None:
    assert may_come_back(full(), Peer(ipaddress.ip_address(address), port)) is may


@pytest.mark.parametrize(("interface", "may"), [("", False), ("eth1", False), ("eth0", True)])
def test_a_rule_for_one_interface_counts_only_for_who_came_by_it(interface: str, may: bool) -> None:
    """``firewall.utility[0]`` of the plan: 192.0.2.16/29 on eth0."""
    assert may_come_back(full(), Peer(ipaddress.ip_address("192.0.2.17"), 22, interface)) is may


def test_a_link_local_connection_tells_its_interface(tmp_path: Path) -> None:
    process(tmp_path, 5, "bash", 1, b"SSH_CONNECTION=fe80::9%eth1 50000 fe80::1%eth1 22\0")
    assert ssh_peer(5, tmp_path) == Peer(ipaddress.ip_address("fe80::9"), 22, "eth1")
