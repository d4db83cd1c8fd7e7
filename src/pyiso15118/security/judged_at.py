"""By what time certificates are judged in a handshake: TLS has no caller that could say it each time."""

from __future__ import annotations

import time
from typing import NamedTuple


class JudgedAt(NamedTuple):
    """The calendar time by which certificates are judged, seconds since 1970.

    ``not_before_counts`` False: the clock is not synchronised yet, and this is a time that has passed for certain.
    """

    unix_s: float
    not_before_counts: bool = True


def by_the_clock() -> JudgedAt:
    """The host's clock is right."""
    return JudgedAt(time.time())
