"""``v2g-cert-manager mesh-request`` and ``mesh-install``: the certificate by which the mesh knows this controller."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from v2g.cli.certificates import configured, somebody_listens, told
from v2g.clock import SystemClock
from v2g.config.paths import run_paths
from v2g.config.schema import Config
from v2g.mesh.provisioning import MeshProvisioner, output_problem, owned_by
from v2g.pki.bundle import Bundle, read_bundle, read_chain
from v2g.pki.model import PkiError
from v2g.pki.owner import become_owner

_HEAD = 64


def mesh_request(output: Path, addresses: tuple[str, ...], force: bool, config_dir: Path) -> None:
    """Make a key and a request for the certificate of mesh.node, to be signed by the mesh's authority."""
    with told():
        config = configured(config_dir)
        # Where root may write and the daemon's user may not.
        with _written(output) as put:
            put(_provisioner(config).request(addresses, force=force))
    click.echo(f"have {output} signed by the mesh's authority, then:")
    click.echo("v2g-cert-manager mesh-install --chain CHAIN.pem --ca CA.pem")


def mesh_install(chain: Path, ca: Path | None, config_dir: Path) -> None:
    """Install the certificate that the mesh's authority made of our request, checked as other members check it."""
    with told():
        config = configured(config_dir)
        received = read_chain(chain)
        authority = _bundle(ca) if ca is not None else None
        _provisioner(config).install(received, str(chain), authority)
    if somebody_listens(run_paths(config).control_sock):
        click.echo("v2g-orchestrator still uses what it read before: systemctl reload v2g-orchestrator")
    else:
        click.echo("v2g-orchestrator does not run: it will be used at its next start")


def _provisioner(config: Config) -> MeshProvisioner:
    """Everything that only root may read must have been read."""
    provisioner = MeshProvisioner(config, SystemClock(), click.echo)
    if remark := become_owner(owned_by(config), config.control.daemon_user):
        click.echo(f"note: {remark}", err=True)
    return provisioner


def _bundle(path: Path) -> Bundle:
    bundle = read_bundle(path.absolute(), SystemClock().unix_s())
    for remark in bundle.remarks:
        click.echo(f"note: {remark}", err=True)
    return bundle


@contextmanager
def _written(path: Path) -> Iterator[Callable[[bytes], None]]:
    """A file that is opened before and written when there is something to write. Raises :class:`PkiError`."""
    made = not os.path.lexists(path)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o644)
    except OSError as error:
        raise PkiError(f"{path} cannot be written: {error.strerror or error}: name another file") from error

    def put(data: bytes) -> None:
        try:
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, data, 0)
        except OSError as error:
            raise PkiError(f"{path} cannot be written: {error.strerror or error}: name another file") from error

    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode) or output_problem(os.pread(descriptor, _HEAD, 0)):
            raise PkiError(f"{path} is something else than a request: name a new file")
        yield put
    except BaseException:
        if made:
            with contextlib.suppress(OSError):
                path.unlink()
        raise
    finally:
        os.close(descriptor)
