"""Chains that authorities send us: the good ones put in order, each bad one refused by certificate, reason, remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.x509.oid import ExtendedKeyUsageOID

from pyiso15118.security import TlsProfile, ValidatedChain
from support.authority import CN, DAY_S, DC, TestAuthority, name, pem
from support.pki_site import NOW, Utility, p521
from v2g.pki.bundle import Bundle, read_bundle
from v2g.pki.chain_check import PairMismatch, check_own_chain, check_pair
from v2g.pki.model import PkiError

KEY = p521()
SECC = name((CN, "US*V2G*E1"), (DC, "CPO"))
Check = Callable[..., ValidatedChain]


@pytest.fixture(scope="module")
def utility() -> Utility:
    return Utility()


@pytest.fixture
def bundle(utility: Utility, tmp_path: Path) -> Bundle:
    return utility.bundle(tmp_path)


@pytest.fixture
def check(bundle: Bundle) -> Check:
    def check(*received: x509.Certificate, key: Any = KEY, at: float = NOW, **options: Any) -> ValidatedChain:
        options = {"profile": TlsProfile.STRICT, **options}
        public = key.public_key() if key is not None else None
        return check_own_chain(received, public, options.pop("bundle", bundle), at_unix_s=at, **options)

    return check


def leaf(authority: TestAuthority, subject: x509.Name = SECC, key: Any = KEY, **options: Any) -> x509.Certificate:
    options = {"purpose": ExtendedKeyUsageOID.SERVER_AUTH, **options}
    return authority.leaf(subject, key.public_key(), **options)


def policies(*numbers: str) -> x509.CertificatePolicies:
    return x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(n), None) for n in numbers])


def test_whatever_its_order_the_chain_is_put_leaf_first_and_without_the_root(check: Check, utility: Utility) -> None:
    own = leaf(utility.cpo)
    certificates = [own, utility.cpo.certificate, utility.root.certificate]
    for received in (certificates, certificates[::-1], [*certificates[1:], own], certificates[:2]):
        chain = check(*received)
        assert (chain.leaf, chain.sub_certificates) == (own, (utility.cpo.certificate,))
        assert chain.anchor == utility.root.certificate


def test_a_sub_authority_that_the_server_leaves_out_may_come_from_the_bundle(
    check: Check, utility: Utility, tmp_path: Path
) -> None:
    path = utility.write_bundle(tmp_path, utility.cpo.certificate)
    chain = check(leaf(utility.cpo), bundle=read_bundle(path, NOW))
    assert chain.sub_certificates == (utility.cpo.certificate,)


def test_certificates_that_the_path_does_not_need_are_left_out(check: Check, utility: Utility) -> None:
    strangers = [TestAuthority(f"Stranger {n}", NOW, key=KEY).certificate for n in range(8)]
    chain = check(
        *strangers[:4], utility.cpo.certificate, *strangers[4:], leaf(utility.cpo, key=(own := p521())), key=own
    )
    assert chain.sub_certificates == (utility.cpo.certificate,)


def test_a_lone_leaf_needs_no_key_to_be_found(check: Check, utility: Utility) -> None:
    assert check(utility.cpo.certificate, leaf(utility.cpo), key=None).common_name == "US*V2G*E1"
    with pytest.raises(PkiError, match="authorities only"):
        check(utility.cpo.certificate, key=None)
    with pytest.raises(PkiError, match="2 certificates that may be ours"):
        check(leaf(utility.cpo), leaf(utility.cpo), utility.cpo.certificate, key=None)


def expired(utility: Utility) -> list[x509.Certificate]:
    return [leaf(utility.cpo, begins=NOW - 100 * DAY_S, days=99), *utility.cpo.chain]


def not_yet(utility: Utility) -> list[x509.Certificate]:
    return [leaf(utility.cpo, begins=NOW + 3600.0), *utility.cpo.chain]


def expired_authority(utility: Utility) -> list[x509.Certificate]:
    old = TestAuthority("Old CPO CA", NOW - 4000 * DAY_S, issuer=utility.root, domain="CPO", key=p521())
    return [leaf(old, begins=NOW - DAY_S), *old.chain]


def self_signed(utility: Utility) -> list[x509.Certificate]:
    own = TestAuthority("US*V2G*E1", NOW, key=KEY)
    return [own.leaf(own.certificate.subject, KEY.public_key()), *utility.cpo.chain]


def client_only(utility: Utility) -> list[x509.Certificate]:
    return [leaf(utility.cpo, purpose=ExtendedKeyUsageOID.CLIENT_AUTH), *utility.cpo.chain]


def authority_as_leaf(utility: Utility) -> list[x509.Certificate]:
    made = TestAuthority("US*V2G*E1", NOW, issuer=utility.root, domain="CPO", key=KEY)
    return [made.certificate]


def contract_role(utility: Utility) -> list[x509.Certificate]:
    return [leaf(utility.cpo, name((CN, "US*V2G*E1"), (DC, "MO"))), *utility.cpo.chain]


def without_role(utility: Utility) -> list[x509.Certificate]:
    return [leaf(utility.cpo, name((CN, "US*V2G*E1"))), *utility.cpo.chain]


def foreign_policy(utility: Utility) -> list[x509.Certificate]:
    issuer = TestAuthority(
        "Policy CA", NOW, issuer=utility.root, domain="CPO", key=p521(), extensions=[policies("1.3.6.1.4.1.99999.1")]
    )
    return [leaf(issuer, extensions=[policies("1.3.6.1.4.1.99999.2")]), *issuer.chain]


def too_long(utility: Utility) -> list[x509.Certificate]:
    authorities = [utility.root]
    for n in range(4):
        below = TestAuthority(f"CA {n}", NOW, issuer=authorities[-1], domain="CPO", key=p521())
        authorities.append(below)
    return [leaf(authorities[-1]), *authorities[-1].chain]


def too_deep(utility: Utility) -> list[x509.Certificate]:
    below = TestAuthority("Below", NOW, issuer=utility.cpo, domain="CPO", key=p521())
    return [leaf(below), *below.chain]


def wrong_curve(utility: Utility) -> list[x509.Certificate]:
    weak = TestAuthority("Weak CA", NOW, issuer=utility.root, domain="CPO", key=ec.generate_private_key(ec.SECP256R1()))
    return [leaf(weak), *weak.chain]


def unknown_root(utility: Utility) -> list[x509.Certificate]:
    stranger = TestAuthority("Other CPO CA", NOW, issuer=TestAuthority("Other", NOW, key=p521()), key=p521())
    return [leaf(stranger), *stranger.chain]


def same_name_other_key(utility: Utility) -> list[x509.Certificate]:
    impostor = Utility()
    return [leaf(impostor.cpo), *impostor.cpo.chain]


def of_another_request(utility: Utility) -> list[x509.Certificate]:
    return [leaf(utility.cpo, key=p521()), *utility.cpo.chain]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (expired, r"DC=CPO,CN=US\*V2G\*E1 expired on .*renew"),
        (not_yet, r"CN=US\*V2G\*E1 is valid from .*clock"),
        (expired_authority, "CN=Old CPO CA expired on"),
        (self_signed, r"CN=US\*V2G\*E1 signed itself: .*have the request signed"),
        (client_only, r"extended key usage of DC=CPO,CN=US\*V2G\*E1 is not that of a SECC"),
        (authority_as_leaf, r"CN=US\*V2G\*E1 is a certification authority"),
        (contract_role, "has the domain component MO: not a SECC certificate"),
        (without_role, "has no domain component CPO"),
        (foreign_policy, r"claims the certificate policy 1\.3\.6\.1\.4\.1\.99999\.2, which its issuer .*Policy CA"),
        (too_long, r"longer than 3 authorities|permits 0 authorities"),
        (too_deep, r"CN=Grid CPO CA permits 0 authorities below it, the chain has 1"),
        (wrong_curve, r"CN=Weak CA has a secp256r1 key, which the profile strict does not take"),
        (unknown_root, r"leads to no trust anchor: .*CN=Other.*--ca-bundle FILE"),
        (same_name_other_key, r"is not signed by the key of|leads to no trust anchor"),
        (of_another_request, r"no certificate of the chain has our key .*another request"),
        (lambda utility: [], "no certificate came"),
        (lambda utility: [utility.root.certificate] * 21, "at most 20 are taken"),
    ],
)
def test_a_bad_chain_is_refused_by_certificate_reason_and_remedy(
    check: Check, utility: Utility, bad: Callable[[Utility], list[x509.Certificate]], words: str
) -> None:
    with pytest.raises(PkiError, match=words):
        check(*bad(utility))


def test_a_policy_that_the_issuer_may_give_is_taken(check: Check, utility: Utility) -> None:
    given = [policies("1.3.6.1.4.1.99999.1", "1.3.6.1.4.1.99999.2")]
    issuer = TestAuthority("Policy CA", NOW, issuer=utility.root, domain="CPO", key=p521(), extensions=given)
    assert check(leaf(issuer, extensions=[policies("1.3.6.1.4.1.99999.2")]), *issuer.chain).common_name == "US*V2G*E1"


def test_a_revoked_certificate_is_refused(check: Check, utility: Utility) -> None:
    own = leaf(utility.cpo)

    def is_revoked(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        return certificate == own and issuer == utility.cpo.certificate

    with pytest.raises(PkiError, match=r"CN=US\*V2G\*E1 is revoked.*provision --force"):
        check(own, *utility.cpo.chain, is_revoked=is_revoked)
    assert check(leaf(utility.cpo), *utility.cpo.chain, is_revoked=is_revoked).anchor == utility.root.certificate


def test_p256_is_taken_in_compat_only(check: Check, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    root = TestAuthority("Old Root", NOW, key=ec.generate_private_key(ec.SECP256R1()))
    sub = TestAuthority("Old CPO", NOW, issuer=root, domain="CPO", key=ec.generate_private_key(ec.SECP256R1()))
    path = tmp_path / "old.pem"
    path.write_bytes(pem(root.certificate))
    old = read_bundle(path, NOW)
    own = leaf(sub, key=key)
    assert check(own, *sub.chain, key=key, bundle=old, profile=TlsProfile.COMPAT).leaf == own
    with pytest.raises(PkiError, match="secp256r1 key"):
        check(own, *sub.chain, key=key, bundle=old)


def test_certificates_that_all_sign_each_other_are_no_maze(check: Check, utility: Utility) -> None:
    # One name and one key: each of them may have issued each other.
    loop = [TestAuthority("Loop", NOW, key=KEY).certificate for _ in range(18)]
    own = TestAuthority("Loop", NOW, key=KEY).leaf(SECC, (mine := p521()).public_key())
    with pytest.raises(PkiError, match=r"leads to no trust anchor|at most 4 are taken"):
        check(own, *loop, key=mine)


@pytest.mark.parametrize(
    "key", [p521(), ed448.Ed448PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())], ids=["P", "E", "256"]
)
def test_a_key_is_held_against_its_certificate_by_a_signature(utility: Utility, key: Any) -> None:
    check_pair(key, leaf(utility.cpo, key=key))
    for other in (p521(), ed448.Ed448PrivateKey.generate()):
        with pytest.raises(PairMismatch, match=r"not that of DC=CPO,CN=US\*V2G\*E1"):
            check_pair(key, leaf(utility.cpo, key=other))
