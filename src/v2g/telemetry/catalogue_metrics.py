"""Codes of the 500 ms rule, of the backhaul and of the metrics."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import Entry

METRICS: tuple[Entry, ...] = (
    Entry(
        "SECC_TIMEOUT",
        "A vehicle sent no request in time: 0.5 s after a charge-loop response (secc.charge_loop_timeout_s), 60 s "
        "after any other.",
        "Ends the session: power goes to zero, then the contactors open. The vehicle may begin another one at once.",
        "The line says what it looks like. cause=vehicle: its network acknowledged our response and its computer did "
        "not ask: for a model that is slow, raise secc.charge_loop_timeout_s. cause=cable: segments were lost, the "
        "round trip is long or the attenuation high: look at the charging cable, its plugs and the inlet; v2g-tool plc "
        "shows the attenuation. cause=connection: our response was not acknowledged: the plug was pulled, the cable "
        "broke or the vehicle's modem lost its power.",
        "ISO 15118-20 [V2G20-1500], [V2G20-1502]",
        ("error: secc_timeout", "sequence timeout", "500 ms"),
    ),
    Entry(
        "TURNAROUND_SLOW",
        "A vehicle in its charge loop took more than 0.25 s to ask again after our response; at 0.5 s its session "
        "ends.",
        "Goes on, and counts: the first is told at once, then a count each minute.",
        "The line tells what the network takes of it. A long round trip or segments sent again: look at the charging "
        "cable and its attenuation (v2g-tool plc). A short one: the vehicle's computer is slow; for such a model raise "
        "secc.charge_loop_timeout_s. Where it says that this controller was busy, look at its load and at CYCLE lines.",
        "ISO 15118-20 [V2G20-1500], [V2G20-1502]",
        ("turnaround",),
    ),
    Entry(
        "BACKHAUL_LOSS",
        "More than 5 % of the probes of the utility's gateway (heartbeat.probe) got no answer within a minute; or they "
        "are answered again.",
        "Flashes the heartbeat LED. Control goes on: nothing here depends on the backhaul.",
        "Look at the router or modem of this site and at its antenna; v2g-tool mesh shows whether the mesh suffers, "
        "too.",
        "",
        ("backhaul",),
    ),
    Entry(
        "BACKHAUL_PROBE",
        "The probe of the utility's gateway cannot be made.",
        "Counts it as lost, and tries again.",
        "The line names the reason. A name that cannot be resolved: write the address into heartbeat.probe. An echo "
        "that is not permitted: sysctl net.ipv4.ping_group_range has to include the group of v2g-orchestrator; or "
        "probe a TCP port.",
    ),
    Entry(
        "METRICS_FAILED",
        "Metrics cannot be served where metrics.listen says, or one scrape failed.",
        "Works without; the status says so.",
        "The line names the address and the reason: correct metrics.listen, or stop what else serves it, and restart.",
        "",
        ("metrics",),
    ),
)
