"""Moments as people give them, as the lines of our logs begin."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from v2g.telemetry.lines import timestamp
from v2g.units import QuantityError, parse_duration_s

_CLOCK = re.compile(r"(\d\d?):(\d\d)(?::(\d\d))?")
FORMS = "1h, 90min, 7d, 02:30 (the last time that it was), 2026-01-31, or 2026-01-31T18:00, in UTC"


def moment(text: str, now_unix_s: float) -> str:
    """``1h`` (that long ago), ``02:30``, ``2026-01-31T18:00`` or ``2026-01-31T18:00+03:00`` -> ``2026-…Z``.

    Without an offset in UTC, as the logs are. Raises ValueError that names the forms.
    """
    text = text.strip()
    if match := _CLOCK.fullmatch(text):
        now = datetime.fromtimestamp(now_unix_s, UTC)
        try:
            found = now.replace(hour=int(match[1]), minute=int(match[2]), second=int(match[3] or 0), microsecond=0)
        except ValueError:
            raise ValueError(f"{text!r} is no time of day; write {FORMS}") from None
        return timestamp((found if found <= now else found - timedelta(days=1)).timestamp())
    if re.match(r"\d{4}-", text):
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"{text!r} is no date or time; write {FORMS}") from None
        return timestamp((found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp())
    try:
        return timestamp(now_unix_s - parse_duration_s(text))
    except (QuantityError, OverflowError, ValueError):
        raise ValueError(f"{text!r} is no time; write {FORMS}") from None
