"""``v2g-tool``: the engineer's command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from v2g import __version__
from v2g.cli import render
from v2g.cli.common import json_option, show_status, socket_option
from v2g.cli.verbs import normalise

_NAME = "v2g-tool"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """See into the installation: transformer, guard, sensors and devices."""


@cli.command()
@json_option
@socket_option
def status(as_json: bool, socket_path: Path | None) -> None:
    """Transformer, guard, DC outputs and every device with the age of its last answer."""
    show_status(_NAME, socket_path, as_json, render.tool_status_text)


def main(argv: Sequence[str] | None = None) -> None:
    words = sys.argv[1:] if argv is None else argv
    cli.main(args=normalise(words, tuple(cli.commands)), prog_name=_NAME)


if __name__ == "__main__":
    main()
