"""Meshes of a simulation: who is whose neighbour, who is below which limit, certificates, configurations."""

from __future__ import annotations

import enum
import itertools
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from v2g.config.schema_mesh import Mesh
from v2g.pki.mesh_ca import MeshAuthority
from v2g.simulation.layout import LayoutError
from v2g.simulation.light_config import LightConfig, LightModel, LightNodeConfig

HOST = "127.0.0.1"
"""Neighbours are not dialled by IPv6 literals."""
NETWORK = "simulation"
FEEDER = "feeder"
SUBSTATION = "substation"
HEAD = "head"
MOST_PORTS = 500
_FIRST_PORT, _LAST_PORT = 17_000, 32_000
"""Below the ports that the system gives to connections by itself: nodes that start late still find theirs free."""


class Shape(enum.StrEnum):
    LINE = "line"
    RING = "ring"
    TREE = "tree"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshPlan:
    """One flat mesh, or one region of it. ``ports``: of the nodes' listeners; ``rated_kw`` by node."""

    names: tuple[str, ...]
    ports: Mapping[str, int]
    links: tuple[tuple[str, str], ...]
    groups: tuple[Mapping[str, Any], ...]
    group_of: Mapping[str, str]
    rated_kw: Mapping[str, float]
    heads: frozenset[str] = frozenset()
    extra: Mapping[str, Any] = field(default_factory=dict)
    """More keys of the section, the same at all."""

    def section(self, node: str, folder: Path) -> dict[str, Any]:
        """``mesh`` of its configuration. The later of two neighbours dials the earlier."""
        order = {name: position for position, name in enumerate(self.names)}
        neighbours = []
        for pair in self.links:
            if node not in pair:
                continue
            other = pair[0] if pair[1] == node else pair[1]
            entry: dict[str, Any] = {"node": other}
            if order[other] < order[node]:
                entry["address"] = locator(self.ports[other])
            neighbours.append(entry)
        return {
            "network": NETWORK,
            "node": node,
            "dir": str(folder),
            "listen": [locator(self.ports[node])],
            "neighbours": neighbours,
            "groups": [dict(group) for group in self.groups],
            "members": [
                {
                    "id": name,
                    "group": self.group_of[name],
                    "rated_kw": self.rated_kw[name],
                    **({"head": True} if name in self.heads else {}),
                }
                for name in self.names
            ],
            **self.extra,
        }


def reserve_ports(count: int) -> tuple[list[int], socket.socket]:
    """``count`` free TCP ports of the IPv4 loopback, at most :data:`MOST_PORTS`, and their reservation: until that is
    closed no other simulation of this host takes them. Raises :class:`LayoutError`."""
    for base in range(_FIRST_PORT, _LAST_PORT, MOST_PORTS):
        reservation = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            reservation.bind(f"\0v2g-simulation-mesh-{base}")
        except OSError:
            reservation.close()
            continue
        free = [port for port in range(base, base + MOST_PORTS) if _is_free(port)][:count]
        if len(free) == count:
            return free, reservation
        reservation.close()
    raise LayoutError(f"no {count} free ports from {_FIRST_PORT} to {_LAST_PORT} on {HOST}; end what holds them")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def locator(port: int) -> str:
    return f"tls/{HOST}:{port}"


def links_of(shape: Shape, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of neighbours; of a tree each has two below it."""
    if shape is Shape.TREE:
        return tuple((names[(number - 1) // 2], names[number]) for number in range(1, len(names)))
    line = tuple(itertools.pairwise(names))
    return (*line, (names[0], names[-1])) if shape is Shape.RING and len(names) > 2 else line


def flat_plan(
    names: Sequence[str],
    ports: Sequence[int],
    shape: Shape,
    *,
    feeder_kw: float,
    rated_kw: float = 250.0,
    head: str | None = None,
    substation_kw: float | None = None,
    extra: Mapping[str, Any] | None = None,
) -> MeshPlan:
    """All below one feeder. ``head``: one of the names, without a transformer; ``substation_kw``: of a group above."""
    feeder: dict[str, Any] = {"id": FEEDER, "import_kw": feeder_kw, "export_kw": feeder_kw}
    groups = [feeder]
    if substation_kw is not None:
        groups = [{"id": SUBSTATION, "import_kw": substation_kw, "export_kw": substation_kw}]
        groups.append(feeder | {"parent": SUBSTATION})
    return MeshPlan(
        names=tuple(names),
        ports=dict(zip(names, ports, strict=True)),
        links=links_of(shape, names),
        groups=tuple(groups),
        group_of={name: groups[0]["id"] if name == head else FEEDER for name in names},
        rated_kw={name: 0.0 if name == head else rated_kw for name in names},
        heads=frozenset([head]) if head is not None else frozenset(),
        extra=extra or {},
    )


def region_plans(
    regions: int,
    size: int,
    ports: Sequence[int],
    *,
    feeder_kw: float,
    substation_kw: float,
    rated_kw: float = 250.0,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, tuple[MeshPlan, Mapping[str, Any]]]:
    """By region, its plan and the ``north`` section of its gateways: the first two nodes of each region. A region is a
    tree, the north a line of the first gateways, with the second ones beside them. Needs ``regions * (size + 2)``
    ports."""
    left = iter(ports)
    names = {f"r{r}": tuple(f"r{r}n{n}" for n in range(size)) for r in range(regions)}
    ports_of = {name: next(left) for nodes in names.values() for name in nodes}
    north_ports = {name: next(left) for nodes in names.values() for name in nodes[:2]}
    gateways = {region: list(nodes[:2]) for region, nodes in names.items()}
    north_members = [
        {"id": region, "group": SUBSTATION, "rated_kw": min(feeder_kw, size * rated_kw), "speakers": gateways[region]}
        for region in names
    ]
    # Each gateway is linked to both of the region before, so that the north holds with any of them.
    order = list(names)
    north_neighbours: dict[str, list[dict[str, Any]]] = {name: [] for name in north_ports}
    for before, region in itertools.pairwise(order):
        for one in gateways[region]:
            for other in gateways[before]:
                north_neighbours[one].append({"node": other, "address": locator(north_ports[other])})
                north_neighbours[other].append({"node": one})
    found: dict[str, tuple[MeshPlan, Mapping[str, Any]]] = {}
    for region, nodes in names.items():
        plan = MeshPlan(
            names=nodes,
            ports={name: ports_of[name] for name in nodes},
            links=links_of(Shape.TREE, nodes),
            groups=({"id": FEEDER, "import_kw": feeder_kw, "export_kw": feeder_kw},),
            group_of=dict.fromkeys(nodes, FEEDER),
            rated_kw=dict.fromkeys(nodes, rated_kw),
            extra={"region": region, "gateways": gateways[region], **(extra or {})},
        )
        norths = {
            name: {
                "region_group": FEEDER,
                "groups": [{"id": SUBSTATION, "import_kw": substation_kw, "export_kw": substation_kw}],
                "members": north_members,
                "listen": [locator(north_ports[name])],
                "neighbours": north_neighbours[name],
            }
            for name in gateways[region]
        }
        found[region] = (plan, norths)
    return found


def light_nodes(
    plan: MeshPlan,
    authority: MeshAuthority,
    folder: Path,
    models: Mapping[str, LightModel],
    norths: Mapping[str, Mapping[str, Any]] | None = None,
    meter_file: Path | None = None,
) -> list[LightNodeConfig]:
    """Configurations of those nodes of a plan that ``models`` has, with their certificates in ``folder``.

    ``meter_file``: from where heads read the flow of the feeder, and of the substation where that is all it feeds.
    """
    made = []
    for name in plan.names:
        if name not in models:
            continue
        node_dir = folder / name
        authority.write_node(node_dir, name, (HOST,))
        section = plan.section(name, node_dir)
        if norths is not None and name in norths:
            section["north"] = norths[name]
        mesh = msgspec.convert(section, Mesh)
        measured = {group.id: str(meter_file) for group in mesh.groups} if meter_file and name in plan.heads else {}
        made.append(LightNodeConfig(mesh=mesh, dir=str(node_dir), model=models[name], meter=measured))
    return made


def write_light(path: Path, config: LightConfig) -> None:
    path.write_bytes(msgspec.json.encode(config))
