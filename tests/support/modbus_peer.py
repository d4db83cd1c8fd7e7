"""A Modbus server that answers exactly the octets it is told to, plain or in TLS, and certificates for both ends."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from v2g.hardware.endpoint import TlsFiles
from v2g.hardware.modbus_tls import ROLE_OID

Answer = Callable[[bytes], Sequence[bytes] | None]
"""From a request's octets to the chunks that are sent one by one; None cuts the connection."""

_PAUSE_S = 0.0005
"""Between chunks, so that each arrives by itself."""


def reading(
    *values: int, transaction: int | None = None, unit: int | None = None, function: int | None = None
) -> Answer:
    """A right answer to a read, but for what is given."""

    def answer(request: bytes) -> list[bytes]:
        body = bytes([function or request[7], 2 * len(values)]) + b"".join(v.to_bytes(2, "big") for v in values)
        tid = request[:2] if transaction is None else transaction.to_bytes(2, "big")
        return [
            tid + b"\0\0" + (len(body) + 1).to_bytes(2, "big") + bytes([request[6] if unit is None else unit]) + body
        ]

    return answer


class Peer:
    """``answers`` are used one after another, the last one again and again."""

    def __init__(self) -> None:
        self.port = 0
        self.answers: list[Answer] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = await reader.readexactly(7)
                request = head + await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
                self.requests.append(request)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                chunks = answer(request)
                if chunks is None:
                    break
                for chunk in chunks:
                    writer.write(chunk)
                    await writer.drain()
                    if len(chunks) > 1:
                        await asyncio.sleep(_PAUSE_S)
        writer.transport.abort()


@contextlib.asynccontextmanager
async def peer(context: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    made = Peer()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for writer in made.writers:
            writer.transport.abort()
        await asyncio.sleep(0)


@contextlib.contextmanager
def alerting(context: ssl.SSLContext) -> Iterator[int]:
    """The port of a server that sends OpenSSL's alert when a handshake fails (asyncio's drops it), for one client."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(5.0)

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            connection.settimeout(5.0)
            plain = connection.dup()
            with contextlib.suppress(OSError):
                context.wrap_socket(connection, server_side=True).close()
            # Closed with octets unread, the kernel would reset the connection and the alert be lost.
            while plain.recv(1000):
                pass
            plain.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        thread.join(5.0)


class Ca:
    """Issues what a test wants into files."""

    def __init__(self, folder: Path, name: str = "CA") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.pem = folder / f"{name}.pem"
        self._certificate = self._sign(self._name, self._key.public_key(), [], 1, ca=True)
        self.pem.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, host: str = "127.0.0.1", role: str | None = None, days: int = 1) -> tuple[Path, Path]:
        """Certificate and key, valid to ``days`` from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            names: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            names = x509.DNSName(host)
        extensions: list[x509.ExtensionType] = [x509.SubjectAlternativeName([names])]
        if role is not None:
            text = role.encode()
            extensions.append(
                x509.UnrecognizedExtension(x509.ObjectIdentifier(ROLE_OID), bytes([0x0C, len(text)]) + text)
            )
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key.public_key(), extensions, days)
        pem, key_file = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.touch(mode=0o600)
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return pem, key_file

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        extensions: list[x509.ExtensionType],
        days: int,
        ca: bool = False,
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=10))
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def server_context(
    ca: Ca, certificate: tuple[Path, Path], version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> ssl.SSLContext:
    """Mutual TLS as a device does it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.load_verify_locations(ca.pem)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = version
    return context


def client_files(ca: Ca, certificate: tuple[Path, Path], server_name: str = "") -> TlsFiles:
    return TlsFiles(ca.pem, *certificate, server_name)
