"""TLS 1.3 contexts of profile ``strict`` (ISO 15118-20) and ``compat`` (what peers in the field can do).

``ssl`` cannot set TLS 1.3 suites, group lists and signature algorithms per context. What the standard wants is
therefore reached in three ways: the group by ``set_ecdh_curve``; suite, peer key and peer role by a check after the
handshake, before any message is read (:func:`check_connection`); and the lists of suites and signature algorithms where
the process runs with :func:`openssl_conf_path` as its OPENSSL_CONF. :func:`describe_gaps` says what remains.
"""

from __future__ import annotations

import enum
import os
import ssl
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.x509.oid import NameOID

from pyiso15118.errors import Iso15118Error, LocalProtocolError

STRICT_SUITES = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""[V2G20-2458], [V2G20-2459]. TLS_AES_128_GCM_SHA256 is not in the standard's profile."""
STRICT_GROUP = "secp521r1"
"""The first of [V2G20-1634]. The second, x448, cannot stand beside it: ``ssl`` sets one group a context or none."""
ROLES = frozenset({"CPO", "OEM", "MO", "CPS", "V2G"})
"""Domain components by which ISO 15118 certificates say whose they are."""
SECC_ROLE = "CPO"
NO_VEHICLE_ROLES = frozenset({"CPO", "MO", "CPS"})


class TlsProfile(enum.StrEnum):
    STRICT = "strict"
    COMPAT = "compat"


class TlsError(Iso15118Error):
    """A certificate, a key or a peer that TLS as configured cannot use. The message names file or peer and remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerIdentity:
    """The certificate that the peer proved to have the key of. ``fingerprint`` is SHA-256 in hexadecimal."""

    subject: str
    common_name: str
    issuer: str
    serial_number: int
    fingerprint: str
    key_type: str


class TlsContext(ssl.SSLContext):
    """A context that knows what it was made for."""

    profile: TlsProfile
    server_side: bool


def server_context(
    profile: TlsProfile,
    cert_chain: Path,
    key: Path,
    trust_anchors: Sequence[Path],
    *,
    password: str | None = None,
    require_client_certificate: bool = True,
) -> TlsContext:
    """The SECC's side. Vehicles are verified against ``trust_anchors`` (OEM or V2G roots).

    ``require_client_certificate`` may be false in profile ``compat`` only. Raises :class:`TlsError`.
    """
    if profile is TlsProfile.STRICT and not require_client_certificate:
        raise TlsError("profile strict is mutual TLS: require_client_certificate cannot be false")
    context = _context(ssl.PROTOCOL_TLS_SERVER, profile, cert_chain, key, trust_anchors, password)
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


def check_context(profile: TlsProfile, context: ssl.SSLContext, *, server_side: bool) -> None:
    """Whether a context may serve under ``profile``. Raises :class:`LocalProtocolError`.

    Group, versions and verification cannot be read from a handshake's result, so ``strict`` takes none but contexts
    made for it here; ``compat`` also takes contexts made elsewhere.
    """
    if not isinstance(context, TlsContext):
        if profile is TlsProfile.STRICT:
            raise LocalProtocolError("profile strict needs a context of server_context() or client_context()")
        return
    if context.profile is not profile:
        raise LocalProtocolError(f"the TLS context was made for profile {context.profile}, not for {profile}")
    if context.server_side is not server_side:
        raise LocalProtocolError("a TLS context of server_context() is for the SECC, of client_context() for a vehicle")


def check_connection(profile: TlsProfile, connection: ssl.SSLObject | ssl.SSLSocket) -> None:
    """Call after the handshake, before anything is read. Raises :class:`TlsError` for what the profile excludes.

    Also for a peer whose certificate is not of the other side's role: a vehicle shows no certificate of a charge point
    operator, mobility operator or provisioning service, and a SECC, in profile ``strict``, one of a charge point
    operator. In ``compat`` it may leave its role out.
    """
    version = connection.version()
    if version != "TLSv1.3":
        raise TlsError(f"the connection is {version}, ISO 15118-20 needs TLSv1.3")
    strict = profile is TlsProfile.STRICT
    cipher = connection.cipher()
    if strict and (cipher is None or cipher[0] not in STRICT_SUITES):
        raise TlsError(
            f"cipher suite {cipher[0] if cipher else None} is not in the profile strict: use compat for this EVSE"
        )
    certificate = _peer_certificate(connection)
    if certificate is None:
        if strict:
            raise TlsError("the peer showed no certificate; the profile strict is mutual TLS")
        return
    with _readable("the peer's certificate"):
        if strict and _key_type(certificate) not in ("secp521r1", "ed448"):
            raise TlsError(
                f"the peer's certificate has a {_key_type(certificate)} key, the profile strict takes secp521r1 and "
                "ed448: use compat for this EVSE"
            )
        _check_leaf(certificate, strict=strict)
        _check_role(certificate, strict=strict, peer_is_vehicle=bool(connection.server_side))


def peer_identity(connection: ssl.SSLObject | ssl.SSLSocket) -> PeerIdentity | None:
    """Who the peer is by its certificate; None if it showed none. Raises :class:`TlsError` if it cannot be read."""
    certificate = _peer_certificate(connection)
    if certificate is None:
        return None
    with _readable("the peer's certificate"):
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return PeerIdentity(
            subject=certificate.subject.rfc4514_string(),
            common_name=str(names[0].value) if names else "",
            issuer=certificate.issuer.rfc4514_string(),
            serial_number=certificate.serial_number,
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
            key_type=_key_type(certificate),
        )


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


def describe_gaps(profile: TlsProfile) -> tuple[str, ...]:
    """Where this process falls short of the standard's TLS profile, in sentences for people."""
    gaps: list[str] = []
    active = openssl_conf_active()
    if profile is TlsProfile.COMPAT:
        gaps.append(
            "profile compat: P-256 certificates and key exchange are accepted, which ISO 15118-20 does not allow"
        )
    if not active:
        gaps.append(
            f"OPENSSL_CONF is not {openssl_conf_path()}: a peer outside the suite and signature lists is refused after "
            "the handshake instead of during it"
        )
    if profile is TlsProfile.STRICT:
        gaps.append("the x448 group is not offered, only secp521r1: ssl sets one group a context or none")
        gaps.append("signatures inside the peer's certificate chain are verified but not held to secp521r1 or ed448")
    gaps.append("no OCSP response is stapled and CertificateRequest names no authorities: ssl has no call for either")
    return tuple(gaps)


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
    context.server_side = protocol == ssl.PROTOCOL_TLS_SERVER
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    if profile is TlsProfile.STRICT:
        context.set_ecdh_curve(STRICT_GROUP)
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
        mode = stat.S_IMODE(key.stat().st_mode)
    except OSError as error:
        raise TlsError(f"private key {key} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise TlsError(f"private key {key} is open to others (mode {mode:04o}): chmod 600 {key}")


def _check_own_key(profile: TlsProfile, cert_chain: Path) -> None:
    if profile is not TlsProfile.STRICT:
        return
    with _readable(f"certificate chain {cert_chain}"):
        key_type = _key_type(x509.load_pem_x509_certificates(cert_chain.read_bytes())[0])
    if key_type not in ("secp521r1", "ed448"):
        raise TlsError(f"{cert_chain} has a {key_type} key, the profile strict takes secp521r1 and ed448")


def _peer_certificate(connection: ssl.SSLObject | ssl.SSLSocket) -> x509.Certificate | None:
    der = connection.getpeercert(binary_form=True)
    if der is None:
        return None
    with _readable("the peer's certificate"):
        return x509.load_der_x509_certificate(der)


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """OpenSSL accepts certificates that ``cryptography`` cannot read, and fields are read only when asked for."""
    try:
        yield
    except Iso15118Error:
        raise
    except Exception as error:
        raise TlsError(f"{what} cannot be read: {str(error) or type(error).__name__}") from error


def _check_leaf(certificate: x509.Certificate, *, strict: bool) -> None:
    try:
        if certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            raise TlsError("the peer's certificate is that of a certification authority, not one to identify with")
    except x509.ExtensionNotFound:
        pass
    try:
        may_sign = certificate.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    except x509.ExtensionNotFound:
        may_sign = not strict
    if not may_sign:
        raise TlsError("the key usage of the peer's certificate does not hold digitalSignature, which TLS 1.3 needs")


def _check_role(certificate: x509.Certificate, *, strict: bool, peer_is_vehicle: bool) -> None:
    found = certificate.subject.get_attributes_for_oid(NameOID.DOMAIN_COMPONENT)
    roles = {str(name.value).strip().upper() for name in found} & ROLES
    said = f"domain component {', '.join(sorted(roles))}" if roles else "no domain component of ISO 15118"
    subject = certificate.subject.rfc4514_string()
    if peer_is_vehicle:
        if roles & NO_VEHICLE_ROLES:
            raise TlsError(f"the vehicle showed a certificate with {said} ({subject}): not a vehicle's")
    elif SECC_ROLE not in roles and (strict or roles):
        raise TlsError(f"the SECC showed a certificate with {said} ({subject}), a SECC's has {SECC_ROLE}")


def _key_type(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name
    return "ed448" if isinstance(key, ed448.Ed448PublicKey) else type(key).__name__
