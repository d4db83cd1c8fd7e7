"""How many lines each log was given, by level and code: for the metrics. Bounded, whatever stands in a code's place."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

MOST_CODES: Final = 1024
"""Of all logs together; beyond them a code counts as :data:`OTHER`."""
OTHER: Final = "other"

_lock = threading.Lock()
_counts: dict[tuple[str, str, str], int] = {}


def count(log: str, level: str, code: str) -> None:
    """One event, written or left out. From any thread."""
    key = (log, level, code)
    with _lock:
        if key not in _counts and len(_counts) >= MOST_CODES:
            key = (log, level, OTHER)
        _counts[key] = _counts.get(key, 0) + 1


def counts() -> Mapping[tuple[str, str, str], int]:
    """By (log, level, code), since the process began."""
    with _lock:
        return dict(_counts)


def reset() -> None:
    """As if the process had just begun."""
    with _lock:
        _counts.clear()
