"""Catalogue: the history by the minute, and what the thermal model says at a start and between."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import NOTHING, Entry

HISTORY: tuple[Entry, ...] = (
    Entry(
        "THERMAL",
        "The thermal model says what it lacks or doubts: a sensor, the load, what is beyond the standard.",
        "Goes on with what is left, the margin widened; without power where nothing safe is left.",
        "The line names the thing and the remedy; v2g-tool thermal has all that is said at present, under NOTES.",
    ),
    Entry(
        "THERMAL_RECALLED",
        "At every start: what of temperatures, loss of life and an authorised regime goes on from the run before.",
        "Takes temperatures kept within the last hour as measured, but none that are older or dated ahead.",
        NOTHING,
    ),
    Entry(
        "HISTORY_NOT_KEPT",
        "The history by the minute cannot be written, or had to be begun anew; the line says why.",
        "Control goes on as before. Rows wait in memory; the oldest are dropped and counted when there are too many.",
        "As the line says: free or mount the disk, mend owner and rights, end the other program.",
    ),
    Entry(
        "HISTORY_KEPT_AGAIN",
        "The history is written again.",
        "Writes what waited in memory.",
        NOTHING,
    ),
    Entry(
        "CHRONICLE_FAILED",
        "A fault of the controller's own in writing down what happens; the line says which.",
        "Control goes on; the history and what a restart goes on with have a gap.",
        "Report it with the daemon log. A restart of v2g-orchestrator may help meanwhile.",
    ),
    Entry(
        "THERMAL_MEMORY_LOST",
        "What the thermal model knew before the restart cannot be read from the history; the line says what and why.",
        "Begins anew: no V2G power before top-oil is measured, loss of life from 0, wide bounds of the forecast.",
        "See the reason in the line. An older copy of the history, put in its place with the daemon stopped, helps.",
    ),
)
