"""The part ``utility.meters`` and ``utility.meter_feed``: customers' meters, which measure the base load by phase."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from v2g.config.schema_base import Positive, Section
from v2g.config.schema_evse import ModbusAddress


class Meter(Section, frozen=True, kw_only=True):
    """A meter with SunSpec model 201, 202, 203 or 204, read over Modbus TCP."""

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    """By which ``v2g-tool meters`` names it."""
    modbus: ModbusAddress
    """Where it is."""
    rotation: Literal["abc", "bca", "cab", "acb", "cba", "bac", "a", "b", "c"] = "abc"
    """Phases of the bus at the meter's A, B, C; one letter for a single-phase meter."""
    import_is_positive: bool = True
    """What its register shows where the customer draws power; False: meters that count the other way."""
    rated_w: Positive | None = None
    """Of the customer's connection; readings far beyond it are a slip of units. None: the transformer's rating."""
    poll_s: Annotated[float, Meta(ge=0.5, le=900)] = 5.0
    """Between two readings."""
    max_age_s: Annotated[float, Meta(ge=2, le=3600)] = 30.0
    """An older reading counts as missing."""


class MeterFeed(Section, frozen=True, kw_only=True):
    """Readings that another process writes to a Unix socket, one JSON object a line."""

    path: str = ""
    """Empty: ``<run_dir>/meters.sock``."""
    meters: Annotated[tuple[str, ...], Meta(max_length=1000)] = ()
    """Ids that are expected; one that is missing leaves the base load incomplete. Others are refused."""
    max_age_s: Annotated[float, Meta(ge=2, le=7200)] = 1200.0
    """An older reading counts as missing; longer than the interval of the readings."""
    rated_w: Positive | None = None
    """As :attr:`Meter.rated_w`, of each of these."""
    group: str = ""
    """Unix group whose processes may write readings, besides the daemon's own user and group; empty: no other."""
