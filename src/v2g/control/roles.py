"""Who calls, and what they may do: the kernel's word on a socket's peer, and the configured Unix groups."""

from __future__ import annotations

import enum
import grp
import os
import pwd
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

_UCRED = struct.Struct("3i")


class Role(enum.IntEnum):
    """Each role may do what those below it may. ``UTILITY`` dispatches, but does not touch the installation."""

    NONE = 0
    VIEWER = 1
    UTILITY = 2
    OPERATOR = 3
    ENGINEER = 4


class RoleGroups(Protocol):
    """The Unix group of each role; an empty name means nobody (``v2g.config.schema.Roles`` is one)."""

    @property
    def viewer(self) -> str: ...
    @property
    def utility(self) -> str: ...
    @property
    def operator(self) -> str: ...
    @property
    def engineer(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Caller:
    """The process at the other end, as the kernel tells it. ``user`` is its name, or ``uid <n>`` without one."""

    uid: int
    gid: int
    pid: int
    user: str
    role: Role


Lookup = Callable[[int], tuple[str, frozenset[str]]]
"""uid -> user name and names of its groups; may block."""


def group_names(groups: RoleGroups) -> dict[Role, str]:
    """The configured group of each role, without the empty ones."""
    names = {
        Role.VIEWER: groups.viewer,
        Role.UTILITY: groups.utility,
        Role.OPERATOR: groups.operator,
        Role.ENGINEER: groups.engineer,
    }
    return {role: name for role, name in names.items() if name}


def role_of(uid: int, member_of: frozenset[str], groups: RoleGroups, own_uid: int) -> Role:
    """The highest role of a user. Root and the daemon's own user are engineers."""
    if uid in (0, own_uid):
        return Role.ENGINEER
    return max((role for role, name in group_names(groups).items() if name in member_of), default=Role.NONE)


def system_lookup(uid: int) -> tuple[str, frozenset[str]]:
    """The user database's word; a user or group it does not know grants nothing."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return f"uid {uid}", frozenset()
    names = set()
    for gid in os.getgrouplist(entry.pw_name, entry.pw_gid):
        try:
            names.add(grp.getgrgid(gid).gr_name)
        except KeyError:
            continue
    return entry.pw_name, frozenset(names)


def peer(connection: socket.socket) -> tuple[int, int, int]:
    """``pid, uid, gid`` of the process at the other end of a Unix stream socket (SO_PEERCRED)."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, gid = _UCRED.unpack(raw)
    return pid, uid, gid
