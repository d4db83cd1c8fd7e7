"""Keys in a PKCS#11 token as certificates' requests and the installation see them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    KeySerializationEncryption,
    PrivateFormat,
)

from v2g.config.schema_pki import KeyKind, Token
from v2g.pki.model import KeyReference, PkiError, PrivateKey
from v2g.pki.pin import pin_source
from v2g.pki.pkcs11_uri import Pkcs11Uri, UriError, parse
from v2g.pki.token_access import (
    CURVE,
    ID_BYTES,
    PinMemory,
    TokenError,
    TokenProblem,
    describe_token,
    destroy,
    find_key,
    find_token,
    generate,
    load_module,
    public_key_of,
    session,
    sign_digest,
)

FILE_NAME: Final = "private.key.uri"
_LABEL: Final = "v2g-secc"


class TokenKeys:
    """Keys of secp521r1 in the token of the configuration; each is known by a random CKA_ID.

    A PIN that was refused is not tried again by the same object while its source is as it was.
    """

    def __init__(self, settings: Token, kind: KeyKind) -> None:
        self._settings = settings
        self._kind = kind
        self._memory = PinMemory()

    @property
    def description(self) -> str:
        return f"token {_token_uri(self._settings)}"

    def generate(self) -> tuple[PrivateKey, KeyReference]:
        if self._kind is not KeyKind.P521:
            raise PkiError(
                f"{self.description}: keys of {self._kind} are not offered in a token, TLS signs with P-521 there: set "
                "pki.key to P-521"
            )
        token_uri = _token_uri(self._settings)
        key_id = secrets.token_bytes(ID_BYTES)
        uri = _key_uri(token_uri, key_id)
        with self._session(uri, writing=True) as opened:
            generate(opened, f"{_LABEL}-{key_id.hex()[:8]}", key_id)
        return self._key(uri), KeyReference(FILE_NAME, f"{uri}\n".encode())

    def load(self, reference: bytes) -> PrivateKey:
        return self._key(reference_uri(reference))

    def discard(self, reference: bytes) -> None:
        uri = reference_uri(reference)
        with self._session(uri, writing=True) as opened:
            destroy(opened, uri)

    def _key(self, uri: Pkcs11Uri) -> TokenKey:
        with self._session(uri) as opened:
            public = public_key_of(opened, uri)
            find_key(opened, uri)
        return TokenKey(self, uri, public)

    def sign(self, uri: Pkcs11Uri, digest: bytes) -> bytes:
        """ECDSA of a digest by the key that the URI names, in DER. Raises :class:`PkiError`."""
        with self._session(uri) as opened:
            return sign_digest(find_key(opened, uri), describe_token(opened.token), digest)

    @contextmanager
    def _session(self, uri: Pkcs11Uri, *, writing: bool = False) -> Iterator[Any]:
        source = pin_source(self._settings.pin_file)
        token = find_token(load_module(self._settings.module), uri)
        with session(token, source, self._memory, writing=writing) as opened:
            yield opened


class TokenKey(ec.EllipticCurvePrivateKey):
    """A key that signs, and gives nothing else away. Errors of signing are :class:`PkiError`."""

    def __init__(self, home: TokenKeys, uri: Pkcs11Uri, public: ec.EllipticCurvePublicKey) -> None:
        self._home = home
        self._uri = uri
        self._public = public

    @property
    def uri(self) -> str:
        return str(self._uri)

    @property
    def curve(self) -> ec.EllipticCurve:
        return CURVE

    @property
    def key_size(self) -> int:
        return CURVE.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        if not isinstance(signature_algorithm, ec.ECDSA):
            raise UnsupportedAlgorithm("the token's key signs by ECDSA only")
        algorithm = signature_algorithm.algorithm
        content = bytes(data)
        if isinstance(algorithm, Prehashed):
            if len(content) != algorithm.digest_size:
                raise ValueError(f"a digest has {algorithm.digest_size} bytes, not {len(content)}")
            return self.sign_digest(content)
        digest = hashes.Hash(algorithm)
        digest.update(content)
        return self.sign_digest(digest.finalize())

    def sign_digest(self, digest: bytes) -> bytes:
        """In DER; as :data:`pyiso15118.security.tls_token.Sign` but for its error."""
        return self._home.sign(self._uri, digest)

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        raise UnsupportedAlgorithm("the token's key signs only")

    def private_numbers(self) -> NoReturn:
        raise UnsupportedAlgorithm("the private key does not leave the token")

    def private_bytes(
        self, encoding: Encoding, format: PrivateFormat, encryption_algorithm: KeySerializationEncryption
    ) -> NoReturn:
        raise UnsupportedAlgorithm("the private key does not leave the token")

    def __copy__(self) -> TokenKey:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> TokenKey:
        return self

    def __repr__(self) -> str:
        return f"TokenKey({self._uri})"


def reference_uri(reference: bytes) -> Pkcs11Uri:
    """Of the content of ``private.key.uri``. Raises :class:`PkiError`."""
    try:
        uri = parse(reference.decode("ascii").strip())
    except (UnicodeDecodeError, UriError) as error:
        reason = error if isinstance(error, UriError) else "it has characters beyond ASCII"
        raise PkiError(f"{FILE_NAME} does not name a key in a token: {reason}") from None
    if uri.id is None and uri.object is None:
        raise PkiError(f"{FILE_NAME} names a token ({uri}) but no key in it: v2g-cert-manager provision makes one")
    if uri.type not in (None, "private"):
        raise PkiError(f"{FILE_NAME} names a {uri.type} object ({uri}), not a private key")
    return uri


def _token_uri(settings: Token) -> Pkcs11Uri:
    try:
        uri = parse(settings.uri)
    except UriError as error:
        raise TokenError(TokenProblem.AMBIGUOUS, f"pki.token.uri: {error}") from None
    if uri != uri.of_token():
        raise TokenError(TokenProblem.AMBIGUOUS, f"pki.token.uri names an object; of the token alone: {uri.of_token()}")
    return uri


def _key_uri(token: Pkcs11Uri, key_id: bytes) -> Pkcs11Uri:
    return Pkcs11Uri(
        token=token.token,
        manufacturer=token.manufacturer,
        serial=token.serial,
        model=token.model,
        slot_id=token.slot_id,
        id=key_id,
        type="private",
    )
