"""Wheels into an environment: as pip does it, and nothing beside it."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from v2g.host.firmware.errors import FirmwareError
from v2g.host.firmware.wheel_install import Target, install

INFO = "thing-1.0.dist-info"
GOOD = {
    "thing/__init__.py": b"def main():\n    print('hello')\n    return 3\n",
    "thing/data.bin": bytes(range(256)),
    "thing-1.0.data/scripts/raw": b"#!python\nprint('raw')\n",
    "thing-1.0.data/scripts/shell": b"#!/bin/sh\necho shell\n",
    "thing-1.0.data/data/share/man/man1/thing.1": b".TH\n",
    "thing-1.0.data/purelib/more.py": b"x = 1\n",
    f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n",
    f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{INFO}/entry_points.txt": b"[console_scripts]\nThing-Cmd = thing:main\n[other]\nx = y:z\n",
}


def digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def wheel(folder: Path, files: dict[str, bytes], record: str | None = None, link: str = "") -> Path:
    path = folder / "thing-1.0-py3-none-any.whl"
    rows = (
        record
        if record is not None
        else "".join(f"{name},{digest(data)},{len(data)}\n" for name, data in files.items())
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (
                stat.S_IFLNK | 0o777 if name == link else stat.S_IFREG | (0o755 if "/scripts/" in name else 0o644)
            ) << 16
            archive.writestr(info, data)
        archive.writestr(f"{INFO}/RECORD", rows + f"{INFO}/RECORD,,\n")
    return path


@pytest.fixture
def slot(tmp_path: Path) -> Path:
    """An environment as ``venv`` leaves it, as far as it is looked at here."""
    made = tmp_path / "slot"
    (made / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    (made / "bin").mkdir()
    (made / "bin" / "python").symlink_to(sys.executable)
    return made


def tree(slot: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.relative_to(slot).as_posix(): (path.read_bytes(), stat.S_IMODE(path.stat().st_mode) & 0o111)
        for path in sorted(slot.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.suffix != ".pyc"
    }


def test_everything_has_its_place_and_commands_run_by_the_slots_interpreter(tmp_path: Path, slot: Path) -> None:
    install(wheel(tmp_path, GOOD), Target.of(slot))
    found = tree(slot)
    site = "lib/python3.11/site-packages"
    assert found[f"{site}/thing/data.bin"] == (bytes(range(256)), 0)
    assert found[f"{site}/more.py"] == (b"x = 1\n", 0)
    assert found["share/man/man1/thing.1"] == (b".TH\n", 0)
    assert found["bin/raw"] == (f"#!{slot}/bin/python\nprint('raw')\n".encode(), 0o111)
    assert found["bin/shell"] == (b"#!/bin/sh\necho shell\n", 0o111)
    command = found["bin/Thing-Cmd"]
    assert command[0].startswith(f"#!{slot}/bin/python\n".encode())
    assert command[1] == 0o111
    assert f"{site}/{INFO}/RECORD" in found


def test_installing_again_puts_the_same_in_place_and_writes_through_no_link(tmp_path: Path, slot: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("kept")
    (slot / "lib/python3.11/site-packages/more.py").symlink_to(outside)
    install(wheel(tmp_path, GOOD), Target.of(slot))
    once = tree(slot)
    install(wheel(tmp_path, GOOD), Target.of(slot))
    assert tree(slot) == once
    assert outside.read_text() == "kept"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("../evil.py", "no file of a wheel"),
        ("thing/../../evil.py", "no file of a wheel"),
        ("/etc/evil", "no file of a wheel"),
        ("thing//evil.py", "no file of a wheel"),
        ("thing\\..\\evil.py", "no file of a wheel"),
        ("thing-1.0.data/scripts/../../evil", "no file of a wheel"),
        ("thing-1.0.data/scripts/sub/evil", "no place for it"),
        ("thing-1.0.data/elsewhere/x", "no place for it"),
        ("thing-1.0.data/x", "no place for it"),
        ("more-1.0.dist-info/METADATA", r"2 folders \*\.dist-info"),
    ],
)
def test_a_file_that_would_leave_its_place_is_refused(tmp_path: Path, slot: Path, name: str, text: str) -> None:
    with pytest.raises(FirmwareError, match=text):
        install(wheel(tmp_path, {name: b"x", **GOOD}), Target.of(slot))
    assert not list(tmp_path.rglob("evil*"))


def test_a_link_in_a_wheel_is_refused(tmp_path: Path, slot: Path) -> None:
    with pytest.raises(FirmwareError, match="no file of a wheel"):
        install(wheel(tmp_path, {"thing/link": b"/etc/shadow", **GOOD}, link="thing/link"), Target.of(slot))


def test_what_is_not_as_its_record_says_is_refused(tmp_path: Path, slot: Path) -> None:
    rows = "".join(f"{name},{digest(data)},{len(data)}\n" for name, data in GOOD.items())
    wrong = rows.replace(digest(GOOD["thing/data.bin"]), digest(b"other"))
    with pytest.raises(FirmwareError, match=r"'thing/data\.bin' is not the file of its RECORD"):
        install(wheel(tmp_path, GOOD, wrong), Target.of(slot))
    without = "\n".join(line for line in rows.splitlines() if not line.startswith("thing/data")) + "\n"
    with pytest.raises(FirmwareError, match=r"no digest of 'thing/data\.bin'"):
        install(wheel(tmp_path, GOOD, without), Target.of(slot))
    weak = rows.replace(digest(GOOD["thing/data.bin"]), "md5=abc")
    with pytest.raises(FirmwareError, match="no digest of"):
        install(wheel(tmp_path, GOOD, weak), Target.of(slot))


@pytest.mark.parametrize("points", ["a = b", "../x = thing:main", "x = os;evil:main", "x = thing:main()"])
def test_an_entry_point_that_is_none_is_refused(tmp_path: Path, slot: Path, points: str) -> None:
    files = {**GOOD, f"{INFO}/entry_points.txt": f"[console_scripts]\n{points}\n".encode()}
    with pytest.raises(FirmwareError, match="entry point"):
        install(wheel(tmp_path, files), Target.of(slot))


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + b"\0" * 18])
def test_what_is_no_wheel_is_told_by_name(tmp_path: Path, slot: Path, content: bytes) -> None:
    path = tmp_path / "thing-1.0-py3-none-any.whl"
    path.write_bytes(content)
    with pytest.raises(FirmwareError, match=r"thing-1\.0-py3-none-any\.whl"):
        install(path, Target.of(slot))


def test_a_damaged_file_within_a_wheel_is_told(tmp_path: Path, slot: Path) -> None:
    path = tmp_path / "thing-1.0-py3-none-any.whl"
    wheel(tmp_path, GOOD)
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "packed", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in archive.namelist():
            packed.writestr(name, archive.read(name) * 20)
    data = bytearray((tmp_path / "packed").read_bytes())
    data[60:90] = bytes(30)
    path.write_bytes(data)
    with pytest.raises(FirmwareError, match=r"thing-1\.0-py3-none-any\.whl"):
        install(path, Target.of(slot))


@pytest.mark.soak
def test_pip_puts_the_same_files_in_the_same_places(tmp_path: Path) -> None:
    """pip as a stranger: what it adds for itself apart."""
    path = wheel(tmp_path, GOOD)
    trees = []
    for way in ("ours", "theirs"):
        slot = tmp_path / way / "slot"
        subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", slot], check=True)
        if way == "ours":
            install(path, Target.of(slot))
        else:
            pip = [
                sys.executable,
                "-I",
                "-m",
                "pip",
                "--python",
                slot / "bin" / "python",
                "install",
                "--no-index",
                "--quiet",
            ]
            subprocess.run([*pip, path], check=True)
        said = subprocess.run([slot / "bin" / "Thing-Cmd"], capture_output=True, text=True, check=False)
        assert (said.returncode, said.stdout) == (3, "hello\n")
        found = tree(slot)
        trees.append(
            {
                name: (content.replace(os.fsencode(slot), b"SLOT"), mode)
                for name, (content, mode) in found.items()
                if name.rpartition("/")[2] not in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "Thing-Cmd")
                and not name.startswith("bin/activate")
                and name != "pyvenv.cfg"
            }
        )
    assert trees[0] == trees[1]
