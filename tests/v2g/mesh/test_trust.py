"""Whose certificates count in a mesh."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ObjectIdentifier
from hypothesis import given, settings
from hypothesis import strategies as st

from support.mesh_pki import DAY_S, Kind, MeshPki
from v2g.mesh.identity import load_trust
from v2g.mesh.trust import LARGEST_CERTIFICATE, Drop, Trust, TrustError

NOW_S = 1_790_000_000.0
NOT_FOR_SIGNING = x509.KeyUsage(False, False, True, False, False, False, False, False, False)


@pytest.fixture
def pki(tmp_path: Path) -> MeshPki:
    return MeshPki(tmp_path, NOW_S)


def der_of(pki: MeshPki, name: str) -> bytes:
    der: bytes = pki.certificates[name].public_bytes(Encoding.DER)
    return der


def refusal(trust: Trust, der: bytes, sender: str = "tr-1", unix_s: float = NOW_S) -> TrustError:
    with pytest.raises(TrustError) as caught:
        trust.check(der, sender, unix_s)
    return caught.value


@pytest.mark.parametrize("authority", ["P-256", "P-384", "P-521", "Ed25519", "RSA-2048"])
@pytest.mark.parametrize("member", ["P-256", "P-384", "Ed25519"])
def test_a_members_certificate_counts_whatever_the_kinds_of_keys(tmp_path: Path, authority: Kind, member: Kind) -> None:
    pki = MeshPki(tmp_path, NOW_S, kind=authority)
    pki.node("tr-1", kind=member)
    pki.node("tr-2", kind=member)
    trust = pki.trust(pki.revoke("tr-2"))
    assert trust.check(der_of(pki, "tr-1"), "tr-1", NOW_S) == pki.certificates["tr-1"].public_key()
    assert refusal(trust, der_of(pki, "tr-2"), "tr-2").reason is Drop.REVOKED


def test_a_certificate_of_another_authority_of_the_same_name_does_not_count(pki: MeshPki, tmp_path: Path) -> None:
    other = MeshPki(tmp_path / "other", NOW_S)
    other.node("tr-1")
    error = refusal(pki.trust(), der_of(other, "tr-1"))
    assert error.reason is Drop.UNTRUSTED
    assert "is not of the mesh's authority" in str(error)


def test_a_certificate_of_one_member_does_not_count_for_another(pki: MeshPki) -> None:
    pki.node("tr-1")
    error = refusal(pki.trust(), der_of(pki, "tr-1"), "tr-2")
    assert error.reason is Drop.UNTRUSTED
    assert str(error) == "certificate that came from tr-2 is of CN=tr-1"


def test_an_authority_is_no_member(pki: MeshPki) -> None:
    error = refusal(pki.trust(), pki.certificate.public_bytes(Encoding.DER), "Mesh CA")
    assert error.reason is Drop.UNTRUSTED
    assert "is an authority's" in str(error)


def test_a_member_issues_no_certificates(pki: MeshPki, tmp_path: Path) -> None:
    """One that took a member's key cannot make more members of it."""
    pki.node("tr-1")
    below = MeshPki(tmp_path / "below", NOW_S, name="tr-1", parent=pki)
    below.node("tr-9")
    assert "is not of the mesh's authority" in str(refusal(pki.trust(), der_of(below, "tr-9"), "tr-9"))


@pytest.mark.parametrize(("at_s", "words"), [(-2 * DAY_S, "check the clock here"), (400 * DAY_S, "it must be renewed")])
def test_a_certificate_counts_within_its_validity_only(pki: MeshPki, at_s: float, words: str) -> None:
    pki.node("tr-1")
    error = refusal(pki.trust(), der_of(pki, "tr-1"), unix_s=NOW_S + at_s)
    assert error.reason is Drop.UNTRUSTED
    assert words in str(error)


def test_what_is_judged_holds_as_long_as_the_shortest_of_its_path(tmp_path: Path) -> None:
    pki = MeshPki(tmp_path, NOW_S, days=100.0)
    pki.node("tr-1", days=365.0, begins_s=-3600.0)
    judged = pki.trust().judge(der_of(pki, "tr-1"), "tr-1", NOW_S)
    assert (judged.begins_unix_s - NOW_S, judged.ends_unix_s - NOW_S) == (-3600.0, 99 * DAY_S)


def test_a_member_of_an_authority_that_has_expired_does_not_count(tmp_path: Path) -> None:
    pki = MeshPki(tmp_path, NOW_S, days=10.0)
    pki.node("tr-1")
    error = refusal(pki.trust(), der_of(pki, "tr-1"), unix_s=NOW_S + 20 * DAY_S)
    assert "CN=Mesh CA expired" in str(error)


def test_a_member_of_an_authority_that_was_renewed_counts_beside_its_old_certificate(tmp_path: Path) -> None:
    pki = MeshPki(tmp_path, NOW_S, days=10.0)
    renewed = pki.renewed(3650.0)
    pki.node("tr-1")
    trust = Trust([pki.certificate, renewed])
    trust.check(der_of(pki, "tr-1"), "tr-1", NOW_S + 20 * DAY_S)


def test_a_chain_with_an_intermediate_counts_though_the_leaf_comes_alone(pki: MeshPki, tmp_path: Path) -> None:
    below = MeshPki(tmp_path / "below", NOW_S, name="Feeder CA", parent=pki, path_length=0)
    below.node("tr-1")
    load_trust(below.ca, None).check(der_of(below, "tr-1"), "tr-1", NOW_S)
    assert "is not of the mesh's authority" in str(refusal(pki.trust(), der_of(below, "tr-1")))


def test_the_members_of_a_revoked_intermediate_do_not_count(pki: MeshPki, tmp_path: Path) -> None:
    below = MeshPki(tmp_path / "below", NOW_S, name="Feeder CA", parent=pki, path_length=0)
    below.node("tr-1")
    pki.certificates["Feeder CA"] = below.certificate
    error = refusal(load_trust(below.ca, pki.revoke("Feeder CA")), der_of(below, "tr-1"))
    assert error.reason is Drop.REVOKED
    assert "CN=Feeder CA is revoked" in str(error)


def test_a_path_longer_than_its_authorities_permit_does_not_count(pki: MeshPki, tmp_path: Path) -> None:
    first = MeshPki(tmp_path / "1", NOW_S, name="CA 1", parent=pki)
    second = MeshPki(tmp_path / "2", NOW_S, name="CA 2", parent=first)
    second.node("tr-1")
    error = refusal(load_trust(second.ca, None), der_of(second, "tr-1"))
    assert "CN=Mesh CA permits 1 authorities below it, the chain has 2" in str(error)


def test_a_path_that_never_ends_is_given_up(tmp_path: Path) -> None:
    """Two authorities that signed each other, and no root above them."""
    a = MeshPki(tmp_path / "a", NOW_S, name="A", path_length=None)
    b = MeshPki(tmp_path / "b", NOW_S, name="B", parent=a, path_length=None)
    crossed = a.crossed(b)
    b.node("tr-1")
    other = MeshPki(tmp_path / "other", NOW_S)
    error = refusal(Trust([other.certificate], [crossed, b.certificate]), der_of(b, "tr-1"))
    assert error.reason is Drop.UNTRUSTED
    assert "is not of the mesh's authority" in str(error)


def test_an_unknown_critical_extension_is_not_passed_over(pki: MeshPki) -> None:
    pki.node("tr-1", more=((x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True),))
    pki.node("tr-2", more=((x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00"), False),))
    assert "1.2.3.4" in str(refusal(pki.trust(), der_of(pki, "tr-1")))
    pki.trust().check(der_of(pki, "tr-2"), "tr-2", NOW_S)


def test_a_certificate_that_is_not_for_signing_does_not_count(pki: MeshPki) -> None:
    pki.node("tr-1", more=((NOT_FOR_SIGNING, True),))
    assert "is not for signing (key usage)" in str(refusal(pki.trust(), der_of(pki, "tr-1")))


def test_an_authority_that_may_not_sign_certificates_makes_no_members(tmp_path: Path) -> None:
    pki = MeshPki(tmp_path, NOW_S, usage=NOT_FOR_SIGNING)
    pki.node("tr-1")
    assert "does not permit signing certificates" in str(refusal(pki.trust(), der_of(pki, "tr-1")))


def test_an_authority_with_a_key_that_can_be_broken_makes_no_members(tmp_path: Path) -> None:
    pki = MeshPki(tmp_path, NOW_S, kind="RSA-1024")
    pki.node("tr-1")
    assert "is not of the mesh's authority" in str(refusal(pki.trust(), der_of(pki, "tr-1")))


def test_a_key_that_no_member_signs_with_does_not_count(pki: MeshPki) -> None:
    pki.node("tr-1", kind="P-521")
    assert "not P-256, P-384 or Ed25519" in str(refusal(pki.trust(), der_of(pki, "tr-1")))


def test_while_the_list_of_the_revoked_is_old_nobody_counts_and_the_remedy_is_said(pki: MeshPki) -> None:
    pki.node("tr-1")
    trust = pki.trust(pki.revoke(days=1.0))
    trust.check(der_of(pki, "tr-1"), "tr-1", NOW_S)
    error = refusal(trust, der_of(pki, "tr-1"), unix_s=NOW_S + 2 * DAY_S)
    assert error.reason is Drop.UNTRUSTED
    assert "is old since" in str(error)
    assert "fetch a new one" in str(error)


def test_a_list_of_the_revoked_that_somebody_else_signed_makes_nobody_count(pki: MeshPki, tmp_path: Path) -> None:
    pki.node("tr-1")
    other = MeshPki(tmp_path / "other", NOW_S)
    error = refusal(pki.trust(other.revoke()), der_of(pki, "tr-1"))
    assert error.reason is Drop.UNTRUSTED
    assert "is not signed by CN=Mesh CA" in str(error)


def test_a_list_that_cannot_be_read_makes_nobody_count(pki: MeshPki) -> None:
    pki.node("tr-1")
    (pki.revoke() / "mesh.pem").write_bytes(b"text")
    error = refusal(pki.trust(pki.folder / "crl"), der_of(pki, "tr-1"))
    assert error.reason is Drop.UNTRUSTED
    assert "mesh.pem" in str(error)


def test_the_newer_of_two_lists_decides(pki: MeshPki) -> None:
    pki.node("tr-1")
    pki.revoke("tr-1", file="new.pem", begins_s=-60.0)
    trust = pki.trust(pki.revoke(file="old.pem", begins_s=-3600.0))
    assert refusal(trust, der_of(pki, "tr-1")).reason is Drop.REVOKED


def test_revocations_that_are_lost_are_kept_from_before_and_newer_ones_take_their_place(pki: MeshPki) -> None:
    pki.node("tr-1")
    before = pki.trust(pki.revoke("tr-1"))
    lost = pki.trust().keeping(before)
    assert refusal(lost, der_of(pki, "tr-1")).reason is Drop.REVOKED
    assert refusal(pki.trust().keeping(lost), der_of(pki, "tr-1")).reason is Drop.REVOKED
    pki.trust(pki.revoke(begins_s=-60.0)).keeping(before).check(der_of(pki, "tr-1"), "tr-1", NOW_S)


def test_a_certificate_larger_than_any_is_not_even_read(pki: MeshPki) -> None:
    error = refusal(pki.trust(), bytes(LARGEST_CERTIFICATE + 1))
    assert f"at most {LARGEST_CERTIFICATE} are taken" in str(error)


def test_a_trust_without_a_root_is_not_made() -> None:
    with pytest.raises(ValueError, match="without a root"):
        Trust([])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trust, bytes]:
    pki = MeshPki(tmp_path_factory.mktemp("pki"), NOW_S)
    pki.node("tr-1")
    return pki.trust(), der_of(pki, "tr-1")


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@settings(max_examples=300)
@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_certificate_with_a_byte_changed_does_not_count(shared: tuple[Trust, bytes], place: int, value: int) -> None:
    trust, der = shared
    place %= len(der)
    if der[place] != value:
        refusal(trust, der[:place] + bytes([value]) + der[place + 1 :])


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_refused_in_words(shared: tuple[Trust, bytes], data: bytes) -> None:
    assert str(refusal(shared[0], data)).startswith("certificate of tr-1 cannot be read")
