"""Orders, and what becomes of them: the types of the dispatch room."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from math import inf


class Mode(enum.StrEnum):
    CHARGE = "charge"
    DISCHARGE = "discharge"
    IDLE = "idle"
    AUTO = "auto"
    """No order at all, for whom it names; where vehicles without an order rest, it sets ``auto`` going."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order of an operator. ``power_w`` is a magnitude; ``evse_id`` None means all vehicles.

    It stands for ``begins_at_s <= t < expires_at_s``, and never after.
    """

    id: int
    mode: Mode
    power_w: float
    evse_id: str | None
    created_at_s: float
    expires_at_s: float
    by: str
    begins_at_s: float = -inf

    @property
    def signed_w(self) -> float:
        """Positive: charge, negative: discharge."""
        return {Mode.CHARGE: self.power_w, Mode.DISCHARGE: -self.power_w, Mode.IDLE: 0.0, Mode.AUTO: 0.0}[self.mode]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A vehicle's share. ``bound_by`` names the source that kept it below its part of the order, or is None; under
    ``auto`` it names what its power comes from.

    ``power_w`` is to be carried out now; ``target_w`` is its share, which power reaches by its ramp and as others make
    room.
    """

    evse_id: str
    power_w: float
    bound_by: str | None
    order_id: int | None
    target_w: float = 0.0
    auto: bool = False
    waits_s: float | None = None
    """For how long it has been waiting for its turn; None: it is not."""


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
