"""``python -m v2g.host.packaging``: wheel, wheelhouse and Debian package, from a checkout."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

import v2g
from v2g.host.packaging.deb import MAINTAINER, deb
from v2g.host.packaging.wheelhouse import PackagingError, Wheelhouse, build_wheel, opened, wheelhouse
from v2g.host.packaging.wheels import ARCHITECTURES

_HERE = Path(v2g.__file__).parents[2]
_output = click.option("--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Where to.")
_source = click.option(
    "--source", type=click.Path(path_type=Path, file_okay=False), default=_HERE, help="A checkout. [default: this one]"
)
_arch = click.option(
    "--arch", "architectures", type=click.Choice(list(ARCHITECTURES)), multiple=True, help="[default: both]"
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Make what is installed: needs pip and its index, and dpkg-deb for a .deb; hosts then need no network.

    \b
    Examples:
      python -m v2g.host.packaging wheel --output dist
      python -m v2g.host.packaging wheelhouse --output dist/wheelhouse
      python -m v2g.host.packaging deb --arch x86_64 --output dist
    """


@cli.command()
@_output
@_source
def wheel(output: Path, source: Path) -> None:
    """The wheel, with etc/ and systemd/ in it."""
    _done(lambda: click.echo(str(build_wheel(source, output))))


@cli.command("wheelhouse")
@_output
@_source
@_arch
def make_wheelhouse(output: Path, source: Path, architectures: tuple[str, ...]) -> None:
    """OUTPUT/x86_64 and OUTPUT/aarch64: pip install --no-index --find-links OUTPUT/aarch64 v2g-orchestrator."""

    def make() -> None:
        own = build_wheel(source, output)
        for architecture in architectures or tuple(ARCHITECTURES):
            _tell(wheelhouse(own, architecture, output / architecture))

    _done(make)


@cli.command("deb")
@_output
@_source
@_arch
@click.option("--wheelhouse", "house", type=click.Path(path_type=Path, file_okay=False), help="One made before.")
@click.option("--maintainer", default=MAINTAINER, show_default=True)
def make_deb(output: Path, source: Path, architectures: tuple[str, ...], house: Path | None, maintainer: str) -> None:
    """A package for Debian 12, with all that it needs of Python."""

    def make() -> None:
        if house is not None:
            click.echo(str(deb(opened(house), output, maintainer)))
            return
        own = build_wheel(source, output)
        for architecture in architectures or tuple(ARCHITECTURES):
            made = wheelhouse(own, architecture, output / "wheelhouse" / architecture)
            _tell(made)
            click.echo(str(deb(made, output, maintainer)))

    if house is not None and architectures:
        raise click.UsageError("a wheelhouse has its architecture: give --wheelhouse or --arch")
    _done(make)


def _tell(made: Wheelhouse) -> None:
    wheels = made.contents.wheels
    pure = sum(wheel.pure for wheel in wheels)
    click.echo(f"{made.directory}: {len(wheels)} wheels for {made.contents.architecture}, {pure} of them pure")
    for exception in made.contents.exceptions:
        click.echo(f"  not to be had there: {exception}")


def _done(make: Callable[[], None]) -> None:
    try:
        make()
    except (PackagingError, OSError) as error:
        click.echo(f"v2g.host.packaging: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    cli(prog_name="python -m v2g.host.packaging")
