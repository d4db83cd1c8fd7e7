"""Catalogue: the firewall of the host."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import NOTHING, Entry

FIREWALL: tuple[Entry, ...] = (
    Entry(
        "FIREWALL_APPLIED",
        "Somebody has put new firewall rules in force; the line names who, and whether they wait for a confirmation.",
        "Goes on: connections that were open stay open.",
        "From a new connection: v2g-tool firewall confirm. What is in force: v2g-tool firewall status.",
    ),
    Entry(
        "FIREWALL_CONFIRMED",
        "The new firewall rules were confirmed: they hold, and are what a boot puts in force.",
        "Goes on.",
        NOTHING,
    ),
    Entry(
        "FIREWALL_ROLLED_BACK",
        "The firewall rules from before are in force again: nobody confirmed the new ones, or somebody took them back.",
        "Goes on with the rules from before.",
        "Correct the section firewall (v2g-tool firewall render shows the rules), apply again, confirm in time.",
    ),
    Entry(
        "FIREWALL_ROLLBACK_FAILED",
        "The firewall rules from before could not be put back; the unconfirmed ones are in force.",
        "Goes on; the line names the reason.",
        "At the console: v2g-tool firewall rollback; or nft delete table inet v2g, which opens the host.",
    ),
    Entry(
        "FIREWALL_ADMITTED",
        "A vehicle's MAC was admitted to a PLC link for a time.",
        "Serves SDP and ISO 15118 to it there.",
        NOTHING,
    ),
    Entry(
        "FIREWALL_WITHDRAWN",
        "A vehicle's MAC was taken from a PLC link.",
        "Lets it open no further connection; what it has open goes on.",
        NOTHING,
    ),
)
