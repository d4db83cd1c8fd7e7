"""A contract's private key on its way into a vehicle: key agreement, derivation, encryption.

No other stack's ciphertext is public; what is here follows the standard's wording ([V2G20-2535], [V2G20-2492],
[V2G20-2497], [V2G20-2500]), and what that leaves open is in :class:`KeyDerivation` and :func:`new_ed448_contract_key`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x448
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from pyiso15118.errors import Iso15118Error
from pyiso15118.messages.common_messages import ecdhCurveType
from pyiso15118.security.chain import common_name_of, extension_of, name_of, public_key_of, readable

ContractPrivateKey = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey
AgreementPrivateKey = ec.EllipticCurvePrivateKey | x448.X448PrivateKey
"""What a secret is agreed with. A provisioning certificate with an Ed448 key names an X448 key beside it."""
AgreementPublicKey = ec.EllipticCurvePublicKey | x448.X448PublicKey

ALTERNATIVE_KEY = x509.ObjectIdentifier("2.5.29.72")
"""Extension subjectAltPublicKeyInfo of X.509, where a provisioning certificate has its X448 key ([V2G20-2534])."""
IV_BYTES = 12
UNCOMPRESSED = b"\x04"
"""First byte of DHPublicKey, of X448 keys too ([V2G20-2572])."""
SECP521R1_BYTES = 66
X448_BYTES = 56
"""Of an X448 key, and of the "448 bit" contract key that travels under it."""
ED448_BYTES = 57


class ProvisioningError(Iso15118Error):
    """A contract that cannot be issued or opened: wrong curve, broken ciphertext, a key that is not the contract's."""


class AssociatedData(enum.StrEnum):
    """What is authenticated beside the encrypted key."""

    PCID_AND_KEY_IDENTIFIER = "pcid-and-key-identifier"
    """The provisioning certificate's common name, capital letters and digits only, then the contract certificate's
    subject key identifier in capital hexadecimal ([V2G20-2492])."""
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDerivation:
    """How the key that encrypts a contract key comes from the shared secret, and what is authenticated beside it.

    The concatenation KDF of NIST SP 800-56A with SHA-512 to 256 bits; both sides must agree on the rest. The defaults
    are the standard's, OtherInfo read as its three bytes in a row, without the lengths that newer editions of
    SP 800-56A put before each. OpenChargingCloud's stack has ``b""`` and ``NONE``.
    """

    other_info: bytes = b"\x01UV"
    """Algorithm 0x01, party U the issuer, party V the vehicle ([V2G20-2535])."""
    associated_data: AssociatedData = AssociatedData.PCID_AND_KEY_IDENTIFIER

    def key(self, secret: bytes) -> bytes:
        """The AES-256 key."""
        return ConcatKDFHash(algorithm=hashes.SHA512(), length=32, otherinfo=self.other_info).derive(secret)

    def authenticated(self, oem: x509.Certificate, contract: x509.Certificate) -> bytes | None:
        """The data authenticated beside the contract key."""
        if self.associated_data is AssociatedData.NONE:
            return None
        pcid = "".join(c for c in common_name_of(oem).upper() if c.isascii() and c.isalnum())
        identifier = extension_of(contract, x509.SubjectKeyIdentifier)
        if identifier is None:
            raise ProvisioningError(
                f"{name_of(contract)} has no subject key identifier, which the encryption of its key needs"
            )
        return (pcid + identifier.digest.hex().upper()).encode()


STANDARD_DERIVATION = KeyDerivation()


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptedKey:
    """A contract's private key for one vehicle."""

    curve: ecdhCurveType
    dh_public_key: bytes
    """Of the issuer's ephemeral key: 133 bytes, of X448 57."""
    sealed: bytes
    """IV (12), ciphertext (66, of X448 56), tag (16)."""


def encrypt_contract_key(
    private_key: ContractPrivateKey,
    certificate: x509.Certificate,
    oem: x509.Certificate,
    *,
    iv: bytes,
    ephemeral_key: AgreementPrivateKey | None,
    derivation: KeyDerivation,
) -> EncryptedKey:
    """The private key of a contract's ``certificate``, for the vehicle of the provisioning certificate ``oem``.

    Raises :class:`ProvisioningError`.
    """
    if len(iv) != IV_BYTES:
        raise ProvisioningError(f"the IV has {len(iv)} bytes, must have {IV_BYTES}")
    plain = _to_bytes(private_key)
    _from_bytes(plain, certificate)
    peer = _agreement_key(oem)
    own = ephemeral_key if ephemeral_key is not None else _new_key(peer)
    is_x448 = isinstance(own, x448.X448PrivateKey)
    if is_x448 != isinstance(private_key, ed448.Ed448PrivateKey):
        raise ProvisioningError(f"{name_of(certificate)} is not of the curve of {name_of(oem)}, and must be")
    key = derivation.key(_shared_secret(own, peer))
    return EncryptedKey(
        curve=ecdhCurveType.X448 if is_x448 else ecdhCurveType.SECP521,
        dh_public_key=_to_point(own),
        sealed=iv + AESGCM(key).encrypt(iv, plain, derivation.authenticated(oem, certificate)),
    )


def decrypt_contract_key(
    encrypted: EncryptedKey,
    certificate: x509.Certificate,
    oem: x509.Certificate,
    oem_private_key: AgreementPrivateKey,
    *,
    derivation: KeyDerivation,
) -> ContractPrivateKey:
    """The private key of a contract's ``certificate``. Raises :class:`ProvisioningError` if it is not that."""
    secret = _shared_secret(oem_private_key, _from_point(encrypted.dh_public_key, encrypted.curve))
    iv, ciphertext = encrypted.sealed[:IV_BYTES], encrypted.sealed[IV_BYTES:]
    try:
        plain = AESGCM(derivation.key(secret)).decrypt(iv, ciphertext, derivation.authenticated(oem, certificate))
    except (InvalidTag, ValueError):
        raise ProvisioningError(
            "the contract key cannot be decrypted: it was encrypted for another provisioning certificate, or with "
            "another key derivation"
        ) from None
    return _from_bytes(plain, certificate)


def new_ed448_contract_key() -> ed448.Ed448PrivateKey:
    """An Ed448 key that the 56 bytes of X448_EncryptedPrivateKey can carry: the 57th byte of its seed is zero.

    The standard has an Ed448 private key of 448 bits and does not say which of its 456 they are; this is our reading.
    """
    seed = ed448.Ed448PrivateKey.generate().private_bytes_raw()[:X448_BYTES]
    return ed448.Ed448PrivateKey.from_private_bytes(seed.ljust(ED448_BYTES, b"\0"))


def _agreement_key(oem: x509.Certificate) -> AgreementPublicKey:
    """The key of a provisioning certificate with which a secret is agreed."""
    key = public_key_of(oem)
    if isinstance(key, ec.EllipticCurvePublicKey):
        if isinstance(key.curve, ec.SECP521R1):
            return key
        raise ProvisioningError(
            f"{name_of(oem)} has a {key.curve.name} key: contracts go to secp521r1 and X448 keys only, so this vehicle "
            "needs another provisioning certificate"
        )
    with readable(oem):
        for extension in oem.extensions:
            if extension.oid == ALTERNATIVE_KEY and isinstance(extension.value, x509.UnrecognizedExtension):
                alternative = load_der_public_key(extension.value.value)
                if isinstance(alternative, x448.X448PublicKey):
                    return alternative
    raise ProvisioningError(f"{name_of(oem)} has an Ed448 key and names no X448 key to encrypt for")


def _new_key(peer: AgreementPublicKey) -> AgreementPrivateKey:
    if isinstance(peer, x448.X448PublicKey):
        return x448.X448PrivateKey.generate()
    return ec.generate_private_key(ec.SECP521R1())


def _shared_secret(own: AgreementPrivateKey, peer: AgreementPublicKey) -> bytes:
    try:
        if isinstance(own, x448.X448PrivateKey) and isinstance(peer, x448.X448PublicKey):
            return own.exchange(peer)
        if isinstance(own, ec.EllipticCurvePrivateKey) and isinstance(peer, ec.EllipticCurvePublicKey):
            return own.exchange(ec.ECDH(), peer)
    except ValueError as error:
        raise ProvisioningError(f"no secret can be agreed with the other side's key: {error}") from error
    raise ProvisioningError("the two keys to agree with are not of one curve")


def _to_point(key: AgreementPrivateKey) -> bytes:
    if isinstance(key, x448.X448PrivateKey):
        return UNCOMPRESSED + key.public_key().public_bytes_raw()
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _from_point(point: bytes, curve: ecdhCurveType) -> AgreementPublicKey:
    """[V2G20-2572] to [V2G20-2574]."""
    length = 1 + (X448_BYTES if curve is ecdhCurveType.X448 else 2 * SECP521R1_BYTES)
    if len(point) != length or point[:1] != UNCOMPRESSED:
        raise ProvisioningError(
            f"DHPublicKey has {len(point)} bytes and starts with {point[:1].hex()}, for {curve} it must have {length} "
            "and start with 04"
        )
    try:
        if curve is ecdhCurveType.X448:
            return x448.X448PublicKey.from_public_bytes(point[1:])
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP521R1(), point)
    except ValueError as error:
        raise ProvisioningError("DHPublicKey is no point of its curve") from error


def _to_bytes(key: ContractPrivateKey) -> bytes:
    """As they are encrypted: the scalar with seven leading zero bits, or 56 bytes of an Ed448 seed."""
    if isinstance(key, ed448.Ed448PrivateKey):
        seed = key.private_bytes_raw()
        if seed[X448_BYTES:] != b"\0":
            raise ProvisioningError("this Ed448 key has 57 bytes, 56 can be sent: use new_ed448_contract_key()")
        return seed[:X448_BYTES]
    if not isinstance(key.curve, ec.SECP521R1):
        raise ProvisioningError(f"a contract with a {key.curve.name} key cannot be installed: take secp521r1 or Ed448")
    return key.private_numbers().private_value.to_bytes(SECP521R1_BYTES)


def _from_bytes(plain: bytes, certificate: x509.Certificate) -> ContractPrivateKey:
    """The private key, if it is that of the certificate ([V2G20-2507], [V2G20-2510])."""
    try:
        key = _private_key(plain)
    except ValueError as error:
        raise ProvisioningError(f"what came as the private key of {name_of(certificate)} is none") from error
    if key.public_key() != public_key_of(certificate):
        raise ProvisioningError(f"the private key that came with {name_of(certificate)} is not its own")
    return key


def _private_key(plain: bytes) -> ContractPrivateKey:
    if len(plain) == X448_BYTES:
        return ed448.Ed448PrivateKey.from_private_bytes(plain.ljust(ED448_BYTES, b"\0"))
    if len(plain) != SECP521R1_BYTES:
        raise ValueError(f"{len(plain)} bytes")
    return ec.derive_private_key(int.from_bytes(plain), ec.SECP521R1())
