"""Bundles of roots as people hand them over."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from support.authority import CN as COMMON_NAME
from support.authority import DAY_S, TestAuthority, name, pem
from support.pki_site import NOW, Utility, p521
from v2g.pki.bundle import read_bundle, read_chain
from v2g.pki.model import PkiError


@pytest.fixture(scope="module")
def utility() -> Utility:
    return Utility()


def written(folder: Path, content: bytes) -> Path:
    path = folder / "bundle.pem"
    path.write_bytes(content)
    return path


def test_forty_roots_are_taken(tmp_path: Path) -> None:
    key = p521()
    roots = [TestAuthority(f"Root {n}", NOW, key=key).certificate for n in range(40)]
    bundle = read_bundle(written(tmp_path, pem(*roots)), NOW)
    assert bundle.roots == tuple(roots)
    assert bundle.remarks == ()


def test_words_between_the_certificates_and_windows_line_ends_do_no_harm(tmp_path: Path, utility: Utility) -> None:
    content = b"# Grid Root\r\n" + utility.root.certificate.public_bytes(Encoding.PEM).replace(b"\n", b"\r\n") + b"\r\n"
    assert read_bundle(written(tmp_path, content), NOW).roots == (utility.root.certificate,)


def test_one_certificate_in_der_is_taken(tmp_path: Path, utility: Utility) -> None:
    path = written(tmp_path, utility.root.certificate.public_bytes(Encoding.DER))
    assert read_bundle(path, NOW).roots == (utility.root.certificate,)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no certificate in it"),
        (b"\x30\x82garbage", "has no certificate in it"),
        (b"-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n", "a certificate that cannot be read"),
        (b"-----BEGIN CERTIFICATE-----\n", "a certificate that cannot be read"),
        (b"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n", "is a private key"),
        (b"-----BEGIN PKCS7-----\nx\n-----END PKCS7-----\n", "openssl pkcs7 -print_certs"),
    ],
    ids=["empty", "binary garbage", "garbage in PEM", "cut off", "a key", "PKCS#7"],
)
def test_what_is_no_bundle_is_refused_with_the_files_name(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(PkiError, match=rf"bundle\.pem.*{words}"):
        read_bundle(written(tmp_path, content), NOW)


def test_an_absent_file_a_directory_and_an_endless_file_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pem", tmp_path, Path("/dev/zero")):
        with pytest.raises(PkiError, match=f"{path}: there is no such file"):
            read_bundle(path, NOW)
    with pytest.raises(PkiError, match="more than 4 MiB"):
        read_bundle(written(tmp_path, b"x" * (4 << 20) + b"x"), NOW)


def test_a_bundle_without_a_root_is_refused(tmp_path: Path, utility: Utility) -> None:
    with pytest.raises(PkiError, match=r"bundle\.pem has no root certificate .*add the root"):
        read_bundle(written(tmp_path, pem(utility.cpo.certificate)), NOW)


def test_a_sub_authority_among_the_roots_helps_and_is_not_trusted(tmp_path: Path, utility: Utility) -> None:
    bundle = read_bundle(written(tmp_path, pem(utility.root.certificate, utility.cpo.certificate)), NOW)
    assert (bundle.roots, bundle.intermediates) == ((utility.root.certificate,), (utility.cpo.certificate,))
    assert "Grid CPO CA is no root" in bundle.remarks[0].replace("DC=CPO,CN=", "")


def test_a_leaf_among_the_roots_would_be_trusted_and_is_refused(tmp_path: Path, utility: Utility) -> None:
    leaf = utility.cpo.leaf(name((COMMON_NAME, "US*V2G*E1")), p521().public_key())
    with pytest.raises(PkiError, match=r"CN=US\*V2G\*E1 is no certification authority .*take it out"):
        read_bundle(written(tmp_path, pem(utility.root.certificate, leaf)), NOW)


def test_a_root_that_is_there_twice_is_said_and_counted_once(tmp_path: Path, utility: Utility) -> None:
    bundle = read_bundle(written(tmp_path, pem(utility.root.certificate) * 3), NOW)
    assert bundle.roots == (utility.root.certificate,)
    assert "2 certificates are there more than once" in bundle.remarks[0]


def test_an_expired_root_is_said_and_a_bundle_of_such_alone_is_refused(tmp_path: Path, utility: Utility) -> None:
    old = TestAuthority("Old Root", NOW - 4000 * DAY_S, key=p521()).certificate
    bundle = read_bundle(written(tmp_path, pem(old, utility.root.certificate)), NOW)
    assert len(bundle.roots) == 2
    assert "CN=Old Root expired on" in bundle.remarks[0]
    with pytest.raises(PkiError, match="no root that is valid: CN=Old Root expired"):
        read_bundle(written(tmp_path, pem(old)), NOW)


def test_a_chain_is_read_as_it_stands_each_certificate_once(tmp_path: Path, utility: Utility) -> None:
    path = written(tmp_path, pem(utility.cpo.certificate, utility.root.certificate, utility.cpo.certificate))
    assert read_chain(path) == (utility.cpo.certificate, utility.root.certificate)
