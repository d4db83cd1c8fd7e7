"""``v2g-cert-manager``: the certificate of this controller, from the first request to every renewal."""

from __future__ import annotations

from collections.abc import Sequence

import click

from v2g import __version__
from v2g.cli.completion import completion_command
from v2g.cli.lazy import Later, LazyGroup
from v2g.cli.manners import run
from v2g.host import coredump

_NAME = "v2g-cert-manager"
_COMMANDS = "v2g.cli.certificates_commands"
_LATER = {
    "provision": Later(_COMMANDS, "provision", "Key, request, certificate: made, signed, checked, installed."),
    "install": Later(_COMMANDS, "install", "A chain that an authority sent for our request."),
    "renew": Later(_COMMANDS, "renew", "A new key and certificate in place of the one in force."),
    "anchors": Later(_COMMANDS, "anchors", "The roots by which vehicles are trusted."),
    "status": Later(_COMMANDS, "status", "Every certificate, its days, the key, and what the daemon serves with."),
    "verify": Later(_COMMANDS, "verify", "A chain against its roots, with the reason where it does not hold."),
    "mesh-request": Later(_COMMANDS, "mesh_request", "A key and a request for our certificate in the mesh."),
    "mesh-install": Later(_COMMANDS, "mesh_install", "The certificate that the mesh's authority made of it."),
    "lab-ca": Later(_COMMANDS, "lab_ca", "A complete test PKI for a bench; not for production."),
}


@click.group(cls=LazyGroup, later=_LATER, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """The certificate by which vehicles know this controller, and the roots by which it knows them.

    A verb may be written with or without its two dashes.

    \b
    Examples:
      v2g-cert-manager --provision --ca-bundle=/etc/ssl/certs/grid-ca.pem
      v2g-cert-manager install chain.pem  # where the request was signed by hand
      v2g-cert-manager status

    Exit codes: 0 done. 1 refused or failed. 2 wrong usage. 3 installed, but the running daemon could not be told.
    """


cli.add_command(completion_command(_NAME))


def main(argv: Sequence[str] | None = None) -> None:
    if (problem := coredump.forbid()) is not None:
        click.echo(f"{_NAME}: {problem}", err=True)
    run(cli, argv, _NAME, cli.verbs if isinstance(cli, LazyGroup) else ())


if __name__ == "__main__":
    main()
