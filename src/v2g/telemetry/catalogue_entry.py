"""One entry of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NOTHING: Final = "Nothing needs to be done."
"""The remedy of what is in order."""


@dataclass(frozen=True, slots=True)
class Entry:
    """``code`` as it stands in the log; ``also``: other words for it. ``clause`` is empty where no standard asks."""

    code: str
    meaning: str
    daemon: str
    remedy: str
    clause: str = ""
    also: tuple[str, ...] = ()
