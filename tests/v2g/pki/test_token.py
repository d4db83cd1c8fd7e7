"""The token's key as ``cryptography`` takes it, and references to it; the token itself is played by a file's key."""

from __future__ import annotations

import copy

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from v2g.config.schema_pki import KeyKind, Token
from v2g.pki.model import PkiError
from v2g.pki.pkcs11_uri import Pkcs11Uri, parse
from v2g.pki.token import TokenKey, TokenKeys, reference_uri

SETTINGS = Token(uri="pkcs11:token=v2g", module="/nowhere/module.so", pin_file="/nowhere/pin")
URI = parse("pkcs11:token=v2g;id=%01;type=private")
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "US*V2G*E1")])


class Home(TokenKeys):
    def __init__(self) -> None:
        super().__init__(SETTINGS, KeyKind.P521)
        self.private = ec.generate_private_key(ec.SECP521R1())

    def sign(self, uri: Pkcs11Uri, digest: bytes) -> bytes:
        assert uri == URI
        return self.private.sign(digest, ec.ECDSA(Prehashed(hashes.SHA512())))


@pytest.fixture(scope="module")
def key() -> TokenKey:
    home = Home()
    return TokenKey(home, URI, home.private.public_key())


def test_a_request_for_a_certificate_is_signed_by_the_token(key: TokenKey) -> None:
    request = x509.CertificateSigningRequestBuilder().subject_name(NAME).sign(key, hashes.SHA512())
    assert request.is_signature_valid
    assert request.public_key() == key.public_key()


def test_data_and_its_digest_are_signed_alike(key: TokenKey) -> None:
    digest = hashes.Hash(hashes.SHA512())
    digest.update(b"data")
    hashed = digest.finalize()
    for signature in (
        key.sign(b"data", ec.ECDSA(hashes.SHA512())),
        key.sign(bytearray(b"data"), ec.ECDSA(hashes.SHA512())),
        key.sign(hashed, ec.ECDSA(Prehashed(hashes.SHA512()))),
        key.sign_digest(hashed),
    ):
        key.public_key().verify(signature, b"data", ec.ECDSA(hashes.SHA512()))


def test_a_digest_of_another_length_is_refused(key: TokenKey) -> None:
    with pytest.raises(ValueError, match="64 bytes"):
        key.sign(b"short", ec.ECDSA(Prehashed(hashes.SHA512())))


def test_nothing_but_signatures_comes_out_of_it(key: TokenKey) -> None:
    with pytest.raises(UnsupportedAlgorithm, match="does not leave"):
        key.private_numbers()
    with pytest.raises(UnsupportedAlgorithm, match="does not leave"):
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(UnsupportedAlgorithm, match="signs only"):
        key.exchange(ec.ECDH(), key.public_key())


def test_it_is_a_key_of_secp521r1_known_by_its_uri(key: TokenKey) -> None:
    assert (key.curve.name, key.key_size) == ("secp521r1", 521)
    assert key.uri == "pkcs11:token=v2g;id=%01;type=private"
    assert repr(key) == f"TokenKey({key.uri})"
    assert copy.copy(key) is copy.deepcopy(key) is key


def test_ed448_is_not_offered_in_a_token() -> None:
    with pytest.raises(PkiError, match=r"Ed448 are not offered in a token.*set pki\.key to P-521"):
        TokenKeys(SETTINGS, KeyKind.ED448).generate()


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("pkcs11:token=v2g;id=%01", r"pki\.token\.uri names an object; of the token alone: pkcs11:token=v2g"),
        ("pkcs11:token=v2g?pin-value=271828", r"pki\.token\.uri: a PIN does not belong in a URI"),
    ],
)
def test_a_uri_of_the_configuration_that_is_not_of_a_token_is_refused(uri: str, words: str) -> None:
    home = TokenKeys(Token(uri=uri, module="/nowhere/module.so"), KeyKind.P521)
    with pytest.raises(PkiError, match=words) as refused:
        home.generate()
    assert "271828" not in str(refused.value)


def test_a_home_describes_itself_without_secrets() -> None:
    assert TokenKeys(SETTINGS, KeyKind.P521).description == "token pkcs11:token=v2g"


def test_a_reference_is_read_with_its_line_end() -> None:
    assert reference_uri(b"pkcs11:token=v2g;id=%01;type=private\n") == URI


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "does not begin"),
        (b"-----BEGIN PRIVATE KEY-----", "does not begin"),
        (b"\xff\xfe", "beyond ASCII"),
        (b"pkcs11:token=v2g", "names a token .* but no key in it"),
        (b"pkcs11:token=v2g;id=%01;type=cert", "names a cert object"),
        (b"pkcs11:token=v2g;id=%01?pin-value=271828", "a PIN does not belong"),
    ],
)
def test_what_is_no_reference_to_a_key_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(PkiError, match=rf"private\.key\.uri .*{words}") as refused:
        reference_uri(content)
    assert "271828" not in str(refused.value)
