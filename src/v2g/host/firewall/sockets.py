"""Listening sockets of this host, from ``/proc``: bounded, and whatever stands there."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from v2g.host.firewall.words import Address

_LISTEN, _UNCONNECTED = 0x0A, 0x07
_MAX_LINES = 100_000
_MAX_LINE = 512
_MAX_PROCESSES = 20_000
_MAX_FDS = 200_000
_FILES = (
    ("tcp", "tcp", _LISTEN),
    ("tcp6", "tcp", _LISTEN),
    ("udp", "udp", _UNCONNECTED),
    ("udp6", "udp", _UNCONNECTED),
)


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that waits for whoever comes. ``owner``: process and its id; empty where it is not ours to know."""

    protocol: str
    address: Address
    port: int
    uid: int
    inode: int
    owner: str = ""

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{self.protocol} {host}:{self.port}"


def listeners(proc: Path = Path("/proc")) -> tuple[Listener, ...]:
    """TCP sockets that listen and UDP sockets without a peer, of this network namespace, by protocol and port."""
    found = [one for name, protocol, state in _FILES for one in _of_file(proc / "self/net" / name, protocol, state)]
    owners = _owners(proc, {one.inode for one in found})
    named = (
        Listener(one.protocol, one.address, one.port, one.uid, one.inode, owners.get(one.inode, "")) for one in found
    )
    return tuple(sorted(named, key=lambda one: (one.protocol, one.port, one.address.version, int(one.address))))


def parse(lines: Iterator[str], protocol: str, state: int) -> Iterator[Listener]:
    """The lines of ``/proc/net/tcp`` and its kin that are in ``state``; a line that is none is left out."""
    for line in islice(lines, _MAX_LINES):
        fields = line[:_MAX_LINE].split()
        try:
            if len(fields) < 10 or not fields[0].endswith(":") or int(fields[3], 16) != state:
                continue
            host, _, port = fields[1].partition(":")
            number = int(port, 16)
            if 0 < number <= 65535:
                yield Listener(protocol, _address(host), number, int(fields[7]), int(fields[9]))
        except ValueError:
            continue


def ephemeral_ports(proc: Path = Path("/proc")) -> range:
    """From which the kernel takes ports for who asks for none."""
    try:
        first, last = (proc / "sys/net/ipv4/ip_local_port_range").read_text().split()[:2]
        return range(int(first), int(last) + 1)
    except (OSError, ValueError):
        return range(32768, 61000)


def _of_file(path: Path, protocol: str, state: int) -> list[Listener]:
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            return list(parse(iter(file), protocol, state))
    except OSError:
        return []


def _address(text: str) -> Address:
    raw = bytes.fromhex(text)
    if len(raw) not in (4, 16):
        raise ValueError("no address")
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    found = ipaddress.ip_address(raw)
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found


def _owners(proc: Path, inodes: set[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    seen = 0
    for process in islice(_processes(proc), _MAX_PROCESSES):
        try:
            entries = list(islice((process / "fd").iterdir(), _MAX_FDS))
        except OSError:
            continue
        for entry in entries:
            seen += 1
            if seen > _MAX_FDS:
                return found
            inode = _inode(entry)
            if inode in inodes:
                found.setdefault(inode, f"{_name(process)}[{process.name}]")
    return found


def _processes(proc: Path) -> Iterator[Path]:
    try:
        names = sorted(int(name) for name in os.listdir(proc) if name.isdecimal())  # noqa: PTH208 (names only)
    except OSError:
        return
    yield from (proc / str(name) for name in names)


def _inode(entry: Path) -> int:
    try:
        target = os.readlink(entry)  # noqa: PTH115 (no path of a file)
    except OSError:
        return -1
    digits = target[8:-1] if target.startswith("socket:[") else ""
    return int(digits) if digits.isdecimal() and len(digits) < 20 else -1


def _name(process: Path) -> str:
    try:
        text = (process / "comm").read_text(errors="replace").strip()
    except OSError:
        return "?"
    return "".join(one if one.isprintable() else "?" for one in text)[:32]
