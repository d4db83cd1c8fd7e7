"""What a wheel's file name says, and which platforms a host of Debian 12 takes. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

PYTHON = "3.11"
GLIBC_MINOR = 36
"""Both of Debian 12."""
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""The kernel's name -> Debian's."""
_OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}
_NAME = re.compile(
    r"(?P<name>[^-]+)-(?P<version>[^-]+)(?:-\d[^-]*)?-(?P<python>[^-]+)-(?P<abi>[^-]+)-(?P<platform>[^-]+)\.whl"
)


@dataclass(frozen=True, slots=True)
class Wheel:
    """``pure``: for every platform."""

    file: str
    name: str
    version: str
    python: tuple[str, ...]
    platforms: tuple[str, ...]

    @property
    def pure(self) -> bool:
        return self.platforms == ("any",)

    def runs_on(self, architecture: str) -> bool:
        """On Debian 12 of that architecture."""
        return self.pure or bool(set(self.platforms) & set(platforms(architecture)))


def parse(file: str) -> Wheel:
    """Raises ValueError for what is no wheel's name."""
    match = _NAME.fullmatch(file)
    if match is None:
        raise ValueError(f"{file} is not named as a wheel is")
    name = match["name"].replace("_", "-").lower()
    return Wheel(file, name, match["version"], tuple(match["python"].split(".")), tuple(match["platform"].split(".")))


def platforms(architecture: str) -> list[str]:
    """Tags that pip is told for a host with glibc 2.36, newest first. Raises ValueError for another architecture."""
    if architecture not in ARCHITECTURES:
        raise ValueError(f"{architecture!r} is none of {', '.join(ARCHITECTURES)}")
    found = [f"manylinux_2_{n}_{architecture}" for n in range(GLIBC_MINOR, _OLDEST_GLIBC[architecture] - 1, -1)]
    old = ("manylinux2014", "manylinux2010", "manylinux1") if architecture == "x86_64" else ("manylinux2014",)
    return [*found, *(f"{name}_{architecture}" for name in old), f"linux_{architecture}"]


def pip_options(architecture: str) -> list[str]:
    """Of pip download and pip install, for wheels of another host than this."""
    options = ["--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp"]
    for abi in (f"cp{PYTHON.replace('.', '')}", "abi3", "none"):
        options += ["--abi", abi]
    for platform in platforms(architecture):
        options += ["--platform", platform]
    return options


def unfit(wheels: Sequence[Wheel], architecture: str) -> list[str]:
    """Files that do not run on Debian 12 of ``architecture``."""
    return [wheel.file for wheel in wheels if not wheel.runs_on(architecture)]
