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
    "--mesh-node",
    "mesh_nodes",
    multiple=True,
    metavar="NAME[@ADDRESS,...]",
    help="A member of a mesh, and by which host names or IPv4 addresses it is dialled; several are possible.",
)
@click.option(
    "--config",
    "config_dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_CONFIG_DIR,
    help="Whose pki.dir must not be written to.  [default: /etc/v2g]",
)
def lab_ca(
    output: Path,
    kind: str,
    secc_ids: tuple[str, ...],
    evccids: tuple[str, ...],
    mesh_nodes: tuple[str, ...],
    config_dir: Path,
) -> None:
    """Make V2G, CPO, OEM, MO and CPS authorities and leaves of each, with their keys, for a bench.

    \b
    v2g-cert-manager lab-ca --output lab --mesh-node tr-11 --mesh-node tr-12@tr-12.example,192.0.2.12

    With --mesh-node an authority of a mesh, too, and for each node what its mesh.dir is to be: mesh/NAME.

    Not for production: all keys lie in one directory. Exit code 0: made. 1: refused.
    """
    with told():
        names = LabNames(
            secc_ids=secc_ids or ("LAB*SECC*1",),
            evccids=evccids or ("LABEV0000001",),
            mesh_nodes=_mesh_nodes(mesh_nodes),
        )
        made = write_lab_ca(output, names, KeyKind(kind), SystemClock().unix_s(), _pki_dir(config_dir))
    for line in made:
        click.echo(line)
    click.echo(f"NOT FOR PRODUCTION; what is what is in {output / README}")


def _mesh_nodes(words: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for word in words:
        name, at, rest = word.partition("@")
        addresses = tuple(each.strip() for each in rest.split(",")) if at else ()
        if not name or not all(each for each in addresses):
            raise click.UsageError(f"--mesh-node {word!r} is no NAME and no NAME@ADDRESS,ADDRESS")
        if name in found:
            raise click.UsageError(f"--mesh-node {name} is there twice: name all its addresses at once")
        found[name] = addresses
    return found


def _pki_dir(config_dir: Path) -> Path:
    """Benches without a controller have no configuration."""
    try:
        return Path(load(config_dir).config.pki.dir)
    except ConfigError:
        return Path(Pki().dir)
