"""TLS whose private key is behind a call: handshakes in memory against ``ssl`` and against itself."""

from __future__ import annotations

import contextlib
import datetime
import gc
import ssl
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pyiso15118.security import (
    ChainError,
    ChainProblem,
    Curve,
    Pki,
    TlsEndpoint,
    TlsError,
    TlsObject,
    TlsProfile,
    check_connection,
    check_context,
    client_context,
    describe_gaps,
    libssl_callbacks,
    self_handshake,
    write_credential,
    write_trust_anchor,
)
from pyiso15118.security.libssl_callbacks import asked
from pyiso15118.security.tls_token import KeyUnavailable, KeyUnavailableInHandshake, TokenTlsConnection, TokenTlsContext
from support.elsewhere import signer_of

STRICT = TlsProfile.STRICT
UNSUCCESSFUL = bytes.fromhex("30030a0106")
"""The shortest OCSPResponse: unauthorized."""
WORDS = "our private key cannot be used: no token v2g: plug it in"


class Site:
    """Files of a SECC and of vehicles, and contexts of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        now = datetime.datetime.now(datetime.UTC)
        self.pki = pki = Pki(not_before=now - datetime.timedelta(hours=1))
        self.secc = write_credential(pki.secc("US*V2G*E1"), folder, "secc")
        self.vehicle = write_credential(pki.vehicle("WMIV1234567890ABCDEX"), folder, "vehicle")
        self.v2g = write_trust_anchor(pki.v2g_root, folder, "v2g")
        self.oem = write_trust_anchor(pki.oem_root, folder, "oem")
        self.stranger = Pki(not_before=now - datetime.timedelta(hours=1))

    def server(self, before: Callable[[], None] = lambda: None, **more: Any) -> TokenTlsContext:
        return TokenTlsContext(self.secc.chain, signer_of(self.secc.key, before), [self.oem], **more)

    def client(self) -> ssl.SSLContext:
        return client_context(STRICT, self.vehicle.chain, self.vehicle.key, [self.v2g])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


class Pair:
    """Both ends of a connection in memory."""

    def __init__(self, server: TokenTlsContext | ssl.SSLContext, client: TokenTlsContext | ssl.SSLContext) -> None:
        self.to_server, self.to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = server.wrap_bio(self.to_server, self.to_client, server_side=True)
        self.client = client.wrap_bio(self.to_client, self.to_server, server_side=False)

    def handshake(self) -> Pair:
        for _ in range(4):
            done = [self._step(self.client), self._step(self.server)]
            if all(done):
                return self
        raise AssertionError("the handshake does not end")

    @staticmethod
    def _step(end: TlsObject | ssl.SSLObject) -> bool:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True


def test_a_handshake_is_of_profile_strict_with_what_ssl_cannot_set(site: Site) -> None:
    pair = Pair(site.server(), site.client()).handshake()
    assert pair.server.version() == "TLSv1.3"
    assert pair.server.cipher() == ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)
    assert isinstance(pair.server, TokenTlsConnection)
    assert pair.server.group() == "secp521r1"
    check_connection(STRICT, pair.server)


def test_it_leaves_no_gap_but_one_chain_and_one_staple_for_it(site: Site) -> None:
    found = self_handshake(site.server(staple=lambda: UNSUCCESSFUL))
    assert found.groups == ("secp521r1", "x448")
    assert found.taken == ()
    assert (found.certificate_required, found.p256_asked, found.stapled, found.authorities) == (True, False, True, 1)
    assert len(describe_gaps(found)) == 2
    assert describe_gaps(found)[0].startswith("an OCSP response is stapled for our leaf alone")
    assert describe_gaps(found)[1].endswith("there is one, which every vehicle is shown")


def test_context_and_connection_are_what_the_profile_takes(site: Site) -> None:
    context = site.server()
    assert isinstance(context, TlsEndpoint)
    assert isinstance(Pair(context, site.client()).server, TlsObject)
    check_context(STRICT, context, server_side=True)


def test_before_the_handshake_nothing_is_known_of_it(site: Site) -> None:
    server = Pair(site.server(), site.client()).server
    assert isinstance(server, TokenTlsConnection)
    assert (server.version(), server.cipher(), server.group(), server.validated) == (None, None, None, None)


def test_the_calls_that_openssl_keeps_are_made_by_one_thread_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=0.1)

    def make() -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait()
            met.append(True)

    met: list[bool] = []
    monkeypatch.setattr(libssl_callbacks, "_callbacks", make)
    threads = [threading.Thread(target=libssl_callbacks.callbacks) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met == []


def test_both_sides_may_have_their_key_elsewhere(site: Site) -> None:
    client = TokenTlsContext(site.vehicle.chain, signer_of(site.vehicle.key), [site.v2g], server_side=False)
    pair = Pair(site.server(), client).handshake()
    secc = x509.load_der_x509_certificate(pair.client.getpeercert(True))
    assert secc.subject == x509.load_pem_x509_certificates(site.secc.chain.read_bytes())[0].subject


def test_the_peer_is_told_with_its_whole_chain(site: Site) -> None:
    pair = Pair(site.server(), site.client()).handshake()
    assert isinstance(pair.server, TokenTlsConnection)
    shown = [x509.load_der_x509_certificate(der) for der in pair.server.get_unverified_chain()]
    sent = x509.load_pem_x509_certificates(site.vehicle.chain.read_bytes())
    assert shown[: len(sent)] == sent
    assert pair.server.getpeercert(True) == pair.server.get_unverified_chain()[0]
    assert pair.server.validated is not None


def test_data_of_any_size_goes_both_ways(site: Site) -> None:
    pair = Pair(site.server(), site.client()).handshake()
    sent = bytes(range(256)) * 400
    assert pair.server.write(memoryview(sent)) == len(sent)
    received = b""
    while len(received) < len(sent):
        received += pair.client.read(16_384)
    assert received == sent
    pair.client.write(b"a")
    pair.client.write(b"b")
    assert pair.server.read(16_384) == b"a"
    assert pair.server.pending() > 0
    assert pair.server.read(16_384) == b"b"
    assert pair.server.pending() == 0
    with pytest.raises(ssl.SSLWantReadError):
        pair.server.read(16_384)
    assert pair.server.write(b"") == 0


def test_a_close_is_said_and_awaited(site: Site) -> None:
    pair = Pair(site.server(), site.client()).handshake()
    with pytest.raises(ssl.SSLWantReadError):
        pair.server.unwrap()
    assert pair.client.read(10) == b""
    pair.client.unwrap()
    pair.server.unwrap()
    with pytest.raises(ssl.SSLZeroReturnError):
        pair.server.read(10)


def test_a_peer_that_goes_without_a_word_is_an_end_of_stream(site: Site) -> None:
    pair = Pair(site.server(), site.client()).handshake()
    pair.to_server.write_eof()
    with pytest.raises(ssl.SSLEOFError):
        pair.server.read(10)


def test_bytes_that_are_no_tls_are_refused(site: Site) -> None:
    pair = Pair(site.server(), site.client())
    pair.to_server.write(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(ssl.SSLError, match=r"\[SSL: HTTP_REQUEST\]"):
        pair.server.do_handshake()


# ---- our key ----


def gone() -> None:
    raise KeyUnavailable(WORDS)


def test_without_our_key_the_handshake_fails_with_its_words_and_an_alert(site: Site) -> None:
    pair = Pair(site.server(gone), site.client())
    with pytest.raises(KeyUnavailableInHandshake) as failed:
        pair.handshake()
    assert str(failed.value) == WORDS
    with pytest.raises(ssl.SSLError, match="INTERNAL_ERROR"):
        pair.client.do_handshake()


def test_a_proof_without_our_key_tells_of_the_key_and_of_nothing_else(site: Site) -> None:
    with pytest.raises(TlsError) as failed:
        self_handshake(site.server(gone))
    assert str(failed.value) == WORDS


def test_the_key_may_come_back_between_two_handshakes(site: Site) -> None:
    away = True

    def sometimes() -> None:
        if away:
            gone()

    context = site.server(sometimes)
    with pytest.raises(KeyUnavailableInHandshake):
        Pair(context, site.client()).handshake()
    away = False
    Pair(context, site.client()).handshake()


def test_a_session_that_runs_needs_the_key_no_more(site: Site) -> None:
    signatures: list[int] = []

    def once() -> None:
        if signatures:
            gone()
        signatures.append(1)

    context = site.server(once)
    pair = Pair(context, site.client()).handshake()
    with pytest.raises(KeyUnavailableInHandshake):
        Pair(context, site.client()).handshake()
    pair.client.write(b"still here")
    assert pair.server.read(100) == b"still here"


@pytest.mark.parametrize("made", [b"", b"x" * 200])
def test_what_is_no_signature_by_its_length_is_never_copied(site: Site, made: bytes) -> None:
    context = TokenTlsContext(site.secc.chain, lambda digest: made, [site.oem])
    with pytest.raises(KeyUnavailableInHandshake, match=f"{len(made)} bytes"):
        Pair(context, site.client()).handshake()


def test_a_signature_of_another_key_is_noticed_by_the_vehicle(site: Site) -> None:
    context = TokenTlsContext(site.secc.chain, signer_of(site.vehicle.key), [site.oem])
    with pytest.raises(ssl.SSLError, match="BAD_SIGNATURE"):
        Pair(context, site.client()).handshake()


def test_a_fault_of_our_own_in_the_call_fails_one_handshake_and_says_what(site: Site) -> None:
    def fault() -> None:
        raise ZeroDivisionError("oh")

    with pytest.raises(KeyUnavailableInHandshake, match=r"does not sign: ZeroDivisionError\('oh'\)"):
        Pair(site.server(fault), site.client()).handshake()


def test_what_is_signed_is_a_digest_of_sha_512(site: Site) -> None:
    lengths: list[int] = []
    sign = signer_of(site.secc.key)

    def watched(digest: bytes) -> bytes:
        lengths.append(len(digest))
        return sign(digest)

    Pair(TokenTlsContext(site.secc.chain, watched, [site.oem]), site.client()).handshake()
    assert lengths == [64]


def test_other_threads_run_while_the_key_signs(site: Site) -> None:
    signing, seen = threading.Event(), threading.Event()

    def waits() -> None:
        signing.set()
        assert seen.wait(5.0)

    worker = threading.Thread(target=lambda: Pair(site.server(waits), site.client()).handshake())
    worker.start()
    # Would OpenSSL or the call hold the interpreter, this thread could not set what the other one waits for.
    assert signing.wait(5.0)
    seen.set()
    worker.join(5.0)
    assert not worker.is_alive()


def test_handshakes_on_several_threads_keep_their_failures_apart(site: Site) -> None:
    good, bad = site.server(lambda: time.sleep(0.001)), site.server(gone)
    results: dict[int, str] = {}

    def run(number: int) -> None:
        try:
            Pair(bad if number % 2 else good, site.client()).handshake()
            results[number] = "done"
        except KeyUnavailableInHandshake as error:
            results[number] = str(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10.0)
    assert results == {number: WORDS if number % 2 else "done" for number in range(8)}


# ---- the vehicle ----


def test_a_vehicle_without_a_certificate_is_refused(site: Site) -> None:
    anonymous = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anonymous.check_hostname = False
    anonymous.load_verify_locations(site.v2g)
    anonymous.set_ecdh_curve("secp521r1")
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        Pair(site.server(), anonymous).handshake()


def test_a_vehicle_of_an_unknown_root_is_refused(site: Site, tmp_path: Path) -> None:
    other = write_credential(site.stranger.vehicle("WMIV0000000000000000"), tmp_path, "other")
    client = client_context(STRICT, other.chain, other.key, [site.v2g])
    with pytest.raises(ssl.SSLCertVerificationError, match="issuer certificate") as refused:
        Pair(site.server(), client).handshake()
    assert refused.value.verify_code in (19, 20)


def test_a_contract_is_no_vehicle_and_the_vehicle_is_told_in_the_handshake(site: Site, tmp_path: Path) -> None:
    contract = write_credential(site.pki.contract("USV2GC123456786"), tmp_path, "contract")
    mo_root = write_trust_anchor(site.pki.mo_root, tmp_path, "mo")
    client = client_context(STRICT, contract.chain, contract.key, [site.v2g])
    server = TokenTlsContext(site.secc.chain, signer_of(site.secc.key), [site.oem, mo_root])
    pair = Pair(server, client)
    with pytest.raises(ssl.SSLCertVerificationError, match="the vehicle's certificate chain is refused"):
        pair.handshake()
    with pytest.raises(ssl.SSLError, match="ALERT"):
        pair.client.read(1)


def test_a_revoked_vehicle_is_refused_with_the_reason(site: Site) -> None:
    def revoked(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        raise ChainError(ChainProblem.REVOKED, "revoked since 2026-01-01 by key compromise")

    with pytest.raises(ssl.SSLCertVerificationError, match="revoked since 2026-01-01 by key compromise"):
        Pair(site.server(is_revoked=revoked), site.client()).handshake()


def test_a_fault_in_judging_refuses_the_vehicle(site: Site) -> None:
    def fault(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        raise ZeroDivisionError("oh")

    with pytest.raises(ssl.SSLCertVerificationError, match="cannot be judged: oh"):
        Pair(site.server(is_revoked=fault), site.client()).handshake()


def test_no_session_is_resumed(site: Site) -> None:
    context, client = site.server(), site.client()
    pair = Pair(context, client).handshake()
    pair.server.write(b"x")
    pair.client.read(1)
    assert pair.client.session is None or not pair.client.session.has_ticket
    again = Pair(context, client)
    again.client = client.wrap_bio(again.to_client, again.to_server, session=pair.client.session)
    again.handshake()
    assert again.client.session_reused is False


# ---- files that cannot be used ----


def test_a_chain_with_a_key_of_another_kind_is_refused(site: Site, tmp_path: Path) -> None:
    other = Pki(not_before=datetime.datetime.now(datetime.UTC), curve=Curve.SECP256R1)
    chain = write_credential(other.secc("US*V2G*E1"), tmp_path, "secc").chain
    with pytest.raises(TlsError, match=f"{chain} has a secp256r1 key: a key on a token is one of secp521r1"):
        TokenTlsContext(chain, lambda digest: b"", [site.oem])


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_chain_that_is_none_is_named(site: Site, tmp_path: Path, content: bytes | None) -> None:
    chain = tmp_path / "chain.pem"
    if content is not None:
        chain.write_bytes(content)
    with pytest.raises(TlsError, match=f"certificate chain {chain} cannot be"):
        TokenTlsContext(chain, lambda digest: b"", [site.oem])


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_trust_anchors_that_are_none_are_named(site: Site, tmp_path: Path, content: bytes | None) -> None:
    anchor = tmp_path / "trust.pem"
    if content is not None:
        anchor.write_bytes(content)
    with pytest.raises(TlsError, match=f"trust anchor {anchor} cannot be"):
        TokenTlsContext(site.secc.chain, lambda digest: b"", [anchor])


def test_without_trust_anchors_there_is_no_context(site: Site) -> None:
    with pytest.raises(TlsError, match="no trust anchors"):
        TokenTlsContext(site.secc.chain, lambda digest: b"", [])


# ---- memory ----


def test_nothing_is_left_of_a_context_but_while_its_sessions_last(site: Site) -> None:
    gc.collect()
    before = len(asked)
    context = site.server()
    pair = Pair(context, site.client()).handshake()
    gone = weakref.ref(context)
    del context
    gc.collect()
    pair.client.write(b"still here")
    assert pair.server.read(100) == b"still here"
    assert len(asked) == before + 1
    del pair
    gc.collect()
    assert gone() is None
    assert len(asked) == before


def test_the_answer_to_a_request_for_a_binary_certificate_only_is_given(site: Site) -> None:
    pair = Pair(site.server(), site.client())
    with pytest.raises(ValueError, match="not done yet"):
        pair.server.getpeercert(True)
    pair.handshake()
    with pytest.raises(ValueError, match="binary form"):
        pair.server.getpeercert()
    key = x509.load_der_x509_certificate(pair.server.getpeercert(True)).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)


def test_a_context_serves_the_side_that_it_was_made_for(site: Site) -> None:
    with pytest.raises(ValueError, match="server_side=True"):
        site.server().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=False)
