"""The section ``pki``: where certificates and keys lie, who signs them, and what becomes of old revocation data."""

from __future__ import annotations

import enum
from typing import Annotated

from msgspec import Meta

from v2g.config.schema_base import Section


class KeyKind(enum.StrEnum):
    """What ISO 15118-20 allows for a SECC's key."""

    P521 = "P-521"
    ED448 = "Ed448"


class EnrolmentProtocol(enum.StrEnum):
    EST = "est"
    """RFC 7030."""
    CMP = "cmp"
    """RFC 4210, over HTTPS."""


class OldData(enum.StrEnum):
    """What is done with a certificate whose revocation data is missing, past its nextUpdate, or cannot be verified.

    Data is missing of an issuer that once had some here, of every issuer with ``ocsp``, and with ``fetch_crls`` of
    those whose certificates say where CRLs are had. Of others none is asked for.
    """

    REFUSE = "refuse"
    WARN = "warn"
    """Accept it, and say so in comms.log each time."""


class Subject(Section, frozen=True, kw_only=True):
    """Of our own certificate. The domain component CPO is added: ISO 15118-20 asks for it in a SECC's subject."""

    common_name: str = ""
    """The SECC's id; empty: the first EVSE's id."""
    organization: str = ""
    """Empty: ``site.name``."""
    country: Annotated[str, Meta(pattern="^([A-Z]{2})?$")] = ""
    """Two letters; empty: none."""
    dns_names: tuple[str, ...] = ()
    """Names by which the certificate is also valid."""


class Enrolment(Section, frozen=True, kw_only=True):
    """The server that signs our certificate: the utility's."""

    protocol: EnrolmentProtocol
    """EST (RFC 7030) or CMP (RFC 4210)."""
    url: Annotated[str, Meta(pattern="^https?://")]
    """EST: the server, ``/.well-known/est`` is added; CMP: with its path. ``http`` only with CMP, whose messages are
    protected by themselves."""
    label: str = ""
    """EST: between ``/.well-known/est/`` and the operation, where a server has several authorities."""
    user: str = ""
    """EST: HTTP basic authentication of the first enrolment; CMP: the reference of the shared secret. Renewals prove
    themselves by the certificate in use, and by this where that cannot be: EST with a key in a token or a certificate
    that is not for clients, CMP with an Ed448 key."""
    password_file: str = ""
    """With ``user``: its password or shared secret, alone in a file of mode 0600."""
    server_ca: str = ""
    """PEM roots of the server's TLS certificate; empty: the bundle given with ``--ca-bundle``."""
    timeout_s: Annotated[float, Meta(ge=1, le=600)] = 30.0
    """Of one request."""


class Token(Section, frozen=True, kw_only=True):
    """A PKCS#11 token that keeps the strict profile's key; nothing of it is ever in a file."""

    uri: Annotated[str, Meta(pattern="^pkcs11:")]
    """RFC 7512, of the token: ``pkcs11:token=v2g``. No pin-value in it."""
    module: str
    """The token's PKCS#11 library, an absolute path."""
    pin_file: str = ""
    """The PIN alone, mode 0600; empty: the systemd credential ``v2g-token-pin``."""


class Revocation(Section, frozen=True, kw_only=True):
    """Of vehicles' chains: CRL files in ``<pki.dir>/crl`` and OCSP."""

    check: bool = True
    """False: only with a warning at every start."""
    old_data: OldData = OldData.REFUSE
    """What is done where revocation data is missing, old or cannot be verified."""
    fetch_crls: bool = False
    """Fetch CRLs (http) from where trust anchors' and vehicles' certificates say, when the old ones are due."""
    ocsp: bool = False
    """Ask the responders (http) that vehicles' certificates name."""
    timeout_s: Annotated[float, Meta(ge=0.5, le=30)] = 3.0
    """A vehicle's handshake waits so long for an answer."""


class Pki(Section, frozen=True, kw_only=True):
    """Certificates and keys of the SECC. Empty paths are in ``dir``, as ``v2g-cert-manager`` writes them."""

    dir: str = "/etc/ssl/v2g"
    """``private.key``, ``chain.pem``, ``trust.pem``, ``crl/``; and ``compat/`` with the same for tls compat."""
    strict_chain: str = ""
    """Our certificate and its issuers, the leaf first, of tls strict."""
    strict_key: str = ""
    """Its key."""
    strict_trust: str = ""
    """Roots that vehicles' chains may end in."""
    compat_chain: str = ""
    """The same of tls compat."""
    compat_key: str = ""
    """Its key."""
    compat_trust: str = ""
    """Roots that vehicles' chains may end in, likewise."""
    key_password_file: str = ""
    """Of encrypted keys: the password alone, mode 0600; empty: they are not encrypted."""
    allow_plain: bool = False
    """Test mode: EVSEs may have tls plain. ISO 15118-20 does not allow it."""
    key: KeyKind = KeyKind.P521
    """What ``v2g-cert-manager`` makes."""
    subject: Subject = Subject()
    """Of our own certificate."""
    enrolment: Enrolment | None = None
    """None: a request is written to a file for people to have signed."""
    token: Token | None = None
    """None: the key is in a file."""
    revocation: Revocation = Revocation()
    """Of vehicles' chains."""
    renew_at: Annotated[float, Meta(ge=0.1, le=0.66)] = 0.6
    """Share of a certificate's life after which it is renewed."""
    warn_days: Annotated[int, Meta(ge=1, le=365)] = 30
    """A certificate, own root or trust anchor that expires sooner is told in log, status and metrics."""
