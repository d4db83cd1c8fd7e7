"""Where the files are that come with the project: beside the sources, or in the share directory of a wheel."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import v2g
from v2g.host.install.errors import InstallError

SHARE = "share/v2g"
"""Below the prefix of an installed wheel, as pyproject's data files say."""
_PARTS = ("etc", "systemd")


@dataclass(frozen=True, slots=True)
class Shipped:
    """``files``: path below ``root``, as ``etc/v2g/v2g.yaml`` -> content."""

    root: Path
    files: dict[str, bytes]


def shipped(prefix: Path | None = None, package: Path | None = None) -> Shipped:
    """All files of ``etc/`` and ``systemd/``. ``prefix``: of the installation, default this interpreter's.

    Raises :class:`InstallError` when they are at none of the places or cannot be read.
    """
    tree = (package or Path(v2g.__file__).parent).parents[1]
    share = (prefix or Path(sys.prefix)) / SHARE
    root = tree if (tree / "pyproject.toml").is_file() and (tree / "systemd").is_dir() else share
    if not all((root / part).is_dir() for part in _PARTS):
        raise InstallError(
            f"the files that are to be installed are neither in {tree} nor in {share}: "
            "install the wheel of v2g-orchestrator again, or run this from a checkout"
        )
    found: dict[str, bytes] = {}
    try:
        for part in _PARTS:
            for path in sorted((root / part).rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    found[path.relative_to(root).as_posix()] = path.read_bytes()
    except OSError as error:
        raise InstallError(f"{error.filename} cannot be read: {error.strerror}") from None
    return Shipped(root, found)
