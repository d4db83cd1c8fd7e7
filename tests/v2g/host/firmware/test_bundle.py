"""A bundle as a file: whose it is, that nothing in it was changed, and what no bundle may hold."""

from __future__ import annotations

import datetime
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from support.firmware import OWNERS, make_bundle, manifest_of, new_key, opened, trust, trusted, wheels
from v2g.host.firmware.archive import read_index
from v2g.host.firmware.bundle import extract, open_bundle, pack, verify_wheels
from v2g.host.firmware.errors import FirmwareError
from v2g.host.firmware.signature import load_private_key, load_trusted

NOW = 1_800_000_000.0


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def key(keys: Path) -> Ed25519PrivateKey:
    return new_key(keys)


@pytest.fixture
def bundle(tmp_path: Path, key: Ed25519PrivateKey) -> Path:
    return make_bundle(tmp_path, key, "0.2.0")


def rewritten(path: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> Path:
    """The same archive with other content."""
    made = path.with_name("changed.v2gfw")
    with tarfile.open(path) as source, tarfile.open(made, "w", format=tarfile.USTAR_FORMAT) as target:
        for member in source:
            file = source.extractfile(member)
            assert file is not None
            kept = change(member.name, file.read())
            if kept is not None:
                entry = tarfile.TarInfo(kept[0])
                entry.size = len(kept[1])
                target.addfile(entry, io.BytesIO(kept[1]))
    return made


def test_what_was_packed_is_opened_verified_and_taken_out(
    tmp_path: Path, bundle: Path, keys: Path, key: Ed25519PrivateKey
) -> None:
    found = opened(bundle, keys)
    assert found.manifest.version == "0.2.0"
    assert found.signer.path == keys / "maker.pem"
    seen: list[int] = []
    verify_wheels(found, seen.append)
    assert sum(seen) == found.size
    paths = extract(found, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in paths} == {
        path.name: path.read_bytes() for path in (tmp_path / "wheels-0.2.0").iterdir()
    }


def test_the_same_wheels_make_the_same_file(tmp_path: Path, bundle: Path, key: Ed25519PrivateKey) -> None:
    again = tmp_path / "again.v2gfw"
    pack(manifest_of(tmp_path / "wheels-0.2.0", "0.2.0"), tmp_path / "wheels-0.2.0", key, again)
    assert again.read_bytes() == bundle.read_bytes()


def test_a_p521_key_and_a_certificate_are_trusted_as_well(tmp_path: Path, keys: Path) -> None:
    key = ec.generate_private_key(ec.SECP521R1())
    path = make_bundle(tmp_path, key, "0.2.0")
    keys.mkdir()
    (keys / "maker.pem").write_bytes(certificate(key, days=30).public_bytes(Encoding.PEM))
    assert opened(path, keys).signer.id
    trust(keys, "maker.pem", key)
    assert opened(path, keys).signer.id


def test_a_certificate_that_is_over_is_not_used_and_the_reason_is_told(tmp_path: Path, keys: Path) -> None:
    key = ec.generate_private_key(ec.SECP521R1())
    path = make_bundle(tmp_path, key, "0.2.0")
    keys.mkdir()
    (keys / "maker.pem").write_bytes(certificate(key, days=-1).public_bytes(Encoding.PEM))
    with pytest.raises(FirmwareError, match=r"no key is trusted here .*maker\.pem: is valid from .* clock right"):
        opened(path, keys)


def test_a_bundle_that_is_not_signed_is_refused(bundle: Path, keys: Path) -> None:
    unsigned = rewritten(bundle, lambda name, data: None if name == "manifest.sig" else (name, data))
    with pytest.raises(FirmwareError, match="is not signed"):
        opened(unsigned, keys)


def test_a_bundle_of_a_foreign_key_is_refused_and_both_keys_are_named(
    tmp_path: Path, keys: Path, key: Ed25519PrivateKey
) -> None:
    path = make_bundle(tmp_path, Ed25519PrivateKey.generate(), "0.2.0")
    with pytest.raises(FirmwareError, match=r"signed by the key '[0-9a-f]{16}', and trusted here are [0-9a-f]{16} "):
        opened(path, keys)


def test_a_foreign_signature_that_claims_our_key_is_refused(tmp_path: Path, bundle: Path, keys: Path) -> None:
    (tmp_path / "foreign").mkdir()
    foreign = make_bundle(tmp_path / "foreign", Ed25519PrivateKey.generate(), "0.2.0")
    ours = msgspec.json.decode(rewritten_member(bundle, "manifest.sig"))
    theirs = msgspec.json.decode(rewritten_member(foreign, "manifest.sig"))
    mixed = msgspec.json.encode({"key": ours["key"], "signature": theirs["signature"]})
    forged = rewritten(bundle, lambda name, data: (name, mixed if name == "manifest.sig" else data))
    with pytest.raises(FirmwareError, match="does not hold"):
        opened(forged, keys)


def test_a_changed_manifest_is_refused(bundle: Path, keys: Path) -> None:
    changed = rewritten(bundle, lambda name, data: (name, data.replace(b'"min_version": "0"', b'"min_version": "1"')))
    with pytest.raises(FirmwareError, match="does not hold"):
        opened(changed, keys)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'{"key": "a"}', b'{"key": "a", "signature": "!"}'])
def test_a_signature_that_cannot_be_read_is_refused(bundle: Path, keys: Path, data: bytes) -> None:
    changed = rewritten(bundle, lambda name, old: (name, data if name == "manifest.sig" else old))
    with pytest.raises(FirmwareError, match=r"manifest\.sig"):
        opened(changed, keys)


def test_a_changed_wheel_is_refused_by_name_before_it_is_used(tmp_path: Path, bundle: Path, keys: Path) -> None:
    changed = rewritten(bundle, lambda name, data: (name, data[:-1] + b"?" if name == "wheels/000.whl" else data))
    found = opened(changed, keys)
    for act in (lambda: verify_wheels(found), lambda: extract(found, tmp_path / "out")):
        with pytest.raises(FirmwareError, match=r"click-8\.1\.7-py3-none-any\.whl is not the file that was signed"):
            act()


def test_a_wheel_of_another_size_one_too_few_and_one_too_many_are_refused(bundle: Path, keys: Path) -> None:
    longer = rewritten(bundle, lambda name, data: (name, data + b"x" if name == "wheels/000.whl" else data))
    with pytest.raises(FirmwareError, match="not the file that was signed"):
        opened(longer, keys)
    fewer = rewritten(bundle, lambda name, data: None if name == "wheels/000.whl" else (name, data))
    with pytest.raises(FirmwareError, match=r"lacks click-8\.1\.7-py3-none-any\.whl \(wheels/000\.whl\)"):
        opened(fewer, keys)
    renamed = rewritten(bundle, lambda name, data: (name.replace("000", "007"), data))
    with pytest.raises(FirmwareError, match=r"holds wheels/007\.whl, which its manifest does not name"):
        opened(renamed, keys)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.8, 0.99])
def test_a_bundle_that_was_cut_off_is_refused(bundle: Path, keys: Path, share: float) -> None:
    data = bundle.read_bytes().rstrip(b"\0")
    bundle.write_bytes(data[: int(share * len(data))])
    with pytest.raises(FirmwareError, match=r"cut off|no bundle"):
        opened(bundle, keys)


def archive(path: Path, *entries: tarfile.TarInfo, format: int = tarfile.USTAR_FORMAT) -> Path:
    with tarfile.open(path, "w", format=format) as made:
        for entry in entries:
            made.addfile(entry, io.BytesIO(b"x" * entry.size) if entry.isreg() else None)
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.size, made.linkname = kind, size, link
    return made


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ([entry("wheels/a.whl", tarfile.SYMTYPE, link="/etc/shadow")], "a symbolic link"),
        ([entry("wheels/a.whl", tarfile.LNKTYPE, link="manifest.json")], "a hard link"),
        ([entry("wheels/a.whl", tarfile.CHRTYPE)], "a device"),
        ([entry("wheels/a.whl", tarfile.FIFOTYPE)], "a pipe"),
        ([entry("wheels", tarfile.DIRTYPE)], "a directory"),
        ([entry("/etc/passwd", size=1)], "an absolute path"),
        ([entry("../x.whl", size=1)], "a path that leaves it"),
        ([entry("wheels/../../x.whl", size=1)], "a path that leaves it"),
        ([entry("wheels/sub/x.whl", size=1)], "a strange file"),
        ([entry("wheels/.whl", size=1)], "a strange file"),
        ([entry("readme", size=1)], "a strange file"),
        ([entry("manifest.json", size=1), entry("manifest.json", size=1)], "twice"),
        ([entry("manifest.json", size=(1 << 20) + 1)], "more than"),
        ([entry("manifest.sig", size=(16 << 10) + 1)], "more than"),
        ([entry("wheels/000.whl", size=1)], "has no manifest"),
        ([entry("manifest.json", size=1), *(entry(f"wheels/{n:03d}.whl") for n in range(202))], "more than 202 files"),
    ],
)
def test_what_no_bundle_may_hold_is_refused_by_name(tmp_path: Path, entries: list[tarfile.TarInfo], text: str) -> None:
    path = archive(tmp_path / "x", *entries)
    with path.open("rb") as stream, pytest.raises(FirmwareError, match=text):
        read_index(stream, path)


def test_extended_headers_are_refused_before_they_are_read(tmp_path: Path) -> None:
    made = entry("wheels/a.whl", size=1)
    made.pax_headers = {"comment": "x" * 4000}
    path = archive(tmp_path / "x", made, format=tarfile.PAX_FORMAT)
    with path.open("rb") as stream, pytest.raises(FirmwareError, match="an extended header"):
        read_index(stream, path)


def test_a_size_that_the_file_does_not_have_is_refused(tmp_path: Path) -> None:
    made = entry("wheels/000.whl", size=200 << 20)
    path = tmp_path / "x"
    path.write_bytes(made.tobuf(tarfile.USTAR_FORMAT) + b"x" * 5000)
    with path.open("rb") as stream, pytest.raises(FirmwareError, match=r"ends within wheels/000\.whl"):
        read_index(stream, path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + b"\0" * 2000, b"\xff" * 4096])
def test_a_file_of_another_kind_is_told_as_one(tmp_path: Path, keys: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(FirmwareError, match=r"no bundle|cut off"):
        opened(path, keys)


def test_a_damaged_header_is_told_with_its_place(bundle: Path, keys: Path) -> None:
    data = bytearray(bundle.read_bytes())
    data[120] ^= 1
    bundle.write_bytes(data)
    with pytest.raises(FirmwareError, match="damaged at byte 0"):
        opened(bundle, keys)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(at=0.10546875, junk=b"\xc2\x80")  # a letter beyond ASCII in the signature
@given(at=st.floats(0, 1), junk=st.binary(min_size=1, max_size=600))
def test_whatever_is_written_into_a_bundle_it_is_refused_or_what_was_signed(
    tmp_path: Path, bundle: Path, keys: Path, at: float, junk: bytes
) -> None:
    data = bundle.read_bytes()
    begin = int(at * len(data))
    changed = tmp_path / "changed.v2gfw"
    changed.write_bytes(data[:begin] + junk + data[begin + len(junk) :])
    try:
        paths = extract(opened(changed, keys), tmp_path / "out")
    except FirmwareError:
        return
    assert {path.name: path.read_bytes() for path in paths} == {
        path.name: path.read_bytes() for path in (tmp_path / "wheels-0.2.0").iterdir()
    }


def test_keys_that_others_may_write_are_not_used(bundle: Path, keys: Path) -> None:
    (keys / "maker.pem").chmod(0o666)
    with pytest.raises(FirmwareError, match=r"may be written by others; chmod go-w .*maker\.pem"):
        opened(bundle, keys)
    (keys / "maker.pem").chmod(0o644)
    keys.chmod(0o777)
    with pytest.raises(FirmwareError, match=r"may be written by others; chmod go-w .*keys"):
        opened(bundle, keys)


def test_keys_of_another_user_are_not_used(bundle: Path, keys: Path) -> None:
    with pytest.raises(FirmwareError, match="belongs to uid"):
        open_bundle(bundle, trusted(keys), NOW, frozenset({4_000_000}))


def test_files_that_are_no_keys_are_named_and_the_others_count(bundle: Path, keys: Path) -> None:
    (keys / "a.pem").write_text("hello")
    trust(keys, "b.pem", ec.generate_private_key(ec.SECP521R1()))
    weak = ec.generate_private_key(ec.SECP256R1())
    (keys / "c.pem").write_bytes(certificate(weak, days=30).public_bytes(Encoding.PEM))
    found = load_trusted(trusted(keys), NOW, OWNERS)
    assert [key.path.name for key in found.keys] == ["b.pem", "maker.pem"]
    assert [text.split(":")[0].rpartition("/")[2] for text in found.unusable] == ["a.pem", "c.pem"]
    assert opened(bundle, keys).signer.path.name == "maker.pem"


def test_without_a_trusted_key_the_place_for_it_is_named(bundle: Path, keys: Path) -> None:
    (keys / "maker.pem").unlink()
    with pytest.raises(FirmwareError, match=r"no key is trusted here \(.*keys/\*\.pem\)"):
        opened(bundle, keys)


def test_a_makers_key_of_another_kind_or_with_a_password_is_told(tmp_path: Path) -> None:
    path = tmp_path / "key"
    weak = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(weak.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(FirmwareError, match="neither an Ed25519 nor a P-521 key"):
        load_private_key(path, None)
    key = Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw")))
    with pytest.raises(TypeError):
        load_private_key(path, None)
    with pytest.raises(FirmwareError, match="password is wrong"):
        load_private_key(path, b"no")
    assert isinstance(load_private_key(path, b"pw"), Ed25519PrivateKey)


def test_a_bundle_is_not_left_half_made(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    folder = wheels(tmp_path / "w", "0.2.0")
    manifest = manifest_of(folder, "0.2.0")
    (folder / "click-8.1.7-py3-none-any.whl").write_bytes(b"shorter")
    with pytest.raises(FirmwareError, match="cannot be written"):
        pack(manifest, folder, key, tmp_path / "out.v2gfw")
    assert [path.name for path in tmp_path.glob("*out*")] == []


def rewritten_member(path: Path, name: str) -> bytes:
    with tarfile.open(path) as archive_:
        file = archive_.extractfile(name)
        assert file is not None
        return file.read()


def certificate(key: ec.EllipticCurvePrivateKey, days: int) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "maker")])
    now = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=60))
        .not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, SHA512())
    )
