"""Catalogue: sessions over a stop, a restart and maintenance."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import NOTHING, Entry

_DISK = "Free the disk, or give file and directory to the daemon's user; the line names them."

SESSIONS: tuple[Entry, ...] = (
    Entry(
        "STOPPING",
        "The daemon was told to stop (systemctl stop or restart, SIGTERM).",
        "Takes no orders and no new sessions; brings power to zero, asks vehicles to pause or terminate "
        "(sessions.on_stop), opens contactors.",
        NOTHING,
        "ISO 15118-20 8.3.5.3.3",
    ),
    Entry(
        "SESSION_DRAINED",
        "What became of a session that the daemon ended: paused, stopped by its vehicle, or terminated by us.",
        "Goes on with the stop or the maintenance it was ended for.",
        "Terminated: that vehicle did not follow the notification in time; sessions.notification_delay_s gives it "
        "longer. It begins anew by itself or is plugged in again.",
    ),
    Entry(
        "SESSION_RESUMED",
        "A vehicle came back to the session it had paused, proven by its certificate (OK_OldSessionJoined).",
        "Goes on with it: authorisation and service stand.",
        NOTHING,
        "ISO 15118-20 [V2G20-2545]",
    ),
    Entry(
        "SESSION_RECOGNISED",
        "A vehicle whose session was lost with the controller, or whose pause could not be resumed, began anew.",
        "Serves it; orders for its EVSE and its min-SoC hold again.",
        "After a kill or a power cut: nothing. Else comms.log says what ended the controller's last run.",
    ),
    Entry(
        "SESSION_PAUSE_OVER",
        "The plug of a vehicle that had paused was pulled.",
        "Forgets the pause: whoever is plugged in next begins a new session and is authorised anew.",
        NOTHING,
    ),
    Entry(
        "SESSIONS_RECALLED",
        "What was kept of sessions before the start: those that were paused, and those that were lost.",
        "Lets the paused ones be resumed for sessions.resume_within_h, and knows the others again.",
        NOTHING,
    ),
    Entry(
        "SESSIONS_NOT_KEPT",
        "The journal of sessions (sessions.sqlite) cannot be used, or was broken and begun anew.",
        "Goes on; vehicles that paused cannot resume after a restart and begin new sessions.",
        _DISK + " One of a newer version: install that version again, or move the file away and restart.",
    ),
    Entry("SESSIONS_KEPT_AGAIN", "The journal of sessions is written again.", "Keeps pauses over a restart.", NOTHING),
    Entry(
        "NO_NEW_SESSION",
        "A vehicle asked for a session while none is begun: the daemon stops, or maintenance lasts.",
        "Does not answer it; the vehicle asks again.",
        "v2g-tool status names the reason and when it ends.",
    ),
    Entry(
        "MAINTENANCE",
        "An engineer, or an update of the firmware, began or ended a time without new sessions; or its lease is over.",
        "Admits no new session until it is over; the status names reason, person and end.",
        "It ends by itself.",
    ),
)
