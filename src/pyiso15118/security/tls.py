"""TLS 1.3 contexts of profile ``strict`` (ISO 15118-20) and ``compat`` (what peers in the field can do).

A SECC's context comes from pyOpenSSL, which sets suites, groups and signature algorithms of each context, staples an
OCSP response and names the authorities that it trusts. :mod:`ssl` has none of these calls. A vehicle's context, and a
SECC's where pyOpenSSL cannot be used, therefore reach the profile in three ways: the group by ``set_ecdh_curve``;
suite, peer key and peer role by a check after the handshake, before any message is read (:func:`check_connection`); and
the lists of suites and signature algorithms where the process runs with :func:`openssl_conf_path` as its OPENSSL_CONF.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pyiso15118.errors import LocalProtocolError
from pyiso15118.security.chain import IsRevoked
from pyiso15118.security.extra import needs_pyopenssl
from pyiso15118.security.private_file import PrivateFileError, check_private, read_private
from pyiso15118.security.profile import (
    GROUPS,
    KEY_TYPES,
    ROLES,
    STRICT_SUITES,
    TlsEndpoint,
    TlsError,
    TlsObject,
    TlsProfile,
)
from pyiso15118.security.tls_peer import (
    JudgedAt,
    PeerIdentity,
    PeerTrust,
    by_the_clock,
    check_connection,
    key_type,
    peer_identity,
    read_anchors,
)

__all__ = [
    "ROLES",
    "STRICT_SUITES",
    "JudgedAt",
    "PeerIdentity",
    "PeerTrust",
    "TlsContext",
    "TlsEndpoint",
    "TlsError",
    "TlsObject",
    "TlsProfile",
    "by_the_clock",
    "check_connection",
    "check_context",
    "client_context",
    "openssl_conf_active",
    "openssl_conf_path",
    "peer_identity",
    "server_context",
    "stdlib_server_context",
]


class TlsContext(ssl.SSLContext):
    """A context of :mod:`ssl` that knows what it was made for."""

    profile: TlsProfile
    server_side: bool
    trust: PeerTrust | None


def server_context(
    profile: TlsProfile,
    cert_chain: Path,
    key: Path,
    trust_anchors: Sequence[Path],
    *,
    password: str | None = None,
    require_client_certificate: bool = True,
    is_revoked: IsRevoked | None = None,
    judged_at: Callable[[], JudgedAt] = by_the_clock,
    staple: Callable[[], bytes | None] | None = None,
) -> TlsEndpoint:
    """The SECC's side. Vehicles are held to ``trust_anchors`` (OEM or V2G roots), their whole chains to the profile.

    ``require_client_certificate`` may be false in profile ``compat`` only. ``is_revoked`` and ``judged_at``: see
    :class:`PeerTrust`. ``staple`` gives the OCSP response (DER) of our leaf as it is at that moment, or None; it is
    asked in each handshake of a vehicle that wants one. Needs pyOpenSSL (extra ``tls``). Raises :class:`TlsError`.
    """
    _check_mutual(profile, require_client_certificate)
    with needs_pyopenssl("server_context (unlike stdlib_server_context, which staples nothing)"):
        from pyiso15118.security.tls_openssl import OpenSslContext

    try:
        content = read_private(key)
    except PrivateFileError as error:
        raise TlsError(str(error)) from error
    try:
        chain = x509.load_pem_x509_certificates(cert_chain.read_bytes())
        private_key = load_pem_private_key(content, _password(content, password))
    except Exception as error:
        raise TlsError(f"certificate chain {cert_chain} with key {key} cannot be used: {error}") from error
    _check_own_key(profile, cert_chain, chain)
    trust = PeerTrust(read_anchors(trust_anchors), is_revoked, judged_at)
    try:
        return OpenSslContext(
            profile,
            chain,
            private_key,
            trust,
            require_client_certificate=require_client_certificate,
            staple=staple,
        )
    except TlsError as error:
        raise TlsError(f"certificate chain {cert_chain} with key {key} cannot be used: {error}") from error


def stdlib_server_context(
    profile: TlsProfile,
    cert_chain: Path,
    key: Path,
    trust_anchors: Sequence[Path],
    *,
    password: str | None = None,
    require_client_certificate: bool = True,
    is_revoked: IsRevoked | None = None,
    judged_at: Callable[[], JudgedAt] = by_the_clock,
) -> TlsContext:
    """As :func:`server_context`, by :mod:`ssl`: where pyOpenSSL cannot be used. It staples nothing and names no
    authorities; before Python 3.13 it does not tell the vehicle's chain, and with ``is_revoked`` refuses vehicles whose
    issuer is no anchor. Raises :class:`TlsError`.
    """
    _check_mutual(profile, require_client_certificate)
    context = _context(ssl.PROTOCOL_TLS_SERVER, profile, cert_chain, key, trust_anchors, password)
    context.trust = PeerTrust(read_anchors(trust_anchors), is_revoked, judged_at)
    context.verify_mode = ssl.CERT_REQUIRED if require_client_certificate else ssl.CERT_OPTIONAL
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    return context


def client_context(
    profile: TlsProfile,
    cert_chain: Path,
    key: Path,
    trust_anchors: Sequence[Path],
    *,
    password: str | None = None,
) -> TlsContext:
    """The vehicle's side. The SECC is verified against ``trust_anchors`` (V2G roots); it has no host name to check.

    Raises :class:`TlsError`.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, profile, cert_chain, key, trust_anchors, password)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def check_context(profile: TlsProfile, context: TlsEndpoint | ssl.SSLContext, *, server_side: bool) -> None:
    """Whether a context may serve under ``profile``. Raises :class:`LocalProtocolError`.

    Group, versions and verification cannot be read from a handshake's result, so ``strict`` takes none but contexts
    made for it; ``compat`` also takes contexts of :mod:`ssl` made elsewhere.
    """
    if not isinstance(context, TlsEndpoint):
        if profile is TlsProfile.STRICT:
            raise LocalProtocolError("profile strict needs a context of server_context() or client_context()")
        return
    if context.profile is not profile:
        raise LocalProtocolError(f"the TLS context was made for profile {context.profile}, not for {profile}")
    if context.server_side is not server_side:
        raise LocalProtocolError("a TLS context of server_context() is for the SECC, of client_context() for a vehicle")


def openssl_conf_path() -> Path:
    """Our OpenSSL configuration file, to be named by OPENSSL_CONF before the process starts."""
    return Path(__file__).with_name("openssl.conf")


def openssl_conf_active() -> bool:
    """Whether this process runs with our configuration file: by the name in OPENSSL_CONF and by its effect."""
    named = os.environ.get("OPENSSL_CONF", "")
    if not named or not Path(named).is_file() or Path(named).read_bytes() != openssl_conf_path().read_bytes():
        return False
    suites = [c["name"] for c in ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).get_ciphers() if c["protocol"] == "TLSv1.3"]
    return suites == list(STRICT_SUITES)


def _context(
    protocol: int,
    profile: TlsProfile,
    cert_chain: Path,
    key: Path,
    trust_anchors: Sequence[Path],
    password: str | None,
) -> TlsContext:
    _check_private(key)
    context = TlsContext(protocol)
    context.profile = profile
    context.trust = None
    context.server_side = protocol == ssl.PROTOCOL_TLS_SERVER
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    if profile is TlsProfile.STRICT:
        # One group or none: the first of the profile's.
        context.set_ecdh_curve(GROUPS[profile][0])
    # A password is always given, so that an encrypted key never makes OpenSSL ask at the terminal.
    try:
        context.load_cert_chain(cert_chain, key, password=password or "")
    except (OSError, ssl.SSLError, ValueError) as error:
        raise TlsError(f"certificate chain {cert_chain} with key {key} cannot be used: {error}") from error
    _check_own_key(profile, cert_chain)
    if not trust_anchors:
        raise TlsError("no trust anchors given: without them no peer can be verified")
    for anchor in trust_anchors:
        try:
            context.load_verify_locations(anchor)
        except (OSError, ssl.SSLError) as error:
            raise TlsError(f"trust anchor {anchor} cannot be used: {error}") from error
    return context


def _check_private(key: Path) -> None:
    try:
        check_private(key)
    except PrivateFileError as error:
        raise TlsError(str(error)) from error


def _check_mutual(profile: TlsProfile, require_client_certificate: bool) -> None:
    if profile is TlsProfile.STRICT and not require_client_certificate:
        raise TlsError("profile strict is mutual TLS: require_client_certificate cannot be false")


def _check_own_key(profile: TlsProfile, cert_chain: Path, chain: Sequence[x509.Certificate] = ()) -> None:
    """``chain``: what is in the file, where it was read already."""
    if profile is not TlsProfile.STRICT:
        return
    try:
        kind = key_type((chain or x509.load_pem_x509_certificates(cert_chain.read_bytes()))[0])
    except Exception as error:
        raise TlsError(f"certificate chain {cert_chain} cannot be read: {error}") from error
    if kind not in KEY_TYPES:
        raise TlsError(f"{cert_chain} has a {kind} key, the profile strict takes secp521r1 and ed448")


def _password(pem: bytes, password: str | None) -> bytes | None:
    """None for a key that is not encrypted: ``cryptography`` refuses a password that nothing needs."""
    return (password or "").encode() if b"ENCRYPTED" in pem else None
