"""Catalogue: the preflight."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import NOTHING, Entry

PREFLIGHT: tuple[Entry, ...] = (
    Entry(
        "PREFLIGHT_FAIL",
        "A check of the preflight failed: the line names it, what was found, and the remedy.",
        "Refuses discharge, of the whole site or of the EVSEs that it concerns; charging goes on. Looks again after "
        "seconds, until nothing fails.",
        "Do what the line says, then v2g-tool preflight --daemon, which lifts the refusal at once.",
        also=("preflight",),
    ),
    Entry(
        "PREFLIGHT_MENDED",
        "A check that had failed passes again.",
        "No longer refuses discharge for it.",
        NOTHING,
    ),
    Entry(
        "PREFLIGHT_DONE",
        "The preflight has ended: how many checks passed, and which of them warn.",
        "Goes on; warnings refuse nothing.",
        "v2g-tool preflight shows every check with its remedy.",
    ),
)
