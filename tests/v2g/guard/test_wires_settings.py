"""``wires`` follows the settings that the guard adopts, and keeps its own where it cannot."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from v2g.clock import ManualClock
from v2g.config.loader import Loaded
from v2g.config.problems import ConfigError, Problem
from v2g.config.protection import UNSET_DIGEST, settings_digest
from v2g.config.schema import Config
from v2g.grid.support import FrequencyDroop, SupportSettings
from v2g.guard.wires_settings import LOAD_AGAIN_S, Follower, WiresSettings, wires_settings
from v2g.hardware.inverter_driver import DeviceSettings
from v2g.telemetry import logs

EVSE = {
    "id": "US*V2G*E1",
    "kind": "DC",
    "interface": "lo",
    "inverter": {"modbus": {"host": "10.0.0.1"}},
    "dc": {"modbus": {"host": "10.0.0.2"}},
}
SITE = {"site": {"id": "test"}, "transformer": {"id": "T1", "rated_kva": 250}, "evses": [EVSE]}


def config(grid: dict[str, object], functions: dict[str, object] | None = None) -> Loaded:
    made = {**SITE, "grid": {"nominal_voltage_v": 277, **grid}, "functions": functions or {}}
    return Loaded(msgspec.convert(made, Config), {}, Path())


def test_they_are_those_of_the_configuration_and_carry_the_guards_digest() -> None:
    stated = config({"enter_service": {"delay_s": 60}}, {"frequency_droop": {"k_of": 0.03}})
    made = wires_settings(stated)
    assert made.digest == settings_digest(stated.config, stated.sensors) != UNSET_DIGEST
    assert made.enter_service_delay_s == 60
    assert made.device.support == SupportSettings(frequency_droop=FrequencyDroop(k_of=0.03))
    assert (made.nominal_frequency_hz, made.unset) == (60.0, "")


def test_a_site_without_settings_says_why_and_keeps_its_functions() -> None:
    made = wires_settings(config({"nominal_frequency_hz": 50}))
    assert (made.device.grid, made.digest, made.enter_service_delay_s) == (None, UNSET_DIGEST, 0)
    assert "grid.profile" in made.unset
    assert made.device.support == SupportSettings()


def settings(digest: str) -> WiresSettings:
    return WiresSettings(device=DeviceSettings(support=SupportSettings()), digest=digest)


class Rig:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.file: WiresSettings | Exception = settings("old")
        self.adopted: list[str] = []
        self.loads: list[int] = []
        self.follower = Follower(settings("old"), self.load, lambda new: self.adopted.append(new.digest), self.clock)

    def load(self) -> WiresSettings:
        self.loads.append(threading.get_ident())
        if isinstance(self.file, Exception):
            raise self.file
        return self.file

    async def look(self, digest: str, after_s: float = 0.02) -> None:
        self.clock.advance(after_s)
        self.follower.look(digest)
        await self.follower.close()


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def told(tmp_path: Path) -> Callable[[], list[str]]:
    logs.configure(tmp_path)
    return lambda: [line for line in (tmp_path / "daemon.log").read_text().splitlines() if "WIRES_SETTINGS" in line]


async def test_what_the_guard_adopted_is_loaded_on_a_thread_and_once(rig: Rig) -> None:
    await rig.look("old")
    await rig.look("")
    assert rig.loads == []
    rig.file = settings("new")
    await rig.look("new")
    await rig.look("new", LOAD_AGAIN_S + 1)
    assert rig.adopted == ["new"]
    assert rig.loads != [threading.get_ident()]
    assert len(rig.loads) == 1
    rig.file = settings("old")
    await rig.look("old")
    assert rig.adopted == ["new", "old"]


async def test_looking_never_waits_and_loads_one_at_a_time(rig: Rig) -> None:
    may_end = threading.Event()
    rig.file = settings("new")
    load = rig.load

    def slow() -> WiresSettings:
        may_end.wait(5)
        return load()

    rig.follower = Follower(settings("old"), slow, lambda new: rig.adopted.append(new.digest), rig.clock)
    for _ in range(5):
        rig.clock.advance(LOAD_AGAIN_S)
        rig.follower.look("new")
        await asyncio.sleep(0)
    assert rig.adopted == []
    may_end.set()
    await rig.follower.close()
    assert (rig.adopted, len(rig.loads)) == (["new"], 1)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (ConfigError([Problem("v2g.yaml", "grid", "5", "is no section", "write one")]), "is no section"),
        (OSError("no such device"), "no such device"),
        (settings("other"), "the guard works by settings new, the configuration gives other"),
    ],
)
async def test_what_cannot_be_had_is_told_once_and_tried_again(
    rig: Rig, told: Callable[[], list[str]], file: WiresSettings | Exception, said: str
) -> None:
    rig.file = file
    await rig.look("new")
    await rig.look("new")
    await rig.look("new", LOAD_AGAIN_S)
    assert rig.adopted == []
    assert len(rig.loads) == 2
    (line,) = told()
    assert "WIRES_SETTINGS_KEPT" in line
    assert said in line
    rig.file = settings("new")
    await rig.look("new", LOAD_AGAIN_S)
    assert rig.adopted == ["new"]
    assert len(told()) == 2
