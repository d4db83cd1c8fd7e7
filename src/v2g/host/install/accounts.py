"""The users and groups of the daemons, of this host or of an image."""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from v2g.host.install.host_tools import Run, has, must, run
from v2g.host.install.root import Root


@dataclass(frozen=True, slots=True)
class Account:
    """A line of sysusers.d: a user with a group of its own (``group`` empty) or that of another, or a group alone."""

    name: str
    is_user: bool
    group: str = ""
    comment: str = ""
    home: str = "/nonexistent"


_SYSUSERS = re.compile(
    r'^(?P<kind>[ug])\s+(?P<name>\S+)\s+(?P<id>\S+)(?:\s+"(?P<comment>[^"]*)"(?:\s+(?P<home>\S+))?)?'
)


def accounts(text: str) -> list[Account]:
    """Of a file for systemd-sysusers, groups first."""
    found = []
    for line in text.splitlines():
        if (match := _SYSUSERS.match(line)) is not None:
            group = match["id"].partition(":")[2]
            found.append(
                Account(
                    match["name"],
                    match["kind"] == "u",
                    group,
                    match["comment"] or "",
                    match["home"] or "/nonexistent",
                )
            )
    return sorted(found, key=lambda account: account.is_user)


class Known:
    """Which users and groups there are: this host's by all its name services, an image's by its files."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def user(self, name: str) -> bool:
        return _named(pwd.getpwnam, name) if self._root.is_host else name in self._names("/etc/passwd")

    def group(self, name: str) -> bool:
        return _named(grp.getgrnam, name) if self._root.is_host else name in self._names("/etc/group")

    def missing(self, wanted: Sequence[Account]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Users and groups of ``wanted`` that are not there."""
        users = tuple(each.name for each in wanted if each.is_user and not self.user(each.name))
        own = [each.name for each in wanted if not (each.is_user and each.group)]
        return users, tuple(name for name in own if not self.group(name))

    def _names(self, path: str) -> set[str]:
        text = (self._root.look(path) or b"").decode("utf-8", "replace")
        return {line.partition(":")[0] for line in text.splitlines()}


def make(
    wanted: Sequence[Account], sysusers: str, known: Known, run_: Run = run, has_: Callable[[str], bool] = has
) -> None:
    """By systemd-sysusers from the file ``sysusers``; where that is missing, by groupadd and useradd."""
    if has_("systemd-sysusers"):
        must(run_, ["systemd-sysusers", sysusers])
        return
    users, groups = known.missing(wanted)
    for name in groups:
        must(run_, ["groupadd", "--system", name])
    for account in wanted:
        if account.name in users:
            words = ["useradd", "--system", "--no-create-home", "--home-dir", account.home]
            words += ["--shell", "/usr/sbin/nologin", "--comment", account.comment]
            must(run_, [*words, "--gid", account.group or account.name, account.name])


def remove(users: Sequence[str], groups: Sequence[str], known: Known, run_: Run = run) -> list[str]:
    """Those that are there; what was removed, in words."""
    # The first made is the owner of the group that the others are in.
    there = [name for name in reversed(users) if known.user(name)]
    theirs = [name for name in groups if known.group(name)]
    for name in there:
        must(run_, ["userdel", name])
    for name in theirs:
        # userdel takes the group of a user's own name with it.
        if known.group(name):
            must(run_, ["groupdel", name])
    return [f"user {name}" for name in there] + [f"group {name}" for name in theirs]


def _named(lookup: Callable[[str], object], name: str) -> bool:
    try:
        lookup(name)
    except KeyError:
        return False
    return True
