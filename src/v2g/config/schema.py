"""The configuration: frozen types with units in their names. YAML is decoded into these; unknown keys are errors.

Every value has a default only where a safe one exists. ``README.md`` shows a complete file; ``etc/v2g`` ships one.
"""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec
from msgspec import Meta

Positive = Annotated[float, Meta(gt=0)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Port = Annotated[int, Meta(ge=1, le=65535)]
EvseId = Annotated[str, Meta(pattern=r"^[A-Z]{2}\*?[A-Z0-9]{3}\*?E[A-Z0-9*]{1,30}$")]
"""ISO 15118 EVSEID form: country, operator, ``E``, id; for example ``US*V2G*E1``."""


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


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
    trips: dict[str, TripChange] = {}
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


class Calibration(_Section, frozen=True, kw_only=True):
    """Written by commands into ``conf.d/80-calibration.yaml``."""

    phase_offset_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Inverter side minus grid with the breaker closed and no current: the transducers' own error."""
    calibrated_at: str = ""
    """ISO 8601, for people."""


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


class TlsProfileName(enum.StrEnum):
    STRICT = "strict"
    COMPAT = "compat"
    PLAIN = "plain"
    """Test mode: no TLS. Refused unless ``pki.allow_plain`` is true."""


class ModbusAddress(_Section, frozen=True, kw_only=True):
    host: str
    port: Port = 502
    unit: Annotated[int, Meta(ge=1, le=255)] = 1
    """Unit 0 is a broadcast behind a gateway: every device there would obey, and none answer."""


class Inverter(_Section, frozen=True, kw_only=True):
    driver: Annotated[str, Meta(pattern="^sunspec$")] = "sunspec"
    modbus: ModbusAddress
    max_charge_w: Positive | None = None
    """Site limit below the device's own rating, magnitude."""
    max_discharge_w: Positive | None = None
    efficiency: Annotated[float, Meta(gt=0.5, le=1)] = 0.97
    """DC to AC. A vehicle's limits are DC: so much of them is what it may be discharged with at the AC terminals."""
    voltage_channels: tuple[str, str, str] | None = None
    """Channels of the waveform buffer that measure this inverter's own terminals; None: only the feeder's are."""
    phase_offset_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Calibrated offset of ``voltage_channels``."""
    configure_functions: bool = True
    """Write enter service, trip curves and grid-support functions into the device where it has the models."""
    poll_s: Annotated[float, Meta(ge=0.05, le=0.5)] = 0.2
    """How often it is read while a vehicle is plugged in. A reading older than 1 s is none and stops the power, so the
    longest leaves room for one that is late by as much again."""
    reversion_s: Annotated[int, Meta(ge=1, le=60)] = 3
    """The inverter's own reversion to zero (SunSpec 704 WSetRvrtTms)."""


class DcOutput(_Section, frozen=True, kw_only=True):
    driver: Annotated[str, Meta(pattern="^register_map$")] = "register_map"
    modbus: ModbusAddress
    map: str = "v2g-dc-evse"
    """Name of a built-in register map, or the path of a YAML file."""


class EvseKind(enum.StrEnum):
    DC = "DC"


class Evse(_Section, frozen=True, kw_only=True):
    """One EVSE: an id, a network interface or ports of its own, ratings and devices."""

    id: EvseId
    kind: EvseKind = EvseKind.DC
    interface: str
    sdp_port: Port = 15118
    tcp_port: Port = 15118
    """Named in the SDP response. Stacks such as Josev/EcoG refuse a response with a port outside 49152..65535."""
    tls: TlsProfileName = TlsProfileName.STRICT
    negative_discharge_limits: bool = False
    """Send discharge limits below zero, as some stacks expect them."""
    meter_discharge_reading: bool = True
    """Send BPT_DischargedEnergyReadingWh in MeterInfo; EcoG's EVCC rejects that element."""
    max_voltage_v: Positive = 920.0
    min_voltage_v: Positive = 150.0
    max_current_a: Positive = 80.0
    max_charge_w: Positive = 22_000.0
    max_discharge_w: Positive = 22_000.0
    inverter: Inverter
    dc: DcOutput


class Pki(_Section, frozen=True, kw_only=True):
    """Certificates of the SECC. Empty paths: ``<state_dir>/pki/...`` as ``v2g-cert-manager`` writes them."""

    strict_chain: str = ""
    strict_key: str = ""
    strict_trust: str = ""
    compat_chain: str = ""
    compat_key: str = ""
    compat_trust: str = ""
    key_password_file: str = ""
    allow_plain: bool = False


class Dispatch(_Section, frozen=True, kw_only=True):
    min_soc_pct: Percent = 30.0
    """No discharge of a vehicle whose state of charge is at or below this."""
    setpoint_lease_s: Annotated[float, Meta(gt=0.2, le=5)] = 1.0
    thermal_horizon_s: Annotated[float, Meta(ge=60, le=1680)] = 900.0
    """How far ahead the transformer must stay inside its limits with a constant power; 28 min is what every cooling
    class can be solved for."""


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
    dispatch: Dispatch = Dispatch()
    secc: SeccTiming = SeccTiming()
    control: Control = Control()
    history: History = History()
    sensor_map: str = "sensor_map.conf"
    """Relative to the configuration directory."""
