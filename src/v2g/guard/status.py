"""What ``tick`` tells the others: the permit word and its measurements, whole, every 10 ms.

The file ``<run_dir>/guard-status`` is a memory-mapped block with one writer and any number of readers. A reader that
finds it missing, torn, of another version or older than :data:`MAX_AGE_S` gets no permit.
"""

from __future__ import annotations

import enum

import msgspec

from v2g.guard.interlocks import Interlock

MAX_AGE_S = 0.2
"""A status older than this is no permit."""


class Permit(enum.IntEnum):
    """Why energy may or may not flow. Only ``GRANTED`` permits."""

    GRANTED = 0
    STARTING = 1
    WAVEFORM_STALE = 2
    OUT_OF_WINDOW = 3
    """Voltage or frequency outside the enter-service window while the breaker is open."""
    ENTER_SERVICE_DELAY = 4
    TRIPPED = 5
    BREAKER_OPEN = 6
    """The breaker is commanded closed and its feedback says open, or is unknown."""
    GUARD_STALE = 7
    """Said by readers: the block is missing, torn or old."""
    NO_SETTINGS = 8
    """There are no grid settings for this frequency, or they are not confirmed."""
    PERMIT_OFF = 9
    """Permit service is withdrawn by an operator."""
    RELAY_OPEN = 10
    """The hardware relay says that it is open."""
    BREAKER_FAILED = 11
    """Commanded open, its contact still says closed: every inverter to zero, every contactor open."""
    TESTING = 12
    """A relay test runs."""
    NOT_SYNCHRONOUS = 13
    """The inverter side is live and not in step with the grid."""
    INTERLOCK = 14
    """An interlock's contact is of unknown position."""
    LOCKOUT = 15
    """Somebody has locked out the breaker."""


class GuardStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One published state. Times are CLOCK_MONOTONIC seconds. Power positive downstream, per phase sums."""

    as_of_s: float
    permit: Permit
    breaker_commanded_closed: bool
    breaker_closed: bool | None
    v_pu: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """One-cycle RMS of the bus voltages, per unit of nominal."""
    frequency_hz: float | None = None
    """None while the voltage is below the validity floor."""
    transformer_w: float = 0.0
    transformer_var: float = 0.0
    transformer_va: float = 0.0
    """Apparent power: sum over phases of V_rms * I_rms."""
    feeder_w: float = 0.0
    """Active power of the V2G feeder, positive: the vehicles charge."""
    feeder_var: float = 0.0
    measured: bool = False
    """The power and voltage figures are from fresh samples."""
    load_measured: bool = False
    """The transformer's currents are believable, so ``transformer_w``, ``_var`` and ``_va`` are its load. False
    without a measurement and while a current channel is dead or stuck; the load is then unknown, not zero."""
    enter_service_remaining_s: float = 0.0
    trip_element: str = ""
    """Latched trip: ``OV2``, ``UF1`` ...; empty when not tripped."""
    trip_value: float = 0.0
    trip_unit: str = ""
    """Of ``trip_value``: ``pu``, ``Hz``, ``Hz/s``, ``A`` or ``deg``; empty where the trip has no value."""
    trip_phase: str = ""
    """``a``, ``b`` or ``c``; empty where it is of all phases."""
    trip_at_s: float = 0.0
    ticks: int = 0
    late_ticks: int = 0
    worst_lateness_s: float = 0.0
    lateness_counts: tuple[int, ...] = ()
    """Ticks by the buckets of :data:`v2g.guard.lateness.TOLD_EDGES`, not added up; empty: not told."""
    lateness_sum_s: float = 0.0
    realtime: bool = False
    """SCHED_FIFO and locked memory were granted."""
    operation: int = 0
    """:class:`v2g.grid.settings.Operation`; from MOMENTARY_CESSATION on power is zero although the permit stands."""
    blocks: int = 0
    """:class:`v2g.grid.protection.Block`: what discharge is refused for."""
    curtail_charge: float = 1.0
    """0..1, of what would otherwise flow: over-current curtailment."""
    curtail_discharge: float = 1.0
    service_fraction: float = 0.0
    """0..1 of each rating: the ramp after entering service."""
    permit_service: bool = True
    relay_closed: bool | None = None
    mains_present: bool | None = None
    rocof_hz_s: float | None = None
    v1_pu: float = 0.0
    transformer_a: tuple[float, float, float] = (0.0, 0.0, 0.0)
    feeder_a: tuple[float, float, float] = (0.0, 0.0, 0.0)
    inverter_v_pu: tuple[float, float, float] = (0.0, 0.0, 0.0)
    inverter_angle_deg: tuple[float | None, float | None, float | None] = (None, None, None)
    """As measured, not corrected by the calibration."""
    profile: str = ""
    """Name of the settings in force; at most 16 ASCII characters."""
    settings_digest: str = ""
    """Eight hex digits over all settings in force, to read a change back."""
    interlocks: Interlock = Interlock.NONE
    """Those that are watched; of them ..."""
    interlocks_open: Interlock = Interlock.NONE
    """... those whose contact says stop, and ..."""
    interlocks_lost: Interlock = Interlock.NONE
    """... those whose position is unknown."""
    locked_by: str = ""
    """Whose locks are on, the first 64 ASCII characters; empty: none."""
