"""Catalogue: the history by the minute."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import Entry

HISTORY: tuple[Entry, ...] = (
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
        "Nothing needs to be done.",
    ),
)
