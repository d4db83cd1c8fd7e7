"""The utility's certificate server as a process: EST (RFC 7030) by the simulation's own authority.

``python -m v2g.simulation.est --config est/config.json``. It signs every request of its one user: a bench for
``v2g-cert-manager provision`` and ``renew``, no more.
"""

from __future__ import annotations

import argparse
import base64
import datetime
import hmac
import secrets
import signal
import socket
import ssl
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs7,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from v2g.clock import Clock, SystemClock
from v2g.host.files import replace_file
from v2g.host.notify import Notifier
from v2g.simulation.layout import Layout, free_tcp_ports

HOST = "localhost"
USER = "simulation"
DAYS = 90
FOLDER = "est"
ROOT = "v2g-root.pem"
"""In the simulation's ``pki``: to be given as ``--ca-bundle``."""
_MAX_REQUEST_BYTES = 65_536
_TIMEOUT_S = 10.0
_PKCS7 = "application/pkcs7-mime; smime-type=certs-only"


class EstConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``ca_chain``: the authority's certificate and what is above it, without the root; ``root``: that, for cacerts."""

    port: int
    server_chain: str
    server_key: str
    ca_chain: str
    ca_key: str
    root: str
    user: str
    password: str


def prepare(layout: Layout, clock: Clock) -> Path:
    """The server's configuration beside the simulation's, and the daemon's section ``pki.enrolment`` for it.

    Returns the path of the former.
    """
    pki = layout.run_dir / "pki"
    (port,) = free_tcp_ports(1, layout.plant_ports)
    password = secrets.token_urlsafe(16)
    folder = layout.run_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    authority = _Authority(pki / "cpo-sub-ca.pem", pki / "cpo-sub-ca.key", clock)
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName(HOST)])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Simulated EST server")])
    certificate = authority.sign(subject, key.public_key(), names)
    chain = folder / "server.pem"
    chain.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in (certificate, *authority.chain)))
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    config = EstConfig(
        port=port,
        server_chain=str(chain),
        server_key=str(_private(folder / "server.key", key_pem)),
        ca_chain=str(pki / "cpo-sub-ca.pem"),
        ca_key=str(pki / "cpo-sub-ca.key"),
        root=str(pki / ROOT),
        user=USER,
        password=password,
    )
    enrolment = {
        "protocol": "est",
        "url": f"https://{HOST}:{port}",
        "user": USER,
        "password_file": str(_private(folder / "password", password.encode())),
    }
    drop_in = {"pki": {"enrolment": enrolment}}
    (layout.config_dir / "conf.d" / "40-enrolment.yaml").write_text(yaml.safe_dump(drop_in), encoding="utf-8")
    return _private(folder / "config.json", msgspec.json.encode(config))


def _private(path: Path, content: bytes) -> Path:
    replace_file(path, content, mode=0o600)
    return path


class _Authority:
    def __init__(self, chain: Path, key: Path, clock: Clock) -> None:
        self.chain = tuple(x509.load_pem_x509_certificates(chain.read_bytes()))
        loaded = load_pem_private_key(key.read_bytes(), None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{key} is no elliptic-curve key")
        self._key = loaded
        self._clock = clock

    def sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        names: x509.SubjectAlternativeName | None,
    ) -> x509.Certificate:
        now = datetime.datetime.fromtimestamp(self._clock.unix_s(), datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.chain[0].subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=1))
            .not_valid_after(now + datetime.timedelta(days=DAYS))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_USAGE, critical=True)
            .add_extension(x509.ExtendedKeyUsage(_PURPOSES), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA512())


_PURPOSES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_agreement=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _TIMEOUT_S
    server: Server

    def do_GET(self) -> None:
        if self.path.endswith("/cacerts"):
            self._certificates([*self.server.authority.chain, self.server.root])
        else:
            self._answer(404, b"no such operation\n", "text/plain")

    def do_POST(self) -> None:
        try:
            length = int(self.headers["Content-Length"] or "")
        except ValueError:
            length = -1
        if not 0 < length <= _MAX_REQUEST_BYTES:
            self._refuse(411, "a request of known length is wanted")
            return
        body = self.rfile.read(length)
        if self.path.rsplit("/", 1)[-1] not in ("simpleenroll", "simplereenroll"):
            self._refuse(404, "no such operation")
        elif not self._proven():
            self._answer(401, b"who are you?\n", "text/plain", {"WWW-Authenticate": 'Basic realm="est"'})
        else:
            self._enrol(body)

    def _proven(self) -> bool:
        if isinstance(self.connection, ssl.SSLSocket) and self.connection.getpeercert():
            return True
        return hmac.compare_digest((self.headers["Authorization"] or "").encode(), self.server.basic.encode())

    def _enrol(self, body: bytes) -> None:
        try:
            csr = x509.load_der_x509_csr(base64.b64decode(body))
            key = csr.public_key()
            if not csr.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
                self._refuse(400, "the request is not signed by an elliptic-curve key of its own")
                return
            try:
                names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            except x509.ExtensionNotFound:
                names = None
            certificate = self.server.authority.sign(csr.subject, key, names)
        except ValueError as error:
            self._refuse(400, f"no PKCS#10 request: {error}")
            return
        print(f"signed {csr.subject.rfc4514_string()}", flush=True)
        self._certificates([certificate, *self.server.authority.chain])

    def _certificates(self, certificates: list[x509.Certificate]) -> None:
        self._answer(200, base64.encodebytes(pkcs7.serialize_certificates(certificates, Encoding.DER)), _PKCS7)

    def _refuse(self, status: int, why: str) -> None:
        # What was not read of the request must not be taken for the next one.
        self.close_connection = True
        self._answer(status, f"{why}\n".encode(), "text/plain", {"Connection": "close"})

    def _answer(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for header, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, config: EstConfig, clock: Clock, notifier: Notifier) -> None:
        self._notifier = notifier
        self.authority = _Authority(Path(config.ca_chain), Path(config.ca_key), clock)
        self.root = x509.load_pem_x509_certificate(Path(config.root).read_bytes())
        self.basic = "Basic " + base64.b64encode(f"{config.user}:{config.password}".encode()).decode()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_3
        self._tls.load_cert_chain(config.server_chain, config.server_key)
        self._tls.load_verify_locations(config.root)
        self._tls.verify_mode = ssl.CERT_OPTIONAL
        super().__init__(("127.0.0.1", config.port), _Handler)

    def finish_request(self, request: object, client_address: object) -> None:
        # In the thread of the request: a client that stalls stops nobody else.
        if isinstance(request, socket.socket):
            request.settimeout(_TIMEOUT_S)
            with suppress(OSError):
                super().finish_request(self._tls.wrap_socket(request, server_side=True), client_address)

    def service_actions(self) -> None:
        self._notifier.watchdog()

    def handle_error(self, request: object, client_address: object) -> None:
        del request, client_address


def main(arguments: list[str] | None = None) -> int:
    """Runs until SIGTERM. Exit 2: the configuration cannot be used; 1: the port is somebody's."""
    parser = argparse.ArgumentParser(prog="python -m v2g.simulation.est", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="JSON file, as prepare() writes it")
    options = parser.parse_args(arguments)
    try:
        config = msgspec.json.decode(options.config.read_bytes(), type=EstConfig)
    except (OSError, msgspec.MsgspecError) as error:
        print(f"est: {options.config}: {error}", file=sys.stderr)
        return 2
    try:
        notifier = Notifier()
        server = Server(config, SystemClock(), notifier)
    except (OSError, TypeError, ValueError) as error:
        print(f"est: {error}", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    notifier.ready(f"https://{HOST}:{config.port}")
    with server:
        server.serve_forever(poll_interval=0.2)
    notifier.stopping()
    return 0


if __name__ == "__main__":
    sys.exit(main())
