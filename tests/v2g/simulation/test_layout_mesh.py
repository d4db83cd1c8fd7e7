"""Meshes of a simulation: shapes, configurations that fit together, certificates, ports."""

from __future__ import annotations

import itertools
import socket
import stat
from collections import Counter
from math import inf
from pathlib import Path

import msgspec
import pytest

from v2g.config.paths import mesh_paths_in
from v2g.config.schema_mesh import Mesh
from v2g.mesh.identity import load_identity, load_trust
from v2g.mesh.settings import north_roster, region_roster
from v2g.pki.mesh_ca import MeshAuthority
from v2g.simulation import layout_mesh
from v2g.simulation.layout_mesh import FEEDER, HEAD, HOST, SUBSTATION, MeshPlan, Shape
from v2g.simulation.light_config import LightConfig, LightConfigError, LightModel, read_light_config

NAMES = tuple(f"n{number}" for number in range(1, 8))
AT = 1_790_000_000.0


def plan_of(names: tuple[str, ...] = NAMES, shape: Shape = Shape.LINE, **more: object) -> MeshPlan:
    return layout_mesh.flat_plan(names, range(17_000, 17_000 + len(names)), shape, feeder_kw=200.0, **more)  # type: ignore[arg-type]


def meshes(plan: MeshPlan) -> dict[str, Mesh]:
    return {name: msgspec.convert(plan.section(name, Path("/x")), Mesh) for name in plan.names}


def hops(links: tuple[tuple[str, str], ...], start: str) -> dict[str, int]:
    found, edge = {start: 0}, [start]
    while edge:
        at = edge.pop(0)
        for pair in links:
            for one, other in itertools.permutations(pair):
                if one == at and other not in found:
                    found[other] = found[at] + 1
                    edge.append(other)
    return found


@pytest.mark.parametrize(
    ("shape", "links", "farthest", "degree"), [(Shape.LINE, 6, 6, 2), (Shape.RING, 7, 3, 2), (Shape.TREE, 6, 2, 3)]
)
def test_a_shape_links_all(shape: Shape, links: int, farthest: int, degree: int) -> None:
    pairs = layout_mesh.links_of(shape, NAMES)
    found = hops(pairs, "n1")
    assert (len(pairs), len(set(map(frozenset, pairs))), set(found)) == (links, links, set(NAMES))
    assert max(found.values()) == farthest
    assert max(Counter(name for pair in pairs for name in pair).values()) == degree


def test_a_ring_of_two_has_one_link() -> None:
    assert layout_mesh.links_of(Shape.RING, ("a", "b")) == (("a", "b"),)


@pytest.mark.parametrize("shape", list(Shape))
def test_of_two_neighbours_one_dials_where_the_other_listens(shape: Shape) -> None:
    all_meshes = meshes(plan_of(shape=shape))
    pairs = 0
    for name, mesh in all_meshes.items():
        for neighbour in mesh.neighbours:
            back = [each for each in all_meshes[neighbour.node].neighbours if each.node == name]
            assert [neighbour.address is None, back[0].address is None].count(True) == 1
            if neighbour.address is not None:
                assert (neighbour.address,) == all_meshes[neighbour.node].listen
                pairs += 1
    assert pairs == len(layout_mesh.links_of(shape, NAMES))
    assert len({mesh.listen for mesh in all_meshes.values()}) == len(NAMES)


def test_all_have_the_same_members_below_one_feeder() -> None:
    all_meshes = meshes(plan_of())
    assert len({(mesh.members, mesh.groups, mesh.network) for mesh in all_meshes.values()}) == 1
    roster = region_roster(all_meshes["n3"])
    assert set(roster.below[FEEDER]) == set(NAMES)
    assert roster.groups[FEEDER].import_w == roster.groups[FEEDER].export_w == 200e3
    assert {member.import_w for member in roster.members.values()} == {250e3}
    assert not roster.heads


@pytest.mark.parametrize(("substation_kw", "group"), [(None, FEEDER), (500.0, SUBSTATION)])
def test_a_head_has_no_transformer_and_is_where_the_substation_is(substation_kw: float | None, group: str) -> None:
    plan = plan_of((HEAD, *NAMES), head=HEAD, substation_kw=substation_kw)
    roster = region_roster(meshes(plan)["n1"])
    head = roster.members[HEAD]
    assert (head.import_w, head.export_w, head.group, roster.heads) == (0.0, 0.0, group, frozenset([HEAD]))
    path = roster.path("n4")
    assert tuple(path) == ((FEEDER,) if substation_kw is None else (FEEDER, SUBSTATION))
    if substation_kw is not None:
        assert roster.groups[SUBSTATION].import_w == 500e3


def test_regions_have_their_gateways_and_the_north_has_the_regions() -> None:
    found = layout_mesh.region_plans(3, 5, range(17_000, 17_021), feeder_kw=100.0, substation_kw=250.0)
    listening: list[str] = []
    dialled: list[str] = []
    for region, (plan, norths) in found.items():
        assert set(norths) == set(plan.names[:2])
        for name in plan.names:
            section = plan.section(name, Path("/x"))
            if name in norths:
                section["north"] = norths[name]
            mesh = msgspec.convert(section, Mesh)
            listening += [*mesh.listen, *(mesh.north.listen if mesh.north else ())]
            dialled += [
                n.address for n in (*mesh.neighbours, *(mesh.north.neighbours if mesh.north else ())) if n.address
            ]
            assert (mesh.region, mesh.gateways) == (region, plan.names[:2])
            assert region_roster(mesh).groups[FEEDER].capped
            north = north_roster(mesh)
            assert (north is not None) == (name in norths)
            if north is not None:
                assert set(north.members) == set(found)
                assert north.groups[SUBSTATION].import_w == 250e3
                assert all(0.0 < member.import_w < inf for member in north.members.values())
    assert len(set(listening)) == len(listening) == 21
    assert set(dialled) <= set(listening)
    # Two gateways a region, each linked to both of the region before: 4 links twice.
    assert len(dialled) == 3 * 4 + 2 * 4


def test_nodes_get_what_their_names_promise(tmp_path: Path) -> None:
    plan = plan_of((HEAD, "n1", "n2"), head=HEAD, substation_kw=150.0)
    meter = tmp_path / "meter"
    authority = MeshAuthority(AT)
    models = {HEAD: LightModel(rated_w=0.0), "n2": LightModel(vehicles=3)}
    nodes = layout_mesh.light_nodes(plan, authority, tmp_path, models, meter_file=meter)
    assert [node.mesh.node for node in nodes] == [HEAD, "n2"]
    assert nodes[0].meter == {FEEDER: str(meter), SUBSTATION: str(meter)}
    assert (nodes[1].meter, nodes[1].model.vehicles) == ({}, 3)
    for node in nodes:
        paths = mesh_paths_in(Path(node.dir))
        assert stat.S_IMODE(paths.key.stat().st_mode) == 0o600
        assert load_identity(paths.chain, paths.key, load_trust(paths.ca, None), node.mesh.node, AT).name
    config = LightConfig(control_socket="c.sock", nodes=nodes)
    layout_mesh.write_light(tmp_path / "light.json", config)
    assert read_light_config(tmp_path / "light.json") == config


def test_a_light_configuration_with_unknown_words_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "light.json"
    path.write_text('{"control_socket": "c", "nodes": [], "speed": 3}')
    with pytest.raises(LightConfigError, match=r"light\.json: .*"):
        read_light_config(path)


def test_ports_are_reserved_until_they_are_given_back() -> None:
    first, held = layout_mesh.reserve_ports(30)
    with held:
        second, other = layout_mesh.reserve_ports(30)
        with other:
            assert not set(first) & set(second)
            assert all(0 < port < 32_768 for port in (*first, *second))
    again, reservation = layout_mesh.reserve_ports(30)
    reservation.close()
    assert len(set(again)) == 30


def test_a_port_that_is_somebody_s_is_left_out() -> None:
    ports, reservation = layout_mesh.reserve_ports(5)
    with reservation, socket.create_server((HOST, ports[2])):
        reservation.close()
        again, other = layout_mesh.reserve_ports(5)
        other.close()
    assert ports[2] not in again
