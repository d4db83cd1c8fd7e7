"""Orders, and what becomes of them: the types of the dispatch room."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from v2g.dispatch.constraints import Bound


class Mode(enum.StrEnum):
    CHARGE = "charge"
    DISCHARGE = "discharge"
    IDLE = "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order of an operator. ``power_w`` is a magnitude; ``evse_id`` None means all vehicles."""

    id: int
    mode: Mode
    power_w: float
    evse_id: str | None
    created_at_s: float
    expires_at_s: float
    by: str

    @property
    def signed_w(self) -> float:
        """Positive: charge, negative: discharge."""
        return {Mode.CHARGE: self.power_w, Mode.DISCHARGE: -self.power_w, Mode.IDLE: 0.0}[self.mode]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A vehicle whose charge loop runs. ``bounds``: its own limits, ratings, min-SoC."""

    evse_id: str
    bounds: tuple[Bound, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A vehicle's share. ``bound_by`` names the source that kept it below its part of the order, or is None."""

    evse_id: str
    power_w: float
    bound_by: str | None
    order_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """What an order did not get. ``code`` is ``REVERSE_FLOW_DENIED`` where a thermal limit binds a discharge."""

    order_id: int
    evse_id: str | None
    missing_w: float
    """Magnitude."""
    code: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Result of one dispatch: a grant for every candidate (0 W without order), and every shortfall named."""

    grants: tuple[Grant, ...]
    shortfalls: tuple[Shortfall, ...]
    site_w: float
