"""A neighbourhood before its processes start: plans, base loads, vehicles, and controllers' configurations."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from v2g.cli.neighbourhood_options import Neighbourhood
from v2g.cli.orchestrator import SimulateOptions
from v2g.clock import ManualClock, SystemClock
from v2g.config.loader import load
from v2g.config.paths import mesh_paths
from v2g.mesh.identity import load_identity, load_trust
from v2g.pki.mesh_ca import MeshAuthority
from v2g.simulation import neighbourhood as neighbourhoods
from v2g.simulation import plant_config
from v2g.simulation.layout import Layout, LayoutError
from v2g.simulation.layout_mesh import FEEDER, HEAD, SUBSTATION, light_nodes
from v2g.simulation.light_config import LightModel
from v2g.simulation.light_processes import NODES_A_PROCESS, LightProcesses
from v2g.simulation.neighbourhood import NeighbourhoodRun, base_loads, crowded, plans, ports_needed, vehicle_counts
from v2g.simulation.plant_config import Conditions
from v2g.simulation.run_directory import RunDirectory


@pytest.fixture
def short() -> Iterator[Path]:
    """Short, as the names of sockets have to be."""
    with tempfile.TemporaryDirectory(prefix="v2g") as folder:
        yield Path(folder)


def ports_of(around: Neighbourhood) -> range:
    return range(17_000, 17_000 + ports_needed(around))


def test_a_flat_plan_has_the_head_first_in_the_line() -> None:
    around = Neighbourhood(nodes=3, head=True, feeder_w=150e3, substation_w=140e3)
    ((plan, north),) = plans(ports_of(around), around)
    assert north is None
    assert plan.links == ((HEAD, "n1"), ("n1", "n2"), ("n2", "n3"))
    assert [group["id"] for group in plan.groups] == [SUBSTATION, FEEDER]
    assert [group["import_kw"] for group in plan.groups] == [140.0, 150.0]


def test_regions_share_the_nodes_and_the_substation() -> None:
    around = Neighbourhood(nodes=12, regions=3, light=True, feeder_w=100e3)
    parts = plans(ports_of(around), around)
    assert [len(plan.names) for plan, _ in parts] == [4, 4, 4]
    norths = [section for _, gates in parts for section in (gates or {}).values()]
    assert len(norths) == 6
    assert {group["import_kw"] for north in norths for group in north["groups"]} == {300.0}


@pytest.mark.parametrize(("nodes", "regions"), [(10, 3), (4, 4)])
def test_regions_of_different_sizes_or_of_one_are_refused(nodes: int, regions: int) -> None:
    around = Neighbourhood(nodes=nodes, regions=regions, light=True)
    with pytest.raises(LayoutError, match=f"{nodes} nodes do not make {regions} regions"):
        plans(ports_of(around), around)


@pytest.mark.parametrize(
    ("around", "limit_w"),
    [
        (Neighbourhood(nodes=3, feeder_w=200e3), 200e3),
        (Neighbourhood(nodes=80, feeder_w=200e3), 200e3),
        (Neighbourhood(nodes=80, feeder_w=200e3, substation_w=90e3), 90e3),
        (Neighbourhood(nodes=80, feeder_w=50e3, regions=4), 200e3),
    ],
)
def test_base_loads_are_uneven_repeatable_and_leave_room(around: Neighbourhood, limit_w: float) -> None:
    names = [f"n{number}" for number in range(around.nodes)]
    bases_w = base_loads(names, around)
    assert bases_w == base_loads(names, around)
    assert len(set(bases_w.values())) > 1
    assert min(bases_w.values()) > 0.0
    assert sum(bases_w.values()) <= 0.46 * limit_w
    assert max(bases_w.values()) <= 50e3


@pytest.mark.parametrize(
    ("given", "counts"), [((), [2, 2, 2]), ((3, 0, 1), [3, 0, 1]), ((4,), [4, 0, 0]), ((0,), [0, 0, 0])]
)
def test_vehicles_are_as_given_or_the_same_at_all(given: tuple[int, ...], counts: list[int]) -> None:
    around = Neighbourhood(nodes=3, vehicles=given)
    assert list(vehicle_counts(("n1", "n2", "n3"), around, 2).values()) == counts


def build(folder: Path, stack: ExitStack, around: Neighbourhood, counts: dict[str, int]) -> dict[str, Layout]:
    clock = SystemClock()
    planned = NeighbourhoodRun(folder, plans(ports_of(around), around), around, clock)
    options = SimulateOptions(vehicles=2, demo=False, scenario=None, run_dir=folder)
    built: dict[str, Layout] = {}
    for name, count in counts.items():
        (folder / name).mkdir()
        conditions = Conditions(base_load_w=12e3 + 1e3 * len(built))
        taken = {port for layout in built.values() for port in layout.plant_ports}
        built[name] = planned.add_controller(folder / name, name, count, options, conditions, taken)
        stack.enter_context(built[name].port_reservation)
    return built


def test_each_controller_s_configuration_is_whole_and_its_mesh_fits_the_others(short: Path) -> None:
    around = Neighbourhood(nodes=3, head=True)
    with ExitStack() as stack:
        built = build(short, stack, around, {"n1": 2, "n2": 0, "n3": 1})
        loaded = {name: load(layout.config_dir).config for name, layout in built.items()}
    for name, config in loaded.items():
        mesh = config.mesh
        assert mesh is not None
        assert (config.site.id, mesh.node, len(mesh.members)) == (name, name, 4)
        paths = mesh_paths(config)
        identity = load_identity(paths.chain, paths.key, load_trust(paths.ca, None), name, SystemClock().unix_s())
        assert identity.name == name
    assert [each.node for each in loaded["n2"].mesh.neighbours] == ["n1", "n3"]
    assert {each.node: each.address is None for each in loaded["n1"].mesh.neighbours} == {HEAD: False, "n2": True}
    plants = {name: plant_config.read_config(layout.plant_config) for name, layout in built.items()}
    assert [plant.conditions.base_load_w for plant in plants.values()] == [12e3, 13e3, 14e3]
    # Where no vehicle is asked for an EVSE stays empty.
    assert [(len(layout.evses), len(layout.vehicles)) for layout in built.values()] == [(2, 2), (1, 0), (1, 1)]


def test_controllers_share_no_port(short: Path) -> None:
    with ExitStack() as stack:
        built = build(short, stack, Neighbourhood(nodes=3), {"n1": 3, "n2": 3, "n3": 3})
        plants = [port for layout in built.values() for port in layout.plant_ports]
        seccs = [port for layout in built.values() for evse in layout.evses for port in {evse.sdp_port, evse.tcp_port}]
    assert len(set(plants)) == len(plants) == 3 * 7
    assert len(set(seccs)) == len(seccs) == 9


def options_in(folder: Path, around: Neighbourhood, **more: Any) -> SimulateOptions:
    return SimulateOptions(vehicles=1, demo=False, scenario=None, run_dir=folder, neighbourhood=around, **more)


def test_a_directory_that_is_in_use_is_told(short: Path, capsys: pytest.CaptureFixture[str]) -> None:
    around = Neighbourhood(nodes=2, light=True)
    directory = RunDirectory(short / "run")
    directory.take()
    assert neighbourhoods.run_neighbourhood(options_in(short / "run", around), around) == 1
    assert "runs in" in capsys.readouterr().err
    directory.release()


def test_what_cannot_start_leaves_no_key_behind(
    short: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = short / "run"
    seen = []

    async def refuse(planned: NeighbourhoodRun) -> int:
        seen.extend(sorted(path.name for path in run_dir.rglob("private.key")))
        raise LayoutError("the machine is on fire")

    monkeypatch.setattr(NeighbourhoodRun, "run_whole", refuse)
    around = Neighbourhood(nodes=2)
    assert neighbourhoods.run_neighbourhood(options_in(run_dir, around), around) == 1
    assert "the machine is on fire" in capsys.readouterr().err
    assert len(seen) >= 4
    assert not [path for path in run_dir.rglob("*") if path.suffix in (".key", ".pem", ".sock")]


def test_keys_of_a_run_that_was_killed_are_removed_by_the_next(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = short / "run"
    for path in (run_dir, run_dir / "n7"):
        former = RunDirectory(path)
        former.take()
    key = run_dir / "n7" / "pki" / "mesh" / "private.key"
    key.parent.mkdir(parents=True)
    key.touch()
    other = run_dir / "notes"
    other.mkdir()
    (other / "pki").mkdir()
    monkeypatch.setattr(RunDirectory, "_take_lock", lambda self: None)

    async def nothing(*_: object) -> int:
        return 0

    monkeypatch.setattr(NeighbourhoodRun, "run_light", nothing)
    around = Neighbourhood(nodes=2, light=True)
    assert neighbourhoods.run_neighbourhood(options_in(run_dir, around), around) == 0
    assert not key.exists()
    assert (other / "pki").is_dir()


def test_a_base_load_that_is_given_is_everybody_s(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []

    async def note(_: NeighbourhoodRun, bases_w: dict[str, float], vehicles: dict[str, int]) -> int:
        given.extend([bases_w, vehicles])
        return 0

    monkeypatch.setattr(NeighbourhoodRun, "run_light", note)
    around = Neighbourhood(nodes=2, light=True, vehicles=(0, 5))
    options = options_in(short / "run", around, conditions={"base_load_w": 9e3})
    assert neighbourhoods.run_neighbourhood(options, around) == 0
    assert given == [{"n1": 9e3, "n2": 9e3}, {"n1": 0, "n2": 5}]


def test_what_flows_is_told_with_its_limit() -> None:
    words = []
    for around in (
        Neighbourhood(nodes=4, feeder_w=200e3),
        Neighbourhood(nodes=4, feeder_w=200e3, substation_w=150e3),
        Neighbourhood(nodes=4, feeder_w=200e3, regions=2, light=True),
        Neighbourhood(nodes=4, feeder_w=200e3, substation_w=300e3, regions=2, light=True),
    ):
        planned = NeighbourhoodRun(Path("/x"), plans(ports_of(around), around), around, ManualClock())
        words.append(planned.flow_words(120e3))
    assert words == [f"120.0 kW flow; the limit is {limit}.0 kW" for limit in (200, 150, 400, 300)]
    assert planned.flow_words(float("nan")).startswith("not known what flows")


@pytest.mark.parametrize(("controllers", "processors", "is_told"), [(5, 2, False), (6, 2, True), (8, 4, False)])
def test_more_controllers_than_there_are_processors_for_are_told(
    controllers: int, processors: int, is_told: bool
) -> None:
    words = crowded(controllers, processors)
    assert bool(words) == is_told
    assert not words or words.startswith("6 controllers need about 2.4 processors and there are 2")


def test_light_configurations_are_dealt_out_to_processes(short: Path) -> None:
    around = Neighbourhood(nodes=NODES_A_PROCESS + 3, light=True)
    ((plan, _),) = plans(ports_of(around), around)
    clock = ManualClock()
    nodes = light_nodes(plan, MeshAuthority(clock.unix_s()), short / "pki", {name: LightModel() for name in plan.names})
    processes = LightProcesses(short, nodes, clock, lambda *_: None)
    written = [json.loads(path.read_text()) for path in sorted((short / "etc").glob("light-*.json"))]
    assert [len(config["nodes"]) for config in written] == [NODES_A_PROCESS, 3]
    assert [config["control_socket"] for config in written] == [str(path) for path in processes.sockets]
    assert len({config["seed"] for config in written}) == 2
