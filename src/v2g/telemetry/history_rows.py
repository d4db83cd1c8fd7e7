"""What the history holds: rows by the minute, by EVSE and minute, and trips; and how its writer fares."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec


class MinuteRow(msgspec.Struct, frozen=True, kw_only=True):
    """Means over one minute that ended at ``unix_min`` · 60 s (UTC, so it never repeats); None: not measured.

    W and var positive downstream, ``v2g_w`` positive charges; ``k_pu`` is a root mean square, temperatures are means,
    ``…_read_c`` what the transducers said and the others what was counted with.
    """

    unix_min: int
    base_w: float | None = None
    base_var: float | None = None
    load_w: float | None = None
    v2g_w: float | None = None
    k_pu: float | None = None
    f_hl: float | None = None
    ambient_read_c: float | None = None
    top_oil_read_c: float | None = None
    winding_read_c: float | None = None
    ambient_c: float | None = None
    top_oil_c: float | None = None
    hot_spot_c: float | None = None
    bias_k: float | None = None
    lo_w: float | None = None
    """Permitted interval, the narrowest of the minute."""
    hi_w: float | None = None
    ageing_rate: float | None = None
    frequency_hz: float | None = None
    frequency_min_hz: float | None = None
    """Lowest and highest that a cycle saw; None in minutes from before schema 2."""
    frequency_max_hz: float | None = None


class EvseMinute(msgspec.Struct, frozen=True, kw_only=True):
    """Means over the minute, kept to whole W and 0.1 %; ``soc_pct`` is the last one heard. Not for idle EVSEs."""

    unix_min: int
    evse_id: str
    vehicle: str
    power_w: float | None
    granted_w: float
    soc_pct: float | None


class TripRow(msgspec.Struct, frozen=True, kw_only=True):
    unix_s: float
    element: str
    value: float
    unit: str
    phase: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryHealth:
    """``problem``: why nothing is written at present, with the remedy; empty while it works."""

    problem: str
    dropped_rows: int
    written_rows: int
    size_bytes: int


class HistoryError(Exception):
    """The file cannot be used; the message names it and the remedy."""
