"""What a bundle says of itself, and whether this host may take it. Pure.

The manifest is JSON; what is signed are its exact bytes, so nothing in it is believed before the signature holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from v2g.host.firmware.errors import FirmwareError
from v2g.host.firmware.release import release_key

FORMAT: Final = 1
PRODUCT: Final = "v2g-orchestrator"
MANIFEST_MAX_BYTES: Final = 1 << 20
WHEEL_MAX_BYTES: Final = 256 << 20
TOTAL_MAX_BYTES: Final = 1 << 30
MAX_WHEELS: Final = 200

_WHEEL = re.compile(
    r"[A-Za-z0-9_.]+-[A-Za-z0-9_.!+]+(?:-\d[A-Za-z0-9_.]*)?-[A-Za-z0-9_.]+-[A-Za-z0-9_]+-[A-Za-z0-9_.]+\.whl"
)
_PYTHON = r"^cp3\d{1,2}$"
_PLATFORM = r"^[a-z]+(_[a-z0-9]+)+$"
_SHA256 = r"^[0-9a-f]{64}$"


class Wheel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file below ``wheels/`` of the bundle."""

    name: Annotated[str, Meta(max_length=200)]
    sha256: Annotated[str, Meta(pattern=_SHA256)]
    size: Annotated[int, Meta(ge=1, le=WHEEL_MAX_BYTES)]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``python``: as ``cp311``. ``platform``: as ``linux_aarch64``. ``min_version``: the oldest version that may be
    updated to this one. ``schemas``: what its code knows of each kept thing, as ``{"history": 1}``."""

    format: int
    name: str
    version: Annotated[str, Meta(max_length=40)]
    python: Annotated[str, Meta(pattern=_PYTHON)]
    platform: Annotated[str, Meta(pattern=_PLATFORM, max_length=40)]
    wheels: Annotated[tuple[Wheel, ...], Meta(min_length=1, max_length=MAX_WHEELS)]
    min_version: Annotated[str, Meta(max_length=40)] = "0"
    schemas: Annotated[dict[str, Annotated[int, Meta(ge=1, le=100_000)]], Meta(max_length=32)] = {}
    built_at: Annotated[str, Meta(max_length=40)] = ""
    """ISO 8601, for people."""


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    name: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason against a bundle: what is wrong, where, and what to do."""

    code: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}\n    {self.remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """``version``: what runs; empty: nothing. ``schemas``: of the files that are kept here, by the same names as the
    manifest's, with the path each was found at."""

    version: str
    python: str
    platform: str
    schemas: dict[str, tuple[int, str]]


def parse_manifest(data: bytes) -> Manifest:
    """Raises :class:`FirmwareError`. Only for bytes whose signature holds."""
    try:
        head = msgspec.json.decode(data, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FirmwareError(f"manifest.json of the bundle cannot be read ({error}): make the bundle anew") from None
    if head.format != FORMAT:
        raise FirmwareError(
            f"the bundle is of format {head.format}, and this version reads format {FORMAT}: "
            "update to a version between the two first, or take a bundle that was made for this one"
        )
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.ValidationError as error:
        raise FirmwareError(f"manifest.json of the bundle: {error}: make the bundle anew") from None
    if manifest.name != PRODUCT:
        raise FirmwareError(f"the bundle is one of {manifest.name[:60]!r}, not of {PRODUCT}: take the right file")
    names = [wheel.name for wheel in manifest.wheels]
    for name in names:
        if not _WHEEL.fullmatch(name):
            raise FirmwareError(f"manifest.json of the bundle names {name[:80]!r}, which is no wheel: make it anew")
    if len({name.lower() for name in names}) != len(names):
        raise FirmwareError("manifest.json of the bundle names a wheel twice: make the bundle anew")
    if sum(wheel.size for wheel in manifest.wheels) > TOTAL_MAX_BYTES:
        raise FirmwareError(f"the bundle has more than {TOTAL_MAX_BYTES >> 20} MiB of wheels: make a smaller one")
    for field, version in (("version", manifest.version), ("min_version", manifest.min_version)):
        try:
            release_key(version)
        except ValueError as error:
            raise FirmwareError(f"manifest.json of the bundle, {field}: {error}: make the bundle anew") from None
    own = f"{PRODUCT.replace('-', '_')}-{manifest.version}-"
    if sum(name.startswith(own) for name in names) != 1:
        raise FirmwareError(f"the bundle has no wheel {own}….whl of its own version: make the bundle anew")
    return manifest


def judge(manifest: Manifest, host: HostFacts, *, allow_downgrade: bool = False) -> tuple[Finding, ...]:
    """All that speaks against it here; none: it may be applied."""
    found = []
    if manifest.platform != host.platform:
        found.append(
            Finding(
                "PLATFORM",
                f"the bundle is for {manifest.platform}, and this host is {host.platform}",
                f"take the bundle for {host.platform}",
            )
        )
    if manifest.python != host.python:
        found.append(
            Finding(
                "PYTHON",
                f"the bundle is for {manifest.python}, and this host's Python is {host.python}",
                f"take the bundle for {host.python}",
            )
        )
    found += _versions(manifest, host, allow_downgrade)
    for name, (schema, path) in sorted(host.schemas.items()):
        known = manifest.schemas.get(name)
        if known is not None and schema > known:
            found.append(
                Finding(
                    "SCHEMA",
                    f"{path} is of schema {schema}, and {manifest.version} knows up to {known}",
                    "take a newer bundle; or move the file away, and what is in it is lost",
                )
            )
    return tuple(found)


def _versions(manifest: Manifest, host: HostFacts, allow_downgrade: bool) -> list[Finding]:
    if not host.version:
        return []
    ours, theirs = release_key(host.version), release_key(manifest.version)
    if theirs <= ours and not allow_downgrade:
        what = "the version that runs already" if theirs == ours else f"older than {host.version}, which runs"
        return [
            Finding(
                "DOWNGRADE",
                f"{manifest.version} is {what}",
                "give --allow-downgrade if that is meant: an older version may lack repairs that this site needs",
            )
        ]
    if theirs > ours and ours < release_key(manifest.min_version):
        return [
            Finding(
                "TOO_OLD",
                f"{manifest.version} updates from {manifest.min_version} on, and {host.version} runs",
                f"apply {manifest.min_version} first",
            )
        ]
    return []
