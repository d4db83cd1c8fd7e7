"""The section ``utility``: what the grid operator tells and what customers' meters measure. All of it may be absent."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from v2g.config.schema_base import Section
from v2g.config.schema_meters import Meter, MeterFeed
from v2g.config.schema_openadr import OpenAdr


class Utility(Section, frozen=True, kw_only=True):
    openadr: OpenAdr | None = None
    """None: no VTN is followed."""
    meters: Annotated[tuple[Meter, ...], Meta(max_length=500)] = ()
    """Customers' meters that are read here."""
    meter_feed: MeterFeed | None = None
    """None: nobody writes readings."""
    longest_signal_s: Annotated[float, Meta(ge=60, le=604_800)] = 172_800.0
    """A cap, floor, price or carbon signal that claims to be valid for longer is refused."""
