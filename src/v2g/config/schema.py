"""The configuration: frozen types with units in their names. YAML is decoded into these; unknown keys are errors.

Every value has a default only where a safe one exists. ``README.md`` shows a complete file; ``etc/v2g`` ships one.
"""

from __future__ import annotations

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
from v2g.config.schema_firmware import Firmware
from v2g.config.schema_grid import (
    Breaker,
    ConstantPf,
    Curve,
    EnterService,
    FrequencyDroop,
    Functions,
    Grid,
    Interlocks,
    Overcurrent,
    PowerQuality,
    Protection,
    Relay,
    TripChange,
    Waveform,
)
from v2g.config.schema_mesh import Heartbeat, Mesh
from v2g.config.schema_metrics import Metrics
from v2g.config.schema_pki import Pki
from v2g.config.schema_plc import Plc
from v2g.config.schema_realtime import Realtime
from v2g.config.schema_sessions import SessionsConfig
from v2g.config.schema_trace import Trace
from v2g.config.schema_transformer import (
    Ageing,
    ColdOil,
    Cooling,
    Tap,
    ThermalConstants,
    Transformer,
)
from v2g.config.schema_utility import Utility

__all__ = [
    "AcEvse",
    "AcOutput",
    "Ageing",
    "Breaker",
    "ColdOil",
    "Config",
    "ConstantPf",
    "Cooling",
    "Curve",
    "DcEvse",
    "DcOutput",
    "EnterService",
    "Evse",
    "EvseId",
    "Firewall",
    "FrequencyDroop",
    "Functions",
    "Grid",
    "HarmonicFilter",
    "Interlocks",
    "Inverter",
    "ModbusAddress",
    "ModbusTls",
    "Overcurrent",
    "Percent",
    "Pki",
    "Port",
    "Positive",
    "PowerQuality",
    "Protection",
    "Relay",
    "Tap",
    "ThermalConstants",
    "TlsProfileName",
    "Transformer",
    "TripChange",
    "Waveform",
]


class Site(_Section, frozen=True, kw_only=True):
    id: str
    """Short name of this site: in logs, metrics and our certificate."""
    name: str = ""
    """For people; empty: none."""
    timezone: str = ""
    """IANA name, for load profiles by time of day; empty: the host's."""


class Paths(_Section, frozen=True, kw_only=True):
    run_dir: str = "/run/v2g"
    """Sockets and shared memory."""
    state_dir: str = "/var/lib/v2g"
    """What has to be there after a restart."""
    log_dir: str = "/var/log/v2g"
    """Logs."""


class SensorFactor(_Section, frozen=True, kw_only=True):
    """One calibrated channel: its value is multiplied by ``factor``, beyond the scale of the sensor map."""

    factor: Annotated[float, Meta(gt=0.5, lt=2)]
    """By this."""
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


class SiteHarmonicFilter(_Section, frozen=True, kw_only=True):
    """For every inverter that has a ``harmonic_filter`` and no threshold of its own."""

    threshold: Annotated[float, Meta(ge=0.005, le=0.2)] | None = None
    """THD of the feeder's current above which carriers are moved, 0.03 is 3 %; None: left alone."""


class History(_Section, frozen=True, kw_only=True):
    """What is kept by the minute, for the forecast, for calibration and for people; one SQLite file."""

    path: str = ""
    """Empty: ``<state_dir>/history.sqlite``."""
    keep_days: Annotated[int, Meta(ge=1, le=3660)] = 400
    """Older days are removed."""
    max_mb: Annotated[int, Meta(ge=8, le=100_000)] = 512
    """The oldest days go first."""


class SeccTiming(_Section, frozen=True, kw_only=True):
    """Timeouts of the SECC that may be raised; defaults are the standard's."""

    charge_loop_timeout_s: Annotated[float, Meta(ge=0.5, le=60)] = 0.5
    """For the next request in the charge loop; some vehicles need 0.6 to 1.0."""


class Roles(_Section, frozen=True, kw_only=True):
    """Unix groups and what their members may do on the control socket; root and the daemon's own user are engineers."""

    viewer: str = "v2g-viewer"
    """May look; empty: nobody."""
    operator: str = "v2g-operator"
    """May also dispatch, reset a trip, lock out and set min-SoC."""
    engineer: str = "v2g-engineer"
    """May also change settings, calibrate and test."""
    utility: str = "v2g-utility"
    """May give orders and signals, and touches nothing of the installation."""


class Control(_Section, frozen=True, kw_only=True):
    roles: Roles = Roles()
    """Unix groups."""
    daemon_user: str = "v2g"
    """Whom v2g-orchestrator runs as: v2g-guard's processes take commands from it, from root and from their own user."""


class Config(_Section, frozen=True, kw_only=True):
    site: Site
    """What this is."""
    transformer: Transformer
    grid: Grid
    evses: Annotated[tuple[Evse, ...], Meta(min_length=1, max_length=500)]
    """The EVSEs below the transformer."""
    paths: Paths = Paths()
    """Where things of this installation are."""
    breaker: Breaker = Breaker()
    """The V2G breaker, never the transformer's: customers keep their supply."""
    waveform: Waveform = Waveform()
    """The ring in which the sampling driver writes."""
    protection: Protection = Protection()
    relay: Relay = Relay()
    calibration: Calibration = Calibration()
    functions: Functions = Functions()
    power_quality: PowerQuality = PowerQuality()
    pki: Pki = Pki()
    firewall: Firewall = Firewall()
    """Who may reach this host and what it may reach."""
    firmware: Firmware = Firmware()
    """Where updates go, whose are taken, and what a new version has to show."""
    dispatch: Dispatch = Dispatch()
    """What is done without a central command, and within which bounds."""
    secc: SeccTiming = SeccTiming()
    realtime: Realtime = Realtime()
    """Which CPUs the guard's tick runs on."""
    sessions: SessionsConfig = SessionsConfig()
    """How sessions end when the daemon stops, and for how long a pause is kept."""
    trace: Trace = Trace()
    """How much of vehicles' messages is kept in memory, for v2g-tool trace."""
    plc: Plc = Plc()
    control: Control = Control()
    """The control socket."""
    utility: Utility = Utility()
    """What the grid operator tells and what customers' meters measure. All of it may be absent."""
    mesh: Mesh | None = None
    """Neighbouring transformers; None: the local limits stand alone."""
    heartbeat: Heartbeat = Heartbeat()
    metrics: Metrics = Metrics()
    """What Prometheus reads of us, and where."""
    history: History = History()
    interlocks: Interlocks = Interlocks()
    harmonic_filter: SiteHarmonicFilter = SiteHarmonicFilter()
    sensor_map: str = "sensor_map.conf"
    """Relative to the configuration directory."""
    schema_version: Annotated[int, Meta(ge=1)] = 1
    """Of the file that says it: an older one is read as the newest, a newer one is refused."""

    @property
    def dc_evses(self) -> tuple[DcEvse, ...]:
        return tuple(evse for evse in self.evses if isinstance(evse, DcEvse))

    @property
    def ac_evses(self) -> tuple[AcEvse, ...]:
        return tuple(evse for evse in self.evses if isinstance(evse, AcEvse))
