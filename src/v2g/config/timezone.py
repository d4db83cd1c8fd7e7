"""The zone of the site's clock on the wall."""

from __future__ import annotations

import zoneinfo
from pathlib import Path


class TimezoneError(Exception):
    """No zone of this name is known here; ``reason`` and ``remedy`` in words."""

    def __init__(self, reason: str, remedy: str) -> None:
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"{reason}: {remedy}")


def zone_of(name: str) -> zoneinfo.ZoneInfo | None:
    """By IANA name, such as ``Europe/Berlin``; None for the host's own, where ``name`` is empty.

    Raises :class:`TimezoneError`.
    """
    if not name:
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        pass
    if not any((Path(directory) / "UTC").is_file() for directory in zoneinfo.TZPATH):
        raise TimezoneError(
            "cannot be looked up: this host has no time zone data",
            "install them (Debian: apt install tzdata), or leave timezone empty for the host's own",
        )
    raise TimezoneError(
        "is no known time zone",
        "write an IANA name, such as Europe/Berlin or America/Chicago (timedatectl list-timezones); some old names "
        "need the package tzdata-legacy on Debian; empty: the host's own",
    )
