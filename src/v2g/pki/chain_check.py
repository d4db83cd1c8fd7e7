"""Whether a chain is ours to use: our key, a SECC's profile, a root of the bundle, now."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from pyiso15118.errors import Iso15118Error
from pyiso15118.security import TlsProfile
from pyiso15118.security.chain import (
    ChainError,
    ChainProblem,
    IsRevoked,
    PublicKey,
    Role,
    TrustAnchors,
    ValidatedChain,
    extension_of,
    name_of,
    public_key_of,
    readable,
    validate_chain,
)
from v2g.pki.bundle import Bundle, is_self_signed
from v2g.pki.model import PkiError, PrivateKey
from v2g.pki.request import digest_for

_MOST_RECEIVED = 20
_PROOF = b"v2g-cert-manager: does this key belong to this certificate?"
_REMEDIES = {
    ChainProblem.EXPIRED: "ask for a new one (v2g-cert-manager renew), and check this machine's clock",
    ChainProblem.NOT_YET_VALID: "check this machine's clock, or wait",
    ChainProblem.REVOKED: "make a new key and request: v2g-cert-manager provision --force",
    ChainProblem.NO_ANCHOR: "name the bundle with the root of this authority: --ca-bundle FILE",
    ChainProblem.INVALID: "the authority must issue it by the profile of a SECC's certificate of ISO 15118-20",
}


class PairMismatch(PkiError):
    """Key and certificate do not belong together."""


def check_own_chain(
    received: Sequence[x509.Certificate],
    key: PublicKey | None,
    bundle: Bundle,
    *,
    profile: TlsProfile,
    at_unix_s: float,
    is_revoked: IsRevoked | None = None,
) -> ValidatedChain:
    """The chain of our leaf to a root of the bundle, from certificates in any order.

    The leaf is the certificate of ``key``; without a key, the only one that is no authority. Raises :class:`PkiError`
    with certificate, reason and remedy for whatever keeps it from use by a SECC.
    """
    if not received:
        raise PkiError("no certificate came: look at what the authority sent")
    if len(received) > _MOST_RECEIVED:
        raise PkiError(f"{len(received)} certificates came, at most {_MOST_RECEIVED} are taken: send the chain alone")
    try:
        leaf = find_leaf(received, key)
        _refuse_self_signed(leaf)
        others = tuple(c for c in received if c != leaf)
        subs = _path_above(leaf, (*others, *bundle.intermediates), bundle.roots)
        chain = validate_chain(
            _der(leaf),
            [_der(c) for c in (subs if subs is not None else others)],
            TrustAnchors(bundle.roots),
            role=Role.SECC,
            profile=profile,
            at_unix_s=at_unix_s,
            is_revoked=is_revoked,
        )
    except ChainError as error:
        raise PkiError(f"the chain cannot be used: {error}; {_REMEDIES[error.problem]}") from error
    except Iso15118Error as error:
        raise PkiError(f"the chain cannot be used: {error}") from error
    return chain


def find_leaf(received: Sequence[x509.Certificate], key: PublicKey | None) -> x509.Certificate:
    """The certificate of ``key``, or the only one that is no authority. Raises :class:`PkiError`."""
    if key is not None:
        ours = [c for c in received if _same_key(c, key)]
        if not ours:
            shown = ", ".join(name_of(c) for c in received[:3])
            raise PkiError(
                f"no certificate of the chain has our key ({shown}): it was issued for another request; send the "
                "request in force to the authority, or make a new one"
            )
    else:
        ours = [c for c in received if not _is_ca(c)]
        if not ours:
            raise PkiError("the chain has authorities only, and no certificate of a SECC: put the leaf in first")
    if len(ours) > 1:
        raise PkiError(
            f"the chain has {len(ours)} certificates that may be ours ({', '.join(name_of(c) for c in ours[:3])}): "
            "leave one"
        )
    return ours[0]


def check_pair(key: PrivateKey, certificate: x509.Certificate) -> None:
    """That the key signs what the certificate's key verifies: with a token, the token's own work.

    Raises :class:`PairMismatch`, and what the token raises.
    """
    public = public_key_of(certificate)
    try:
        if isinstance(key, ec.EllipticCurvePrivateKey):
            digest = digest_for(key)
            if not isinstance(public, ec.EllipticCurvePublicKey) or digest is None:
                raise InvalidSignature
            public.verify(key.sign(_PROOF, ec.ECDSA(digest)), _PROOF, ec.ECDSA(digest))
        else:
            if isinstance(public, ec.EllipticCurvePublicKey):
                raise InvalidSignature
            public.verify(key.sign(_PROOF), _PROOF)
    except InvalidSignature:
        raise PairMismatch(
            f"the private key is not that of {name_of(certificate)}: install the chain of this key, or make a new pair "
            "with v2g-cert-manager provision --force"
        ) from None


def _path_above(
    leaf: x509.Certificate, pool: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]
) -> list[x509.Certificate] | None:
    """Authorities between leaf and a root, nearest first and as few as can be; None where no way leads to one.

    By name and signature only: :func:`validate_chain` judges them.
    """
    below: dict[x509.Certificate, x509.Certificate] = {}
    waiting = deque([leaf])
    while waiting:
        last = waiting.popleft()
        if any(_issued(root, last) for root in roots):
            path = []
            while last != leaf:
                path.append(last)
                last = below[last]
            return path[::-1]
        for candidate in pool:
            if candidate != leaf and candidate not in below and candidate not in roots and _issued(candidate, last):
                below[candidate] = last
                waiting.append(candidate)
    return None


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    with readable(certificate):
        if issuer.subject != certificate.issuer:
            return False
        try:
            certificate.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
            return False
        return True


def _refuse_self_signed(leaf: x509.Certificate) -> None:
    # A site that is its own authority is allowed to TLS; what an authority sends us is something else.
    if is_self_signed(leaf):
        raise PkiError(
            f"{name_of(leaf)} signed itself: vehicles trust authorities only; have the request signed by one"
        )


def _same_key(certificate: x509.Certificate, key: PublicKey) -> bool:
    try:
        return public_key_of(certificate) == key
    except ChainError:
        return False


def _is_ca(certificate: x509.Certificate) -> bool:
    constraints = extension_of(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)
