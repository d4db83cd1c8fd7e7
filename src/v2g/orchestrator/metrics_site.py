"""Metrics of transformer, guard, grid, EVSEs and orders, from the last image, decision and status. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from v2g.config.schema import Config
from v2g.control.messages import EvseLine, GuardLine, StatusResult
from v2g.guard.lateness import TOLD_EDGES
from v2g.guard.link import DEVICE_KINDS, LATENCY_EDGES_S, DeviceHealth, Image
from v2g.guard.quality_report import QualityReport
from v2g.guard.status import GuardStatus
from v2g.orchestrator.decide import Decision
from v2g.orchestrator.image import SiteImage
from v2g.orchestrator.metrics_labels import BLOCKS, MODES, PERMITS, PHASES, SESSION_STATES
from v2g.telemetry import metrics_table as m
from v2g.telemetry.metrics import Metric, Page
from v2g.thermal.view import ThermalView

_HOUR_S = 3600.0


def put_status(page: Page, status: StatusResult, config: Config) -> None:
    """What the status says of EVSEs, sessions, orders and the guard's word."""
    page.put(m.READY, float(status.ready))
    page.put(m.PROBLEMS, float(len(status.problems)))
    states = Counter(evse.session.state for evse in status.evses if evse.session is not None)
    for state in SESSION_STATES:
        page.put(m.SESSIONS, float(states[state]), state)
    for evse in status.evses:
        _put_evse(page, evse)
    modes = Counter(order.mode for order in status.orders)
    for mode in MODES:
        page.put(m.ORDERS, float(modes[mode]), mode)
    _put_guard_line(page, status.guard)
    page.put(m.NOMINAL_FREQUENCY, config.grid.nominal_frequency_hz)
    page.put(m.NOMINAL_VOLTAGE, config.grid.nominal_voltage_v)
    page.put(m.RATED_POWER, config.transformer.rated_kva * 1e3)
    if status.guard.v_pu is not None:
        for phase, value in zip(PHASES, status.guard.v_pu, strict=True):
            page.put(m.VOLTAGE, value * config.grid.nominal_voltage_v, phase)


def put_image(page: Page, image: SiteImage, decision: Decision, now_s: float) -> None:
    """Of one control cycle."""
    _put_transformer(page, image.transformer)
    _put_guard(page, image.guard)
    page.put(m.PERMITTED, float(decision.permitted))
    page.put(m.SITE_LIMIT, abs(decision.site_hi_w), "charge")
    page.put(m.SITE_LIMIT, abs(decision.site_lo_w), "discharge")
    page.put(m.SITE_GRANTED, decision.allocation.site_w)
    known = [bay.measured_w for bay in image.bays if bay.measured_w is not None]
    page.put(m.SITE_POWER, sum(known) if known else None)
    for shortfall in decision.allocation.shortfalls:
        page.put(m.SHORTFALL, shortfall.missing_w, shortfall.code)
    if image.wires is not None:
        page.put(m.IMAGE_AGE, max(0.0, now_s - image.wires.as_of_s))
        _put_devices(page, image.wires)


def put_quality(page: Page, report: QualityReport | None) -> None:
    """``report``: None where ``v2g-guard quality`` tells nothing now."""
    if report is None:
        return
    _per_phase(page, m.THD, [value / 100.0 for value in report.thd_v_pct], "voltage")
    _per_phase(page, m.THD, [value / 100.0 for value in report.thd_i_pct], "current")
    _per_phase(page, m.TRD, [value / 100.0 for value in report.trd_pct])
    page.put(m.UNBALANCE, report.unbalance_pct / 100.0)
    if report.pst is not None:
        _per_phase(page, m.FLICKER, report.pst)


def _put_evse(page: Page, evse: EvseLine) -> None:
    page.put(m.EVSE_POWER, evse.power_w, evse.evse_id)
    page.put(m.EVSE_SETPOINT, evse.setpoint_w, evse.evse_id)
    page.put(m.EVSE_GRANTED, evse.granted_w, evse.evse_id)
    page.put(m.EVSE_OCCUPIED, float(evse.session is not None), evse.evse_id)
    page.put(m.EVSE_FAULT, float(evse.fault is not None), evse.evse_id)
    session = evse.session
    if session is None:
        return
    page.put(m.EVSE_SOC, session.soc_pct / 100.0 if session.soc_pct is not None else None, evse.evse_id)
    if session.timing is not None:
        page.put(m.EVSE_ROUND_TRIP, session.timing.rtt_s, evse.evse_id)
        page.put(m.EVSE_RETRANSMITS, session.timing.retransmits, evse.evse_id)


def _put_guard_line(page: Page, guard: GuardLine) -> None:
    page.put_state(m.PERMIT, guard.permit, PERMITS)
    page.put(m.GUARD_ALIVE, float(guard.tick_alive), "tick")
    page.put(m.GUARD_ALIVE, float(guard.wires_alive), "wires")
    if not guard.tick_alive:
        return
    page.put(m.GUARD_REALTIME, float(guard.realtime))
    page.put(m.FREQUENCY, guard.frequency_hz)
    page.put(m.ROCOF, guard.rocof_hz_s)
    page.put(m.CURTAILMENT, guard.curtail_charge, "charge")
    page.put(m.CURTAILMENT, guard.curtail_discharge, "discharge")
    page.put(m.SERVICE, guard.service_fraction)
    for metric, known in (
        (m.BREAKER_CLOSED, guard.breaker_closed),
        (m.RELAY_CLOSED, guard.relay_closed),
        (m.MAINS_PRESENT, guard.mains_present),
    ):
        page.put(metric, float(known) if known is not None else None)
    for name, position in guard.interlocks.items():
        page.put(m.INTERLOCK_HEALTHY, float(position == "healthy"), name)
    for block in BLOCKS:
        page.put(m.BLOCKED, float(block in guard.blocks), block)
    _per_phase(page, m.FEEDER_CURRENT, guard.feeder_a or ())
    _per_phase(page, m.TRANSFORMER_CURRENT, guard.transformer_a or ())


def _put_guard(page: Page, guard: GuardStatus) -> None:
    """Counts and the latch of the guard outlive its silence."""
    page.put(m.TRIP_LATCHED, float(bool(guard.trip_element)))
    page.put(m.BREAKER_COMMANDED, float(guard.breaker_commanded_closed))
    page.put(m.TICKS, float(guard.ticks))
    page.put(m.LATE_TICKS, float(guard.late_ticks))
    page.put_histogram(m.TICK_LATENESS, TOLD_EDGES, guard.lateness_counts, guard.lateness_sum_s)


def _put_transformer(page: Page, view: ThermalView) -> None:
    page.put(m.LOAD, view.load_w)
    page.put(m.BASE_LOAD, view.base_load_w)
    page.put(m.LOAD_FACTOR, view.k_pu)
    page.put(m.TEMPERATURE, view.top_oil_c, "top_oil")
    page.put(m.TEMPERATURE, view.hot_spot_c, "hot_spot")
    page.put(m.TEMPERATURE, view.ambient_c, "ambient")
    page.put(m.TEMPERATURE_AHEAD, view.ahead_top_oil_c, "top_oil")
    page.put(m.TEMPERATURE_AHEAD, view.ahead_hot_spot_c, "hot_spot")
    if view.limits is not None:
        page.put(m.TEMPERATURE_LIMIT, view.limits.top_oil_c, "top_oil")
        page.put(m.TEMPERATURE_LIMIT, view.limits.hot_spot_c, "hot_spot")
    page.put(m.HEADROOM, max(0.0, view.hi_w), "charge")
    page.put(m.HEADROOM, max(0.0, -view.lo_w), "discharge")
    page.put(m.AGEING_RATE, view.ageing_rate)
    page.put(m.LOSS_OF_LIFE, view.ageing.total_h * _HOUR_S if view.ageing is not None else None)


def _put_devices(page: Page, wires: Image) -> None:
    for latency in wires.latencies:
        page.put_histogram(m.MODBUS_LATENCY, LATENCY_EDGES_S, latency.counts, latency.total_s, latency.kind)
    for device in wires.devices:
        kind, evse_id = _kind(device)
        page.put(m.MODBUS_ONLINE, float(device.online), kind, evse_id)
        page.put(m.MODBUS_TIMEOUTS, float(device.timeouts), kind)
        page.put(m.MODBUS_RECONNECTS, float(device.reconnects), kind)


def _kind(device: DeviceHealth) -> tuple[str, str]:
    """``inverter US*V2G*E1`` -> its kind, and the EVSE; of transducers the EVSE is empty."""
    kind = next((each for each in DEVICE_KINDS if device.name.startswith(each)), "")
    return kind, device.name.removeprefix(kind).strip()


def _per_phase(page: Page, metric: Metric, values: Iterable[float], *labels: str) -> None:
    for phase, value in zip(PHASES, values, strict=False):
        page.put(metric, value, *labels, phase)
