"""Parameters and results of the methods on ``<run_dir>/control.sock``: JSON-RPC 2.0, one message a line.

Powers in W, positive charges a vehicle, negative discharges it; ``power_w`` of an order is a magnitude beside its
mode. Ages and remaining times in seconds, so that no reader needs our clock. None is "unknown".

Methods, with the least role: ``hello`` (viewer), ``status`` (viewer), ``dispatch`` (utility), ``cancel`` (utility),
``trip.reset`` (operator), ``permit.service`` (operator), ``grid.settings`` (viewer), ``grid.adjust`` (engineer),
``pll.calibrate`` (engineer), ``relay.test`` (engineer), ``discharge.test`` (engineer), ``lockout.set`` (operator),
``lockout.show`` (viewer), ``thermal``, ``thermal.course`` (viewer), ``thermal.regime`` (engineer), ``harmonics.show``
(viewer), ``harmonic_filter.set`` (engineer), ``inverter.efficiency`` (viewer), ``pilot.check`` (viewer),
``sensors.list`` (viewer), ``sensors.reload`` (engineer), ``sensors.calibrate`` (engineer), ``min_soc.set`` (operator),
``plan`` (viewer), ``utility.signal``, ``utility.withdraw`` (utility), ``utility.signals`` (viewer), ``meters.list``,
``meters.day`` (utility), ``mesh.show``, ``mesh.ping`` (viewer), ``mesh.cap``, ``mesh.uncap`` (utility; see
:mod:`v2g.control.messages_mesh`), ``maintenance.begin``, ``maintenance.end`` (engineer), ``maintenance.show`` (viewer;
see :mod:`v2g.control.messages_maintenance`), ``trace.list`` (viewer), ``trace.start``, ``trace.stop``, ``trace.fetch``
(engineer; see :mod:`v2g.control.messages_trace`), ``audit.head``, ``audit.verify`` (viewer), ``pki.status`` (viewer),
``pki.reload`` (engineer), ``versions`` (viewer), ``firmware.note`` (engineer; see
:mod:`v2g.control.messages_firmware`), ``preflight.show`` (viewer), ``preflight.run`` (engineer), ``config.diff``
(viewer), ``config.set``, ``config.restore``, ``config.reload`` (engineer; see :mod:`v2g.control.messages_config`),
``subscribe`` (viewer: notifications on this connection; see :mod:`v2g.control.messages_topics`). The server answers
``hello`` and ``subscribe`` itself; ``hello`` comes first on every connection.
"""

from __future__ import annotations

from typing import Any

import msgspec

from v2g.control.messages_ac import AcLine, DerLine
from v2g.control.messages_timing import BackhaulLine, TimingLine

PROTOCOL_VERSION = 1


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parameter types: an unknown parameter is an error."""


class NoParams(Params, frozen=True, kw_only=True):
    pass


class HelloParams(Params, frozen=True, kw_only=True):
    client: str
    protocol: int


class HelloResult(msgspec.Struct, frozen=True, kw_only=True):
    server: str
    version: str
    protocol: int
    role: str
    simulation: bool = False


class DispatchParams(Params, frozen=True, kw_only=True):
    mode: str
    """``charge``, ``discharge``, ``idle`` or ``auto``."""
    power_w: float = 0.0
    """Magnitude; ignored for ``idle`` and ``auto``."""
    evse_id: str | None = None
    duration_s: float = 900.0
    at: str = ""
    """When it begins: ``18:00`` (the next time that it is, at the site) or ISO 8601; empty: now."""


class VehicleGrant(msgspec.Struct, frozen=True, kw_only=True):
    evse_id: str
    vehicle: str
    power_w: float
    """Its share; power reaches it by its ramp, and as others make room."""
    bound_by: str | None = None
    soc_pct: float | None = None
    floor_pct: float | None = None
    """Min-SoC in force for it."""
    surplus_wh: float | None = None
    """Above that, in its battery."""


class ShortfallLine(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    source: str
    missing_w: float
    evse_id: str | None = None
    words: str = ""
    """Of a thermal denial: temperature, limit, and when it may be granted; empty otherwise."""


class ReplacedOrder(msgspec.Struct, frozen=True, kw_only=True):
    order_id: int
    by: str


class DispatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """``granted_w`` signed; 0 with shortfalls when nothing could be granted (the order stands until it expires)."""

    order_id: int
    mode: str
    requested_w: float
    granted_w: float
    duration_s: float
    grants: tuple[VehicleGrant, ...] = ()
    shortfalls: tuple[ShortfallLine, ...] = ()
    begins_in_s: float = 0.0
    replaced: tuple[ReplacedOrder, ...] = ()


class CancelParams(Params, frozen=True, kw_only=True):
    order_id: int | None = None
    """None cancels all orders."""


class CancelResult(msgspec.Struct, frozen=True, kw_only=True):
    cancelled: tuple[int, ...]


class TripResetResult(msgspec.Struct, frozen=True, kw_only=True):
    element: str
    """The element that was latched; empty when there was no trip."""


class PermitServiceParams(Params, frozen=True, kw_only=True):
    enabled: bool


class PermitServiceResult(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool


class ElementLine(msgspec.Struct, frozen=True, kw_only=True):
    """One trip element in force. ``threshold_range`` and ``time_range_s`` None where the profile states none."""

    element: str
    quantity: str
    side: str
    threshold: float
    time_s: float
    timing: str
    clause: str
    threshold_range: tuple[float, float] | None = None
    time_range_s: tuple[float, float] | None = None


class GridSettingsResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration says and what the guard has in force; ``in_force`` is the guard's digest, equal to
    ``digest`` when it has adopted the configuration."""

    profile: str
    standard: str
    verified: bool
    confirmed: bool
    nominal_frequency_hz: float
    elements: tuple[ElementLine, ...]
    enter_service: dict[str, float]
    sync: dict[str, float]
    relay: dict[str, float | str | bool | None]
    adjusted: tuple[str, ...]
    remarks: tuple[str, ...]
    digest: str
    in_force: str
    problem: str = ""
    """Why there are no settings (``SettingsUnset``); the tables are then empty."""
    profiles: tuple[str, ...] = ()
    """All names, unverified ones marked with ``*``."""


class GridAdjustParams(Params, frozen=True, kw_only=True):
    """``changes``: paths below ``grid.`` and values, as ``{"profile": "g99", "trips.OV1.time_s": 5.0}``; None takes a
    setting back to the file's or the profile's. ``confirm_unverified`` goes with an unverified profile."""

    changes: dict[str, float | str | bool | None]
    confirm_unverified: bool = False


class PllCalibrateParams(Params, frozen=True, kw_only=True):
    evse_id: str | None = None
    """Its own voltage channels; None: the feeder's."""
    acknowledge: str = ""
    """The qualified person who answers for it; refused without."""


class PllCalibrateResult(msgspec.Struct, frozen=True, kw_only=True):
    measured_deg: tuple[float, float, float]
    """Before: inverter side minus grid."""
    offset_deg: tuple[float, float, float]
    """What was written to the calibration drop-in."""
    residual_deg: tuple[float, float, float]
    """After: read back through the guard."""
    file: str
    acknowledged_by: str = ""


class RelayTestParams(Params, frozen=True, kw_only=True):
    """``step``: ``start`` (breaker opens, the guard watches), ``state``, ``finish`` (``passed`` and ``note`` are
    recorded), ``abort``. ``acknowledge``, with ``start``: the qualified person who answers for it."""

    step: str
    acknowledge: str = ""
    passed: bool | None = None
    note: str = ""


class RelayTestResult(msgspec.Struct, frozen=True, kw_only=True):
    """``operations``: times in s since the start at which the relay's feedback changed, and to what."""

    running: bool
    relay_closed: bool | None
    breaker_closed: bool | None
    elapsed_s: float
    operations: tuple[tuple[float, bool], ...] = ()
    recorded_in: str = ""


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    order_id: int
    mode: str
    power_w: float
    granted_w: float
    evse_id: str | None
    remaining_s: float
    """Until it ends."""
    by: str
    begins_in_s: float = 0.0
    """0: it stands."""


class EnergyLine(msgspec.Struct, frozen=True, kw_only=True):
    """What a vehicle needs and can spare, Wh of its battery; ``floor_source``: whose min-SoC it is."""

    needed_wh: float
    surplus_wh: float
    capacity_wh: float
    capacity_assumed: bool
    departs_in_s: float
    departure_assumed: bool
    floor_pct: float
    floor_source: str = ""
    remarks: tuple[str, ...] = ()


class SessionLine(msgspec.Struct, frozen=True, kw_only=True):
    """``vehicle`` is the EVCCID the vehicle claims; ``identity`` what its certificate proves, or None."""

    state: str
    vehicle: str
    identity: str | None
    service: str | None
    soc_pct: int | None
    max_charge_w: float
    max_discharge_w: float
    since_s: float
    energy: EnergyLine | None = None
    """While its charge loop runs."""
    timing: TimingLine | None = None
    """How long it takes to ask again."""
    der: DerLine | None = None
    """Where the vehicle's inverter keeps to the grid code."""


class EvseLine(msgspec.Struct, frozen=True, kw_only=True):
    evse_id: str
    interface: str
    tcp_port: int
    tls: str
    session: SessionLine | None
    power_w: float | None
    """Measured at the inverter's AC terminals, or at an AC EVSE's meter."""
    setpoint_w: float
    granted_w: float
    bound_by: str | None
    voltage_v: float | None
    """Of a DC EVSE's output."""
    current_a: float | None
    contactors_closed: bool | None
    fault: str | None
    kind: str = "DC"
    """``AC``, ``DC`` or ``MCS``, whose stage is one of DC."""
    ac: AcLine | None = None
    """Of an AC EVSE with a fresh reading."""
    share_w: float = 0.0
    """What ``granted_w`` is on its way to."""
    auto: bool = False
    """Its vehicle has no order."""
    waits_s: float | None = None
    """For how long its vehicle has been waiting for its turn."""
    paused: str = ""
    """EVCCID of the vehicle that paused its session here and may come back to it; empty: none."""


class DeviceLine(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    address: str
    online: bool
    age_s: float | None
    error: str | None


class GuardLine(msgspec.Struct, frozen=True, kw_only=True):
    permit: str
    """Name of :class:`v2g.guard.status.Permit`, lower case: ``granted``, ``tripped`` ..."""
    tick_alive: bool
    wires_alive: bool
    breaker_closed: bool | None
    v_pu: tuple[float, float, float] | None
    frequency_hz: float | None
    trip: str
    trip_value: float
    enter_service_remaining_s: float
    realtime: bool
    trip_unit: str = ""
    """Of ``trip_value``: ``pu``, ``Hz``, ``Hz/s``, ``A`` or ``deg``; empty where the trip has no value."""
    trip_phase: str = ""
    """``a``, ``b`` or ``c``; empty where it is of all phases."""
    profile: str = ""
    operation: str = "continuous"
    blocks: tuple[str, ...] = ()
    """Names of :class:`v2g.grid.protection.Block`, lower case."""
    curtail_charge: float = 1.0
    curtail_discharge: float = 1.0
    service_fraction: float = 0.0
    permit_service: bool = True
    relay_closed: bool | None = None
    mains_present: bool | None = None
    interlocks: dict[str, str] = msgspec.field(default_factory=dict)
    """Each that is watched, by name: ``healthy``, ``open`` or ``unknown``."""
    locked_by: str = ""
    """Whose locks are on; empty: none."""
    rocof_hz_s: float | None = None
    feeder_a: tuple[float, float, float] | None = None
    transformer_a: tuple[float, float, float] | None = None
    inverter_angle_deg: tuple[float | None, float | None, float | None] = (None, None, None)


class TransformerLine(msgspec.Struct, frozen=True, kw_only=True):
    top_oil_c: float | None
    hot_spot_c: float | None
    ambient_c: float | None
    k_pu: float | None
    load_w: float | None
    base_load_w: float | None
    discharge_limit_w: float
    """Lower end of the permitted V2G interval for the thermal horizon (<= 0 discharge possible)."""
    charge_limit_w: float
    limit_source: str
    notes: tuple[str, ...] = ()


class ThermalSensorLine(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """As in sensor_map.conf."""
    health: str
    value_c: float | None
    """Believed; None: not counted on."""
    read_c: float | None
    since_s: float
    words: str = ""


class ThermalResult(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``thermal``: W (positive charges, flow positive downstream), °C, K, seconds from now."""

    transformer: str
    rated_va: float
    horizon_s: float
    top_oil_c: float | None
    hot_spot_c: float | None
    ambient_c: float | None
    k_pu: float | None
    load_w: float | None
    base_load_w: float | None
    ahead_top_oil_c: float | None
    ahead_hot_spot_c: float | None
    ahead_base_w: float | None
    ahead_base_margin_w: float | None
    margin_k: float
    hot_spot_margin_k: float
    bias_k: float
    gradient_factor: float
    load_loss_factor: float
    f_hl: float | None
    lo_w: float
    hi_w: float
    lo_source: str
    hi_source: str
    lo_binds_in_s: float | None
    hi_binds_in_s: float | None
    lo_granted_in_s: float | None
    hi_granted_in_s: float | None
    base_source: str | None
    feasible: bool
    regime: str
    regime_left_s: float | None
    regime_by: str
    hot_spot_limit_c: float | None
    hot_spot_limit_source: str
    top_oil_limit_c: float | None
    k_limit_pu: float | None
    k_limit_source: str
    upgraded_paper: bool
    ageing_rate: float | None
    ageing_today_h: float
    ageing_total_h: float
    ageing_counted_h: float
    ageing_budget_h_per_day: float | None
    life_used_pct: float
    """Of ``transformer.ageing.insulation_life_h``, as far as it was counted."""
    sensors: tuple[ThermalSensorLine, ...]
    history_problem: str = ""
    history_rows: int = 0
    history_dropped: int = 0
    history_bytes: int = 0
    notes: tuple[str, ...] = ()


class RegimeParams(Params, frozen=True, kw_only=True):
    """``thermal.regime``: load beyond normal cyclic loading, for so long; role engineer."""

    regime: str
    """``normal_cyclic`` ends an authorisation."""
    duration_s: float = 0.0
    reason: str = ""
    """For the audit log; required for an emergency."""


class RegimeResult(msgspec.Struct, frozen=True, kw_only=True):
    regime: str
    left_s: float | None
    hot_spot_limit_c: float
    top_oil_limit_c: float
    k_limit_pu: float
    k_limit_source: str = ""


class StatusResult(msgspec.Struct, frozen=True, kw_only=True):
    site: str
    version: str
    ready: bool
    uptime_s: float
    simulation: bool
    guard: GuardLine
    transformer: TransformerLine
    evses: tuple[EvseLine, ...]
    orders: tuple[OrderLine, ...]
    devices: tuple[DeviceLine, ...]
    problems: tuple[str, ...] = ()
    """What keeps the controller from its job now, in words, most severe first."""
    heartbeat: str = ""
    """What the heartbeat LED shows where there is one: ``steady``, ``flashing`` (the mesh loses messages), ``off``."""
    backhaul: BackhaulLine | None = None
    """None: nothing is probed."""


def to_builtins(result: Any) -> Any:
    """A result as plain JSON types."""
    return msgspec.to_builtins(result)
