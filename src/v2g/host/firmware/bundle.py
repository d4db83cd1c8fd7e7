"""One file: ``manifest.json``, ``manifest.sig`` and the wheels. Opened, verified, taken out, and made."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from v2g.host.firmware.archive import (
    MANIFEST,
    SIGNATURE,
    Member,
    pieces,
    read_index,
    read_member,
    wheel_member,
)
from v2g.host.firmware.errors import FirmwareError
from v2g.host.firmware.manifest import Manifest, Wheel, parse_manifest

if TYPE_CHECKING:
    from v2g.host.firmware.signature import PrivateKey, TrustedKey

Advance = Callable[[int], None]
"""So many bytes more are done."""


def _nowhere(size: int) -> None:
    del size


@dataclass(frozen=True, slots=True)
class Bundle:
    """Its signature holds; its wheels are not looked at yet. ``digest``: SHA-256 of the manifest."""

    path: Path
    manifest: Manifest
    digest: str
    signer: TrustedKey
    members: dict[str, Member]

    @property
    def size(self) -> int:
        return sum(wheel.size for wheel in self.manifest.wheels)


def open_bundle(path: Path, patterns: Iterable[str], unix_s: float, owners: frozenset[int]) -> Bundle:
    """Signature first, then what it says. Raises :class:`FirmwareError`."""
    from v2g.host.firmware.signature import load_trusted, verify

    patterns = tuple(patterns)
    try:
        with path.open("rb") as stream:
            members = read_index(stream, path)
            data = read_member(stream, members[MANIFEST], path)
            signature = read_member(stream, members[SIGNATURE], path) if SIGNATURE in members else None
    except OSError as error:
        raise FirmwareError(f"{path} cannot be read: {error.strerror or error}") from None
    signer = verify(data, signature, load_trusted(patterns, unix_s, owners), patterns)
    manifest = parse_manifest(data)
    foreign = members.keys() - {MANIFEST, SIGNATURE, *map(wheel_member, range(len(manifest.wheels)))}
    if foreign:
        raise FirmwareError(
            f"{path} holds {', '.join(sorted(foreign)[:3])}, which its manifest does not name: do not use it"
        )
    for position, wheel in enumerate(manifest.wheels):
        member = members.get(wheel_member(position))
        if member is None:
            raise FirmwareError(f"{path} lacks {wheel.name} ({wheel_member(position)}): fetch it anew")
        if member.size != wheel.size:
            raise FirmwareError(_changed(path, wheel))
    return Bundle(path, manifest, hashlib.sha256(data).hexdigest(), signer, members)


def verify_wheels(bundle: Bundle, advance: Advance = _nowhere) -> None:
    """Read every wheel once. Raises :class:`FirmwareError`."""
    _each(bundle, None, advance)


def extract(bundle: Bundle, folder: Path, advance: Advance = _nowhere) -> tuple[Path, ...]:
    """The wheels into ``folder``, emptied before; each is the one of the manifest, judged by what was written, since
    the bundle may be changed while it is read. Raises :class:`FirmwareError`."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise FirmwareError(f"{folder} cannot be made: {error.strerror or error}") from None
    return _each(bundle, folder, advance)


def _each(bundle: Bundle, folder: Path | None, advance: Advance) -> tuple[Path, ...]:
    made = []
    try:
        with bundle.path.open("rb") as stream:
            for position, wheel in enumerate(bundle.manifest.wheels):
                digest = hashlib.sha256()
                target = (folder or Path()) / wheel.name
                with target.open("xb") if folder is not None else io.BytesIO() as out:
                    for piece in pieces(stream, bundle.members[wheel_member(position)], bundle.path):
                        digest.update(piece)
                        if folder is not None:
                            out.write(piece)
                        advance(len(piece))
                if digest.hexdigest() != wheel.sha256:
                    raise FirmwareError(_changed(bundle.path, wheel))
                made.append(target)
    except OSError as error:
        what = "read" if folder is None else f"taken out to {folder}"
        raise FirmwareError(f"{bundle.path} cannot be {what}: {error.strerror or error}") from None
    return tuple(made)


def _changed(path: Path, wheel: Wheel) -> str:
    return f"{path}: {wheel.name} is not the file that was signed: do not use this bundle, and fetch it anew"


def describe_wheels(paths: Iterable[Path]) -> tuple[Wheel, ...]:
    """For a manifest. Raises :class:`FirmwareError`."""
    found = []
    for path in sorted(paths, key=lambda each: each.name):
        try:
            with path.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            found.append(Wheel(name=path.name, sha256=sha256, size=path.stat().st_size))
        except OSError as error:
            raise FirmwareError(f"{path} cannot be read: {error.strerror or error}") from None
    return tuple(found)


def pack(manifest: Manifest, wheels: Path, key: PrivateKey, output: Path) -> None:
    """Make the bundle of the manifest's wheels, which are in the folder ``wheels``. Raises :class:`FirmwareError`."""
    from v2g.host.firmware.signature import sign

    data = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    parse_manifest(data)
    temporary = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with tarfile.open(temporary, "x", format=tarfile.USTAR_FORMAT) as archive:
            for name, content in ((MANIFEST, data), (SIGNATURE, sign(data, key))):
                archive.addfile(_entry(name, len(content)), io.BytesIO(content))
            for position, wheel in enumerate(manifest.wheels):
                with (wheels / wheel.name).open("rb") as stream:
                    archive.addfile(_entry(wheel_member(position), wheel.size), stream)
        temporary.replace(output)
    except (OSError, tarfile.TarError, ValueError) as error:
        temporary.unlink(missing_ok=True)
        reason = error.strerror if isinstance(error, OSError) else None
        raise FirmwareError(f"{output} cannot be written: {reason or error}") from None


def _entry(name: str, size: int) -> tarfile.TarInfo:
    """The same wheels make the same file."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o644, 0
    return entry
