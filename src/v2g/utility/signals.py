"""What the utility may tell: caps, floors, a set-point, prices and carbon intensity, each with source and validity."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from v2g.dispatch.constraints import Bound
from v2g.units import format_power


class SignalKind(enum.StrEnum):
    CAP = "cap"
    """W, signed: the V2G feeder's net power shall not be above it. A negative cap asks for discharge."""
    FLOOR = "floor"
    """W, signed: the V2G feeder's net power shall not be below it. A positive floor asks for charge."""
    SETPOINT = "setpoint"
    """W, signed: net power that ``auto`` aims at, as far as drivers' needs and all limits allow."""
    PRICE = "price"
    """Currency a kWh; only their differences over time matter."""
    CARBON = "carbon"
    """g a kWh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Holds for ``starts_unix_s <= t < ends_unix_s``, and never after: expired means gone."""

    id: str
    kind: SignalKind
    value: float
    starts_unix_s: float
    ends_unix_s: float
    source: str
    """As people read it: ``utility by grid-ops``, ``OpenADR event 'evening peak'``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UtilityView:
    """All signals at one moment, as dispatch takes them.

    ``bounds``: of the V2G net power, each with its source and its end on the monotonic clock; a floor above 0 or a
    cap below 0 excludes 0, which dispatch takes as a wish to charge (discharge) at least so much. Caps below floors
    are a contradiction: ``bounds`` is then one of 0 W with both sources. ``target_w``: of a set-point, None: none.
    """

    bounds: tuple[Bound, ...] = ()
    target_w: float | None = None
    target_source: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSeries:
    """What energy costs over the coming steps; ``values`` are None where no signal says."""

    starts_unix_s: float
    step_s: float
    values: tuple[float | None, ...]
    unit: str


def power_words(kind: SignalKind, value_w: float) -> str:
    """What a cap, a floor or a set-point asks for, without a sign: ``charge at most 20.00 kW``."""
    power = format_power(abs(value_w))
    if kind is SignalKind.CAP:
        return f"charge at most {power}" if value_w >= 0 else f"discharge at least {power}"
    if kind is SignalKind.FLOOR:
        return f"discharge at most {power}" if value_w <= 0 else f"charge at least {power}"
    return f"{'charge' if value_w > 0 else 'discharge'} {power}" if value_w else "no power"
