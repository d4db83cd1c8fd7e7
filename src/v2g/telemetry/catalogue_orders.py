"""Catalogue: why an order gets less than it asked for, or nothing."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import NOTHING, Entry

_LESS = "Delivers less, or nothing."
_STATUS = "v2g-control status shows the limit that binds and its source."

ORDERS: tuple[Entry, ...] = (
    Entry(
        "REVERSE_FLOW_DENIED",
        "Discharge was refused or cut: the transformer is or would become too hot, or its state is not known.",
        "Discharges less, or not at all, until there is thermal headroom.",
        "v2g-tool thermal shows what binds and when. Wait, lower the order, or repair the sensor named.",
        "IEC 60076-7",
    ),
    Entry(
        "FORWARD_FLOW_DENIED",
        "Charging was refused or cut: the transformer is or would become too hot, or its state is not known.",
        "Charges less, or not at all, until there is thermal headroom.",
        "v2g-tool thermal shows what binds and when. Wait, lower the order, or repair the sensor named.",
        "IEC 60076-7",
    ),
    Entry(
        "LOADING_REGIME",
        "An engineer authorised loading beyond normal cyclic loading for a stated time, or it ended (audit.log has the "
        "person and the reason, daemon.log every change).",
        "Keeps the limits of that regime until the time is over, then those of normal cyclic loading, by itself.",
        "v2g-tool thermal shows the regime and what is left; v2g-tool thermal regime normal_cyclic ends it.",
        "IEC 60076-7",
    ),
    Entry(
        "NO_PERMIT",
        "The guard forbids energy to flow, or its word is missing or old.",
        "Every vehicle at zero power.",
        "v2g-tool status names the reason; the guard's own lines are in power_quality.log.",
    ),
    Entry(
        "GUARD_BLOCK",
        "The guard refuses this direction, a start, or a part of the power.",
        _LESS,
        "The shortfall names the reason: the hardware relay, the frequency window, the ramp or over-current.",
    ),
    Entry(
        "LOW_EFFICIENCY",
        "The EVSE's discharge test measured an efficiency below 97 %, or one that cannot be, or its record cannot be "
        "read.",
        "Does not discharge at this EVSE; charging goes on.",
        "Repair the inverter or its measurement and pass v2g-tool test-discharge, or accept it by name: "
        "inverter.accept_low_efficiency.",
    ),
    Entry("NO_VEHICLE", "Nobody is there to serve the order.", "Keeps the order and waits.", "Plug a vehicle in."),
    Entry(
        "MIN_SOC",
        "The battery is at the least state of charge, or its state is unknown.",
        "Does not discharge this vehicle.",
        "Charge it, or lower dispatch.min_soc_pct or --min-soc.",
    ),
    Entry(
        "SOC_IMPLAUSIBLE",
        "The state of charge that the vehicle tells contradicts the energy that the EVSE's meter has counted.",
        "Does not discharge this vehicle until its session ends; charging goes on.",
        "Compare the EVSE's meter with another one; if it is right, the vehicle tells a wrong state of charge or "
        "capacity.",
    ),
    Entry(
        "MAX_SOC",
        "The battery is at the site's highest state of charge, and the vehicle's own target is not above it.",
        "Does not charge this vehicle.",
        "Raise dispatch.max_soc_pct where that is too low.",
    ),
    Entry("VEHICLE_FULL", "The vehicle takes no more energy.", "Does not charge it.", NOTHING),
    Entry("VEHICLE_LIMIT", "The vehicle's own limits of power or current.", _LESS, _STATUS),
    Entry("INVERTER_RATING", "The inverter's rating, or the site's limit below it.", _LESS, _STATUS),
    Entry(
        "INVERTER_FAULT",
        "The inverter reports a fault, or is not connected.",
        "No power over it.",
        "Read its fault with v2g-tool status; comms.log tells since when.",
    ),
    Entry("EVSE_LIMIT", "The configured limits of the EVSE.", _LESS, _STATUS),
    Entry(
        "INVALID_ORDER", "The order's power is not a magnitude in W.", "Does nothing.", "Order a power of 0 W or more."
    ),
    Entry(
        "LIMIT_UNKNOWN",
        "Nobody states a limit in this direction; unknown is zero.",
        "No power in this direction.",
        _STATUS,
    ),
    Entry("LIMIT_EXPIRED", "A limit is older than it may be; old is unknown.", "No power by it.", _STATUS),
    Entry("CONTRADICTION", "Limits exclude each other.", "No power.", "The shortfall names the limits: correct one."),
    Entry(
        "PHASE_CURRENT",
        "The current of one phase of the transformer or the V2G feeder is at its limit.",
        _LESS,
        "v2g-tool status shows the currents; move single-phase vehicles or customers to another phase.",
    ),
    Entry(
        "UNBALANCE",
        "The V2G power of the phases may not differ more (dispatch.unbalance_w).",
        _LESS,
        "Move single-phase vehicles to another phase, or raise dispatch.unbalance_w.",
    ),
    Entry(
        "WAITS",
        "Not all vehicles can have their minimum power at once, and they take turns (dispatch.dwell_s).",
        "Gives each its turn.",
        "v2g-control vehicles shows who waits and for how long.",
    ),
    Entry(
        "UTILITY_LIMIT",
        "A cap or a floor that the utility set for the V2G feeder.",
        _LESS,
        "v2g-control signal list shows it and when it ends.",
    ),
    Entry("LIMITED", "Something else binds.", _LESS, _STATUS),
)
