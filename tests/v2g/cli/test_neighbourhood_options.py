"""What ``--neighbourhood`` takes, what it becomes, and what does not go with it."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner, Result

from v2g.cli import orchestrator
from v2g.cli.neighbourhood_options import Neighbourhood


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[orchestrator.SimulateOptions]:
    taken: list[orchestrator.SimulateOptions] = []

    def main(options: orchestrator.SimulateOptions) -> int:
        taken.append(options)
        return 0

    monkeypatch.setattr("v2g.simulation.supervisor.main", main)
    return taken


def run(*words: str) -> Result:
    return CliRunner().invoke(orchestrator.cli, ["--simulate", *words])


def chosen(given: list[Any], *words: str) -> orchestrator.SimulateOptions:
    result = run(*words)
    assert result.exit_code == 0, result.output
    options: orchestrator.SimulateOptions = given.pop()
    return options


def test_it_begins_with_a_line_below_200_kw(given: list[Any]) -> None:
    options = chosen(given, "--neighbourhood", "4")
    assert options.neighbourhood == Neighbourhood(
        nodes=4, shape="line", feeder_w=200e3, substation_w=None, regions=0, head=False, light=False, lean=False
    )
    assert (options.vehicles, options.plc) == (2, True)


def test_every_option_arrives(given: list[Any]) -> None:
    words = [
        "--neighbourhood",
        "6",
        "--shape",
        "tree",
        "--feeder-limit",
        "150kW",
        "--substation-limit",
        "0.2MW",
        "--head",
        "--lean",
    ]
    options = chosen(given, *words, "--node-vehicles", "3, 0,1", "--base-load", "9kW", "--vehicles", "0")
    assert options.neighbourhood == Neighbourhood(
        nodes=6, shape="tree", feeder_w=150e3, substation_w=200e3, head=True, lean=True, vehicles=(3, 0, 1)
    )
    assert (options.plc, options.vehicles, options.conditions) == (False, 0, {"base_load_w": 9e3})


def test_lean_leaves_the_powerline_to_who_asks_for_it(given: list[Any]) -> None:
    assert chosen(given, "--neighbourhood", "2", "--lean", "--plc").plc is True
    assert chosen(given, "--neighbourhood", "2", "--no-plc").plc is False


def test_light_nodes_may_be_many_and_in_regions(given: list[Any]) -> None:
    options = chosen(given, "--neighbourhood", "200", "--light", "--regions", "10", "--base-load", "5kW")
    assert options.neighbourhood is not None
    assert (options.neighbourhood.nodes, options.neighbourhood.regions) == (200, 10)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--shape ring", "--shape belongs to --neighbourhood"),
        ("--feeder-limit 10kW", "--feeder-limit belongs to --neighbourhood"),
        ("--head", "--head belongs to --neighbourhood"),
        ("--light", "--light belongs to --neighbourhood"),
        ("--lean", "--lean belongs to --neighbourhood"),
        ("--regions 2", "--regions belongs to --neighbourhood"),
        ("--node-vehicles 1", "--node-vehicles belongs to --neighbourhood"),
        ("--neighbourhood 1", "1 is not in the range 2<=x<=400"),
        ("--neighbourhood 9", "starts 9 whole controllers, at most 8 are possible: add --light"),
        ("--neighbourhood 2 --shape star", "'star' is not one of"),
        ("--neighbourhood 2 --feeder-limit 200", "200"),
        ("--neighbourhood 2 --node-vehicles 1,2,3", "--node-vehicles has 3 numbers for 2 nodes"),
        ("--neighbourhood 2 --node-vehicles 1,-2", "numbers from 0 to 64 with commas between"),
        ("--neighbourhood 2 --node-vehicles 65", "numbers from 0 to 64 with commas between"),
        ("--neighbourhood 2 --node-vehicles 1,,2", "numbers from 0 to 64 with commas between"),
        ("--neighbourhood 2 --demo", "--demo is for one controller"),
        ("--neighbourhood 2 --scenario evening", "--scenario is for one controller"),
        ("--neighbourhood 2 --vehicle dc", "--vehicle is for one controller"),
        ("--neighbourhood 2 --ac-vehicles 1", "--ac-vehicles is for one controller"),
        ("--neighbourhood 2 --foreign lo:plain", "--foreign is for one controller"),
        ("--neighbourhood 2 --light --lean", "--lean is for whole controllers"),
        ("--neighbourhood 2 --light --no-plc", "--plc is for whole controllers"),
        ("--neighbourhood 2 --light --ambient 30", "--ambient is for whole controllers"),
        ("--neighbourhood 4 --regions 2", "--regions is for light nodes: add --light"),
        ("--neighbourhood 5 --light --regions 2", "--regions 2 does not divide 5 nodes"),
        ("--neighbourhood 4 --light --regions 4", "--regions 4 does not divide 4 nodes"),
        ("--neighbourhood 4 --light --regions 2 --head", "--head is for one flat mesh"),
        ("--neighbourhood 4 --light --regions 2 --shape line", "--shape is for one flat mesh"),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_starts(given: list[Any], words: str, told: str) -> None:
    result = run(*words.split())
    assert (result.exit_code, given) == (2, [])
    assert told in " ".join(result.stderr.split())


def test_a_neighbourhood_belongs_to_a_simulation() -> None:
    result = CliRunner().invoke(orchestrator.cli, ["--neighbourhood", "3"])
    assert result.exit_code == 2
    assert "--neighbourhood belongs to --simulate" in result.stderr


def test_help_has_every_option() -> None:
    text = CliRunner().invoke(orchestrator.cli, ["--help"]).output
    for name in ("--neighbourhood", "--shape", "--feeder-limit", "--substation-limit", "--head", "--node-vehicles"):
        assert name in text
    for name in ("--light", "--regions", "--lean"):
        assert name in text
