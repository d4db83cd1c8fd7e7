"""What the guard protects by: the sections ``grid``, ``protection``, ``relay``, ``breaker``, ``functions`` ..."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from v2g.config.schema_base import Positive
from v2g.config.schema_base import Section as _Section


class TripChange(_Section, frozen=True, kw_only=True):
    """Adjusts one trip element inside its range of adjustability."""

    threshold: Annotated[float, Meta(ge=0)] | None = None
    """p.u. or Hz."""
    time_s: Positive | None = None
    """Until the breaker has parted."""


class EnterService(_Section, frozen=True, kw_only=True):
    """Adjusts the profile's enter-service criteria (IEEE 1547-2018 Table 4); what is left out keeps the profile's."""

    v_lo_pu: Positive | None = None
    """Lowest voltage."""
    v_hi_pu: Positive | None = None
    """Highest voltage."""
    f_lo_hz: Positive | None = None
    """Lowest frequency."""
    f_hi_hz: Positive | None = None
    """Highest frequency."""
    delay_s: Annotated[float, Meta(ge=0)] | None = None
    """For so long the grid must be within them without a break."""
    ramp_s: Annotated[float, Meta(ge=0)] | None = None
    """Then up to rated power in this time."""
    random_delay_s: Annotated[float, Meta(ge=0)] | None = None
    """Instead of the ramp, below 500 kVA: a delay drawn anew each time, up to this."""


class Grid(_Section, frozen=True, kw_only=True):
    """Nominal values at the bus and the settings that the guard protects by (:mod:`v2g.grid.profiles`)."""

    nominal_voltage_v: Positive
    """Line to neutral, RMS."""
    nominal_frequency_hz: Positive = 60.0
    """60 or 50."""
    profile: str = ""
    """Empty: IEEE 1547-2018 with ``category`` at 60 Hz, nothing at 50 Hz (then no power is permitted)."""
    confirm_unverified: bool = False
    """A person takes upon himself that an unverified profile is right for this site."""
    category: Annotated[str, Meta(pattern="^(I|II|III)$")] = "III"
    """Abnormal operating performance category of IEEE 1547-2018; used when ``profile`` is empty."""
    trips: dict[str, TripChange] = msgspec.field(default_factory=dict)
    """``{OV1: {time_s: 5}}``."""
    enter_service: EnterService = EnterService()
    alarm_window_hz: Annotated[float, Meta(gt=0, le=5)] = 0.5
    """Beyond it: a warning and no new discharge. It never trips."""


class Overcurrent(_Section, frozen=True, kw_only=True):
    """One place, per unit of its rated current. ``rated_a`` None: from the transformer's or the EVSEs' ratings."""

    rated_a: Positive | None = None
    """Current of a phase that counts as 1; None: from the transformer's or the EVSEs' ratings."""
    pickup_pu: Annotated[float, Meta(ge=1.05, le=4)] | None = None
    """None: 1.2 at the feeder, 1.5 at the transformer."""
    curve: Annotated[str, Meta(pattern="^(standard_inverse|very_inverse|extremely_inverse)$")] = "standard_inverse"
    """Inverse-time characteristic of IEC 60255-151."""
    time_multiplier: Annotated[float, Meta(ge=0.05, le=1.5)] = 0.1
    """TMS of that characteristic."""
    instantaneous_pu: Annotated[float, Meta(ge=1.5, le=30)] = 3.0
    """Pickup of the definite-time element."""
    instantaneous_s: Annotated[float, Meta(ge=0.035, le=5)] = 0.1
    """Its time."""


class Protection(_Section, frozen=True, kw_only=True):
    """What the guard protects by besides the grid's profile."""

    feeder: Overcurrent = Overcurrent()
    """Over-current of the V2G feeder."""
    transformer: Overcurrent = Overcurrent()
    """Over-current of the transformer."""
    mains_input_path: str = ""
    """Memory-mapped loss-of-mains input (position of the upstream switch, transfer trip); empty: none. Without it the
    inverters' own active islanding detection is required for discharge (SunSpec 704 AntiIslEna)."""
    phase_limit_deg: Annotated[float, Meta(gt=0, le=60)] | None = None
    """Between inverter side and grid across the closed breaker; None: the synchronisation limit of the rating."""
    phase_cycles: Annotated[int, Meta(ge=2, le=120)] = 6
    """Beyond the phase limit for so many cycles: Phase Mismatch."""


class Relay(_Section, frozen=True, kw_only=True):
    """The hardware over-voltage relay in series with the V2G breaker. Software supervises it and cannot replace it."""

    setting_pu: Positive | None = None
    """What it is set to. None: not stated, and discharge is refused; so it is above 1.10."""
    delay_s: Annotated[float, Meta(ge=0, le=60)] = 0.16
    """And after how long it opens."""
    feedback_path: str = ""
    """Memory-mapped feedback of its contact (layout: :mod:`v2g.hardware.contact`); empty: none, no discharge."""


class FrequencyDroop(_Section, frozen=True, kw_only=True):
    enabled: bool = True
    """Whether power follows frequency."""
    db_of_hz: Positive = 0.036
    """Dead band above nominal frequency."""
    db_uf_hz: Positive = 0.036
    """Dead band below it."""
    k_of: Positive = 0.05
    """Change of frequency per unit of nominal, above it, for a whole rating of power."""
    k_uf: Positive = 0.05
    """The same below it."""
    response_s: Positive = 5.0
    """Open-loop response time: 90 % of a step are reached after it."""


class Curve(_Section, frozen=True, kw_only=True):
    """``points``: pairs, x ascending. None: the standard's default for category B."""

    enabled: bool = False
    """Whether it is followed."""
    points: tuple[tuple[float, float], ...] | None = None
    """Pairs, x ascending; None: the standard's default for category B."""
    response_s: Positive | None = None
    """Open-loop response time; None: the standard's."""


class ConstantPf(_Section, frozen=True, kw_only=True):
    enabled: bool = False
    """Whether it is held."""
    power_factor: Annotated[float, Meta(gt=0, le=1)] = 1.0
    """Its magnitude."""
    over_excited: bool = True
    """Reactive power is injected; false: absorbed."""


class Functions(_Section, frozen=True, kw_only=True):
    """Grid-support functions (IEEE 1547-2018 clause 5), into every inverter."""

    frequency_droop: FrequencyDroop = FrequencyDroop()
    """Frequency-droop (clause 6.5.2.7)."""
    volt_var: Curve = Curve()
    """Reactive power by voltage."""
    volt_watt: Curve = Curve()
    """Active power by voltage."""
    watt_var: Curve = Curve()
    """Reactive power by active power."""
    constant_pf: ConstantPf = ConstantPf()
    """A constant power factor. At most one of volt_var, watt_var and this."""


class PowerQuality(_Section, frozen=True, kw_only=True):
    """Limits of clause 7 that are told in power_quality.log."""

    thd_v_limit_pct: Positive = 8.0
    """THD of the voltage."""
    trd_limit_pct: Positive = 5.0
    """TRD of the V2G feeder's current, of its rated current."""
    rapid_change_limit_pct: Positive = 5.0
    """Rapid voltage change."""
    pst_limit: Positive = 0.35
    """Short-term flicker severity."""
    plt_limit: Positive = 0.25
    """Long-term flicker severity."""
    voltage_window_pu: tuple[Positive, Positive] = (0.88, 1.10)
    """Outside it a voltage is told."""
    summary_every_s: Annotated[float, Meta(ge=10, le=7200)] = 600.0
    """Between two summaries."""


class Breaker(_Section, frozen=True, kw_only=True):
    opening_time_s: Positive = 0.05
    """From the command to the parted contact; too slow for a trip element is refused."""
    closing_time_s: Annotated[float, Meta(gt=0, le=1)] = 0.06
    """From the command to the touching contacts: the angle of a live inverter side is judged for that moment."""
    output_path: str = ""
    """Memory-mapped output and feedback of the breaker driver; empty: ``<run_dir>/breaker``."""


class Waveform(_Section, frozen=True, kw_only=True):
    buffer_path: str = ""
    """Memory-mapped ring; empty: ``<run_dir>/waveform``."""
    max_age_s: Annotated[float, Meta(ge=0.01, le=0.5)] = 0.02
    """Samples older than this open the breaker. Refused where it is too long for the clearing times (0.04 s with a
    breaker of 0.05 s), unless ``allow_slow``."""
    allow_slow: bool = False
    """Simulation and trials only: the clearing times of IEEE 1547 are then not kept."""


class Interlocks(_Section, frozen=True, kw_only=True):
    """What opens the breaker besides the grid. Emergency stop, door and winding stress are channels of the sensor map;
    each one that is mapped is watched."""

    winding_stress_limit_mpa: Positive | None = None
    """Of the channel ``winding_stress_mpa``; required where that is mapped."""
    winding_stress_s: Annotated[float, Meta(ge=0, le=60)] = 1.0
    """Beyond the limit for this long: the breaker opens, latched."""
