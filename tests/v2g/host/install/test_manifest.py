"""The record of what was put where: kept as it is, refused when it is damaged, newer or leads elsewhere."""

from __future__ import annotations

import json

import pytest

from v2g.host.install.errors import InstallError
from v2g.host.install.manifest import SCHEMA, Entry, Manifest, decode, digest, encode

FULL = Manifest(
    version="0.1.0",
    commands="/opt/v2g/current/bin",
    files=(Entry(path="/etc/v2g/v2g.yaml", sha256=(digest(b"1"), digest(b"2"))),),
    directories=("/etc/v2g",),
    users=("v2g",),
    groups=("v2g", "v2g-viewer"),
)


def test_what_is_written_is_read() -> None:
    assert decode(encode(FULL)) == FULL
    assert FULL.entry("/etc/v2g/v2g.yaml") == FULL.files[0]
    assert FULL.entry("/etc/v2g") is None


def test_an_empty_one_is_of_nothing() -> None:
    assert Manifest(version="0.1.0").of_nothing
    assert not FULL.of_nothing


@pytest.mark.parametrize(
    "damage",
    [
        {"files": [{"path": "relative", "sha256": []}]},
        {"files": [{"path": "/etc/../../root/x", "sha256": []}]},
        {"directories": ["/var/lib/.."]},
        {"files": [{"path": "/etc/v2g/x", "sha256": ["no hash"]}]},
        {"users": ["-rf"]},
        {"schema": "one"},
    ],
    ids=["relative", "dots", "dots in a directory", "hash", "user", "schema"],
)
def test_a_damaged_one_is_refused_with_what_to_do(damage: dict[str, object]) -> None:
    text = json.dumps(json.loads(encode(FULL)) | damage).encode()
    with pytest.raises(InstallError, match=r"is damaged: .*move .* away"):
        decode(text)


def test_half_a_file_is_refused() -> None:
    with pytest.raises(InstallError, match="is damaged"):
        decode(encode(FULL)[:100])


def test_one_of_a_newer_version_is_refused_even_with_a_form_that_is_unknown() -> None:
    with pytest.raises(InstallError, match=f"schema {SCHEMA + 1}"):
        decode(json.dumps({"schema": SCHEMA + 1, "files": 7}).encode())
