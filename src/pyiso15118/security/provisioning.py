"""Certificate installation: a vehicle with a provisioning certificate asks for contracts and their private keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, ed448, x448

from pyiso15118.errors import Iso15118Error
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.security.chain import IsRevoked, TrustAnchors, ValidatedChain
from pyiso15118.security.signature import SignedInfoForm, Signer
from pyiso15118.security.tls import TlsProfile

ContractPrivateKey = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey
OemPrivateKey = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey
EphemeralKey = ec.EllipticCurvePrivateKey | x448.X448PrivateKey


class ProvisioningError(Iso15118Error):
    """A contract that cannot be issued or opened: wrong curve, broken ciphertext, a key that is not the contract's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDerivation:
    """How the key that encrypts a contract key comes from the shared secret, and what is authenticated beside it.

    Both sides must agree.
    """

    other_info: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractCredential:
    """A contract of a vehicle, ready for Plug and Charge."""

    chain: tuple[bytes, ...]
    """DER, leaf first, root not included."""
    signer: Signer
    emaid: str

    @property
    def certificate_chain(self) -> cm.ContractCertificateChainType:
        """As AuthorizationReq carries it."""
        raise NotImplementedError


def root_ids(anchors: TrustAnchors) -> ct.ListOfRootCertificateIDsType:
    """Issuer names and serial numbers of roots, as CertificateInstallationReq lists them."""
    raise NotImplementedError


def build_installation_request(
    *,
    header: ct.MessageHeaderType,
    oem_chain: Sequence[bytes],
    oem_signer: Signer,
    roots: TrustAnchors,
    max_chains: int = 1,
    prioritized_emaids: Sequence[str] = (),
    form: SignedInfoForm = SignedInfoForm.COMMON_MESSAGES,
) -> cm.CertificateInstallationReq:
    """A signed request. ``oem_chain``: DER, leaf first, root not included. ``header`` gets the signature."""
    raise NotImplementedError


def check_installation_request(
    request: cm.CertificateInstallationReq,
    *,
    oem_anchors: TrustAnchors,
    profile: TlsProfile,
    at_unix_s: float,
    is_revoked: IsRevoked | None = None,
) -> ValidatedChain:
    """The provisioning chain of a vehicle that proved to have its key.

    Raises :class:`ChainError` and :class:`SignatureError`.
    """
    raise NotImplementedError


def issue_contract(
    *,
    oem: ValidatedChain,
    header: ct.MessageHeaderType,
    contract_chain: Sequence[bytes],
    contract_private_key: ContractPrivateKey,
    cps_chain: Sequence[bytes],
    cps_signer: Signer,
    iv: bytes,
    ephemeral_key: EphemeralKey | None = None,
    remaining: int = 0,
    derivation: KeyDerivation = KeyDerivation(),  # noqa: B008
    form: SignedInfoForm = SignedInfoForm.COMMON_MESSAGES,
) -> cm.CertificateInstallationRes:
    """A signed response with a contract and its key, which only the vehicle of ``oem`` can open.

    Chains: DER, leaf first, root not included. ``iv``: 12 random bytes, never used twice. ``ephemeral_key``: by default
    a new one. ``remaining``: contracts the vehicle can still ask for. ``header`` gets the signature.
    Raises :class:`ProvisioningError`.
    """
    raise NotImplementedError


def open_contract(
    response: cm.CertificateInstallationRes,
    *,
    oem_certificate: bytes,
    oem_private_key: OemPrivateKey,
    cps_anchors: TrustAnchors,
    mo_anchors: TrustAnchors,
    profile: TlsProfile,
    at_unix_s: float,
    is_revoked: IsRevoked | None = None,
    derivation: KeyDerivation = KeyDerivation(),  # noqa: B008
) -> ContractCredential:
    """The contract in a response. ``oem_certificate``: DER of the leaf that asked for it.

    Raises :class:`ChainError` (CPS or contract chain), :class:`SignatureError` and :class:`ProvisioningError`.
    """
    raise NotImplementedError
