"""The site's local time out of Unix time: for load profiles by time of day, and for budgets by the day."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from v2g.config.timezone import zone_of
from v2g.thermal.calendar import DayType, LocalMinute, LocalTime

_SATURDAY = 5
_DAY_TYPES = (*(DayType.WORKDAY,) * _SATURDAY, DayType.SATURDAY, DayType.SUNDAY)


class SiteZone:
    """One zone. Days are 23, 24 or 25 hours long; public holidays are not known."""

    def __init__(self, timezone: str = "") -> None:
        """``timezone``: an IANA name, empty: the host's. Raises :class:`~v2g.config.timezone.TimezoneError`."""
        self._zone = zone_of(timezone)

    def local(self, unix_s: float) -> LocalTime:
        """The minute that ``unix_s`` is in, with the number it began with; the local day, and what is left of it: until
        the next local midnight, or the moment that comes in its place, above 0 and at most 25 h."""
        at = datetime.fromtimestamp(unix_s, self._zone)
        minute = LocalMinute(
            unix_min=int(unix_s // 60.0), day_type=_DAY_TYPES[at.weekday()], minute=at.hour * 60 + at.minute
        )
        tomorrow = at.replace(hour=0, minute=0, second=0, microsecond=0, fold=0) + timedelta(days=1)
        left_s = tomorrow.timestamp() - unix_s
        if left_s <= 0.0:
            # Where the clock goes back across midnight there are two of them.
            left_s = tomorrow.replace(fold=1).timestamp() - unix_s
        return LocalTime(minute, at.toordinal(), left_s)

    def next_time(self, text: str, unix_s: float) -> float:
        """``18:00``: the next time after ``unix_s`` that it is so; or ISO 8601, taken as the site's time where it names
        no zone. Raises ValueError, in words, for what is neither, and for a moment that is over."""
        try:
            if re.fullmatch(r"[0-2]?[0-9]:[0-5][0-9]", text):
                hour, minute = (int(word) for word in text.split(":"))
                now = datetime.fromtimestamp(unix_s, self._zone)
                at = now.replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
                return (at if at.timestamp() > unix_s else at + timedelta(days=1)).timestamp()
            at = datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            raise ValueError(f"{text!r} is no time: write 18:00, or 2027-01-31T18:00") from None
        found_s = (at if at.tzinfo is not None else at.replace(tzinfo=self._zone)).timestamp()
        if found_s <= unix_s:
            raise ValueError(f"{text} is over: give a time to come")
        return found_s

    def time_of_day(self, unix_s: float) -> str:
        """``18:25``, for people."""
        return datetime.fromtimestamp(unix_s, self._zone).strftime("%H:%M")
