"""What the commands of ``v2g-tool firewall`` share: the configuration, the shells, who asks, and who is told."""

from __future__ import annotations

import os
import pwd
import re
import syslog
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from v2g.cli.common import fail
from v2g.cli.daemons import problems
from v2g.clock import SystemClock
from v2g.config.firewall_plan import firewall_plan
from v2g.config.loader import MAIN_FILE, Loaded, load
from v2g.config.paths import run_paths
from v2g.config.problems import ConfigError, Problem
from v2g.control.client import ControlClient, ControlError
from v2g.control.messages_firewall import FirewallNoteParams
from v2g.host.firewall.model import Plan
from v2g.host.firewall.nft import FirewallError, Nft
from v2g.host.firewall.state import DEFAULT_DIR, StateDir, place
from v2g.host.firewall.transaction import Transactions
from v2g.host.firewall.watcher import SystemWatcher, own_command
from v2g.host.firewall.words import WordError

NAME = "v2g-tool firewall"
_NOTE_TIMEOUT_S = 2.0
_NO_LOGIN = 4_294_967_295
_MAX_WORDS = 200
_MAKES_RULES = re.compile(
    r"firewall\.|evses\[\d+\]\.(interface|sdp_port|tcp_port)$|.*\bmodbus\.|utility\.(meters|openadr)\b|pki\.enrolment\."
)


@dataclass(frozen=True, slots=True)
class Site:
    """A configuration that holds, and its firewall."""

    loaded: Loaded
    plan: Plan

    @property
    def state(self) -> StateDir:
        return StateDir(Path(self.loaded.config.firewall.state_dir))


def site(config_dir: Path) -> Site:
    """Raises :class:`ConfigError`."""
    loaded = _loaded(config_dir)
    return Site(loaded, firewall_plan(loaded))


def _loaded(config_dir: Path) -> Loaded:
    """Raises :class:`ConfigError`, also where the rules would come from a file that the daemons may write: who takes
    one of them over must not open the host to himself with the next apply or boot."""
    loaded = load(config_dir)
    files = {file for path, file in loaded.origin.items() if _MAKES_RULES.match(path)}
    others = {file: uid for file in files if (uid := Path(file).stat().st_uid) not in (0, os.geteuid())}
    if others:
        raise ConfigError(
            [
                Problem(
                    file, path, "", f"belongs to user {others[file]}, and the firewall is root's",
                    f"put it into {config_dir / MAIN_FILE}, or into a drop-in of root's", loaded.lines.get(path),
                )
                for path, file in loaded.origin.items()
                if file in others and _MAKES_RULES.match(path)
            ]
        )  # fmt: skip
    return loaded


def required_site(config_dir: Path) -> Site:
    """Ends the command with every problem where the configuration cannot be used."""
    try:
        return site(config_dir)
    except ConfigError as error:
        problems(NAME, error)
        raise SystemExit(1) from None


def state_of(config_dir: Path) -> StateDir:
    """Also with a configuration that is broken meanwhile: who has to get back must not mend it first."""
    try:
        return StateDir(Path(_loaded(config_dir).config.firewall.state_dir))
    except ConfigError:
        click.echo(f"{NAME}: the configuration cannot be used; taking {DEFAULT_DIR}", err=True)
        return StateDir(DEFAULT_DIR)


@contextmanager
def refusals() -> Iterator[None]:
    """What a person can put right ends in one text and exit code 1."""
    try:
        yield
    except (FirewallError, WordError) as error:
        fail(NAME, str(error), 1)


def transactions(state: StateDir, control_sock: Path | None) -> Transactions:
    """Raises :class:`FirewallError`."""
    watcher = SystemWatcher(own_command("v2g.cli.tool", "firewall", "watch"), state)
    return Transactions(Nft(), state, place(), SystemClock(), watcher, noter(control_sock))


def noter(control_sock: Path | None) -> Callable[[str, str], None]:
    """Writes to the system's log, and to the daemon's audit log where a daemon answers."""

    def note(code: str, words: str) -> None:
        line = " ".join(words.split())[:_MAX_WORDS]
        syslog.openlog("v2g-tool", syslog.LOG_PID, syslog.LOG_AUTHPRIV)
        syslog.syslog(syslog.LOG_NOTICE, f"{code} {line}")
        if control_sock is None or not control_sock.is_socket():
            return
        try:
            with ControlClient(control_sock, _NOTE_TIMEOUT_S, name=NAME) as client:
                client.call("firewall.note", FirewallNoteParams(code=code, words=line))
        except ControlError:
            return  # the system's log has it; a daemon that is down or busy must not hold up a rollback

    return note


def control_sock(loaded: Loaded) -> Path:
    return run_paths(loaded.config).control_sock


def who(proc: Path = Path("/proc")) -> str:
    """The name somebody logged in with, also through sudo, as the kernel keeps it; else the user's."""
    uid = os.getuid()
    try:
        login_uid = int((proc / "self/loginuid").read_text())
        uid = uid if login_uid == _NO_LOGIN else login_uid
    except (OSError, ValueError):
        pass
    try:
        return f"by {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"by uid {uid}"
