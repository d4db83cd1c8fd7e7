"""Catalogue: what the audit log says of itself, of the daemon's life and of the configuration's files."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import NOTHING, Entry

_VERIFY = "v2g-tool audit verify names the line; copy /var/log/v2g/audit.log*, audit.key and audit.head away first."

AUDIT: tuple[Entry, ...] = (
    Entry(
        "START",
        "The orchestrator started: version, process, digest of the configuration, and how the run before it ended.",
        "Goes on with the chain of the audit log.",
        'With before="not ended" look why: journalctl -u v2g-orchestrator.',
    ),
    Entry("STOP", "The orchestrator ended, and why.", "Keeps the head of the audit log.", NOTHING),
    Entry(
        "CONFIG_FILE",
        "A file below /etc/v2g is not what it was: edited by hand, or written by a command that is in the log before "
        "it. With its digest, the one before, its owner and the time that it was written.",
        "Nothing: what is edited holds from the next start or reload.",
        "Ask its owner, where no command in the log explains it.",
    ),
    Entry(
        "CHAIN_STARTED",
        'The chain of the audit log begins: first start, or with reason="new key" or "the log is gone" since the one '
        "before could not be gone on with.",
        "Seals every line from here on.",
        "With a reason other than first start: AUDIT_CHAIN beside it says what was missing.",
    ),
    Entry(
        "CHAIN_CONTINUED",
        "A new file of the audit log, after rotation: it goes on with the chain of the one before.",
        "Seals the line with the last value of the file before.",
        NOTHING,
    ),
    Entry(
        "CHAIN_RESUMED",
        "The chain goes on after a line that was cut off (torn_bytes), lines that could not be written (lost_lines: "
        "they are in the journal), or a log or head that was not as the daemon left it (reason).",
        "Goes on after the last line that it knows to be its own.",
        "With a reason: " + _VERIFY,
    ),
    Entry(
        "AUDIT_CHAIN",
        "At its start the daemon found the audit log, its key or its head not as it left them.",
        "Goes on, with a new chain where it must; what is missing stays visible to v2g-tool audit verify.",
        _VERIFY,
    ),
    Entry(
        "AUDIT_HEAD",
        "The last seq and chain value of the audit log, once a day, for the journal: kept elsewhere it finds even a "
        "log that was rewritten by somebody who had the key.",
        "Nothing else.",
        "To check against it: v2g-tool audit verify --head SEQ:CHAIN.",
    ),
    Entry(
        "AUDIT_HEAD_NOT_KEPT",
        "The head of the audit log cannot be written into the state directory.",
        "Tries again with the next lines; lines removed at the end of the log would go unnoticed.",
        "Make room, or give the directory back to the user v2g.",
    ),
    Entry("AUDIT_INTACT", "The daily check found the audit log as it was written.", "Nothing else.", NOTHING),
    Entry(
        "AUDIT_BROKEN",
        "The daily check found the audit log not as it was written: altered, removed, inserted or reordered lines.",
        "Says so here, in the audit log and in the status, each day; control goes on.",
        _VERIFY,
    ),
    Entry(
        "AUDIT_NOT_CHECKED",
        "The daily check of the audit log could not be made.",
        "Tries again the next day.",
        "Check by hand, as root: v2g-tool audit verify.",
    ),
)
