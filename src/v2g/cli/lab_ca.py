"""``v2g-cert-manager lab-ca``: a test PKI in files."""

from __future__ import annotations

from pathlib import Path

import click

from v2g.cli.certificates import told
from v2g.cli.daemons import DEFAULT_CONFIG_DIR
from v2g.clock import SystemClock
from v2g.config.loader import load
from v2g.config.problems import ConfigError
from v2g.config.schema_pki import KeyKind, Pki
from v2g.pki.lab_ca import README, LabNames, write_lab_ca


@click.command()
@click.option("--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="A new directory.")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in KeyKind]),
    default=KeyKind.P521.value,
    show_default=True,
    help="Of all keys and signatures.",
)
@click.option("--secc-id", "secc_ids", multiple=True, help="A SECC; several are possible.  [default: LAB*SECC*1]")
@click.option("--evccid", "evccids", multiple=True, help="A vehicle; several are possible.  [default: LABEV0000001]")
@click.option(
    "--config",
    "config_dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_CONFIG_DIR,
    help="Whose pki.dir must not be written to.  [default: /etc/v2g]",
)
def lab_ca(output: Path, kind: str, secc_ids: tuple[str, ...], evccids: tuple[str, ...], config_dir: Path) -> None:
    """Make V2G, CPO, OEM, MO and CPS authorities and leaves of each, with their keys, for a bench.

    Not for production: all keys lie in one directory. Exit code 0: made. 1: refused.
    """
    with told():
        names = LabNames(secc_ids=secc_ids or ("LAB*SECC*1",), evccids=evccids or ("LABEV0000001",))
        made = write_lab_ca(output, names, KeyKind(kind), SystemClock().unix_s(), _pki_dir(config_dir))
    for line in made:
        click.echo(line)
    click.echo(f"NOT FOR PRODUCTION; what is what is in {output / README}")


def _pki_dir(config_dir: Path) -> Path:
    """Benches without a controller have no configuration."""
    try:
        return Path(load(config_dir).config.pki.dir)
    except ConfigError:
        return Path(Pki().dir)
