"""A log and what logrotate made of older ones (``.1``, ``.2.gz``, ``-20260131.gz``)."""

from __future__ import annotations

import re
from pathlib import Path

MOST_FILES = 500
_ROTATED = re.compile(r"(?:\.(?P<number>[0-9]{1,4})|-(?P<date>[0-9]{8}(?:-?[0-9]{1,10})?))(?P<gz>\.gz)?")


def find_files(log: Path) -> list[Path]:
    """Oldest first, the log itself last where it is there. Raises OSError where the directory cannot be read."""
    found: dict[tuple[int, str], Path] = {}
    for path in sorted(log.parent.iterdir()):
        match = _ROTATED.fullmatch(path.name.removeprefix(log.name)) if path.name.startswith(log.name) else None
        if match is None:
            continue
        order = (-int(match["number"]), "") if match["number"] is not None else (-10_000, match["date"])
        # While logrotate compresses a file both are there, and the other one is not whole.
        if order not in found or match["gz"] is None:
            found[order] = path
    files = [found[order] for order in sorted(found)][-MOST_FILES:]
    return [*files, log] if log.exists() else files


def is_rotated(log: Path) -> bool:
    return _ROTATED.fullmatch(log.name.partition(".log")[2]) is not None
