"""Codes of the configuration that is read anew."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import Entry

CONFIGURATION: tuple[Entry, ...] = (
    Entry(
        "CONFIG_RELOADED",
        "The configuration was read anew: systemctl reload, v2g-config reload or SIGHUP.",
        "Goes by what a reload can put in force, which the line names; the rest waits for the restarts that it names.",
        "Nothing, or the restarts: systemctl restart, the services in the order of the line. v2g-config diff shows "
        "what waits.",
        "",
        ("reload",),
    ),
    Entry(
        "CONFIG_REFUSED",
        "The configuration was to be read anew, and it has mistakes, or its certificates cannot be served.",
        "Goes on with what it had, all of it: nothing of the new one is in force.",
        "The line names each mistake with file, line and remedy; so does v2g-config validate. Then reload again. What "
        "was changed by v2g-config can be taken back: v2g-config backup list.",
        "",
        ("reload refused",),
    ),
)
