"""Every metric there is. Powers are positive where vehicles charge; load is positive downstream."""

from __future__ import annotations

from typing import Final

from v2g.telemetry.metrics import Kind, Metric

METRICS: Final[dict[str, Metric]] = {}


def _metric(kind: Kind, name: str, help: str, labels: tuple[str, ...]) -> Metric:
    return METRICS.setdefault(name, Metric(name, kind, help, labels))


def _gauge(name: str, help: str, *labels: str) -> Metric:
    return _metric(Kind.GAUGE, name, help, labels)


def _counter(name: str, help: str, *labels: str) -> Metric:
    return _metric(Kind.COUNTER, name, help, labels)


def _histogram(name: str, help: str, *labels: str) -> Metric:
    return _metric(Kind.HISTOGRAM, name, help, labels)


# ---- the daemon ----

BUILD_INFO = _gauge("v2g_build_info", "Always 1, with the version.", "version")
START_TIME = _gauge("v2g_start_time_seconds", "When the daemon started, Unix time.")
READY = _gauge("v2g_ready", "1 once vehicles can connect.")
PROBLEMS = _gauge("v2g_problems", "How many problems the status tells.")
LOG_LINES = _counter("v2g_log_lines_total", "Events given to the logs, written or counted.", "log", "level", "code")
RESIDENT_MEMORY = _gauge("v2g_process_resident_memory_bytes", "Of the orchestrator.")
CPU_TIME = _counter("v2g_process_cpu_seconds_total", "Of the orchestrator, user and system.")
CYCLE_DURATION = _histogram("v2g_cycle_duration_seconds", "One control cycle, from reading to the last part.")
CYCLE_LATENESS = _histogram("v2g_cycle_lateness_seconds", "How much later than due a control cycle began.")
DISK_FREE = _gauge("v2g_disk_free_bytes", "Free for the daemon's user.", "directory")
DISK_SIZE = _gauge("v2g_disk_size_bytes", "Of the file system.", "directory")
HISTORY_QUEUE = _gauge("v2g_history_queue_rows", "Rows of the history that wait to be written.")
HISTORY_DROPPED = _counter("v2g_history_rows_dropped_total", "Rows of the history that could not be kept.")
HISTORY_WRITTEN = _counter("v2g_history_rows_written_total", "Rows of the history that were written.")
HISTORY_SIZE = _gauge("v2g_history_size_bytes", "Of the history's file.")
HISTORY_FAILS = _gauge("v2g_history_fails", "1 while the history cannot be written.")
CERTIFICATE_EXPIRY = _gauge(
    "v2g_certificate_expiry_timestamp_seconds",
    "When the first of these certificates ends, Unix time.",
    "profile",
    "use",
)
HEARTBEAT = _gauge("v2g_heartbeat_state", "1 of the state that the heartbeat shows.", "state")
BACKHAUL_LOSS = _gauge("v2g_backhaul_loss_ratio", "Probes of the gateway without an answer, of the last minute.")
BACKHAUL_ROUND_TRIP = _gauge("v2g_backhaul_round_trip_seconds", "Of the last probe that was answered.")
BACKHAUL_PROBES = _counter("v2g_backhaul_probes_total", "Probes of the gateway.")
BACKHAUL_LOST = _counter("v2g_backhaul_probes_lost_total", "Probes of the gateway without an answer.")

# ---- guard, grid and devices ----

PERMIT = _gauge("v2g_guard_permit", "1 of the guard's word: only granted permits energy.", "reason")
PERMITTED = _gauge("v2g_energy_permitted", "1 while energy may flow, by all that has a say.")
GUARD_ALIVE = _gauge("v2g_guard_alive", "1 while the process is heard.", "process")
GUARD_REALTIME = _gauge("v2g_guard_realtime", "1: v2g-guard tick has real-time priority and locked memory.")
TICK_LATENESS = _histogram("v2g_guard_tick_lateness_seconds", "How much later than due a tick of the guard began.")
TICKS = _counter("v2g_guard_ticks_total", "Ticks of the guard.")
LATE_TICKS = _counter("v2g_guard_late_ticks_total", "Ticks that began more than 5 ms late.")
TRIP_LATCHED = _gauge("v2g_trip_latched", "1 while a trip is latched.")
TRIPS = _counter("v2g_trips_total", "Trips seen since the daemon started, by element.", "code")
BREAKER_CLOSED = _gauge("v2g_breaker_closed", "The V2G breaker by its feedback: 1 closed.")
BREAKER_COMMANDED = _gauge("v2g_breaker_commanded_closed", "The V2G breaker as it is commanded: 1 closed.")
RELAY_CLOSED = _gauge("v2g_relay_closed", "The hardware relay by its feedback: 1 closed.")
MAINS_PRESENT = _gauge("v2g_mains_present", "The loss-of-mains input: 1 present.")
INTERLOCK_HEALTHY = _gauge("v2g_interlock_healthy", "1: its contact says that all is well.", "interlock")
BLOCKED = _gauge("v2g_guard_block", "1 while the guard refuses discharge for it.", "block")
CURTAILMENT = _gauge("v2g_guard_curtailment_ratio", "What over-current curtailment leaves, 1: all.", "direction")
SERVICE = _gauge("v2g_guard_service_ratio", "Of rated power, on the ramp after entering service.")
FREQUENCY = _gauge("v2g_grid_frequency_hertz", "Of the grid.")
NOMINAL_FREQUENCY = _gauge("v2g_grid_nominal_frequency_hertz", "By the configuration.")
ROCOF = _gauge("v2g_grid_rocof_hertz_per_second", "Rate of change of frequency.")
VOLTAGE = _gauge("v2g_grid_voltage_volts", "Line to neutral, RMS.", "phase")
NOMINAL_VOLTAGE = _gauge("v2g_grid_nominal_voltage_volts", "By the configuration.")
FEEDER_CURRENT = _gauge("v2g_feeder_current_amperes", "Of the V2G feeder, RMS.", "phase")
TRANSFORMER_CURRENT = _gauge("v2g_transformer_current_amperes", "Of the transformer, RMS.", "phase")
THD = _gauge("v2g_quality_thd_ratio", "Total harmonic distortion.", "quantity", "phase")
TRD = _gauge("v2g_quality_trd_ratio", "Total rated-current distortion of the V2G feeder.", "phase")
UNBALANCE = _gauge("v2g_quality_unbalance_ratio", "Negative over positive sequence voltage.")
FLICKER = _gauge("v2g_quality_flicker", "P_st of the last ten minutes.", "phase")
IMAGE_AGE = _gauge("v2g_wires_image_age_seconds", "Age of the last image of v2g-guard wires.")
MODBUS_LATENCY = _histogram("v2g_modbus_latency_seconds", "From a Modbus request to its answer.", "kind")
MODBUS_ONLINE = _gauge("v2g_modbus_device_online", "1: it answers.", "kind", "evse")
MODBUS_TIMEOUTS = _counter("v2g_modbus_timeouts_total", "Requests without an answer in time.", "kind")
MODBUS_RECONNECTS = _counter("v2g_modbus_reconnects_total", "Connections that were opened again.", "kind")

# ---- transformer and site ----

LOAD = _gauge("v2g_transformer_load_watts", "Active power of the transformer.")
BASE_LOAD = _gauge("v2g_transformer_base_load_watts", "Without the vehicles.")
LOAD_FACTOR = _gauge("v2g_transformer_load_factor_ratio", "K: load over rating.")
TEMPERATURE = _gauge("v2g_transformer_temperature_celsius", "As estimated.", "place")
TEMPERATURE_AHEAD = _gauge("v2g_transformer_temperature_ahead_celsius", "At the end of the horizon.", "place")
TEMPERATURE_LIMIT = _gauge("v2g_transformer_temperature_limit_celsius", "In force.", "place")
HEADROOM = _gauge("v2g_transformer_headroom_watts", "V2G power that heat permits, a magnitude.", "direction")
AGEING_RATE = _gauge("v2g_transformer_ageing_rate_ratio", "1: as at rated hot-spot temperature.")
LOSS_OF_LIFE = _counter("v2g_transformer_loss_of_life_seconds_total", "Time at rated ageing that was used up.")
RATED_POWER = _gauge("v2g_transformer_rated_voltamperes", "By the nameplate.")
SITE_LIMIT = _gauge("v2g_site_limit_watts", "V2G power within all limits, a magnitude.", "direction")
SITE_POWER = _gauge("v2g_site_power_watts", "Measured at all EVSEs together.")
SITE_GRANTED = _gauge("v2g_site_granted_watts", "Granted to all vehicles together.")
ORDERS = _gauge("v2g_orders", "Orders that stand.", "mode")
SHORTFALL = _gauge("v2g_order_shortfall_watts", "What orders do not get now, by the code of what binds.", "code")

# ---- EVSEs and sessions ----

EVSE_POWER = _gauge("v2g_evse_power_watts", "Measured.", "evse")
EVSE_SETPOINT = _gauge("v2g_evse_setpoint_watts", "As commanded.", "evse")
EVSE_GRANTED = _gauge("v2g_evse_granted_watts", "As granted.", "evse")
EVSE_SOC = _gauge("v2g_evse_soc_ratio", "State of charge that the vehicle tells.", "evse")
EVSE_OCCUPIED = _gauge("v2g_evse_occupied", "1 while a vehicle has a session there.", "evse")
EVSE_FAULT = _gauge("v2g_evse_fault", "1 while something is wrong there.", "evse")
EVSE_ROUND_TRIP = _gauge("v2g_evse_round_trip_seconds", "Smoothed, to the vehicle's network.", "evse")
EVSE_RETRANSMITS = _gauge("v2g_evse_retransmitted_segments", "Of the session that runs.", "evse")
SESSIONS = _gauge("v2g_sessions", "Sessions by their state.", "state")
SESSIONS_BEGUN = _counter("v2g_sessions_begun_total", "Sessions that were set up.")
SESSIONS_ENDED = _counter("v2g_sessions_ended_total", "Connections that ended, by reason.", "reason")
TURNAROUND = _histogram(
    "v2g_turnaround_seconds", "From a response written to the next request received.", "service", "stage"
)
TURNAROUND_SLOW = _counter("v2g_turnaround_slow_total", "Charge-loop turnarounds above 0.25 s.", "evse")
ROUND_TRIP = _histogram("v2g_tcp_round_trip_seconds", "Smoothed round trip to vehicles, once a second of a session.")
HANDSHAKE = _histogram("v2g_tls_handshake_seconds", "From the accepted connection to the end of the TLS handshake.")
PLC_DRIVER = _gauge("v2g_plc_driver_alive", "1 while kplc-driver is heard.")
PLC_UP = _gauge("v2g_plc_link_up", "1 while a vehicle is linked.", "evse")
PLC_ATTENUATION = _gauge("v2g_plc_attenuation_decibels", "As measured at the last matching.", "evse")
PLC_RATE = _gauge("v2g_plc_rate_bytes_per_second", "PHY rate, seen from the vehicle.", "evse", "way")
PLC_LOSS = _gauge("v2g_plc_packet_loss_ratio", "Of what was sent to the vehicle.", "evse")

# ---- the mesh ----

MESH_MEMBERS = _gauge("v2g_mesh_members", "Other members, by how they count.", "state")
MESH_PRESENT = _gauge("v2g_mesh_member_present", "1 while its states count.", "member")
MESH_ROUND_TRIP = _gauge("v2g_mesh_round_trip_seconds", "To a member.", "member")
MESH_LOSS = _gauge("v2g_mesh_loss_ratio", "Members' messages of the last minute that were lost.")
MESH_ISLANDS = _gauge("v2g_mesh_islands", "1: the mesh is whole.")
MESH_LINKS = _gauge("v2g_mesh_links", "Links of ours.", "state")
MESH_SHARE = _gauge("v2g_mesh_share_watts", "What our transformer may take, a magnitude.", "way")
MESH_DROPS = _counter("v2g_mesh_drops_total", "Messages that were not believed.", "reason")
MESH_MESSAGES = _counter("v2g_mesh_messages_total", "On the wire.", "way")
MESH_BYTES = _counter("v2g_mesh_bytes_total", "On the wire.", "way")
