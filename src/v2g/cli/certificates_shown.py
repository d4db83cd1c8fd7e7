"""``v2g-cert-manager status`` and ``verify``: what looks at certificates and changes nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from pyiso15118.security import TlsProfile
from v2g.cli.certificates import NAME, configured, revocation_check, somebody_listens, told
from v2g.cli.common import print_json, skew_told
from v2g.cli.render import table
from v2g.clock import SystemClock
from v2g.config.paths import pki_paths, run_paths
from v2g.config.schema import Config, TlsProfileName
from v2g.control.client import ControlClient, ControlError
from v2g.control.messages_pki import CertificateLine, PkiStatusResult
from v2g.pki import store as files
from v2g.pki.bundle import Bundle, certificates_in, parse_bundle, read_bundle, read_chain
from v2g.pki.chain_check import check_own_chain
from v2g.pki.facts import ANCHOR, OWN
from v2g.pki.key_home import directory_of
from v2g.pki.model import PkiError
from v2g.pki.overview import ProfileOverview, key_in_force, overview
from v2g.pki.store import Store

_SHOWN_ANCHORS = 8
_DAEMON_S = 3.0


def status(as_json: bool, config_dir: Path) -> None:
    """Certificates, key, trust anchors, a request that waits, and whether the running daemon serves with them."""
    with told():
        config = configured(config_dir)
        now_s = SystemClock().unix_s()
        shown = [overview(config, profile, now_s) for profile in _profiles(config)]
        running, daemon = _running(config)
        if as_json:
            print_json({"profiles": [_builtins(each, running) for each in shown], "daemon": daemon})
        else:
            click.echo("\n\n".join(_text(each, running, daemon) for each in shown))
        sys.exit(1 if any(each.problems for each in shown) else 0)


def verify(chains: tuple[Path, ...], ca_bundle: Path | None, profile: str, config_dir: Path) -> None:
    """Verify the chain in each FILE as that of a SECC; without FILE, the installed one and its key."""
    tls = TlsProfile(profile)
    with told():
        config = configured(config_dir)
        now_s = SystemClock().unix_s()
        store = Store(directory_of(config, tls))
        bundle = read_bundle(ca_bundle, now_s) if ca_bundle is not None else _installed_roots(store, now_s)
        for remark in bundle.remarks:
            click.echo(f"note: {remark}", err=True)
        failed = False
        for path in chains or (None,):
            try:
                click.echo(_verified(config, tls, path, bundle, now_s))
            except PkiError as error:
                click.echo(f"{path or store.path(files.CHAIN)}: FAILED: {error}")
                failed = True
        sys.exit(1 if failed else 0)


def _verified(config: Config, profile: TlsProfile, path: Path | None, bundle: Bundle, now_s: float) -> str:
    where = pki_paths(config)
    if path is None:
        path = where.strict_chain if profile is TlsProfile.STRICT else where.compat_chain
        in_force = Store(directory_of(config, profile)).read(files.CHAIN)
        received = certificates_in(in_force, str(path)) if in_force is not None else read_chain(path)
        key = key_in_force(config, profile).public_key()
    else:
        received, key = list(read_chain(path)), None
    chain = check_own_chain(
        received,
        key,
        bundle,
        profile=profile,
        at_unix_s=now_s,
        is_revoked=revocation_check(config),
    )
    path_words = " < ".join(c.subject.rfc4514_string() for c in (chain.leaf, *chain.sub_certificates, chain.anchor))
    return f"{path}: OK: {path_words}; until {_day(chain.expires_at_unix_s)}"


def _installed_roots(store: Store, now_s: float) -> Bundle:
    content = store.read(files.ROOTS)
    if content is None:
        raise PkiError(f"there is no {store.path(files.ROOTS)}: say which roots to verify against: --ca-bundle FILE")
    return parse_bundle(content, str(store.path(files.ROOTS)), now_s)


def _profiles(config: Config) -> list[TlsProfile]:
    """Those that an EVSE has, strict first; strict where all are plain."""
    used = {evse.tls for evse in config.evses}
    named = {TlsProfileName.STRICT: TlsProfile.STRICT, TlsProfileName.COMPAT: TlsProfile.COMPAT}
    return [profile for name, profile in named.items() if name in used] or [TlsProfile.STRICT]


def _running(config: Config) -> tuple[Mapping[str, str], str]:
    """By profile the fingerprint of the certificate that the daemon serves with; and how it was found, in words."""
    path = run_paths(config).control_sock
    if not somebody_listens(path):
        return {}, "not running"
    try:
        with ControlClient(path, _DAEMON_S, NAME, skew_told) as client:
            answer = msgspec.convert(client.call("pki.status"), PkiStatusResult)
    except ControlError as error:
        return {}, f"not asked: {error}"
    return {each.profile: each.certificates[0].fingerprint for each in answer.profiles if each.certificates}, "running"


def _in_use(shown: ProfileOverview, running: Mapping[str, str]) -> bool | None:
    own = next((line for line in shown.certificates if line.use == OWN), None)
    served = running.get(shown.profile)
    return None if own is None or served is None else own.fingerprint == served


def _builtins(shown: ProfileOverview, running: Mapping[str, str]) -> dict[str, Any]:
    return {**msgspec.to_builtins(shown), "in_use_by_daemon": _in_use(shown, running)}


def _text(shown: ProfileOverview, running: Mapping[str, str], daemon: str) -> str:
    return "\n".join(_text_lines(shown, running, daemon))


def _text_lines(shown: ProfileOverview, running: Mapping[str, str], daemon: str) -> Iterator[str]:
    yield f"TLS {shown.profile}: {shown.directory}"
    own = [line for line in shown.certificates if line.use != ANCHOR]
    anchors = sorted((line for line in shown.certificates if line.use == ANCHOR), key=lambda line: line.days_left)
    if own or anchors:
        head = ("CERTIFICATE", "SUBJECT", "ISSUER", "FROM", "UNTIL", "DAYS", "USED")
        yield table(head, map(_row, [*own, *anchors[:_SHOWN_ANCHORS]]))
    yield from (f"serial {line.serial}, SHA-256 {line.fingerprint}" for line in own if line.use == OWN)
    if len(anchors) > _SHOWN_ANCHORS:
        yield f"and {len(anchors) - _SHOWN_ANCHORS} more trust anchors that last longer; all of them with --json"
    match = {True: "it is the certificate's", False: "IT IS NOT THE CERTIFICATE'S", None: "not compared"}
    owned = f", {shown.key_owner} {shown.key_mode}" if shown.key_owner else ""
    yield f"key: {shown.key_location}{owned}; {match[shown.key_matches]}"
    if shown.pending_request:
        yield f"a request waits to be signed: {shown.pending_request}"
    if shown.renewal_due:
        yield "renewal is due: v2g-cert-manager renew"
    yield f"daemon: {_daemon_words(_in_use(shown, running), daemon)}"
    yield from (f"PROBLEM: {problem}" for problem in shown.problems)


def _daemon_words(in_use: bool | None, daemon: str) -> str:
    if in_use is None:
        return daemon if daemon != "running" else "running, without a certificate of this profile"
    if in_use:
        return "serves with this certificate"
    return "serves with another certificate: systemctl reload v2g-orchestrator"


def _row(line: CertificateLine) -> tuple[str, ...]:
    return (
        line.use,
        line.subject,
        line.issuer if line.issuer != line.subject else "itself",
        _day(line.not_before_unix_s),
        _day(line.not_after_unix_s),
        f"{line.days_left:.0f}",
        f"{100.0 * line.life_used:.0f} %",
    )


def _day(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d}"
