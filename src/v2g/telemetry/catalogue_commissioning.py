"""Catalogue: what commissioning leaves in audit.log."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import NOTHING, Entry

COMMISSIONING: tuple[Entry, ...] = (
    Entry(
        "ACKNOWLEDGED",
        "A qualified person answers for a commissioning command: relay test, calibration, discharge test.",
        "Does what was asked, and keeps the name with the record.",
        NOTHING,
        "NFPA 70E 105, or the equivalent in force",
    ),
    Entry(
        "NOT_ACKNOWLEDGED",
        "A commissioning command came without the name of a qualified person.",
        "Refuses it.",
        "Give --acknowledge NAME, or answer the prompt at a terminal.",
        "NFPA 70E 105, or the equivalent in force",
    ),
    Entry(
        "RELAY_TEST",
        "A test of the hardware relay was finished.",
        "Keeps its outcome in relay-tests.jsonl of the state directory.",
        "Repeat a failed one after the repair: v2g-tool --test-relay.",
    ),
    Entry(
        "DISCHARGE_TEST",
        "A first discharge test of an EVSE was finished.",
        "Keeps its figures in discharge-tests.json of the state directory. After a failure for its efficiency alone or "
        "among others the EVSE's discharge is refused until a test is passed.",
        "Read the reasons in the line; repeat it: v2g-tool test-discharge --evse ID.",
        also=("discharge test",),
    ),
)
