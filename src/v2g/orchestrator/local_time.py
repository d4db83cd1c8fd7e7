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
        return LocalTime(self.minute(unix_s), self.day(unix_s), self.left_of_day_s(unix_s))

    def time_of_day(self, unix_s: float) -> str:
        """``18:25``, for people."""
        return datetime.fromtimestamp(unix_s, self._zone).strftime("%H:%M")

    def minute(self, unix_s: float) -> LocalMinute:
        """The minute that ``unix_s`` is in; its ``unix_min`` is the one it began with."""
        local = datetime.fromtimestamp(unix_s, self._zone)
        return LocalMinute(
            unix_min=int(unix_s // 60.0), day_type=_DAY_TYPES[local.weekday()], minute=local.hour * 60 + local.minute
        )

    def day(self, unix_s: float) -> int:
        """Ordinal of the local day."""
        return datetime.fromtimestamp(unix_s, self._zone).toordinal()

    def left_of_day_s(self, unix_s: float) -> float:
        """Until the next local midnight, or the moment that comes in its place; above 0, at most 25 h."""
        today = datetime.fromtimestamp(unix_s, self._zone)
        tomorrow = today.replace(hour=0, minute=0, second=0, microsecond=0, fold=0) + timedelta(days=1)
        left_s = tomorrow.timestamp() - unix_s
        # Where the clock goes back across midnight there are two of them.
        return left_s if left_s > 0.0 else tomorrow.replace(fold=1).timestamp() - unix_s
