"""TLS profiles by ``ssl``, as vehicles have them and stations without pyOpenSSL: what is agreed, what is refused."""

import datetime
import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from pyiso15118.errors import LocalProtocolError
from pyiso15118.security import (
    Authority,
    Credential,
    CredentialFiles,
    Curve,
    Pki,
    TlsEndpoint,
    TlsError,
    TlsProfile,
    check_connection,
    check_context,
    client_context,
    openssl_conf_path,
    peer_identity,
    server_context,
    stdlib_server_context,
    write_credential,
    write_trust_anchor,
)

STRICT, COMPAT = TlsProfile.STRICT, TlsProfile.COMPAT
KEY_USAGE = x509.KeyUsage(True, False, False, False, True, False, False, False, False)


class Site:
    """Files of one PKI and contexts made from them."""

    def __init__(self, folder: Path, curve: Curve) -> None:
        self.pki = pki = Pki(not_before=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1), curve=curve)
        self.secc = write_credential(pki.secc("US*V2G*E1"), folder, "secc")
        self.vehicle = write_credential(pki.vehicle("WMIV1234567890ABCDEX"), folder, "vehicle")
        self.v2g_root = write_trust_anchor(pki.v2g_root, folder, "v2g_root")
        self.oem_root = write_trust_anchor(pki.oem_root, folder, "oem_root")

    def server(self, profile: TlsProfile) -> ssl.SSLContext:
        return stdlib_server_context(profile, self.secc.chain, self.secc.key, [self.oem_root])

    def client(self, profile: TlsProfile) -> ssl.SSLContext:
        return client_context(profile, self.vehicle.chain, self.vehicle.key, [self.v2g_root])


@pytest.fixture(scope="module")
def p521(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("p521"), Curve.SECP521R1)


@pytest.fixture(scope="module")
def p256(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("p256"), Curve.SECP256R1)


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server)
    for _ in range(6):
        for side in (theirs, ours):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ours, theirs


def test_strict_agrees_on_what_the_standard_wants(p521: Site) -> None:
    ours, theirs = handshake(p521.server(STRICT), p521.client(STRICT))
    check_connection(STRICT, ours)
    check_connection(STRICT, theirs)
    assert ours.version() == "TLSv1.3"
    assert ours.cipher()[0] == "TLS_AES_256_GCM_SHA384"  # type: ignore[index]


def test_the_peer_is_known_by_its_certificate(p521: Site) -> None:
    ours, theirs = handshake(p521.server(STRICT), p521.client(STRICT))
    vehicle, secc = peer_identity(ours), peer_identity(theirs)
    assert vehicle is not None
    assert secc is not None
    assert (vehicle.common_name, secc.common_name) == ("WMIV1234567890ABCDEX", "US*V2G*E1")
    assert vehicle.key_type == "secp521r1"
    assert len(bytes.fromhex(vehicle.fingerprint)) == 32
    assert "OEM Sub CA" in vehicle.issuer


def test_compat_speaks_p256(p256: Site) -> None:
    ours, _ = handshake(p256.server(COMPAT), p256.client(COMPAT))
    check_connection(COMPAT, ours)
    identity = peer_identity(ours)
    assert identity is not None
    assert identity.key_type == "secp256r1"


def test_compat_reaches_peers_that_offer_p256_alone(p256: Site) -> None:
    client = p256.client(COMPAT)
    client.set_ecdh_curve("prime256v1")
    ours, _ = handshake(p256.server(COMPAT), client)
    assert ours.version() == "TLSv1.3"


def test_strict_offers_no_group_but_the_standards(p521: Site) -> None:
    client = p521.client(STRICT)
    client.set_ecdh_curve("prime256v1")
    with pytest.raises(ssl.SSLError):
        handshake(p521.server(STRICT), client)


def test_strict_refuses_a_p256_vehicle_before_anything_is_read(p521: Site, p256: Site) -> None:
    server = stdlib_server_context(STRICT, p521.secc.chain, p521.secc.key, [p256.oem_root])
    client = client_context(COMPAT, p256.vehicle.chain, p256.vehicle.key, [p521.v2g_root])
    ours, _ = handshake(server, client)
    with pytest.raises(TlsError, match="secp256r1 key, the profile strict takes secp521r1 and ed448: use compat"):
        check_connection(STRICT, ours)


def test_strict_refuses_to_start_with_a_p256_certificate(p256: Site) -> None:
    with pytest.raises(TlsError, match="secp256r1 key"):
        p256.server(STRICT)


def test_a_vehicle_without_certificate_is_refused(p521: Site) -> None:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(p521.v2g_root)
    with pytest.raises(ssl.SSLError, match="peer did not return a certificate"):
        handshake(p521.server(STRICT), client)


def test_a_vehicle_of_an_unknown_manufacturer_is_refused(p521: Site, tmp_path: Path) -> None:
    stranger = Site(tmp_path, Curve.SECP521R1)
    client = client_context(STRICT, stranger.vehicle.chain, stranger.vehicle.key, [p521.v2g_root])
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(p521.server(STRICT), client)


def test_a_station_of_an_unknown_operator_is_refused(p521: Site, tmp_path: Path) -> None:
    stranger = Site(tmp_path, Curve.SECP521R1)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(
            p521.server(STRICT), client_context(STRICT, p521.vehicle.chain, p521.vehicle.key, [stranger.v2g_root])
        )


def test_tls_1_2_is_refused(p256: Site) -> None:
    client = p256.client(COMPAT)
    client.minimum_version = ssl.TLSVersion.TLSv1_2
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match=r"UNSUPPORTED_PROTOCOL|unsupported protocol"):
        handshake(p256.server(COMPAT), client)


def test_strict_is_never_one_sided(p521: Site) -> None:
    with pytest.raises(TlsError, match="mutual"):
        stdlib_server_context(STRICT, p521.secc.chain, p521.secc.key, [p521.oem_root], require_client_certificate=False)


def test_compat_may_take_vehicles_without_certificate_if_told(p256: Site) -> None:
    server = stdlib_server_context(
        COMPAT, p256.secc.chain, p256.secc.key, [p256.oem_root], require_client_certificate=False
    )
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(p256.v2g_root)
    ours, _ = handshake(server, client)
    check_connection(COMPAT, ours)
    assert peer_identity(ours) is None


both = pytest.mark.parametrize("make", [server_context, stdlib_server_context])


@both
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_open_to_others_is_refused_with_the_remedy(
    p521: Site, tmp_path: Path, mode: int, make: Callable[..., TlsEndpoint]
) -> None:
    key = tmp_path / "open.key"
    key.write_bytes(p521.secc.key.read_bytes())
    key.chmod(mode)
    with pytest.raises(TlsError, match=f"chmod 600 {key}"):
        make(STRICT, p521.secc.chain, key, [p521.oem_root])


@both
def test_missing_and_mismatched_files_are_named(
    p521: Site, p256: Site, tmp_path: Path, make: Callable[..., TlsEndpoint]
) -> None:
    with pytest.raises(TlsError, match=r"nothing\.key cannot be read"):
        make(STRICT, p521.secc.chain, tmp_path / "nothing.key", [p521.oem_root])
    with pytest.raises(TlsError, match=r"with key .* cannot be used"):
        make(STRICT, p521.secc.chain, p256.secc.key, [p521.oem_root])
    with pytest.raises(TlsError, match=r"trust anchor .*gone\.pem cannot be used"):
        make(STRICT, p521.secc.chain, p521.secc.key, [tmp_path / "gone.pem"])
    with pytest.raises(TlsError, match="no trust anchors"):
        make(STRICT, p521.secc.chain, p521.secc.key, [])


# ---- who the peer is ----


def leaf(
    authority: Authority,
    folder: Path,
    *,
    domain: str | None,
    ca: bool = False,
    usage: x509.KeyUsage | None = KEY_USAGE,
) -> CredentialFiles:
    """A certificate below a sub CA, with the traits that an honest one does not have."""
    issuer, curve = authority.credential, Curve.SECP521R1
    key = curve.generate()
    name = [x509.NameAttribute(NameOID.COMMON_NAME, "LEAF")]
    name += [x509.NameAttribute(NameOID.DOMAIN_COMPONENT, domain)] if domain else []
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(name))
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if usage is not None:
        builder = builder.add_extension(usage, critical=True)
    certificate = builder.sign(issuer.key, curve.digest)
    return write_credential(Credential(certificate, key, (issuer.certificate,)), folder, f"leaf-{domain}")


def agreed(
    site: Site, profile: TlsProfile, *, secc: CredentialFiles | None = None, vehicle: CredentialFiles | None = None
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """A handshake in which both sides trust both roots, so that nothing but the role tells them apart."""
    secc, vehicle = secc or site.secc, vehicle or site.vehicle
    anchors = [site.v2g_root, site.oem_root]
    return handshake(
        stdlib_server_context(profile, secc.chain, secc.key, anchors),
        client_context(profile, vehicle.chain, vehicle.key, anchors),
    )


@pytest.mark.parametrize("profile", [STRICT, COMPAT])
@pytest.mark.parametrize("domain", ["CPO", "MO", "CPS", "cpo"])
def test_a_leaf_of_another_role_is_no_vehicle(p521: Site, tmp_path: Path, profile: TlsProfile, domain: str) -> None:
    ours, _ = agreed(p521, profile, vehicle=leaf(p521.pki.cpo_sub_ca, tmp_path, domain=domain))
    with pytest.raises(TlsError, match=f"vehicle showed a certificate with domain component {domain.upper()}"):
        check_connection(profile, ours)


@pytest.mark.parametrize("profile", [STRICT, COMPAT])
def test_a_vehicle_cannot_pass_for_a_secc(p521: Site, profile: TlsProfile) -> None:
    ours, theirs = agreed(p521, profile, secc=p521.vehicle)
    check_connection(profile, ours)
    with pytest.raises(TlsError, match="SECC showed a certificate with domain component OEM"):
        check_connection(profile, theirs)


def test_a_secc_without_role_passes_in_compat_alone(p521: Site, tmp_path: Path) -> None:
    nameless = leaf(p521.pki.cpo_sub_ca, tmp_path, domain=None)
    check_connection(COMPAT, agreed(p521, COMPAT, secc=nameless)[1])
    with pytest.raises(TlsError, match="no domain component of ISO 15118"):
        check_connection(STRICT, agreed(p521, STRICT, secc=nameless)[1])


@pytest.mark.parametrize("profile", [STRICT, COMPAT])
def test_an_authority_identifies_nobody(p521: Site, tmp_path: Path, profile: TlsProfile) -> None:
    authority = leaf(p521.pki.oem_root, tmp_path, domain="OEM", ca=True)
    with pytest.raises(TlsError, match="certification authority"):
        check_connection(profile, agreed(p521, profile, vehicle=authority)[0])


@pytest.mark.parametrize(("profile", "accepted"), [(STRICT, False), (COMPAT, True)])
def test_key_usage_may_be_absent_in_compat_alone(
    p521: Site, tmp_path: Path, profile: TlsProfile, accepted: bool
) -> None:
    ours, _ = agreed(p521, profile, vehicle=leaf(p521.pki.oem_sub_ca, tmp_path, domain="OEM", usage=None))
    if accepted:
        check_connection(profile, ours)
    else:
        with pytest.raises(TlsError, match="digitalSignature"):
            check_connection(profile, ours)


class Shown:
    """A connection whose handshake is over, as far as the check looks at it."""

    server_side = True

    def __init__(self, der: bytes) -> None:
        self._der = der

    def version(self) -> str:
        return "TLSv1.3"

    def cipher(self) -> tuple[str, str, int]:
        return ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)

    def getpeercert(self, binary_form: bool) -> bytes:
        assert binary_form
        return self._der


def der_of(files: CredentialFiles) -> bytes:
    return ssl.PEM_cert_to_DER_cert(files.chain.read_text().split("-----END CERTIFICATE-----")[0] + END)


END = "-----END CERTIFICATE-----\n"


def test_a_key_that_may_not_sign_identifies_nobody(p521: Site, tmp_path: Path) -> None:
    usage = x509.KeyUsage(False, False, False, False, True, False, False, False, False)
    shown = Shown(der_of(leaf(p521.pki.oem_sub_ca, tmp_path, domain="OEM", usage=usage)))
    for profile in (STRICT, COMPAT):
        with pytest.raises(TlsError, match="digitalSignature"):
            check_connection(profile, shown)  # type: ignore[arg-type]


@pytest.mark.parametrize("tag", [0x09, 0x19], ids=["a real number as name", "a graphic string as name"])
def test_a_certificate_that_cannot_be_read_is_an_error_of_tls(p521: Site, tag: int) -> None:
    der = bytearray(der_of(p521.vehicle))
    name = der.rindex(b"WMIV1234567890ABCDEX")
    der[name - 2] = tag
    for ask in (lambda shown: check_connection(STRICT, shown), peer_identity):
        with pytest.raises(TlsError, match="the peer's certificate cannot be read"):
            ask(Shown(bytes(der)))  # type: ignore[arg-type]


# ---- which context serves which profile ----


def test_a_context_serves_the_profile_and_side_it_was_made_for(p521: Site) -> None:
    strict, compat = p521.server(STRICT), p521.server(COMPAT)
    check_context(STRICT, strict, server_side=True)
    check_context(COMPAT, compat, server_side=True)
    check_context(COMPAT, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), server_side=True)
    with pytest.raises(LocalProtocolError, match="made for profile compat, not for strict"):
        check_context(STRICT, compat, server_side=True)
    with pytest.raises(LocalProtocolError, match="made for profile strict, not for compat"):
        check_context(COMPAT, strict, server_side=True)
    with pytest.raises(LocalProtocolError, match="for the SECC"):
        check_context(STRICT, strict, server_side=False)
    with pytest.raises(LocalProtocolError, match=r"strict needs a context of server_context\(\)"):
        check_context(STRICT, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), server_side=True)


def test_our_openssl_configuration_brings_the_standards_lists(p521: Site, p256: Site) -> None:
    code = """
import ssl, sys
from pathlib import Path
from pyiso15118.security import *
assert openssl_conf_active()
p521, p256 = map(Path, sys.argv[1:])
strict = stdlib_server_context(TlsProfile.STRICT, p521/'secc.pem', p521/'secc.key', [p521/'oem_root.pem'])
compat = stdlib_server_context(TlsProfile.COMPAT, p256/'secc.pem', p256/'secc.key', [p256/'oem_root.pem'])
def handshake(server, client):
    a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
    s, c = server.wrap_bio(a, b, server_side=True), client.wrap_bio(b, a)
    for _ in range(6):
        for side in (c, s):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
    return s
askable = set()
def groups(server, profile, folder):
    served = set()
    for group in ('X448', 'secp521r1', 'prime256v1', 'X25519'):
        client = client_context(profile, folder/'vehicle.pem', folder/'vehicle.key', [folder/'v2g_root.pem'])
        try:
            client.set_ecdh_curve(group)
        except (ssl.SSLError, ValueError):
            continue  # some builds of Python know NIST curves only here
        askable.add(group)
        try:
            if handshake(server, client).version() == 'TLSv1.3':
                served.add(group)
        except ssl.SSLError:
            pass
    return served
found = groups(strict, TlsProfile.STRICT, p521)
assert found == {'secp521r1'}, found
found = groups(compat, TlsProfile.COMPAT, p256)
assert found == {'secp521r1', 'X448', 'prime256v1'} & askable, found
client = client_context(TlsProfile.COMPAT, p256/'vehicle.pem', p256/'vehicle.key', [p256/'v2g_root.pem'])
assert handshake(compat, client).version() == 'TLSv1.3'
assert not any('taken in the handshake' in gap for gap in describe_gaps(self_handshake(strict)))
ours = server_context(TlsProfile.STRICT, p521/'secc.pem', p521/'secc.key', [p521/'oem_root.pem'])
assert groups(ours, TlsProfile.STRICT, p521) == {'secp521r1', 'X448'} & askable
"""
    environment = os.environ | {"OPENSSL_CONF": str(openssl_conf_path())}
    arguments = [sys.executable, "-c", code, str(p521.v2g_root.parent), str(p256.v2g_root.parent)]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
