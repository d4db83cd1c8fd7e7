"""The SECC's TLS by pyOpenSSL, which can do what :mod:`ssl` cannot: groups and signatures of a context, OCSP, CA names.

pyOpenSSL brings an OpenSSL of its own (that of ``cryptography``). For the lists of groups and signature algorithms, and
for the reason of a refusal, it has no call of its own: these are set by the functions of libssl that ``cryptography``
hands out for pyOpenSSL. A release without them is noticed: a handshake at every start proves what is in force.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.bindings.openssl.binding import Binding
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from OpenSSL.crypto import X509

from pyiso15118.security.chain import LONGEST_PATH, ChainError, ChainProblem, ValidatedChain, name_of
from pyiso15118.security.profile import GROUPS, SIGNATURES, STRICT_SUITES, TlsError, TlsProfile
from pyiso15118.security.tls_peer import PeerTrust, refused

_T = TypeVar("_T")

Staple = Callable[[], bytes | None]
"""Gives the OCSP response (DER) of our leaf as it is now, None where there is none. On the handshake's thread."""

_RECORD_HEADER_BYTES = 5
_UNHANDLED_CRITICAL_EXTENSION = 34
_NOT_YET_VALID = 9
_CHUNK_BYTES = 65_536
_REASONS = {
    2: "its issuer is unknown: the chain is incomplete, or the root is no trust anchor",
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed and no trust anchor",
    19: "its root is no trust anchor",
    20: "its issuer is unknown: the chain is incomplete, or the root is no trust anchor",
    21: "its signature cannot be verified: the chain is incomplete",
    22: "its chain is too long",
    24: "its issuer is no certification authority",
    25: "its issuer permits no such long path",
    26: "it is not for a TLS client",
}


_ERRORS = {
    ChainProblem.EXPIRED: 10,
    ChainProblem.NOT_YET_VALID: 9,
    ChainProblem.REVOKED: 23,
    ChainProblem.NO_ANCHOR: 20,
    ChainProblem.INVALID: 28,
}
"""X.509 errors, from which OpenSSL makes certificate_expired, bad_certificate, certificate_revoked and unknown_ca."""
_HINTS = {
    "unsupported protocol": "the vehicle offers no TLS 1.3",
    "no shared cipher": "the vehicle offers no suite of the profile {profile}, or no signature that our key can make",
    "no suitable key share": "the vehicle offers no group of the profile {profile} ({groups})",
    "no suitable groups": "the vehicle offers no group of the profile {profile} ({groups})",
    "no suitable signature algorithm": "the vehicle offers no signature that our key can make",
    "no shared signature algorithms": "the vehicle offers no signature of the profile {profile}",
    "peer did not return a certificate": "the vehicle has none, or none of a kind that the profile {profile} takes",
    "http request": "this is no TLS",
    "wrong version number": "this is no TLS",
}


class OpenSslContext:
    """A :class:`TlsEndpoint` of the SECC. ``lists_set``: this libssl took our lists of groups and signatures."""

    server_side = True

    def __init__(
        self,
        profile: TlsProfile,
        chain: Sequence[x509.Certificate],
        key: object,
        trust: PeerTrust,
        *,
        require_client_certificate: bool = True,
        staple: Staple | None = None,
    ) -> None:
        """``chain``: leaf first. ``key``: of ``cryptography``. Raises :class:`TlsError` for what OpenSSL refuses."""
        self.profile = profile
        # Every chain is held to it during the handshake, so nothing is left to check after it.
        self.trust: PeerTrust | None = None
        self._trust = trust
        self._context = context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_max_proto_version(SSL.TLS1_3_VERSION)
        context.set_tls13_ciphersuites(":".join(STRICT_SUITES).encode())
        self.lists_set = set_lists(context, GROUPS[profile], SIGNATURES[profile])
        context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE | SSL.OP_NO_TICKET)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_session_id(b"no session is resumed")
        release_buffers(context)
        try:
            context.use_certificate(chain[0])
            context.use_privatekey(key)  # type: ignore[arg-type]
            context.check_privatekey()
            for certificate in chain[1:]:
                context.add_extra_chain_cert(certificate)
        except (SSL.Error, TypeError, ValueError) as error:
            raise TlsError(_words(error)) from error
        store = context.get_cert_store()
        if store is None:
            raise TlsError("OpenSSL gives no store for trust anchors")
        for anchor in trust.anchors.certificates:
            store.add_cert(X509.from_cryptography(anchor))
            context.add_client_ca(anchor)
        mode = SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if require_client_certificate else 0)
        context.set_verify(mode, self._verify)
        _give_reasons(context, mode)
        context.set_verify_depth(LONGEST_PATH + 1)
        self.staple = staple
        context.set_ocsp_server_callback(self._staple)

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, server_side: bool = False
    ) -> OpenSslConnection:
        """As ``ssl.SSLContext.wrap_bio``; for the server's side only."""
        if not server_side:
            raise ValueError("this context is for the SECC")
        verdict = _Verdict()
        connection = SSL.Connection(self._context)
        connection.set_app_data(verdict)
        connection.set_accept_state()
        return OpenSslConnection(connection, incoming, outgoing, verdict, self.profile)

    def _staple(self, connection: SSL.Connection, data: None) -> bytes:
        try:
            return (self.staple() if self.staple is not None else None) or b""
        except Exception:
            # A vehicle may insist on a response; whether it does is its affair.
            return b""

    def _verify(self, connection: SSL.Connection, shown: X509, error: int, depth: int, ok: int) -> bool:
        """From anchor to leaf; the last call judges the whole chain. What is raised here would be any connection's."""
        verdict = connection.get_app_data()
        try:
            certificate = shown.to_cryptography()
            if not ok and not self._ours_to_judge(error):
                verdict.refusal = f"{name_of(certificate)}: {_REASONS.get(error, f'X.509 error {error}')}"
                return False
            if not ok:
                return True
            verdict.path[depth] = certificate.public_bytes(Encoding.DER)
            if depth == 0:
                between = [verdict.path[position] for position in range(1, max(verdict.path))]
                verdict.chain = self._trust.validate(self.profile, verdict.path[0], between)
        except ChainError as problem:
            verdict.refusal = refused(problem)
            _refusal.error = _ERRORS[problem.problem]
        except Exception as problem:
            verdict.refusal = f"the vehicle's certificate cannot be judged: {str(problem) or type(problem).__name__}"
        return not verdict.refusal

    def _ours_to_judge(self, error: int) -> bool:
        if error == _UNHANDLED_CRITICAL_EXTENSION:
            return True
        return error == _NOT_YET_VALID and not self._trust.judged_at().not_before_counts


class _Refusal(threading.local):
    """The X.509 error of the refusal that a callback of this thread is about to return; 0: OpenSSL's own stands."""

    error = 0


_refusal = _Refusal()


def _give_reasons(context: SSL.Context, mode: int) -> None:
    """Let refusals of ours have the alert that fits. pyOpenSSL's callback says no more than no: ``internal_error``."""
    binding, inner = Binding(), getattr(context, "_verify_callback", None)
    library, pointer = binding.lib, getattr(context, "_context", None)
    if inner is None or pointer is None or not hasattr(library, "X509_STORE_CTX_set_error"):
        return

    def verify(ok: int, store: object) -> int:
        _refusal.error = 0
        answer = int(inner(ok, store))
        if not answer and _refusal.error:
            library.X509_STORE_CTX_set_error(store, _refusal.error)
        return answer

    # Each connection keeps what stands here alive, also when the context is gone.
    context._verify_callback = binding.ffi.callback("int (*)(int, X509_STORE_CTX *)", verify)
    library.SSL_CTX_set_verify(pointer, mode, context._verify_callback)


class _Verdict:
    """On the peer's chain: what the context's callbacks tell the connection. Refers to neither."""

    __slots__ = ("chain", "path", "refusal")

    def __init__(self) -> None:
        self.path: dict[int, bytes] = {}
        self.chain: ValidatedChain | None = None
        self.refusal = ""


class OpenSslConnection:
    """A :class:`TlsObject` between the two buffers given to ``wrap_bio``."""

    def __init__(
        self,
        connection: SSL.Connection,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        verdict: _Verdict,
        profile: TlsProfile,
    ) -> None:
        self.server_side = True
        self._profile = profile
        self._connection = connection
        self._incoming = incoming
        self._outgoing = outgoing
        self._verdict = verdict
        self._records = _RecordCount()
        self._said_goodbye = False
        self._peer: bytes | None = None

    @property
    def validated(self) -> ValidatedChain | None:
        """The peer's chain, which was judged during the handshake."""
        return self._verdict.chain

    def do_handshake(self) -> None:
        """Raises ``ssl.SSLWantReadError``, or ``ssl.SSLError`` with the reason; then there is an alert to send."""
        self._step(self._connection.do_handshake)

    def read(self, len: int = 1024, /) -> bytes:
        """Empty where the peer said that it closes."""
        try:
            data = self._step(lambda: self._connection.recv(len))
        except ssl.SSLZeroReturnError:
            if self._said_goodbye:
                raise
            return b""
        except ssl.SSLWantReadError:
            self._records.none_left()
            raise
        if not self._connection.pending():
            self._records.one_taken()
        return data

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """One record; how much of ``data`` is in it."""
        return self._step(lambda: self._connection.send(data)) if data else 0

    def unwrap(self) -> None:
        """Say that we close. Raises ``ssl.SSLWantReadError`` while the peer has not said so."""
        self._said_goodbye = True
        if not self._step(self._connection.shutdown):
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "the peer has not closed yet")

    def pending(self) -> int:
        """Not 0 where a further read may give something."""
        return self._connection.pending() or self._records.complete

    def version(self) -> str | None:
        """``TLSv1.3``."""
        return self._connection.get_protocol_version_name()

    def cipher(self) -> tuple[str, str, int] | None:
        """Name, version and secret bits of the suite."""
        name = self._connection.get_cipher_name()
        if name is None:
            return None
        return name, self._connection.get_cipher_version() or "", self._connection.get_cipher_bits() or 0

    def group(self) -> str | None:
        """Of the key exchange."""
        return self._connection.get_group_name()

    def getpeercert(self, binary_form: bool = False, /) -> bytes | None:
        """The leaf in DER, None where the peer showed none. Only the binary form is known here."""
        if not binary_form:
            raise ValueError("only binary_form=True")
        if self._peer is None:
            found = self._connection.get_peer_certificate(as_cryptography=True)
            self._peer = found.public_bytes(Encoding.DER) if found is not None else None
        return self._peer

    def get_unverified_chain(self) -> list[bytes]:
        """What the peer sent, leaf first; on the server's side OpenSSL tells it without the leaf, which is added."""
        leaf = self.getpeercert(True)
        sent = self._connection.get_peer_cert_chain(as_cryptography=True) or []
        return list(dict.fromkeys([*([leaf] if leaf else []), *(c.public_bytes(Encoding.DER) for c in sent)]))

    def _step(self, act: Callable[[], _T]) -> _T:
        if data := self._incoming.read():
            self._records.feed(data)
            self._connection.bio_write(data)
        try:
            return act()
        except SSL.WantReadError:
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "more data is needed") from None
        except SSL.ZeroReturnError:
            raise ssl.SSLZeroReturnError(ssl.SSL_ERROR_ZERO_RETURN, "the peer closed the connection") from None
        except SSL.SysCallError as error:
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, f"the stream ended within TLS: {error}") from None
        except SSL.Error as error:
            words = _words(error)
            if self._verdict.refusal:
                raise ssl.SSLCertVerificationError(
                    ssl.SSL_ERROR_SSL, f"[SSL: CERTIFICATE_VERIFY_FAILED] {self._verdict.refusal}"
                ) from None
            hint = _HINTS.get(words, "").format(profile=self._profile, groups=" and ".join(GROUPS[self._profile]))
            said = f"[SSL: {words.upper().replace(' ', '_')}] {words}" + (f": {hint}" if hint else "")
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, said) from None
        finally:
            self._flush()

    def _flush(self) -> None:
        try:
            while len(data := self._connection.bio_read(_CHUNK_BYTES)) == _CHUNK_BYTES:
                self._outgoing.write(data)
        except SSL.WantReadError:
            return
        self._outgoing.write(data)


class _RecordCount:
    """Records given to OpenSSL and perhaps not read yet. Too many costs one look, too few would lose a message."""

    __slots__ = ("_header", "_left", "complete")

    def __init__(self) -> None:
        self.complete = 0
        self._header = b""
        self._left = 0

    def feed(self, data: bytes) -> None:
        position = 0
        while position < len(data):
            if self._left:
                step = min(self._left, len(data) - position)
                self._left -= step
                position += step
            else:
                missing = _RECORD_HEADER_BYTES - len(self._header)
                self._header += data[position : position + missing]
                position += missing
                if len(self._header) < _RECORD_HEADER_BYTES:
                    return
                self._left = int.from_bytes(self._header[3:])
                self._header = b""
            if not self._left:
                self.complete += 1

    def one_taken(self) -> None:
        self.complete = max(0, self.complete - 1)

    def none_left(self) -> None:
        self.complete = 0


def set_lists(context: SSL.Context, groups: Sequence[str], signatures: Sequence[str]) -> bool:
    """Groups and signature algorithms of this context and no other; False where this libssl offers no such call."""
    library = Binding().lib
    wanted = {"SSL_CTX_set1_curves_list": groups, "SSL_CTX_set1_sigalgs_list": signatures}
    pointer = getattr(context, "_context", None)
    if pointer is None or not all(hasattr(library, name) for name in wanted):
        return False
    taken = [getattr(library, name)(pointer, ":".join(names).encode()) == 1 for name, names in wanted.items()]
    library.ERR_clear_error()
    return all(taken)


def release_buffers(context: SSL.Context) -> None:
    """A connection at rest keeps no buffers, as in :mod:`ssl`: some 30 kB less each."""
    context.set_mode(getattr(Binding().lib, "SSL_MODE_RELEASE_BUFFERS", 0))


def _words(error: Exception) -> str:
    """The first reason that OpenSSL gives."""
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    for reason in reasons:
        if reason[-1]:
            return str(reason[-1])
    return str(error) or type(error).__name__
