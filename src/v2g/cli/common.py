"""What the client commands share: the connection, its errors, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
import msgspec

from v2g.cli.tables import fitted
from v2g.control.client import CallRefused, ControlClient, ControlError, find_socket
from v2g.control.messages import StatusResult
from v2g.units import QuantityError

F = TypeVar("F", bound=Callable[..., Any])
V = TypeVar("V")

EXIT_CONFIG = 78
"""EX_CONFIG of sysexits.h: the configuration cannot be used; systemd does not restart on it."""


def json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="The daemon's answer as JSON.")(command)


def socket_option(command: F) -> F:
    return click.option(
        "--socket",
        "socket_path",
        type=click.Path(path_type=Path),
        help="Control socket of the daemon. [default: $V2G_SOCKET, /run/v2g/control.sock, or your simulation's]",
    )(command)


def of_subcommand(context: click.Context, as_json: bool, socket_path: Path | None) -> bool:
    """Whether a subcommand of the group follows. Its options belong behind its name: before it they would be lost."""
    if context.invoked_subcommand is None:
        return False
    if as_json or socket_path is not None:
        raise click.UsageError(f"give --json and --socket behind the name {context.invoked_subcommand}")
    return True


@contextmanager
def daemon(
    socket_path: Path | None, name: str, as_json: bool = False, timeout_s: float = 10.0
) -> Iterator[ControlClient]:
    """A client of the daemon; its errors end the command with their text and exit code."""
    try:
        with ControlClient(socket_path or find_socket(), timeout_s, name, on_skew=skew_told) as client:
            yield client
    except ControlError as error:
        if as_json:
            code = error.code if isinstance(error, CallRefused) else "DAEMON_NOT_REACHABLE"
            print_json({"error": {"code": code, "message": str(error)}})
        fail(name, str(error), error.exit_code)


def skew_told(words: str) -> None:
    if words not in _told:
        _told.add(words)
        click.echo(words, err=True)


_told: set[str] = set()


def show_status(
    name: str,
    socket_path: Path | None,
    as_json: bool,
    text: Callable[[StatusResult], str],
    part: Callable[[dict[str, Any]], Any] = lambda answer: answer,
) -> None:
    """Print the daemon's status as ``text`` says, or ``part`` of it as JSON."""
    with daemon(socket_path, name, as_json) as client:
        answer = client.call("status")
    found = msgspec.convert(answer, StatusResult)
    if as_json:
        print_json(part(answer))
    else:
        say(text(found))


def say(text: str) -> None:
    """Print ``text``, wrapped where the screen is narrower."""
    click.echo(fitted(text))


def parsed(parse: Callable[[str], V], text: str) -> V:
    """What ``text`` says; a quantity that is none ends the command as a mistake of usage."""
    try:
        return parse(text)
    except QuantityError as error:
        raise click.UsageError(str(error)) from None


def print_json(value: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def fail(name: str, text: str, exit_code: int) -> NoReturn:
    click.echo(f"{name}: {text}", err=True)
    sys.exit(exit_code)
