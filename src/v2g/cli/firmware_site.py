"""What the commands of ``v2g-tool firmware`` share: the configuration, the services, the daemon, and who is told."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import sysconfig
import syslog
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from v2g import __version__
from v2g.cli.common import fail
from v2g.cli.daemons import problems
from v2g.config.loader import MAIN_FILE, Loaded, load
from v2g.config.migrate import KEY
from v2g.config.paths import run_paths
from v2g.config.problems import ConfigError, Problem
from v2g.config.schema_firmware import Firmware
from v2g.control.client import DEFAULT_SOCKET, ControlClient, ControlError
from v2g.control.messages_firmware import FirmwareNoteParams
from v2g.host.firmware.databases import schema_of
from v2g.host.firmware.errors import FirmwareError
from v2g.host.firmware.manifest import HostFacts
from v2g.host.firmware.slots import Slots
from v2g.orchestrator.databases import CONFIG, kept_databases

NAME = "v2g-tool firmware"
_NOTE_S: Final = 2.0
_MAX_WORDS: Final = 200
_COUNTS_FOR_ROOT: Final = re.compile(r"(firmware|paths)\.|history\.path$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where updates of this host are, as its configuration says. ``databases``: those that are kept, by name."""

    config_dir: Path
    settings: Firmware
    control_sock: Path
    databases: tuple[tuple[str, Path], ...] = ()
    schema: int = 1

    @property
    def slots(self) -> Slots:
        return Slots(Path(self.settings.dir))

    @property
    def owners(self) -> frozenset[int]:
        """Whose keys count: root's, and those of who runs this, who may do what it does anyway."""
        return frozenset({0, os.geteuid()})

    def facts(self) -> HostFacts:
        """Raises :class:`FirmwareError`."""
        schemas: dict[str, tuple[int, str]] = {}
        for name, path in self.databases:
            schema = schema_of(path)
            if schema is not None:
                schemas[name] = schema, str(path)
        schemas[CONFIG] = self.schema, str(self.config_dir / MAIN_FILE)
        return HostFacts(
            version=running_version(self.slots), python=python_tag(), platform=platform_tag(), schemas=schemas
        )


def required_site(config_dir: Path) -> Site:
    """Ends the command where the configuration cannot be used, or root would do what another user says."""
    try:
        return _site(config_dir)
    except ConfigError as error:
        problems(NAME, error)
        sys.exit(1)
    except OSError as error:
        fail(NAME, f"{config_dir} cannot be read: {error.strerror}; name another with --config, or ask as root", 1)


def site_to_go_back(config_dir: Path) -> Site:
    """Also with a configuration that cannot be used: who has to go back must not mend it first. The copies of the
    databases say by themselves where they belong."""
    try:
        return _site(config_dir)
    except (ConfigError, OSError):
        settings = Firmware()
        click.echo(f"{NAME}: {config_dir} cannot be used; taking {settings.dir} and the usual services", err=True)
        return Site(config_dir=config_dir, settings=settings, control_sock=DEFAULT_SOCKET)


def _site(config_dir: Path) -> Site:
    loaded = load(config_dir)
    if others := _of_others(loaded):
        raise ConfigError(others)
    paths = run_paths(loaded.config)
    return Site(
        config_dir=config_dir,
        settings=loaded.config.firmware,
        control_sock=paths.control_sock,
        databases=kept_databases(paths),
        schema=loaded.config.schema_version,
    )


def _of_others(loaded: Loaded) -> list[Problem]:
    return [
        Problem(
            file,
            path,
            "",
            f"belongs to user {uid}, and what it says is done as root",
            f"put it into {loaded.config_dir / MAIN_FILE}, or into a drop-in of root's",
            loaded.lines.get(path),
        )
        for path, file in loaded.origin.items()
        if path != KEY and _COUNTS_FOR_ROOT.match(path) and (uid := Path(file).stat().st_uid) not in (0, os.geteuid())
    ]


def running_version(slots: Slots) -> str:
    """Of the slot that runs, from its own mouth; of this command where there is no slot. Raises
    :class:`FirmwareError`."""
    active = slots.active()
    if active is None:
        return __version__
    mark = slots.mark(active)
    if mark is not None:
        return mark.version
    command = slots.path(active) / "bin" / "v2g-tool"
    try:
        said = subprocess.run((command, "--version"), capture_output=True, text=True, timeout=30, check=True)  # noqa: S603
        return said.stdout.split()[-1]
    except (OSError, subprocess.SubprocessError, IndexError):
        raise FirmwareError(
            f"{command} does not tell its version: is {slots.current} an installation of ours?"
        ) from None


def python_tag() -> str:
    return f"cp{sys.version_info.major}{sys.version_info.minor}"


def platform_tag() -> str:
    """``linux_x86_64``, ``linux_aarch64``."""
    tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return tag if platform.system() == "Linux" else tag.lower()


@contextmanager
def refusals(as_json: bool = False) -> Iterator[None]:
    """What a person can put right ends in one text and exit code 1."""
    from v2g.cli.common import print_json
    from v2g.host.firmware.transaction import RolledBack

    try:
        yield
    except FirmwareError as error:
        if as_json:
            code = "ROLLED_BACK" if isinstance(error, RolledBack) else "REFUSED"
            print_json({"error": {"code": code, "message": str(error)}})
        fail(NAME, str(error), 1)


class Noter:
    """The system's log at once; the audit log as soon as a daemon answers, in order."""

    def __init__(self, control_sock: Path) -> None:
        self._control_sock = control_sock
        self._waiting: list[FirmwareNoteParams] = []

    def note(self, code: str, words: str) -> None:
        line = " ".join(words.split())[:_MAX_WORDS]
        syslog.openlog("v2g-tool", syslog.LOG_PID, syslog.LOG_AUTHPRIV)
        syslog.syslog(syslog.LOG_NOTICE, f"{code} {line}")
        self._waiting.append(FirmwareNoteParams(code=code, words=line))
        self.flush()

    def flush(self) -> None:
        """Never raises: a daemon that is down must not hold up an update."""
        if not self._waiting or not self._control_sock.is_socket():
            return
        with suppress(ControlError), ControlClient(self._control_sock, _NOTE_S, name=NAME) as client:
            while self._waiting:
                client.call("firmware.note", self._waiting[0])
                del self._waiting[0]


@contextmanager
def told(site: Site) -> Iterator[Callable[[str, str], None]]:
    """What takes notes; those that no daemon heard are given to the one that runs in the end."""
    noter = Noter(site.control_sock)
    try:
        yield noter.note
    finally:
        noter.flush()
