"""Chains that lead to a root we trust, and every way in which others do not."""

from __future__ import annotations

import datetime
import json
import math
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pyiso15118 import exi
from pyiso15118.messages import Namespace
from pyiso15118.messages import common_messages as cm
from pyiso15118.security import (
    Authority,
    ChainError,
    ChainProblem,
    Credential,
    Pki,
    Role,
    TlsProfile,
    TrustAnchors,
    ValidatedChain,
    validate_chain,
)

STRICT, COMPAT = TlsProfile.STRICT, TlsProfile.COMPAT
EMAID = "USV2GC123456786"
DAY = 86400.0
CN, DC = NameOID.COMMON_NAME, NameOID.DOMAIN_COMPONENT


def anchors(*roots: Authority | Credential) -> TrustAnchors:
    credentials = [r.credential if isinstance(r, Authority) else r for r in roots]
    return TrustAnchors.from_certificates(*(c.certificate for c in credentials))


def validate(
    shown: Credential,
    root: Authority | Credential | TrustAnchors,
    at: float,
    role: Role = Role.CONTRACT,
    profile: TlsProfile = STRICT,
    **options: Any,
) -> ValidatedChain:
    leaf, *subs = shown.chain_der()
    trusted = root if isinstance(root, TrustAnchors) else anchors(root)
    return validate_chain(leaf, subs, trusted, role=role, profile=profile, at_unix_s=at, **options)


def refusal(*args: Any, **options: Any) -> ChainError:
    with pytest.raises(ChainError) as caught:
        validate(*args, **options)
    return caught.value


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def shown_as(pki: Pki, role: Role) -> tuple[Credential, Authority]:
    """A leaf of a role and its root."""
    return {
        Role.CONTRACT: (pki.contract(EMAID), pki.mo_root),
        Role.OEM_PROVISIONING: (pki.provisioning("WMIV1234567890ABCD"), pki.oem_root),
        Role.VEHICLE: (pki.vehicle("WMIV1234567890ABCDEX"), pki.oem_root),
        Role.SECC: (pki.secc("US*V2G*E1"), pki.v2g_root),
        Role.CPS: (pki.cps("CPS"), pki.v2g_root),
    }[role]


# ---- what is trusted ----


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(
    ("fixture", "profile"), [("strict_pki", STRICT), ("ed448_pki", STRICT), ("compat_pki", COMPAT)]
)
def test_a_chain_of_each_role_leads_to_its_root(
    role: Role, fixture: str, profile: TlsProfile, now: float, request: pytest.FixtureRequest
) -> None:
    shown, root = shown_as(request.getfixturevalue(fixture), role)
    chain = validate(shown, root, now, role, profile)
    assert (chain.role, chain.leaf, chain.sub_certificates) == (role, shown.certificate, shown.chain)
    assert chain.anchor == root.credential.certificate
    assert chain.public_key == shown.key.public_key()


def test_a_contract_has_its_emaid_and_expires_with_its_first_certificate(strict_pki: Pki, now: float) -> None:
    shown = strict_pki.contract(EMAID)
    chain = validate(shown, strict_pki.mo_root, now)
    assert (chain.common_name, chain.emaid) == (EMAID, EMAID)
    assert chain.expires_at_unix_s == shown.certificate.not_valid_after_utc.timestamp()


def test_no_role_but_a_contract_has_an_emaid(strict_pki: Pki, now: float) -> None:
    chain = validate(strict_pki.cps("CPS"), strict_pki.v2g_root, now, Role.CPS)
    with pytest.raises(ValueError, match="no EMAID"):
        _ = chain.emaid


def long_chain(pki: Pki, recipe: Any, above: int) -> Credential:
    """A contract with ``above`` sub certificates."""
    issuer = pki.mo_root.credential
    for depth in range(above):
        issuer = recipe(issuer, subject=((CN, f"MO Sub {depth}"),)).authority(above - 1 - depth).make()
    return recipe(issuer).make()


@pytest.mark.parametrize("above", [0, 1, 2, 3])
def test_sub_certificates_may_stand_in_any_order_and_hold_the_root(
    above: int, strict_pki: Pki, recipe: Any, now: float
) -> None:
    leaf, *subs = long_chain(strict_pki, recipe, above).chain_der()
    mixed = [*reversed(subs), der(strict_pki.mo_root.credential.certificate)]
    trusted = anchors(strict_pki.mo_root)
    chain = validate_chain(leaf, mixed, trusted, role=Role.CONTRACT, profile=STRICT, at_unix_s=now)
    assert [der(c) for c in chain.sub_certificates] == subs


def test_certificates_that_the_path_does_not_need_do_no_harm(strict_pki: Pki, recipe: Any, now: float) -> None:
    leaf, sub = strict_pki.contract(EMAID).chain_der()
    expired = der(recipe(strict_pki.mo_root.credential, subject=((CN, "Old"),)).authority(days=1).make().certificate)
    trusted = anchors(strict_pki.oem_root, strict_pki.mo_root)
    chain = validate_chain(leaf, [expired, sub, sub], trusted, role=Role.CONTRACT, profile=STRICT, at_unix_s=now)
    assert [der(c) for c in chain.sub_certificates] == [sub]


def test_a_sub_certificate_may_be_the_anchor(strict_pki: Pki, now: float) -> None:
    chain = validate(strict_pki.contract(EMAID), strict_pki.mo_sub_ca, now)
    assert chain.anchor == strict_pki.mo_sub_ca.credential.certificate


def test_a_cross_certificate_leads_to_the_root_that_is_trusted(strict_pki: Pki, recipe: Any, now: float) -> None:
    own = strict_pki.mo_root.credential
    names = tuple((a.oid, str(a.value)) for a in own.certificate.subject)
    cross = recipe(strict_pki.v2g_root.credential, subject=names, key=own.key).authority(1).make()
    leaf, *subs = strict_pki.contract(EMAID).chain_der()
    listed = [*subs, der(own.certificate), der(cross.certificate)]
    trusted = anchors(strict_pki.v2g_root)
    chain = validate_chain(leaf, listed, trusted, role=Role.CONTRACT, profile=STRICT, at_unix_s=now)
    assert chain.sub_certificates[-1] == cross.certificate


def test_extensions_that_the_standard_has_critical_are_understood(strict_pki: Pki, recipe: Any, now: float) -> None:
    issuer = strict_pki.mo_sub_ca.credential
    key = ec.generate_private_key(ec.SECP521R1())
    critical = (
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()),
        x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3"), None)]),
    )
    assert validate(recipe(issuer, key=key, identifiers=False, critical=critical).make(), strict_pki.mo_root, now)


# ---- time ----


def test_an_expired_certificate_is_named(strict_pki: Pki, now: float) -> None:
    error = refusal(strict_pki.contract(EMAID), strict_pki.mo_root, now + 365 * DAY)
    assert error.problem is ChainProblem.EXPIRED
    assert EMAID in str(error)
    assert "2027-01-01" in str(error)


def test_a_certificate_expires_after_its_last_second(strict_pki: Pki) -> None:
    shown = strict_pki.contract(EMAID)
    last = shown.certificate.not_valid_after_utc.timestamp()
    assert validate(shown, strict_pki.mo_root, last)
    assert refusal(shown, strict_pki.mo_root, last + 0.001).problem is ChainProblem.EXPIRED


def test_a_certificate_of_the_future_is_refused(strict_pki: Pki, now: float) -> None:
    error = refusal(strict_pki.contract(EMAID), strict_pki.mo_root, now - 365 * DAY)
    assert error.problem is ChainProblem.NOT_YET_VALID
    assert "clock" in str(error)


@pytest.mark.parametrize("at", [math.nan, math.inf, -math.inf])
def test_a_time_that_is_none_makes_nothing_valid(at: float, strict_pki: Pki) -> None:
    error = refusal(strict_pki.contract(EMAID), strict_pki.mo_root, at)
    assert error.problem in (ChainProblem.EXPIRED, ChainProblem.NOT_YET_VALID)


def test_authorities_and_anchors_expire_too(strict_pki: Pki, recipe: Any, now: float) -> None:
    short = recipe(strict_pki.mo_root.credential, subject=((CN, "Short"),)).authority(days=30).make()
    error = refusal(recipe(short).make(), strict_pki.mo_root, now)
    assert (error.problem, "CN=Short" in str(error)) == (ChainProblem.EXPIRED, True)
    root = recipe(None, subject=((CN, "Old root"),)).authority(None, days=30).make()
    error = refusal(recipe(root).make(), root, now)
    assert (error.problem, "CN=Old root" in str(error)) == (ChainProblem.EXPIRED, True)


def test_by_a_clock_that_may_be_behind_nothing_is_too_young_but_expiry_counts(strict_pki: Pki, now: float) -> None:
    shown = strict_pki.contract(EMAID)
    begins = shown.certificate.not_valid_before_utc.timestamp()
    assert refusal(shown, strict_pki.mo_root, begins - 1e6).problem is ChainProblem.NOT_YET_VALID
    assert validate(shown, strict_pki.mo_root, begins - 1e6, not_before_counts=False).leaf == shown.certificate
    ends = shown.certificate.not_valid_after_utc.timestamp()
    late = refusal(shown, strict_pki.mo_root, ends + 1.0, not_before_counts=False)
    assert late.problem is ChainProblem.EXPIRED


def test_expiry_is_told_before_what_is_not_yet_valid(strict_pki: Pki, recipe: Any, now: float) -> None:
    short = recipe(strict_pki.mo_root.credential, subject=((CN, "Short"),)).authority(days=30).make()
    tomorrow = datetime.datetime.fromtimestamp(now + DAY, datetime.UTC)
    early = recipe(short, subject=((CN, "Early"),)).authority(not_before=tomorrow).make()
    assert refusal(recipe(early).make(), strict_pki.mo_root, now).problem is ChainProblem.EXPIRED


def test_an_expired_leaf_is_told_even_where_its_root_is_unknown(strict_pki: Pki, now: float) -> None:
    assert refusal(strict_pki.contract(EMAID), TrustAnchors(), now + 366 * DAY).problem is ChainProblem.EXPIRED


# ---- trust ----


def test_without_its_root_a_chain_leads_nowhere(strict_pki: Pki, now: float) -> None:
    for trusted in (TrustAnchors(), anchors(strict_pki.v2g_root, strict_pki.oem_root)):
        error = refusal(strict_pki.contract(EMAID), trusted, now)
        assert error.problem is ChainProblem.NO_ANCHOR
        assert "MO Root CA" in str(error)


def test_a_root_of_the_same_name_is_not_the_root(strict_pki: Pki, recipe: Any, now: float) -> None:
    names = tuple((a.oid, str(a.value)) for a in strict_pki.mo_root.credential.certificate.subject)
    namesake = recipe(None, subject=names).authority(None).make()
    assert refusal(strict_pki.contract(EMAID), namesake, now).problem is ChainProblem.NO_ANCHOR
    bare = recipe(None, subject=names, identifiers=False).authority(None).make()
    error = refusal(strict_pki.contract(EMAID), bare, now)
    assert error.problem is ChainProblem.INVALID
    assert "not signed by the key of" in str(error)


def test_a_missing_sub_certificate_is_named(strict_pki: Pki, now: float) -> None:
    leaf, _ = strict_pki.contract(EMAID).chain_der()
    with pytest.raises(ChainError, match="MO Sub CA") as caught:
        validate_chain(leaf, [], anchors(strict_pki.mo_root), role=Role.CONTRACT, profile=STRICT, at_unix_s=now)
    assert caught.value.problem is ChainProblem.NO_ANCHOR


def test_a_self_signed_leaf_is_nobodys(recipe: Any, now: float) -> None:
    shown = recipe(None).make()
    assert refusal(shown, TrustAnchors(), now).problem is ChainProblem.NO_ANCHOR
    error = refusal(shown, shown, now)
    assert error.problem is ChainProblem.INVALID
    assert "trust anchor" in str(error)


def test_a_private_site_may_trust_the_leaf_of_its_secc(recipe: Any, now: float) -> None:
    shown = recipe(None, subject=((CN, "US*V2G*E1"), (DC, "CPO"))).make()
    assert validate(shown, shown, now, Role.SECC).anchor == shown.certificate


def test_revocation_is_asked_for_all_but_the_anchor(strict_pki: Pki, now: float) -> None:
    shown = strict_pki.contract(EMAID)
    asked: list[tuple[x509.Certificate, x509.Certificate]] = []
    validate(shown, strict_pki.mo_root, now, is_revoked=lambda c, issuer: bool(asked.append((c, issuer))))
    root = strict_pki.mo_root.credential.certificate
    assert asked == [(shown.certificate, shown.chain[0]), (shown.chain[0], root)]
    for bad, _ in asked:
        error = refusal(shown, strict_pki.mo_root, now, is_revoked=lambda c, _, bad=bad: c == bad)
        assert error.problem is ChainProblem.REVOKED


# ---- what certificates may do ----


def test_a_leaf_issues_nothing(strict_pki: Pki, recipe: Any, now: float) -> None:
    error = refusal(recipe(strict_pki.contract(EMAID)).make(), strict_pki.mo_root, now)
    assert error.problem is ChainProblem.INVALID
    assert "no certification authority" in str(error)


def test_the_path_length_is_kept(strict_pki: Pki, recipe: Any, now: float) -> None:
    below = recipe(strict_pki.mo_sub_ca.credential, subject=((CN, "Below"),)).authority().make()
    error = refusal(recipe(below).make(), strict_pki.mo_root, now)
    assert error.problem is ChainProblem.INVALID
    assert "permits 0 authorities below it, the chain has 1" in str(error)


def policies(*numbers: str) -> x509.CertificatePolicies:
    return x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(n), None) for n in numbers])


@pytest.mark.parametrize(
    ("given", "claimed", "excess"),
    [
        (policies("1.2.3.1"), policies("1.2.3.2"), "1.2.3.2"),
        (policies("1.2.3.1"), policies("1.2.3.1", "1.2.3.2"), "1.2.3.2"),
        (policies("1.2.3.1"), policies("1.2.3.1"), None),
        (policies("2.5.29.32.0"), policies("1.2.3.2"), None),
        (policies("1.2.3.1"), None, None),
        (None, policies("1.2.3.2"), None),
    ],
)
def test_a_certificate_has_only_policies_that_its_issuer_may_give(
    strict_pki: Pki, recipe: Any, now: float, given: Any, claimed: Any, excess: str | None
) -> None:
    above = recipe(strict_pki.mo_root.credential, subject=((CN, "Policy CA"),), extensions=(given,) if given else ())
    shown = recipe(above.authority().make(), extensions=(claimed,) if claimed else ()).make()
    if excess is None:
        assert validate(shown, strict_pki.mo_root, now).common_name == "USV2GC123456786"
        return
    error = refusal(shown, strict_pki.mo_root, now)
    assert error.problem is ChainProblem.INVALID
    assert f"claims the certificate policy {excess}, which its issuer" in str(error)


def test_four_authorities_are_too_many(strict_pki: Pki, recipe: Any, now: float) -> None:
    error = refusal(long_chain(strict_pki, recipe, 4), strict_pki.mo_root, now)
    assert error.problem is ChainProblem.INVALID
    assert "longer than 3" in str(error)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"usage": frozenset({"crl_sign"})}, "does not permit signing certificates"),
        ({"usage": None}, "has no key usage"),
        ({"ca": False}, "no certification authority"),
    ],
)
def test_an_authority_must_be_one(
    changes: dict[str, Any], words: str, strict_pki: Pki, recipe: Any, now: float
) -> None:
    authority = recipe(strict_pki.mo_root.credential, subject=((CN, "Sub"),)).authority(**changes).make()
    error = refusal(recipe(authority).make(), strict_pki.mo_root, now)
    assert (error.problem, words in str(error)) == (ChainProblem.INVALID, True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ca": True}, "is a certification authority"),
        ({"usage": frozenset({"key_agreement"})}, "digitalSignature"),
        ({"usage": frozenset({"digital_signature", "key_cert_sign"})}, "digitalSignature"),
        ({"usage": None}, "has no key usage"),
        ({"critical": (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\0"),)}, "1.2.3.4"),
        ({"critical": (x509.NameConstraints(None, [x509.DNSName("x")]),)}, "not understood"),
        ({"critical": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]),)}, "extended key usage"),
        ({"subject": ((CN, EMAID), (CN, "DEV2GC123456787"))}, "2 common names"),
        ({"subject": ((DC, "MO"),)}, "0 common names"),
        ({"subject": ()}, "0 common names"),
    ],
)
def test_a_leaf_must_be_a_leaf(changes: dict[str, Any], words: str, strict_pki: Pki, recipe: Any, now: float) -> None:
    error = refusal(recipe(strict_pki.mo_sub_ca.credential, **changes).make(), strict_pki.mo_root, now)
    assert (error.problem, words in str(error)) == (ChainProblem.INVALID, True), str(error)


def test_compat_takes_certificates_without_key_usage(strict_pki: Pki, recipe: Any, now: float) -> None:
    authority = recipe(strict_pki.mo_root.credential, subject=((CN, "Sub"),)).authority(usage=None).make()
    assert validate(recipe(authority, usage=None).make(), strict_pki.mo_root, now, profile=COMPAT)


def test_a_provisioning_certificate_must_permit_key_agreement(strict_pki: Pki, recipe: Any, now: float) -> None:
    shown = recipe(strict_pki.oem_sub_ca.credential, usage=frozenset({"digital_signature"})).make()
    assert validate(shown, strict_pki.oem_root, now, Role.VEHICLE)
    assert "keyAgreement" in str(refusal(shown, strict_pki.oem_root, now, Role.OEM_PROVISIONING))


@pytest.mark.parametrize(
    ("role", "good", "bad"),
    [
        (Role.VEHICLE, ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH),
        (Role.SECC, ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    ],
)
def test_a_stated_purpose_binds(role: Role, good: Any, bad: Any, strict_pki: Pki, recipe: Any, now: float) -> None:
    subject = ((CN, "x"), (DC, "CPO")) if role is Role.SECC else ((CN, "x"),)
    make = lambda purpose: recipe(strict_pki.v2g_root.credential, subject=subject, purposes=(purpose,)).make()  # noqa: E731
    assert validate(make(good), strict_pki.v2g_root, now, role)
    assert validate(make(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE), strict_pki.v2g_root, now, role)
    assert "extended key usage" in str(refusal(make(bad), strict_pki.v2g_root, now, role))


# ---- roles ----


@pytest.mark.parametrize("profile", TlsProfile)
@pytest.mark.parametrize("shown_for", Role)
def test_a_certificate_passes_for_its_own_role_only(
    shown_for: Role, profile: TlsProfile, strict_pki: Pki, now: float
) -> None:
    shown, root = shown_as(strict_pki, shown_for)
    oem = {Role.OEM_PROVISIONING, Role.VEHICLE}
    for role in Role:
        if role is shown_for or {role, shown_for} == oem:
            assert validate(shown, root, now, role, profile)
        else:
            assert refusal(shown, root, now, role, profile).problem is ChainProblem.INVALID


@pytest.mark.parametrize("role", Role)
def test_the_role_may_be_left_out_where_the_standard_has_it_so(
    role: Role, strict_pki: Pki, recipe: Any, now: float
) -> None:
    shown = recipe(strict_pki.v2g_root.credential, subject=((CN, "x"), (DC, "example"))).make()
    assert validate(shown, strict_pki.v2g_root, now, role, COMPAT)
    if role in (Role.SECC, Role.CPS):
        assert "domain component" in str(refusal(shown, strict_pki.v2g_root, now, role))
    else:
        assert validate(shown, strict_pki.v2g_root, now, role)


# ---- keys and algorithms ----


def test_strict_takes_no_p256_and_says_what_would(compat_pki: Pki, now: float) -> None:
    error = refusal(compat_pki.contract(EMAID), compat_pki.mo_root, now)
    assert error.problem is ChainProblem.INVALID
    assert "secp256r1" in str(error)
    assert "use compat" in str(error)


def test_strict_takes_no_sha256(strict_pki: Pki, recipe: Any, now: float) -> None:
    shown = recipe(strict_pki.mo_sub_ca.credential, digest=hashes.SHA256()).make()
    assert validate(shown, strict_pki.mo_root, now, profile=COMPAT)
    assert "algorithm" in str(refusal(shown, strict_pki.mo_root, now))


@pytest.mark.parametrize("key", ["p384", "rsa", "ed25519"])
def test_no_profile_takes_keys_of_other_kinds(
    key: str, strict_pki: Pki, recipe: Any, p384_key: Any, now: float
) -> None:
    made = {
        "p384": lambda: p384_key,
        "rsa": lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505
        "ed25519": ed25519.Ed25519PrivateKey.generate,
    }[key]()
    shown = recipe(strict_pki.mo_sub_ca.credential, key=made).make()
    for profile in TlsProfile:
        assert refusal(shown, strict_pki.mo_root, now, profile=profile).problem is ChainProblem.INVALID


def test_an_authority_of_rsa_is_not_followed(strict_pki: Pki, recipe: Any, now: float) -> None:
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505
    authority = recipe(strict_pki.mo_root.credential, subject=((CN, "RSA"),), key=key).authority().make()
    error = refusal(recipe(authority, digest=hashes.SHA512()).make(), strict_pki.mo_root, now)
    assert (error.problem, "CN=RSA" in str(error)) == (ChainProblem.INVALID, True)


def test_mixed_curves_of_the_standard_are_taken(strict_pki: Pki, recipe: Any, now: float) -> None:
    shown = recipe(strict_pki.mo_sub_ca.credential, key=ed448.Ed448PrivateKey.generate()).make()
    assert isinstance(validate(shown, strict_pki.mo_root, now).public_key, ed448.Ed448PublicKey)


# ---- anchors ----


def test_anchors_come_from_pem_files(strict_pki: Pki, now: float) -> None:
    both = strict_pki.v2g_root.certificate_pem + strict_pki.mo_root.certificate_pem
    trusted = TrustAnchors.from_pem(both, strict_pki.oem_root.certificate_pem)
    assert len(trusted.certificates) == 3
    assert validate(strict_pki.contract(EMAID), trusted, now)


def test_anchors_that_cannot_be_read_are_refused() -> None:
    for make in (TrustAnchors.from_pem, TrustAnchors.from_certificates):
        with pytest.raises(ChainError, match="trust anchor") as caught:
            make(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        assert caught.value.problem is ChainProblem.INVALID


def test_an_anchor_with_a_field_that_cannot_be_read_is_refused_when_it_is_given(strict_pki: Pki) -> None:
    """Such a field is read when it is first needed: found then, it would fail every vehicle's chain."""
    good = der(strict_pki.mo_root.credential.certificate)
    for broken in (
        good.replace(b"\x0c\x0aMO Root CA", b"\x0b\x0aMO Root CA"),
        good.replace(b"\x55\x1d\x13", b"\x55\x1d\x0e"),
    ):
        assert broken != good
        with pytest.raises(ChainError, match="trust anchor") as caught:
            TrustAnchors((x509.load_der_x509_certificate(broken),))
        assert caught.value.problem is ChainProblem.INVALID


# ---- the field ----


def recorded_chains(folder: Path) -> list[tuple[str, bytes, list[bytes]]]:
    found = []
    for file in sorted((folder / "iso15118" / "sessions").glob("*.jsonl")):
        for row in map(json.loads, file.read_text().splitlines()):
            if row["message"] == "AuthorizationReq":
                message: Any = exi.decode(Namespace.COMMON_MESSAGES, bytes.fromhex(row["hex"]))
                if message.PnC_AReqAuthorizationMode is not None:
                    chain = message.PnC_AReqAuthorizationMode.ContractCertificateChain
                    assert isinstance(chain, cm.ContractCertificateChainType)
                    found.append((file.stem, chain.Certificate, list(chain.SubCertificates.Certificate)))
    return found


def test_chains_on_record_lead_to_their_highest_authority(shared_data: Path) -> None:
    """No record holds the root, so the highest authority sent stands for it. All are of P-256: compat."""
    chains = recorded_chains(shared_data)
    assert len(chains) == 14
    at = datetime.datetime(2026, 9, 1, tzinfo=datetime.UTC).timestamp()
    for name, leaf, subs in chains:
        trusted = TrustAnchors.from_certificates(subs[-1])
        chain = validate_chain(leaf, subs, trusted, role=Role.CONTRACT, profile=COMPAT, at_unix_s=at)
        assert chain.emaid in ("UKSWI123456789A", "UKSWI123456791A"), name
        assert len(chain.sub_certificates) == 1, name
        with pytest.raises(ChainError, match="use compat"):
            validate_chain(leaf, subs, trusted, role=Role.CONTRACT, profile=STRICT, at_unix_s=at)
