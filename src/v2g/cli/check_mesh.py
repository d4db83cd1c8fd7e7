"""Of ``--check-config``: whether this controller could join its mesh with the files that are there."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from cryptography import x509

from pyiso15118.security.chain import extension_of
from v2g.clock import SystemClock
from v2g.config.addresses import is_this_host
from v2g.config.firewall_plan import firewall_plan, plan_remarks
from v2g.config.loader import ConfigError, Loaded
from v2g.config.paths import mesh_paths
from v2g.config.schema_mesh import Mesh
from v2g.mesh.identity import Identity, IdentityError, load_identity, load_trust
from v2g.pki.store import mesh_in_force

_DAY_S = 86_400.0
_SOON_DAYS = 14.0


def mesh_lines(loaded: Loaded) -> Iterator[str]:
    """What it would join as, and warnings: the daemon starts without a mesh, and joins once its files are there."""
    mesh = loaded.config.mesh
    if mesh is None:
        return
    yield f"  mesh         {mesh.node} in {_where(mesh)}, {len(mesh.members)} members, {_links(mesh)}"
    yield from _of_firewall(loaded)
    paths = mesh_in_force(mesh_paths(loaded.config))
    now_unix_s = SystemClock().unix_s()
    try:
        trust = load_trust(paths.ca, paths.crl_dir)
        identity = load_identity(paths.chain, paths.key, trust, mesh.node, now_unix_s)
    except (IdentityError, OSError) as error:
        yield (
            f"warning: mesh: this controller could not join: {error}; until then every other member counts with its "
            "rating (v2g-cert-manager mesh-request makes a request for a certificate)"
        )
        return
    yield from _of_certificate(mesh, identity, now_unix_s)


def _of_firewall(loaded: Loaded) -> Iterator[str]:
    """Rules are made by another command, on another day: what would stop it, or leave the port open."""
    yield from (f"warning: {text}" for text in plan_remarks(loaded) if text.startswith("mesh."))
    try:
        firewall_plan(loaded)
    except ConfigError as error:
        for problem in error.problems:
            if problem.path.startswith("mesh."):
                yield (
                    f"warning: v2g-tool firewall would make no rules: {problem.path}: {problem.value} "
                    f"{problem.reason}: {problem.remedy}"
                )


def _of_certificate(mesh: Mesh, identity: Identity, now_unix_s: float) -> Iterator[str]:
    certificate = x509.load_der_x509_certificate(identity.certificate_der)
    days = (certificate.not_valid_after_utc.timestamp() - now_unix_s) / _DAY_S
    if days < _SOON_DAYS:
        yield f"warning: mesh: our certificate ends in {days:.1f} days: v2g-cert-manager mesh-request renews it"
    names = extension_of(certificate, x509.SubjectAlternativeName)
    known = [str(each.value).lower() for each in names] if names is not None else []
    listens = [*mesh.listen, *(mesh.north.listen if mesh.north is not None else ())]
    if listens and not known:
        yield (
            "warning: mesh: our certificate names no address (subject alternative name): nobody can dial us, though "
            "mesh.listen has one"
        )
        return
    for host in dict.fromkeys(_host(each) for each in listens):
        if not _is_any(host) and not is_this_host(host) and host not in known:
            yield (
                f"warning: mesh: mesh.listen has {host}, which our certificate does not name ({', '.join(known)}): "
                "who dials us there refuses it"
            )


def _where(mesh: Mesh) -> str:
    if mesh.region is None:
        return mesh.network
    above = f", gateway to {len(mesh.north.members)} regions" if mesh.north is not None else ""
    return f"{mesh.network}, region {mesh.region}{above}"


def _links(mesh: Mesh) -> str:
    dialled = sum(each.address is not None for each in mesh.neighbours)
    return f"{len(mesh.neighbours)} neighbours, {dialled} of them dialled by us"


def _host(locator: str) -> str:
    """As a certificate would have it."""
    host = locator.removeprefix("tls/").rpartition(":")[0].strip("[]")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower()


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
