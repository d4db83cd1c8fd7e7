"""From the index: every dependency, of the extras too, has a wheel for a Debian 12 of ARM or is pure."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from v2g.host.install.source import shipped
from v2g.host.packaging.wheelhouse import build_wheel, opened, wheelhouse

pytestmark = pytest.mark.soak

ROOT = Path(__file__).parents[4]


def test_all_that_a_controller_of_arm_needs_is_there_without_a_compiler(tmp_path: Path) -> None:
    before = {path for path in ROOT.iterdir() if path.name != ".pytest_cache"}
    own = build_wheel(ROOT, tmp_path)
    assert {path for path in ROOT.iterdir() if path.name != ".pytest_cache"} == before
    assert held(own) == shipped().files
    made = wheelhouse(own, "aarch64", tmp_path / "aarch64")
    assert made.contents.exceptions == ()
    names = {entry.name: entry for entry in made.contents.wheels}
    assert names["v2g-orchestrator"].pure
    assert not names["numpy"].pure
    assert {"highspy", "cryptography", "eclipse-zenoh", "msgspec", "python-pkcs11"} <= set(names)
    assert opened(tmp_path / "aarch64") == made


def held(wheel: Path) -> dict[str, bytes]:
    """What of it install lays out."""
    with zipfile.ZipFile(wheel) as archive:
        places = {name: name.partition(".data/data/share/v2g/")[2] for name in archive.namelist()}
        return {place: archive.read(name) for name, place in places.items() if place}
