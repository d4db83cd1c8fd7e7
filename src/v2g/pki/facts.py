"""What people and programs are told of a certificate, and whether it is time to renew or to warn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from pyiso15118.errors import Iso15118Error
from pyiso15118.security.chain import key_type, name_of, public_key_of
from v2g.control.messages_pki import CertificateLine
from v2g.pki.model import PkiError

DAY_S = 86_400.0
OWN, ISSUER, ROOT, ANCHOR = "own", "issuer", "own root", "trust anchor"


def certificate_line(certificate: x509.Certificate, use: str, file: str, at_unix_s: float) -> CertificateLine:
    """Raises :class:`PkiError` for a certificate that cannot be read."""
    try:
        begin, end = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
        line = CertificateLine(
            use=use,
            subject=name_of(certificate),
            issuer=certificate.issuer.rfc4514_string(),
            serial=f"{certificate.serial_number:x}",
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
            key_type=_key_type(certificate),
            not_before_unix_s=begin,
            not_after_unix_s=end,
            days_left=0.0,
            life_used=0.0,
            file=file,
        )
    except (ValueError, TypeError) as error:
        raise PkiError(f"{file}: {name_of(certificate)} cannot be read: {error}") from error
    return aged(line, at_unix_s)


def aged(line: CertificateLine, at_unix_s: float) -> CertificateLine:
    """The same certificate later."""
    begin, end = line.not_before_unix_s, line.not_after_unix_s
    return msgspec.structs.replace(
        line, days_left=(end - at_unix_s) / DAY_S, life_used=(at_unix_s - begin) / max(end - begin, 1.0)
    )


def is_due(line: CertificateLine, renew_at: float) -> bool:
    """Whether so large a share of its life is over."""
    return line.life_used >= renew_at


def expiry_problems(lines: Iterable[CertificateLine], warn_days: int) -> Iterator[tuple[str, str]]:
    """Code (``CERT_EXPIRED``, ``CERT_EXPIRES``) and words for what ends within ``warn_days``, the most urgent first.

    A certificate that stands in several files is told once for each use.
    """
    seen = set()
    for line in sorted(lines, key=lambda line: line.not_after_unix_s):
        if (line.use, line.fingerprint) in seen or line.days_left > warn_days:
            continue
        seen.add((line.use, line.fingerprint))
        what = f"{_CALLED[line.use]} {line.subject} ({line.file})"
        if line.days_left <= 0.0:
            words = f"expired {_days(-line.days_left)} ago: {_CONSEQUENCE[line.use]}; {_REMEDY[line.use]}"
            yield "CERT_EXPIRED", f"{what} {words}"
        else:
            yield "CERT_EXPIRES", f"{what} expires in {_days(line.days_left)}: {_REMEDY[line.use]}"


def _days(days: float) -> str:
    if days < 2.0:
        return f"{days * 24.0:.0f} h"
    return f"{int(days)} days"


def _key_type(certificate: x509.Certificate) -> str:
    try:
        return key_type(public_key_of(certificate))
    except Iso15118Error:
        return "other"


_CALLED = {
    OWN: "our certificate",
    ISSUER: "the authority's certificate",
    ROOT: "the root of our chain",
    ANCHOR: "the trust anchor",
}
_CONSEQUENCE = {
    OWN: "vehicles refuse us",
    ISSUER: "vehicles refuse us",
    ROOT: "vehicles refuse us",
    ANCHOR: "vehicles whose chain ends in it are refused",
}
_REMEDY = {
    OWN: "v2g-cert-manager renew",
    ISSUER: "get a chain of the new authority: v2g-cert-manager renew",
    ROOT: "get the new root and a chain that ends in it: v2g-cert-manager renew --ca-bundle FILE",
    ANCHOR: "get the new root: v2g-cert-manager anchors FILE",
}
