"""The configuration: frozen types with units in their names. YAML is decoded into these; unknown keys are errors.

Every value has a default only where a safe one exists. ``README.md`` shows a complete file; ``etc/v2g`` ships one.
"""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec
from msgspec import Meta

from v2g.config.schema_base import EvseId, Percent, Port, Positive
from v2g.config.schema_base import Section as _Section
from v2g.config.schema_dispatch import Dispatch
from v2g.config.schema_evse import (
    AcEvse,
    AcOutput,
    DcEvse,
    DcOutput,
    Evse,
    HarmonicFilter,
    Inverter,
    ModbusAddress,
    ModbusTls,
    TlsProfileName,
)
from v2g.config.schema_firewall import Firewall
from v2g.config.schema_mesh import Heartbeat, Mesh
from v2g.config.schema_pki import Pki
from v2g.config.schema_plc import Plc
from v2g.config.schema_utility import Utility

__all__ = [
    "AcEvse",
    "AcOutput",
    "Config",
    "DcEvse",
    "DcOutput",
    "Evse",
    "EvseId",
    "Firewall",
    "HarmonicFilter",
    "Inverter",
    "ModbusAddress",
    "ModbusTls",
    "Percent",
    "Pki",
    "Port",
    "Positive",
    "TlsProfileName",
]


class Site(_Section, frozen=True, kw_only=True):
    id: str
    name: str = ""
    timezone: str = ""
    """IANA name, for load profiles by time of day; empty: the host's."""


class Paths(_Section, frozen=True, kw_only=True):
    run_dir: str = "/run/v2g"
    state_dir: str = "/var/lib/v2g"
    log_dir: str = "/var/log/v2g"


class Cooling(enum.StrEnum):
    """Cooling classes of IEC 60076-7 with their thermal constants."""

    DIST_ONAN = "DIST_ONAN"
    ONAN_RESTRICTED = "ONAN_RESTRICTED"
    ONAN = "ONAN"
    ONAF_RESTRICTED = "ONAF_RESTRICTED"
    ONAF = "ONAF"
    OF_RESTRICTED = "OF_RESTRICTED"
    OF = "OF"
    OD = "OD"


class ThermalConstants(_Section, frozen=True, kw_only=True):
    """A transformer's own constants where a heat run or a calibration gave them; the cooling mode's for the others."""

    x: Positive | None = None
    y: Positive | None = None
    k11: Positive | None = None
    k21: Positive | None = None
    k22: Positive | None = None
    tau_o_min: Positive | None = None
    tau_w_min: Positive | None = None


class Tap(_Section, frozen=True, kw_only=True):
    """Present tap and the loss ratio at an end of the range; ``loss_ratio_r`` is the principal tap's."""

    position: int
    principal: int
    end: int
    """The end of the range on the side of ``position``."""
    r_at_end: Positive


class ColdOil(_Section, frozen=True, kw_only=True):
    """Load limit with cold oil (:class:`v2g.thermal.limits.ColdOil`, with its source)."""

    full_load_above_c: Annotated[float, Meta(ge=-60, le=40)] = -20.0
    ramp_k: Annotated[float, Meta(ge=0.1, le=60)] = 10.0
    k_pu: Annotated[float, Meta(ge=0, le=1.5)] = 0.5


class Ageing(_Section, frozen=True, kw_only=True):
    upgraded_paper: bool = False
    budget_h_per_day: Annotated[float, Meta(gt=0, le=2400)] | None = None
    """Loss of life that V2G may lead to in a day, hours at rated ageing; None: no limit but the temperatures."""
    insulation_life_h: Annotated[float, Meta(ge=1000)] = 180_000.0
    """What "life used" is a share of: 20.55 years, IEEE C57.91 normal insulation life."""


class Transformer(_Section, frozen=True, kw_only=True):
    """Nameplate and limits; ``top_oil_rise_k``, ``hot_spot_gradient_k`` and ``loss_ratio_r`` at rated load."""

    id: str
    rated_kva: Positive
    cooling: Cooling = Cooling.DIST_ONAN
    top_oil_rise_k: Positive = 55.0
    hot_spot_gradient_k: Positive = 23.0
    hot_spot_gradient_doubt: Annotated[float, Meta(ge=0, le=0.5)] = 0.1
    """Share by which it may be steeper, counted while no winding sensor is believed."""
    loss_ratio_r: Positive = 5.0
    constants: ThermalConstants = ThermalConstants()
    tap: Tap | None = None
    eddy_share: Annotated[float, Meta(ge=0, le=1)] = 0.1
    """P_EC-R of IEEE C57.110: eddy losses over I²R losses in the winding at rated current."""
    hot_spot_limit_c: Positive | None = None
    top_oil_limit_c: Positive | None = None
    k_limit_pu: Positive | None = None
    """Of normal cyclic loading; None: IEC 60076-7's for the size, 120 °C, 105 °C and 1.5 (1.3 above 100 MVA)."""
    cold_oil: ColdOil = ColdOil()
    ageing: Ageing = Ageing()
    ambient_fallback_c: Annotated[float, Meta(ge=-40, le=85)] = 40.0
    """Used, and said, when the ambient transducer is lost."""


class TripChange(_Section, frozen=True, kw_only=True):
    """Adjusts one trip element inside its range of adjustability."""

    threshold: Annotated[float, Meta(ge=0)] | None = None
    """p.u. or Hz."""
    time_s: Positive | None = None


class EnterService(_Section, frozen=True, kw_only=True):
    """Adjusts the profile's enter-service criteria (IEEE 1547-2018 Table 4); what is left out keeps the profile's."""

    v_lo_pu: Positive | None = None
    v_hi_pu: Positive | None = None
    f_lo_hz: Positive | None = None
    f_hi_hz: Positive | None = None
    delay_s: Annotated[float, Meta(ge=0)] | None = None
    ramp_s: Annotated[float, Meta(ge=0)] | None = None
    random_delay_s: Annotated[float, Meta(ge=0)] | None = None


class Grid(_Section, frozen=True, kw_only=True):
    """Nominal values at the bus and the settings that the guard protects by (:mod:`v2g.grid.profiles`)."""

    nominal_voltage_v: Positive
    """Line to neutral, RMS."""
    nominal_frequency_hz: Positive = 60.0
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
    pickup_pu: Annotated[float, Meta(ge=1.05, le=4)] | None = None
    """None: 1.2 at the feeder, 1.5 at the transformer."""
    curve: Annotated[str, Meta(pattern="^(standard_inverse|very_inverse|extremely_inverse)$")] = "standard_inverse"
    time_multiplier: Annotated[float, Meta(ge=0.05, le=1.5)] = 0.1
    instantaneous_pu: Annotated[float, Meta(ge=1.5, le=30)] = 3.0
    instantaneous_s: Annotated[float, Meta(ge=0.035, le=5)] = 0.1


class Protection(_Section, frozen=True, kw_only=True):
    """What the guard protects by besides the grid's profile."""

    feeder: Overcurrent = Overcurrent()
    transformer: Overcurrent = Overcurrent()
    mains_input_path: str = ""
    """Memory-mapped loss-of-mains input (position of the upstream switch, transfer trip); empty: none. Without it the
    inverters' own active islanding detection is required for discharge (SunSpec 704 AntiIslEna)."""
    phase_limit_deg: Annotated[float, Meta(gt=0, le=60)] | None = None
    """Between inverter side and grid across the closed breaker; None: the synchronisation limit of the rating."""
    phase_cycles: Annotated[int, Meta(ge=2, le=120)] = 6


class Relay(_Section, frozen=True, kw_only=True):
    """The hardware over-voltage relay in series with the V2G breaker. Software supervises it and cannot replace it."""

    setting_pu: Positive | None = None
    """What it is set to. None: not stated, and discharge is refused; so it is above 1.10."""
    delay_s: Annotated[float, Meta(ge=0, le=60)] = 0.16
    feedback_path: str = ""
    """Memory-mapped feedback of its contact (layout: :mod:`v2g.hardware.contact`); empty: none, no discharge."""


class SensorFactor(_Section, frozen=True, kw_only=True):
    """One calibrated channel: its value is multiplied by ``factor``, beyond the scale of the sensor map."""

    factor: Annotated[float, Meta(gt=0.5, lt=2)]
    reference: str = ""
    """What the reference instrument showed, with its unit: ``231.4 V``."""
    measured: str = ""
    """What was measured at that moment, before."""
    by: str = ""
    """Who did it, and the qualified person who answers for it."""
    at: str = ""
    """ISO 8601."""


class Calibration(_Section, frozen=True, kw_only=True):
    """Written by commands into ``conf.d/80-calibration.yaml``."""

    phase_offset_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Inverter side minus grid with the breaker closed and no current: the transducers' own error."""
    calibrated_at: str = ""
    """ISO 8601, for people."""
    calibrated_by: str = ""
    """Who did it, and the qualified person who answers for it."""
    sensors: dict[str, SensorFactor] = msgspec.field(default_factory=dict)
    """By channel of the sensor map."""


class FrequencyDroop(_Section, frozen=True, kw_only=True):
    enabled: bool = True
    db_of_hz: Positive = 0.036
    db_uf_hz: Positive = 0.036
    k_of: Positive = 0.05
    k_uf: Positive = 0.05
    response_s: Positive = 5.0


class Curve(_Section, frozen=True, kw_only=True):
    """``points``: pairs, x ascending. None: the standard's default for category B."""

    enabled: bool = False
    points: tuple[tuple[float, float], ...] | None = None
    response_s: Positive | None = None


class ConstantPf(_Section, frozen=True, kw_only=True):
    enabled: bool = False
    power_factor: Annotated[float, Meta(gt=0, le=1)] = 1.0
    over_excited: bool = True


class Functions(_Section, frozen=True, kw_only=True):
    """Grid-support functions (IEEE 1547-2018 clause 5), into every inverter."""

    frequency_droop: FrequencyDroop = FrequencyDroop()
    volt_var: Curve = Curve()
    volt_watt: Curve = Curve()
    watt_var: Curve = Curve()
    constant_pf: ConstantPf = ConstantPf()


class PowerQuality(_Section, frozen=True, kw_only=True):
    """Limits of clause 7 that are told in power_quality.log."""

    thd_v_limit_pct: Positive = 8.0
    trd_limit_pct: Positive = 5.0
    rapid_change_limit_pct: Positive = 5.0
    pst_limit: Positive = 0.35
    plt_limit: Positive = 0.25
    voltage_window_pu: tuple[Positive, Positive] = (0.88, 1.10)
    summary_every_s: Annotated[float, Meta(ge=10, le=7200)] = 600.0


class Breaker(_Section, frozen=True, kw_only=True):
    opening_time_s: Positive = 0.05
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


class SiteHarmonicFilter(_Section, frozen=True, kw_only=True):
    """For every inverter that has a ``harmonic_filter`` and no threshold of its own."""

    threshold: Annotated[float, Meta(ge=0.005, le=0.2)] | None = None
    """THD of the feeder's current above which carriers are moved, 0.03 is 3 %; None: left alone."""


class Interlocks(_Section, frozen=True, kw_only=True):
    """What opens the breaker besides the grid. Emergency stop, door and winding stress are channels of the sensor map;
    each one that is mapped is watched."""

    winding_stress_limit_mpa: Positive | None = None
    """Of the channel ``winding_stress_mpa``; required where that is mapped."""
    winding_stress_s: Annotated[float, Meta(ge=0, le=60)] = 1.0
    """Beyond the limit for this long: the breaker opens, latched."""


class History(_Section, frozen=True, kw_only=True):
    """What is kept by the minute, for the forecast, for calibration and for people; one SQLite file."""

    path: str = ""
    """Empty: ``<state_dir>/history.sqlite``."""
    keep_days: Annotated[int, Meta(ge=1, le=3660)] = 400
    max_mb: Annotated[int, Meta(ge=8, le=100_000)] = 512
    """The oldest days go first."""


class SeccTiming(_Section, frozen=True, kw_only=True):
    """Timeouts of the SECC that may be raised; defaults are the standard's."""

    charge_loop_timeout_s: Annotated[float, Meta(ge=0.5, le=60)] = 0.5


class Roles(_Section, frozen=True, kw_only=True):
    """Unix groups and what their members may do on the control socket; root and the daemon's own user are engineers."""

    viewer: str = "v2g-viewer"
    operator: str = "v2g-operator"
    engineer: str = "v2g-engineer"
    utility: str = "v2g-utility"


class Control(_Section, frozen=True, kw_only=True):
    roles: Roles = Roles()
    daemon_user: str = "v2g"
    """Whom v2g-orchestrator runs as: v2g-guard's processes take commands from it, from root and from their own user."""


class Config(_Section, frozen=True, kw_only=True):
    site: Site
    transformer: Transformer
    grid: Grid
    evses: Annotated[tuple[Evse, ...], Meta(min_length=1, max_length=500)]
    paths: Paths = Paths()
    breaker: Breaker = Breaker()
    waveform: Waveform = Waveform()
    protection: Protection = Protection()
    relay: Relay = Relay()
    calibration: Calibration = Calibration()
    functions: Functions = Functions()
    power_quality: PowerQuality = PowerQuality()
    pki: Pki = Pki()
    firewall: Firewall = Firewall()
    dispatch: Dispatch = Dispatch()
    secc: SeccTiming = SeccTiming()
    plc: Plc = Plc()
    control: Control = Control()
    utility: Utility = Utility()
    mesh: Mesh | None = None
    """Neighbouring transformers; None: the local limits stand alone."""
    heartbeat: Heartbeat = Heartbeat()
    history: History = History()
    interlocks: Interlocks = Interlocks()
    harmonic_filter: SiteHarmonicFilter = SiteHarmonicFilter()
    sensor_map: str = "sensor_map.conf"
    """Relative to the configuration directory."""

    @property
    def dc_evses(self) -> tuple[DcEvse, ...]:
        return tuple(evse for evse in self.evses if isinstance(evse, DcEvse))

    @property
    def ac_evses(self) -> tuple[AcEvse, ...]:
        return tuple(evse for evse in self.evses if isinstance(evse, AcEvse))
