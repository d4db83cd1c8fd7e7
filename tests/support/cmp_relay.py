"""Makes an authority out of ``openssl cmp -port``, ``openssl x509`` and a relay between client and mock.

The mock server returns a certificate that it is given when it starts. So the relay looks for the PKCS#10 request in
each message that begins a transaction, has ``openssl x509`` sign it, starts a mock with the result, and hands all
messages of the transaction on as they are. Protection, proof of possession, confirmation: all that is CMP is openssl's.
"""

from __future__ import annotations

import http.client
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from support.cmp_server import CmpServer, mock_server
from support.http_serving import QuietHandler, in_thread

_EXTENSIONS = "basicConstraints=critical,CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"


@dataclass
class CmpAuthority:
    """``certificate``, ``key``: PEM files of the authority, which ``openssl x509`` signs with. ``proof``: arguments by
    which the mock protects its answers and checks requests, until :meth:`switch`."""

    folder: Path
    certificate: Path
    key: Path
    proof: Sequence[str | Path]
    days: int = 90
    port: int = 0
    issued: list[Path] = field(default_factory=list)
    logs: list[CmpServer] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/pkix/"

    def switch(self, proof: Sequence[str | Path]) -> None:
        """For transactions from now on."""
        self.proof = proof

    def sign(self, csr: x509.CertificateSigningRequest) -> Path:
        number = len(self.issued) + 1
        request, answer = self.folder / f"request-{number}.pem", self.folder / f"issued-{number}.pem"
        extensions = self.folder / "extensions.cnf"
        request.write_bytes(csr.public_bytes(Encoding.PEM))
        extensions.write_text(_EXTENSIONS)
        openssl(
            *("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-sha512"),
            *("-days", str(self.days), "-copy_extensions", "copy", "-extfile", extensions, "-out", answer),
        )
        self.issued.append(answer)
        return answer


def openssl(*arguments: str | Path) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def signed_proof(folder: Path, certificate: Path, key: Path, roots: Path) -> list[str | Path]:
    """A certificate of the authority for the server's signatures; requests must be signed by chains to ``roots``."""
    own_key, request, own = folder / "cmp.key", folder / "cmp.csr", folder / "cmp.pem"
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", own_key)
    openssl("req", "-new", "-key", own_key, "-subj", "/CN=CMP server", "-out", request)
    usage = folder / "usage.cnf"
    usage.write_text("keyUsage=critical,digitalSignature\n" + _EXTENSIONS)
    openssl(
        *("x509", "-req", "-in", request, "-CA", certificate, "-CAkey", key, "-days", "90", "-extfile", usage),
        *("-out", own),
    )
    return ["-srv_cert", own, "-srv_key", own_key, "-srv_trusted", roots, "-srv_untrusted", certificate]


def secret_proof(secret: Path) -> list[str | Path]:
    return ["-srv_ref", "utility", "-srv_secret", f"file:{secret}"]


@contextmanager
def serving(authority: CmpAuthority) -> Iterator[CmpAuthority]:
    with ExitStack() as stack:
        lock = threading.Lock()
        upstream: list[http.client.HTTPConnection] = []

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    if (csr := request_in(body)) is not None:
                        issued = authority.sign(csr)
                        extra = ["-rsp_cert", issued, "-rsp_extracerts", authority.certificate]
                        mock = stack.enter_context(mock_server(authority.folder, *authority.proof, *extra))
                        authority.logs.append(mock)
                        # One connection for the whole transaction: with the connection the mock forgets it.
                        upstream[:] = [http.client.HTTPConnection("127.0.0.1", mock.port, timeout=10)]
                        stack.callback(upstream[0].close)
                    headers = {"Content-Type": "application/pkixcmp", "Connection": "keep-alive"}
                    upstream[0].request("POST", "/pkix/", body, headers)
                    answer = upstream[0].getresponse().read()
                self.send_response(200)
                self.send_header("Content-Type", "application/pkixcmp")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(answer)

        with in_thread(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as authority.port:
            yield authority


def request_in(message: bytes) -> x509.CertificateSigningRequest | None:
    """The PKCS#10 request somewhere in a CMP message."""
    for at in range(len(message) - 4):
        if message[at : at + 2] != b"\x30\x82":
            continue
        with suppress(ValueError):
            csr = x509.load_der_x509_csr(message[at : at + 4 + int.from_bytes(message[at + 2 : at + 4], "big")])
            if csr.is_signature_valid:
                return csr
    return None
