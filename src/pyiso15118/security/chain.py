"""Certificate chains: from a peer's leaf to a root that we trust. All chain validation of the project lives here."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448

from pyiso15118.errors import Iso15118Error
from pyiso15118.security.tls import TlsProfile

PublicKey = ec.EllipticCurvePublicKey | ed448.Ed448PublicKey
IsRevoked = Callable[[x509.Certificate], bool]


class Role(enum.StrEnum):
    """What a leaf is shown for."""

    CONTRACT = "contract"
    OEM_PROVISIONING = "OEM provisioning"
    VEHICLE = "vehicle"
    SECC = "SECC"
    CPS = "certificate provisioning service"


class ChainProblem(enum.StrEnum):
    """Why a chain is refused; each has its own response code."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    REVOKED = "revoked"
    NO_ANCHOR = "no anchor"
    INVALID = "invalid"
    """Anything else: signature, path length, key usage, role, curve, unreadable, too long."""


class ChainError(Iso15118Error):
    """A chain that is not to be trusted. ``problem`` says which way; the message names the certificate and remedy."""

    def __init__(self, problem: ChainProblem, message: str) -> None:
        super().__init__(message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class TrustAnchors:
    """Roots that chains may end in. Empty trusts nobody."""

    certificates: tuple[x509.Certificate, ...] = ()

    @classmethod
    def from_certificates(cls, *certificates: x509.Certificate | bytes) -> TrustAnchors:
        """From certificates, read or in DER. Raises :class:`ChainError` for one that cannot be read."""
        raise NotImplementedError

    @classmethod
    def from_pem(cls, *pem: bytes) -> TrustAnchors:
        """From PEM files' contents, each with one certificate or several. Raises :class:`ChainError`."""
        raise NotImplementedError

    def issuers_of(self, certificate: x509.Certificate) -> tuple[x509.Certificate, ...]:
        """Anchors that by name, and by key identifier where both have one, may have issued ``certificate``."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatedChain:
    """A chain that passed :func:`validate_chain`; made nowhere else."""

    role: Role
    leaf: x509.Certificate
    sub_certificates: tuple[x509.Certificate, ...]
    """Between leaf and anchor, nearest the leaf first."""
    anchor: x509.Certificate
    public_key: PublicKey
    """The leaf's."""
    common_name: str
    """The leaf's."""
    expires_at_unix_s: float
    """When the first certificate of the chain, the anchor included, expires."""

    @property
    def emaid(self) -> str:
        """The EMAID of a contract, its common name as it stands. Raises ValueError for other roles."""
        raise NotImplementedError


def validate_chain(
    leaf: bytes,
    sub_certificates: Sequence[bytes],
    anchors: TrustAnchors,
    *,
    role: Role,
    profile: TlsProfile,
    at_unix_s: float,
    is_revoked: IsRevoked | None = None,
) -> ValidatedChain:
    """The chain of a leaf (DER) to an anchor at ``at_unix_s`` (calendar time, seconds since 1970).

    ``sub_certificates`` (DER) may stand in any order, hold the root, and hold certificates the path does not need.
    ``is_revoked`` is asked for every certificate of the path but the anchor. Raises :class:`ChainError`, whatever the
    bytes are.
    """
    raise NotImplementedError
