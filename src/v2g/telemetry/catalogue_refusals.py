"""Catalogue: answers of the control socket by which a command is refused. audit.log has them as ``error=``."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import Entry

_NOTHING_DONE = "Changes nothing, and tells who asked why."


def _refusal(code: str, meaning: str, remedy: str, daemon: str = _NOTHING_DONE) -> Entry:
    return Entry(code, meaning, daemon, remedy)


REFUSALS: tuple[Entry, ...] = (
    _refusal("PARSE_ERROR", "A line at the control socket is no JSON.", "One JSON-RPC 2.0 object a line."),
    _refusal(
        "INVALID_REQUEST", "A line at the control socket is no call.", "A call has jsonrpc, id, method and params."
    ),
    _refusal("METHOD_NOT_FOUND", "There is no such method.", "Use the commands of the daemon's own version."),
    _refusal("INVALID_PARAMS", "A parameter is missing, unknown or of the wrong kind.", "The words name it."),
    _refusal(
        "FORBIDDEN",
        "The caller's role is too low for this.",
        "Become a member of the group that the words name (usermod -aG), then log in anew.",
    ),
    _refusal("HELLO_FIRST", "A connection asked before it said who it is.", "Begin with hello: client and protocol."),
    _refusal(
        "WRONG_PROTOCOL",
        "Command and daemon are of versions that do not understand each other.",
        "Restart the daemon after an update, or use the commands of its version.",
    ),
    _refusal("TOO_MANY_CLIENTS", "Too many connections are open at the control socket.", "Close some of them."),
    _refusal(
        "TOO_SLOW",
        "A call took too long to be waited for.",
        "Look whether it is in force before it is tried again.",
        "May carry it to its end all the same.",
    ),
    _refusal(
        "CUT_OFF",
        "The daemon stopped before a call was answered.",
        "Look whether it is in force before it is tried again.",
        "May have carried it to its end.",
    ),
    _refusal("BUSY", "Another change, test or check of the same kind is under way.", "Wait for its end and try again."),
    _refusal("STARTING", "The daemon is starting: nothing is measured yet.", "Try again in a second."),
    _refusal(
        "GUARD_UNREACHABLE",
        "v2g-guard tick does not answer.",
        "systemctl status v2g-guard-tick; v2g-tool log --since 10min has its last lines.",
    ),
    _refusal("UNKNOWN_EVSE", "There is no EVSE of that name.", "v2g-tool status shows them; quote the asterisks."),
    _refusal("NOT_PERMITTED", "It belongs to somebody else.", "An operator, or for locks an engineer, may do it."),
    _refusal("BAD_ORDER", "An order's mode, power, duration or time cannot be.", "v2g-control dispatch --help."),
    _refusal("UNKNOWN_ORDER", "There is no such order, or it is over.", "v2g-control status shows what stands."),
    _refusal(
        "TRIP_NOT_RESET",
        "The trip latch stays: the grid is not back, an interlock is open, or there was no trip.",
        "v2g-tool status names what still holds it. Then v2g-control trip reset again.",
    ),
    _refusal("PERMIT_NOT_SET", "The guard did not take the site out of service, or back.", "The words say why."),
    _refusal(
        "LOCKOUT_NOT_SET", "The guard did not set or take away a lock.", "The words say why; v2g-tool lockout shows."
    ),
    _refusal("BAD_LOCKOUT", "A lock in another's name.", "Each locks for himself: leave --force out."),
    _refusal(
        "BAD_SETTING",
        "No setting of that name, a value that it cannot have, or nothing to change.",
        "v2g-config reference and v2g-tool grid show them with their ranges.",
    ),
    _refusal(
        "UNCONFIRMED",
        "A grid profile that nobody here verified needs an engineer's confirmation.",
        "Compare it with the standard, then --confirm-unverified.",
    ),
    _refusal(
        "NOT_WRITABLE",
        "The daemon may not write the file in which a setting is kept.",
        "chown v2g:v2g /etc/v2g/conf.d, and see that /etc is not read-only.",
    ),
    _refusal(
        "NOT_TAKEN_BACK",
        "A change was not adopted and could not be taken back: file and guard differ.",
        "Correct the file that the words name, then v2g-tool sensors reload.",
        "Goes on by what was in force; a restart would take what the file says.",
    ),
    _refusal("NO_BACKUP", "There is no earlier version of that file.", "The directory conf.d has what there is."),
    _refusal("NOT_ADOPTED", "The files were edited and not reloaded.", "v2g-tool sensors reload, or undo the edit."),
    _refusal(
        "HALF_RELOADED",
        "One process of the guard works by the new files, another by the old ones.",
        "Put right what the words name, and reload again.",
        "Each process works by a whole configuration, but not by the same one.",
    ),
    _refusal("NOT_MEASURED", "What is needed is not measured now.", "v2g-tool sensors shows which value is missing."),
    _refusal(
        "NOT_CALIBRATED", "A calibration was refused, or taken back.", "The words say why; measure again at rest."
    ),
    _refusal("BREAKER_OPEN", "Both sides of the V2G breaker have no common voltage.", "Let it close: v2g-tool status."),
    _refusal("DEAD_SIDE", "A channel is without voltage.", "Check the transducer named and its fuse."),
    _refusal("NO_CHANNELS", "The inverter has no voltage channels of its own.", "Calibrate the feeder's: no --evse."),
    _refusal("POWER_FLOWS", "That is done only while no power flows.", "v2g-control cancel, and wait for zero."),
    _refusal("UNKNOWN_SENSOR", "There is no such sensor.", "v2g-tool sensors shows their names."),
    _refusal("NO_FACTOR", "That sensor has no factor to calibrate.", "The words say what can be adjusted instead."),
    _refusal("RMS_NOT_TOLD", "The guard does not tell that channel's RMS value.", "Adjust its scale by hand."),
    _refusal("WRONG_UNIT", "The reference is in another unit than the sensor.", "Give it in the unit that is named."),
    _refusal("NEAR_ZERO", "Too small a value to calibrate by.", "Calibrate at a load or voltage that is usual."),
    _refusal("NOT_STEADY", "The value moves too much to calibrate by.", "Wait until load and voltage rest."),
    _refusal(
        "FACTOR_OUT_OF_RANGE",
        "Measurement and reference differ by more than a calibration may hide.",
        "Look for wrong ratio, wiring or scale; only then calibrate.",
    ),
    _refusal(
        "BAD_STEP", "A test has no such step, or not now.", "Use the command of the test, which goes through them."
    ),
    _refusal("BAD_TEST", "Power, duration or EVSE of a test cannot be.", "The words name the range."),
    _refusal("NO_TEST", "No test is under way.", "Start one."),
    _refusal("TEST_NOT_STARTED", "The guard did not begin the test of the relay.", "The words say why."),
    _refusal("TEST_NOT_ENDED", "The guard did not end the test of the relay.", "v2g-tool status shows the relay."),
    _refusal("NO_FEEDBACK", "The relay's contact is not seen.", "State relay.feedback_path and check its wiring."),
    _refusal("NOT_PASSED", "The relay was not seen to open and close again.", "Wait for it, or finish as failed."),
    _refusal("NOT_RECORDED", "A test is over and could not be recorded.", "Make the place writable and repeat it."),
    _refusal("NO_INVERTER", "At an AC EVSE the inverter is the vehicle's.", "Name a DC EVSE."),
    _refusal("ORDER_STANDS", "An order stands for the EVSE to be tested.", "v2g-control cancel it first."),
    _refusal("NO_DISCHARGE", "The vehicle there may not discharge now.", "The words name what forbids it."),
    _refusal("BAD_THRESHOLD", "A THD threshold out of range.", "It is a share: 0.03 is 3 %."),
    _refusal(
        "NO_FILTER", "No inverter there has a filter that can be commanded.", "inverter.harmonic_filter states one."
    ),
    _refusal("NO_PLC", "The EVSE has no powerline link.", "evses[].plc states one."),
    _refusal("UNKNOWN_METER", "There is no such meter.", "v2g-tool meters shows them."),
    _refusal("BAD_MIN_SOC", "A min-SoC that cannot be.", "0 to 100 %, of the site, an EVSE or a vehicle."),
    _refusal("BAD_VEHICLE", "No vehicle can be called that.", "Its certificate's subject, or its EVCCID."),
    _refusal(
        "TOO_MANY_VEHICLES", "No more vehicles get a min-SoC of their own.", "Take back those that no longer come."
    ),
    _refusal("NO_REASON", "An emergency regime needs a reason.", "Say what is out of service and who asked for it."),
    _refusal("BAD_REGIME", "There is no such loading regime.", "v2g-tool thermal regime --help names them."),
    _refusal("BAD_DURATION", "A duration out of range.", "The words name the range."),
    _refusal("BAD_SIGNAL", "A signal of the utility that cannot be.", "v2g-control signal --help."),
    _refusal("UNKNOWN_SIGNAL", "There is no such signal.", "v2g-control signal list."),
    _refusal("NOT_YOURS", "The signal comes from the VTN.", "Have the event deleted there."),
    _refusal("NO_MESH", "This controller is in no mesh, or has not joined yet.", "mesh: in v2g.yaml; v2g-tool mesh."),
    _refusal("UNKNOWN_MEMBER", "The mesh has no such member.", "v2g-tool mesh shows them."),
    _refusal("UNKNOWN_GROUP", "The mesh has no such group.", "v2g-tool mesh shows them."),
    _refusal("NOT_A_HEAD", "Only the head of a group may cap it.", "Ask at the head's controller."),
    _refusal("NO_CAP", "That group is not capped by us.", "v2g-tool mesh shows the caps."),
    _refusal("NO_CHAIN", "The audit log is kept in no file here.", "Set paths.log_dir."),
    _refusal("NOT_CHECKED", "The check of the audit log could not be done.", "As root: v2g-tool audit verify."),
    _refusal("BAD_MAINTENANCE", "Maintenance needs a reason, and a lease within its range.", "The words name it."),
    _refusal("MAINTENANCE_LASTS", "Maintenance is under way already.", "Wait for its end, or end it."),
    _refusal(
        "UNKNOWN_SESSION",
        "No session of that identifier is kept.",
        "v2g-tool trace --list shows them; older ones are forgotten, and all at a restart.",
    ),
    _refusal("TRACE_OFF", "No messages are kept: trace.keep_sessions is 0.", "Set it, and restart the daemon."),
)
