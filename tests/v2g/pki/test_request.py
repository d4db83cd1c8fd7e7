"""The request says what a SECC's certificate is to say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from support.pki_site import make_config, p521
from v2g.pki.model import PkiError
from v2g.pki.request import SubjectNames, build_request


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (p521(), SignatureAlgorithmOID.ECDSA_WITH_SHA512),
        (ed448.Ed448PrivateKey.generate(), SignatureAlgorithmOID.ED448),
        (ec.generate_private_key(ec.SECP256R1()), SignatureAlgorithmOID.ECDSA_WITH_SHA256),
    ],
    ids=["P-521", "Ed448", "P-256"],
)
def test_it_is_signed_as_the_standard_has_it_for_its_curve(key: Any, algorithm: x509.ObjectIdentifier) -> None:
    csr = build_request(key, SubjectNames("US*V2G*E1"))
    assert csr.is_signature_valid
    assert csr.signature_algorithm_oid == algorithm
    assert csr.public_key() == key.public_key()


def test_subject_and_extensions_are_those_of_a_secc() -> None:
    csr = build_request(p521(), SubjectNames("US*V2G*E1", "Maple Street", "US", ("secc.example",)))
    assert csr.subject.rfc4514_string() == "DC=CPO,CN=US*V2G*E1,O=Maple Street,C=US"
    usage = csr.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_agreement
    assert not usage.value.key_cert_sign
    assert not csr.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    purposes = list(csr.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert purposes == [ExtendedKeyUsageOID.SERVER_AUTH]
    names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["secc.example"]


def test_a_server_that_renews_by_tls_gets_asked_for_client_authentication_too() -> None:
    csr = build_request(p521(), SubjectNames("E1"), client_too=True)
    assert ExtendedKeyUsageOID.CLIENT_AUTH in csr.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value


def test_what_is_not_configured_comes_from_the_first_evse_and_the_site_or_is_left_out(tmp_path: Path) -> None:
    assert SubjectNames.of(make_config(tmp_path)) == SubjectNames("US*V2G*E1")
    subject = {"common_name": "SECC1", "organization": "Utility", "country": "US", "dns_names": ["a.example"]}
    assert SubjectNames.of(make_config(tmp_path, subject=subject)) == SubjectNames(
        "SECC1", "Utility", "US", ("a.example",)
    )
    csr = build_request(p521(), SubjectNames("E1"))
    assert csr.subject.rfc4514_string() == "DC=CPO,CN=E1"
    with pytest.raises(x509.ExtensionNotFound):
        csr.extensions.get_extension_for_class(x509.SubjectAlternativeName)


@pytest.mark.parametrize(
    "names",
    [SubjectNames("x" * 65), SubjectNames("E1", "o" * 65), SubjectNames("E1", dns_names=("bücher.example",))],
    ids=["long id", "long organization", "DNS name outside ASCII"],
)
def test_names_that_x509_does_not_take_are_refused_with_the_setting(names: SubjectNames) -> None:
    with pytest.raises(PkiError, match=r"pki\.subject"):
        build_request(p521(), names)
