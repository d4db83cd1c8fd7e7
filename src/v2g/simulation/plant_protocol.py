"""What is said on ``<run_dir>/plant.sock``: JSON, one message a line, each request answered in order.

Request: ``{"do": "<what>", ...}``; answer ``{"ok": true, ...}`` or ``{"ok": false, "error": "..."}``.

- ``{"do": "measure"}``: the truth of the plant, past any Modbus; times are CLOCK_MONOTONIC seconds.
- ``{"do": "fault", "fault": "frequency", "hz": 62.5, "for_s": 2}``: see :mod:`v2g.simulation.faults`; answers ``id``.
- ``{"do": "clear"}`` or ``{"do": "clear", "id": 3}``.
- ``{"do": "plug", "evse_id": ..., "name": ..., "soc": 0.7, "battery": {...}}``: this connection is the cable. A
  :class:`Tick` line ``{"tick": {...}}`` follows every 50 ms; on it ``{"do": "contactor", "closed": true}`` moves the
  vehicle's contactor and ``{"do": "unplug"}`` (or closing the connection) pulls the plug. With ``"auto": true``
  nobody commands the contactor: it closes when the EVSE's voltage matches; with ``"keep": true`` the plug stays in when
  the connection closes, without ticks, until ``{"do": "unplug", "evse_id": ...}``.
- On a cable at an AC EVSE ``{"do": "drive", "power_w": -10000, "ready": true}`` sets what the vehicle's own inverter
  exchanges (it ramps, and needs the EVSE's contactor) and its pilot state: C when ready, B when not.
- There ``{"do": "grid_code", "code": {...}, "rated_w": 11000, "rated_va": 11000}`` is what the vehicle's computer lets
  its inverter keep to from now on; without a code it follows the grid as long as there is a voltage.
- On a cable of either kind ``{"do": "ready", "ready": true}`` sets the vehicle's pilot state alone: a vehicle toggles
  B-C-B with it (ISO 15118-3). At a DC EVSE that supplies it, the vehicle is in C whatever this says.
"""

from __future__ import annotations

import msgspec

from pyiso15118.der import GridCode
from v2g.simulation.battery import BatteryModel

MAX_LINE_BYTES = 65_536
TICK_PERIOD_S = 0.05


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    pass


class Measure(_Request, frozen=True, kw_only=True, tag="measure"):
    pass


class ClearFaults(_Request, frozen=True, kw_only=True, tag="clear"):
    id: int | None = None


class Plug(_Request, frozen=True, kw_only=True, tag="plug"):
    """``soc`` 0..1."""

    evse_id: str
    name: str = "vehicle"
    soc: float = 0.7
    battery: BatteryModel = BatteryModel()
    auto: bool = False
    keep: bool = False


class Unplug(_Request, frozen=True, kw_only=True, tag="unplug"):
    """``evse_id`` is needed on a connection that is not the cable itself."""

    evse_id: str | None = None


class Contactor(_Request, frozen=True, kw_only=True, tag="contactor"):
    closed: bool


class Drive(_Request, frozen=True, kw_only=True, tag="drive"):
    """Of a vehicle at an AC EVSE. ``power_w`` of all phases, positive charges."""

    power_w: float
    reactive_var: float = 0.0
    ready: bool = False


class TakeOver(_Request, frozen=True, kw_only=True, tag="grid_code"):
    """Of a vehicle at an AC EVSE."""

    code: GridCode | None
    rated_w: float
    rated_va: float


class Ready(_Request, frozen=True, kw_only=True, tag="ready"):
    ready: bool


Request = Measure | ClearFaults | Plug | Unplug | Contactor | Drive | TakeOver | Ready


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """What the vehicle's own sensors say. Counters only grow, so a lost line loses no energy."""

    at_s: float
    inlet_v: float
    """At the vehicle's inlet: what the EVSE brings while its contactors are closed."""
    battery_v: float
    current_a: float
    """Positive: charges."""
    charge_ah: float
    """Net through the terminals since the plug went in."""
    energy_in_wh: float
    energy_out_wh: float
    soc: float
    contactor_closed: bool
    ac_w: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """At an AC EVSE: active power at the inlet, L1 to L3, positive charges."""
    supply_v: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """At an AC EVSE: at the inlet, line to neutral; 0 behind an open contactor."""
    frequency_hz: float = 0.0
    """There; 0 without a voltage."""
    in_service: bool = False
    """There: the vehicle's inverter is."""
    alarms: int = 0
    """There: why it is not, in bits of :class:`pyiso15118.der.DerAlarm`."""
    pilot: str = "A"
    pilot_duty_pct: float = 100.0


class ChargerMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    """``ac_w`` at the inverter's AC terminals, positive: charges.

    Of an AC EVSE ``ac_w`` is at its meter, ``setpoint_w`` what the vehicle's inverter was driven to (enabled: it is
    ready), and ``dc_v`` and ``dc_a`` are the battery's; what it does not have is 0 or false.
    """

    ac_w: float
    setpoint_w: float
    setpoint_enabled: bool
    reversion_remaining_s: int
    reversions: int
    connected: bool
    exported_wh: float
    imported_wh: float
    last_power_at_s: float | None
    """The last moment with more than 100 W either way."""
    dc_v: float
    dc_a: float
    contactors_closed: bool
    vehicle_contactor_closed: bool
    plugged: bool
    locked: bool
    insulation: str
    watchdog_expired: bool
    inrush_events: int
    opened_under_load: int
    """How often a contactor of either side broke more than 5 A."""
    vehicle: str | None
    soc: float | None
    pilot: str = ""
    """The state on its pilot wire."""
    in_service: bool | None = None
    """The inverter of the vehicle at an AC EVSE is; None: there is none."""
    trips: int = 0
    """How often it left service by the grid code that it was handed."""
    pilot_toggles: int = 0
    """B-C-B changes since the vehicle was plugged in."""


class BreakerMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    closed: bool
    commanded: bool
    changed_at_s: float | None
    """When the contact last moved."""


class RelayMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    """The hardware over-voltage relay."""

    closed: bool
    changed_at_s: float | None
    operations: int


class GridMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    """At the bus: of the grid, or of the island while the mains are lost."""

    frequency_hz: float
    v_pu: tuple[float, float, float]
    mains_closed: bool
    last_event_at_s: float | None
    """When the last change by a fault began."""


class TransformerMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    top_oil_c: float
    hot_spot_c: float
    ambient_c: float
    load_va: float
    """Magnitude of ``load_w`` and ``load_var``."""
    load_w: float
    """Through the transformer, positive downstream: base load and V2G feeder."""
    load_var: float
    base_load_w: float
    base_load_var: float
    thermal_time_s: float
    """Since the plant's start, in the time in which temperatures move."""
    thermal_speed: float


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to ``measure``."""

    at_s: float
    ac_w: float
    """All inverters' AC terminals."""
    chargers: dict[str, ChargerMeasurement]
    breaker: BreakerMeasurement
    relay: RelayMeasurement
    grid: GridMeasurement
    transformer: TransformerMeasurement
    faults: list[dict[str, object]]
    batches: int
    late_batches: int
    worst_lateness_s: float
