"""The heartbeat LED: what the mesh loses in, light out; a light that fails keeps nobody from anything."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from v2g.config.schema_mesh import Heartbeat as HeartbeatConfig
from v2g.hardware.led import Light
from v2g.orchestrator.heartbeat import Heartbeat


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []

    def info(self, code: str, text: str = "", /, **fields: Any) -> None:
        self.lines.append(("info", code, text))

    def warning(self, code: str, text: str = "", /, **fields: Any) -> None:
        self.lines.append(("warning", code, text))

    def error(self, code: str, text: str = "", /, **fields: Any) -> None:
        self.lines.append(("error", code, text))


def light(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir()
    for file, text in (("brightness", "0"), ("max_brightness", "1"), ("trigger", "[none] timer")):
        (folder / file).write_text(f"{text}\n")
    return folder


def shown(folder: Path) -> Light:
    if (folder / "trigger").read_text().strip() == "timer":
        return Light.FLASHING
    return Light.OFF if (folder / "brightness").read_text().strip() == "0" else Light.STEADY


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def green(tmp_path: Path) -> Path:
    return light(tmp_path, "green")


def test_it_is_steady_while_the_controller_works_and_off_before_and_after(
    tmp_path: Path, green: Path, log: Log
) -> None:
    heartbeat = Heartbeat(HeartbeatConfig(led="green"), log, tmp_path)
    heartbeat.on_cycle(0.0, False, 0.0)
    assert (shown(green), heartbeat.state) == (Light.OFF, Light.OFF)
    heartbeat.on_cycle(0.0, True, 0.1)
    assert (shown(green), heartbeat.state) == (Light.STEADY, Light.STEADY)
    heartbeat.close()
    assert (shown(green), heartbeat.state) == (Light.OFF, Light.OFF)
    assert log.lines == []


def test_a_site_without_a_mesh_has_nothing_to_lose(tmp_path: Path, green: Path, log: Log) -> None:
    Heartbeat(HeartbeatConfig(led="green"), log, tmp_path).on_cycle(None, True, 0.0)
    assert shown(green) is Light.STEADY


def test_it_flashes_above_five_percent_of_loss_until_it_is_below_two(tmp_path: Path, green: Path, log: Log) -> None:
    heartbeat = Heartbeat(HeartbeatConfig(led="green"), log, tmp_path)
    told = []
    for tick, loss in enumerate([0.05, 0.051, 0.03, 0.02, 0.019, 0.05, 1.0, None]):
        heartbeat.on_cycle(loss, True, tick / 10)
        told.append(heartbeat.state)
        if tick == 1:
            assert shown(green) is Light.FLASHING
            (green / "trigger").write_text("none [timer]\n")
    flashing, steady = Light.FLASHING, Light.STEADY
    assert told == [steady, flashing, flashing, flashing, steady, steady, flashing, steady]
    assert shown(green) is Light.STEADY


def test_of_a_pair_amber_flashes_and_green_goes_off(tmp_path: Path, green: Path, log: Log) -> None:
    amber = light(tmp_path, "amber")
    heartbeat = Heartbeat(HeartbeatConfig(led="green", amber="amber"), log, tmp_path)
    heartbeat.on_cycle(0.0, True, 0.0)
    assert (shown(green), shown(amber)) == (Light.STEADY, Light.OFF)
    heartbeat.on_cycle(0.2, True, 0.1)
    assert (shown(green), shown(amber)) == (Light.OFF, Light.FLASHING)
    (amber / "trigger").write_text("none [timer]\n")
    heartbeat.on_cycle(0.0, True, 0.2)
    assert (shown(green), shown(amber)) == (Light.STEADY, Light.OFF)
    heartbeat.close()
    assert (shown(green), shown(amber)) == (Light.OFF, Light.OFF)


def test_amber_alone_is_dark_while_all_is_well(tmp_path: Path, log: Log) -> None:
    amber = light(tmp_path, "amber")
    heartbeat = Heartbeat(HeartbeatConfig(amber="amber"), log, tmp_path)
    heartbeat.on_cycle(0.0, True, 0.0)
    assert shown(amber) is Light.OFF
    heartbeat.on_cycle(0.2, True, 0.1)
    assert shown(amber) is Light.FLASHING


def test_without_a_light_the_state_is_known_all_the_same(tmp_path: Path, log: Log) -> None:
    heartbeat = Heartbeat(HeartbeatConfig(), log, tmp_path)
    heartbeat.on_cycle(0.5, True, 0.0)
    assert (heartbeat.state, heartbeat.problems(), log.lines) == (Light.FLASHING, (), [])


def test_a_light_that_is_missing_is_told_once_and_used_when_it_comes(tmp_path: Path, log: Log) -> None:
    heartbeat = Heartbeat(HeartbeatConfig(led="green"), log, tmp_path)
    for tick in range(5):
        heartbeat.on_cycle(0.0, True, tick / 10)
    ((level, code, words),) = log.lines
    assert (level, code) == ("warning", "HEARTBEAT_LED")
    assert words == f"LED green: there is none of this name below {tmp_path}"
    assert heartbeat.problems() == (words,)
    folder = light(tmp_path, "green")
    heartbeat.on_cycle(0.0, True, 1.0)
    assert shown(folder) is Light.STEADY
    assert log.lines[1:] == [("info", "HEARTBEAT_LED", "LED green works again")]
    assert heartbeat.problems() == ()


def test_a_light_that_goes_and_comes_back_is_lit_again(tmp_path: Path, green: Path, log: Log) -> None:
    heartbeat = Heartbeat(HeartbeatConfig(led="green"), log, tmp_path)
    heartbeat.on_cycle(0.0, True, 0.0)
    shutil.rmtree(green)
    heartbeat.on_cycle(0.0, True, 0.1)
    light(tmp_path, "green")
    heartbeat.on_cycle(0.0, True, 0.2)
    assert shown(green) is Light.STEADY


def test_one_light_that_fails_does_not_keep_the_other_dark(tmp_path: Path, log: Log) -> None:
    amber = light(tmp_path, "amber")
    heartbeat = Heartbeat(HeartbeatConfig(led="missing", amber="amber"), log, tmp_path)
    heartbeat.on_cycle(0.2, True, 0.0)
    assert shown(amber) is Light.FLASHING
    assert [code for _, code, _ in log.lines] == ["HEARTBEAT_LED"]
