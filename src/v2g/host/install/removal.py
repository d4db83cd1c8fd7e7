"""Takes away what an installation put there: what its manifest names and nothing else; with purge what grew, too."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import PurePosixPath

import msgspec

from v2g.host.install import accounts, manifest
from v2g.host.install.errors import InstallError, from_os
from v2g.host.install.host_tools import UNITS, Run, has, must, run, systemd_runs
from v2g.host.install.installation import Tell, locked, read_manifest, write_manifest
from v2g.host.install.manifest import Entry, Manifest, digest
from v2g.host.install.placing import UNIT_DIR
from v2g.host.install.plan import Did, Line
from v2g.host.install.root import Root

LEFT = f"{manifest.DIRECTORY}/left"
"""What ``--purge`` would take, one a line, as ``path /var/lib/v2g``, ``user v2g``: for those without this program."""
RUN_DIR = "/run/v2g"
GROWN = ("/etc/v2g", "/etc/ssl/v2g", "/var/lib/v2g", "/var/lib/v2g-firewall", "/var/log/v2g")
"""Configuration, keys, state, confirmed firewall rules, logs."""
_STAMPS = "/var/lib/systemd/timers/stamp-"


def uninstall(
    root: Root,
    purge: bool,
    tell: Tell,
    run_: Run = run,
    systemd: Callable[[], bool] = systemd_runs,
) -> bool:
    """Whether there was anything to remove. Raises :class:`InstallError`; run again, it goes on."""
    if root.is_host and os.geteuid() != 0:
        raise InstallError("this needs root: sudo v2g-tool uninstall")
    if not root.is_there(manifest.PATH):
        return False
    with locked(root):
        before = read_manifest(root)
        units = _units(before)
        if root.is_host:
            _stop(units, run_, systemd(), tell)
        kept = _files(root, before, purge, tell)
        if root.is_host:
            _tell_firewall(run_, tell)
        if root.is_host and systemd():
            must(run_, ["systemctl", "daemon-reload"])
            # A unit that failed stays listed without its file.
            run_(["systemctl", "reset-failed", *units])
        for unit in units:
            _tree(root, f"{_STAMPS}{unit}", tell)
        _tree(root, RUN_DIR, tell)
        people = (before.users, before.groups)
        if purge:
            for unit in units:
                _tree(root, f"{UNIT_DIR}/{unit}.d", tell)
            for path in GROWN:
                _tree(root, path, tell)
            if root.is_host:
                for name in accounts.remove(*people, accounts.Known(root), run_):
                    tell(Line(Did.REMOVED, name, changed=True))
                people = ((), ())
        directories = _empty(root, before, tell)
        after = msgspec.structs.replace(
            before, files=tuple(kept), directories=directories, users=people[0], groups=people[1]
        )
        _record(root, after, purge, tell)
    return True


def _units(before: Manifest) -> list[str]:
    """Those of the manifest, in the order in which they are stopped."""
    names = {PurePosixPath(e.path).name for e in before.files if str(PurePosixPath(e.path).parent) == UNIT_DIR}
    ours = [name for name in names if name.endswith((".service", ".timer"))]
    return sorted(ours, key=lambda name: (UNITS.index(name) if name in UNITS else len(UNITS), name))


def _stop(units: list[str], run_: Run, running: bool, tell: Tell) -> None:
    if not units or not has("systemctl"):
        return
    known = [unit for unit in units if run_(["systemctl", "cat", unit]).code == 0]
    if running and known:
        active = [unit for unit in known if run_(["systemctl", "is-active", unit]).out not in ("inactive", "failed")]
        done = run_(["systemctl", "stop", *known])
        if done.code != 0:
            raise InstallError(f"the daemons cannot be stopped: {done.err or done.out}; nothing was removed")
        for unit in active:
            tell(Line(Did.REMOVED, unit, "stopped", changed=True))
    if known:
        must(run_, ["systemctl", "disable", "--quiet", *known])


def _tell_firewall(run_: Run, tell: Tell) -> None:
    """To open a host is a decision of its own."""
    if has("nft") and run_(["nft", "list", "table", "inet", "v2g"]).code == 0:
        tell(
            Line(
                Did.NOTE,
                "table inet v2g",
                "the firewall's rules hold till the next boot, or: nft delete table inet v2g",
            )
        )


def _files(root: Root, before: Manifest, purge: bool, tell: Tell) -> list[Entry]:
    """The entries whose files were edited and stay."""
    kept: list[Entry] = []
    for entry in before.files:
        found = root.look(entry.path)
        if found is None:
            continue
        if purge or digest(found) in entry.sha256 or not (found or before.complete):
            root.remove(entry.path)
            tell(Line(Did.REMOVED, entry.path, changed=True))
        else:
            kept.append(entry)
            tell(Line(Did.KEPT_YOURS, entry.path, "edited"))
    return kept


def _tree(root: Root, path: str, tell: Tell) -> None:
    """A directory with all that is in it, or a file; a link goes, what it leads to stays."""
    place = root.at(path)
    try:
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        elif root.is_there(path):
            place.unlink()
        else:
            return
    except OSError as error:
        raise from_os(error, error.filename or place, "remove") from None
    tell(Line(Did.REMOVED, path, changed=True))


def _empty(root: Root, before: Manifest, tell: Tell) -> tuple[str, ...]:
    """Directories of ours that are empty go; which are left."""
    left = []
    for path in sorted(before.directories, key=lambda path: -path.count("/")):
        if not root.is_there(path):
            continue
        if manifest.PATH.startswith(f"{path}/"):
            left.append(path)
        elif root.remove_empty(path):
            tell(Line(Did.REMOVED, f"{path}/", changed=True))
        else:
            left.append(path)
    return tuple(sorted(left))


def _record(root: Root, after: Manifest, purged: bool, tell: Tell) -> None:
    grown = [path for path in GROWN if root.is_there(path)]
    if not purged and (not after.of_nothing or grown):
        write_manifest(root, after)
        words = [f"file {entry.path}" for entry in after.files] + [f"path {path}" for path in grown]
        words += [f"path {UNIT_DIR}/{unit}.d" for unit in UNITS if root.is_there(f"{UNIT_DIR}/{unit}.d")]
        words += [f"user {name}" for name in reversed(after.users)] + [f"group {name}" for name in after.groups]
        words.append(f"path {manifest.DIRECTORY}")
        words += [f"directory {path}" for path in sorted(after.directories, key=lambda path: -path.count("/"))]
        root.write(LEFT, ("\n".join(words) + "\n").encode(), 0o644)
        people = [*after.users, *(name for name in after.groups if name not in after.users)]
        note = f"and users and groups {', '.join(people)}" if people else ""
        tell(Line(Did.NOTE, ", ".join(grown) or manifest.PATH, f"{note}: kept; --purge takes them, too".lstrip(": ")))
        return
    root.sync()
    root.remove(LEFT)
    root.remove(manifest.PATH)
    for path in dict.fromkeys((manifest.DIRECTORY, *sorted(after.directories, key=lambda path: -path.count("/")))):
        root.remove_empty(path)
