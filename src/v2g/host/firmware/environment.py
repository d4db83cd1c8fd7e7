"""What fills a slot and tries it: ``venv``, the wheels, and the new version's own commands."""

from __future__ import annotations

import configparser
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from v2g.host.firmware.errors import FirmwareError
from v2g.host.firmware.wheel_install import Target, install

_INSTALL_S: Final = 1800.0
_COMMAND_S: Final = 120.0
_LINES_SHOWN: Final = 6
_MAX_SHOWN: Final = 1500
_ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What ``v2g-tool firmware probe`` of the new version prints. ``problems``: empty where all went well."""

    version: str
    problems: tuple[str, ...]


class Environment:
    """:class:`v2g.host.firmware.transaction.Slotmaker` for this host. ``config_dir``: what has to hold with it."""

    def __init__(self, config_dir: Path) -> None:
        self._config_dir = config_dir

    def install(self, wheels: Sequence[Path], slot: Path) -> None:
        """The wheels and nothing else. What one of them needs and the bundle lacks, the probe of the slot finds."""
        # The interpreter below all environments: the slot must not lean on the one that we run from.
        base = getattr(sys, "_base_executable", "") or sys.executable
        made = (base, "-I", "-m", "venv", "--without-pip", str(slot))
        _run(_beside(made), f"{slot} cannot be made a virtual environment", _INSTALL_S)
        target = Target.of(slot)
        for wheel in wheels:
            install(wheel, target)
        # The daemons may not write there. What is no Python of this version, in a package's own tests, is no matter.
        packages = repr(str(target.site_packages))
        program = f"import compileall; compileall.compile_dir({packages}, quiet=2, workers=0, maxlevels=20)"
        _run(_beside((str(target.python), "-I", "-c", program)), f"{slot} cannot be compiled", _INSTALL_S)

    def check(self, slot: Path, version: str) -> None:
        for command in _commands(slot):
            asked = _beside((str(slot / "bin" / command), "--version"))
            said = _run(asked, f"{command} of the new version fails", _COMMAND_S)
            if version not in said.split():
                raise FirmwareError(f"{command} of the new version says {said.strip()[:80]!r}, not {version}")
        _run(
            _beside((str(slot / "bin" / "v2g-config"), "validate", "--config", str(self._config_dir))),
            f"the configuration {self._config_dir} does not hold with the new version",
            _COMMAND_S,
        )

    def migrate_copies(self, slot: Path, folder: Path) -> None:
        said = _run(
            _beside((str(slot / "bin" / "v2g-tool"), "firmware", "probe", "--databases", str(folder))),
            "the new version cannot try itself",
            _COMMAND_S,
        )
        try:
            result = msgspec.json.decode(said, type=ProbeResult)
        except msgspec.MsgspecError as error:
            raise FirmwareError(f"the new version's probe said what cannot be understood ({error})") from None
        if result.problems:
            raise FirmwareError("the new version does not fit here: " + "; ".join(result.problems))


def wheel_facts(wheel: Path) -> dict[str, object]:
    """``version`` and ``schemas`` of the code in a wheel of ours, from its own mouth. Raises :class:`FirmwareError`."""
    program = (
        "import json, v2g; from v2g.orchestrator.databases import known_schemas; "
        "print(json.dumps({'version': v2g.__version__, 'schemas': known_schemas(), 'file': v2g.__file__}))"
    )
    said = _run(
        (sys.executable, "-c", program),
        f"the code of {wheel.name} does not run",
        _COMMAND_S,
        {"PYTHONPATH": str(wheel)},
    )
    facts = msgspec.json.decode(said, type=dict[str, object])
    if not str(facts["file"]).startswith(f"{wheel}/"):
        raise FirmwareError(f"the code of {wheel.name} does not run: it is no wheel, or lacks the package v2g")
    return facts


def run_words(command: Sequence[str], what: str, timeout_s: float) -> None:
    """A command of the host's, such as ``systemctl``. Raises :class:`FirmwareError`."""
    _run(command, what, timeout_s)


def _commands(slot: Path) -> tuple[str, ...]:
    files = sorted(slot.glob("lib/python3*/site-packages/v2g_orchestrator-*.dist-info/entry_points.txt"))
    scripts = configparser.ConfigParser(delimiters=("=",))
    try:
        scripts.read_string(files[0].read_text(encoding="utf-8") if files else "")
        names = tuple(scripts["console_scripts"]) if scripts.has_section("console_scripts") else ()
    except (OSError, configparser.Error, UnicodeDecodeError) as error:
        raise FirmwareError(f"{slot}: the new version does not say which commands it has ({error})") from None
    if not {"v2g-orchestrator", "v2g-guard", "v2g-tool", "v2g-config"} <= set(names):
        raise FirmwareError(f"{slot}: the new version lacks commands; it has {', '.join(names) or 'none'}")
    return names


def _beside(command: Sequence[str]) -> tuple[str, ...]:
    """What runs beside the daemons must not keep them from their work."""
    return ("nice", "-n", "10", *command)


def _run(command: Sequence[str], what: str, timeout_s: float, more: dict[str, str] | None = None) -> str:
    """Its stdout. Nobody's session or terminal but its own; ends with us."""
    environment = {**_ENVIRONMENT, "HOME": os.environ.get("HOME", "/"), **(more or {})}
    try:
        process = subprocess.Popen(  # noqa: S603 (commands of ours, of the signed bundle, and of root's configuration)
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd="/",
            umask=0o022,
            start_new_session=True,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise FirmwareError(f"{what}: {command[0]}: {error.strerror or error}") from None
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise FirmwareError(f"{what}: it did not end within {timeout_s:g} s") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode != 0:
        said = [line for line in (err.strip() or out.strip()).splitlines() if line.strip()]
        shown = "\n    ".join(said[-_LINES_SHOWN:])[-_MAX_SHOWN:] or f"exit code {process.returncode}"
        raise FirmwareError(f"{what}:\n    {shown}")
    return out
