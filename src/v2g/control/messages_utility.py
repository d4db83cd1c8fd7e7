"""Parameters and results of ``utility.signal``, ``utility.withdraw`` (utility) and ``utility.signals`` (viewer).

Powers in W, positive charges, negative discharges; times as Unix time in s; ages and remaining times in s.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from v2g.control.messages import Params

SignalId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class SignalParams(Params, frozen=True, kw_only=True):
    """``value``: of cap, floor and setpoint the V2G feeder's net power in W, signed; of price currency a kWh; of
    carbon g a kWh. ``starts_unix_s`` None: now. One of ``duration_s`` and ``ends_unix_s`` is given. ``id`` None: a new
    one; one that stands is replaced.
    """

    kind: Literal["cap", "floor", "setpoint", "price", "carbon"]
    value: float
    starts_unix_s: float | None = None
    ends_unix_s: float | None = None
    duration_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    id: SignalId | None = None
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")] | None = None
    """Of a price: ISO 4217."""


class SignalLine(msgspec.Struct, frozen=True, kw_only=True):
    """``words``: what it asks for, without a sign. ``starts_in_s`` is 0 for one that holds."""

    id: str
    kind: str
    value: float
    words: str
    starts_unix_s: float
    ends_unix_s: float
    starts_in_s: float
    remaining_s: float
    source: str
    priority: int | None = None
    """Of OpenADR, 0 is the highest; an operator's signal has it. None: lowest."""


class SignalResult(msgspec.Struct, frozen=True, kw_only=True):
    """``replaced``: what stood under the same id. ``remarks``: what to know besides."""

    signal: SignalLine
    replaced: SignalLine | None = None
    remarks: tuple[str, ...] = ()


class WithdrawParams(Params, frozen=True, kw_only=True):
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class WithdrawResult(msgspec.Struct, frozen=True, kw_only=True):
    signal: SignalLine
    remarks: tuple[str, ...] = ()


class SignalsParams(Params, frozen=True, kw_only=True):
    """What ends soonest comes first; at most ``limit`` are told."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 200


class VtnLine(msgspec.Struct, frozen=True, kw_only=True):
    """The OpenADR VTN. ``error`` empty: the last poll was answered. ``answer_age_s`` None: never."""

    url: str
    ven_name: str
    ven_id: str
    program: str
    answer_age_s: float | None
    error: str
    events: int
    signals: int
    notes: tuple[str, ...] = ()


class BoundLine(msgspec.Struct, frozen=True, kw_only=True):
    """Of the V2G feeder's net power; None: without limit on that side."""

    lo_w: float | None
    hi_w: float | None
    source: str
    remaining_s: float


class SignalsResult(msgspec.Struct, frozen=True, kw_only=True):
    """``bounds``, ``target_w``, ``notes``: what all signals mean together now. ``total``: how many there are."""

    signals: tuple[SignalLine, ...]
    total: int
    bounds: tuple[BoundLine, ...] = ()
    target_w: float | None = None
    target_source: str = ""
    notes: tuple[str, ...] = ()
    vtn: VtnLine | None = None
