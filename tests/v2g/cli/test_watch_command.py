"""``v2g-tool watch`` against a control server with canned answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from support.watch_example import course, thermal, vehicle
from v2g.cli import tool
from v2g.cli.watch import watch
from v2g.control.messages_mesh import MeshResult
from v2g.control.server import Refused


@pytest.fixture
def daemon(site_daemon: Any) -> Any:
    site_daemon.answers.update(
        {"thermal": thermal(), "thermal.course": course(), "mesh.show": MeshResult(problem="there is no mesh")}
    )
    return site_daemon


async def test_one_frame_into_a_pipe_has_the_size_that_was_asked_for(daemon: Any) -> None:
    for width, height in ((80, 24), (160, 50), (40, 15)):
        result = await daemon.run(f"watch --once --width {width} --height {height}", tool_too=True)
        assert result.exit_code == 0, result.output
        lines = result.output.splitlines()
        assert len(lines) <= height
        assert max(map(len, lines)) <= width
        assert "maple-street-12" in lines[0]
        assert "\x1b" not in result.output


async def test_programs_get_what_the_frame_is_made_of(daemon: Any) -> None:
    result = await daemon.run("watch --once --json", tool_too=True)
    answer = json.loads(result.output)
    assert answer["status"]["site"] == "maple-street-12"
    assert answer["thermal"]["hot_spot_c"] == 97.3
    assert len(answer["course"]["ahead"]) == 15


async def test_a_daemon_without_thermal_answers_is_watched_all_the_same(daemon: Any) -> None:
    daemon.answers.update(
        {
            "thermal": Refused("no", code="NO"),
            "thermal.course": Refused("no", code="NO"),
            "mesh.show": Refused("no", code="NO"),
        }
    )
    result = await daemon.run("watch --once", tool_too=True)
    assert result.exit_code == 0
    assert "hot spot 71.3 °C" in result.output


async def test_hundreds_of_vehicles_come_over_the_socket(daemon: Any) -> None:
    import msgspec

    evses = tuple(vehicle(n) for n in range(1, 401))
    daemon.status = msgspec.structs.replace(daemon.status, evses=evses)
    result = await daemon.run("watch --once --width 80 --height 24", tool_too=True)
    assert "more vehicles" in result.output


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_without_a_daemon_it_says_what_to_run(tmp_path: Path, more: tuple[str, ...]) -> None:
    arguments = ["watch", "--once", *more, "--socket", str(tmp_path / "none.sock")]
    result = CliRunner().invoke(tool.cli, arguments)
    assert result.exit_code == 3
    assert "systemctl status v2g-orchestrator" in result.output
    if more:
        assert json.loads(result.stdout)["error"]["code"] == "DAEMON_NOT_REACHABLE"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give --once"),
        (["--width", "80"], "go with --once"),
        (["--json"], "go with --once"),
        (["--once", "--interval", "0.01s"], "give 1s to 1h"),
        (["--once", "--interval", "soon"], "is not a quantity"),
        (["--once", "--height", "0"], "0 is not in the range"),
    ],
)
def test_what_cannot_be_is_a_mistake_of_usage(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(watch, arguments)
    assert result.exit_code == 2
    assert words in result.output
