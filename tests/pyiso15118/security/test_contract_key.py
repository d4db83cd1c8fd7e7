"""A contract's private key, encrypted for one vehicle: octet by octet as the standard has it; nobody else opens it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x448
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from pyiso15118.messages.common_messages import ecdhCurveType
from pyiso15118.security import AssociatedData, KeyDerivation, Pki, ProvisioningError, new_ed448_contract_key
from pyiso15118.security.contract_key import EncryptedKey, decrypt_contract_key, encrypt_contract_key
from support.examples import examples

IV = bytes(range(12))
PCID = "WMI-V12345-6789abc"
STANDARD = KeyDerivation()


def parties(pki: Pki) -> tuple[Any, Any]:
    return pki.contract("USV2GC123456786"), pki.provisioning(PCID)


def encrypt(contract: Any, oem: Any, **changes: Any) -> EncryptedKey:
    options = {"iv": IV, "ephemeral_key": None, "derivation": STANDARD} | changes
    return encrypt_contract_key(contract.key, contract.certificate, oem.certificate, **options)


def decrypt(encrypted: EncryptedKey, contract: Any, oem: Any, **changes: Any) -> Any:
    options = {"derivation": STANDARD} | changes
    return decrypt_contract_key(encrypted, contract.certificate, oem.certificate, oem.agreement_key, **options)


@pytest.fixture(params=["strict_pki", "ed448_pki"])
def pki(request: pytest.FixtureRequest) -> Pki:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def test_the_vehicle_gets_the_key_that_was_sent(pki: Pki) -> None:
    contract, oem = parties(pki)
    key = decrypt(encrypt(contract, oem), contract, oem)
    assert key.public_key() == contract.certificate.public_key()


def test_lengths_are_those_of_the_message(strict_pki: Pki, ed448_pki: Pki) -> None:
    p521, x = encrypt(*parties(strict_pki)), encrypt(*parties(ed448_pki))
    assert (p521.curve, len(p521.dh_public_key), len(p521.sealed)) == (ecdhCurveType.SECP521, 133, 94)
    assert (x.curve, len(x.dh_public_key), len(x.sealed)) == (ecdhCurveType.X448, 57, 84)
    assert p521.dh_public_key[0] == x.dh_public_key[0] == 4


def test_octets_are_those_of_the_clauses(pki: Pki) -> None:
    """Computed a second time from the wording: SHA-512(1, Z, 01 'U' 'V') and AES-GCM with PCID and key identifier."""
    contract, oem = parties(pki)
    if isinstance(oem.agreement_key, x448.X448PrivateKey):
        ephemeral: Any = x448.X448PrivateKey.generate()
        secret = oem.agreement_key.exchange(ephemeral.public_key())
        plain = contract.key.private_bytes_raw()[:56]
    else:
        ephemeral = ec.generate_private_key(ec.SECP521R1())
        secret = oem.agreement_key.exchange(ec.ECDH(), ephemeral.public_key())
        plain = contract.key.private_numbers().private_value.to_bytes(66, "big")
    key = hashlib.sha512(b"\0\0\0\1" + secret + b"\x01\x55\x56").digest()[:32]
    identifier = contract.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    beside = b"WMIV123456789ABC" + identifier.hex().upper().encode()
    sealed = encrypt(contract, oem, ephemeral_key=ephemeral).sealed
    assert sealed == IV + AESGCM(key).encrypt(IV, plain, beside)


def test_both_sides_may_leave_out_what_the_standard_adds(pki: Pki) -> None:
    contract, oem = parties(pki)
    bare = KeyDerivation(other_info=b"", associated_data=AssociatedData.NONE)
    encrypted = encrypt(contract, oem, derivation=bare)
    assert decrypt(encrypted, contract, oem, derivation=bare).public_key() == contract.certificate.public_key()
    for other in (STANDARD, replace(bare, other_info=b"\x01UV"), replace(STANDARD, other_info=b"")):
        with pytest.raises(ProvisioningError, match="another key derivation"):
            decrypt(encrypted, contract, oem, derivation=other)


def test_each_time_the_key_is_encrypted_anew(pki: Pki) -> None:
    contract, oem = parties(pki)
    assert encrypt(contract, oem).dh_public_key != encrypt(contract, oem).dh_public_key


def test_no_other_vehicle_opens_it(pki: Pki) -> None:
    contract, oem = parties(pki)
    encrypted = encrypt(contract, oem)
    with pytest.raises(ProvisioningError, match="another provisioning certificate"):
        decrypt(encrypted, contract, pki.provisioning(PCID))
    with pytest.raises(ProvisioningError, match="another provisioning certificate"):
        decrypt(encrypted, contract, replace(pki.provisioning("OTHER"), agreement_key=oem.agreement_key))
    with pytest.raises(ProvisioningError, match="another provisioning certificate"):
        decrypt(encrypted, pki.contract("USV2GC123456786"), oem)


@settings(max_examples=examples(100), deadline=None)
@given(bit=st.integers(0, 8 * 94 - 1))
def test_a_changed_bit_is_noticed(bit: int, strict_pki: Pki, ed448_pki: Pki) -> None:
    for pki in (strict_pki, ed448_pki):
        contract, oem = parties(pki)
        encrypted = encrypt(contract, oem)
        sealed = bytearray(encrypted.sealed)
        sealed[bit // 8 % len(sealed)] ^= 1 << bit % 8
        with pytest.raises(ProvisioningError, match="cannot be decrypted"):
            decrypt(replace(encrypted, sealed=bytes(sealed)), contract, oem)


@pytest.mark.parametrize("length", [0, 1, 11, 12, 13, 27, 28, 83, 84, 93, 94, 95, 206, 10_000])
def test_ciphertexts_of_any_other_length_are_refused(length: int, pki: Pki) -> None:
    contract, oem = parties(pki)
    encrypted = encrypt(contract, oem)
    with pytest.raises(ProvisioningError):
        decrypt(replace(encrypted, sealed=encrypted.sealed[:length].ljust(length, b"\0")[::-1]), contract, oem)


def test_points_that_are_none_are_refused(strict_pki: Pki, ed448_pki: Pki) -> None:
    contract, oem = parties(strict_pki)
    good = encrypt(contract, oem)
    off_curve = good.dh_public_key[:-1] + bytes([good.dh_public_key[-1] ^ 1])
    compressed = b"\x03" + good.dh_public_key[1:]
    for point in (
        off_curve,
        b"\4" + bytes(132),
        b"\4" + b"\xff" * 132,
        compressed,
        b"",
        b"\0",
        good.dh_public_key + b"\0",
    ):
        with pytest.raises(ProvisioningError, match="DHPublicKey"):
            decrypt(replace(good, dh_public_key=point), contract, oem)
    contract, oem = parties(ed448_pki)
    good = encrypt(contract, oem)
    for point in (good.dh_public_key[1:], b"\5" + good.dh_public_key[1:], good.dh_public_key.ljust(133, b"\0")):
        with pytest.raises(ProvisioningError, match="DHPublicKey"):
            decrypt(replace(good, dh_public_key=point), contract, oem)


@pytest.mark.parametrize("u", [bytes(56), b"\1" + bytes(55)])
def test_points_of_low_order_agree_on_nothing(u: bytes, ed448_pki: Pki) -> None:
    contract, oem = parties(ed448_pki)
    with pytest.raises(ProvisioningError, match="no secret can be agreed"):
        decrypt(replace(encrypt(contract, oem), dh_public_key=b"\4" + u), contract, oem)


def test_curves_may_not_be_mixed(strict_pki: Pki, ed448_pki: Pki) -> None:
    with pytest.raises(ProvisioningError, match="not of the curve"):
        encrypt(strict_pki.contract("x"), ed448_pki.provisioning(PCID))
    with pytest.raises(ProvisioningError, match="not of one curve"):
        encrypt(
            *parties(strict_pki)[:1],
            ed448_pki.provisioning(PCID),
            ephemeral_key=ec.generate_private_key(ec.SECP521R1()),
        )
    contract, oem = parties(strict_pki)
    with pytest.raises(ProvisioningError, match="not of one curve"):
        decrypt(encrypt(contract, oem), contract, ed448_pki.provisioning(PCID))
    p256 = replace(oem, agreement_key=ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(ProvisioningError, match="no secret can be agreed"):
        decrypt(encrypt(contract, oem), contract, p256)


def test_an_older_provisioning_certificate_gets_no_contract(strict_pki: Pki, compat_pki: Pki) -> None:
    with pytest.raises(ProvisioningError, match="secp256r1"):
        encrypt(strict_pki.contract("x"), compat_pki.provisioning(PCID))
    with pytest.raises(ProvisioningError, match="cannot be installed"):
        encrypt(compat_pki.contract("x"), strict_pki.provisioning(PCID))


def test_an_ed448_certificate_must_name_an_x448_key(ed448_pki: Pki, recipe: Any) -> None:
    contract, _ = parties(ed448_pki)
    oid = x509.ObjectIdentifier("2.5.29.72")
    for extensions in ((), (x509.UnrecognizedExtension(oid, b""),), (x509.UnrecognizedExtension(oid, b"\x30" * 99),)):
        issuer, key = ed448_pki.oem_sub_ca.credential, ed448.Ed448PrivateKey.generate()
        oem = recipe(issuer, key=key, extensions=extensions).make()
        with pytest.raises(Exception, match=r"X448|cannot be read") as caught:
            encrypt(contract, oem)
        assert type(caught.value).__module__.startswith("pyiso15118")


def test_a_key_of_another_contract_is_not_sent(pki: Pki) -> None:
    contract, oem = parties(pki)
    with pytest.raises(ProvisioningError, match="not its own"):
        encrypt(replace(contract, key=pki.contract("y").key), oem)


def seal(contract: Any, oem: Any, plain: bytes) -> EncryptedKey:
    """As a service would that encrypts something else."""
    own: Any = ec.generate_private_key(ec.SECP521R1())
    if isinstance(oem.agreement_key, x448.X448PrivateKey):
        own = x448.X448PrivateKey.generate()
    good = encrypt(contract, oem, ephemeral_key=own)
    if isinstance(own, x448.X448PrivateKey):
        secret = own.exchange(oem.agreement_key.public_key())
    else:
        secret = own.exchange(ec.ECDH(), oem.agreement_key.public_key())
    beside = STANDARD.authenticated(oem.certificate, contract.certificate)
    return replace(good, sealed=IV + AESGCM(STANDARD.key(secret)).encrypt(IV, plain, beside))


def test_a_key_that_is_not_the_contracts_is_refused(pki: Pki) -> None:
    contract, oem = parties(pki)
    other = pki.contract("y").key
    if isinstance(other, ed448.Ed448PrivateKey):
        plain = other.private_bytes_raw()[:56]
    else:
        plain = other.private_numbers().private_value.to_bytes(66)
    with pytest.raises(ProvisioningError, match="not its own"):
        decrypt(seal(contract, oem, plain), contract, oem)


@pytest.mark.parametrize("plain", [b"", bytes(66), b"\xff" * 66, b"\2" + bytes(65), bytes(65), bytes(67)], ids=range(6))
def test_what_is_no_private_key_is_refused(plain: bytes, strict_pki: Pki) -> None:
    """Zero, the order or more, one of the seven leading bits set, other lengths."""
    contract, oem = parties(strict_pki)
    with pytest.raises(ProvisioningError, match="is none"):
        decrypt(seal(contract, oem, plain), contract, oem)


def test_seven_leading_bits_are_zero(strict_pki: Pki) -> None:
    contract, oem = parties(strict_pki)
    scalar = contract.key.private_numbers().private_value
    with pytest.raises(ProvisioningError, match="is none"):
        decrypt(seal(contract, oem, (scalar | 1 << 527).to_bytes(66)), contract, oem)


def test_an_ed448_key_that_does_not_fit_is_not_cut(ed448_pki: Pki, recipe: Any) -> None:
    key = ed448.Ed448PrivateKey.from_private_bytes(bytes(56) + b"\1")
    contract = recipe(ed448_pki.mo_sub_ca.credential, key=key).make()
    with pytest.raises(ProvisioningError, match="new_ed448_contract_key"):
        encrypt(contract, ed448_pki.provisioning(PCID))
    assert new_ed448_contract_key().private_bytes_raw() != new_ed448_contract_key().private_bytes_raw()


@pytest.mark.parametrize("iv", [b"", bytes(11), bytes(13), bytes(16)])
def test_the_iv_has_twelve_bytes(iv: bytes, strict_pki: Pki) -> None:
    with pytest.raises(ProvisioningError, match="IV"):
        encrypt(*parties(strict_pki), iv=iv)


def test_a_contract_certificate_needs_a_key_identifier(strict_pki: Pki, recipe: Any) -> None:
    contract = recipe(strict_pki.mo_sub_ca.credential, identifiers=False, subject=((NameOID.COMMON_NAME, "x"),)).make()
    with pytest.raises(ProvisioningError, match="subject key identifier"):
        encrypt(contract, strict_pki.provisioning(PCID))
