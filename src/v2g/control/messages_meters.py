"""Messages of the control socket about customers' meters."""

from __future__ import annotations

from typing import Annotated

import msgspec

from v2g.control.messages import Params

Phases = tuple[float, float, float]
"""By phase of the bus, W, positive: the customer draws."""


class MeterStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One meter. Counts are since the start of the daemon."""

    id: str
    source: str
    """``SunSpec 192.0.2.7:502 unit 1``, or ``feed``."""
    power_w: Phases | None
    """None: nothing that can be used."""
    age_s: float | None
    max_age_s: float
    problem: str = ""
    """In words, with the remedy; with a power: what of it was assumed."""
    used: int = 0
    late: int = 0
    """Older than what was known, and not used."""
    repeated: int = 0
    refused: int = 0
    """Not believed, or in the future."""
    gaps: int = 0
    """Times without a reading for longer than ``max_age_s``."""


class MetersResult(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``meters.list``. ``base_w`` None: not every expected meter can be used; ``known_w``: those that can."""

    meters: tuple[MeterStatus, ...]
    base_w: Phases | None
    known_w: Phases
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class MeterDayParams(Params, frozen=True, kw_only=True):
    meter: Annotated[str, msgspec.Meta(max_length=64)]


class MeterMinute(msgspec.Struct, frozen=True, kw_only=True):
    """Mean of the readings of one minute that were used, by the time of their measurement."""

    starts_unix_s: int
    power_w: Phases


class MeterDayResult(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``meters.day``: the last 24 h, oldest first; minutes without a reading are left out."""

    meter: str
    minutes: tuple[MeterMinute, ...]
