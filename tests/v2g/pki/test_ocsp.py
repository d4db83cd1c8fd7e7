"""OCSP answers: whose are believed, about whom, and for how long."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from support.authority import CN, DAY_S, TestAuthority, name, responder_at
from v2g.pki.ocsp import LARGEST_ANSWER, OcspAnswer, OcspError, build_question, read_answer, responder_url
from v2g.pki.revocation import Verdict

AT = 1_800_000_000.0
NONCE = b"n" * 32
URL = "http://ocsp.example/v2g"


@pytest.fixture(scope="module")
def sub() -> TestAuthority:
    return TestAuthority("OEM Sub CA", AT, issuer=TestAuthority("OEM Root", AT))


@pytest.fixture(scope="module")
def leaf(sub: TestAuthority) -> x509.Certificate:
    return sub.leaf(
        name((CN, "WMIV1")), ec.generate_private_key(ec.SECP256R1()).public_key(), extensions=[responder_at(URL)]
    )


def read(der: bytes, leaf: x509.Certificate, sub: TestAuthority, at: float = AT, **options: Any) -> OcspAnswer:
    return read_answer(der, leaf, sub.certificate, at_unix_s=at, **options)


def refusal(der: bytes, leaf: x509.Certificate, sub: TestAuthority, at: float = AT, **options: Any) -> str:
    with pytest.raises(OcspError) as caught:
        read(der, leaf, sub, at, **options)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_the_question_is_about_the_certificate_and_holds_the_nonce(sub: TestAuthority, leaf: x509.Certificate) -> None:
    asked = ocsp.load_der_ocsp_request(build_question(leaf, sub.certificate, NONCE))
    assert asked.serial_number == leaf.serial_number
    assert asked.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == NONCE


def test_the_responder_is_the_one_that_the_certificate_names(sub: TestAuthority, leaf: x509.Certificate) -> None:
    assert responder_url(leaf) == URL
    assert responder_url(sub.certificate) == ""
    ldap = sub.leaf(name((CN, "x")), sub.key.public_key(), extensions=[responder_at("ldap://ocsp.example")])
    assert responder_url(ldap) == ""


@pytest.mark.parametrize("delegated", [False, True], ids=["the issuer", "a delegate"])
@pytest.mark.parametrize(
    ("status", "verdict"),
    [({}, Verdict.GOOD), ({"revoked": True}, Verdict.REVOKED), ({"unknown": True}, Verdict.UNKNOWN)],
)
def test_the_issuer_and_who_it_authorised_are_believed(
    sub: TestAuthority, leaf: x509.Certificate, delegated: bool, status: dict[str, bool], verdict: Verdict
) -> None:
    signer = sub.responder() if delegated else None
    answer = read(sub.ocsp(leaf, signer=signer, nonce=NONCE, **status), leaf, sub, nonce=NONCE)
    assert answer.finding.verdict is verdict
    if verdict is Verdict.REVOKED:
        assert answer.finding.reason == "CN=WMIV1 is revoked since 2027-01-15, keyCompromise (OCSP)"


@pytest.mark.parametrize("curve", [ec.SECP521R1(), None], ids=["P-521", "Ed448"])
def test_answers_signed_by_each_kind_of_key_are_verified(curve: Any) -> None:
    key = ec.generate_private_key(curve) if curve else ed448.Ed448PrivateKey.generate()
    authority = TestAuthority("CA", AT, key=key)
    certificate = authority.leaf(name((CN, "x")), key.public_key())
    assert read(authority.ocsp(certificate), certificate, authority).finding.verdict is Verdict.GOOD


def test_certificate_ids_by_sha256_are_understood(sub: TestAuthority, leaf: x509.Certificate) -> None:
    assert read(sub.ocsp(leaf, algorithm=hashes.SHA256()), leaf, sub).finding.verdict is Verdict.GOOD


# ---- who is not believed ----


def test_a_stranger_with_the_issuers_name_is_not_believed(sub: TestAuthority, leaf: x509.Certificate) -> None:
    stranger = TestAuthority("OEM Sub CA", AT)
    for by_name in (False, True):
        forged = stranger.ocsp(leaf, issuer=sub.certificate, by_name=by_name)
        assert "not signed by CN=OEM Sub CA" in refusal(forged, leaf, sub)
    assert read(sub.ocsp(leaf, by_name=True), leaf, sub).finding.verdict is Verdict.GOOD


@pytest.mark.parametrize(
    "options",
    [
        {"purpose": ExtendedKeyUsageOID.SERVER_AUTH},
        {"purpose": None},
        {"begins": AT - 300 * DAY_S, "days": 100.0},
        {"begins": AT + DAY_S},
    ],
    ids=["another purpose", "no purpose", "expired", "not yet valid"],
)
def test_a_delegate_that_was_not_or_is_no_longer_authorised_is_not_believed(
    sub: TestAuthority, leaf: x509.Certificate, options: dict[str, Any]
) -> None:
    assert "not signed by" in refusal(sub.ocsp(leaf, signer=sub.responder(**options)), leaf, sub)


def test_a_delegate_of_another_issuer_is_not_believed(sub: TestAuthority, leaf: x509.Certificate) -> None:
    other = TestAuthority("Other CA", AT)
    assert "not signed by" in refusal(sub.ocsp(leaf, signer=other.responder()), leaf, sub)


def test_an_altered_answer_is_not_believed(sub: TestAuthority, leaf: x509.Certificate) -> None:
    der = sub.ocsp(leaf, revoked=True)
    for at in range(20, len(der), 5):
        altered = bytearray(der)
        altered[at] ^= 0x01
        try:
            answer = read(bytes(altered), leaf, sub)
        except OcspError:
            continue
        assert answer.finding.verdict is Verdict.REVOKED  # an octet that is not signed, as of the algorithm's copy


# ---- about whom ----


def test_an_answer_about_another_certificate_says_nothing(sub: TestAuthority, leaf: x509.Certificate) -> None:
    other = sub.leaf(name((CN, "other")), sub.key.public_key())
    assert "not about CN=WMIV1" in refusal(sub.ocsp(other), leaf, sub)


def test_an_answer_about_the_same_number_of_another_issuer_says_nothing(
    sub: TestAuthority, leaf: x509.Certificate
) -> None:
    other = TestAuthority("Other CA", AT)
    assert "not about" in refusal(sub.ocsp(leaf, issuer=other.certificate), leaf, sub)


def test_a_nonce_that_is_not_ours_is_refused_and_none_is_taken(sub: TestAuthority, leaf: x509.Certificate) -> None:
    assert "another question" in refusal(sub.ocsp(leaf, nonce=b"x" * 32), leaf, sub, nonce=NONCE)
    assert read(sub.ocsp(leaf), leaf, sub, nonce=NONCE).finding.verdict is Verdict.GOOD
    assert read(sub.ocsp(leaf, nonce=NONCE), leaf, sub).finding.verdict is Verdict.GOOD


# ---- for how long ----


@pytest.mark.parametrize(("at", "words"), [(AT + 2 * DAY_S, "is old since"), (AT - DAY_S, "ahead of our clock")])
def test_an_answer_out_of_its_time_is_refused_unless_it_says_revoked(
    sub: TestAuthority, leaf: x509.Certificate, at: float, words: str
) -> None:
    assert words in refusal(sub.ocsp(leaf), leaf, sub, at)
    assert read(sub.ocsp(leaf, revoked=True), leaf, sub, at).finding.verdict is Verdict.REVOKED


def test_an_answer_ages_while_it_is_kept(sub: TestAuthority, leaf: x509.Certificate) -> None:
    good, revoked = read(sub.ocsp(leaf), leaf, sub), read(sub.ocsp(leaf, revoked=True), leaf, sub)
    assert good.finding_at(AT + 3600).verdict is Verdict.GOOD
    assert good.finding_at(AT + 2 * DAY_S).verdict is Verdict.UNKNOWN
    assert revoked.finding_at(AT + 2 * DAY_S).verdict is Verdict.REVOKED


def test_an_answer_without_an_end_holds_for_minutes(sub: TestAuthority, leaf: x509.Certificate) -> None:
    answer = read(sub.ocsp(leaf, no_next_update=True), leaf, sub)
    assert answer.finding_at(AT + 60).verdict is Verdict.GOOD
    assert answer.finding_at(AT + 3600).verdict is Verdict.UNKNOWN


def test_by_a_clock_that_may_be_behind_an_answer_is_not_too_new(sub: TestAuthority, leaf: x509.Certificate) -> None:
    assert read(sub.ocsp(leaf), leaf, sub, AT - 300 * DAY_S, is_lower_bound=True).finding.verdict is Verdict.GOOD


# ---- what is none ----


@pytest.mark.parametrize("status", [s for s in ocsp.OCSPResponseStatus if s is not ocsp.OCSPResponseStatus.SUCCESSFUL])
def test_a_responder_that_cannot_answer_is_told(sub: TestAuthority, leaf: x509.Certificate, status: Any) -> None:
    der = ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)
    assert "the responder says" in refusal(der, leaf, sub)


@pytest.mark.parametrize("der", [b"", b"hello", b"\x30\x80", b"\x00" * (LARGEST_ANSWER + 1)])
def test_what_is_no_answer_is_refused(sub: TestAuthority, leaf: x509.Certificate, der: bytes) -> None:
    assert "answer" in refusal(der, leaf, sub)


def test_every_truncation_is_refused_and_nothing_else_is_raised(sub: TestAuthority, leaf: x509.Certificate) -> None:
    der = sub.ocsp(leaf, signer=sub.responder())
    for length in range(0, len(der), 3):
        refusal(der[:length], leaf, sub)
