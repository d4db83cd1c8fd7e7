"""XML signatures in message headers, over EXI fragments of the message's parts."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec, ed448

from pyiso15118.errors import Iso15118Error
from pyiso15118.exi.declarations import Struct
from pyiso15118.messages import xmldsig
from pyiso15118.messages.namespaces import Namespace
from pyiso15118.security.chain import PublicKey
from pyiso15118.security.tls import TlsProfile


class SignedInfoForm(enum.StrEnum):
    """By which schema's fragment grammar the ``SignedInfo`` was encoded before it was signed."""

    COMMON_MESSAGES = "common-messages"
    """libcbv2g (EVerest)."""
    XMLDSIG = "xmldsig"
    """EcoG iso15118 (Josev)."""


class SignatureError(Iso15118Error):
    """A signature that is missing, broken, or over something else. The message names the part and the remedy."""


class Signer(Protocol):
    """A private key that signs, wherever it lives."""

    @property
    def key_type(self) -> str:
        """``secp521r1``, ``ed448`` or ``secp256r1``."""

    def sign(self, data: bytes) -> bytes:
        """Hash (SHA-512 for secp521r1, SHA-256 for secp256r1) and sign: r||s, each as wide as the curve; Ed448 as is."""


class KeySigner:
    """A :class:`Signer` whose key lies in memory."""

    def __init__(self, private_key: ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey) -> None:
        """Raises :class:`SignatureError` for a curve that ISO 15118 does not use."""
        raise NotImplementedError

    @property
    def key_type(self) -> str:
        raise NotImplementedError

    def sign(self, data: bytes) -> bytes:
        raise NotImplementedError


def sign_parts(
    parts: Sequence[Struct],
    signer: Signer,
    *,
    namespace: Namespace = Namespace.COMMON_MESSAGES,
    form: SignedInfoForm = SignedInfoForm.COMMON_MESSAGES,
) -> xmldsig.Signature:
    """A signature over parts of a message, for its header. Each part has an ``Id``, unlike the others'.

    Raises :class:`SignatureError` for parts that cannot be signed.
    """
    raise NotImplementedError


def verify_parts(
    signature: xmldsig.Signature | None,
    parts: Sequence[Struct],
    public_key: PublicKey,
    *,
    profile: TlsProfile,
    namespace: Namespace = Namespace.COMMON_MESSAGES,
) -> SignedInfoForm:
    """Whether ``signature`` covers exactly ``parts`` and was made with ``public_key``'s private key.

    ``profile`` strict takes the algorithms of ISO 15118-20 only. Raises :class:`SignatureError`, and nothing but that.
    """
    raise NotImplementedError
