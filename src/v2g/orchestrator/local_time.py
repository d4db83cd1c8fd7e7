"""The site's local time out of Unix time: for load profiles by time of day, and for budgets by the day."""

from __future__ import annotations

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

    def time_of_day(self, unix_s: float) -> str:
        """``18:25``, for people."""
        return datetime.fromtimestamp(unix_s, self._zone).strftime("%H:%M")
