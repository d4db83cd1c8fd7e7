"""Signatures in headers: those on record verify, ours verify, nothing else does."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from pyiso15118 import exi
from pyiso15118.messages import Namespace, xmldsig
from pyiso15118.messages import common_messages as cm
from pyiso15118.security import (
    Curve,
    KeySigner,
    SignatureError,
    SignedInfoForm,
    TlsProfile,
    sign_parts,
    verify_parts,
)
from pyiso15118.security import signature as module
from support.examples import examples

STRICT, COMPAT = TlsProfile.STRICT, TlsProfile.COMPAT
KEYS: dict[str, Any] = {curve.value: curve.generate() for curve in Curve}
PUBLIC = {name: key.public_key() for name, key in KEYS.items()}
replace = msgspec.structs.replace


def authorization(id_: str = "id1", challenge: bytes = bytes(range(16))) -> cm.PnC_AReqAuthorizationModeType:
    return cm.PnC_AReqAuthorizationModeType(
        Id=id_,
        GenChallenge=challenge,
        ContractCertificateChain=cm.ContractCertificateChainType(
            Certificate=b"leaf", SubCertificates=cm.SubCertificatesType(Certificate=[b"sub"])
        ),
    )


PART = authorization()
SIGNATURE = sign_parts([PART], KeySigner(KEYS["secp521r1"]))


def refusal(signature: xmldsig.Signature | None, parts: Any = (PART,), key: Any = None, **options: Any) -> str:
    with pytest.raises(SignatureError) as caught:
        verify_parts(signature, parts, key or PUBLIC["secp521r1"], **({"profile": COMPAT} | options))
    return str(caught.value)


def resigned(key: str = "secp521r1", **changes: Any) -> xmldsig.Signature:
    """A SignedInfo changed and signed anew, so that nothing but the change is wrong."""
    info = replace(sign_parts([PART], KeySigner(KEYS[key])).SignedInfo, **changes)
    value = KeySigner(KEYS[key]).sign(exi.encode_fragment(info, Namespace.XMLDSIG))
    return xmldsig.Signature(SignedInfo=info, SignatureValue=xmldsig.SignatureValue(value=value))


# ---- the field ----


def recorded(folder: Path) -> dict[str, Any]:
    found = {}
    for file in sorted((folder / "iso15118" / "sessions").glob("*.jsonl")):
        for row in map(json.loads, file.read_text().splitlines()):
            if row["message"] == "AuthorizationReq":
                message: Any = exi.decode(Namespace.COMMON_MESSAGES, bytes.fromhex(row["hex"]))
                if message.PnC_AReqAuthorizationMode is not None:
                    found[f"{file.stem}#{row['seq']}"] = message
    return found


def leaf_key(message: Any) -> Any:
    der = message.PnC_AReqAuthorizationMode.ContractCertificateChain.Certificate
    return x509.load_der_x509_certificate(der).public_key()


def test_every_signature_on_record_verifies(shared_data: Path) -> None:
    """All come from Josev's vehicle: P-256 with SHA-256, and the form of the signature schema."""
    messages = recorded(shared_data)
    assert len(messages) == 14
    for name, message in messages.items():
        part = message.PnC_AReqAuthorizationMode
        form = verify_parts(message.Header.Signature, [part], leaf_key(message), profile=COMPAT)
        assert form is SignedInfoForm.XMLDSIG, name
        assert "secp256r1" in refusal(message.Header.Signature, [part], leaf_key(message), profile=STRICT)


def test_signatures_on_record_are_of_what_was_signed(shared_data: Path) -> None:
    messages = list(recorded(shared_data).values())
    for message, other in zip(messages, messages[1:] + messages[:1], strict=True):
        part, signature = message.PnC_AReqAuthorizationMode, message.Header.Signature
        changed = replace(part, GenChallenge=part.GenChallenge[:-1] + bytes([part.GenChallenge[-1] ^ 1]))
        assert "digest" in refusal(signature, [changed], leaf_key(message))
        moved = replace(signature, SignatureValue=other.Header.Signature.SignatureValue)
        assert "not made with the key" in refusal(moved, [part], leaf_key(message))


# ---- our own ----


@pytest.mark.parametrize("form", SignedInfoForm)
@pytest.mark.parametrize("key", KEYS)
def test_what_is_signed_verifies_in_its_form(key: str, form: SignedInfoForm) -> None:
    signature = sign_parts([PART], KeySigner(KEYS[key]), form=form)
    profile = COMPAT if key == "secp256r1" else STRICT
    assert verify_parts(signature, [PART], PUBLIC[key], profile=profile) is form
    assert len(signature.SignatureValue.value) == {"secp521r1": 132, "secp256r1": 64, "ed448": 114}[key]


def test_the_two_forms_differ_by_a_byte() -> None:
    info = sign_parts([PART], KeySigner(KEYS["secp256r1"])).SignedInfo
    sizes = {form: len(exi.encode_fragment(info, form.namespace)) for form in SignedInfoForm}
    assert sizes == {SignedInfoForm.COMMON_MESSAGES: 210, SignedInfoForm.XMLDSIG: 209}


@pytest.mark.parametrize(
    ("key", "method", "digest"),
    [
        (
            "secp521r1",
            "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
            "http://www.w3.org/2001/04/xmlenc#sha512",
        ),
        (
            "ed448",
            "urn:iso:std:iso:15118:-20:Security:xmldsig#Ed448",
            "urn:iso:std:iso:15118:-20:Security:xmlenc#SHAKE256",
        ),
    ],
)
def test_algorithms_are_named_as_the_standard_names_them(key: str, method: str, digest: str) -> None:
    info = sign_parts([PART], KeySigner(KEYS[key])).SignedInfo
    assert info.SignatureMethod.Algorithm == method
    assert info.CanonicalizationMethod.Algorithm == "http://www.w3.org/TR/canonical-exi/"
    (reference,) = info.Reference
    assert (reference.URI, reference.DigestMethod.Algorithm, len(reference.DigestValue)) == ("#id1", digest, 64)
    assert reference.Transforms is not None
    assert [t.Algorithm for t in reference.Transforms.Transform] == ["http://www.w3.org/TR/canonical-exi/"]


def test_the_signature_is_plain_ecdsa_over_the_encoded_signed_info() -> None:
    value = SIGNATURE.SignatureValue.value
    der = encode_dss_signature(int.from_bytes(value[:66]), int.from_bytes(value[66:]))
    data = exi.encode_fragment(SIGNATURE.SignedInfo, Namespace.XMLDSIG)
    PUBLIC["secp521r1"].verify(der, data, ec.ECDSA(hashes.SHA512()))


def test_several_parts_are_covered_in_any_order() -> None:
    parts = [authorization("a"), authorization("b", bytes(16))]
    signature = sign_parts(parts, KeySigner(KEYS["ed448"]))
    assert verify_parts(signature, parts[::-1], PUBLIC["ed448"], profile=STRICT)
    assert "refers to" in refusal(signature, parts[:1], PUBLIC["ed448"])
    assert "refers to" in refusal(signature, [*parts, authorization("c")], PUBLIC["ed448"])


def test_every_part_of_a_message_that_has_an_id_can_be_signed() -> None:
    kinds = {t for t in vars(cm).values() if isinstance(t, type) and "Id" in getattr(t, "__struct_fields__", ())}
    assert {exi.element_name(kind) for kind in kinds} == {
        *("PnC_AReqAuthorizationMode", "OEMProvisioningCertificateChain", "SignedInstallationData"),
        *("SignedMeteringData", "AbsolutePriceSchedule", "PriceLevelSchedule"),
    }


def test_a_key_elsewhere_signs_as_one_in_memory_does() -> None:
    class Token:
        key_type = "secp521r1"

        def sign(self, data: bytes) -> bytes:
            r, s = decode_dss_signature(KEYS["secp521r1"].sign(data, ec.ECDSA(hashes.SHA512())))
            return r.to_bytes(66) + s.to_bytes(66)

    assert verify_parts(sign_parts([PART], Token()), [PART], PUBLIC["secp521r1"], profile=STRICT)


def test_a_token_that_gives_der_is_noticed_at_once() -> None:
    class Token:
        key_type = "secp521r1"

        def sign(self, data: bytes) -> bytes:
            return KEYS["secp521r1"].sign(data, ec.ECDSA(hashes.SHA512()))  # type: ignore[no-any-return]

    with pytest.raises(SignatureError, match="DER"):
        sign_parts([PART], Token())


def test_keys_of_other_curves_sign_nothing(p384_key: Any) -> None:
    with pytest.raises(SignatureError, match="secp384r1"):
        KeySigner(p384_key)

    class Token:
        key_type = "rsa"

        def sign(self, data: bytes) -> bytes:
            raise AssertionError("not to be asked")

    with pytest.raises(SignatureError, match="rsa"):
        sign_parts([PART], Token())
    assert "secp384r1" in refusal(SIGNATURE, key=p384_key.public_key())


# ---- what a reference covers ----


def reference(**changes: Any) -> xmldsig.Reference:
    return replace(SIGNATURE.SignedInfo.Reference[0], **changes)


@pytest.mark.parametrize(
    "references",
    [
        [reference(), reference()],
        [reference(), reference(URI="#id2")],
        [reference(URI="")],
        [reference(URI="#")],
        [reference(URI=None)],
        [reference(URI="id1")],
        [reference(URI="##id1")],
        [reference(URI="http://x/#id1")],
        [reference(URI="#ID1")],
    ],
)
def test_references_name_each_part_once_and_nothing_else(references: list[xmldsig.Reference]) -> None:
    assert "refers to" in refusal(resigned(Reference=references))


@pytest.mark.parametrize(
    "digest", [b"", bytes(64), SIGNATURE.SignedInfo.Reference[0].DigestValue[:-1], bytes(10_000)], ids=range(4)
)
def test_the_digest_must_be_the_parts(digest: bytes) -> None:
    assert "digest" in refusal(resigned(Reference=[reference(DigestValue=digest)]))


def test_digests_may_not_change_places() -> None:
    parts = [authorization("a"), authorization("b", bytes(16))]
    a, b = sign_parts(parts, KeySigner(KEYS["secp521r1"])).SignedInfo.Reference
    swapped = [replace(a, DigestValue=b.DigestValue), replace(b, DigestValue=a.DigestValue)]
    assert "digest" in refusal(resigned(Reference=swapped), parts)


def test_parts_need_ids_of_their_own() -> None:
    signer = KeySigner(KEYS["secp521r1"])
    for parts, words in (([PART, PART], "two signed parts"), ([authorization("")], "no Id"), ([], "0 parts")):
        assert words in refusal(SIGNATURE, parts)
        with pytest.raises(SignatureError, match=words):
            sign_parts(parts, signer)
    anonymous = cm.SubCertificatesType(Certificate=[b""])
    assert "no Id" in refusal(SIGNATURE, [anonymous])


def test_a_message_without_a_signature_is_told() -> None:
    assert "no signature" in refusal(None)


def test_a_part_that_cannot_be_encoded_cannot_be_signed() -> None:
    with pytest.raises(SignatureError, match="GenChallenge"):
        sign_parts([authorization(challenge=b"short")], KeySigner(KEYS["secp521r1"]))


# ---- algorithms ----


def test_strict_takes_the_standards_algorithms_only() -> None:
    sha256 = xmldsig.DigestMethod(Algorithm=module.SHA256)
    digest = hashlib.sha256(exi.encode_fragment(PART, Namespace.COMMON_MESSAGES)).digest()
    signature = resigned(Reference=[reference(DigestMethod=sha256, DigestValue=digest)])
    assert verify_parts(signature, [PART], PUBLIC["secp521r1"], profile=COMPAT)
    assert "use compat" in refusal(signature, profile=STRICT)


def test_the_ietf_name_of_ed448_is_for_compat() -> None:
    method = xmldsig.SignatureMethod(Algorithm="http://www.w3.org/2021/04/xmldsig-more#eddsa-ed448")
    signature = resigned("ed448", SignatureMethod=method)
    assert verify_parts(signature, [PART], PUBLIC["ed448"], profile=COMPAT)
    assert "use compat" in refusal(signature, key=PUBLIC["ed448"], profile=STRICT)


@pytest.mark.parametrize("profile", TlsProfile)
@pytest.mark.parametrize(
    ("key", "method"),
    [
        ("secp521r1", module.ED448),
        ("ed448", module.ECDSA_SHA512),
        ("secp521r1", "http://www.w3.org/2000/09/xmldsig#hmac-sha1"),
        ("secp521r1", ""),
    ],
)
def test_a_method_must_fit_the_key(key: str, method: str, profile: TlsProfile) -> None:
    signature = resigned(key, SignatureMethod=xmldsig.SignatureMethod(Algorithm=method))
    assert "signature method" in refusal(signature, key=PUBLIC[key], profile=profile)


@pytest.mark.parametrize("algorithm", ["http://www.w3.org/2000/09/xmldsig#sha1", "", "x" * 10_000], ids=range(3))
def test_unknown_digests_are_refused(algorithm: str) -> None:
    signature = resigned(Reference=[reference(DigestMethod=xmldsig.DigestMethod(Algorithm=algorithm))])
    assert len(refusal(signature)) <= 400


OTHER = "http://www.w3.org/2001/10/xml-exc-c14n#"
TRANSFORM = xmldsig.Transform(Algorithm=module.CANONICAL_EXI)


@pytest.mark.parametrize(
    "changes",
    [
        {"Id": "x"},
        {"CanonicalizationMethod": xmldsig.CanonicalizationMethod(Algorithm=OTHER)},
        {"SignatureMethod": xmldsig.SignatureMethod(Algorithm=module.ECDSA_SHA512, HMACOutputLength=1)},
        {"Reference": [reference(Type="x")]},
        {"Reference": [reference(Transforms=xmldsig.Transforms(Transform=[xmldsig.Transform(Algorithm=OTHER)]))]},
        {"Reference": [reference(Transforms=xmldsig.Transforms(Transform=[replace(TRANSFORM, XPath=["/"])]))]},
        {"Reference": [reference(Transforms=xmldsig.Transforms(Transform=[TRANSFORM, TRANSFORM]))]},
    ],
)
def test_what_the_standard_excludes_is_refused(changes: dict[str, Any]) -> None:
    for profile in TlsProfile:
        assert refusal(resigned(**changes), profile=profile)


@pytest.mark.parametrize(
    "changes",
    [
        {"KeyInfo": xmldsig.KeyInfo(KeyName=["x"])},
        {"Object": [xmldsig.Object()]},
        {"SignatureValue": replace(SIGNATURE.SignatureValue, Id="x")},
    ],
)
def test_nothing_stands_beside_a_signature(changes: dict[str, Any]) -> None:
    assert "excludes" in refusal(replace(SIGNATURE, **changes))


def test_a_reference_without_transforms_is_taken() -> None:
    assert verify_parts(resigned(Reference=[reference(Transforms=None)]), [PART], PUBLIC["secp521r1"], profile=STRICT)


# ---- signature values ----


def with_value(value: bytes) -> xmldsig.Signature:
    return replace(SIGNATURE, SignatureValue=xmldsig.SignatureValue(value=value))


def test_der_is_refused_by_name() -> None:
    data = exi.encode_fragment(SIGNATURE.SignedInfo, Namespace.XMLDSIG)
    assert "not DER" in refusal(with_value(KEYS["secp521r1"].sign(data, ec.ECDSA(hashes.SHA512()))))


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"\0", bytes(131), bytes(132), bytes(133), bytes(60_000), b"\xff" * 132),
        *(bytes(66) + b"\1" * 66, b"\1" * 66 + bytes(66), bytes(65) + b"\1" + bytes(65) + b"\1"),
        b"\x30\x84\xff\xff\xff\xff" + b"\x02" * 126,
    ],
    ids=range(11),
)
def test_values_that_are_no_signature(value: bytes) -> None:
    assert refusal(with_value(value))


def test_another_key_did_not_sign_this() -> None:
    other: Any = Curve.SECP521R1.generate()
    assert "not made with the key" in refusal(SIGNATURE, key=other.public_key())
    assert "not made with the key" in refusal(
        sign_parts([PART], KeySigner(KEYS["ed448"])), key=ed448.Ed448PrivateKey.generate().public_key()
    )


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(changed)


@settings(max_examples=examples(150), deadline=None)
@given(bit=st.integers(0, 8 * 132 - 1))
def test_any_changed_bit_of_the_value_breaks_it(bit: int) -> None:
    assert refusal(with_value(flipped(SIGNATURE.SignatureValue.value, bit)))


@settings(max_examples=examples(200), deadline=None)
@given(bit=st.integers(8, 8 * len(exi.encode_fragment(PART, Namespace.COMMON_MESSAGES)) - 1))
def test_any_changed_bit_of_a_signed_part_breaks_the_signature(bit: int) -> None:
    data = flipped(exi.encode_fragment(PART, Namespace.COMMON_MESSAGES), bit)
    try:
        part = exi.decode_fragment(Namespace.COMMON_MESSAGES, data)
    except exi.ExiError:
        return
    if part != PART:
        assert refusal(SIGNATURE, [part])


@settings(max_examples=examples(300), deadline=None)
@given(
    bit=st.integers(8, 8 * len(exi.encode_fragment(SIGNATURE, Namespace.XMLDSIG)) - 1),
    profile=st.sampled_from(TlsProfile),
)
def test_any_changed_bit_of_a_signature_breaks_it(bit: int, profile: TlsProfile) -> None:
    data = flipped(exi.encode_fragment(SIGNATURE, Namespace.XMLDSIG), bit)
    try:
        signature = exi.decode_fragment(Namespace.XMLDSIG, data)
    except exi.ExiError:
        return
    if isinstance(signature, xmldsig.Signature) and signature != SIGNATURE:
        assert refusal(signature, profile=profile)
