"""Over which SSH connection a command came: an old one outlives rules that lock its user out, and proves nothing."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from v2g.host.firewall.model import Plan
from v2g.host.firewall.state import Login
from v2g.host.firewall.words import Address

_GENERATIONS = 64
_MAX_ENVIRON = 1 << 20


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of an SSH connection, and the port of this host that it came to.

    ``interface``: by which it came; empty: not known, as with all but link-local addresses.
    """

    address: Address
    port: int
    interface: str = ""


def login(pid: int, proc: Path = Path("/proc")) -> Login | None:
    """The nearest ancestor of ``pid`` that is an sshd: it serves one connection. None: there is none."""
    for ancestor, name, began in _ancestors(pid, proc):
        if name.startswith("sshd"):
            return Login(pid=ancestor, began=began)
    return None


def ssh_peer(pid: int, proc: Path = Path("/proc")) -> Peer | None:
    """Where the SSH connection comes from by which ``pid`` runs, also through sudo. None: by none, or not known."""
    for ancestor, _, _ in _ancestors(pid, proc):
        try:
            with (proc / str(ancestor) / "environ").open("rb") as file:
                data = file.read(_MAX_ENVIRON)
        except OSError:
            continue
        for entry in data.split(b"\0"):
            name, _, value = entry.partition(b"=")
            fields = value.decode("ascii", "replace").split()
            if name == b"SSH_CONNECTION" and len(fields) == 4:
                try:
                    host, _, scope = fields[0].partition("%")
                    return Peer(ipaddress.ip_address(host), int(fields[3]), scope)
                except ValueError:
                    continue
    return None


def may_come_back(plan: Plan, peer: Peer) -> bool:
    """Whether the rules surely let in a new connection from there to the same port: a rule for one interface counts
    only where that is known."""
    address = peer.address
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    if address.is_loopback:
        return True
    return any(
        peer.port in access.tcp
        and access.interface in ("", peer.interface)
        and any(address in network for network in access.networks)
        for access in plan.access
    )


def _ancestors(pid: int, proc: Path) -> Iterator[tuple[int, str, int]]:
    """The process and those above it: id, name, start."""
    for _ in range(_GENERATIONS):
        try:
            text = (proc / str(pid) / "stat").read_text(errors="replace")
            head, _, tail = text.rpartition(")")
            fields = tail.split()
            name, parent, began = head.partition("(")[2], int(fields[1]), int(fields[19])
        except (OSError, ValueError, IndexError):
            return
        yield pid, name, began
        if parent <= 1:
            return
        pid = parent
