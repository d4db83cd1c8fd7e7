"""Catalogue: inverters, DC outputs, sensors and the orchestrator, as ``v2g-guard wires`` sees them."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import Entry

_NOTHING = "Nothing needs to be done."

DEVICES: tuple[Entry, ...] = (
    Entry(
        "DEVICE_LOST",
        "A device does not answer over Modbus.",
        "Its EVSE gets no power; its own reversion brings it to zero.",
        "Check power, network, address and unit of the device named.",
    ),
    Entry(
        "DEVICE_REFUSES",
        "A device answers, and refuses or contradicts what it is asked.",
        "Its EVSE gets no power.",
        "The line names register and reason: model, firmware or map does not fit.",
    ),
    Entry("DEVICE_BACK", "The device works again.", "Uses it again.", _NOTHING),
    Entry(
        "SENSOR_DROPPED",
        "A transducer's value is not plausible.",
        "Leaves it out; the thermal model uses its fallback.",
        "Check the transducer, its wiring and its row in sensor_map.conf.",
    ),
    Entry("SENSOR_BACK", "The value is plausible again.", "Uses it again.", _NOTHING),
    Entry("SENSORS_RELOADED", "The sensor map was read again.", "Measures by it.", _NOTHING),
    Entry(
        "SENSORS_HALF_RELOADED",
        "v2g-guard wires took what was read again, the guard did not, or the files changed meanwhile.",
        "Each works by what it has.",
        "Correct what the line names, then v2g-tool sensors reload.",
    ),
    Entry(
        "SENSORS_REFUSED",
        "The sensor map or the configuration that was read again has mistakes.",
        "Changes nothing: all sensors are read as before.",
        "Correct the place that the line names, then reload again.",
    ),
    Entry(
        "QUALITY_FACTORS_KEPT",
        "Power quality cannot take the corrections of the samples that the guard has adopted.",
        "Measures power quality with those before.",
        "The line says why; systemctl restart v2g-guard-quality takes what the configuration says.",
    ),
    Entry(
        "NO_REVERSION",
        "An inverter does not revert to zero by itself when we fall silent.",
        "It may not discharge.",
        "Use an inverter with SunSpec 704 reversion or the heartbeats of 715, or update its firmware.",
    ),
    Entry("REVERSION_ARMED", "The inverter's own reversion is armed again.", "It may discharge.", _NOTHING),
    Entry(
        "SETPOINT_NOT_TAKEN",
        "An inverter does not show the set-point that was written into it.",
        "Orders zero, and withholds the heartbeat and the reversion timer, so that the device falls back by itself.",
        "Look for a second controller, for local control and for limits set at the device.",
    ),
    Entry("SETPOINT_TAKEN", "The inverter shows what is written into it again.", "Orders power again.", _NOTHING),
    Entry("INVERTER_STATE", "An inverter's operating state changed, in its own words.", _NOTHING, _NOTHING),
    Entry(
        "INVERTER_ALARM",
        "An inverter raised an alarm or an event, by its SunSpec name.",
        "Orders zero where the alarm makes a fault; status says so.",
        "Look it up in the inverter's manual; latched alarms need a reset at the device.",
    ),
    Entry("INVERTER_ALARM_GONE", "An alarm or event of an inverter is gone.", _NOTHING, _NOTHING),
    Entry(
        "FUNCTION_LACKING",
        "An inverter lacks a grid-support function.",
        "Computes and commands it instead, where it can; the line says.",
        "Update its firmware, or disable the function where the utility agrees.",
        "IEEE 1547-2018 clause 5",
    ),
    Entry("FUNCTION_CONFIGURED", "The inverter does the function itself again.", "Leaves it to it.", _NOTHING),
    Entry(
        "PILOT_FAULT",
        "The control pilot of an AC EVSE is in state E or F, lost, or outside the limit that the line names.",
        "No energy in state E, F or none, without the negative half or the protective earth; else told only.",
        "Check cable, connector, vehicle inlet and protective conductor, then the EVSE's pilot circuit.",
        "IEC 61851-1:2017 Annex A",
    ),
    Entry("PILOT_BACK", "The control pilot is within its limits again.", "Energy may flow in state C and D.", _NOTHING),
    Entry(
        "OVERDRAW",
        "A vehicle at an AC EVSE takes or gives more than it was told, its phase carries, or the site allows.",
        "Its contactor is open until the plug was out.",
        "Ask the driver to unplug; if it happens again, the vehicle does not follow its limits.",
    ),
    Entry(
        "EFFICIENCY_LOW",
        "An inverter loses more than 3 % in a band of its load, measured over minutes.",
        "Goes on; a discharge test would refuse it.",
        "v2g-tool inverter efficiency shows the bands; calibrate its AC and DC transducers, then have it serviced.",
    ),
    Entry("EFFICIENCY_BACK", "The band is above 97 % again.", "Goes on.", _NOTHING),
    Entry(
        "SETPOINT_BOUND",
        "What was asked for is not what is commanded; bound_by says why.",
        "Commands the lesser power.",
        "None, unless it surprises: rating, permit, lease and the guard's curtailment bind.",
    ),
    Entry("SETPOINT_FREE", "Set-points apply as they are.", "Commands them.", _NOTHING),
    Entry(
        "SETPOINT_UNKNOWN_EVSE",
        "Set-points for an EVSE that was not in the configuration at the start.",
        "Uses the others.",
        "systemctl restart v2g-guard-wires.",
    ),
    Entry(
        "SETPOINTS_REFUSED",
        "A frame of set-points was not used.",
        "The leases of the last one run out, then zero.",
        "Orchestrator and guard are of different versions: install both anew.",
    ),
    Entry(
        "WIRES_PEER_REFUSED",
        "A process of another user tried to command the inverters.",
        "Refused it.",
        "Find out who: pid and user are in the line.",
    ),
    Entry("WIRES_PEER_REPLACED", "A newer orchestrator took the older one's place.", "Obeys the newer.", _NOTHING),
    Entry(
        "WIRES_PEER_GARBAGE",
        "The orchestrator sent what cannot be understood.",
        "Closed its connection; power goes to zero.",
        "Orchestrator and guard are of different versions: install both anew.",
    ),
    Entry(
        "WIRES_PEER_STUCK",
        "The orchestrator does not read.",
        "Closed its connection; power goes to zero.",
        "See daemon.log and systemctl status v2g-orchestrator.",
    ),
    Entry("WIRES_CONNECTION", "A connection failed in an unexpected way.", "Closed it.", "See the lines beside it."),
    Entry(
        "WIRES_NO_SETTINGS",
        "There are no grid settings to configure into the inverters.",
        "They keep their own trip settings; the guard permits no energy.",
        "As for NO_SETTINGS.",
    ),
    Entry(
        "WIRES_SETTINGS",
        "The guard has adopted other settings, and v2g-guard wires with it.",
        "Writes enter service, trips and functions into the inverters anew.",
        _NOTHING,
    ),
    Entry(
        "WIRES_SETTINGS_KEPT",
        "What the guard has adopted cannot be loaded, or the files give something else.",
        "The inverters keep the settings before; it is tried again every few seconds.",
        "As the line says: mend the configuration, or let v2g-guard tick adopt it.",
    ),
    Entry(
        "WIRES_NOT_AT_REST",
        "The process ended before every device had confirmed zero.",
        "The devices' own reversion remains.",
        "Look whether a device is lost.",
    ),
    Entry(
        "GUARD_WIRES_CONFIG",
        "A device's configuration cannot be used.",
        "Ends; inverters revert to zero.",
        "Correct what the line names.",
    ),
    Entry(
        "GUARD_WIRES_FAILED",
        "The process could not start: its socket cannot be made.",
        "Ends; systemd starts it again.",
        "The line names path and reason.",
    ),
    Entry(
        "GUARD_WIRES_ENDED",
        "The process was stopped.",
        "Inverters are commanded to zero.",
        "systemctl start v2g-guard-wires.",
    ),
)
