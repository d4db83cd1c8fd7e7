"""Catalogue: customers' meters."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import NOTHING, Entry

METERS: tuple[Entry, ...] = (
    Entry(
        "METER_NOT_USED",
        "A customer's meter has told nothing for a minute that can be used.",
        "Takes the base load by meters for unknown; what the transformer measures is used without it.",
        "The line names the reason and the remedy; v2g-tool meters shows all meters.",
    ),
    Entry("METER_BACK", "The meter's readings can be used again.", "Uses them again.", NOTHING),
    Entry(
        "METERS_CONTRADICT",
        "For a minute the meters have added up to something else than the base load that the transformer measures.",
        "Takes the less favourable of the two for each phase and direction.",
        "Look for a customer without a meter, a wrong sign or rotation, or a wrong unit; compare one meter at a time.",
    ),
    Entry("METERS_AGREE", "Meters and transformer agree again.", "Uses what the transformer measures.", NOTHING),
    Entry(
        "METER_FEED_FAILED",
        "The socket to which readings are written cannot be served.",
        "Works without the meters of the feed: the base load by meters is unknown.",
        "The line names the socket and the reason: correct utility.meter_feed.path and restart.",
    ),
    Entry(
        "METER_FEED_GROUP",
        "The group that may write readings does not exist.",
        "Serves the feed to its own user and group only.",
        "Make the group (groupadd), put the adapter's user into it, and restart the daemon.",
    ),
    Entry(
        "METER_TASK_ENDED",
        "The daemon has stopped reading a meter, by a mistake of its own.",
        "Takes the meter for missing.",
        "Restart the daemon, and report the line.",
    ),
)
