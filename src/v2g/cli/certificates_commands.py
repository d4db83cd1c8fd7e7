"""The commands of ``v2g-cert-manager``: their options and what they teach. Their work is loaded when they run."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from v2g.cli.daemons import CONFIG_VARIABLE, DEFAULT_CONFIG_DIR, config_option

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path, dir_okay=False)
_PROFILES = ("strict", "compat")
_KEYS = ("P-521", "Ed448")


def profile_option(command: F) -> F:
    return click.option(
        "--profile",
        type=click.Choice(_PROFILES),
        default="strict",
        show_default=True,
        help="Whose certificate: of EVSEs with tls strict, or compat (P-256, for older vehicles).",
    )(command)


def _work(module: str, name: str, options: Mapping[str, Any]) -> None:
    getattr(importlib.import_module(f"v2g.cli.{module}"), name)(**options)


@click.command()
@click.option("--ca-bundle", required=True, type=FILE, help="PEM roots that our certificate must lead to.")
@click.option("--trust", type=FILE, help="PEM roots that vehicles' certificates may lead to.")
@click.option("--force", is_flag=True, help="Replace a certificate, or a request that waits, and its key.")
@click.option("--csr-only", is_flag=True, help="Write the request, and ask no server.")
@profile_option
@config_option
def provision(**options: Any) -> None:
    """Make a key and a request, have it signed, check the chain, install it and tell the daemon.

    Who signs is configured in pki.enrolment; without it the request is written to a file for you to have signed, and
    the chain is taken by install. As root it goes on as the owner of pki.dir.

    \b
    Examples:
      v2g-cert-manager --provision --ca-bundle=/etc/ssl/certs/grid-ca.pem
      v2g-cert-manager provision --csr-only --ca-bundle=/etc/ssl/certs/grid-ca.pem

    Exit codes: 0 installed, or the request is written. 1 refused, nothing in force has changed; or installed, and the
    daemon refuses it and goes on with what it had. 2 not understood. 3 installed, but the daemon could not be told.
    """
    _work("certificates", "provision", options)


@click.command()
@click.argument("chain", type=FILE)
@click.option("--ca-bundle", type=FILE, help="PEM roots that it must lead to.  [default: those of last time]")
@click.option("--trust", type=FILE, help="PEM roots that vehicles' certificates may lead to.")
@profile_option
@config_option
def install(**options: Any) -> None:
    """Install CHAIN, a PEM file with the certificate for our request and its issuers, in any order.

    \b
    Examples:
      v2g-cert-manager install chain.pem
      v2g-cert-manager install chain.pem --ca-bundle root.pem

    Exit codes: 0 in force. 1 refused, with the reason; nothing has changed, or the daemon goes on with what it had. 2
    not understood. 3 installed, but the daemon could not be told.
    """
    _work("certificates", "install", options)


@click.command()
@click.option("--if-due", is_flag=True, help="Only when the share pki.renew_at of its life is over; for the timer.")
@click.option("--ca-bundle", type=FILE, help="New PEM roots.  [default: those of last time]")
@click.option(
    "--profile",
    type=click.Choice(_PROFILES),
    help="Only this one's.  [default: strict, and compat where it has a certificate]",
)
@config_option
def renew(**options: Any) -> None:
    """Make a new key, have it signed by the server of pki.enrolment, install both, and tell the daemon.

    The certificate in force proves who asks.

    \b
    Examples:
      v2g-cert-manager renew --if-due
      v2g-cert-manager renew

    Exit codes: 0 renewed, not due, or a request waits to be carried by people. 1 refused, or the server wants more
    time; the daemon goes on with what it had. 2 not understood. 3 installed, but the daemon could not be told.
    """
    _work("certificates", "renew", options)


@click.command()
@click.argument("file", type=FILE)
@profile_option
@config_option
def anchors(**options: Any) -> None:
    """Trust vehicles whose chains end in a root of FILE (PEM), instead of the roots before.

    \b
    Examples:
      v2g-cert-manager anchors roots.pem

    Exit codes: 0 in force. 1 refused, with the reason; nothing has changed, or the daemon goes on with what it had. 2
    not understood. 3 installed, but the daemon could not be told.
    """
    _work("certificates", "anchors", options)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Everything, for programs.")
@config_option
def status(**options: Any) -> None:
    """Certificates, key, trust anchors, a request that waits, and whether the running daemon serves with them.

    \b
    Examples:
      v2g-cert-manager status
      v2g-cert-manager status --json

    Exit codes: 0 all is well. 1 something keeps them from use, or will within pki.warn_days; it is named. 2 not
    understood.
    """
    _work("certificates_shown", "status", options)


@click.command()
@click.argument("chains", metavar="[FILE]...", nargs=-1, type=FILE)
@click.option("--ca-bundle", type=FILE, help="PEM roots to verify against.  [default: the installed ones]")
@profile_option
@config_option
def verify(**options: Any) -> None:
    """Verify the chain in each FILE as that of a SECC; without FILE, the installed one and its key.

    \b
    Examples:
      v2g-cert-manager verify
      v2g-cert-manager verify chain.pem --ca-bundle root.pem

    Exit codes: 0 all hold. 1 one does not; certificate and reason are named. 2 not understood.
    """
    _work("certificates_shown", "verify", options)


@click.command()
@click.option("--output", required=True, type=FILE, help="Where the request (PEM) is written, too.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    help="Host name or IPv4 address by which neighbours dial us; several are possible.  [default: mesh.node]",
)
@click.option("--force", is_flag=True, help="Make another key, though one waits for its certificate already.")
@config_option
def mesh_request(**options: Any) -> None:
    """Make a key and a request for the certificate of mesh.node, to be signed by the mesh's authority.

    The key waits in mesh.dir, beside the one in force, until mesh-install. As root it goes on as the owner of mesh.dir.

    \b
    Examples:
      v2g-cert-manager mesh-request --output tr-11.csr
      v2g-cert-manager mesh-request --output tr-11.csr --address tr-11.example

    Exit codes: 0 written. 1 refused; nothing in force has changed. 2 not understood.
    """
    _work("mesh_certificates", "mesh_request", options)


@click.command()
@click.option("--chain", required=True, type=FILE, help="PEM certificate for our request, and what came with it.")
@click.option("--ca", type=FILE, help="PEM certificates of the mesh's authority.  [default: those installed]")
@config_option
def mesh_install(**options: Any) -> None:
    """Install the certificate that the mesh's authority made of our request, checked as other members check it.

    \b
    Examples:
      v2g-cert-manager mesh-install --chain tr-11.pem --ca mesh-ca.pem

    Exit codes: 0 installed; the daemon uses it after systemctl reload. 1 refused, with the reason; nothing has changed.
    2 not understood.
    """
    _work("mesh_certificates", "mesh_install", options)


@click.command()
@click.option("--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="A new directory.")
@click.option(
    "--kind",
    type=click.Choice(_KEYS),
    default=_KEYS[0],
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
    envvar=CONFIG_VARIABLE,
    help="Whose pki.dir must not be written to.  [default: /etc/v2g]",
)
def lab_ca(**options: Any) -> None:
    """Make V2G, CPO, OEM, MO and CPS authorities and leaves of each, with their keys, for a bench.

    With --mesh-node an authority of a mesh, too, and for each node what its mesh.dir is to be: mesh/NAME.

    Not for production: all keys lie in one directory.

    \b
    Examples:
      v2g-cert-manager lab-ca --output lab
      v2g-cert-manager lab-ca --output lab --mesh-node tr-11 --mesh-node tr-12@tr-12.example,192.0.2.12

    Exit codes: 0 made. 1 refused. 2 not understood.
    """
    _work("lab_ca", "lab_ca", options)
