"""The tables of IEEE 1547-2018 as amended by IEEE 1547a-2020: defaults, ranges of adjustability, ride-through. 60 Hz.

Voltages in p.u. of nominal at the reference point of applicability, times in s, clearing times where trips are meant.
They are never scaled to another nominal frequency.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from v2g.grid.settings import (
    FrequencyRegion,
    Measured,
    Operation,
    RideThroughSettings,
    Side,
    SyncLimits,
    VoltageRegion,
)

STANDARD = "IEEE 1547-2018, 1547a-2020"
NOMINAL_HZ = 60.0
CATEGORIES = ("I", "II", "III")

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Adjustable:
    """A default and the range of adjustability, ends included."""

    default: float
    lo: float
    hi: float

    @property
    def range(self) -> Range:
        return self.lo, self.hi

    def allows(self, value: float) -> bool:
        return self.lo <= value <= self.hi


@dataclass(frozen=True, slots=True)
class TripRow:
    """One element of Tables 11-13 or 18."""

    element: str
    quantity: Measured
    side: Side
    threshold: Adjustable
    time_s: Adjustable
    clause: str


def _voltage(clause: str, rows: tuple[tuple[str, Adjustable, Adjustable], ...]) -> tuple[TripRow, ...]:
    return tuple(TripRow(name, Measured.VOLTAGE, _side(name), pickup, time_s, clause) for name, pickup, time_s in rows)


def _side(element: str) -> Side:
    return Side.OVER if element.startswith("O") else Side.UNDER


_A = Adjustable
_TABLE_13 = "IEEE 1547-2018 6.4.1, Table 13"

VOLTAGE_TRIP: dict[str, tuple[TripRow, ...]] = {
    "I": _voltage(
        "IEEE 1547-2018 6.4.1, Table 11",
        (
            ("OV2", _A(1.20, 1.20, 1.20), _A(0.16, 0.16, 0.16)),
            ("OV1", _A(1.10, 1.10, 1.20), _A(2.0, 1.0, 13.0)),
            ("UV1", _A(0.70, 0.0, 0.88), _A(2.0, 2.0, 21.0)),
            ("UV2", _A(0.45, 0.0, 0.50), _A(0.16, 0.16, 2.0)),
        ),
    ),
    "II": _voltage(
        "IEEE 1547-2018 6.4.1, Table 12",
        (
            ("OV2", _A(1.20, 1.20, 1.20), _A(0.16, 0.16, 0.16)),
            ("OV1", _A(1.10, 1.10, 1.20), _A(2.0, 1.0, 13.0)),
            ("UV1", _A(0.70, 0.0, 0.88), _A(10.0, 2.0, 21.0)),
            ("UV2", _A(0.45, 0.0, 0.50), _A(0.16, 0.16, 2.0)),
        ),
    ),
    "III": _voltage(
        _TABLE_13,
        (
            ("OV2", _A(1.20, 1.20, 1.20), _A(0.16, 0.16, 0.16)),
            ("OV1", _A(1.10, 1.10, 1.20), _A(13.0, 1.0, 13.0)),
        ),
    )
    # 1547a-2020 widens these two: from 21 s and 2 s downwards.
    + _voltage(
        f"{_TABLE_13}, range as amended by IEEE 1547a-2020",
        (
            ("UV1", _A(0.88, 0.0, 0.88), _A(21.0, 2.0, 50.0)),
            ("UV2", _A(0.50, 0.0, 0.50), _A(2.0, 0.16, 21.0)),
        ),
    ),
}

FREQUENCY_TRIP: tuple[TripRow, ...] = tuple(
    TripRow(name, Measured.FREQUENCY, _side(name), pickup, time_s, "IEEE 1547-2018 6.5.1, Table 18")
    for name, pickup, time_s in (
        ("OF2", _A(62.0, 61.8, 66.0), _A(0.16, 0.16, 1000.0)),
        ("OF1", _A(61.2, 61.0, 66.0), _A(300.0, 180.0, 1000.0)),
        ("UF1", _A(58.5, 50.0, 59.0), _A(300.0, 180.0, 1000.0)),
        ("UF2", _A(56.5, 50.0, 57.0), _A(0.16, 0.16, 1000.0)),
    )
)


def trip_rows(category: str) -> tuple[TripRow, ...]:
    return VOLTAGE_TRIP[category] + FREQUENCY_TRIP


ENTER_SERVICE_CLAUSE = "IEEE 1547-2018 4.10.2, Table 4"
RANDOM_DELAY_CLAUSE = "IEEE 1547-2018 4.10.3"
RANDOM_DELAY_BELOW_KVA = 500.0

ENTER_SERVICE: dict[str, Adjustable] = {
    "v_lo_pu": _A(0.917, 0.88, 0.95),
    "v_hi_pu": _A(1.05, 1.05, 1.06),
    "f_lo_hz": _A(59.5, 59.0, 59.9),
    "f_hi_hz": _A(60.1, 60.1, 61.0),
    "delay_s": _A(300.0, 0.0, 600.0),
    "ramp_s": _A(300.0, 1.0, 1000.0),
    "random_delay_s": _A(0.0, 1.0, 1000.0),
}
"""``random_delay_s`` 0 is off and outside its range; a randomised delay takes the place of the ramp."""

_TABLE_5 = "IEEE 1547-2018 4.10.4, Table 5"
SYNCHRONISATION: tuple[tuple[float, SyncLimits], ...] = (
    (500.0, SyncLimits(df_hz=0.3, dv_pu=0.10, dtheta_deg=20.0, clause=f"{_TABLE_5} (up to 500 kVA)")),
    (1500.0, SyncLimits(df_hz=0.2, dv_pu=0.05, dtheta_deg=15.0, clause=f"{_TABLE_5} (above 500 to 1500 kVA)")),
    (math.inf, SyncLimits(df_hz=0.1, dv_pu=0.03, dtheta_deg=10.0, clause=f"{_TABLE_5} (above 1500 kVA)")),
)
"""Aggregate rating up to and including kVA, and the limits for it."""


def sync_limits(rated_kva: float) -> SyncLimits:
    return next(limits for up_to_kva, limits in SYNCHRONISATION if rated_kva <= up_to_kva)


_CONTINUOUS = VoltageRegion(0.88, 1.10, Operation.CONTINUOUS, math.inf)
_CEASE_HIGH = VoltageRegion(1.20, math.inf, Operation.CEASE, 0.0)
_PERMISSIVE_HIGH = (
    VoltageRegion(1.175, 1.20, Operation.PERMISSIVE, 0.2),
    VoltageRegion(1.15, 1.175, Operation.PERMISSIVE, 0.5),
    VoltageRegion(1.10, 1.15, Operation.PERMISSIVE, 1.0),
)
_VOLTAGE_REGIONS: dict[str, tuple[VoltageRegion, ...]] = {
    "I": (
        _CEASE_HIGH,
        *_PERMISSIVE_HIGH,
        _CONTINUOUS,
        VoltageRegion(0.70, 0.88, Operation.MANDATORY, 0.7, 4.0),
        VoltageRegion(0.50, 0.70, Operation.PERMISSIVE, 0.16),
        VoltageRegion(0.0, 0.50, Operation.CEASE, 0.0),
    ),
    "II": (
        _CEASE_HIGH,
        *_PERMISSIVE_HIGH,
        _CONTINUOUS,
        VoltageRegion(0.65, 0.88, Operation.MANDATORY, 3.0, 8.7),
        VoltageRegion(0.45, 0.65, Operation.PERMISSIVE, 0.32),
        VoltageRegion(0.30, 0.45, Operation.PERMISSIVE, 0.16),
        VoltageRegion(0.0, 0.30, Operation.CEASE, 0.0),
    ),
    "III": (
        _CEASE_HIGH,
        VoltageRegion(1.10, 1.20, Operation.MOMENTARY_CESSATION, 12.0),
        _CONTINUOUS,
        VoltageRegion(0.70, 0.88, Operation.MANDATORY, 20.0),
        VoltageRegion(0.50, 0.70, Operation.MANDATORY, 10.0),
        VoltageRegion(0.0, 0.50, Operation.MOMENTARY_CESSATION, 1.0),
    ),
}
# Table 19 asks nothing above 61.8 Hz; OF2 begins at 62.0 Hz.
_FREQUENCY_REGIONS = (
    FrequencyRegion(61.8, math.inf, Operation.PERMISSIVE, 0.0),
    FrequencyRegion(61.2, 61.8, Operation.MANDATORY, 299.0),
    FrequencyRegion(58.8, 61.2, Operation.CONTINUOUS, math.inf),
    FrequencyRegion(57.0, 58.8, Operation.MANDATORY, 299.0),
    FrequencyRegion(-math.inf, 57.0, Operation.PERMISSIVE, 0.0),
)


def _ride_through(
    category: str, table: str, sets: int, min_gap_s: float, count_window_s: float, rocof_hz_s: float
) -> RideThroughSettings:
    return RideThroughSettings(
        voltage=_VOLTAGE_REGIONS[category],
        frequency=_FREQUENCY_REGIONS,
        sets=sets,
        min_gap_s=min_gap_s,
        count_window_s=count_window_s,
        rocof_hz_s=rocof_hz_s,
        phase_jump_sequence_deg=20.0,
        phase_jump_phase_deg=60.0,
        clause=f"IEEE 1547-2018 6.4.2, {table}",
        frequency_clause="IEEE 1547-2018 6.5.2, Table 19",
        rocof_clause="IEEE 1547-2018 6.5.2, Table 21",
    )


RIDE_THROUGH: dict[str, RideThroughSettings] = {
    "I": _ride_through("I", "Table 14", sets=2, min_gap_s=20.0, count_window_s=3600.0, rocof_hz_s=0.5),
    "II": _ride_through("II", "Table 15", sets=2, min_gap_s=10.0, count_window_s=3600.0, rocof_hz_s=2.0),
    "III": _ride_through("III", "Table 16", sets=3, min_gap_s=5.0, count_window_s=1200.0, rocof_hz_s=3.0),
}

_ISLANDING_FREQUENCY = {"OF2": (66.0, 1000.0), "OF1": (66.0, 1000.0), "UF1": (50.0, 1000.0), "UF2": (50.0, 1000.0)}
_ISLANDING_OVER = {"OV2": (1.20, 0.16), "OV1": (1.20, 13.0)}
ISLANDING_TEST: dict[str, dict[str, tuple[float, float]]] = {
    "I": _ISLANDING_OVER | {"UV1": (0.0, 21.0), "UV2": (0.0, 2.0)} | _ISLANDING_FREQUENCY,
    "II": _ISLANDING_OVER | {"UV1": (0.0, 21.0), "UV2": (0.0, 2.0)} | _ISLANDING_FREQUENCY,
    "III": _ISLANDING_OVER | {"UV1": (0.0, 50.0), "UV2": (0.0, 21.0)} | _ISLANDING_FREQUENCY,
}
"""Threshold and time of each element under which unintentional islanding is tested (8.1.1, IEEE 1547.1)."""
