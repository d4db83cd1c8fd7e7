"""Certificate chains: right extensions, right files, verified by an independent implementation."""

import datetime
import itertools
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x448
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import NameOID

from pyiso15118.security import Authority, Credential, Curve, Pki, write_credential, write_trust_anchor

NOT_BEFORE = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki(not_before=NOT_BEFORE, curve=Curve.SECP256R1)


def common_name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def verify_chain(credential: Credential, root: Authority) -> None:
    chain = [credential.certificate, *credential.chain, root.credential.certificate]
    for certificate, issuer in itertools.pairwise(chain):
        certificate.verify_directly_issued_by(issuer)
        identifier = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        assert identifier.key_identifier == (
            issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        )


def test_chains_lead_from_leaf_to_root(pki: Pki) -> None:
    verify_chain(pki.secc("US*V2G*E1"), pki.v2g_root)
    verify_chain(pki.vehicle("WMIV1234567890ABCDEX"), pki.oem_root)


def test_contracts_and_who_delivers_them_have_chains_of_their_own(pki: Pki) -> None:
    verify_chain(pki.contract("USV2GC123456786"), pki.mo_root)
    verify_chain(pki.cps("CPS"), pki.v2g_root)
    verify_chain(pki.provisioning("WMIV123456789ABCDE"), pki.oem_root)
    domains = [
        leaf.certificate.subject.get_attributes_for_oid(NameOID.DOMAIN_COMPONENT)[0].value
        for leaf in (pki.contract("x"), pki.cps("x"), pki.provisioning("x"))
    ]
    assert domains == ["MO", "CPS", "OEM"]


def test_messages_carry_a_chain_leaf_first(pki: Pki) -> None:
    credential = pki.contract("USV2GC123456786")
    chain = [x509.load_der_x509_certificate(der) for der in credential.chain_der()]
    assert chain == [credential.certificate, *credential.chain]


def test_ed448_is_offered_and_its_provisioning_certificate_names_an_x448_key() -> None:
    pki = Pki(not_before=NOT_BEFORE, curve=Curve.ED448)
    verify_chain(pki.contract("USV2GC123456786"), pki.mo_root)
    credential = pki.provisioning("WMIV123456789ABCDE")
    verify_chain(credential, pki.oem_root)
    named = credential.certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier("2.5.29.72")).value
    assert isinstance(credential.key, ed448.Ed448PrivateKey)
    assert isinstance(named, x509.UnrecognizedExtension)
    assert isinstance(credential.agreement_key, x448.X448PrivateKey)
    assert load_der_public_key(named.value) == credential.agreement_key.public_key()


def test_leaves_carry_their_identity_and_may_not_sign_certificates(pki: Pki) -> None:
    leaf = pki.vehicle("WMIV1234567890ABCDEX").certificate
    assert common_name(leaf) == "WMIV1234567890ABCDEX"
    assert leaf.subject.get_attributes_for_oid(NameOID.DOMAIN_COMPONENT)[0].value == "OEM"
    constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.key_agreement
    assert not usage.key_cert_sign


def test_authorities_may_sign_and_a_sub_ca_only_leaves(pki: Pki) -> None:
    for authority, path_length in ((pki.v2g_root, None), (pki.cpo_sub_ca, 0)):
        certificate = authority.credential.certificate
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        assert (constraints.ca, constraints.path_length) == (True, path_length)
        assert certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_the_standards_curve_is_the_default() -> None:
    leaf = Pki(not_before=NOT_BEFORE).secc("US*V2G*E1")
    assert isinstance(leaf.key.curve, ec.SECP521R1)
    for certificate in (leaf.certificate, *leaf.chain):
        assert certificate.signature_hash_algorithm is not None
        assert certificate.signature_hash_algorithm.name == "sha512"


def test_validity_begins_when_told(pki: Pki) -> None:
    leaf = pki.secc("US*V2G*E1").certificate
    assert leaf.not_valid_before_utc == NOT_BEFORE
    assert leaf.not_valid_after_utc == NOT_BEFORE + datetime.timedelta(days=365)


def test_files_hold_the_chain_leaf_first_and_a_private_key_nobody_else_reads(pki: Pki, tmp_path: Path) -> None:
    credential = pki.secc("US*V2G*E1")
    files = write_credential(credential, tmp_path / "new", "secc")
    chain = x509.load_pem_x509_certificates(files.chain.read_bytes())
    assert chain == [credential.certificate, *credential.chain]
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    assert write_trust_anchor(pki.v2g_root, tmp_path, "v2g").read_bytes() == pki.v2g_root.certificate_pem


def test_a_key_is_replaced_with_its_mode_whatever_lay_there(pki: Pki, tmp_path: Path) -> None:
    (tmp_path / "secc.key").write_text("old")
    (tmp_path / "secc.key").chmod(0o644)
    files = write_credential(pki.secc("US*V2G*E1"), tmp_path, "secc")
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_a_common_name_that_x509_cannot_hold_is_refused(pki: Pki, name: str) -> None:
    with pytest.raises(ValueError, match=r"1\.\.64"):
        pki.secc(name)
