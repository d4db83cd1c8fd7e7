"""``kplc-driver``: powerline modems and SLAC (ISO 15118-3); systemd starts it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from v2g import __version__
from v2g.cli.daemons import config_option, problems, run_configured
from v2g.cli.manners import run

_NAME = "kplc-driver"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.option("--check", is_flag=True, help="Open the port of each EVSE's modem once, say what is found, and end.")
@config_option
def cli(check: bool, config_dir: Path) -> None:
    """Match vehicles to EVSEs on powerline modems, and watch their links. Normally started by systemd.

    \b
    Examples:
      systemctl restart kplc-driver  # resets the modems; sessions on their links end
      kplc-driver --check
      v2g-tool plc --watch  # what is measured

    Exit codes: 0 ended as asked, or no EVSE has a powerline link. 1 failed (--check: a port cannot be used). 2 not
    understood, or the configuration cannot be used: systemd does not try again.
    """
    from v2g.config.problems import ConfigError
    from v2g.plc import main as plc_main

    if not check:
        sys.exit(run_configured(_NAME, plc_main.main, config_dir))
    try:
        sound = plc_main.check(config_dir, click.echo)
    except ConfigError as error:
        problems(_NAME, error)
        sys.exit(plc_main.EXIT_CONFIG)
    sys.exit(0 if sound else 1)


def main(argv: Sequence[str] | None = None) -> None:
    run(cli, argv, _NAME)


if __name__ == "__main__":
    main()
