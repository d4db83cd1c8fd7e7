"""Where the commands of this installation are, and whether the units can start them there."""

from __future__ import annotations

import sys
from pathlib import Path

SLOT_LINK = Path("/opt/v2g/current")
"""Leads to the slot of firmware that is in force."""
DAEMON = "v2g-orchestrator"
NAMES = ("kplc-driver", "v2g-cert-manager", "v2g-config", "v2g-control", "v2g-guard", DAEMON, "v2g-tool")
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - not used, but hidden by the units
"""By ProtectHome= and PrivateTmp= of the units."""


def command_dir(prefix: Path | None = None, slot_link: Path = SLOT_LINK, usr_bin: Path = Path("/usr/bin")) -> Path:
    """The directory that units name in ExecStart=.

    The slot's link where it leads to ``prefix`` (default: of this interpreter), so that an update moves the daemons
    too; else ``usr_bin`` where its commands are links to those of ``prefix``; else ``bin`` of ``prefix``.
    """
    here = prefix or Path(sys.prefix)
    if _same(slot_link, here):
        return slot_link / "bin"
    if _same(usr_bin / DAEMON, here / "bin" / DAEMON):
        return usr_bin
    return here / "bin"


def obstacle(directory: Path, root: Path | None = None) -> str | None:
    """Why units cannot start the commands in ``directory`` (below ``root``); None: they can."""
    missing = [name for name in NAMES if not _below(root, directory / name).exists()]
    if missing and root is None:
        return f"{directory} lacks {', '.join(missing)}: install the wheel there, or name another place with --prefix"
    places = [directory]
    if root is None:
        places += [(directory / DAEMON).resolve(), _interpreter(directory / DAEMON)]
    for place in places:
        for hidden in _HIDDEN:
            if place.is_relative_to(hidden):
                return (
                    f"{place} is below {hidden}, which the units hide from the daemons (ProtectHome=, PrivateTmp=): "
                    "install into a virtual environment below /opt/v2g, with an interpreter outside of it, too"
                )
    return None


def _interpreter(command: Path) -> Path:
    """Of the first line of ``command``, with all links followed."""
    try:
        with command.open("rb") as file:
            first = file.readline(4096).decode("utf-8", "replace").strip()
    except OSError:
        return command
    words = first.removeprefix("#!").split() if first.startswith("#!") else []
    return Path(words[0]).resolve() if words and words[0].startswith("/") else command


def _below(root: Path | None, path: Path) -> Path:
    return path if root is None else root / path.relative_to("/")


def _same(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except OSError:
        return False
