"""Keys in files."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from pyiso15118.security import TlsProfile
from v2g.config.schema_pki import KeyKind
from v2g.pki.file_key import FileKeys, load_key
from v2g.pki.model import PkiError

STRICT, COMPAT = TlsProfile.STRICT, TlsProfile.COMPAT


def written(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("kind", list(KeyKind))
def test_a_key_of_the_configured_kind_comes_back_from_its_reference(kind: KeyKind, tmp_path: Path) -> None:
    keys = FileKeys(tmp_path, kind, STRICT)
    key, reference = keys.generate()
    assert isinstance(key, ed448.Ed448PrivateKey if kind is KeyKind.ED448 else ec.EllipticCurvePrivateKey)
    assert reference.file_name == "private.key"
    assert reference.content.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert keys.load(reference.content).public_key() == key.public_key()
    assert list(tmp_path.iterdir()) == []


def test_two_keys_are_never_the_same(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path, KeyKind.ED448, STRICT)
    assert keys.generate()[1] != keys.generate()[1]


def test_compat_has_p256_as_older_vehicles_want_it(tmp_path: Path) -> None:
    key, _ = FileKeys(tmp_path, KeyKind.P521, COMPAT).generate()
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"


def test_an_encrypted_key_needs_its_password_and_says_so(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP521R1())
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"right"))
    path = written(tmp_path / "private.key", content)
    assert load_key(path, b"right").public_key() == key.public_key()
    with pytest.raises(PkiError, match=r"is encrypted: .*pki\.key_password_file"):
        load_key(path)
    with pytest.raises(PkiError, match="password is wrong") as refused:
        load_key(path, b"wrong")
    assert "wrong" not in str(refused.value).replace("password is wrong", "")


def test_a_password_that_a_key_does_not_need_is_no_fault(tmp_path: Path) -> None:
    key, reference = FileKeys(tmp_path, KeyKind.P521, STRICT).generate()
    assert load_key(written(tmp_path / "k", reference.content), b"any").public_key() == key.public_key()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no PEM private key"),
        (b"-----BEGIN PRIVATE KEY-----\ngarbage\n-----END PRIVATE KEY-----\n", "is no PEM private key"),
        (
            rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "neither secp521r1",
        ),
        (
            ec.generate_private_key(ec.SECP384R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "neither secp521r1",
        ),
    ],
    ids=["empty", "garbage", "RSA", "P-384"],
)
def test_what_is_no_key_of_a_secc_is_refused_by_name(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(PkiError, match=rf"private\.key .*{words}"):
        load_key(written(tmp_path / "private.key", content))


def test_an_open_key_is_not_even_parsed(tmp_path: Path) -> None:
    with pytest.raises(PkiError, match=r"chmod 600 .*/private\.key"):
        load_key(written(tmp_path / "private.key", b"garbage", 0o640))
