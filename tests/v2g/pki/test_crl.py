"""CRLs: which are taken, for which certificates they speak, and what they say."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type

from support.authority import CN, DAY_S, TestAuthority, crl_at, name, utc
from v2g.pki.crl import LARGEST_CRL, Crl, CrlError, CrlShelf, read_crls
from v2g.pki.revocation import Finding, Verdict

AT = 1_800_000_000.0
URL = "http://crl.example/sub.crl"


@pytest.fixture(scope="module")
def root() -> TestAuthority:
    return TestAuthority("OEM Root", AT)


@pytest.fixture(scope="module")
def sub(root: TestAuthority) -> TestAuthority:
    return TestAuthority("OEM Sub CA", AT, issuer=root)


@pytest.fixture(scope="module")
def leaf(sub: TestAuthority) -> x509.Certificate:
    return sub.leaf(name((CN, "WMIV1")), ec.generate_private_key(ec.SECP256R1()).public_key())


def look(
    shelf: CrlShelf, certificate: x509.Certificate, issuer: TestAuthority, at: float = AT, **options: Any
) -> Finding:
    return shelf.look_up(certificate, issuer.certificate, at_unix_s=at, **options)


def shelf_of(*ders: bytes) -> CrlShelf:
    return CrlShelf(crl for number, der in enumerate(ders) for crl in read_crls(der, f"{number}.crl"))


def as_pem(*ders: bytes) -> bytes:
    return b"".join(
        b"-----BEGIN X509 CRL-----\n" + base64.encodebytes(der) + b"-----END X509 CRL-----\n" for der in ders
    )


def test_who_is_not_on_a_list_is_good_and_who_is_is_revoked(sub: TestAuthority, leaf: x509.Certificate) -> None:
    assert look(shelf_of(sub.crl(12345)), leaf, sub).verdict is Verdict.GOOD
    revoked = look(shelf_of(sub.crl(leaf, reason=x509.ReasonFlags.key_compromise)), leaf, sub)
    assert revoked.verdict is Verdict.REVOKED
    assert revoked.reason == "CN=WMIV1 is revoked since 2027-01-15, keyCompromise (0.crl)"


def test_a_list_whose_issuer_is_written_in_another_kind_of_string_counts(
    sub: TestAuthority, leaf: x509.Certificate
) -> None:
    """As the chain to that issuer does: a list that was passed over would accept whom it names."""
    other = x509.Name([x509.NameAttribute(CN, "OEM Sub CA", _type=_ASN1Type.PrintableString)])
    assert other.public_bytes() != sub.certificate.subject.public_bytes()
    entry = x509.RevokedCertificateBuilder(leaf.serial_number, utc(AT - 60.0)).build()
    builder = x509.CertificateRevocationListBuilder(
        other, utc(AT - 60.0), utc(AT + DAY_S), revoked_certificates=[entry]
    )
    der = builder.sign(sub.key, hashes.SHA256()).public_bytes(Encoding.DER)
    assert look(shelf_of(der), leaf, sub).verdict is Verdict.REVOKED


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP521R1(), None], ids=["P-256", "P-521", "Ed448"])
def test_lists_signed_by_each_kind_of_key_are_verified(curve: Any) -> None:
    key = ec.generate_private_key(curve) if curve else ed448.Ed448PrivateKey.generate()
    authority = TestAuthority("CA", AT, key=key)
    certificate = authority.leaf(name((CN, "x")), key.public_key())
    assert look(shelf_of(authority.crl(certificate)), certificate, authority).verdict is Verdict.REVOKED
    assert look(shelf_of(authority.crl(1)), certificate, authority).verdict is Verdict.GOOD


def test_an_authority_is_looked_up_in_the_list_of_its_own_issuer(root: TestAuthority, sub: TestAuthority) -> None:
    shelf = shelf_of(root.crl(sub.certificate), sub.crl(sub.certificate.serial_number + 1))
    assert look(shelf, sub.certificate, root).verdict is Verdict.REVOKED


def test_without_any_list_nobody_is_covered(sub: TestAuthority, leaf: x509.Certificate) -> None:
    assert look(CrlShelf(), leaf, sub) == Finding(Verdict.NOT_COVERED)


def test_a_list_of_another_issuer_covers_only_that_one(
    root: TestAuthority, sub: TestAuthority, leaf: x509.Certificate
) -> None:
    shelf = shelf_of(root.crl())
    assert look(shelf, leaf, sub).verdict is Verdict.NOT_COVERED
    assert look(shelf, sub.certificate, root).verdict is Verdict.GOOD


def test_an_issuer_whose_list_was_lost_is_not_known(sub: TestAuthority, leaf: x509.Certificate) -> None:
    found = look(CrlShelf(), leaf, sub, missing="it was here")
    assert found == Finding(Verdict.UNKNOWN, "revocation of CN=WMIV1 is not known: it was here")


def test_while_a_file_cannot_be_read_nobody_is_known_to_be_uncovered(
    sub: TestAuthority, leaf: x509.Certificate
) -> None:
    found = look(CrlShelf([], ["x.crl is no CRL"]), leaf, sub)
    assert found.verdict is Verdict.UNKNOWN
    assert "x.crl is no CRL" in found.reason


# ---- age ----


@pytest.mark.parametrize(
    ("at", "verdict", "words"),
    [
        (AT, Verdict.GOOD, ""),
        (AT + 7 * DAY_S, Verdict.UNKNOWN, "is old since 1.0 h (nextUpdate); fetch a new one"),
        (AT + 30 * DAY_S, Verdict.UNKNOWN, "is old since 23.0 days"),
        (AT - 2 * DAY_S, Verdict.UNKNOWN, "ahead of our clock"),
        (AT - 3600.0 - 200.0, Verdict.GOOD, ""),
    ],
)
def test_the_age_of_a_list_counts(
    sub: TestAuthority, leaf: x509.Certificate, at: float, verdict: Verdict, words: str
) -> None:
    found = look(shelf_of(sub.crl(1)), leaf, sub, at)
    assert found.verdict is verdict
    assert words in found.reason


@pytest.mark.parametrize("at", [AT, AT + 300 * DAY_S, AT - 300 * DAY_S])
def test_who_is_on_an_old_list_is_revoked(sub: TestAuthority, leaf: x509.Certificate, at: float) -> None:
    assert look(shelf_of(sub.crl(leaf)), leaf, sub, at).verdict is Verdict.REVOKED


def test_by_a_clock_that_may_be_behind_a_list_is_not_too_new_but_may_be_too_old(
    sub: TestAuthority, leaf: x509.Certificate
) -> None:
    shelf = shelf_of(sub.crl(1))
    assert look(shelf, leaf, sub, AT - 300 * DAY_S, is_lower_bound=True).verdict is Verdict.GOOD
    assert look(shelf, leaf, sub, AT + 300 * DAY_S, is_lower_bound=True).verdict is Verdict.UNKNOWN


def test_the_newest_of_several_lists_counts(sub: TestAuthority, leaf: x509.Certificate) -> None:
    old, new = sub.crl(leaf, this_update=AT - 5 * DAY_S), sub.crl(this_update=AT - DAY_S)
    for order in ((old, new), (new, old)):
        assert look(shelf_of(*order), leaf, sub).verdict is Verdict.GOOD


# ---- who signed ----


def test_a_list_that_another_key_signed_says_nothing(sub: TestAuthority, leaf: x509.Certificate) -> None:
    stranger = TestAuthority("OEM Sub CA", AT)
    for der in (stranger.crl(leaf), stranger.crl(), sub.crl(leaf, key=stranger.key)):
        found = look(shelf_of(der), leaf, sub)
        assert found.verdict is Verdict.UNKNOWN
        assert "0.crl is not signed by CN=OEM Sub CA" in found.reason


def test_beside_a_forged_newer_list_the_true_one_counts(sub: TestAuthority, leaf: x509.Certificate) -> None:
    stranger = TestAuthority("OEM Sub CA", AT)
    shelf = shelf_of(stranger.crl(this_update=AT - 60), sub.crl(leaf, this_update=AT - 7200))
    assert look(shelf, leaf, sub).verdict is Verdict.REVOKED


def test_an_altered_list_says_nothing(sub: TestAuthority, leaf: x509.Certificate) -> None:
    der = bytearray(sub.crl(0x1122334455667788))
    at = bytes(der).index(bytes.fromhex("1122334455667788"))
    der[at + 3] ^= 0x01
    assert look(shelf_of(bytes(der)), leaf, sub).verdict is Verdict.UNKNOWN


def test_an_issuer_that_may_not_sign_lists_signs_none() -> None:
    authority = TestAuthority("CA", AT, crl_sign=False)
    certificate = authority.leaf(name((CN, "x")), authority.key.public_key())
    assert look(shelf_of(authority.crl(certificate)), certificate, authority).verdict is Verdict.UNKNOWN


def test_an_anchor_of_the_issuers_name_may_sign_after_its_key_was_changed(root: TestAuthority) -> None:
    renewed = TestAuthority("OEM Root", AT)
    certificate = root.leaf(name((CN, "x")), root.key.public_key())
    shelf = shelf_of(renewed.crl(certificate))
    assert look(shelf, certificate, root).verdict is Verdict.UNKNOWN
    assert look(shelf, certificate, root, anchors=[renewed.certificate]).verdict is Verdict.REVOKED


# ---- whom a list is about ----


def point(**options: Any) -> tuple[x509.ExtensionType, bool]:
    given: dict[str, Any] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**{**given, **options}), True


def test_a_list_for_leaves_says_nothing_of_authorities_and_the_reverse(
    root: TestAuthority, sub: TestAuthority, leaf: x509.Certificate
) -> None:
    users, authorities = point(only_contains_user_certs=True), point(only_contains_ca_certs=True)
    assert look(shelf_of(sub.crl(leaf, extensions=[users])), leaf, sub).verdict is Verdict.REVOKED
    assert look(shelf_of(sub.crl(leaf, extensions=[authorities])), leaf, sub).verdict is Verdict.UNKNOWN
    assert look(shelf_of(root.crl(extensions=[users])), sub.certificate, root).verdict is Verdict.UNKNOWN
    assert look(shelf_of(root.crl(extensions=[authorities])), sub.certificate, root).verdict is Verdict.GOOD


def test_a_list_of_one_distribution_point_is_about_those_who_name_it(sub: TestAuthority) -> None:
    scope = point(full_name=[x509.UniformResourceIdentifier(URL)])
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    named = sub.leaf(name((CN, "a")), key, extensions=[crl_at(URL)])
    other = sub.leaf(name((CN, "b")), key, extensions=[crl_at("http://crl.example/other.crl")])
    shelf = shelf_of(sub.crl(other, extensions=[scope]))
    assert look(shelf, named, sub).verdict is Verdict.GOOD
    assert look(shelf, other, sub).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("extension", "words"),
    [
        (point(indirect_crl=True), "indirect"),
        (point(only_some_reasons=frozenset([x509.ReasonFlags.key_compromise])), "some reasons only"),
        (point(only_contains_attribute_certs=True), "attribute certificates"),
        (point(full_name=[x509.RFC822Name("a@b.example")]), "not understood"),
        ((x509.DeltaCRLIndicator(3), True), "delta CRL"),
        ((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True), "1.2.3.4"),
    ],
)
def test_lists_of_kinds_that_cannot_be_judged_are_refused(sub: TestAuthority, extension: Any, words: str) -> None:
    with pytest.raises(CrlError, match=words):
        read_crls(sub.crl(extensions=[extension]), "x.crl")


def test_an_extension_that_is_not_critical_is_passed_over(sub: TestAuthority) -> None:
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    assert len(read_crls(sub.crl(extensions=[(extension, False)]), "x.crl")) == 1


def test_a_critical_extension_of_an_entry_that_is_not_understood_spoils_the_list(sub: TestAuthority) -> None:
    entry = (
        x509.RevokedCertificateBuilder()
        .serial_number(7)
        .revocation_date(sub.certificate.not_valid_before_utc)
        .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), critical=True)
        .build()
    )
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(sub.certificate.subject)
        .last_update(sub.certificate.not_valid_before_utc)
        .next_update(sub.certificate.not_valid_after_utc)
        .add_revoked_certificate(entry)
        .sign(sub.key, hashes.SHA256())
    )
    from cryptography.hazmat.primitives.serialization import Encoding

    with pytest.raises(CrlError, match=r"1\.2\.3\.4"):
        read_crls(crl.public_bytes(Encoding.DER), "x.crl")


# ---- files ----


def test_a_pem_file_may_hold_several_lists(root: TestAuthority, sub: TestAuthority, leaf: x509.Certificate) -> None:
    shelf = CrlShelf(read_crls(b"# ours\n" + as_pem(root.crl(), sub.crl(leaf)), "all.pem"))
    assert look(shelf, leaf, sub).verdict is Verdict.REVOKED
    assert look(shelf, sub.certificate, root).verdict is Verdict.GOOD


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\x30\x80",
        b"\x30\x84\xff\xff\xff\xff",
        b"-----BEGIN X509 CRL-----\nMII\n-----END X509 CRL-----\n",
        b"-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n",
        b"-----BEGIN X509 CRL-----\n" * 1000,
        b"\x00" * (LARGEST_CRL + 1),
    ],
    ids=["empty", "text", "short", "long length", "short PEM", "certificate", "begins only", "too large"],
)
def test_what_is_no_list_is_refused(data: bytes) -> None:
    with pytest.raises(CrlError, match=r"x\.crl"):
        read_crls(data, "x.crl")


def test_every_truncation_of_a_list_is_refused_and_nothing_else_is_raised(sub: TestAuthority) -> None:
    der = sub.crl(1, 2)
    for length in range(0, len(der), 7):
        with pytest.raises(CrlError):
            read_crls(der[:length], "x.crl")


def test_a_list_without_an_end_is_not_known_to_be_new(sub: TestAuthority, leaf: x509.Certificate) -> None:
    [crl] = read_crls(sub.crl(), "x.crl")
    endless = Crl(
        name=crl.name,
        issuer=crl.issuer,
        this_update_s=crl.this_update_s,
        next_update_s=None,
        scope=crl.scope,
        serials=crl.serials,
        parsed=crl.parsed,
        digest=crl.digest,
    )
    found = look(CrlShelf([endless]), leaf, sub)
    assert found.verdict is Verdict.UNKNOWN
    assert "nextUpdate" in found.reason
