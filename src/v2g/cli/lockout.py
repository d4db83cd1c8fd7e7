"""``v2g-tool lockout``: keep the V2G breaker open while people work, each with a lock in his own name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from v2g.cli.common import daemon, json_option, of_subcommand, print_json, socket_option
from v2g.cli.render import table
from v2g.control.messages_lockout import LockoutParams, LockoutResult

_NAME = "v2g-tool"


@click.group(invoke_without_command=True)
@json_option
@socket_option
@click.pass_context
def lockout(context: click.Context, as_json: bool, socket_path: Path | None) -> None:
    """Lock out the V2G breaker (LOTO); without a word: who has.

    \b
    v2g-tool lockout on --note "replacing CT 2"
    v2g-tool lockout off

    Breaker and contactors stay open until everybody has taken his own lock away, also across restarts; no trip reset
    releases it. Your name is the one you are logged in with: through sudo or a shared account all have one lock, and
    the first to take it away takes it from everybody. It is no isolation: open the isolator and put a padlock on it as
    well. Exit code 0: done. 1: refused. 3: no daemon.
    """
    if not of_subcommand(context, as_json, socket_path):
        _answer("lockout.show", None, as_json, socket_path)


@lockout.command("on")
@click.option("--note", default="", help="What is done, where: shown with the lock.")
@json_option
@socket_option
def on(note: str, as_json: bool, socket_path: Path | None) -> None:
    """Lock in your name."""
    _answer("lockout.set", LockoutParams(enabled=True, note=note), as_json, socket_path)


@lockout.command("off")
@click.option("--force", default="", metavar="NAME", help="Take away the lock of NAME in his place (engineers).")
@json_option
@socket_option
def off(force: str, as_json: bool, socket_path: Path | None) -> None:
    """Take your lock away; those of others stay."""
    _answer("lockout.set", LockoutParams(enabled=False, force=force), as_json, socket_path)


@lockout.command("show")
@json_option
@socket_option
def show(as_json: bool, socket_path: Path | None) -> None:
    """Who has locked, since when and what for."""
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
        click.echo(lockout_text(msgspec.convert(answer, LockoutResult)))
