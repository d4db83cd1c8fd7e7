"""The client of a handshake with ourselves, by pyOpenSSL: it has no certificate that anybody trusts."""

from __future__ import annotations

import contextlib
import datetime
import ssl
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from pyiso15118.security.client_hello import SIGNATURES
from pyiso15118.security.libssl_callbacks import KeyUnavailableInHandshake
from pyiso15118.security.profile import STRICT_SUITES, TlsEndpoint, TlsError
from pyiso15118.security.tls_openssl import set_lists
from pyiso15118.security.tls_peer import key_type

_SIGNATURE_OF = {"secp521r1": "ecdsa_secp521r1_sha512", "ed448": "ed448", "secp256r1": "ecdsa_secp256r1_sha256"}
_MOST_STEPS = 12
_FROM, _UNTIL = datetime.datetime(2000, 1, 1), datetime.datetime(2049, 1, 1)


class Stranger:
    """A handshake by a client that the server does not know, as far as it gets."""

    def __init__(self, context: TlsEndpoint, *, with_certificate: bool) -> None:
        self.stapled = False
        self.alert = ""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = context.wrap_bio(incoming, outgoing, server_side=True)
        self.chain_judged = context.trust is None or hasattr(server, "get_unverified_chain")
        client = SSL.Connection(self._client(with_certificate))
        client.set_connect_state()
        client.request_ocsp()
        # What makes the server refuse reaches the client as an alert only after its own part is done.
        failure = ""
        for _ in range(_MOST_STEPS):
            try:
                client.do_handshake()
                client.recv(1)
            except SSL.WantReadError:
                pass
            except SSL.Error as error:
                self.alert = _reason(error)
                break
            with contextlib.suppress(SSL.WantReadError):
                incoming.write(client.bio_read(65_536))
            try:
                server.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except KeyUnavailableInHandshake as error:
                raise TlsError(str(error)) from error
            except ssl.SSLError as error:
                failure = str(error)
            if data := outgoing.read():
                client.bio_write(data)
        certificate = client.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            raise TlsError(
                f"profile {context.profile}: a handshake with ourselves fails, so no vehicle could connect: "
                f"{failure or self.alert or 'no answer'}"
            )
        kind = key_type(certificate)
        self.signature = _SIGNATURE_OF.get(kind, kind)
        self.version = client.get_protocol_version_name()
        self.suite = client.get_cipher_name() or ""
        self.group = client.get_group_name() or ""
        self.authorities = len(client.get_client_ca_list(as_cryptography=True))

    def _client(self, with_certificate: bool) -> SSL.Context:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_tls13_ciphersuites(":".join(STRICT_SUITES).encode())
        set_lists(context, ("secp521r1", "X448", "prime256v1"), tuple(SIGNATURES))
        context.set_ocsp_client_callback(self._on_staple)
        if with_certificate:
            certificate, key = _throwaway()
            context.use_certificate(certificate)
            context.use_privatekey(key)
        return context

    def _on_staple(self, connection: SSL.Connection, response: bytes, data: None) -> bool:
        self.stapled = bool(response)
        return True


@cache
def _throwaway() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Of P-256, signed by itself: nobody trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "self-handshake")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(_FROM).not_valid_after(_UNTIL)
    return builder.sign(key, hashes.SHA256()), key


def _reason(error: SSL.Error) -> str:
    """The name of the alert, as OpenSSL has it."""
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    words = str(reasons[0][-1]) if reasons else str(error)
    return words.split(" alert ")[-1] or "closed"
