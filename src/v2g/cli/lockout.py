"""``v2g-tool lockout``: keep the V2G breaker open while people work, each with a lock in his own name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from v2g.cli.common import daemon, json_option, of_subcommand, print_json, say, socket_option
from v2g.cli.manners import confirm, yes_option
from v2g.cli.render import table
from v2g.control.messages_lockout import LockoutParams, LockoutResult

_NAME = "v2g-tool"


@click.group(invoke_without_command=True)
@json_option
@socket_option
@click.pass_context
def lockout(context: click.Context, as_json: bool, socket_path: Path | None) -> None:
    """Lock out the V2G breaker (LOTO); without a word: who has.

    Breaker and contactors stay open until everybody has taken his own lock away, also across restarts; no trip reset
    releases it. Your name is the one you are logged in with: through sudo or a shared account all have one lock, and
    the first to take it away takes it from everybody. It is no isolation: open the isolator and put a padlock on it as
    well.

    \b
    Examples:
      v2g-tool lockout on --note 'replacing CT 2'
      v2g-tool lockout
      v2g-tool lockout off

    Exit codes: 0 done. 1 refused. 2 not understood. 3 the daemon is not reachable.
    """
    if not of_subcommand(context, as_json, socket_path):
        _answer("lockout.show", None, as_json, socket_path)


@lockout.command("on")
@click.option("--note", default="", help="What is done, where: shown with the lock.")
@json_option
@socket_option
def on(note: str, as_json: bool, socket_path: Path | None) -> None:
    """Lock in your name.

    \b
    Examples:
      v2g-tool lockout on --note 'replacing CT 2'

    Exit codes: 0 locked. 1 refused: do not go to work. 2 not understood. 3 the daemon is not reachable.
    """
    _answer("lockout.set", LockoutParams(enabled=True, note=note), as_json, socket_path)


@lockout.command("off")
@click.option("--force", default="", metavar="NAME", help="Take away the lock of NAME in his place (engineers).")
@yes_option
@json_option
@socket_option
def off(force: str, yes: bool, as_json: bool, socket_path: Path | None) -> None:
    """Take your lock away; those of others stay.

    \b
    Examples:
      v2g-tool lockout off
      v2g-tool lockout off --yes  # in a script
      v2g-tool lockout off --force anna  # an engineer, in her place

    Exit codes: 0 your lock is gone. 1 refused, or you had none. 2 not understood. 3 the daemon is not reachable.
    """
    whose = f"the lock of {force}" if force else "your lock"
    confirm(f"With the last lock gone energy may flow again. Take {whose} away?", yes)
    _answer("lockout.set", LockoutParams(enabled=False, force=force), as_json, socket_path)


@lockout.command("show")
@json_option
@socket_option
def show(as_json: bool, socket_path: Path | None) -> None:
    """Who has locked, since when and what for.

    \b
    Examples:
      v2g-tool lockout show
      v2g-tool lockout show --json

    Exit codes: 0 shown. 2 not understood. 3 the daemon is not reachable.
    """
    _answer("lockout.show", None, as_json, socket_path)


def lockout_text(result: LockoutResult) -> str:
    lines = [result.message] if result.message else []
    if not result.locks:
        return "\n".join([*lines, "the V2G breaker is not locked out"])
    rows = ((lock.by, lock.at, lock.note) for lock in result.locks)
    return "\n".join([*lines, table(("LOCKED OUT BY", "SINCE", "NOTE"), rows)])


def _answer(method: str, params: Any, as_json: bool, socket_path: Path | None) -> None:
    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call(method, params)
    if as_json:
        print_json(answer)
    else:
        say(lockout_text(msgspec.convert(answer, LockoutResult)))
