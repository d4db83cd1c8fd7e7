"""Certificates, keys and TLS, as they are on the disk. Never raises: what cannot be read is a line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from pyiso15118.security import TlsProfile
from v2g.config.paths import mesh_paths
from v2g.config.schema import Config, TlsProfileName
from v2g.host.preflight.model import PreflightLine, failed, passed, warned
from v2g.mesh.identity import IdentityError, load_identity, load_trust
from v2g.orchestrator.tls_report import TlsNote
from v2g.pki.bundle import read_chain
from v2g.pki.facts import OWN, certificate_line, expiry_problems
from v2g.pki.model import PkiError
from v2g.pki.overview import ProfileOverview, overview
from v2g.pki.store import mesh_in_force

_PROFILES = {TlsProfileName.STRICT: TlsProfile.STRICT, TlsProfileName.COMPAT: TlsProfile.COMPAT}
_MESH = "mesh-certificate"
_PROVED = "; refused:"
"""From here on a note tells what was tried and turned down: the log has it."""
_MESH_REMEDY = "v2g-cert-manager mesh-request, then mesh-install"


def certificate_lines(config: Config, at_unix_s: float) -> Iterator[PreflightLine]:
    """By TLS profile that an EVSE is served with."""
    name, used = "certificates", list(dict.fromkeys(evse.tls for evse in config.evses))
    profiles = [profile for profile in used if profile in _PROFILES]
    if not profiles:
        yield warned(name, "no EVSE is served with TLS", "tls: strict, and certificates: v2g-cert-manager provision")
    for profile in profiles:
        evses = [evse.id for evse in config.evses if evse.tls is profile]
        found = overview(config, _PROFILES[profile], at_unix_s)
        yield from judge_profile(found, config.pki.warn_days, () if len(used) == 1 else evses, os.geteuid() == 0)


def judge_profile(
    found: ProfileOverview, warn_days: int, evses: Sequence[str], as_root: bool
) -> Iterator[PreflightLine]:
    """``evses``: those that the profile serves; empty: all of the site. ``as_root``: nothing is kept from who looks."""
    name = "certificates"
    ends = {words: code for code, words in expiry_problems(found.certificates, warn_days)}
    sound = True
    for problem in found.problems:
        if ends.get(problem) == "CERT_EXPIRES":
            yield warned(name, f"{found.profile}: {problem}", "as it says")
        elif not as_root and "Permission denied" in problem:
            sound = False
            yield warned(name, f"{found.profile}: {problem}", "run this as root to have it checked")
        else:
            sound = False
            yield failed(name, f"{found.profile}: {problem}", "as it says", evses)
    own = next((line for line in found.certificates if line.use == OWN), None)
    if own is None:
        if sound:
            yield failed(name, f"{found.profile}: there is no certificate", "v2g-cert-manager provision", evses)
    elif sound:
        yield passed(name, f"{found.profile}: {own.subject}, {own.days_left:.0f} days left, key {found.key_mode}")


def mesh_lines(config: Config, at_unix_s: float) -> Iterator[PreflightLine]:
    mesh = config.mesh
    if mesh is None:
        yield passed(_MESH, "there is no mesh")
        return
    paths = mesh_in_force(mesh_paths(config))
    try:
        trust = load_trust(paths.ca, paths.crl_dir)
        identity = load_identity(paths.chain, paths.key, trust, mesh.node, at_unix_s)
        leaf = certificate_line(read_chain(paths.chain)[0], OWN, str(paths.chain), at_unix_s)
    except (IdentityError, PkiError, OSError) as error:
        yield warned(_MESH, f"this controller cannot join: {error}", _MESH_REMEDY)
        return
    if leaf.days_left <= config.pki.warn_days:
        yield warned(_MESH, f"{identity.name} expires in {leaf.days_left:.0f} days", _MESH_REMEDY)
    else:
        yield passed(_MESH, f"{identity.name}, {leaf.days_left:.0f} days left")


def judge_tls(notes: Sequence[TlsNote]) -> Iterator[PreflightLine]:
    """What a handshake with ourselves proved."""
    name = "tls"
    for note in notes:
        if note.is_gap:
            yield warned(name, note.text, f"v2g-tool explain {note.code}")
        else:
            yield passed(name, note.text.partition(_PROVED)[0])
    if not notes:
        yield warned(name, "no EVSE is served with TLS that could be looked at", "see certificates")
