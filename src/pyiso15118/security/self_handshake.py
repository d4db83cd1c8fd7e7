"""What a SECC's TLS context really does, found out by being its client, in memory, before any vehicle is.

The client has no certificate that the context trusts, so no session comes of it. Asked is with ClientHellos that offer
one thing each, and with a whole handshake as far as a stranger gets.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pyiso15118.errors import RemoteProtocolError
from pyiso15118.security.client_hello import SIGNATURES, Answer, client_hello, read_answer
from pyiso15118.security.extra import needs_pyopenssl
from pyiso15118.security.profile import STRICT_SUITES, TlsEndpoint, TlsProfile

_TLS12_SUITE = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
_ALL_SIGNATURES = tuple(SIGNATURES)
_BOTH_GROUPS = ("secp521r1", "x448")


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What was proved of one context.

    ``version``, ``suite``, ``group`` and ``signature`` are what an acceptable client gets; ``groups`` and ``suites`` of
    the standard each of which is enough alone. ``refused``: what was offered and must not be taken, with the alert that
    answered it; ``taken``: such that was taken in the handshake all the same, and is refused right after it.
    ``p256_asked``: vehicles may sign with P-256. ``authorities``: how many CertificateRequest names. ``chain_judged``:
    the vehicle's whole chain is held to the profile.
    """

    profile: TlsProfile
    version: str
    suite: str
    group: str
    signature: str
    groups: tuple[str, ...]
    suites: tuple[str, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    taken: tuple[str, ...] = ()
    certificate_required: bool
    p256_asked: bool
    stapled: bool
    authorities: int
    chain_judged: bool

    def __str__(self) -> str:
        """One line for a log."""
        certificate = "vehicle certificate required" if self.certificate_required else "vehicle certificate optional"
        refused = ", ".join(f"{what} ({alert})" for what, alert in self.refused.items()) or "nothing"
        return (
            f"profile {self.profile}: {self.version}, {self.suite}, {self.group}, {self.signature}; groups "
            f"{' '.join(self.groups) or 'none'}; suites {' '.join(self.suites) or 'none'}; {certificate}; "
            f"{'an OCSP response' if self.stapled else 'no OCSP response'} stapled; {self.authorities} authorities "
            f"named; refused: {refused}"
        )


def self_handshake(context: TlsEndpoint) -> InForce:
    """Find out what a SECC's context does. Some 30 ms, longer with a token. Never raises for a gap.

    Raises :class:`TlsError` where no vehicle could connect: nothing acceptable gets an answer; and where pyOpenSSL is
    not installed, with which the client is made.
    """
    with needs_pyopenssl("a handshake with ourselves"):
        from pyiso15118.security.self_handshake_client import Stranger

    compat = context.profile is TlsProfile.COMPAT
    forbidden = {
        "TLS 1.2": _ask(context, suites=(_TLS12_SUITE, *STRICT_SUITES), tls13=False),
        "TLS_AES_128_GCM_SHA256": _ask(context, suites=("TLS_AES_128_GCM_SHA256",)),
        "group X25519": _ask(context, groups=("x25519",)),
    }
    if not compat:
        forbidden["group P-256"] = _ask(context, groups=("secp256r1",))
        forbidden["signature ecdsa_secp256r1_sha256"] = _ask(context, signatures=("ecdsa_secp256r1_sha256",))
    groups = ("secp521r1", "x448", "secp256r1") if compat else _BOTH_GROUPS
    stranger = Stranger(context, with_certificate=False)
    signing = Stranger(context, with_certificate=True)
    return InForce(
        profile=context.profile,
        version=stranger.version,
        suite=stranger.suite,
        group=stranger.group,
        signature=stranger.signature,
        groups=tuple(group for group in groups if not _ask(context, groups=(group,)).refused),
        suites=tuple(suite for suite in STRICT_SUITES if not _ask(context, suites=(suite,)).refused),
        refused={what: answer.alert for what, answer in forbidden.items() if answer.alert is not None}
        | ({"no certificate": stranger.alert} if stranger.alert else {}),
        taken=tuple(what for what, answer in forbidden.items() if not answer.refused),
        certificate_required="certificate required" in stranger.alert,
        p256_asked="certificate required" not in signing.alert,
        stapled=stranger.stapled,
        authorities=stranger.authorities,
        chain_judged=stranger.chain_judged,
    )


def describe_gaps(found: InForce) -> tuple[str, ...]:
    """Where a context falls short of the standard's TLS profile, in sentences for people."""
    gaps: list[str] = []
    strict = found.profile is TlsProfile.STRICT
    if not strict:
        gaps.append(
            "profile compat: P-256 certificates and key exchange are accepted, which ISO 15118-20 does not allow"
        )
    then = "; such a vehicle is refused right after it" if strict else ", which ISO 15118-20 does not allow"
    gaps += [f"{what} is taken in the handshake{then}" for what in found.taken]
    if strict and found.p256_asked:
        gaps.append("vehicles are told that they may sign with P-256; such a vehicle is refused after the handshake")
    gaps += [f"the group {group} is not offered" for group in _BOTH_GROUPS if group not in found.groups]
    gaps += [f"the suite {suite} is not offered" for suite in STRICT_SUITES if suite not in found.suites]
    if not found.certificate_required:
        gaps.append("vehicles without a certificate pass the handshake")
    if not found.chain_judged:
        gaps.append(
            "only the leaf of a vehicle's chain is held to the profile: this TLS library verifies the signatures above "
            "it and does not tell them"
        )
    if found.stapled:
        gaps.append("an OCSP response is stapled for our leaf alone: the TLS binding has no call for the others")
    else:
        gaps.append("no OCSP response is stapled")
    if not found.authorities:
        gaps.append("CertificateRequest names no authorities")
    gaps.append(
        "our chain is not chosen by the authorities that a vehicle names: there is one, which every vehicle is shown"
    )
    return tuple(gaps)


def _ask(
    context: TlsEndpoint,
    *,
    suites: tuple[str, ...] = STRICT_SUITES,
    groups: tuple[str, ...] = _BOTH_GROUPS,
    signatures: tuple[str, ...] = _ALL_SIGNATURES,
    tls13: bool = True,
) -> Answer:
    shares = {group: _share(group) for group in groups}
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(client_hello(suites=suites, groups=groups, signatures=signatures, shares=shares, tls13=tls13))
    with contextlib.suppress(ssl.SSLError):
        server.do_handshake()
    try:
        return read_answer(outgoing.read())
    except RemoteProtocolError:
        return Answer(alert="no answer")


@cache
def _share(group: str) -> bytes:
    """A public key, once a process: what is agreed with it is never used."""
    if group == "x448":
        return x448.X448PrivateKey.generate().public_key().public_bytes_raw()
    if group == "x25519":
        return x25519.X25519PrivateKey.generate().public_key().public_bytes_raw()
    curve = ec.SECP521R1() if group == "secp521r1" else ec.SECP256R1()
    return ec.generate_private_key(curve).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
