"""Catalogue: updates, and processes of different versions."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import NOTHING, Entry

FIRMWARE: tuple[Entry, ...] = (
    Entry(
        "FIRMWARE_BEGUN",
        "Somebody applies an update; the line names who, both versions, the slot and the step that it begins with.",
        "Goes on until the services are stopped; no new sessions meanwhile.",
        "See v2g-tool firmware status.",
    ),
    Entry(
        "FIRMWARE_APPLIED", "An update is in place, and the new version has proved itself.", "Goes on with it.", NOTHING
    ),
    Entry(
        "FIRMWARE_FAILED",
        "An update was not put in place, or was forgotten; the line has the reason.",
        "Goes on with the version that runs; nothing of it was changed.",
        "Do what the line says, then v2g-tool firmware apply again.",
    ),
    Entry(
        "FIRMWARE_ROLLED_BACK",
        "The version from before is in place again: the new one did not become well, or somebody took it back.",
        "Goes on with the version from before; databases that the new one had migrated are as they were before it.",
        "The reason is in the line, and in daemon.log of that time. Do not apply the same bundle again unmended.",
    ),
    Entry(
        "FIRMWARE_ROLLBACK_FAILED",
        "An update failed, and going back failed as well.",
        "May stand still: the line has the reason.",
        "Put right what the line names, then v2g-tool firmware rollback.",
    ),
    Entry(
        "VERSION_SKEW",
        "Orchestrator and guard are of different versions.",
        "Goes on where they understand each other; where the guard's status or its link cannot be read, power is zero.",
        "Restart the services that the line names; after an update by hand, all of them.",
    ),
)
