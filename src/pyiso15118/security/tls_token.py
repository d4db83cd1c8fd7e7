"""TLS contexts whose private key is elsewhere: on a token, in another process; a call signs for it.

The same duck type as ``ssl.SSLContext`` has for connections in memory. TLS 1.3 by profile strict: its suites, groups
and signature algorithms are in force in the handshake itself, no session is ever resumed, and the peer is told the
names of the authorities it may identify by.
"""

from __future__ import annotations

import ctypes
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pyiso15118.security import libssl
from pyiso15118.security.chain import IsRevoked, ValidatedChain
from pyiso15118.security.libssl_callbacks import (
    Asked,
    KeyUnavailable,
    KeyUnavailableInHandshake,
    Sign,
    asked,
    callbacks,
    outcome,
)
from pyiso15118.security.profile import GROUPS, SIGNATURES, STRICT_SUITES, TlsError, TlsProfile
from pyiso15118.security.tls_peer import JudgedAt, PeerTrust, by_the_clock, read_anchors

__all__ = ["KeyUnavailable", "KeyUnavailableInHandshake", "Sign", "TokenTlsConnection", "TokenTlsContext"]


class TokenTlsContext:
    """A context of profile strict. It may be used by several threads, each connection by one at a time.

    ``chain``: PEM, leaf first, with the public key (secp521r1) of the key that ``sign`` signs with. A vehicle's whole
    chain is held to the profile and to ``trust_anchors`` during the handshake; ``is_revoked`` and ``judged_at``: see
    :class:`PeerTrust`. ``staple`` gives the OCSP response of our leaf, DER, for each connection. A vehicle's context
    (``server_side`` False) holds the SECC's chain to ``trust_anchors`` as OpenSSL does.
    Raises :class:`TlsError` naming the file that cannot be used.
    """

    def __init__(
        self,
        chain: Path,
        sign: Sign,
        trust_anchors: Sequence[Path],
        *,
        server_side: bool = True,
        is_revoked: IsRevoked | None = None,
        judged_at: Callable[[], JudgedAt] = by_the_clock,
        staple: Callable[[], bytes | None] | None = None,
    ) -> None:
        self.profile = TlsProfile.STRICT
        self.server_side = server_side
        # Every chain is held to it during the handshake, so nothing is left to check after it.
        self.trust: PeerTrust | None = None
        self._staple = staple
        self._key = 0
        self._pointer = 0
        self._lib = lib = libssl.library()
        public_key = _public_key(chain)
        method = lib.TLS_server_method() if server_side else lib.TLS_client_method()
        self._pointer = lib.SSL_CTX_new(method)
        if not self._pointer:
            raise TlsError(f"OpenSSL makes no TLS context: {lib.reason()}")
        self._set_profile()
        if lib.SSL_CTX_use_certificate_chain_file(self._pointer, bytes(chain)) != 1:
            raise TlsError(f"certificate chain {chain} cannot be used: {lib.reason()}")
        trust = PeerTrust(read_anchors(trust_anchors), is_revoked, judged_at) if server_side else None
        self._use_key(public_key, sign, trust, chain)
        self._set_trust(trust_anchors)

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, server_side: bool | None = None
    ) -> TokenTlsConnection:
        """A connection whose records come from ``incoming`` and go to ``outgoing``."""
        if server_side is not None and server_side is not self.server_side:
            raise ValueError(f"the context was made for server_side={self.server_side}")
        return TokenTlsConnection(self, incoming, outgoing, self._staple() if self._staple is not None else None)

    def new_ssl(self) -> int:
        """OpenSSL's object of one connection, to be freed by whoever asked."""
        pointer = self._lib.SSL_new(self._pointer)
        if not pointer:
            raise MemoryError(f"OpenSSL makes no connection: {self._lib.reason()}")
        return int(pointer)

    def _set_profile(self) -> None:
        lib, context = self._lib, self._pointer
        suites = ":".join(STRICT_SUITES).encode()
        signatures = ":".join(SIGNATURES[self.profile]).encode()
        done = (
            lib.SSL_CTX_ctrl(context, libssl.CTRL_SET_MIN_PROTO_VERSION, libssl.TLS1_3, None)
            and lib.SSL_CTX_ctrl(context, libssl.CTRL_SET_MAX_PROTO_VERSION, libssl.TLS1_3, None)
            and lib.SSL_CTX_set_ciphersuites(context, suites)
            and lib.SSL_CTX_ctrl(context, libssl.CTRL_SET_GROUPS_LIST, 0, ":".join(GROUPS[self.profile]).encode())
            and lib.SSL_CTX_ctrl(context, libssl.CTRL_SET_SIGALGS_LIST, 0, signatures)
            and lib.SSL_CTX_ctrl(context, libssl.CTRL_SET_CLIENT_SIGALGS_LIST, 0, signatures)
            and lib.SSL_CTX_set_num_tickets(context, 0)
        )
        if done != 1:
            raise TlsError(f"OpenSSL does not take the values of profile strict: {lib.reason()}")
        lib.SSL_CTX_ctrl(context, libssl.CTRL_SET_SESS_CACHE_MODE, 0, None)
        lib.SSL_CTX_set_options(context, libssl.OP_CIPHER_SERVER_PREFERENCE | libssl.OP_NO_RENEGOTIATION)
        if self._staple is not None:
            lib.SSL_CTX_callback_ctrl(context, libssl.CTRL_SET_TLSEXT_STATUS_REQ_CB, callbacks().staple)

    def _use_key(self, public_key: ec.EllipticCurvePublicKey, sign: Sign, trust: PeerTrust | None, chain: Path) -> None:
        lib = self._lib
        point = public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        key = lib.EC_KEY_new_by_curve_name(libssl.NID_SECP521R1)
        if not key or lib.EC_KEY_oct2key(key, point, len(point), None) != 1:
            lib.EC_KEY_free(key)
            raise TlsError(f"the public key of {chain} cannot be used: {lib.reason()}")
        wrapped = lib.EVP_PKEY_new()
        if (
            lib.EC_KEY_set_method(key, callbacks().method) != 1
            or lib.EVP_PKEY_assign(wrapped, libssl.EVP_PKEY_EC, key) != 1
        ):
            lib.EC_KEY_free(key)
            lib.EVP_PKEY_free(wrapped)
            raise TlsError(f"OpenSSL takes no key that is elsewhere: {lib.reason()}")
        self._key = int(key)
        asked[self._key] = Asked(sign, lib.ECDSA_size(key), trust)
        taken = lib.SSL_CTX_use_PrivateKey(self._pointer, wrapped)
        lib.EVP_PKEY_free(wrapped)
        if taken != 1 or lib.SSL_CTX_check_private_key(self._pointer) != 1:
            raise TlsError(f"certificate chain {chain} cannot be used with a key that is elsewhere: {lib.reason()}")

    def _set_trust(self, trust_anchors: Sequence[Path]) -> None:
        lib, context = self._lib, self._pointer
        names = None
        for anchor in trust_anchors:
            if lib.SSL_CTX_load_verify_locations(context, bytes(anchor), None) != 1:
                raise TlsError(f"trust anchor {anchor} cannot be used: {lib.reason()}")
            if names is None:
                names = lib.SSL_load_client_CA_file(bytes(anchor))
            else:
                lib.SSL_add_file_cert_subjects_to_stack(names, bytes(anchor))
        lib.SSL_CTX_set_verify(context, libssl.VERIFY_PEER | libssl.FAIL_IF_NO_PEER_CERT, None)
        if self.server_side:
            lib.SSL_CTX_set_client_CA_list(context, names)
            # Both are judged with the chain, and better: by the time that is known, by the extensions of the standard.
            flags = libssl.NO_CHECK_TIME | libssl.IGNORE_CRITICAL
            lib.X509_VERIFY_PARAM_set_flags(lib.SSL_CTX_get0_param(context), flags)
            lib.SSL_CTX_set_cert_verify_callback(context, callbacks().verify, self._key)

    def __del__(self) -> None:
        asked.pop(self._key, None)
        if self._pointer:
            self._lib.SSL_CTX_free(self._pointer)
            self._pointer = 0


class TokenTlsConnection:
    """As ``ssl.SSLObject``; raises what that raises."""

    def __init__(
        self, context: TokenTlsContext, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, staple: bytes | None
    ) -> None:
        self._ssl = 0
        self._lib = lib = libssl.library()
        self._context = context
        self.validated: ValidatedChain | None = None
        """The vehicle's chain, which was judged during the handshake."""
        self._incoming, self._outgoing = incoming, outgoing
        self._ssl = context.new_ssl()
        self._from_peer, self._to_peer = lib.BIO_new(lib.BIO_s_mem()), lib.BIO_new(lib.BIO_s_mem())
        if not self._from_peer or not self._to_peer:
            lib.BIO_free(self._from_peer)
            lib.BIO_free(self._to_peer)
            raise MemoryError("OpenSSL makes no buffer")
        # Nothing there is no end of the stream.
        lib.BIO_ctrl(self._from_peer, libssl.BIO_C_SET_BUF_MEM_EOF_RETURN, -1, None)
        lib.SSL_set_bio(self._ssl, self._from_peer, self._to_peer)
        if context.server_side:
            lib.SSL_set_accept_state(self._ssl)
            if staple is not None:
                self._set_staple(staple)
        else:
            lib.SSL_set_connect_state(self._ssl)

    @property
    def context(self) -> TokenTlsContext:
        return self._context

    @property
    def server_side(self) -> bool:
        return self._context.server_side

    def do_handshake(self) -> None:
        """Raises ``ssl.SSLWantReadError`` until it is done, :class:`KeyUnavailableInHandshake` without our key."""
        outcome.error = outcome.chain = None
        self._take_in()
        self._lib.ERR_clear_error()
        result = self._lib.SSL_do_handshake(self._ssl)
        error = None if result == 1 else self._error(result)
        self._give_out()
        self.validated = outcome.chain or self.validated
        ours, outcome.error, outcome.chain = outcome.error, None, None
        if error is not None:
            raise ours or error

    def read(self, len: int = 1024, /) -> bytes:
        """Empty once the peer has said that it closes."""
        self._take_in()
        self._lib.ERR_clear_error()
        buffer = ctypes.create_string_buffer(len)
        result = self._lib.SSL_read(self._ssl, buffer, len)
        if result > 0:
            return ctypes.string_at(buffer, result)
        error = self._error(result)
        self._give_out()
        only_theirs = self._lib.SSL_get_shutdown(self._ssl) == libssl.RECEIVED_SHUTDOWN
        if isinstance(error, ssl.SSLZeroReturnError) and only_theirs:
            return b""
        raise error

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """All of ``data``."""
        content = bytes(data)
        if not content:
            return 0
        self._lib.ERR_clear_error()
        result = self._lib.SSL_write(self._ssl, content, len(content))
        error = None if result > 0 else self._error(result)
        self._give_out()
        if error is not None:
            raise error
        return int(result)

    def unwrap(self) -> None:
        """Say that we close; returns once the peer has said so too, raises ``ssl.SSLWantReadError`` before."""
        self._take_in()
        self._lib.ERR_clear_error()
        result = self._lib.SSL_shutdown(self._ssl)
        if result == 0:
            result = self._lib.SSL_shutdown(self._ssl)
        error = None if result == 1 else self._error(result)
        self._give_out()
        if error is not None:
            raise error

    def pending(self) -> int:
        """More than 0 where another :meth:`read` may find something without anything from the peer."""
        return int(self._lib.SSL_pending(self._ssl) or self._lib.BIO_ctrl_pending(self._from_peer))

    def version(self) -> str | None:
        if not self._finished():
            return None
        return str(self._lib.SSL_get_version(self._ssl).decode())

    def cipher(self) -> tuple[str, str, int] | None:
        cipher = self._lib.SSL_get_current_cipher(self._ssl)
        if not cipher:
            return None
        bits = self._lib.SSL_CIPHER_get_bits(cipher, None)
        return self._lib.SSL_CIPHER_get_name(cipher).decode(), "TLSv1.3", int(bits)

    def group(self) -> str | None:
        """Of the key exchange, by OpenSSL's short name."""
        if not self._finished():
            # OpenSSL would look into a session that is not there yet.
            return None
        nid = self._lib.SSL_ctrl(self._ssl, libssl.CTRL_GET_NEGOTIATED_GROUP, 0, None)
        name = self._lib.OBJ_nid2sn(nid) if nid > 0 else None
        return name.decode() if name else None

    def getpeercert(self, binary_form: bool = False, /) -> bytes | None:
        """In DER; None without one. The dictionary that ``ssl`` makes of it is not to be had here."""
        if not binary_form:
            raise ValueError("the peer's certificate is given in binary form only")
        if not self._finished():
            raise ValueError("handshake not done yet")
        certificate = self._lib.SSL_get1_peer_certificate(self._ssl)
        if not certificate:
            return None
        try:
            return self._lib.der(certificate)
        finally:
            self._lib.X509_free(certificate)

    def get_unverified_chain(self) -> list[bytes]:
        """What the peer sent, in DER, leaf first."""
        leaf = self.getpeercert(True)
        sent = self._lib.stack_of_der(self._lib.SSL_get_peer_cert_chain(self._ssl))
        # A server's view is without the leaf.
        return list(dict.fromkeys([*([leaf] if leaf else []), *sent]))

    # ---- within ----

    def _finished(self) -> bool:
        return bool(self._lib.SSL_is_init_finished(self._ssl))

    def _take_in(self) -> None:
        if self._incoming.pending:
            data = self._incoming.read()
            self._lib.BIO_write(self._from_peer, data, len(data))
        if self._incoming.eof:
            self._lib.BIO_ctrl(self._from_peer, libssl.BIO_C_SET_BUF_MEM_EOF_RETURN, 0, None)

    def _give_out(self) -> None:
        while waiting := self._lib.BIO_ctrl_pending(self._to_peer):
            buffer = ctypes.create_string_buffer(waiting)
            taken = self._lib.BIO_read(self._to_peer, buffer, waiting)
            self._outgoing.write(ctypes.string_at(buffer, taken))

    def _error(self, result: int) -> ssl.SSLError:
        """Right after the call that failed, on its thread."""
        kind = self._lib.SSL_get_error(self._ssl, result)
        if kind == libssl.ERROR_WANT_READ:
            return ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "the peer has to say something first")
        if kind == libssl.ERROR_WANT_WRITE:
            return ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "something has to be sent first")
        if kind == libssl.ERROR_ZERO_RETURN:
            return ssl.SSLZeroReturnError(ssl.SSL_ERROR_ZERO_RETURN, "the peer has closed the TLS connection")
        errors = self._lib.errors()
        if kind == libssl.ERROR_SYSCALL or any(reason == libssl.REASON_UNEXPECTED_EOF for _, reason, _ in errors):
            return ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the peer went away without closing the TLS connection")
        if any(
            where == libssl.LIB_SSL and reason == libssl.REASON_CERTIFICATE_VERIFY_FAILED for where, reason, _ in errors
        ):
            code = self._lib.SSL_get_verify_result(self._ssl)
            words = self._lib.X509_verify_cert_error_string(code).decode()
            refused = ssl.SSLCertVerificationError(ssl.SSL_ERROR_SSL, f"[SSL: CERTIFICATE_VERIFY_FAILED] {words}")
            refused.verify_code, refused.verify_message = int(code), words
            return refused
        words = "; ".join(dict.fromkeys(words for _, _, words in errors)) or "OpenSSL gives no reason"
        return ssl.SSLError(ssl.SSL_ERROR_SSL, f"[SSL: {words.upper().replace(' ', '_')}] {words}")

    def _set_staple(self, response: bytes) -> None:
        """OpenSSL frees what it is given here, so it must come from its own memory."""
        memory = self._lib.CRYPTO_malloc(len(response), b"", 0)
        if memory:
            ctypes.memmove(memory, response, len(response))
            self._lib.SSL_ctrl(self._ssl, libssl.CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP, len(response), memory)

    def __del__(self) -> None:
        if self._ssl:
            self._lib.SSL_free(self._ssl)
            self._ssl = 0


def _public_key(chain: Path) -> ec.EllipticCurvePublicKey:
    try:
        key = x509.load_pem_x509_certificates(chain.read_bytes())[0].public_key()
    except OSError as error:
        raise TlsError(f"certificate chain {chain} cannot be read: {error.strerror}") from error
    except (ValueError, IndexError) as error:
        raise TlsError(f"certificate chain {chain} cannot be used: {error}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP521R1):
        kind = key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__
        raise TlsError(f"{chain} has a {kind} key: a key on a token is one of secp521r1")
    return key
