from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.firewall_kernel import process
from v2g.host.firewall.sockets import Listener, ephemeral_ports, listeners, parse

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="the samples are of a little-endian kernel")

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0 100 0 0 10 0
   1: 0100090A:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12 1 0 100 0 0 10 0
   2: 0100090A:1F90 0200090A:C350 01 00000000:00000000 00:00000000 00000000  1000        0 13 1 0 100 0 0 10 0
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 000080FE00000000FFA95C00020000FE:3B0E 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000   999        0 21 1 0 100 0 0 10 0
   1: 0000000000000000FFFF00000100090A:01F6 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000   999        0 22 1 0 100 0 0 10 0
"""  # noqa: E501
UDP = """\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  100: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 31 2 0000000000000000 0
  101: 0100090A:9C40 0200090A:0035 01 00000000:00000000 00:00000000 00000000     0        0 32 2 0000000000000000 0
"""


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    net = tmp_path / "self" / "net"
    net.mkdir(parents=True)
    for name, text in (("tcp", TCP), ("tcp6", TCP6), ("udp", UDP)):
        (net / name).write_text(text)
    process(tmp_path, 77, "dae\nmon", 1)
    (tmp_path / "77" / "fd").mkdir()
    (tmp_path / "77" / "fd" / "3").symlink_to("socket:[12]")
    (tmp_path / "77" / "fd" / "4").symlink_to("socket:[x]")
    return tmp_path


def test_who_waits_for_whoever_comes_is_found_with_its_process(proc: Path) -> None:
    assert [(str(one), one.uid, one.owner) for one in listeners(proc)] == [
        ("tcp 127.0.0.1:22", 0, ""),
        ("tcp 10.9.0.1:502", 999, ""),
        ("tcp 10.9.0.1:8080", 1000, "dae?mon[77]"),
        ("tcp [fe80::5c:a9ff:fe00:2]:15118", 999, ""),
        ("udp 0.0.0.0:68", 0, ""),
    ]


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_no_line_breaks_the_reader(text: str) -> None:
    for one in parse(iter(text.splitlines()), "tcp", 0x0A):
        assert 0 < one.port <= 65535


@given(
    st.lists(
        st.sampled_from([*TCP.split(), *TCP6.split(), "0A", ":", "00000000:0000", "-1", "0x10", "9" * 400, "FF:FFFFF"]),
        min_size=8,
        max_size=14,
    )
)
def test_no_mixture_of_fields_breaks_the_reader(fields: list[str]) -> None:
    for one in parse(iter([" ".join(fields)]), "udp", 0x07):
        assert isinstance(one, Listener)


def test_a_file_without_end_is_not_read_to_its_end() -> None:
    line = TCP.splitlines()[1]
    endless = (line for _ in iter(int, 1))
    assert sum(1 for _ in parse(endless, "tcp", 0x0A)) == 100_000


def test_absent_files_are_no_sockets(tmp_path: Path) -> None:
    assert listeners(tmp_path) == ()
    assert ephemeral_ports(tmp_path) == range(32768, 61000)


def test_our_own_sockets_are_seen_in_the_real_proc() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        (found,) = [one for one in listeners() if one.protocol == "tcp" and one.port == port]
    assert found.address == ipaddress.ip_address("127.0.0.1")
    assert found.owner.endswith(f"[{os.getpid()}]")
