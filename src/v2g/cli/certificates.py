"""``v2g-cert-manager provision``, ``install``, ``renew``, ``anchors``: what changes certificates."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
import msgspec

from pyiso15118.errors import Iso15118Error
from pyiso15118.security import IsRevoked, TlsProfile
from v2g.cli.common import fail, skew_told
from v2g.cli.daemons import problems
from v2g.clock import SystemClock
from v2g.config.loader import load
from v2g.config.paths import pki_paths, run_paths
from v2g.config.problems import ConfigError
from v2g.config.schema import Config
from v2g.config.schema_pki import OldData
from v2g.control.client import CallRefused, ControlClient, ControlError, DaemonNotReachable
from v2g.control.messages_pki import PkiReloadResult, PkiStatusResult
from v2g.pki import enrolment
from v2g.pki.bundle import Bundle, read_bundle, read_chain
from v2g.pki.key_home import directory_of, key_home_for
from v2g.pki.model import PkiError
from v2g.pki.owner import become_owner, require_roots_word
from v2g.pki.provisioning import Provisioner
from v2g.pki.revocation_source import offline_check
from v2g.pki.store import CHAIN, is_file

NAME = "v2g-cert-manager"
_RELOAD_S = 20.0


def revocation_check(config: Config) -> IsRevoked:
    """Of our own chain, by the CRL files that are there. A new site has none: what is not known keeps nobody out."""
    return offline_check(pki_paths(config).crl_dir, old_data=OldData.WARN)


def configured(config_dir: Path) -> Config:
    """Raises :class:`ConfigError`, and :class:`PkiError` where root is not to follow it."""
    loaded = load(config_dir)
    require_roots_word(loaded.origin)
    return loaded.config


@contextmanager
def told() -> Iterator[None]:
    """What a person can put right ends the command with its text and exit code 1."""
    try:
        yield
    except ConfigError as error:
        problems(NAME, error)
        sys.exit(1)
    except (PkiError, Iso15118Error) as error:
        fail(NAME, str(error), 1)


def provision(ca_bundle: Path, trust: Path | None, force: bool, csr_only: bool, profile: str, config_dir: Path) -> None:
    """Make a key and a request, have it signed, check the chain, install it and tell the daemon."""
    tls = TlsProfile(profile)
    with told():
        config = configured(config_dir)
        bundle, anchors = _bundle(ca_bundle), _bundle(trust) if trust is not None else None
        provisioner = _provisioner(config, tls)
        if provisioner.provision(bundle, anchors, force=force, request_only=csr_only):
            sys.exit(_tell_daemon(config, provisioner))


def install(chain: Path, ca_bundle: Path | None, trust: Path | None, profile: str, config_dir: Path) -> None:
    """Install CHAIN, a PEM file with the certificate for our request and its issuers, in any order."""
    tls = TlsProfile(profile)
    with told():
        config = configured(config_dir)
        received = read_chain(chain)
        bundle = _bundle(ca_bundle) if ca_bundle is not None else None
        anchors = _bundle(trust) if trust is not None else None
        provisioner = _provisioner(config, tls)
        provisioner.install(received, bundle, anchors)
        sys.exit(_tell_daemon(config, provisioner))


def renew(if_due: bool, ca_bundle: Path | None, profile: str | None, config_dir: Path) -> None:
    """Make a new key, have it signed by the server of pki.enrolment, install both, and tell the daemon."""
    with told():
        config = configured(config_dir)
        bundle = _bundle(ca_bundle) if ca_bundle is not None else None
        profiles = [TlsProfile(profile)] if profile is not None else _installed_profiles(config)
        code = 0
        for each in profiles:
            # One profile's authority must not keep the other's certificate from being renewed.
            try:
                provisioner = _provisioner(config, each)
                # A daemon that was not to be told the last time is told now.
                if provisioner.renew(bundle, if_due=if_due) or _is_behind(config, provisioner):
                    code = max(code, _tell_daemon(config, provisioner))
            except (PkiError, Iso15118Error) as error:
                click.echo(f"{NAME}: {f'tls {each}: ' if len(profiles) > 1 else ''}{error}", err=True)
                code = code or 1
        sys.exit(code)


def anchors(file: Path, profile: str, config_dir: Path) -> None:
    """Trust vehicles whose chains end in a root of FILE (PEM), instead of the roots before."""
    tls = TlsProfile(profile)
    with told():
        config = configured(config_dir)
        bundle = _bundle(file)
        provisioner = _provisioner(config, tls)
        provisioner.trust(bundle)
        sys.exit(_tell_daemon(config, provisioner))


def _installed_profiles(config: Config) -> list[TlsProfile]:
    compat = directory_of(config, TlsProfile.COMPAT) / CHAIN
    return [TlsProfile.STRICT, *([TlsProfile.COMPAT] if is_file(compat) else [])]


def _bundle(path: Path) -> Bundle:
    bundle = read_bundle(path.absolute(), SystemClock().unix_s())
    for remark in bundle.remarks:
        click.echo(f"note: {remark}", err=True)
    return bundle


def _provisioner(config: Config, profile: TlsProfile) -> Provisioner:
    """Everything that only root may read must have been read."""
    if remark := become_owner(pki_paths(config).dir, config.control.daemon_user):
        click.echo(f"note: {remark}", err=True)
    return Provisioner(
        config,
        profile,
        key_home_for(config, profile),
        partial(enrolment.enroller_for, config),
        SystemClock(),
        click.echo,
        revocation_check(config),
    )


def _tell_daemon(config: Config, provisioner: Provisioner) -> int:
    """Let the daemon serve with what was installed; the command's exit code."""
    path = run_paths(config).control_sock
    if not somebody_listens(path):
        click.echo("v2g-orchestrator does not run: it will be used at its next start")
        provisioner.forget_replaced()
        return 0
    try:
        with ControlClient(path, _RELOAD_S, NAME, skew_told) as client:
            answer = msgspec.convert(client.call("pki.reload"), PkiReloadResult)
    except DaemonNotReachable as error:
        click.echo(f"{NAME}: installed, but the daemon could not be told: {error}", err=True)
        click.echo(f"{NAME}: let it be told: systemctl reload v2g-orchestrator", err=True)
        return error.exit_code
    except CallRefused as error:
        click.echo(f"{NAME}: installed, but the daemon goes on with what it had: {error}", err=True)
        return error.exit_code
    click.echo(answer.message)
    for evse_id, reason in answer.unusable.items():
        click.echo(f"{evse_id}: no vehicle can connect: {reason}")
    provisioner.forget_replaced()
    return 0


def _is_behind(config: Config, provisioner: Provisioner) -> bool:
    """Whether the running daemon serves with another certificate than the one installed; False where nobody says."""
    path = run_paths(config).control_sock
    installed = provisioner.fingerprint()
    if not installed or not somebody_listens(path):
        return False
    try:
        with ControlClient(path, _RELOAD_S, NAME, skew_told) as client:
            answer = msgspec.convert(client.call("pki.status"), PkiStatusResult)
    except ControlError:
        return False
    served = [p.certificates[0].fingerprint for p in answer.profiles if p.profile == provisioner.profile]
    return bool(served) and served[0] != installed


def somebody_listens(path: Path) -> bool:
    """False where there is no socket, or nobody behind it any more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return False
        except OSError:
            pass
    return True
