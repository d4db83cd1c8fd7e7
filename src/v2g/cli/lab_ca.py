"""``v2g-cert-manager lab-ca``: a test PKI in files."""

from __future__ import annotations

from pathlib import Path

import click

from v2g.cli.certificates import told
from v2g.clock import SystemClock
from v2g.config.loader import load
from v2g.config.problems import ConfigError
from v2g.config.schema_pki import KeyKind, Pki
from v2g.pki.lab_ca import README, LabNames, write_lab_ca


def lab_ca(
    output: Path,
    kind: str,
    secc_ids: tuple[str, ...],
    evccids: tuple[str, ...],
    mesh_nodes: tuple[str, ...],
    config_dir: Path,
) -> None:
    """Make V2G, CPO, OEM, MO and CPS authorities and leaves of each, with their keys, for a bench."""
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
