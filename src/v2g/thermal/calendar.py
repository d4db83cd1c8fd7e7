"""Local time as the profiles need it: the kind of day and the minute of it. Pure; the shell makes it from a clock."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

MINUTES_OF_DAY: Final = 1440


class DayType(enum.IntEnum):
    WORKDAY = 0
    SATURDAY = 1
    SUNDAY = 2


@dataclass(frozen=True, slots=True)
class LocalMinute:
    """``unix_min``: minutes since 1970 UTC, which never repeats; ``minute``: 0..1439 of the local day, which does when
    daylight saving ends and leaves out 60 when it begins."""

    unix_min: int
    day_type: DayType
    minute: int


@dataclass(frozen=True, slots=True)
class LocalTime:
    """A moment of a site. ``day``: ordinal of the local day; ``left_of_day_s``: to its end, in days of 23 to 25 h."""

    minute: LocalMinute
    day: int
    left_of_day_s: float
