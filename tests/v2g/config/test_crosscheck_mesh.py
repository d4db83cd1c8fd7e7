"""The section ``mesh`` against itself and the transformer; ``heartbeat``; what the shipped file shows of them."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from support.config_dir import two_evses, write_config
from v2g.config.loader import ConfigError, load
from v2g.config.paths import mesh_paths
from v2g.config.schema import Config
from v2g.config.schema_mesh import Heartbeat, Mesh, MeshGroup, MeshMember, MeshNeighbour

SHIPPED = Path(__file__).resolve().parents[3] / "etc" / "v2g" / "v2g.yaml"
FLAT: dict[str, Any] = {
    "network": "grid-7",
    "node": "tr-2",
    "groups": [{"id": "substation", "import_kw": 500}, {"id": "feeder", "parent": "substation", "import_kw": 300}],
    "members": [
        {"id": "head", "group": "substation", "head": True},
        {"id": "tr-1", "group": "feeder", "import_kw": 250, "export_kw": 200},
        {"id": "tr-2", "group": "feeder", "rated_kw": 250},
    ],
    "neighbours": [{"node": "tr-1", "address": "tls/tr-1.example:7447"}, {"node": "head"}],
}
NORTH: dict[str, Any] = {
    "region_group": "substation",
    "groups": [{"id": "country", "import_kw": 900}],
    "members": [
        {"id": "r1", "group": "country", "rated_kw": 500, "speakers": ["tr-2", "tr-1"]},
        {"id": "r2", "group": "country", "rated_kw": 500, "speakers": ["tr-9"]},
    ],
    "neighbours": [{"node": "tr-9", "address": "tls/192.0.2.9:7500"}],
}
REGION = {**FLAT, "region": "r1", "gateways": ["tr-2", "tr-1"], "north": NORTH}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "etc"


def loaded(folder: Path, mesh: Any, **sections: Any) -> tuple[Config, list[str]]:
    write_config(folder, two_evses(mesh=mesh, **sections))
    found = load(folder)
    return found.config, [text for text in found.warnings if "mesh" in text]


def problems(folder: Path, mesh: Any) -> dict[str, str]:
    """Path -> reason and remedy. Each has a file, and its line where it has one."""
    write_config(folder, two_evses(mesh=mesh))
    with pytest.raises(ConfigError) as caught:
        load(folder)
    assert all(problem.file.endswith("v2g.yaml") for problem in caught.value.problems)
    return {problem.path: f"{problem.value}: {problem.reason}; {problem.remedy}" for problem in caught.value.problems}


def changed(base: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """``path`` like ``members[1].group``; a value of ``...`` takes the key away."""
    tree = copy.deepcopy(base)
    *steps, last = [int(word) if word.isdecimal() else word for word in re.findall(r"\w+", path)]
    at: Any = tree
    for step in steps:
        at = at[step]
    if value is ...:
        del at[last]
    elif isinstance(at, list) and last == len(at):
        at.append(value)
    else:
        at[last] = value
    return tree


@pytest.mark.parametrize("mesh", [FLAT, REGION])
def test_a_mesh_as_it_should_be_is_taken_without_a_word(folder: Path, mesh: dict[str, Any]) -> None:
    config, warnings = loaded(folder, mesh)
    assert config.mesh is not None
    assert config.mesh.listen == ("tls/[::]:7447",)
    assert warnings == []


@pytest.mark.parametrize("section", [{}, {"mesh": None}])
def test_without_the_section_there_is_no_mesh(folder: Path, section: dict[str, Any]) -> None:
    write_config(folder, two_evses(**section))
    config = load(folder).config
    assert config.mesh is None
    assert config.heartbeat == Heartbeat(led="", amber="")


@pytest.mark.parametrize(
    ("path", "value", "at", "told"),
    [
        ("node", "tr-7", "mesh.node", "is none of mesh.members"),
        ("valid_s", 1.5, "mesh.valid_s", "is less than two periods of 1 s"),
        ("deaf_after_s", 1.9, "mesh.deaf_after_s", "is less than two periods of 1 s"),
        ("dir", "ssl/mesh", "mesh.dir", "is no absolute path"),
        ("members[1].speakers", ["tr-1"], "mesh.members[1].speakers", "is for regions"),
        ("members[2].id", "tr-1", "mesh.members[2].id", "is there already: mesh.members[1]"),
        ("members[2].rated_kw", ..., "mesh.members[2].rated_kw", "is missing: what tr-2 can draw at most"),
        ("members[1].export_kw", ..., "mesh.members[1].rated_kw", "write it, or import_kw and export_kw"),
        ("members[1].group", "feder", "mesh.members[1].group", "there are substation, feeder"),
        ("groups[1].id", "substation", "mesh.groups[1].id", "is there already: mesh.groups[0]"),
        ("groups[1].parent", "subst", "mesh.groups[1].parent", "is none of mesh.groups"),
        ("groups[0].parent", "feeder", "mesh.groups[0].parent", "leads back: substation < feeder < substation"),
        ("groups[0].parent", "substation", "mesh.groups[0].parent", "leads back: substation < substation"),
        ("neighbours[0].node", "tr-2", "mesh.neighbours[0].node", "is ourselves"),
        ("neighbours[0].node", "tr-7", "mesh.neighbours[0].node", "is none of mesh.members"),
        ("neighbours[1].node", "tr-1", "mesh.neighbours", "is there twice"),
        ("neighbours[0].address", "tls/[2001:db8::1]:7447", "mesh.neighbours[0].address", "is an IPv6 literal"),
        ("neighbours[0].address", "tls/a:0", "mesh.neighbours[0].address", "has a port outside 1..65535"),
        ("neighbours[0].address", "tls/a:65536", "mesh.neighbours[0].address", "has a port outside 1..65535"),
        ("listen", ["tls/[::]:99999"], "mesh.listen[0]", "has a port outside 1..65535"),
        ("listen", ["tls/[::]:502"], "mesh.listen[0]", "is a port of Modbus"),
        ("listen", ["tls/[::]:7447", "tls/[::]:7447"], "mesh.listen", "is there twice"),
        ("listen", ["tls/[::]:15118"], "mesh.listen[0]", "that vehicles come to at EVSE US*V2G*E1 (evses[0])"),
        ("gateways", ["tr-1"], "mesh.gateways", "mesh.region names none"),
        ("north", NORTH, "mesh.north", "mesh.region names none"),
    ],
)
def test_a_contradiction_of_a_flat_mesh_is_told(folder: Path, path: str, value: Any, at: str, told: str) -> None:
    found = problems(folder, changed(FLAT, path, value))
    assert told in found[at]


@pytest.mark.parametrize(
    ("path", "value", "at", "told"),
    [
        ("region", "north", "mesh.region", "is a name that other meshes of this network have"),
        ("region", "flat", "mesh.region", "is a name that other meshes of this network have"),
        ("gateways", [], "mesh.gateways", "is empty, and a region needs one"),
        ("gateways", ["tr-2", "tr-8"], "mesh.gateways[1]", "is none of mesh.members"),
        ("north", None, "mesh.north", "is missing"),
        ("gateways", ["tr-1"], "mesh.north", "is for gateways alone"),
        ("groups[2]", {"id": "other"}, "mesh.groups", "has more than one group without a parent"),
        ("north.region_group", "feeder", "mesh.north.region_group", "name substation"),
        ("north.members[0].id", "r9", "mesh.north.members", "has no member r1, our region"),
        ("north.members[0].speakers", ["tr-1", "tr-2"], "mesh.north.members", "write the same names in the same order"),
        ("north.members[1].speakers", ["tr-2"], "mesh.north.members", "'tr-2': speaks for two of them"),
        ("north.members[1].group", "x", "mesh.north.members[1].group", "is none of mesh.north.groups"),
        ("north.neighbours[0].node", "tr-8", "mesh.north.neighbours[0].node", "is none of mesh.north.members"),
        ("north.listen", ["tls/[::]:802"], "mesh.north.listen[0]", "is a port of Modbus"),
        ("north.listen", ["tls/10.0.0.1:7447"], "mesh.north.listen[0]", "has a port of mesh.listen"),
        ("north.listen", ["tls/[::]:15118"], "mesh.north.listen[0]", "that vehicles come to"),
    ],
)
def test_a_contradiction_of_a_region_is_told(folder: Path, path: str, value: Any, at: str, told: str) -> None:
    found = problems(folder, changed(REGION, path, value))
    assert told in found[at]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("node", "tr/2"),
        ("node", ""),
        ("node", "x" * 65),
        ("network", "grid 7"),
        ("network", "**"),
        ("neighbours[0].address", "tcp/tr-1.example:7447"),
        ("neighbours[0].address", "tls/tr-1.example"),
        ("neighbours[0].address", "tls/tr-1.example:7447?x=1"),
        ("members[1].import_kw", -1),
        ("members[1].weight", 0),
        ("groups[0].import_kw", float("nan")),
        ("period_s", 0.1),
        ("ramp_pu_s", 0),
        ("reserve_pu", 0.6),
        ("members", []),
        ("groups", []),
        ("unknown", 1),
    ],
)
def test_a_value_that_none_can_have_is_told_with_its_place(folder: Path, path: str, value: Any) -> None:
    at = re.sub(r"\[\d+\]$", "", f"mesh.{path}")
    assert any(each.startswith(at.removesuffix(".unknown")) for each in problems(folder, changed(FLAT, path, value)))


def test_a_problem_names_its_line(folder: Path) -> None:
    write_config(folder, two_evses(mesh=changed(FLAT, "node", "tr-7")))
    with pytest.raises(ConfigError) as caught:
        load(folder)
    (problem,) = caught.value.problems
    assert problem.line is not None
    assert (folder / "v2g.yaml").read_text().splitlines()[problem.line - 1].strip() == "node: tr-7"


def test_a_rating_far_from_the_transformers_is_suspicious(folder: Path) -> None:
    _, warnings = loaded(folder, changed(FLAT, "members[2].rated_kw", 25))
    assert [text for text in warnings if "has tr-2 with 25 kW, and transformer.rated_kva is 250" in text]


def test_a_head_needs_no_rating(folder: Path) -> None:
    config, warnings = loaded(folder, {**changed(FLAT, "node", "head"), "neighbours": [{"node": "tr-1"}]})
    assert config.mesh is not None
    assert not [text for text in warnings if "rated_kva" in text]


def test_a_mesh_of_more_than_100_and_one_without_neighbours_are_suspicious(folder: Path) -> None:
    many = [{"id": f"m{n}", "group": "feeder", "rated_kw": 10} for n in range(100)]
    _, warnings = loaded(folder, {**FLAT, "members": [*FLAT["members"], *many], "neighbours": []})
    assert any("has 103 members in one mesh" in text for text in warnings)
    assert any("mesh.neighbours is empty" in text for text in warnings)


def test_a_limit_that_can_never_bind_is_suspicious(folder: Path) -> None:
    _, warnings = loaded(folder, changed(FLAT, "groups[0].import_kw", 600))
    assert any("substation carries more than all members can draw (500 kW)" in text for text in warnings)


def test_a_link_that_is_lost_later_than_states_count_is_suspicious(folder: Path) -> None:
    _, warnings = loaded(folder, {**FLAT, "lease_s": 3.5})
    assert any("mesh.lease_s is 3.5 s and mesh.valid_s 3 s" in text for text in warnings)


def test_the_files_are_beside_the_controllers_own_or_where_they_are_named(folder: Path, tmp_path: Path) -> None:
    config, _ = loaded(folder, FLAT, pki={"dir": str(tmp_path / "ssl")})
    paths = mesh_paths(config)
    assert (paths.chain, paths.crl_dir) == (tmp_path / "ssl/mesh/chain.pem", tmp_path / "ssl/mesh/crl")
    named = msgspec.structs.replace(config, mesh=msgspec.convert({**FLAT, "dir": "/srv/mesh"}, Mesh))
    assert mesh_paths(named).key == Path("/srv/mesh/private.key")


@pytest.mark.parametrize("name", ["../x", "a/b", "x" * 65])
def test_an_led_has_a_name_and_no_path(folder: Path, name: str) -> None:
    write_config(folder, two_evses(heartbeat={"led": name}))
    with pytest.raises(ConfigError, match=r"heartbeat\.led"):
        load(folder)


# ---- the shipped file ----


def shown(section: str) -> Any:
    text = SHIPPED.read_text(encoding="utf-8")
    part = text[text.index(f"# {section}:\n") :].partition("\n\n")[0]
    return yaml.safe_load("\n".join(line[2:] for line in part.splitlines()))[section]


def names(kind: Any) -> set[str]:
    return {field.name for field in msgspec.structs.fields(kind)}


def test_the_shipped_file_shows_every_setting_of_the_mesh(folder: Path) -> None:
    section = shown("mesh")
    assert set(section) == names(Mesh)
    assert set(section["groups"][0]) == names(MeshGroup)
    assert set(section["neighbours"][0]) == names(MeshNeighbour)
    assert {key for member in section["members"] for key in member} == names(MeshMember) - {"speakers"}
    _, warnings = loaded(folder, section)
    assert warnings == []


def test_the_values_that_it_shows_are_the_defaults() -> None:
    section = shown("mesh")
    defaults = {field.name: field.default for field in msgspec.structs.fields(Mesh)}
    defaults["meters"] = {}
    examples = {"network", "node", "groups", "members", "neighbours"}
    for name in set(section) - examples:
        value = section[name]
        assert (tuple(value) if isinstance(value, list) else value) == defaults[name], name


def test_it_shows_the_heartbeat() -> None:
    assert shown("heartbeat") == {"led": "", "amber": "", "probe": "", "probe_every_s": 2}
    assert set(shown("heartbeat")) == names(Heartbeat)
