"""Codes of the private key in a PKCS#11 token."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import NOTHING, Entry

TOKEN: tuple[Entry, ...] = (
    Entry(
        "TOKEN_LOST",
        "The token that has our private key cannot sign: it is away, refuses the PIN, does not answer, or its module "
        "failed; the line says which. Said once for each reason.",
        "Running sessions go on without the key; new vehicles are refused in the TLS handshake. Each of them "
        "has the token asked again, at most once a second; a refused PIN is tried only after its source has changed.",
        "As the line says. Nothing has to be restarted or reloaded then: the next vehicle is served.",
    ),
    Entry(
        "TOKEN_BACK",
        "The token signs again.",
        "Vehicles are served.",
        NOTHING,
    ),
)
