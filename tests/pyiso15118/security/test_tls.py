"""TLS profiles: what is agreed, what is refused and with which words."""

import datetime
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from pyiso15118.security import (
    Curve,
    Pki,
    TlsError,
    TlsProfile,
    check_connection,
    client_context,
    describe_gaps,
    openssl_conf_active,
    openssl_conf_path,
    peer_identity,
    server_context,
    write_credential,
    write_trust_anchor,
)

STRICT, COMPAT = TlsProfile.STRICT, TlsProfile.COMPAT


class Site:
    """Files of one PKI and contexts made from them."""

    def __init__(self, folder: Path, curve: Curve) -> None:
        pki = Pki(not_before=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1), curve=curve)
        self.secc = write_credential(pki.secc("US*V2G*E1"), folder, "secc")
        self.vehicle = write_credential(pki.vehicle("WMIV1234567890ABCDEX"), folder, "vehicle")
        self.v2g_root = write_trust_anchor(pki.v2g_root, folder, "v2g_root")
        self.oem_root = write_trust_anchor(pki.oem_root, folder, "oem_root")

    def server(self, profile: TlsProfile) -> ssl.SSLContext:
        return server_context(profile, self.secc.chain, self.secc.key, [self.oem_root])

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
    server = server_context(STRICT, p521.secc.chain, p521.secc.key, [p256.oem_root])
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
        server_context(STRICT, p521.secc.chain, p521.secc.key, [p521.oem_root], require_client_certificate=False)


def test_compat_may_take_vehicles_without_certificate_if_told(p256: Site) -> None:
    server = server_context(COMPAT, p256.secc.chain, p256.secc.key, [p256.oem_root], require_client_certificate=False)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(p256.v2g_root)
    ours, _ = handshake(server, client)
    check_connection(COMPAT, ours)
    assert peer_identity(ours) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_open_to_others_is_refused_with_the_remedy(p521: Site, tmp_path: Path, mode: int) -> None:
    key = tmp_path / "open.key"
    key.write_bytes(p521.secc.key.read_bytes())
    key.chmod(mode)
    with pytest.raises(TlsError, match=f"chmod 600 {key}"):
        server_context(STRICT, p521.secc.chain, key, [p521.oem_root])


def test_missing_and_mismatched_files_are_named(p521: Site, p256: Site, tmp_path: Path) -> None:
    with pytest.raises(TlsError, match=r"nothing\.key cannot be read"):
        server_context(STRICT, p521.secc.chain, tmp_path / "nothing.key", [p521.oem_root])
    with pytest.raises(TlsError, match=r"with key .* cannot be used"):
        server_context(STRICT, p521.secc.chain, p256.secc.key, [p521.oem_root])
    with pytest.raises(TlsError, match=r"trust anchor .*gone\.pem cannot be used"):
        server_context(STRICT, p521.secc.chain, p521.secc.key, [tmp_path / "gone.pem"])
    with pytest.raises(TlsError, match="no trust anchors"):
        server_context(STRICT, p521.secc.chain, p521.secc.key, [])


def test_gaps_are_said_plainly() -> None:
    strict, compat = " ".join(describe_gaps(STRICT)), " ".join(describe_gaps(COMPAT))
    assert ("x448" in strict) is not openssl_conf_active()
    assert "OCSP" in strict
    assert "P-256" in compat


def test_our_openssl_configuration_brings_the_standards_lists(p521: Site, p256: Site) -> None:
    code = """
import ssl, sys
from pathlib import Path
from pyiso15118.security import *
assert openssl_conf_active()
p521, p256 = map(Path, sys.argv[1:])
strict = server_context(TlsProfile.STRICT, p521/'secc.pem', p521/'secc.key', [p521/'oem_root.pem'])
compat = server_context(TlsProfile.COMPAT, p256/'secc.pem', p256/'secc.key', [p256/'oem_root.pem'])
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
for group, expected in (('X448', True), ('secp521r1', True), ('prime256v1', False), ('X25519', False)):
    client = client_context(TlsProfile.STRICT, p521/'vehicle.pem', p521/'vehicle.key', [p521/'v2g_root.pem'])
    client.set_ecdh_curve(group)
    try:
        agreed = handshake(strict, client).version() == 'TLSv1.3'
    except ssl.SSLError:
        agreed = False
    assert agreed is expected, group
client = client_context(TlsProfile.COMPAT, p256/'vehicle.pem', p256/'vehicle.key', [p256/'v2g_root.pem'])
assert handshake(compat, client).version() == 'TLSv1.3'
assert not any('x448' in gap for gap in describe_gaps(TlsProfile.STRICT))
"""
    environment = os.environ | {"OPENSSL_CONF": str(openssl_conf_path())}
    arguments = [sys.executable, "-c", code, str(p521.v2g_root.parent), str(p256.v2g_root.parent)]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
