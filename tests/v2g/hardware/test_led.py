"""A light of the kernel's LED class, with its files in a directory of the test's own."""

from __future__ import annotations

import errno
import os
from itertools import pairwise
from pathlib import Path

import pytest

from v2g.hardware import led as led_module
from v2g.hardware.led import HALF_PERIOD_S, Led, Light
from v2g.hardware.ports import DeviceError

NAME = "green:heartbeat"


def light(root: Path, trigger: str | None = "[none] timer mmc0", full: str = "255") -> Path:
    folder = root / NAME
    folder.mkdir()
    (folder / "brightness").write_text("0\n")
    (folder / "max_brightness").write_text(f"{full}\n")
    if trigger is not None:
        (folder / "trigger").write_text(f"{trigger}\n")
    return folder


def written(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text().strip() for path in folder.iterdir()}


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """All that is written, in order."""
    found: list[tuple[str, str]] = []
    write = Led._write

    def noted(self: Led, name: str, value: str) -> None:
        found.append((name, value))
        write(self, name, value)

    monkeypatch.setattr(Led, "_write", noted)
    return found


def test_steady_is_full_brightness_and_off_is_none(tmp_path: Path) -> None:
    folder = light(tmp_path, full="7")
    led = Led(NAME, tmp_path)
    led.show(Light.STEADY, 0.0)
    assert written(folder)["brightness"] == "7"
    led.show(Light.OFF, 1.0)
    assert written(folder)["brightness"] == "0"


def test_what_does_not_change_is_not_written_again(tmp_path: Path, writes: list[tuple[str, str]]) -> None:
    light(tmp_path)
    led = Led(NAME, tmp_path)
    for tick in range(5):
        led.show(Light.STEADY, tick / 10)
    assert writes == [("brightness", "255")]


def test_a_trigger_of_somebody_else_is_taken_off_first(tmp_path: Path, writes: list[tuple[str, str]]) -> None:
    light(tmp_path, trigger="none timer [mmc0]")
    Led(NAME, tmp_path).show(Light.STEADY, 0.0)
    assert writes == [("trigger", "none"), ("brightness", "255")]


def test_the_kernel_flashes_where_it_can(tmp_path: Path, writes: list[tuple[str, str]]) -> None:
    folder = light(tmp_path)
    for name in ("delay_on", "delay_off"):
        (folder / name).write_text("500\n")
    led = Led(NAME, tmp_path)
    for tick in range(20):
        led.show(Light.FLASHING, tick / 10)
    assert writes == [("brightness", "255"), ("trigger", "timer"), ("delay_on", "250"), ("delay_off", "250")]


def test_flashing_ends_with_the_timer(tmp_path: Path, writes: list[tuple[str, str]]) -> None:
    folder = light(tmp_path)
    led = Led(NAME, tmp_path)
    led.show(Light.FLASHING, 0.0)
    (folder / "trigger").write_text("none [timer] mmc0\n")
    writes.clear()
    led.show(Light.STEADY, 1.0)
    assert writes == [("trigger", "none"), ("brightness", "255")]


def test_delays_that_are_roots_alone_leave_the_kernels_own_pace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = light(tmp_path)
    real = os.open

    def denied(path: Path, flags: int, *more: int) -> int:
        if Path(path).name.startswith("delay_"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, flags, *more)

    monkeypatch.setattr(led_module.os, "open", denied)
    Led(NAME, tmp_path).show(Light.FLASHING, 0.0)
    assert written(folder)["trigger"] == "timer"


@pytest.mark.parametrize("trigger", [None, "[none] mmc0"])
def test_without_the_kernels_timer_it_is_turned_on_and_off_by_whoever_shows_it(
    tmp_path: Path, trigger: str | None
) -> None:
    folder = light(tmp_path, trigger)
    led = Led(NAME, tmp_path)
    seen = []
    for tick in range(11):
        led.show(Light.FLASHING, tick / 10)
        seen.append(written(folder)["brightness"] != "0")
    changes = [at / 10 for at in range(1, 11) if seen[at] is not seen[at - 1]]
    assert seen[0]
    assert len(changes) == 3
    assert all(HALF_PERIOD_S <= after - before < HALF_PERIOD_S + 0.1 for before, after in pairwise(changes))
    led.show(Light.STEADY, 2.0)
    assert written(folder)["brightness"] == "255"


def test_a_light_without_a_most_brightness_is_on_or_off(tmp_path: Path) -> None:
    folder = light(tmp_path)
    (folder / "max_brightness").unlink()
    Led(NAME, tmp_path).show(Light.STEADY, 0.0)
    assert written(folder)["brightness"] == "1"


@pytest.mark.parametrize("text", ["", "0", "-1", "much", "²"])
def test_a_brightness_that_is_none_is_told_with_its_file(tmp_path: Path, text: str) -> None:
    light(tmp_path, full=text)
    with pytest.raises(DeviceError, match=f"LED {NAME}: .*max_brightness: .* is no brightness"):
        Led(NAME, tmp_path).show(Light.STEADY, 0.0)


def test_what_cannot_be_written_is_told_with_its_remedy_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = light(tmp_path)
    led = Led(NAME, tmp_path)

    def read_only(path: Path, flags: int, *more: int) -> int:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(led_module.os, "open", read_only)
        for _ in range(2):
            with pytest.raises(DeviceError, match=r"brightness: Read-only file system: .*udev.*ReadWritePaths="):
                led.show(Light.STEADY, 0.0)
    led.show(Light.STEADY, 1.0)
    assert written(folder)["brightness"] == "255"


def test_a_light_that_is_not_there_is_no_light_and_no_file_is_made(tmp_path: Path) -> None:
    led = Led(NAME, tmp_path)
    assert not led.present
    (tmp_path / NAME).mkdir()
    with pytest.raises(DeviceError, match=f"LED {NAME}: there is none of this name below {tmp_path}"):
        led.show(Light.STEADY, 0.0)
    assert list((tmp_path / NAME).iterdir()) == []


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_that_leads_elsewhere_is_no_light(tmp_path: Path, name: str) -> None:
    folder = light(tmp_path)
    assert not Led(name, folder / "below").present
    assert not Led(name, folder).present
