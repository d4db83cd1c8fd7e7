"""The SECC's TLS by pyOpenSSL: what it takes and refuses during the handshake, and how it behaves as ``ssl`` does."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from pyiso15118.security import (
    Credential,
    Curve,
    IsRevoked,
    JudgedAt,
    TlsEndpoint,
    TlsObject,
    TlsProfile,
    check_connection,
    client_context,
    peer_identity,
    write_credential,
)
from pyiso15118.security.tls_openssl import _RecordCount
from support.tls_vehicle import EVCCID, NOW, Client, Faulty, Site, say

STRICT, COMPAT = TlsProfile.STRICT, TlsProfile.COMPAT


@pytest.fixture(scope="module")
def p521(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("p521"))


@pytest.fixture(scope="module")
def p256(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("p256"), Curve.SECP256R1)


# ---- what is agreed ----


@pytest.mark.parametrize("group", ["secp521r1", "X448"])
@pytest.mark.parametrize("suite", ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"])
def test_each_group_and_each_suite_of_the_standard_is_enough(p521: Site, group: str, suite: str) -> None:
    client = Client(p521.vehicle, groups=[group], suites=suite)
    ours = client.meet(p521.server())
    check_connection(STRICT, ours)
    assert ours.group() == group.lower()
    assert ours.cipher() == (suite, "TLSv1.3", 256)
    assert ours.version() == "TLSv1.3"
    identity = peer_identity(ours)
    assert identity is not None
    assert identity.common_name == EVCCID
    assert ours.validated is not None
    assert ours.validated.common_name == EVCCID


def test_ed448_certificates_are_taken_on_both_sides(tmp_path: Path) -> None:
    site = Site(tmp_path, Curve.ED448)
    ours = Client(site.vehicle, groups=["X448"], signatures=["ed448"]).meet(site.server())
    check_connection(STRICT, ours)
    assert ours.validated is not None


def test_the_vehicles_chain_is_told_leaf_first(p521: Site) -> None:
    ours = Client(p521.vehicle).meet(p521.server())
    assert tuple(ours.get_unverified_chain()) == p521.vehicle.chain_der()


def test_the_stations_own_groups_come_first_where_the_vehicle_would_rather_have_others(p521: Site) -> None:
    ours = Client(p521.vehicle, groups=["X25519", "prime256v1", "X448"]).meet(p521.server())
    assert ours.group() == "x448"


def test_a_station_names_the_roots_it_trusts(p521: Site) -> None:
    client = Client(p521.vehicle)
    client.meet(p521.server(anchors=[p521.oem_root, p521.v2g_root]))
    named = client.tls.get_client_ca_list(as_cryptography=True)
    assert named == [c.credential.certificate.subject for c in (p521.pki.oem_root, p521.pki.v2g_root)]


def ocsp_response(site: Site, hours: int) -> bytes:
    """That our leaf is good, as its authority says."""
    authority = site.pki.cpo_sub_ca.credential
    leaf = x509.load_pem_x509_certificate(site.secc.chain.read_bytes())
    until = NOW + datetime.timedelta(hours=hours)
    good, sha256 = ocsp.OCSPCertStatus.GOOD, hashes.SHA256()
    builder = ocsp.OCSPResponseBuilder().add_response(leaf, authority.certificate, sha256, good, NOW, until, None, None)
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, authority.certificate)
    return builder.sign(authority.key, site.pki.curve.digest).public_bytes(Encoding.DER)


def test_what_the_owner_gives_is_stapled_as_it_is_at_that_moment(p521: Site) -> None:
    first, second = ocsp_response(p521, 1), ocsp_response(p521, 2)
    given: list[bytes | None] = [first, None, second]
    server = p521.server(staple=lambda: given.pop(0))
    told = []
    for _ in range(3):
        client = Client(p521.vehicle)
        client.meet(server)
        told.append(client.staple)
    assert told == [first, b"", second]


def test_what_is_no_ocsp_response_is_not_stapled_and_keeps_no_vehicle_away(p521: Site) -> None:
    client = Client(p521.vehicle)
    client.meet(p521.server(staple=lambda: b"no response"))
    assert client.staple == b""


def test_an_owner_that_fails_to_give_a_response_keeps_no_vehicle_away(p521: Site) -> None:
    def broken() -> bytes:
        raise OSError("responder gone")

    client = Client(p521.vehicle)
    client.meet(p521.server(staple=broken))
    assert client.staple == b""


# ---- what is refused during the handshake, with which alert ----


@pytest.mark.parametrize(
    ("offer", "alert", "said"),
    [
        ({"newest": SSL.TLS1_2_VERSION}, "protocol version", "offers no TLS 1.3"),
        ({"suites": "TLS_AES_128_GCM_SHA256"}, "handshake failure", "no suite of the profile strict"),
        ({"groups": ["prime256v1"]}, "handshake failure", "no group of the profile strict"),
        ({"groups": ["X25519", "secp384r1"]}, "handshake failure", "no group of the profile strict"),
        ({"signatures": ["ecdsa_secp256r1_sha256"]}, "handshake failure", "no signature"),
        ({"signatures": ["ecdsa_secp384r1_sha384", "ed25519"]}, "handshake failure", "no signature"),
    ],
)
def test_strict_refuses_whoever_offers_nothing_of_it(p521: Site, offer: dict[str, Any], alert: str, said: str) -> None:
    client = Client(p521.vehicle, **offer)
    with pytest.raises(ssl.SSLError, match=said):
        client.meet(p521.server())
    assert client.alert == alert


def test_strict_refuses_a_vehicle_without_a_certificate(p521: Site) -> None:
    client = Client()
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        client.meet(p521.server())
    assert client.alert == "certificate required"


def test_strict_tells_vehicles_that_p256_is_no_signature_so_they_show_none(p521: Site, p256: Site) -> None:
    client = Client(p256.vehicle)
    with pytest.raises(ssl.SSLError, match="none of a kind that the profile strict takes"):
        client.meet(p521.server(anchors=[p256.oem_root]))
    assert client.alert == "certificate required"


def test_compat_takes_p256_and_vehicles_without_a_certificate(p256: Site) -> None:
    server = p256.server(COMPAT, require_client_certificate=False)
    ours = Client(p256.vehicle, groups=["prime256v1"], signatures=["ecdsa_secp256r1_sha256"]).meet(server)
    check_connection(COMPAT, ours)
    assert ours.group() == "secp256r1"
    nameless = Client().meet(server)
    check_connection(COMPAT, nameless)
    assert peer_identity(nameless) is None
    assert nameless.get_unverified_chain() == []


def test_compat_takes_a_provisioning_certificate_and_strict_does_not_tell_it_from_a_vehicles(p256: Site) -> None:
    ours = Client(p256.pki.provisioning("PCID1")).meet(p256.server(COMPAT))
    assert ours.validated is not None


@pytest.fixture
def faulty(p521: Site) -> Faulty:
    return Faulty(p521.pki)


@pytest.mark.parametrize(
    ("make", "alert", "said"),
    [
        (Faulty.expired, "certificate expired", "it has expired"),
        (Faulty.not_yet_valid, "bad certificate", "it is not valid yet"),
        (Faulty.self_signed, "unknown ca", "self-signed and no trust anchor"),
        (Faulty.authority, "unsupported certificate", "not for a TLS client"),
        (Faulty.no_signature_usage, "bad certificate", "not that of a vehicle certificate"),
        (Faulty.server_only, "unsupported certificate", "not for a TLS client"),
        (lambda f: f.of_role("MO"), "bad certificate", "domain component MO: not a vehicle"),
        (lambda f: f.of_role("CPO"), "bad certificate", "domain component CPO: not a vehicle"),
        (Faulty.too_long, "bad certificate", "longer than 3 authorities"),
        (Faulty.p256_authority, "bad certificate", "secp256r1"),
    ],
    ids=[
        "expired",
        "not yet",
        "self-signed",
        "CA",
        "no digitalSignature",
        "serverAuth",
        "MO",
        "CPO",
        "long",
        "P-256 CA",
    ],
)
def test_chains_that_no_vehicle_should_show_are_refused_with_an_alert_that_fits(
    p521: Site, faulty: Faulty, make: Callable[[Faulty], Credential], alert: str, said: str
) -> None:
    client = Client(make(faulty))
    with pytest.raises(ssl.SSLCertVerificationError, match=said):
        client.meet(p521.server())
    assert client.alert == alert


def test_a_chain_without_its_intermediate_is_refused(p521: Site) -> None:
    client = Client(p521.vehicle, chain=())
    with pytest.raises(ssl.SSLCertVerificationError, match="the chain is incomplete"):
        client.meet(p521.server())
    assert client.alert == "unknown ca"


def test_a_vehicle_of_an_unknown_maker_is_refused(p521: Site, tmp_path: Path) -> None:
    client = Client(Site(tmp_path).vehicle)
    with pytest.raises(ssl.SSLCertVerificationError, match="no trust anchor"):
        client.meet(p521.server())


def test_pointers_to_revocation_data_may_be_critical_as_the_standard_has_them(p521: Site, faulty: Faulty) -> None:
    """RFC 5280 and OpenSSL by itself want them not to be."""
    url = x509.UniformResourceIdentifier("http://ocsp.example")
    pointer = x509.AuthorityInformationAccess(
        [x509.AccessDescription(x509.oid.AuthorityInformationAccessOID.OCSP, url)]
    )
    ours = Client(replace(faulty.leaf, critical=(pointer,)).make()).meet(p521.server())
    assert ours.validated is not None


def test_a_critical_extension_that_nobody_knows_is_refused(p521: Site, faulty: Faulty) -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    with pytest.raises(ssl.SSLCertVerificationError):
        Client(replace(faulty.leaf, critical=(unknown,)).make()).meet(p521.server())


# ---- revocation, and the clock ----


def revoking(*revoked: x509.Certificate, asked: list[tuple[str, str]] | None = None) -> IsRevoked:
    def is_revoked(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        if asked is not None:
            asked.append((certificate.subject.rfc4514_string(), issuer.subject.rfc4514_string()))
        return certificate in revoked

    return is_revoked


def test_each_certificate_of_the_path_is_asked_about_with_its_issuer(p521: Site) -> None:
    asked: list[tuple[str, str]] = []
    Client(p521.vehicle).meet(p521.server(is_revoked=revoking(asked=asked)))
    leaf, sub, root = (
        c.subject.rfc4514_string()
        for c in (*(p521.vehicle.certificate, *p521.vehicle.chain), p521.pki.oem_root.credential.certificate)
    )
    assert asked == [(leaf, sub), (sub, root)]


@pytest.mark.parametrize("position", [0, 1])
def test_a_revoked_certificate_anywhere_in_the_path_refuses_the_vehicle(p521: Site, position: int) -> None:
    revoked = (p521.vehicle.certificate, *p521.vehicle.chain)[position]
    client = Client(p521.vehicle)
    with pytest.raises(ssl.SSLCertVerificationError, match="is revoked"):
        client.meet(p521.server(is_revoked=revoking(revoked)))
    assert client.alert == "certificate revoked"


def test_a_check_of_revocation_that_fails_refuses_that_vehicle_and_the_next_is_served(p521: Site) -> None:
    answers: list[Any] = [RuntimeError("responder gone"), False, False]

    def is_revoked(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)

    server = p521.server(is_revoked=is_revoked)
    with pytest.raises(ssl.SSLCertVerificationError, match="cannot be judged: responder gone"):
        Client(p521.vehicle).meet(server)
    assert Client(p521.vehicle).meet(server).validated is not None


def test_while_the_clock_may_be_behind_nobody_is_refused_for_not_being_valid_yet(p521: Site, faulty: Faulty) -> None:
    early = (NOW - datetime.timedelta(days=3)).timestamp()
    server = p521.server(judged_at=lambda: JudgedAt(early, not_before_counts=False))
    assert Client(faulty.not_yet_valid()).meet(server).validated is not None
    with pytest.raises(ssl.SSLCertVerificationError, match="has expired"):
        Client(faulty.expired()).meet(server)


def test_handshakes_on_several_threads_do_not_get_each_others_verdicts(p521: Site, faulty: Faulty) -> None:
    revoked = p521.pki.vehicle("REVOKED")
    server = p521.server(is_revoked=revoking(revoked.certificate))
    cases = {
        "": p521.vehicle,
        "certificate revoked": revoked,
        "bad certificate": faulty.of_role("MO"),
        "certificate expired": faulty.expired(),
    }

    def meet(alert: str) -> tuple[str, str]:
        client = Client(cases[alert])
        try:
            ours = client.meet(server)
        except ssl.SSLCertVerificationError:
            return alert, client.alert
        assert ours.validated is not None
        return alert, ""

    with ThreadPoolExecutor(4) as workers:
        found = list(workers.map(meet, list(cases) * 20))
    assert all(expected == got for expected, got in found)


# ---- no session is resumed ----


def test_a_session_offered_again_is_not_resumed(p521: Site, tmp_path: Path) -> None:
    vehicle = write_credential(p521.vehicle, tmp_path, "vehicle")
    client = client_context(STRICT, vehicle.chain, vehicle.key, [p521.v2g_root])
    server = p521.server()

    def meet(session: ssl.SSLSession | None = None) -> ssl.SSLSession:
        a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
        ours = server.wrap_bio(a, b, server_side=True)
        theirs = client.wrap_bio(b, a, session=session)
        for _ in range(5):
            for side in (theirs, ours):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        ours.write(b"response")
        assert theirs.read(100) == b"response"
        assert not theirs.session_reused
        check_connection(STRICT, ours)
        assert theirs.session is not None
        return theirs.session

    meet(meet(meet()))


# ---- as ssl.SSLObject ----


def test_bytes_that_are_no_tls_are_refused(p521: Site) -> None:
    for nonsense in (b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\x16\x03\x01\xff\xff" + b"x" * 200):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = p521.server().wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(nonsense)
        with pytest.raises(ssl.SSLError):
            tls.do_handshake()


def hello(site: Site) -> bytes:
    client = Client(site.vehicle)
    with pytest.raises(SSL.WantReadError):
        client.tls.do_handshake()
    return client.tls.bio_read(65_536)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_client_hello_changed_anywhere_raises_nothing_but_errors_of_tls(p521: Site, data: st.DataObject) -> None:
    original = bytearray(hello(p521))
    for position in data.draw(st.lists(st.integers(0, len(original) - 1), min_size=1, max_size=6)):
        original[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(original)))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = p521.server().wrap_bio(incoming, outgoing, server_side=True)
    for piece in (original[:cut], original[cut:]):
        incoming.write(piece)
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError:
            break
    assert tls.getpeercert(True) is None


def test_several_records_at_once_are_read_one_by_one_and_pending_tells_of_the_next(p521: Site) -> None:
    client = Client(p521.vehicle)
    ours = client.meet(p521.server())
    for piece in (b"one", b"two", b"three"):
        say(client, ours, piece)
    told = [ours.read(100)]
    while ours.pending():
        try:
            told.append(ours.read(100))
        except ssl.SSLWantReadError:
            break
    assert told == [b"one", b"two", b"three"]
    assert ours.pending() == 0


def test_a_record_larger_than_what_is_asked_for_is_read_in_pieces(p521: Site) -> None:
    client = Client(p521.vehicle)
    ours = client.meet(p521.server())
    say(client, ours, b"0123456789")
    assert [ours.read(4), ours.read(4), ours.read(4)] == [b"0123", b"4567", b"89"]
    with pytest.raises(ssl.SSLWantReadError):
        ours.read(4)


def test_writing_nothing_writes_nothing_and_much_goes_in_records(p521: Site) -> None:
    ours = Client(p521.vehicle).meet(p521.server())
    assert ours.write(b"") == 0
    assert ours.write(memoryview(bytes(40_000))) == 16_384


def test_a_peer_that_closes_is_an_empty_read_and_after_our_own_word_an_end(p521: Site) -> None:
    client = Client(p521.vehicle)
    ours = client.meet(p521.server())
    client.tls.shutdown()
    ours._incoming.write(client.tls.bio_read(65_536))
    assert ours.read(10) == b""
    client = Client(p521.vehicle)
    ours = client.meet(p521.server())
    with pytest.raises(ssl.SSLWantReadError):
        ours.unwrap()
    client.tls.shutdown()
    ours._incoming.write(client.tls.bio_read(65_536))
    with pytest.raises(ssl.SSLZeroReturnError):
        ours.read(10)


def test_a_context_is_for_one_side_and_connections_are_of_the_kind_that_streams_take(p521: Site) -> None:
    server = p521.server()
    assert isinstance(server, TlsEndpoint)
    assert isinstance(server.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True), TlsObject)
    with pytest.raises(ValueError, match="for the SECC"):
        server.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())


@given(
    records=st.lists(st.integers(0, 300), max_size=8),
    cuts=st.lists(st.integers(0, 2500), max_size=6),
    rest=st.binary(max_size=4),
)
def test_records_are_counted_however_the_stream_is_cut(records: list[int], cuts: list[int], rest: bytes) -> None:
    stream = b"".join(b"\x17\x03\x03" + size.to_bytes(2) + bytes(size) for size in records) + rest
    count = _RecordCount()
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    for begin, end in pairwise(edges):
        count.feed(stream[begin:end])
    assert count.complete == len(records)
