"""From the configuration to what a node is made of: roster, settings, wire, identity; put together into halves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from v2g.clock import Clock
from v2g.config.paths import MeshPaths
from v2g.config.schema_mesh import Mesh, MeshGroup, MeshMember, MeshNeighbour
from v2g.mesh.engine_zenoh import ZenohEngine
from v2g.mesh.envelope import BURST, MOST_PER_S, Opener, Sealer
from v2g.mesh.identity import Identity
from v2g.mesh.node import MeshNode
from v2g.mesh.node_settings import NodeSettings
from v2g.mesh.roster import Group, Member, Roster
from v2g.mesh.runner import Half, North
from v2g.mesh.trust import Trust
from v2g.mesh.zenoh_config import Neighbour, ZenohSettings

NORTH = "north"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    identity: Identity
    trust: Trust


def region_roster(mesh: Mesh) -> Roster:
    """Of the mesh that we are in: flat, or our region."""
    roots = {group.id for group in mesh.groups if group.parent is None}
    capped = roots if mesh.region is not None else set()
    groups = [
        _group(group, capped=group.id in capped, alone_kw=(mesh.alone_import_kw, mesh.alone_export_kw))
        for group in mesh.groups
    ]
    return Roster(mesh.network, mesh.region or "", groups, map(_member, mesh.members), mesh.gateways)


def north_roster(mesh: Mesh) -> Roster | None:
    """Of the mesh of regions; None: we are no gateway."""
    north = mesh.north
    if north is None:
        return None
    groups = [_group(group) for group in north.groups]
    return Roster(mesh.network, NORTH, groups, map(_member, north.members))


def node_settings(mesh: Mesh, rated_w: float) -> NodeSettings:
    """``rated_w``: of whom the node speaks for."""
    return NodeSettings(
        period_s=mesh.period_s,
        valid_s=mesh.valid_s,
        least_gap_s=min(0.2, mesh.period_s),
        ramp_w_s=mesh.ramp_pu_s * rated_w,
        reserve_pu=mesh.reserve_pu,
        deaf_after_s=mesh.deaf_after_s,
        margin_w=mesh.margin_pu * rated_w,
    )


def zenoh_settings(
    mesh: Mesh, paths: MeshPaths, roster: Roster, listen: Sequence[str], neighbours: Sequence[MeshNeighbour]
) -> ZenohSettings:
    return ZenohSettings(
        node=mesh.node,
        prefix=f"v2g/{roster.scope}",
        listen=tuple(listen),
        neighbours=tuple(Neighbour(node=each.node, address=each.address or "") for each in neighbours),
        certificate=paths.chain,
        key=paths.key,
        ca=paths.ca,
        members=frozenset(voice for member in roster.members.values() for voice in member.voices),
        lease_s=mesh.lease_s,
    )


def halves(
    mesh: Mesh, paths: MeshPaths, credentials: Credentials, clock: Clock, version: str
) -> tuple[Half, North | None]:
    """What :class:`v2g.mesh.runner.MeshRunner` is made of."""
    roster = region_roster(mesh)
    own = _half(mesh, paths, roster, mesh.node, (mesh.listen, mesh.neighbours), credentials, clock, version)
    above = north_roster(mesh)
    if mesh.north is None or above is None or mesh.region is None:
        return own, None
    wire = (mesh.north.listen, mesh.north.neighbours)
    half = _half(mesh, paths, above, mesh.region, wire, credentials, clock, version)
    return own, North(half=half, group=mesh.north.region_group, gateways=mesh.gateways)


def _half(
    mesh: Mesh,
    paths: MeshPaths,
    roster: Roster,
    member: str,
    wire: tuple[Sequence[str], Sequence[MeshNeighbour]],
    credentials: Credentials,
    clock: Clock,
    version: str,
) -> Half:
    speaks_for = roster.members[member]
    settings = node_settings(mesh, max(speaks_for.import_w, speaks_for.export_w))
    voices = frozenset(voice for each in roster.members.values() for voice in each.voices)
    zenoh = zenoh_settings(mesh, paths, roster, *wire)

    def make_node() -> MeshNode:
        sealer = Sealer(roster.scope, credentials.identity, round(clock.unix_s() * 1e6))
        # A head may cap every group with each state.
        most_per_s = MOST_PER_S + len(roster.groups) / settings.period_s
        opener = Opener(
            roster.scope, credentials.trust, voices, most_per_s=most_per_s, burst=BURST + len(roster.groups)
        )
        return MeshNode(roster, mesh.node, member, sealer, opener, settings, version)

    return Half(make_node=make_node, make_engine=lambda: ZenohEngine(zenoh, clock), keys=(f"{zenoh.prefix}/**",))


def _group(group: MeshGroup, *, capped: bool = False, alone_kw: tuple[float, float] = (0.0, 0.0)) -> Group:
    return Group(
        id=group.id,
        parent=group.parent or "",
        import_w=group.import_kw * 1e3 if group.import_kw is not None else inf,
        export_w=group.export_kw * 1e3 if group.export_kw is not None else inf,
        capped=capped,
        alone_import_w=alone_kw[0] * 1e3 if capped else 0.0,
        alone_export_w=alone_kw[1] * 1e3 if capped else 0.0,
    )


def _member(member: MeshMember) -> Member:
    rated_kw = member.rated_kw if member.rated_kw is not None else 0.0
    import_kw = member.import_kw if member.import_kw is not None else rated_kw
    export_kw = member.export_kw if member.export_kw is not None else rated_kw
    return Member(
        id=member.id,
        group=member.group,
        import_w=import_kw * 1e3,
        export_w=export_kw * 1e3,
        weight=member.weight if member.weight is not None else max(import_kw, export_kw, 1.0),
        speakers=member.speakers,
        head=member.head,
    )
