"""Our wheel, and a directory for each architecture with all that it takes to install it without a network."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from v2g.host.packaging.wheels import PYTHON, Wheel, parse, pip_options, unfit

CONTENTS = "contents.json"
EXTRAS = ("hsm", "replay")
"""Those that a controller may want; what of them has no wheel is an exception that is listed, not a failure."""
_TIMEOUT_S = 1200.0
Pip = Callable[[Sequence[str]], None]


class PackagingError(Exception):
    """The text says what failed and what the tool said."""


class WheelEntry(msgspec.Struct, frozen=True, kw_only=True):
    file: str
    name: str
    version: str
    pure: bool
    sha256: str


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """``contents.json`` of a wheelhouse. ``exceptions``: extras that cannot be had, with the reason."""

    architecture: str
    python: str
    project: str
    wheels: tuple[WheelEntry, ...]
    exceptions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wheelhouse:
    directory: Path
    contents: Contents

    @property
    def own_wheel(self) -> Path:
        return self.directory / self.contents.project


def run_pip(words: Sequence[str]) -> None:
    """Raises :class:`PackagingError` with the end of what pip said."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise PackagingError(f"pip {words[0]} did not end within {_TIMEOUT_S:g} s") from None
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        raise PackagingError(f"pip {words[0]} failed: " + ("\n".join(said[-6:]) or done.stdout[-400:]))


def build_wheel(source: Path, output: Path, pip: Pip = run_pip) -> Path:
    """Of the checkout ``source``, whose directories stay as they are. Raises :class:`PackagingError`."""
    if not (source / "pyproject.toml").is_file():
        raise PackagingError(f"{source} is no checkout of v2g-orchestrator: give it with --source")
    with TemporaryDirectory(prefix="v2g-wheel-") as folder:
        copy, made = Path(folder) / "source", Path(folder) / "made"
        # setuptools leaves build/ and *.egg-info where it works.
        for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
            if (source / name).is_file():
                copy.mkdir(exist_ok=True)
                shutil.copy(source / name, copy / name)
        for name in ("src", "etc", "systemd"):
            shutil.copytree(source / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        pip(["wheel", "--no-deps", "--wheel-dir", str(made), str(copy)])
        (wheel,) = made.glob("*.whl")
        output.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(wheel, output / wheel.name))


def wheelhouse(
    wheel: Path, architecture: str, output: Path, extras: Sequence[str] = EXTRAS, pip: Pip = run_pip
) -> Wheelhouse:
    """All wheels for Debian 12 of ``architecture`` in ``output``, which is made anew.

    Raises :class:`PackagingError` when a dependency has neither a wheel for it nor is pure.
    """
    if output.exists() and not (output / CONTENTS).exists() and any(output.iterdir()):
        raise PackagingError(f"{output} is not empty and no wheelhouse: give another --output")
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    options = ["download", "--quiet", *pip_options(architecture), "--dest", str(output)]
    pip([*options, str(wheel)])
    exceptions = []
    for extra in extras:
        try:
            pip([*options, f"{wheel}[{extra}]"])
        except PackagingError as error:
            exceptions.append(f"{extra}: {str(error).splitlines()[-1]}")
    wheels = [parse(path.name) for path in sorted(output.glob("*.whl"))]
    strangers = [path.name for path in output.iterdir() if path.suffix != ".whl"] + unfit(wheels, architecture)
    if strangers:
        raise PackagingError(f"not for {architecture}: {', '.join(strangers)}")
    contents = Contents(
        architecture=architecture,
        python=PYTHON,
        project=wheel.name,
        wheels=tuple(_entry(output, each) for each in wheels),
        exceptions=tuple(exceptions),
    )
    (output / CONTENTS).write_bytes(msgspec.json.format(msgspec.json.encode(contents), indent=1) + b"\n")
    return Wheelhouse(output, contents)


def opened(directory: Path) -> Wheelhouse:
    """One that was made before. Raises :class:`PackagingError` when it is none, or not as it was made."""
    try:
        contents = msgspec.json.decode((directory / CONTENTS).read_bytes(), type=Contents)
        for entry in contents.wheels:
            if hashlib.sha256((directory / entry.file).read_bytes()).hexdigest() != entry.sha256:
                raise PackagingError(f"{directory / entry.file} is not as it was: make the wheelhouse anew")
    except (OSError, msgspec.MsgspecError) as error:
        raise PackagingError(f"{directory} is no wheelhouse: {error}") from None
    return Wheelhouse(directory, contents)


def _entry(directory: Path, wheel: Wheel) -> WheelEntry:
    digest = hashlib.sha256((directory / wheel.file).read_bytes()).hexdigest()
    return WheelEntry(file=wheel.file, name=wheel.name, version=wheel.version, pure=wheel.pure, sha256=digest)
