"""``v2g-guard``: the three guard processes; systemd starts them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from v2g import __version__
from v2g.cli.daemons import config_option, run_configured

_NAME = "v2g-guard"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """The guard of the V2G breaker and the inverters. Normally started by systemd."""


@cli.command()
@config_option
def tick(config_dir: Path) -> None:
    """Watch voltage and frequency every 10 ms and hold the breaker closed only while they permit."""
    from v2g.guard import tick_main

    sys.exit(run_configured(f"{_NAME} tick", tick_main.main, config_dir))


@cli.command()
@config_option
def wires(config_dir: Path) -> None:
    """Command inverters and DC outputs over Modbus, as far as leases, permit and ratings allow."""
    from v2g.guard import wires_main

    sys.exit(run_configured(f"{_NAME} wires", wires_main.main, config_dir))


@cli.command()
@config_option
def quality(config_dir: Path) -> None:
    """Measure power quality (IEEE 1547 clause 7) and keep power_quality.log; never trips."""
    from v2g.guard import quality_main

    sys.exit(run_configured(f"{_NAME} quality", quality_main.main, config_dir))


def main(argv: Sequence[str] | None = None) -> None:
    cli.main(args=list(sys.argv[1:] if argv is None else argv), prog_name=_NAME)


if __name__ == "__main__":
    main()
