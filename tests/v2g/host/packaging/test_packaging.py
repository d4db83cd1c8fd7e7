"""What packages are made of: which wheels run where, the wheelhouse's record, the Debian package and its scripts."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from v2g.host.install.commands import NAMES
from v2g.host.install.host_tools import UNITS
from v2g.host.install.removal import GROWN
from v2g.host.packaging import deb_files
from v2g.host.packaging.deb import deb
from v2g.host.packaging.wheelhouse import PackagingError, Wheelhouse, build_wheel, opened, wheelhouse
from v2g.host.packaging.wheels import parse, pip_options, platforms, unfit

OWN = "v2g_orchestrator-0.1.0-py3-none-any.whl"
NUMPY = {
    "aarch64": "numpy-2.4.6-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl",
    "x86_64": "numpy-2.4.6-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
}


def test_a_wheel_is_told_by_its_name() -> None:
    wheel = parse("eclipse_zenoh-1.10.2-1-cp39-abi3-manylinux_2_28_aarch64.whl")
    assert (wheel.name, wheel.version, wheel.pure) == ("eclipse-zenoh", "1.10.2", False)
    assert parse(OWN).pure
    with pytest.raises(ValueError, match="not named as a wheel is"):
        parse("numpy-2.4.6.tar.gz")


@pytest.mark.parametrize(
    ("file", "runs"),
    [
        (OWN, True),
        (NUMPY["aarch64"], True),
        (NUMPY["x86_64"], False),
        ("x-1-cp311-cp311-manylinux_2_36_aarch64.whl", True),
        ("x-1-cp311-cp311-manylinux_2_38_aarch64.whl", False),
        ("x-1-cp311-cp311-musllinux_1_2_aarch64.whl", False),
        ("x-1-cp311-cp311-macosx_11_0_arm64.whl", False),
    ],
)
def test_what_runs_on_a_debian_12_of_arm(file: str, runs: bool) -> None:
    assert (unfit([parse(file)], "aarch64") == []) is runs


def test_pip_is_told_the_newest_platform_first_and_no_sources() -> None:
    words = pip_options("aarch64")
    assert "--only-binary=:all:" in words
    assert platforms("aarch64")[0] == "manylinux_2_36_aarch64"
    assert words[words.index("--python-version") + 1] == "3.11"
    with pytest.raises(ValueError, match="armv7l"):
        platforms("armv7l")


class Pip:
    """Puts ``files`` where wheels are downloaded to; an extra that is in ``refused`` fails."""

    def __init__(self, *files: str, refused: str = "") -> None:
        self._files, self._refused = files, refused
        self.calls: list[Sequence[str]] = []

    def __call__(self, words: Sequence[str]) -> None:
        self.calls.append(words)
        if self._refused and words[-1].endswith(f"[{self._refused}]"):
            raise PackagingError("pip download failed: x\nERROR: No matching distribution found for token==1")
        if words[0] == "download":
            place = Path(words[words.index("--dest") + 1])
            for file in self._files:
                (place / file).write_bytes(file.encode())
            wheel = Path(words[-1].partition("[")[0])
            if not (place / wheel.name).exists():
                shutil.copy(wheel, place)
        elif words[0] == "install":
            self._unpack(words)

    def _unpack(self, words: Sequence[str]) -> None:
        place = Path(words[words.index("--target") + 1])
        for word in words:
            if word.endswith(OWN):
                with zipfile.ZipFile(word) as archive:
                    archive.extractall(place)
        (place / "share/v2g").mkdir(parents=True)
        (place / "bin").mkdir()
        (place / "bin/v2g-tool").write_text("of pip")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    wheel = tmp_path / OWN
    scripts = "\n".join(f"{name} = v2g.cli.{name.replace('-', '_')}:main" for name in NAMES)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("v2g/__init__.py", "")
        info = "v2g_orchestrator-0.1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Name: v2g-orchestrator\nVersion: 0.1.0\nSummary: Short.\n\n# Read me\n")
        archive.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{scripts}\n")
    return wheel


def test_a_wheelhouse_records_each_wheel_and_is_opened_again(own: Path, tmp_path: Path) -> None:
    made = wheelhouse(own, "aarch64", tmp_path / "house", pip=Pip(NUMPY["aarch64"]))
    assert [(entry.name, entry.pure) for entry in made.contents.wheels] == [
        ("numpy", False),
        ("v2g-orchestrator", True),
    ]
    assert made.contents.exceptions == ()
    assert opened(tmp_path / "house") == made
    assert made.own_wheel.is_file()


def test_a_wheel_of_another_platform_is_refused(own: Path, tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match=f"not for aarch64: {NUMPY['x86_64']}"):
        wheelhouse(own, "aarch64", tmp_path / "house", pip=Pip(NUMPY["x86_64"]))


def test_what_has_only_sources_is_refused(own: Path, tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match=r"not for aarch64: some-1.tar.gz"):
        wheelhouse(own, "aarch64", tmp_path / "house", pip=Pip("some-1.tar.gz"))


def test_an_extra_that_is_not_to_be_had_is_listed(own: Path, tmp_path: Path) -> None:
    made = wheelhouse(own, "aarch64", tmp_path / "house", pip=Pip(NUMPY["aarch64"], refused="hsm"))
    assert made.contents.exceptions == ("hsm: ERROR: No matching distribution found for token==1",)


def test_a_changed_wheel_is_found(own: Path, tmp_path: Path) -> None:
    wheelhouse(own, "aarch64", tmp_path / "house", pip=Pip(NUMPY["aarch64"]))
    (tmp_path / "house" / NUMPY["aarch64"]).write_bytes(b"another")
    with pytest.raises(PackagingError, match="is not as it was"):
        opened(tmp_path / "house")


def test_a_directory_with_something_else_is_not_emptied(own: Path, tmp_path: Path) -> None:
    (tmp_path / "house").mkdir()
    (tmp_path / "house/letter.txt").write_text("dear")
    with pytest.raises(PackagingError, match="is not empty and no wheelhouse"):
        wheelhouse(own, "aarch64", tmp_path / "house", pip=Pip())
    assert (tmp_path / "house/letter.txt").exists()
    with pytest.raises(PackagingError, match="is no wheelhouse"):
        opened(tmp_path / "house")


def test_a_wheel_is_made_of_a_checkout_only(tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="is no checkout"):
        build_wheel(tmp_path, tmp_path / "out")


@pytest.fixture
def house(own: Path, tmp_path: Path) -> Wheelhouse:
    return wheelhouse(own, "aarch64", tmp_path / "house", extras=(), pip=Pip(NUMPY["aarch64"]))


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")
def test_a_package_for_arm_is_made_on_any_host(house: Wheelhouse, tmp_path: Path) -> None:
    package = deb(house, tmp_path / "out", pip=Pip())
    assert package.name == "v2g-orchestrator_0.1.0_arm64.deb"
    listed = subprocess.run(["dpkg-deb", "-c", package], capture_output=True, text=True, check=True).stdout
    rows = {row.split()[5].removeprefix("."): row for row in listed.splitlines()}
    assert all(row.split()[1] == "root/root" for row in rows.values())
    for name in NAMES:
        assert rows[f"/usr/bin/{name}"].endswith(f"/usr/bin/{name} -> /opt/v2g/current/bin/{name}")
        assert rows[f"/opt/v2g/package/bin/{name}"].startswith("-rwxr-xr-x")
    assert rows["/opt/v2g/package/bin/python3"].endswith("-> /usr/bin/python3.11")
    assert "/opt/v2g/package/share/v2g/" in rows
    assert not any("site-packages/bin" in path or "/etc/" in path for path in rows)
    control = subprocess.run(["dpkg-deb", "-f", package], capture_output=True, text=True, check=True).stdout
    assert "Architecture: arm64" in control
    assert "python3 (>= 3.11), python3 (<< 3.12)" in control


@pytest.mark.parametrize("script", [deb_files.postinst(), deb_files.prerm(), deb_files.postrm()])
def test_the_scripts_are_for_a_plain_shell_and_stop_at_a_failure(script: str) -> None:
    assert script.startswith("#!/bin/sh\nset -e\n")
    assert subprocess.run(["sh", "-n"], input=script, text=True, capture_output=True, check=False).stderr == ""


def test_a_purge_takes_only_what_an_uninstall_would() -> None:
    script = deb_files.postrm()
    assert all(path in script for path in GROWN)
    assert "/opt/v2g/slots /opt/v2g/current" in script
    # Each removal is of places that are named here, or behind a case of them.
    assert script.count("rm -rf") == 2


def test_an_upgrade_stops_every_unit_and_starts_those_that_ran() -> None:
    assert all(unit in deb_files.prerm() for unit in UNITS)
    assert "systemctl start" in deb_files.postinst()
