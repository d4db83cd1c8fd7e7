"""XML signatures in message headers, over EXI fragments of the message's parts."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Sequence
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from pyiso15118 import exi
from pyiso15118.errors import ExiError, Iso15118Error
from pyiso15118.exi.declarations import Struct
from pyiso15118.messages import xmldsig
from pyiso15118.messages.namespaces import Namespace
from pyiso15118.security.chain import PublicKey, key_type
from pyiso15118.security.tls import TlsProfile

CANONICAL_EXI = "http://www.w3.org/TR/canonical-exi/"
"""Of canonicalisation and transform ([V2G20-765], [V2G20-766])."""
ECDSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
ECDSA_SHA512 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512"
ED448 = "urn:iso:std:iso:15118:-20:Security:xmldsig#Ed448"
ED448_RFC9231 = "http://www.w3.org/2021/04/xmldsig-more#eddsa-ed448"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
SHA512 = "http://www.w3.org/2001/04/xmlenc#sha512"
SHAKE256 = "urn:iso:std:iso:15118:-20:Security:xmlenc#SHAKE256"
_SHAKE256_BYTES = 64
"""The standard gives no length; EVerest takes 64, as RFC 8702 does."""

# [V2G20-2473] to [V2G20-2476]; secp256r1 as ISO 15118-2 has it.
_ALGORITHMS = {"secp521r1": (ECDSA_SHA512, SHA512), "ed448": (ED448, SHAKE256), "secp256r1": (ECDSA_SHA256, SHA256)}
_STANDARD_KEYS = ("secp521r1", "ed448")
_ECDSA_HASHES: dict[str, hashes.HashAlgorithm] = {ECDSA_SHA256: hashes.SHA256(), ECDSA_SHA512: hashes.SHA512()}
_EDDSA = (ED448, ED448_RFC9231)
_WIDTHS = {"secp521r1": 132, "secp256r1": 64, "ed448": 114}
"""Bytes of a signature: both coordinates at their full width ([V2G20-1000])."""


class SignedInfoForm(enum.StrEnum):
    """By which schema's fragment grammar the ``SignedInfo`` was encoded before it was signed."""

    XMLDSIG = "xmldsig"
    """By the signature schema alone ([V2G20-1449]): EcoG iso15118 (Josev), and EVerest since it signs -20 messages."""
    COMMON_MESSAGES = "common-messages"
    """As one fragment of the messages' schema, where libcbv2g also has it."""

    @property
    def namespace(self) -> Namespace:
        """The schema."""
        return Namespace.XMLDSIG if self is SignedInfoForm.XMLDSIG else Namespace.COMMON_MESSAGES


DEFAULT_FORM = SignedInfoForm.XMLDSIG
"""What is sent unless the owner says otherwise."""


class SignatureError(Iso15118Error):
    """A signature that is missing, broken, or over something else. The message names the part and the remedy.

    It is cut, since it may quote what the peer wrote.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message[:400])


class Signer(Protocol):
    """A private key that signs, wherever it lives."""

    @property
    def key_type(self) -> str:
        """``secp521r1``, ``ed448`` or ``secp256r1``."""

    def sign(self, data: bytes) -> bytes:
        """Hash and sign: r||s, each as wide as the curve; of Ed448 the 114 bytes as they are.

        The hash is SHA-512 for secp521r1 and SHA-256 for secp256r1.
        """


class KeySigner:
    """A :class:`Signer` whose key lies in memory."""

    def __init__(self, private_key: ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey) -> None:
        """Raises :class:`SignatureError` for a curve that ISO 15118 does not use."""
        self._key = private_key
        self._key_type = key_type(private_key.public_key())
        if self._key_type not in _ALGORITHMS:
            raise SignatureError(f"a {self._key_type} key cannot sign messages: take {', '.join(_ALGORITHMS)}")

    @property
    def key_type(self) -> str:
        """``secp521r1`` or ``ed448``; as :attr:`Signer.key_type`."""
        return self._key_type

    def sign(self, data: bytes) -> bytes:
        """The signature of ``data`` as XML has it: on an elliptic curve r and s, each of full width."""
        if isinstance(self._key, ed448.Ed448PrivateKey):
            return self._key.sign(data)
        method, _ = _ALGORITHMS[self._key_type]
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(_ECDSA_HASHES[method])))
        width = _WIDTHS[self._key_type] // 2
        return r.to_bytes(width) + s.to_bytes(width)


def sign_parts(
    parts: Sequence[Struct],
    signer: Signer,
    *,
    namespace: Namespace = Namespace.COMMON_MESSAGES,
    form: SignedInfoForm = DEFAULT_FORM,
) -> xmldsig.Signature:
    """A signature over parts of a message, for its header. Each part has an ``Id``, unlike the others'.

    ``namespace`` is that of the message. Raises :class:`SignatureError` for parts that cannot be signed.
    """
    if signer.key_type not in _ALGORITHMS:
        raise SignatureError(f"a {signer.key_type} key cannot sign messages: take {', '.join(_ALGORITHMS)}")
    method, digest = _ALGORITHMS[signer.key_type]
    signed_info = xmldsig.SignedInfo(
        CanonicalizationMethod=xmldsig.CanonicalizationMethod(Algorithm=CANONICAL_EXI),
        SignatureMethod=xmldsig.SignatureMethod(Algorithm=method),
        Reference=[
            xmldsig.Reference(
                # Optional, but Josev refuses a message without it.
                Transforms=xmldsig.Transforms(Transform=[xmldsig.Transform(Algorithm=CANONICAL_EXI)]),
                DigestMethod=xmldsig.DigestMethod(Algorithm=digest),
                DigestValue=_digest(digest, _fragment(part, namespace)),
                URI=f"#{id_}",
            )
            for id_, part in _by_id(parts).items()
        ],
    )
    value = signer.sign(_fragment(signed_info, form.namespace))
    if len(value) != _WIDTHS[signer.key_type]:
        raise SignatureError(
            f"the {signer.key_type} signer gave {len(value)} bytes where r and s at full width have "
            f"{_WIDTHS[signer.key_type]}: it must not give DER"
        )
    return xmldsig.Signature(SignedInfo=signed_info, SignatureValue=xmldsig.SignatureValue(value=value))


def verify_parts(
    signature: xmldsig.Signature | None,
    parts: Sequence[Struct],
    public_key: PublicKey,
    *,
    profile: TlsProfile,
    namespace: Namespace = Namespace.COMMON_MESSAGES,
) -> SignedInfoForm:
    """Whether ``signature`` covers exactly ``parts`` and was made with ``public_key``'s private key.

    Gives the form in which the peer signed. ``profile`` strict takes the algorithms of ISO 15118-20 only. A signature
    is r||s; no peer on record sends DER. Raises :class:`SignatureError`, and nothing but that.
    """
    if signature is None:
        raise SignatureError("the message has no signature, and must have one")
    _check_fields(signature)
    _check_algorithms(signature.SignedInfo, public_key, profile)
    _check_references(signature.SignedInfo.Reference, _by_id(parts), namespace)
    value = signature.SignatureValue.value
    width = _WIDTHS[key_type(public_key)]
    if len(value) != width:
        raise SignatureError(
            f"a signature of {len(value)} bytes, where {width} are due: r and s at full width, not DER"
        )
    method = signature.SignedInfo.SignatureMethod.Algorithm
    for form in SignedInfoForm:
        if _verifies(public_key, method, value, _fragment(signature.SignedInfo, form.namespace)):
            return form
    raise SignatureError("the signature was not made with the key of the certificate shown, or not over this message")


def _by_id(parts: Sequence[Struct]) -> dict[str, Struct]:
    found: dict[str, Struct] = {}
    for part in parts:
        id_ = getattr(part, "Id", None)
        if not isinstance(id_, str) or not id_:
            raise SignatureError(f"{type(part).__name__} has no Id by which a signature could name it")
        if id_ in found:
            raise SignatureError(f"two signed parts of the message have the Id {id_!r}")
        found[id_] = part
    if not 1 <= len(found) <= xmldsig.MOST_REFERENCES:
        raise SignatureError(f"{len(found)} parts to sign, must be 1 to {xmldsig.MOST_REFERENCES}")
    return found


def _check_fields(signature: xmldsig.Signature) -> None:
    """None of what [V2G20-771] excludes, and no more than one transform a reference ([V2G20-767])."""
    info = signature.SignedInfo
    transforms = [t for r in info.Reference if r.Transforms is not None for t in r.Transforms.Transform]
    excluded = {
        "SignedInfo/@Id": info.Id,
        "SignatureMethod/HMACOutputLength": info.SignatureMethod.HMACOutputLength,
        "Reference/@Type": next((r.Type for r in info.Reference if r.Type is not None), None),
        "Transform/XPath": next((t.XPath for t in transforms if t.XPath is not None), None),
        "SignatureValue/@Id": signature.SignatureValue.Id,
        "KeyInfo": signature.KeyInfo,
        "Object": signature.Object,
    }
    for name, value in excluded.items():
        if value is not None:
            raise SignatureError(f"the signature has {name}, which ISO 15118-20 excludes")
    if any(r.Transforms is not None and len(r.Transforms.Transform) > 1 for r in info.Reference):
        raise SignatureError("the signature has several transforms for one reference, ISO 15118-20 permits one")
    for algorithm in (info.CanonicalizationMethod.Algorithm, *(t.Algorithm for t in transforms)):
        if algorithm != CANONICAL_EXI:
            raise SignatureError(f"canonicalisation or transform {algorithm!r}, must be {CANONICAL_EXI}")


def _check_algorithms(info: xmldsig.SignedInfo, public_key: PublicKey, profile: TlsProfile) -> None:
    kind = key_type(public_key)
    method = info.SignatureMethod.Algorithm
    digests = {r.DigestMethod.Algorithm for r in info.Reference}
    if kind not in _ALGORITHMS or (profile is TlsProfile.STRICT and kind not in _STANDARD_KEYS):
        raise SignatureError(f"the profile {profile} takes no signature with a {kind} key")
    if profile is TlsProfile.STRICT:
        wanted, digest = _ALGORITHMS[kind]
        if method != wanted or digests != {digest}:
            raise SignatureError(
                f"signature method {method!r} with digests {sorted(digests)}, the profile strict takes "
                f"{wanted} with {digest} for a {kind} key: use compat for this peer"
            )
    elif method not in (_EDDSA if kind == "ed448" else _ECDSA_HASHES):
        raise SignatureError(f"signature method {method!r} does not fit a {kind} key")
    elif not digests <= {SHA256, SHA512, SHAKE256}:
        raise SignatureError(f"digest methods {sorted(digests)} are not all known")


def _check_references(references: Sequence[xmldsig.Reference], parts: dict[str, Struct], namespace: Namespace) -> None:
    found = {r.URI.removeprefix("#"): r for r in references if r.URI is not None and r.URI.startswith("#")}
    if found.keys() != parts.keys() or len(references) != len(parts):
        uris = [r.URI for r in references]
        raise SignatureError(f"the signature refers to {uris}, must cover {list(parts)} and nothing else")
    for id_, part in parts.items():
        algorithm = found[id_].DigestMethod.Algorithm
        if found[id_].DigestValue != _digest(algorithm, _fragment(part, namespace)):
            raise SignatureError(
                f"the digest of {exi.element_name(type(part))} {id_!r} is not that of what was received"
            )


def _digest(algorithm: str, data: bytes) -> bytes:
    if algorithm == SHAKE256:
        return hashlib.shake_256(data).digest(_SHAKE256_BYTES)
    return hashlib.sha512(data).digest() if algorithm == SHA512 else hashlib.sha256(data).digest()


def _fragment(part: Struct, namespace: Namespace) -> bytes:
    try:
        return exi.encode_fragment(part, namespace)
    except ExiError as error:
        raise SignatureError(f"what a signature covers cannot be encoded: {error}") from error


def _verifies(key: PublicKey, method: str, value: bytes, data: bytes) -> bool:
    try:
        if isinstance(key, ed448.Ed448PublicKey):
            key.verify(value, data)
        else:
            half = len(value) // 2
            der = encode_dss_signature(int.from_bytes(value[:half]), int.from_bytes(value[half:]))
            key.verify(der, data, ec.ECDSA(_ECDSA_HASHES[method]))
    except InvalidSignature:
        return False
    return True
