"""The mesh: what no single value of it can show, against itself, the transformer and the files it names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath

from v2g.config.problems import Report
from v2g.config.schema import Config
from v2g.config.schema_mesh import Mesh, MeshGroup, MeshMember, MeshNeighbour
from v2g.host.firewall.model import MODBUS_PORTS

_MANY_MEMBERS = 100
_RATING_BAND = 0.1
_RESERVED = ("flat", "north")
"""Regions of keys that other meshes have."""


def check_mesh(config: Config, report: Report) -> None:
    """Every contradiction, into ``report``."""
    mesh = config.mesh
    if mesh is None:
        return
    _check_tree("mesh", mesh.groups, mesh.members, report)
    _check_neighbours("mesh", mesh.neighbours, mesh.node, {m.id for m in mesh.members}, report)
    _listening("mesh.listen", mesh.listen, report)
    ids = {member.id for member in mesh.members}
    if mesh.node not in ids:
        report.add(
            "mesh.node",
            repr(mesh.node),
            "is none of mesh.members",
            "add it there, with the same list at all members; or write the name that our certificate has",
        )
    if mesh.valid_s < 2.0 * mesh.period_s:
        report.add(
            "mesh.valid_s",
            f"{mesh.valid_s:g}",
            f"is less than two periods of {mesh.period_s:g} s: one message that is lost would make us count as absent",
            f"write {3 * mesh.period_s:g} or more",
        )
    if mesh.deaf_after_s < 2.0 * mesh.period_s:
        report.add(
            "mesh.deaf_after_s",
            f"{mesh.deaf_after_s:g}",
            f"is less than two periods of {mesh.period_s:g} s: others that hear us well could not have said so yet",
            f"write {3 * mesh.period_s:g} or more",
        )
    if mesh.dir and not PurePath(mesh.dir).is_absolute():
        report.add("mesh.dir", repr(mesh.dir), "is no absolute path", "begin it with /, or leave it empty")
    _check_ports_of_vehicles(config, mesh, report)
    for position, member in enumerate(mesh.members):
        if member.speakers:
            path = f"mesh.members[{position}].speakers"
            report.add(path, "", "is for regions, in mesh.north.members", "remove it")
    _check_meters(mesh, report)
    _check_meters(mesh, report)
    _check_region(mesh, report)


def _check_meters(mesh: Mesh, report: Report) -> None:
    heads = {member.id for member in mesh.members if member.head}
    groups = {group.id for group in mesh.groups}
    if mesh.meters and mesh.node not in heads:
        report.add(
            "mesh.meters", "", f"is for a head, and {mesh.node} is none", "add 'head: true' to it, or remove this"
        )
    for group, path in mesh.meters.items():
        if group not in groups:
            report.add(f"mesh.meters.{group}", repr(group), "is none of mesh.groups", f"there are {', '.join(groups)}")
        if not path.startswith("/"):
            report.add(f"mesh.meters.{group}", repr(path), "is no absolute path", "begin it with /")


def mesh_suspicions(config: Config) -> Iterator[str]:
    """Values that are allowed but probably not meant; for people, never a reason to stop."""
    mesh = config.mesh
    if mesh is None:
        return
    own = next((member for member in mesh.members if member.id == mesh.node), None)
    rated_kw = config.transformer.rated_kva
    worst_kw = max(_rating(own)) if own is not None else rated_kw
    if own is not None and not own.head and abs(worst_kw - rated_kw) > _RATING_BAND * rated_kw:
        yield (
            f"mesh.members has {mesh.node} with {worst_kw:g} kW, and transformer.rated_kva is {rated_kw:g}: while it "
            "is not heard, the others count on no more than the former"
        )
    if len(mesh.members) > _MANY_MEMBERS:
        yield (
            f"mesh.members has {len(mesh.members)} members in one mesh, where each hears all others: beyond "
            f"{_MANY_MEMBERS} make regions of them"
        )
    if mesh.lease_s > mesh.valid_s:
        yield (
            f"mesh.lease_s is {mesh.lease_s:g} s and mesh.valid_s {mesh.valid_s:g} s: where a link breaks, members "
            "count as absent before another way to them is taken"
        )
    if not mesh.neighbours:
        yield "mesh.neighbours is empty: we hear nobody but those who dial us"
    ratings = sum(_rating(member)[0] for member in mesh.members)
    for group in mesh.groups:
        if group.import_kw is not None and group.import_kw > ratings > 0.0:
            yield f"mesh.groups: {group.id} carries more than all members can draw ({ratings:g} kW): it never binds"


def _check_region(mesh: Mesh, report: Report) -> None:
    if mesh.region is None:
        for name in ("gateways", "north"):
            if getattr(mesh, name):
                report.add(f"mesh.{name}", "", "is of a region, and mesh.region names none", "name it, or remove this")
        return
    if mesh.region in _RESERVED:
        report.add("mesh.region", repr(mesh.region), "is a name that other meshes of this network have", "take another")
    ids = {member.id for member in mesh.members}
    if not mesh.gateways:
        report.add("mesh.gateways", "", "is empty, and a region needs one", "name the node that speaks for it")
    for position, gateway in enumerate(mesh.gateways):
        if gateway not in ids:
            report.add(f"mesh.gateways[{position}]", repr(gateway), "is none of mesh.members", "name a member")
    north = mesh.north
    if (mesh.node in mesh.gateways) != (north is not None):
        path, reason = ("mesh.north", "is missing") if north is None else ("mesh.north", "is for gateways alone")
        remedy = "a gateway needs it" if north is None else f"{mesh.node} is none of mesh.gateways: remove it"
        report.add(path, "", reason, remedy)
    roots = [group.id for group in mesh.groups if group.parent is None]
    if len(roots) != 1:
        report.add(
            "mesh.groups",
            ", ".join(roots),
            "has more than one group without a parent, and the north caps a region as one",
            "put one group above all others",
        )
    if north is None:
        return
    _check_tree("mesh.north", north.groups, north.members, report)
    speakers = {speaker for member in north.members for speaker in member.speakers or (member.id,)}
    _check_neighbours("mesh.north", north.neighbours, mesh.node, speakers, report)
    _listening("mesh.north.listen", north.listen, report)
    ports = {_port_of(locator) for locator in mesh.listen}
    for position, locator in enumerate(north.listen):
        if _port_of(locator) in ports:
            report.add(
                f"mesh.north.listen[{position}]",
                repr(locator),
                "has a port of mesh.listen, and each mesh has a wire of its own",
                "take another port",
            )
    if north.region_group not in roots:
        remedy = f"name {roots[0]}" if roots else "name the group above all others"
        report.add("mesh.north.region_group", repr(north.region_group), "is not the group above all others", remedy)
    region = next((member for member in north.members if member.id == mesh.region), None)
    if region is None:
        report.add("mesh.north.members", "", f"has no member {mesh.region}, our region", "add it there")
    elif region.speakers != mesh.gateways:
        report.add(
            "mesh.north.members",
            ", ".join(region.speakers),
            f"are the speakers of {mesh.region}, and mesh.gateways are {', '.join(mesh.gateways)}",
            "write the same names in the same order",
        )


def _check_tree(path: str, groups: Sequence[MeshGroup], members: Sequence[MeshMember], report: Report) -> None:
    parents = {group.id: group.parent for group in groups}
    _unique(f"{path}.groups", [group.id for group in groups], report)
    _unique(f"{path}.members", [member.id for member in members], report)
    voices = [voice for member in members for voice in member.speakers or (member.id,)]
    if len(set(voices)) != len(voices) and len({member.id for member in members}) == len(members):
        twice = next(voice for voice in voices if voices.count(voice) > 1)
        report.add(f"{path}.members", repr(twice), "speaks for two of them", "let it speak for one")
    for position, group in enumerate(groups):
        seen, parent = [group.id], group.parent
        while parent is not None and parent in parents and parent not in seen:
            seen.append(parent)
            parent = parents[parent]
        if parent is None:
            continue
        at = f"{path}.groups[{position}].parent"
        if parent in seen:
            report.add(at, repr(group.parent), f"leads back: {' < '.join([*seen, parent])}", "name the group above it")
        elif group.parent == parent:
            report.add(at, repr(parent), f"is none of {path}.groups", f"there are {', '.join(parents)}")
    for position, member in enumerate(members):
        at = f"{path}.members[{position}]"
        if member.group not in parents:
            report.add(
                f"{at}.group", repr(member.group), f"is none of {path}.groups", f"there are {', '.join(parents)}"
            )
        if member.rated_kw is None and (member.import_kw is None or member.export_kw is None) and not member.head:
            report.add(
                f"{at}.rated_kw",
                "",
                f"is missing: what {member.id} can draw at most is what it counts with while it is not heard",
                "write it, or import_kw and export_kw",
            )


def _check_neighbours(
    path: str, neighbours: Sequence[MeshNeighbour], own: str, known: set[str], report: Report
) -> None:
    _unique(f"{path}.neighbours", [neighbour.node for neighbour in neighbours], report)
    for position, neighbour in enumerate(neighbours):
        at = f"{path}.neighbours[{position}]"
        if neighbour.node == own:
            report.add(f"{at}.node", repr(own), "is ourselves", "name another node")
        elif neighbour.node not in known:
            report.add(f"{at}.node", repr(neighbour.node), f"is none of {path}.members", "add it there, or remove it")
        if neighbour.address is None:
            continue
        if "[" in neighbour.address:
            report.add(
                f"{at}.address",
                repr(neighbour.address),
                "is an IPv6 literal, which cannot be checked against a certificate by the mesh's transport",
                "write a host name (DNS or /etc/hosts) that its certificate has",
            )
        _port(f"{at}.address", neighbour.address, report)


def _listening(path: str, listen: Sequence[str], report: Report) -> None:
    _unique(path, list(listen), report)
    for position, locator in enumerate(listen):
        at = f"{path}[{position}]"
        _port(at, locator, report)
        if _port_of(locator) in MODBUS_PORTS:
            report.add(at, repr(locator), "is a port of Modbus, which is never open inwards", "take another, as 7447")


def _check_ports_of_vehicles(config: Config, mesh: Mesh, report: Report) -> None:
    taken = {evse.tcp_port: position for position, evse in reversed(list(enumerate(config.evses)))}
    for path, listen in (("mesh", mesh.listen), ("mesh.north", mesh.north.listen if mesh.north is not None else ())):
        for position, locator in enumerate(listen):
            if (evse := taken.get(_port_of(locator))) is not None:
                report.add(
                    f"{path}.listen[{position}]",
                    repr(locator),
                    f"has the port that vehicles come to at EVSE {config.evses[evse].id} (evses[{evse}])",
                    "take another, as 7447",
                )


def _port(path: str, locator: str, report: Report) -> None:
    if not 1 <= _port_of(locator) <= 65535:
        report.add(path, repr(locator), "has a port outside 1..65535", "correct it")


def _port_of(locator: str) -> int:
    return int(locator.rpartition(":")[2])


def _unique(path: str, names: Sequence[str], report: Report) -> None:
    for name in {name for name in names if names.count(name) > 1}:
        report.add(path, repr(name), "is there twice", "leave one")


def _rating(member: MeshMember) -> tuple[float, float]:
    """(import, export), kW."""
    rated_kw = member.rated_kw if member.rated_kw is not None else 0.0
    return (
        member.import_kw if member.import_kw is not None else rated_kw,
        member.export_kw if member.export_kw is not None else rated_kw,
    )
