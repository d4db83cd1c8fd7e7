"""Who we are in a mesh: files that can be used, and a sentence for each that cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)

from support.mesh_pki import DAY_S, Kind, MeshPki, make_key
from v2g.mesh.identity import IdentityError, load_identity, load_trust
from v2g.mesh.trust import verify

NOW_S = 1_790_000_000.0


@pytest.fixture
def pki(tmp_path: Path) -> MeshPki:
    return MeshPki(tmp_path, NOW_S)


@pytest.mark.parametrize("kind", ["P-256", "P-384", "Ed25519"])
def test_what_an_identity_signs_is_verified_by_the_key_that_others_take_of_its_certificate(
    pki: MeshPki, kind: Kind
) -> None:
    identity = pki.identity("tr-1", kind=kind)
    key = pki.trust().check(identity.certificate_der, "tr-1", NOW_S)
    assert identity.name == "tr-1"
    assert verify(key, identity.sign(b"data"), b"data")
    assert not verify(key, identity.sign(b"data"), b"date")


def test_the_leaf_is_found_behind_its_authority_in_the_chain_file(pki: MeshPki) -> None:
    files = pki.node("tr-1")
    files.chain.write_bytes(pki.ca.read_bytes() + files.chain.read_bytes())
    identity = load_identity(files.chain, files.key, pki.trust(), "tr-1", NOW_S)
    assert identity.certificate_der == pki.certificates["tr-1"].public_bytes(Encoding.DER)


def test_a_key_that_others_may_read_is_refused_with_the_command(pki: MeshPki) -> None:
    files = pki.node("tr-1")
    files.key.chmod(0o640)
    with pytest.raises(IdentityError, match=rf"chmod 600 {files.key}"):
        load_identity(files.chain, files.key, pki.trust(), "tr-1", NOW_S)


def test_a_key_behind_a_symbolic_link_is_refused(pki: MeshPki) -> None:
    files = pki.node("tr-1")
    link = files.key.with_name("link.key")
    link.symlink_to(files.key)
    with pytest.raises(IdentityError, match="symbolic link"):
        load_identity(files.chain, link, pki.trust(), "tr-1", NOW_S)


def test_the_key_of_another_certificate_is_refused(pki: MeshPki) -> None:
    ours, other = pki.node("tr-1"), pki.node("tr-2")
    with pytest.raises(IdentityError, match=f"no certificate in {ours.chain} has the key of {other.key}"):
        load_identity(ours.chain, other.key, pki.trust(), "tr-1", NOW_S)


def test_a_certificate_of_another_name_than_the_configuration_says_is_refused(pki: MeshPki) -> None:
    files = pki.node("tr-1")
    with pytest.raises(IdentityError, match=r"cannot be used as 'tr-2' \(mesh.node\).*CN=tr-1"):
        load_identity(files.chain, files.key, pki.trust(), "tr-2", NOW_S)


def test_a_key_of_a_kind_that_no_member_signs_with_is_refused(pki: MeshPki) -> None:
    files = pki.node("tr-1", kind="P-521")
    with pytest.raises(IdentityError, match="is not P-256, P-384 or Ed25519: make a new one"):
        load_identity(files.chain, files.key, pki.trust(), "tr-1", NOW_S)


def test_an_expired_certificate_of_ours_is_refused_at_the_start(pki: MeshPki) -> None:
    files = pki.node("tr-1", days=10.0)
    load_identity(files.chain, files.key, pki.trust(), "tr-1", NOW_S)
    with pytest.raises(IdentityError, match=r"expired on .* must be renewed"):
        load_identity(files.chain, files.key, pki.trust(), "tr-1", NOW_S + 11 * DAY_S)


def test_a_revoked_certificate_of_ours_is_refused_at_the_start(pki: MeshPki) -> None:
    files = pki.node("tr-1")
    with pytest.raises(IdentityError, match="CN=tr-1 is revoked since"):
        load_identity(files.chain, files.key, pki.trust(pki.revoke("tr-1")), "tr-1", NOW_S)


@pytest.mark.parametrize("content", [b"", b"text", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_key_file_without_a_key_is_refused_by_name(pki: MeshPki, content: bytes) -> None:
    files = pki.node("tr-1")
    files.key.write_bytes(content)
    with pytest.raises(IdentityError, match=f"private key {files.key} is no PEM private key"):
        load_identity(files.chain, files.key, pki.trust(), "tr-1", NOW_S)


@pytest.mark.parametrize("what", ["password", "public"])
def test_a_key_that_cannot_be_used_as_it_lies_there_is_refused(pki: MeshPki, what: str) -> None:
    files, key = pki.node("tr-1"), make_key("P-256")
    if what == "password":
        written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    else:
        written = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    files.key.write_bytes(written)
    with pytest.raises(IdentityError, match="is no PEM private key, or has a password"):
        load_identity(files.chain, files.key, pki.trust(), "tr-1", NOW_S)


@pytest.mark.parametrize("missing", ["chain", "key"])
def test_a_file_that_is_not_there_is_named(pki: MeshPki, missing: str) -> None:
    files = pki.node("tr-1")
    path: Path = getattr(files, missing)
    path.unlink()
    with pytest.raises(IdentityError, match=str(path)):
        load_identity(files.chain, files.key, pki.trust(), "tr-1", NOW_S)


def test_authorities_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match=f"certificates of the mesh's authority {tmp_path / 'ca.pem'}: there is no"):
        load_trust(tmp_path / "ca.pem", None)


@pytest.mark.parametrize("content", [b"", b"text", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_without_authorities_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ca.pem").write_bytes(content)
    with pytest.raises(IdentityError, match=r"ca\.pem"):
        load_trust(tmp_path / "ca.pem", None)


def test_a_member_among_the_authorities_is_refused(pki: MeshPki) -> None:
    pki.ca.write_bytes(pki.ca.read_bytes() + pki.node("tr-1").chain.read_bytes())
    with pytest.raises(IdentityError, match="CN=tr-1 is no certification authority"):
        pki.trust()


def test_an_intermediate_alone_is_no_authority_to_end_in(pki: MeshPki, tmp_path: Path) -> None:
    below = MeshPki(tmp_path / "below", NOW_S, name="Feeder CA", parent=pki, path_length=0)
    (tmp_path / "only.pem").write_bytes(below.certificate.public_bytes(Encoding.PEM))
    with pytest.raises(IdentityError, match="has no root certificate"):
        load_trust(tmp_path / "only.pem", None)


def test_an_identity_that_is_shown_gives_no_key_away(pki: MeshPki) -> None:
    assert "key" not in repr(pki.identity("tr-1"))
