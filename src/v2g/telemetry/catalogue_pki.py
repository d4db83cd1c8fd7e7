"""Catalogue: our own certificates and those of the roots that we trust."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import NOTHING, Entry

CERTIFICATES: tuple[Entry, ...] = (
    Entry(
        "CERT_EXPIRES",
        "A certificate that is served with, a root of it, or a trust anchor of vehicles expires within pki.warn_days.",
        "Works on; says so at every start, once a day and in the status.",
        "v2g-cert-manager renew for our own; for a root, get the new one from its authority. v2g-cert-manager status "
        "shows all days. If the timer should have renewed it: systemctl status v2g-cert-renew.",
        also=("certificate expires",),
    ),
    Entry(
        "CERT_EXPIRED",
        "A certificate that is served with, a root of it, or a trust anchor of vehicles has expired.",
        "Serves with it all the same: vehicles refuse it. Vehicles whose chain ends in an expired anchor are refused.",
        "Check the controller's clock, then v2g-cert-manager renew, or v2g-cert-manager anchors FILE for anchors.",
        also=("certificate expired",),
    ),
    Entry(
        "PKI_RELOADED",
        "Key, chain and trust anchors were read again.",
        "Serves new connections with them; sessions go on with what they began with.",
        NOTHING,
        also=("certificates reloaded",),
    ),
    Entry(
        "PKI_REFUSED",
        "Key, chain or trust anchors were read again and cannot be used.",
        "Goes on with what was in force.",
        "The line names the file and the reason; v2g-cert-manager status and verify show more. Put it right, then "
        "systemctl reload v2g-orchestrator.",
        also=("certificates refused",),
    ),
)
