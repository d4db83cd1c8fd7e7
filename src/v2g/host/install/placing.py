"""Which file goes where, with what in it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from v2g.host.install.commands import NAMES

UNIT_DIR = "/etc/systemd/system"
EXAMPLES = "/etc/v2g/examples"
_COMMAND = re.compile(rf"^(Exec\w+=[-@:+!|]*)/usr/bin/({'|'.join(map(re.escape, NAMES))})(?=\s|$)", re.MULTILINE)
_UNIT_SUFFIXES = (".service", ".timer", ".socket", ".target", ".path")
_EXECUTABLE = (b"#!/",)


@dataclass(frozen=True, slots=True)
class Placed:
    """A file as it is to be: ``path`` absolute, as the running system sees it."""

    path: str
    data: bytes
    mode: int


def place(files: Mapping[str, bytes], commands: PurePosixPath, made: Mapping[str, bytes]) -> list[Placed]:
    """Where each of ``files`` (path below the project -> content) goes, in order of the paths.

    ``commands``: directory for ExecStart=. ``made``: absolute path -> content of what is generated (man pages).
    """
    found = [Placed(path, data, 0o644) for path, data in made.items()]
    for path, data in files.items():
        target = target_of(path)
        if target is not None:
            content = with_commands(data, commands) if target.startswith(f"{UNIT_DIR}/") else data
            found.append(Placed(target, content, 0o755 if data.startswith(_EXECUTABLE) else 0o644))
    return sorted(found, key=lambda placed: placed.path)


def target_of(path: str) -> str | None:
    """Absolute place of a shipped file; None: it is not installed."""
    first, _, rest = path.partition("/")
    if first == "systemd":
        kind, _, name = rest.partition("/")
        if not name:
            return f"{UNIT_DIR}/{rest}" if rest.endswith(_UNIT_SUFFIXES) else None
        if kind in ("sysusers.d", "tmpfiles.d"):
            return f"/etc/{rest}"
        if kind == "udev":
            return f"/etc/udev/rules.d/{name}"
        return f"{UNIT_DIR}/{rest}" if kind.endswith(".d") else None
    if first == "etc":
        # Of the site's other hosts (Grafana, Prometheus): to be copied from here.
        return f"/{path}" if rest.startswith(("v2g/", "logrotate.d/")) else f"{EXAMPLES}/{rest}"
    return None


def with_commands(data: bytes, commands: PurePosixPath) -> bytes:
    """A unit whose commands are in ``commands`` instead of /usr/bin."""
    if commands == PurePosixPath("/usr/bin"):
        return data
    text = _COMMAND.sub(rf"\g<1>{commands}/\g<2>", data.decode())
    # Of a unit that starts before file systems are mounted.
    return text.replace("RequiresMountsFor=/usr ", f"RequiresMountsFor=/usr {commands} ").encode()
