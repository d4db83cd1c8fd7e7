"""An EST server (RFC 7030) in threads, which can be told to misbehave: each fault is one way a real one may fail us."""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from support.authority import TestAuthority
from support.http_serving import in_thread

USER, PASSWORD = "maple-street-12", "correct horse"
PKCS7 = "application/pkcs7-mime; smime-type=certs-only"


@dataclass
class EstServer:
    """``enrolled``: path, how the client proved itself, and the request, of each that was signed."""

    authority: TestAuthority
    port: int = 0
    fault: Callable[[Handler, x509.CertificateSigningRequest | None], bool] | None = None
    """Answers in place of the server; True when it did."""
    sign: Callable[[x509.CertificateSigningRequest], list[x509.Certificate]] | None = None
    wrapped_base64: bool = True
    days: float = 90.0
    enrolled: list[tuple[str, str, x509.CertificateSigningRequest]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def issue(self, csr: x509.CertificateSigningRequest) -> list[x509.Certificate]:
        if self.sign is not None:
            return self.sign(csr)
        return [self.authority.sign_request(csr, days=self.days), *self.authority.chain]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    est: EstServer

    def do_GET(self) -> None:
        self.est.requests.append(f"GET {self.path}")
        if self._stepped_aside(None):
            return
        if self.path.endswith("/cacerts"):
            root = self.est.authority
            while root.issuer is not None:
                root = root.issuer
            self.certificates([*self.est.authority.chain, root.certificate])
        else:
            self.answer(404, b"no such operation\n", "text/plain")

    def do_POST(self) -> None:
        self.est.requests.append(f"POST {self.path}")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Type"] != "application/pkcs10":
            self.answer(415, b"a PKCS#10 request is wanted", "text/plain")
            return
        csr = x509.load_der_x509_csr(base64.b64decode(body))
        if self._stepped_aside(csr):
            return
        operation = self.path.rsplit("/", 1)[-1]
        assert isinstance(self.connection, ssl.SSLSocket)
        shown = self.connection.getpeercert()
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        proof = "certificate" if shown else "password" if self.headers["Authorization"] == f"Basic {basic}" else ""
        if operation not in ("simpleenroll", "simplereenroll"):
            self.answer(404, b"no such operation", "text/plain")
        elif not proof:
            self.answer(401, b"who are you?", "text/plain", {"WWW-Authenticate": 'Basic realm="est"'})
        elif not csr.is_signature_valid:
            self.answer(400, b"the request is not signed by its key", "text/plain")
        else:
            self.est.enrolled.append((self.path, proof, csr))
            self.certificates(self.est.issue(csr))

    def certificates(self, certificates: list[x509.Certificate]) -> None:
        der = pkcs7.serialize_certificates(certificates, Encoding.DER)
        body = base64.encodebytes(der) if self.est.wrapped_base64 else base64.b64encode(der)
        self.answer(200, body, PKCS7)

    def answer(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for header, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body)

    def _stepped_aside(self, csr: x509.CertificateSigningRequest | None) -> bool:
        return self.est.fault is not None and self.est.fault(self, csr)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running(server: EstServer, chain: Path, key: Path, client_ca: Path | None = None) -> Iterator[EstServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
    handler = type("OfThisServer", (Handler,), {"est": server})

    class Threads(ThreadingHTTPServer):
        def finish_request(self, request: object, address: object) -> None:
            # In the thread of the request: a client that stalls stops nobody else.
            with suppress(OSError):
                super().finish_request(context.wrap_socket(request, server_side=True), address)  # type: ignore[arg-type]

        def handle_error(self, *_: object) -> None:
            pass

    with in_thread(Threads(("127.0.0.1", server.port), handler)) as server.port:
        yield server


# ---- faults ----


def status(code: int, body: bytes = b"", kind: str = "text/plain", **headers: str) -> Callable[..., bool]:
    def fault(handler: Handler, _: object) -> bool:
        handler.answer(code, body, kind, {header.replace("_", "-"): value for header, value in headers.items()})
        return True

    return fault


def stall(handler: Handler, _: object) -> bool:
    time.sleep(20)
    return True


def trickle(handler: Handler, _: object) -> bool:
    """An octet at a time: each one resets a socket's own timeout."""
    handler.send_response(200)
    handler.send_header("Content-Type", PKCS7)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    with suppress(OSError):
        for _each in range(1000):
            handler.wfile.write(b"M")
            time.sleep(0.05)
    return True


def trickling_header(handler: Handler, _: object) -> bool:
    with suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        for _each in range(1000):
            handler.wfile.write(b"x")
            time.sleep(0.05)
    return True


def flood(handler: Handler, _: object) -> bool:
    """A gigabyte, in chunks, of which no length was told."""
    handler.send_response(200)
    handler.send_header("Content-Type", PKCS7)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    chunk = b"%x\r\n" % (1 << 20) + b"M" * (1 << 20) + b"\r\n"
    with suppress(OSError):
        for _each in range(1024):
            handler.wfile.write(chunk)
    return True


def cut_short(handler: Handler, _: object) -> bool:
    handler.send_response(200)
    handler.send_header("Content-Type", PKCS7)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"MII")
    handler.close_connection = True
    return True


def no_http(handler: Handler, _: object) -> bool:
    handler.wfile.write(b"\x16\x03\x01 SSH-2.0 hello\r\n\r\n")
    handler.close_connection = True
    return True
