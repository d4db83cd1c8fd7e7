"""The SECC's TLS with a key in a token, from the configuration."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from pyiso15118.security.chain import IsRevoked
from pyiso15118.security.private_file import PrivateFileError, read_private
from pyiso15118.security.profile import TlsError
from pyiso15118.security.tls_peer import JudgedAt, by_the_clock
from pyiso15118.security.tls_token import KeyUnavailable, TokenTlsContext
from v2g.config.paths import PkiPaths
from v2g.config.schema import Config
from v2g.config.schema_pki import Token
from v2g.pki.model import PkiError
from v2g.pki.signer import TokenSigner
from v2g.pki.token import reference_uri
from v2g.telemetry.logs import daemon_log

_signers: Final[dict[Token, TokenSigner]] = {}
"""A module of PKCS#11 has one state for each process, so there is one signing process for each; it lives on while
certificates are replaced."""
_signers_lock: Final = threading.Lock()


def token_server_context(
    config: Config,
    paths: PkiPaths,
    *,
    is_revoked: IsRevoked | None = None,
    judged_at: Callable[[], JudgedAt] = by_the_clock,
    staple: Callable[[], bytes | None] | None = None,
) -> TokenTlsContext:
    """Profile strict, with the key that ``paths.strict_key`` names. Blocks while the token signs a proof.

    A token that is away or refuses its PIN is no error here, the log tells of it: the context serves once it is back.
    Raises :class:`TlsError` for files that cannot be used, and for a key that is not the certificate's.
    """
    settings = config.pki.token
    if settings is None:
        raise TlsError("pki.token is not configured: there is no token to take the key from")
    try:
        uri = str(reference_uri(read_private(paths.strict_key, "key reference")))
    except (PrivateFileError, PkiError) as error:
        raise TlsError(str(error)) from error
    sign = signer_for(settings).key(uri)
    context = TokenTlsContext(
        paths.strict_chain, sign, (paths.strict_trust,), is_revoked=is_revoked, judged_at=judged_at, staple=staple
    )
    _prove(paths, uri, sign)
    return context


def signer_for(settings: Token) -> TokenSigner:
    """The one of this process for a token's module and PIN."""
    with _signers_lock:
        if settings not in _signers:
            _signers[settings] = TokenSigner(settings, _say)
        return _signers[settings]


def _prove(paths: PkiPaths, uri: str, sign: Callable[[bytes], bytes]) -> None:
    digest = hashes.Hash(hashes.SHA512())
    digest.update(b"v2g-orchestrator: is this the key of our certificate?")
    proof = digest.finalize()
    try:
        signature = sign(proof)
    except KeyUnavailable:
        return
    key = x509.load_pem_x509_certificates(paths.strict_chain.read_bytes())[0].public_key()
    try:
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise InvalidSignature
        key.verify(signature, proof, ec.ECDSA(Prehashed(hashes.SHA512())))
    except InvalidSignature:
        raise TlsError(
            f"the key {uri} in the token is not that of the certificate in {paths.strict_chain}: put the pair in place "
            "again with v2g-cert-manager install or provision"
        ) from None


def _say(code: str, words: str) -> None:
    log = daemon_log()
    (log.info if code == "TOKEN_BACK" else log.error)(code, words)
