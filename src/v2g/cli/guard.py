"""``v2g-guard``: the three guard processes; systemd starts them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from v2g import __version__
from v2g.cli.daemons import config_option, run_configured
from v2g.cli.manners import run

_NAME = "v2g-guard"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """The guard of the V2G breaker and the inverters. Normally started by systemd.

    \b
    Examples:
      systemctl status v2g-guard-tick v2g-guard-wires v2g-guard-quality
      v2g-guard tick --config /etc/v2g

    Exit codes: 0 ended as asked. 1 failed. 2 not understood, or the configuration cannot be used: systemd does not try
    again.
    """


@cli.command()
@config_option
def tick(config_dir: Path) -> None:
    """Watch voltage and frequency every 10 ms and hold the breaker closed only while they permit.

    \b
    Examples:
      systemctl restart v2g-guard-tick
      v2g-guard tick --config /etc/v2g

    Exit codes: 0 ended as asked. 1 failed. 2 not understood, or the configuration cannot be used: systemd does not try
    again.
    """
    from v2g.guard import tick_main

    sys.exit(run_configured(f"{_NAME} tick", tick_main.main, config_dir))


@cli.command()
@config_option
def wires(config_dir: Path) -> None:
    """Command inverters and DC outputs over Modbus, as far as leases, permit and ratings allow.

    \b
    Examples:
      systemctl restart v2g-guard-wires
      v2g-guard wires --config /etc/v2g

    Exit codes: 0 ended as asked. 1 failed. 2 not understood, or the configuration cannot be used: systemd does not try
    again.
    """
    from v2g.guard import wires_main

    sys.exit(run_configured(f"{_NAME} wires", wires_main.main, config_dir))


@cli.command()
@config_option
def quality(config_dir: Path) -> None:
    """Measure power quality (IEEE 1547 clause 7) and keep power_quality.log; never trips.

    \b
    Examples:
      systemctl restart v2g-guard-quality
      v2g-guard quality --config /etc/v2g

    Exit codes: 0 ended as asked. 1 failed. 2 not understood, or the configuration cannot be used: systemd does not try
    again.
    """
    from v2g.guard import quality_main

    sys.exit(run_configured(f"{_NAME} quality", quality_main.main, config_dir))


def main(argv: Sequence[str] | None = None) -> None:
    run(cli, argv, _NAME)


if __name__ == "__main__":
    main()
