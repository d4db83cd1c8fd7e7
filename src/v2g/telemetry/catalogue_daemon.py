"""Catalogue: the life of the daemon and its logs, and what vehicles' sessions say from plug to unplug."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import NOTHING, Entry

_ANEW = "Ends the session: power goes to zero, then the contactors open. The vehicle may begin another one at once."
_TRACE = (
    "v2g-tool log --session ID tells what came before it, v2g-tool trace --session ID --pcap FILE has the messages."
)
_REPORT = "Note the line with its traceback and the version (v2g-orchestrator --version), and report it to the makers."

DAEMON: tuple[Entry, ...] = (
    Entry(
        "READY",
        "The orchestrator has started: addresses at which vehicles find it, by interface.",
        "Serves vehicles and takes orders.",
        NOTHING,
    ),
    Entry(
        "STOPPED", "The orchestrator ended in order.", "Has commanded zero power and opened all contactors.", NOTHING
    ),
    Entry(
        "START_FAILED",
        "The orchestrator cannot start: the line says whether network, certificates, keys or nameplate.",
        "Ends. The guard keeps the breaker as it judges the grid; no vehicle is served.",
        "Put right what the line names. v2g-orchestrator --check-config and v2g-tool preflight find the rest.",
    ),
    Entry(
        "CONFIG",
        "Something in the configuration is allowed but doubtful, or a file of it cannot be read.",
        "Goes on with what the line says; what could not be read is refused.",
        "Edit what the line names; v2g-orchestrator --check-config shows all of it.",
    ),
    Entry(
        "CONTROL",
        "Something about the control socket is not as it should be: a group that does not exist, for instance.",
        "Serves root and its own user; whoever depends on what is missing is refused.",
        "The line names it. systemd-sysusers makes the groups; control.roles in v2g.yaml names them.",
    ),
    Entry(
        "CYCLE_FAILED",
        "A round of control, ten a second, failed inside the daemon.",
        "Sends no set-point in that round: after a second without one every vehicle is at zero power.",
        _REPORT,
    ),
    Entry(
        "SESSION_ERROR",
        "Something failed inside the daemon in one vehicle's session.",
        "Ends that session at zero power; the others go on.",
        _REPORT,
    ),
    Entry(
        "INTERNAL_ERROR",
        "Something failed inside the daemon, outside of any session.",
        "Goes on. A command that was under way is answered with an error.",
        _REPORT,
    ),
    Entry(
        "WIRES_UP",
        "The orchestrator is connected to v2g-guard wires, which commands inverters and EVSEs.",
        "Sends set-points.",
        NOTHING,
    ),
    Entry(
        "WIRES_DOWN",
        "The orchestrator lost v2g-guard wires, or does not find it.",
        "Tries again each second. Without set-points every vehicle is at zero power after a second.",
        "systemctl status v2g-guard-wires; v2g-tool log --since 10min has its last lines.",
    ),
    Entry(
        "EVSE_UNREACHABLE",
        "No vehicle can connect at an EVSE: interface, address, port or certificate, as the line says.",
        "Serves the other EVSEs, and tries this one again every few seconds.",
        "ip -6 address show dev INTERFACE: it needs to be up with a link-local address. v2g-cert-manager status for "
        "certificates.",
    ),
    Entry(
        "CONNECTED",
        "A vehicle's connection is accepted: its address, MAC address and certificate.",
        "Waits for the first message.",
        NOTHING,
    ),
    Entry(
        "SESSION_START",
        "A vehicle set up a session. From here on each of its lines has session=.",
        "Goes through authorisation, cable check and pre-charge with it.",
        "v2g-tool log --session ID shows all of it.",
    ),
    Entry(
        "SERVICE",
        "The vehicle chose its energy service, and whether it follows schedules or set-points.",
        "Treats it accordingly; without BPT it never discharges.",
        NOTHING,
    ),
    Entry("SESSION_PHASE", "A session went on to its next phase.", "Commands what the phase allows.", NOTHING),
    Entry(
        "SESSION_STOPPED",
        "The vehicle, or we, ended the session in order (SessionStop).",
        "Has opened the contactors at zero power; the line has duration and energy.",
        NOTHING,
    ),
    Entry(
        "SESSION_PAUSED",
        "The session rests: the vehicle may come back to it without authorisation.",
        "Keeps it, also over a restart.",
        NOTHING,
    ),
    Entry(
        "SESSION_ABORTED",
        "We ended a session without SessionStop: an operator, a stop of the daemon, a lost powerline link, or a fault.",
        "Has brought power to zero and opens the contactors.",
        "The line says why. " + _TRACE,
    ),
    Entry(
        "SESSION_FAILED",
        "We answered the vehicle with a failure, or had to give up.",
        _ANEW,
        "response_code and the text say what was wrong. " + _TRACE,
    ),
    Entry(
        "PEER_FAILED",
        "The vehicle broke the protocol: a message out of turn, or a value that cannot be.",
        _ANEW,
        "If it comes with one model only, report it to its maker with the messages. " + _TRACE,
    ),
    Entry(
        "PROTOCOL_ERROR",
        "Bytes of a vehicle are not V2GTP or EXI, or a message is too large.",
        _ANEW,
        "Once: a disturbed line. Again and again from one vehicle: report it with the messages. " + _TRACE,
    ),
    Entry(
        "PEER_CLOSED",
        "The vehicle closed the connection without SessionStop.",
        _ANEW,
        "A pulled plug, a restart of the vehicle, or a lost link: v2g-tool plc shows the line's quality. " + _TRACE,
    ),
    Entry(
        "EVCC_TIMEOUT",
        "A vehicle of ours (the simulation, or pyiso15118's own EVCC) had no answer in time.",
        "Ends the session on the vehicle's side.",
        "Look at the station's log for the same session.",
    ),
    Entry(
        "AUTHORIZATION_REFUSED",
        "A vehicle was not authorised: the line says by what (EVSE fault, policy, or no answer).",
        "Tells the vehicle Failed; nothing flows.",
        "v2g-tool status shows the EVSE. With a fault: repair it and plug in again.",
    ),
    Entry(
        "EVSE_FAULT",
        "An EVSE reports a fault, or does not do what it is told.",
        "Ends its session at zero power and admits no other until the fault is gone.",
        "The line names it. v2g-tool inverter and v2g-tool pilot check show the device.",
    ),
    Entry(
        "PYISO15118",
        "The ISO 15118 package tells of its sockets and connections: listening, refused, failed.",
        "As the line says.",
        "A warning names the peer and the reason. Handshakes that fail: v2g-cert-manager status, and the vehicle's "
        "roots.",
    ),
    Entry(
        "LIBRARY",
        "A library that the daemon uses (library=) tells of something that is not as it should be.",
        "Goes on.",
        "A single one needs nothing. Lines that go on: report them to the makers.",
    ),
    Entry(
        "LOG_UNWRITABLE",
        "A log cannot be written: disk full, read-only, no permission, or no regular file in its place.",
        "Goes on. Its lines go to the journal, or stderr, and it tries again each second.",
        "df -h /var/log and ls -la /var/log/v2g. Once the cause is gone it goes on by itself.",
    ),
    Entry(
        "LOG_WRITABLE",
        "A log is written again; so many lines are missing in it.",
        "Goes on in the file.",
        "journalctl LOG=comms (power_quality, audit, daemon) has the missing lines.",
    ),
    Entry(
        "TRACE_STARTED",
        "An engineer has the messages of sessions recorded in full, in memory, for a time.",
        "Records until the time or the room is used up.",
        "v2g-tool trace --stop ends it. Traces hold contract certificates and identifiers of people.",
    ),
    Entry(
        "TRACE_FETCHED",
        "An engineer read the messages of a session: who, and of which EVSE and session.",
        "Gave them from its memory.",
        "They hold contract certificates and identifiers of people: ask why, where it is not known.",
    ),
    Entry("TRACE_STOPPED", "Recording in full is over.", "Keeps the last messages of each session only.", NOTHING),
    Entry(
        "CALL",
        "Somebody called a method of the control socket: who, with what, and what came of it.",
        "Did it.",
        NOTHING,
    ),
    Entry(
        "REFUSED",
        "A call of the control socket was refused: error= is the code, reason= the words.",
        "Changed nothing, unless reason= says so.",
        "v2g-tool explain with the code of error= says more.",
    ),
    Entry(
        "FAILED",
        "A call of the control socket failed inside the daemon or took too long: it may have been done all the same.",
        "Tells the caller.",
        "Look whether it is in force before it is tried again. daemon.log has INTERNAL_ERROR beside it.",
    ),
)
