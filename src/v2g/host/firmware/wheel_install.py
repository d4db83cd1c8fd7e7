"""Wheels into a virtual environment without pip: hosts of the package have none, and a signed wheel needs no resolver.

As the binary distribution format says (PyPA specifications): the archive into site-packages, ``*.data`` to its places,
commands for the entry points. Each file has to be the one of the wheel's own RECORD.
"""

from __future__ import annotations

import base64
import configparser
import csv
import hashlib
import io
import re
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from v2g.host.firmware.errors import FirmwareError

_FILE_MAX_BYTES: Final = 256 << 20
_TOTAL_MAX_BYTES: Final = 2 << 30
_MAX_FILES: Final = 50_000
_ENTRY: Final = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<attribute>[A-Za-z_][\w.]*)(?:\s*\[.*\])?")
_COMMAND: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SIGNED: Final = ("RECORD", "RECORD.jws", "RECORD.p7s")
"""What a RECORD cannot have a digest of."""


@dataclass(frozen=True, slots=True)
class Target:
    """Of an environment: where packages go, where commands go, and by which interpreter those are run."""

    site_packages: Path
    scripts: Path
    prefix: Path
    python: Path

    @classmethod
    def of(cls, slot: Path) -> Target:
        """Raises :class:`FirmwareError`."""
        found = sorted(slot.glob("lib/python3*/site-packages"))
        if len(found) != 1:
            raise FirmwareError(f"{slot} is no virtual environment of one Python")
        return cls(found[0], slot / "bin", slot, slot / "bin" / "python")


def install(wheel: Path, target: Target) -> None:
    """Raises :class:`FirmwareError`, naming the wheel; what was written by then stays."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            _install(archive, wheel.name, target)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, UnicodeDecodeError, csv.Error) as error:
        raise FirmwareError(f"{wheel.name} is damaged ({error}): make the bundle anew") from None
    except OSError as error:
        raise FirmwareError(
            f"{wheel.name} cannot be installed into {target.prefix}: {error.strerror or error}"
        ) from None


def _install(archive: zipfile.ZipFile, name: str, target: Target) -> None:
    files = [info for info in archive.infolist() if not info.is_dir()]
    if len(files) > _MAX_FILES or sum(info.file_size for info in files) > _TOTAL_MAX_BYTES:
        raise FirmwareError(f"{name} holds more than a wheel may: make the bundle anew")
    info_dirs = {
        info.filename.partition("/")[0] for info in files if info.filename.partition("/")[0].endswith(".dist-info")
    }
    if len(info_dirs) != 1:
        raise FirmwareError(f"{name} is no wheel: it has {len(info_dirs)} folders *.dist-info")
    (dist_info,) = info_dirs
    data_dir = dist_info.removesuffix(".dist-info") + ".data"
    digests = _record(archive, dist_info, name)
    for info in files:
        path = _place(info, data_dir, name, target)
        content = _read(archive, info, digests.get(info.filename), dist_info, name)
        if path.parent == target.scripts and content.startswith(b"#!python"):
            content = f"#!{target.python}\n".encode() + content.partition(b"\n")[2]
        _write(path, content, executable=path.parent == target.scripts or bool(info.external_attr >> 16 & 0o111))
    _commands(archive, dist_info, name, target)
    _write(target.site_packages / dist_info / "INSTALLER", b"v2g-tool firmware\n", executable=False)


def _record(archive: zipfile.ZipFile, dist_info: str, name: str) -> dict[str, str]:
    try:
        text = archive.read(f"{dist_info}/RECORD").decode()
    except KeyError:
        raise FirmwareError(f"{name} has no RECORD: make the bundle anew") from None
    return {row[0]: row[1] for row in csv.reader(io.StringIO(text)) if len(row) >= 2}


def _place(info: zipfile.ZipInfo, data_dir: str, name: str, target: Target) -> Path:
    parts = info.filename.split("/")
    if (
        info.filename.startswith("/")
        or any(part in ("", ".", "..") for part in parts)
        or "\\" in info.filename
        or stat.S_ISLNK(info.external_attr >> 16)
    ):
        raise FirmwareError(f"{name} holds {info.filename[:80]!r}, which is no file of a wheel: make the bundle anew")
    if parts[0] != data_dir:
        return target.site_packages.joinpath(*parts)
    roots = {
        "purelib": target.site_packages,
        "platlib": target.site_packages,
        "scripts": target.scripts,
        "data": target.prefix,
        "headers": target.prefix / "include",
    }
    if len(parts) < 3 or parts[1] not in roots or (parts[1] == "scripts" and len(parts) != 3):
        raise FirmwareError(f"{name} holds {info.filename[:80]!r}, and there is no place for it: make the bundle anew")
    return roots[parts[1]].joinpath(*parts[2:])


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, digest: str | None, dist_info: str, name: str) -> bytes:
    if info.file_size > _FILE_MAX_BYTES:
        raise FirmwareError(f"{name} holds {info.filename[:80]!r} of more than {_FILE_MAX_BYTES >> 20} MiB")
    content = archive.read(info)
    if info.filename in {f"{dist_info}/{each}" for each in _SIGNED}:
        return content
    algorithm, _, value = (digest or "").partition("=")
    if algorithm not in ("sha256", "sha384", "sha512"):
        raise FirmwareError(f"{name}: its RECORD has no digest of {info.filename[:80]!r}: make the bundle anew")
    found = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest()).rstrip(b"=").decode()
    if found != value.rstrip("="):
        raise FirmwareError(f"{name}: {info.filename[:80]!r} is not the file of its RECORD: make the bundle anew")
    return content


def _write(path: Path, content: bytes, *, executable: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two wheels may have the same file (a namespace's); a link that an environment has there is not written through.
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(0o755 if executable else 0o644)


def _commands(archive: zipfile.ZipFile, dist_info: str, name: str, target: Target) -> None:
    try:
        text = archive.read(f"{dist_info}/entry_points.txt").decode()
    except KeyError:
        return
    points = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    points.optionxform = str  # type: ignore[assignment,method-assign]  # names of commands keep their case
    try:
        points.read_string(text)
    except configparser.Error as error:
        raise FirmwareError(f"{name}: its entry points cannot be read ({error}): make the bundle anew") from None
    if not points.has_section("console_scripts"):
        return
    for command, place in points["console_scripts"].items():
        match = _ENTRY.fullmatch(place.strip())
        if match is None or not _COMMAND.fullmatch(command):
            raise FirmwareError(f"{name}: its entry point {command!r} cannot be read: make the bundle anew")
        head = match["attribute"].partition(".")[0]
        script = (
            f"#!{target.python}\nimport sys\n\nfrom {match['module']} import {head}\n\n"
            f'if __name__ == "__main__":\n    sys.exit({match["attribute"]}())\n'
        )
        _write(target.scripts / command, script.encode(), executable=True)
