"""The maker's side of an update, and the trial of one: made here so that ``v2g.cli.firmware`` stays light."""

from __future__ import annotations

import datetime
import importlib
import pkgutil
from pathlib import Path
from typing import Final

import click

from v2g.cli.firmware_site import platform_tag, python_tag
from v2g.clock import SystemClock
from v2g.host.firmware.bundle import describe_wheels, pack
from v2g.host.firmware.environment import wheel_facts
from v2g.host.firmware.errors import FirmwareError
from v2g.host.firmware.manifest import FORMAT, PRODUCT, Manifest
from v2g.host.firmware.signature import key_id, load_private_key
from v2g.host.preflight.installation import judge_versions
from v2g.host.preflight.model import Level
from v2g.host.preflight.probe import installed, requirements

_NOT_TRIED: Final = (".simulation", "__main__", ".replay")
_MOST_NAMED: Final = 5


def pack_folder(
    folder: Path, key_file: Path, output: Path, min_version: str, python: str | None, platform: str | None
) -> tuple[Manifest, str]:
    """Make ``output``; the manifest, and the id of the signer's key. Raises :class:`FirmwareError`."""
    try:
        key = load_private_key(key_file, None)
    except TypeError:
        key = load_private_key(key_file, click.prompt("Password of the key", hide_input=True, err=True).encode())
    wheels = sorted(folder.glob("*.whl"))
    ours = [wheel for wheel in wheels if wheel.name.startswith(PRODUCT.replace("-", "_") + "-")]
    if len(ours) != 1:
        raise FirmwareError(f"{folder} has {len(ours)} wheels of {PRODUCT}: leave the one that is meant")
    facts = wheel_facts(ours[0].absolute())
    platform = platform or platform_tag()
    machine = platform.partition("_")[2]
    if foreign := [w.name for w in wheels if not w.name.endswith("-any.whl") and not w.name.endswith(f"{machine}.whl")]:
        raise FirmwareError(f"{folder}: {', '.join(foreign[:3])} is not for {platform}: fetch the wheels for it")
    manifest = Manifest(
        format=FORMAT,
        name=PRODUCT,
        version=str(facts["version"]),
        python=python or python_tag(),
        platform=platform,
        wheels=describe_wheels(wheels),
        min_version=min_version,
        schemas=_schemas(facts),
        built_at=datetime.datetime.fromtimestamp(SystemClock().unix_s(), datetime.UTC).isoformat(timespec="seconds"),
    )
    pack(manifest, folder, key, output)
    return manifest, key_id(key.public_key())


def _schemas(facts: dict[str, object]) -> dict[str, int]:
    schemas = facts["schemas"]
    if not isinstance(schemas, dict):
        raise FirmwareError("the code of the wheel does not tell its schemas")
    return {str(name): int(schema) for name, schema in schemas.items()}


def import_problems() -> tuple[str, ...]:
    """Packages that are missing and modules that cannot be imported: what a daemon would find out in the middle of its
    work."""
    import pyiso15118
    import v2g

    problems = [
        f"{line.found}: the bundle lacks a wheel, or has a wrong one"
        for line in judge_versions(requirements(), installed)
        if line.level is Level.FAIL
    ]
    for package in (v2g, pyiso15118):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if any(part in found.name for part in _NOT_TRIED):
                continue
            try:
                importlib.import_module(found.name)
            except Exception as error:
                problems.append(f"{found.name} cannot be imported ({type(error).__name__}: {error})")
    more = len(problems) - _MOST_NAMED
    return (*problems[:_MOST_NAMED], *([f"and {more} more modules"] if more > 0 else []))
