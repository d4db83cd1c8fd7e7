"""The settings of the guard as values: trip elements, ride-through, enter service, synchronisation.

Voltages are per unit of nominal, line to neutral; frequencies in Hz; times in s. Where the figures come from:
:mod:`v2g.grid.ieee1547` and :mod:`v2g.grid.profiles`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

FREQUENCY_CYCLES = 3
"""Nominal cycles that the frequency is estimated from."""
ROCOF_WINDOW_S = 0.1
"""The least time a rate of change is taken over (IEEE 1547-2018 Table 21)."""


class SettingsError(ValueError):
    """Settings that cannot protect this site; the message names the value, the rule and the remedy.

    ``path`` (``grid.trips.OV1.time_s``), ``value``, ``reason`` and ``remedy`` are its parts, empty where they are not
    known one by one.
    """

    def __init__(self, reason: str, *, path: str = "", value: str = "", remedy: str = "") -> None:
        where = " ".join(part for part in (path, value) if part)
        super().__init__((f"{where}: " if where else "") + reason + (f"; {remedy}" if remedy else ""))
        self.path = path
        self.value = value
        self.reason = reason
        self.remedy = remedy


class SettingsUnset(SettingsError):
    """There are no settings for this grid yet, or they are not confirmed: the guard runs and permits nothing."""


class Measured(enum.StrEnum):
    """The quantity an element looks at."""

    VOLTAGE = "voltage"
    """Per phase, per unit, RMS over one cycle: one phase beyond the threshold picks the element up."""
    VOLTAGE_10MIN = "voltage_10min"
    """Per phase, per unit, RMS over the last ten minutes, renewed at least every 3 s."""
    FREQUENCY = "frequency"
    """Of the system, Hz."""
    ROCOF = "rocof"
    """Magnitude of the rate of change of frequency, Hz/s, over at least 100 ms; never unfiltered."""


class Side(enum.StrEnum):
    OVER = "over"
    UNDER = "under"


class Timing(enum.StrEnum):
    """What the time of an element counts."""

    CLEARING = "clearing"
    """From the moment the quantity leaves its limit to the parted breaker, at most (IEEE 1547)."""
    OPERATE = "operate"
    """From that moment to the command; the breaker's own time comes on top (relay settings in European practice)."""


@dataclass(frozen=True, slots=True)
class TripSetting:
    """One element: beyond ``threshold`` for its time, the DER ceases to energise. ``time_s`` as ``timing`` says."""

    element: str
    """``OV2``, ``UF1``; ``U<`` and ``f>`` in European profiles."""
    quantity: Measured
    side: Side
    threshold: float
    time_s: float
    clause: str
    timing: Timing = Timing.CLEARING

    def is_beyond(self, value: float) -> bool:
        """Strictly beyond: a voltage of exactly 1.20 p.u. does not pick OV2 up."""
        return value > self.threshold if self.side is Side.OVER else value < self.threshold


@dataclass(frozen=True, slots=True)
class TripSettings:
    """The elements in force. An element that is not among them is off."""

    category: str
    """IEEE 1547 abnormal-operating-performance category, or the profile's name."""
    nominal_frequency_hz: float
    elements: tuple[TripSetting, ...]

    def element(self, name: str) -> TripSetting:
        """Raises ``KeyError`` for an element that is not set."""
        for setting in self.elements:
            if setting.element == name:
                return setting
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class EnterServiceSettings:
    """The window the grid must hold for ``delay_s`` before the DER may energise it. Limits belong to the window.

    After closing, power may rise to its rating over ``ramp_s`` (0: at once). ``random_delay_s`` above 0 adds a delay
    drawn anew for each entry, uniformly from 0 to it, and power then rises at once (IEEE 1547-2018 4.10.3, only for
    DER below 500 kVA).
    """

    v_lo_pu: float
    v_hi_pu: float
    f_lo_hz: float
    f_hi_hz: float
    delay_s: float
    ramp_s: float = 0.0
    random_delay_s: float = 0.0
    clause: str = "IEEE 1547-2018 4.10.2, Table 4"

    def contains(self, v_pu: tuple[float, float, float], frequency_hz: float | None) -> bool:
        """All phases and a known frequency inside the window."""
        return (
            frequency_hz is not None
            and self.f_lo_hz <= frequency_hz <= self.f_hi_hz
            and all(self.v_lo_pu <= v <= self.v_hi_pu for v in v_pu)
        )


class Operation(enum.IntEnum):
    """What a DER has to do at the present voltage (IEEE 1547-2018 6.4.2), from the mildest to the hardest."""

    CONTINUOUS = 0
    MANDATORY = 1
    """Stays and goes on exchanging current."""
    PERMISSIVE = 2
    """Stays connected; may cease."""
    MOMENTARY_CESSATION = 3
    """Stays connected, ceases to energise, restores its output at once when the voltage is back."""
    CEASE = 4
    """Ceases to energise; need not ride through."""


@dataclass(frozen=True, slots=True)
class VoltageRegion:
    """One row of the ride-through tables for ``lo_pu <= V < hi_pu`` (over-voltage rows: ``lo_pu < V <= hi_pu``).

    The minimum ride-through time is ``base_s + slope_s_per_pu * (V - lo_pu)``; infinity for continuous operation, 0 for
    none.
    """

    lo_pu: float
    hi_pu: float
    operation: Operation
    base_s: float
    slope_s_per_pu: float = 0.0

    def ride_through_s(self, v_pu: float) -> float:
        """``v_pu`` inside the row."""
        if not self.slope_s_per_pu:
            return self.base_s
        return self.base_s + self.slope_s_per_pu * (v_pu - self.lo_pu)


@dataclass(frozen=True, slots=True)
class FrequencyRegion:
    """``lo_hz <= f <= hi_hz`` must be ridden through for ``ride_through_s`` (infinity: continuous; 0: nothing asked). A
    boundary belongs to the row that asks for more."""

    lo_hz: float
    hi_hz: float
    operation: Operation
    ride_through_s: float


@dataclass(frozen=True, slots=True)
class RideThroughSettings:
    """What the DER must survive. Consecutive disturbances: ``sets`` of them, those less than ``min_gap_s`` apart count
    as one; from the next on it may trip."""

    voltage: tuple[VoltageRegion, ...]
    """From the highest voltage to the lowest, without a gap."""
    frequency: tuple[FrequencyRegion, ...]
    sets: int
    min_gap_s: float
    count_window_s: float
    """So long after the first of them the count starts anew."""
    rocof_hz_s: float
    """Averaged over at least 0.1 s (Table 21)."""
    phase_jump_sequence_deg: float
    """Of the positive sequence."""
    phase_jump_phase_deg: float
    """Of a single phase."""
    clause: str
    """Of the voltage regions."""
    frequency_clause: str
    rocof_clause: str


@dataclass(frozen=True, slots=True)
class SyncLimits:
    """At the closing of the breaker on two live sides (IEEE 1547-2018 4.10.4, Table 5), by aggregate rating."""

    df_hz: float
    dv_pu: float
    dtheta_deg: float
    clause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GridSettings:
    """Everything the guard protects by, resolved: profile, adjustments and confirmation."""

    profile: str
    """``ieee1547-III``, ``vde-ar-n-4105`` ..."""
    standard: str
    verified: bool
    """Against the standard's own text or a reference of equal weight; others need a person's confirmation by name."""
    nominal_frequency_hz: float
    trips: TripSettings
    enter_service: EnterServiceSettings
    ride_through: RideThroughSettings | None
    """None where the profile does not state it."""
    sync: SyncLimits
    alarm_window_hz: float = 0.5
    """Beyond it: a warning and no new discharge. Never a trip."""
    islanding_s: float = 2.0
    """Unintentional islands are left within this (IEEE 1547-2018 8.1.1)."""
    permit_off_s: float = 2.0
    """Cease to energise within this after permit service is withdrawn (4.10.3)."""
    adjusted: tuple[str, ...] = ()
    """Values that differ from the profile's defaults, as ``OV1.time_s 13 -> 5``."""
    remarks: tuple[str, ...] = ()
    """Allowed, and worth a warning: a time shorter than the ride-through asks for, an unverified profile."""
