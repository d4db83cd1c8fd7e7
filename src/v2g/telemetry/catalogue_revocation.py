"""Catalogue: revocation of certificates, and the time that they are judged by."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import NOTHING, Entry

_LISTS = "CRLs (PEM or DER, *.pem, *.der, *.crl) lie in /etc/ssl/v2g/crl; a new file is read within seconds."

REVOCATION: tuple[Entry, ...] = (
    Entry(
        "REVOCATION_OFF",
        "Revocation of vehicles' certificates is not checked (pki.revocation.check: false).",
        "Lets in vehicles whose certificates were revoked.",
        "Set pki.revocation.check to true.",
        "RFC 5280, 6.3",
    ),
    Entry(
        "REVOCATION_NOT_CONFIGURED",
        "There is no revocation data at all: no CRL, and OCSP is off.",
        "Lets in vehicles whose certificates were revoked, as nobody says which are.",
        "Put the CRLs of the vehicles' authorities there, or set pki.revocation.ocsp or fetch_crls. " + _LISTS,
        "RFC 5280, 6.3",
    ),
    Entry(
        "REVOCATION_UNKNOWN",
        "Whether a certificate is revoked is not known; the line says whose, and why.",
        "Accepts it, as pki.revocation.old_data: warn says.",
        "Bring the data up to date. " + _LISTS,
        "RFC 5280, 6.3",
    ),
    Entry(
        "REVOCATION_LAX",
        "Certificates are accepted though their revocation data is old or missing (pki.revocation.old_data: warn).",
        "Refuses only those of which it knows that they were revoked.",
        "Set pki.revocation.old_data to refuse, once the data comes reliably.",
        "RFC 5280, 6.3",
    ),
    Entry(
        "CRL_LOADED",
        "Revocation lists were read, at the start or because a file changed; the line says how many.",
        "Judges vehicles by them from now on.",
        NOTHING,
        "RFC 5280, 5",
    ),
    Entry(
        "CRL_OLD",
        "A revocation list is past its nextUpdate.",
        "Refuses the certificates of its issuer (accepts them with old_data: warn); those on the list in any case.",
        "Get the new list from the authority that issued it. " + _LISTS,
        "RFC 5280, 5.1.2.5",
    ),
    Entry(
        "CRL_UNUSABLE",
        "A file that may hold a revocation list cannot be used; the line says why.",
        "Refuses certificates of issuers without another list, since the file may be theirs (old_data: warn: accepts).",
        "Replace the file, or remove it. " + _LISTS,
        "RFC 5280, 5",
    ),
    Entry(
        "CRL_FETCHED",
        "A new revocation list came from a distribution point, verified.",
        "Judges vehicles by it from now on.",
        NOTHING,
        "RFC 5280, 4.2.1.13",
    ),
    Entry(
        "CRL_NOT_FETCHED",
        "A revocation list could not be fetched, or what came is none, forged, old or not newer.",
        "Goes by the one that is here until its end, and tries again after a minute, then ever less often.",
        "Look at the line; the address is in the certificates, and the firewall must let the controller reach it.",
        "RFC 5280, 4.2.1.13",
    ),
    Entry(
        "CLOCK_UNSYNCED",
        "The host's clock is not synchronised, as after a boot without network.",
        "Judges certificates by the later of its clock and the latest time known to have passed: what has expired then "
        "is refused, what would not be valid yet is not.",
        "Look at chronyc tracking or timedatectl: the controller needs a time server.",
    ),
    Entry(
        "CLOCK_SYNCED",
        "The host's clock is synchronised again.",
        "Judges certificates by it.",
        NOTHING,
    ),
    Entry(
        "STAPLE_FAILED",
        "There is no new OCSP answer about our own certificate; the line says why.",
        "Staples the one that is at hand until it is old, then none; vehicles may insist on one.",
        "Look at the line; the responder's address is in our certificate, and the firewall must let us reach it.",
        "RFC 6066, 8",
    ),
    Entry(
        "STAPLE_OK",
        "There is an OCSP answer about our own certificate again.",
        "Staples it.",
        NOTHING,
        "RFC 6066, 8",
    ),
    Entry(
        "CERTIFICATE_REVOKED",
        "Our own certificate was revoked, by the word of its authority's responder.",
        "Serves with it; vehicles that look will refuse it.",
        "Ask the authority why, and get a new key and certificate: v2g-cert-manager provision.",
        "RFC 6960",
    ),
)
