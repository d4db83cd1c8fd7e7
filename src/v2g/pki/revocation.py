"""Whether a certificate is revoked, and what follows from not knowing it. Pure: data and time are arguments.

A verdict rests on data of the certificate's own issuer, verified with its key: CRLs (:mod:`v2g.pki.crl`) and OCSP
answers (:mod:`v2g.pki.ocsp`). Data that cannot be verified says nothing, neither "good" nor "revoked".

    verdict                                              old_data refuse      old_data warn
    good                                                 accepted             accepted
    revoked, by data fresh or old                        refused              refused
    unknown: data old, missing, not yet valid, or        refused              accepted, told each time
      not to be verified; or its responder does not know
    not covered: no data of this issuer ever was here    accepted             accepted

"Not covered" lets a site without any revocation data work, and is told at every start. An issuer is covered from its
first CRL on, also when the file is lost later; with OCSP every issuer is, and while a file in the directory cannot be
read, since it may be of any issuer.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from v2g.config.schema_pki import OldData

SKEW_S = 300.0
"""By how much an issuer's clock may be ahead of ours."""
_HASHES: Mapping[str, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


class Verdict(enum.StrEnum):
    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    NOT_COVERED = "not covered"


@dataclass(frozen=True, slots=True)
class Finding:
    """``reason`` is for people: which certificate, by which data; with UNKNOWN also the remedy."""

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """``told``: what is to be said of it, where anything is."""

    accepted: bool
    revoked: bool = False
    told: str = ""


def decide(finding: Finding, old_data: OldData) -> Decision:
    """The table of this module's docstring."""
    if finding.verdict is Verdict.REVOKED:
        return Decision(accepted=False, revoked=True, told=finding.reason)
    if finding.verdict is Verdict.UNKNOWN:
        return Decision(accepted=old_data is OldData.WARN, told=finding.reason)
    return Decision(accepted=True)


def combine(findings: Iterable[Finding]) -> Finding:
    """Of several sources: revoked by one is revoked; else good by one is good; else what is not known counts."""
    found = list(findings)
    for verdict in (Verdict.REVOKED, Verdict.GOOD):
        for finding in found:
            if finding.verdict is verdict:
                return finding
    unknown = [finding.reason for finding in found if finding.verdict is Verdict.UNKNOWN]
    return Finding(Verdict.UNKNOWN, "; ".join(unknown)) if unknown else Finding(Verdict.NOT_COVERED)


def staleness(this_s: float, next_s: float | None, at_unix_s: float, is_lower_bound: bool) -> str:
    """What is wrong with the age of revocation data, empty if nothing is."""
    if next_s is None:
        return "does not say until when it holds (nextUpdate)"
    if at_unix_s > next_s:
        return f"is old since {_days(at_unix_s - next_s)} (nextUpdate)"
    if not is_lower_bound and this_s > at_unix_s + SKEW_S:
        return f"is from {_days(this_s - at_unix_s)} ahead of our clock (thisUpdate): check the clock"
    return ""


def verify_digest(
    signer: x509.Certificate, signature: bytes, digest: bytes, algorithm: hashes.HashAlgorithm | None
) -> None:
    """Raises what ``cryptography`` raises, and ``ValueError`` for keys and digests that are not taken.

    Ed25519 and RSA (PKCS 1 v1.5) are those of a mesh's authority: no chain of ISO 15118 has such a key.
    """
    key = signer.public_key()
    hashed = None if algorithm is None or algorithm.name not in _HASHES else Prehashed(_HASHES[algorithm.name]())
    if isinstance(key, ec.EllipticCurvePublicKey) and hashed is not None:
        key.verify(signature, digest, ec.ECDSA(hashed))
    elif isinstance(key, rsa.RSAPublicKey) and hashed is not None:
        key.verify(signature, digest, padding.PKCS1v15(), hashed)
    elif isinstance(key, ed448.Ed448PublicKey | ed25519.Ed25519PublicKey) and algorithm is None:
        key.verify(signature, digest)
    else:
        raise ValueError("a signature of a kind that is not known")


def digest_of(signed: bytes, algorithm: hashes.HashAlgorithm | None) -> bytes:
    """What :func:`verify_digest` takes. Lets other threads run, also with millions of bytes, which verifying does not.

    Raises ``ValueError`` for digests of no worth.
    """
    if algorithm is None:
        return signed
    if algorithm.name not in _HASHES:
        raise ValueError(f"signed with {algorithm.name}, which is not taken")
    return hashlib.new(algorithm.name, signed, usedforsecurity=True).digest()


def _days(seconds: float) -> str:
    return f"{seconds / 86400.0:.1f} days" if seconds >= 86400.0 else f"{seconds / 3600.0:.1f} h"
