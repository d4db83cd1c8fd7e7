"""Codes of the vehicles' TLS and of what pretends to be a vehicle."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import NOTHING, Entry

TLS: tuple[Entry, ...] = (
    Entry(
        "TLS_IN_FORCE",
        "What the TLS of these EVSEs does, found out at the start by a handshake of the daemon with itself: version, "
        "suites, groups and signatures, what was offered and refused with which alert.",
        "Serves vehicles like that.",
        NOTHING,
    ),
    Entry(
        "TLS_GAP",
        "Something that ISO 15118-20 asks of TLS and that these EVSEs do not have; the line says what.",
        "Serves vehicles all the same. What the profile excludes and the handshake lets pass is refused after it.",
        "As the line says; where it names the TLS library or binding, nothing can be done but to know it.",
    ),
    Entry(
        "TLS_COMPAT",
        "These EVSEs are configured with tls: compat: P-256 certificates and vehicles without a certificate are taken.",
        "Serves them so, and says it at every start.",
        "Set tls: strict for each of them as soon as its vehicles can do it.",
    ),
    Entry(
        "TLS_PLAIN",
        "These EVSEs are configured without TLS: anybody on the cable's link can read and change everything.",
        "Serves them so.",
        "A test mode: set tls: strict.",
    ),
    Entry(
        "EVCCID_NOT_CERTIFIED",
        "At an EVSE of profile compat a vehicle calls itself otherwise than its certificate calls it.",
        "Serves it. In profile strict the session is refused with FAILED.",
        "Ask the maker of the vehicle; if it is not one of those known to do so, look who is at the EVSE.",
    ),
    Entry(
        "SPOOFING_SUSPECTED",
        "While a vehicle's session runs, something else on the EVSE's link asks for or opens a connection: another "
        "link-local or MAC address than the vehicle's. On a cable there is one vehicle.",
        "Answers nothing and closes the connection; the session goes on.",
        "Look at the EVSE and its cable for a device that was put in between, and at the bridge or PLC network for a "
        "neighbour that should not be heard.",
    ),
    Entry(
        "SDP_FLOOD",
        "Discovery requests (SDP) come faster on an EVSE's link than vehicles send them; a second line tells how many "
        "were left out within ten seconds.",
        "Answers 8 a second of one source and 40 of all, and leaves the rest out. Sessions are not affected.",
        "Look at the link for a device that floods it; a vehicle asks four times a second.",
    ),
)
