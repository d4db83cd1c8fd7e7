"""A vehicle's TLS that offers just what it is told to, the station it meets, and chains that no vehicle should show."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL

from pyiso15118.security import (
    Credential,
    Curve,
    Pki,
    TlsEndpoint,
    TlsProfile,
    server_context,
    write_credential,
    write_trust_anchor,
)
from pyiso15118.security.tls_openssl import OpenSslConnection, set_lists
from support.certificates import Recipe

STRICT_SIGNATURES = ("ecdsa_secp521r1_sha512", "ed448")
EVCCID = "WMIV1234567890ABCDEX"
NOW = datetime.datetime.now(datetime.UTC)


class Site:
    def __init__(self, folder: Path, curve: Curve = Curve.SECP521R1) -> None:
        self.folder = folder
        self.pki = Pki(not_before=NOW - datetime.timedelta(hours=1), curve=curve)
        self.secc = write_credential(self.pki.secc("US*V2G*E1"), folder, "secc")
        self.v2g_root = write_trust_anchor(self.pki.v2g_root, folder, "v2g_root")
        self.oem_root = write_trust_anchor(self.pki.oem_root, folder, "oem_root")
        self.vehicle = self.pki.vehicle(EVCCID)

    def server(self, profile: TlsProfile = TlsProfile.STRICT, **options: Any) -> TlsEndpoint:
        anchors = options.pop("anchors", [self.oem_root])
        return server_context(profile, self.secc.chain, self.secc.key, anchors, **options)


class Client:
    """A vehicle by pyOpenSSL that offers just what it is told to, and trusts whoever answers."""

    def __init__(
        self,
        credential: Credential | None = None,
        *,
        groups: Sequence[str] = ("secp521r1", "X448", "X25519", "prime256v1"),
        signatures: Sequence[str] = (*STRICT_SIGNATURES, "ecdsa_secp256r1_sha256", "ecdsa_secp384r1_sha384"),
        suites: str = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
        chain: Sequence[x509.Certificate] | None = None,
        newest: int = SSL.TLS1_3_VERSION,
    ) -> None:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_max_proto_version(newest)
        context.set_tls13_ciphersuites(suites.encode())
        assert set_lists(context, groups, signatures)
        context.set_ocsp_client_callback(self._on_staple)
        if credential is not None:
            context.use_certificate(credential.certificate)
            context.use_privatekey(credential.key)
            for certificate in credential.chain if chain is None else chain:
                context.add_extra_chain_cert(certificate)
        self.staple = b""
        self.alert = ""
        self.tls = SSL.Connection(context)
        self.tls.set_connect_state()
        self.tls.request_ocsp()

    def _on_staple(self, connection: SSL.Connection, response: bytes, data: None) -> bool:
        self.staple = response
        return True

    def meet(self, server: TlsEndpoint) -> OpenSslConnection:
        """The station's end after the handshake. Raises what it raises; the alert then is in ``alert``."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        ours = server.wrap_bio(incoming, outgoing, server_side=True)
        failure: ssl.SSLError | None = None
        for _ in range(8):
            try:
                if not self.alert:
                    self.tls.do_handshake()
                    self.tls.recv(1)
            except SSL.WantReadError:
                pass
            except SSL.Error as error:
                self.alert = str(error.args[0][0][-1]).split(" alert ")[-1]
            while True:
                try:
                    incoming.write(self.tls.bio_read(65_536))
                except SSL.WantReadError:
                    break
            if failure is None:
                try:
                    ours.do_handshake()
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError as error:
                    failure = error
            if data := outgoing.read():
                self.tls.bio_write(data)
        if failure is not None:
            raise failure
        assert isinstance(ours, OpenSslConnection)
        return ours


def say(client: Client, ours: OpenSslConnection, data: bytes) -> None:
    """A record of the vehicle's lies before the station's end."""
    client.tls.send(data)
    ours._incoming.write(client.tls.bio_read(65_536))


class Faulty:
    """Chains that no vehicle should show, by name, by name."""

    def __init__(self, pki: Pki) -> None:
        self.pki = pki
        sub = pki.oem_sub_ca.credential
        subject = ((NameOID.COMMON_NAME, EVCCID), (NameOID.DOMAIN_COMPONENT, "OEM"))
        start = NOW - datetime.timedelta(hours=1)
        self.leaf = Recipe(sub, subject=subject, not_before=start)

    def expired(self) -> Credential:
        return replace(self.leaf, not_before=NOW - datetime.timedelta(days=9), days=8).make()

    def not_yet_valid(self) -> Credential:
        return replace(self.leaf, not_before=NOW + datetime.timedelta(days=2)).make()

    def self_signed(self) -> Credential:
        return replace(self.leaf, issuer=None).make()

    def authority(self) -> Credential:
        return replace(self.leaf, issuer=self.pki.oem_root.credential).authority().make()

    def no_signature_usage(self) -> Credential:
        return replace(self.leaf, usage=frozenset({"key_agreement"})).make()

    def server_only(self) -> Credential:
        return replace(self.leaf, purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)).make()

    def of_role(self, domain: str) -> Credential:
        return replace(self.leaf, subject=((NameOID.COMMON_NAME, EVCCID), (NameOID.DOMAIN_COMPONENT, domain))).make()

    def too_long(self) -> Credential:
        issuer = self.pki.oem_root.credential
        for _ in range(4):
            name = ((NameOID.COMMON_NAME, f"Sub {id(issuer)}"), (NameOID.DOMAIN_COMPONENT, "OEM"))
            issuer = replace(self.leaf, issuer=issuer, subject=name).authority(path_length=None).make()
        return replace(self.leaf, issuer=issuer).make()

    def foreign_policy(self) -> Credential:
        name = ((NameOID.COMMON_NAME, "Policy Sub"), (NameOID.DOMAIN_COMPONENT, "OEM"))
        given, claimed = (
            x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(f"1.3.6.1.4.1.99999.{n}"), None)])
            for n in (1, 2)
        )
        issuer = replace(self.leaf, issuer=self.pki.oem_root.credential, subject=name, extensions=(given,))
        return replace(self.leaf, issuer=issuer.authority().make(), extensions=(claimed,)).make()

    def p256_authority(self) -> Credential:
        name = ((NameOID.COMMON_NAME, "P-256 Sub"), (NameOID.DOMAIN_COMPONENT, "OEM"))
        sha512 = Curve.SECP521R1.digest
        below = replace(self.leaf, issuer=self.pki.oem_root.credential, subject=name, curve=Curve.SECP256R1)
        issuer = replace(below, digest=sha512).authority().make()
        return replace(self.leaf, issuer=issuer, digest=sha512).make()
