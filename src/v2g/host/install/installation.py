"""Lays out what the daemons need on a host or in an image, and says what it did. To be run again at any time."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import msgspec

from v2g.host.install import accounts, commands, manifest
from v2g.host.install.errors import InstallError, from_os
from v2g.host.install.host_tools import AT_BOOT, ENABLED, UNITS, Run, must, run, systemd_runs
from v2g.host.install.manifest import Manifest
from v2g.host.install.placing import UNIT_DIR, Placed, place
from v2g.host.install.plan import Did, Line, Plan, plan
from v2g.host.install.root import Root
from v2g.host.install.source import Shipped

CONFIGURATION = "/etc/v2g/v2g.yaml"
DROP_INS = "/etc/v2g/conf.d"
SYSUSERS = "/etc/sysusers.d/v2g.conf"
TMPFILES = "/etc/tmpfiles.d/v2g.conf"
Tell = Callable[[Line], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """``made``: generated files, absolute path -> content. ``version``: of this program, for the manifest."""

    shipped: Shipped
    commands: Path
    version: str
    made: Mapping[str, bytes] = field(default_factory=dict)
    start: bool = False
    dry_run: bool = False


def install(root: Root, wish: Wish, tell: Tell, run_: Run = run, systemd: Callable[[], bool] = systemd_runs) -> bool:
    """Whether anything was changed. Raises :class:`InstallError`; what was done till then is told and recorded."""
    _may(root, wish, systemd)
    wanted = place(wish.shipped.files, PurePosixPath(wish.commands), wish.made)
    people = accounts.accounts(wish.shipped.files["systemd/sysusers.d/v2g.conf"].decode())
    known = accounts.Known(root)
    parents = [str(path) for path in reversed(PurePosixPath(manifest.PATH).parents)]
    made = tuple(path for path in parents if not root.is_directory(path))
    with locked(root, wish.dry_run):
        before = read_manifest(root)
        users, groups = known.missing(people)
        if not root.is_host:
            users = tuple(name for name in users if name not in before.users)
            groups = tuple(name for name in groups if name not in before.groups)
        work = plan(wanted, before, root.look, root.is_directory)
        work.directories[:0] = (path for path in made if path not in work.directories)
        if wish.start:
            _must_be_configured(root, wanted)
        first, last = (_named(each, work, wish, users, groups) for each in (work.intended, work.final))
        changed = _files(root, work, (first, last), before, wish, tell)
        for name in (*(f"user {user}" for user in users), *(f"group {group}" for group in groups)):
            tell(Line(Did.MADE, name, "" if root.is_host else "by the image, at its next boot", changed=True))
        changed |= bool(users or groups)
        if not root.is_host:
            tell(Line(Did.NOTE, str(root.directory), "directories, users and groups are made when it boots"))
            return changed
        if not wish.dry_run:
            if users or groups:
                accounts.make(people, SYSUSERS, known, run_)
            changed |= _directories(root, wish.shipped, run_, tell)
            units = any(step.line.changed and step.line.path.startswith(UNIT_DIR) for step in work.steps)
            if units and systemd():
                must(run_, ["systemctl", "daemon-reload"])
                tell(Line(Did.NOTE, "systemd", "has read the units anew; what runs is as it was till its next restart"))
            if wish.start:
                changed |= start_units(run_, tell)
    return changed


def read_manifest(root: Root) -> Manifest:
    """An empty one where nothing was installed. Raises :class:`InstallError`."""
    data = root.look(manifest.PATH)
    return Manifest() if data is None else manifest.decode(data, str(root.at(manifest.PATH)))


def write_manifest(root: Root, content: Manifest) -> None:
    root.write(manifest.PATH, manifest.encode(content), 0o644, on_disk=True)


@contextmanager
def locked(root: Root, dry_run: bool = False) -> Iterator[None]:
    """Nobody else installs or removes meanwhile."""
    if dry_run:
        yield
        return
    for parent in reversed(PurePosixPath(manifest.PATH).parents):
        if not root.is_directory(str(parent)):
            root.make_directory(str(parent))
    place_ = root.at(manifest.DIRECTORY)
    try:
        fd = os.open(place_, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise from_os(error, place_, "open") from None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InstallError("another v2g-tool install or uninstall is at work: wait for its end") from None
        yield
    finally:
        os.close(fd)


def tmpfiles_directories(shipped: Shipped) -> list[str]:
    text = shipped.files["systemd/tmpfiles.d/v2g.conf"].decode()
    return re.findall(r"^d\s+(/\S+)", text, re.MULTILINE)


def _may(root: Root, wish: Wish, systemd: Callable[[], bool]) -> None:
    if root.is_host and not wish.dry_run and os.geteuid() != 0:
        raise InstallError("this needs root: sudo v2g-tool install (or --root DIR for an image, --dry-run to look)")
    if wish.start and not systemd():
        raise InstallError("--start needs a running systemd, and this host's PID 1 is another: install without it")
    if not root.directory.is_dir():
        raise InstallError(f"{root.directory} is no directory: make it first")
    problem = commands.obstacle(wish.commands, None if root.is_host else root.directory)
    if problem is not None:
        raise InstallError(problem)


def _must_be_configured(root: Root, wanted: list[Placed]) -> None:
    """A daemon that is started with the example would take another transformer for its own."""
    example = next(placed.data for placed in wanted if placed.path == CONFIGURATION)
    found = root.look(CONFIGURATION)
    drop_ins = root.at(DROP_INS)
    own = drop_ins.is_dir() and any(drop_ins.glob("*.yaml"))
    if found in (None, example) and not own:
        raise InstallError(
            f"--start: {CONFIGURATION} is still the example, of a transformer that is not yours: run v2g-tool install, "
            "edit it, then v2g-tool install --start"
        )


def _named(content: Manifest, work: Plan, wish: Wish, users: tuple[str, ...], groups: tuple[str, ...]) -> Manifest:
    return msgspec.structs.replace(
        content,
        directories=tuple(dict.fromkeys((*content.directories, *work.directories))),
        version=wish.version,
        commands=str(wish.commands),
        users=tuple(dict.fromkeys((*content.users, *users))),
        groups=tuple(dict.fromkeys((*content.groups, *groups))),
    )


def _files(root: Root, work: Plan, named: tuple[Manifest, Manifest], before: Manifest, wish: Wish, tell: Tell) -> bool:
    intended, final = named
    changed = any(step.line.changed for step in work.steps)
    if not wish.dry_run and (changed or final != before):
        write_manifest(root, msgspec.structs.replace(intended, complete=False))
    for path in work.directories:
        if not wish.dry_run:
            root.make_directory(path)
        tell(Line(Did.MADE, f"{path}/", changed=True))
    for step in work.steps:
        if step.write is not None and not wish.dry_run:
            root.write(step.write.path, step.write.data, step.write.mode)
        if step.remove and not wish.dry_run:
            root.remove(step.remove)
        tell(step.line)
    if not wish.dry_run and (changed or final != before):
        root.sync()
        write_manifest(root, final)
    return changed


def _directories(root: Root, shipped: Shipped, run_: Run, tell: Tell) -> bool:
    paths = tmpfiles_directories(shipped)
    there = {path for path in paths if root.is_directory(path)}
    must(run_, ["systemd-tmpfiles", "--create", TMPFILES])
    for path in paths:
        tell(Line(Did.KEPT if path in there else Did.MADE, f"{path}/", changed=path not in there))
    return len(there) < len(paths)


def start_units(run_: Run, tell: Tell) -> bool:
    changed = False
    for unit in (*AT_BOOT, *ENABLED):
        enabled = run_(["systemctl", "is-enabled", unit]).out == "enabled"
        active = unit in AT_BOOT or run_(["systemctl", "is-active", unit]).out == "active"
        if not enabled:
            must(run_, ["systemctl", "enable", unit])
        if not active:
            done = run_(["systemctl", "start", unit])
            if done.code != 0:
                raise InstallError(f"{unit} does not start: {done.err or done.out}; see journalctl -u {unit}")
        words = " and ".join(word for word, was in (("enabled", enabled), ("started", active)) if not was)
        tell(Line(Did.MADE if words else Did.KEPT, unit, words or "as it should be", changed=bool(words)))
        changed |= bool(words)
    down = [unit for unit in UNITS if "guard" in unit and run_(["systemctl", "is-active", unit]).out != "active"]
    if down:
        raise InstallError(f"not running: {', '.join(down)}; see journalctl -u {down[0]}")
    return changed
