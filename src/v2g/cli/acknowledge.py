"""The acknowledgement that commissioning commands ask for: the name of a qualified person who answers for them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def acknowledge_option(command: F) -> F:
    return click.option(
        "--acknowledge",
        metavar="NAME",
        help="The qualified person (NFPA 70E or equivalent) who answers for it, for scripts. [default: asked for]",
    )(command)


def acknowledgement(name: str | None, hazard: str) -> str:
    """The person's name, asked for at a terminal after ``hazard`` (one or two lines).

    Raises ``click.UsageError`` (exit code 2) for an empty one, and without a terminal to ask at.
    """
    if name is None:
        if not sys.stdin.isatty():
            raise click.UsageError(
                "a qualified person (NFPA 70E or equivalent) has to answer for this: give the name with "
                "--acknowledge NAME, or run it at a terminal"
            )
        click.echo(f"HAZARD: {hazard}", err=True)
        name = str(
            click.prompt(
                "Name of the qualified person (NFPA 70E or equivalent) who answers for it",
                default="",
                show_default=False,
                err=True,
            )
        )
    if not name.strip():
        raise click.UsageError("without the name of a qualified person nothing is done: --acknowledge NAME")
    return name.strip()
