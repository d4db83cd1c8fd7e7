"""Which version is newer, and whether a bundle may be applied to a host."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from support.firmware import manifest_of, wheels
from v2g.host.firmware.errors import FirmwareError
from v2g.host.firmware.manifest import HostFacts, Manifest, judge, parse_manifest
from v2g.host.firmware.release import release_key

IN_ORDER = [
    "0.9.2", "0.10.0.dev1", "0.10.0a1.dev2", "0.10.0a1", "0.10.0b2", "0.10.0rc1", "0.10.0rc2", "0.10.0",
    "0.10.0+local.1", "0.10.0.post1.dev3", "0.10.0.post1", "0.10.1", "1", "2.0",
]  # fmt: skip


def test_versions_sort_as_python_packages_do() -> None:
    from packaging.version import Version

    mixed = [*IN_ORDER[1::2], *IN_ORDER[::2]]
    assert sorted(mixed, key=release_key) == IN_ORDER
    assert sorted(mixed, key=Version) == IN_ORDER
    assert release_key("1.0") == release_key("1")


@pytest.mark.parametrize("text", ["", "1.", "v1", "1.0-1", "1..2", "1.0rc", "9" * 30, "1.0 ", "1.0\n"])
def test_what_is_no_version_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="no version number"):
        release_key(text)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return manifest_of(wheels(tmp_path / "w", "0.2.0"), "0.2.0", min_version="0.1.0")


def facts(**changes: object) -> HostFacts:
    fields = {"version": "0.1.0", "python": "cp311", "platform": "linux_x86_64", "schemas": {"history": (1, "/h")}}
    return HostFacts(**{**fields, **changes})


def test_a_bundle_that_fits_has_nothing_against_it(manifest: Manifest) -> None:
    assert judge(manifest, facts()) == ()
    assert judge(manifest, facts(version="")) == ()


@pytest.mark.parametrize(
    ("changes", "code", "what"),
    [
        ({"platform": "linux_aarch64"}, "PLATFORM", "for linux_x86_64, and this host is linux_aarch64"),
        ({"python": "cp312"}, "PYTHON", "for cp311, and this host's Python is cp312"),
        ({"version": "0.3.0"}, "DOWNGRADE", "0.2.0 is older than 0.3.0, which runs"),
        ({"version": "0.2.0"}, "DOWNGRADE", "0.2.0 is the version that runs already"),
        ({"version": "0.1.0rc1"}, "TOO_OLD", "updates from 0.1.0 on, and 0.1.0rc1 runs"),
        ({"schemas": {"history": (2, "/var/h")}}, "SCHEMA", "/var/h is of schema 2, and 0.2.0 knows up to 1"),
    ],
)
def test_what_speaks_against_a_bundle_is_named(
    manifest: Manifest, changes: dict[str, object], code: str, what: str
) -> None:
    (finding,) = judge(manifest, facts(**changes))
    assert finding.code == code
    assert what in finding.what
    assert finding.remedy


def test_a_downgrade_may_be_meant_but_a_newer_schema_still_refuses(manifest: Manifest) -> None:
    assert judge(manifest, facts(version="0.3.0"), allow_downgrade=True) == ()
    found = judge(manifest, facts(version="0.3.0", schemas={"history": (2, "/h")}), allow_downgrade=True)
    assert [each.code for each in found] == ["SCHEMA"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"format": 2}, "of format 2, and this version reads format 1"),
        ({"name": "other"}, "is one of 'other'"),
        ({"version": "zero"}, "'zero' is no version number"),
        ({"version": "0.3.0"}, "has no wheel v2g_orchestrator-0.3.0-"),
        ({"min_version": "x"}, "min_version: 'x' is no version number"),
        ({"python": "python3"}, "python"),
        ({"platform": "win"}, "platform"),
        ({"more": 1}, "more"),
        ({"wheels": []}, "wheels"),
        ({"wheels": [{"name": "../a-1-py3-none-any.whl", "sha256": "0" * 64, "size": 1}]}, "which is no wheel"),
        ({"wheels": [{"name": "/a-1-py3-none-any.whl", "sha256": "0" * 64, "size": 1}]}, "which is no wheel"),
        ({"wheels": [{"name": "a-1-py3-none-any.whl", "sha256": "0" * 63, "size": 1}]}, "sha256"),
        ({"wheels": [{"name": "a-1-py3-none-any.whl", "sha256": "0" * 64, "size": 1 << 40}]}, "size"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused_by_name(
    manifest: Manifest, changes: dict[str, object], text: str
) -> None:
    plain = {**msgspec.to_builtins(manifest), **changes}
    with pytest.raises(FirmwareError, match=text):
        parse_manifest(msgspec.json.encode(plain))


def test_a_wheel_that_is_named_twice_is_refused(manifest: Manifest) -> None:
    doubled = msgspec.structs.replace(manifest, wheels=manifest.wheels * 2)
    with pytest.raises(FirmwareError, match="twice"):
        parse_manifest(msgspec.json.encode(doubled))
