"""What a head's meters show: files into which their drivers write the flow of a group, W, positive downstream."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

OLD_S: Final = 3.0
"""A file that was not written for longer says nothing."""
_LONGEST: Final = 64


def read_meters(files: Mapping[str, str], unix_s: Callable[[], float]) -> Mapping[str, float]:
    """By group; NaN where a file is missing, old, or holds no number. ``unix_s``: the clock that files are dated by."""
    found = {}
    for group, name in files.items():
        found[group] = math.nan
        with contextlib.suppress(OSError, ValueError):
            path = Path(name)
            if abs(unix_s() - path.stat().st_mtime) <= OLD_S:
                with path.open("rb") as file:
                    text = file.read(_LONGEST + 1)
                if len(text) <= _LONGEST:
                    found[group] = float(text)
    return found
