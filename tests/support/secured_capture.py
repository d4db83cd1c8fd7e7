"""Connections within TLS, held in memory, as a capture sees them."""

from __future__ import annotations

import datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from pyiso15118.capture.network import LINKTYPE_RAW
from pyiso15118.capture.tls_keys import SUITES
from pyiso15118.v2gtp import PayloadType, encode_frame
from support.captures import Conversation, pcapng

SUITE_NAMES = [suite.name for suite in SUITES.values()]


def frame(number: int, size: int = 30) -> bytes:
    return encode_frame(PayloadType.DC, bytes([number]) * size)


class Secured:
    """A real connection; ``log`` has its secrets."""

    def __init__(self, suite: str = SUITE_NAMES[1], version: int = SSL.TLS1_3_VERSION, **kinds: object) -> None:
        self.log: list[bytes] = []
        self.conversation = Conversation(**kinds)  # type: ignore[arg-type]
        self.ends = {}
        for server in (False, True):
            context = SSL.Context(SSL.TLS_METHOD)
            context.set_min_proto_version(version)
            context.set_max_proto_version(version)
            if version == SSL.TLS1_3_VERSION:
                context.set_tls13_ciphersuites(suite.encode())
            if server:
                certificate, key = identity()
                context.use_certificate(certificate)
                context.use_privatekey(key)
                context.set_keylog_callback(lambda _, line: self.log.append(line))
            self.ends[server] = SSL.Connection(context)
        self.ends[True].set_accept_state()
        self.ends[False].set_connect_state()
        for _ in range(4):
            for server in (False, True):
                try:
                    self.ends[server].do_handshake()
                except SSL.WantReadError:
                    pass
                self.move(server)

    def say(self, data: bytes, *, from_server: bool = False, lost: bool = False) -> None:
        self.ends[from_server].sendall(data)
        self.move(from_server, lost=lost)

    def move(self, from_server: bool, *, lost: bool = False) -> None:
        try:
            data = self.ends[from_server].bio_read(1 << 20)
        except SSL.WantReadError:
            return
        self.conversation.send(data, from_server=from_server, size=500, lost=lost)
        if not lost:
            self.ends[not from_server].bio_write(data)

    def talk(self, count: int = 10) -> Secured:
        for number in range(count):
            self.say(frame(number), from_server=number % 2 == 1)
        return self

    @property
    def capture(self) -> bytes:
        return pcapng(self.conversation.packets, LINKTYPE_RAW)

    @property
    def key_log(self) -> bytes:
        return b"# of a test\n" + b"\n".join(self.log) + b"\n"


@cache
def identity() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "station")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(datetime.datetime(2020, 1, 1))
    return builder.not_valid_after(datetime.datetime(2049, 1, 1)).sign(key, hashes.SHA256()), key
