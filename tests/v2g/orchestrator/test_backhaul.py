"""The backhaul: how much of a minute is lost, and when the heartbeat's light says so."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from support.kept_log import KeptLog
from v2g.clock import ManualClock
from v2g.config.schema_mesh import Heartbeat as HeartbeatConfig
from v2g.hardware.led import Light
from v2g.orchestrator.backhaul import FEWEST, WINDOW_S, Backhaul
from v2g.orchestrator.heartbeat import Heartbeat
from v2g.orchestrator.timing_lines import backhaul_line


def test_loss_is_the_share_of_the_last_minute() -> None:
    backhaul = Backhaul("gw:443")
    for number in range(60):
        backhaul.add(2.0 * number, None if number % 10 == 0 else 0.02)
    assert backhaul.loss(118.0) == pytest.approx(3 / 31)
    view = backhaul.view(118.0)
    assert (view.probes, view.lost, view.round_trip_s) == (60, 6, 0.02)
    assert backhaul.loss(118.0 + WINDOW_S + 1.0) is None, "nothing was probed since"


def test_too_few_probes_say_nothing() -> None:
    backhaul = Backhaul("gw:443")
    for number in range(FEWEST - 1):
        backhaul.add(float(number), None)
    assert backhaul.loss(float(FEWEST)) is None
    backhaul.add(float(FEWEST), None)
    assert backhaul.loss(float(FEWEST)) == 1.0


class Rig:
    def __init__(self, folder: Path) -> None:
        self.log, self.clock = KeptLog(), ManualClock()
        for name in ("green", "amber"):
            (folder / name).mkdir()
            for file, text in (("brightness", "0"), ("max_brightness", "1")):
                (folder / name / file).write_text(text)
        self.folder = folder
        config = HeartbeatConfig(led="green", amber="amber")
        self.heartbeat = Heartbeat(config, self.log, folder, clock=self.clock)
        self.heartbeat.backhaul = Backhaul("192.0.2.1:443")

    def minute(self, lost: int, mesh: float | None = None) -> Light:
        """Thirty probes, ``lost`` of them spread over the minute."""
        assert self.heartbeat.backhaul is not None
        for number in range(30):
            self.clock.advance(2.0)
            at_s = self.clock.monotonic_s()
            self.heartbeat.backhaul.add(at_s, None if lost and number % (30 // lost) == 0 else 0.01)
            self.heartbeat.on_cycle(mesh, True, at_s)
        return self.heartbeat.state

    def lit(self, name: str) -> bool:
        return (self.folder / name / "brightness").read_text().strip() == "1"


def test_amber_flashes_above_five_percent_and_green_is_steady_again_when_all_are_answered(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    assert rig.minute(0) is Light.STEADY
    assert rig.lit("green")
    assert rig.minute(1) is Light.STEADY, "one of thirty is 3 %"
    assert rig.minute(3) is Light.FLASHING
    assert not rig.lit("green")
    assert [line[0:2] for line in rig.log.lines] == [("WARNING", "BACKHAUL_LOSS")]
    assert "6% of the last minute's probes got no answer" in rig.log.lines[0][2]
    assert rig.heartbeat.problems() == ("the backhaul loses packets: 192.0.2.1:443 does not answer all probes",)
    assert rig.minute(1) is Light.FLASHING, "between 2 and 5 % it stays as it was"
    rig.minute(0)
    assert rig.minute(0) is Light.STEADY
    assert rig.heartbeat.problems() == ()
    assert rig.log.lines[-1][0:3] == ("INFO", "BACKHAUL_LOSS", "192.0.2.1:443 answers again")


def test_mesh_and_backhaul_each_make_it_flash(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    assert rig.minute(0, mesh=0.5) is Light.FLASHING
    assert rig.minute(0, mesh=0.0) is Light.STEADY
    assert rig.minute(3, mesh=0.0) is Light.FLASHING
    assert rig.log.codes() == ["BACKHAUL_LOSS"], "what the mesh loses the mesh tells"


async def test_a_gateway_is_probed_from_the_first_cycle_on(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gateway:
        host, port = gateway.getsockname()
        heartbeat = Heartbeat(HeartbeatConfig(probe=f"{host}:{port}", probe_every_s=1.0), KeptLog(), tmp_path)
        heartbeat.on_cycle(None, True, 0.0)
        async with asyncio.timeout(5.0):
            while not (view := heartbeat.view(0.0)) or not view.probes:
                await asyncio.sleep(0.01)
        line = backhaul_line(view)
        assert line is not None
        assert (line.probes, line.lost, line.problem, line.loss) == (1, 0, "", None)
        assert line.round_trip_s is not None
        heartbeat.close()
        await asyncio.sleep(0)


async def test_a_gateway_that_cannot_be_probed_is_told_once_and_is_a_problem(tmp_path: Path) -> None:
    log = KeptLog()
    heartbeat = Heartbeat(HeartbeatConfig(probe="nosuch.invalid:443", probe_every_s=1.0), log, tmp_path)
    heartbeat.on_cycle(None, True, 0.0)
    async with asyncio.timeout(10.0):
        while not log.lines:
            await asyncio.sleep(0.01)
    assert log.codes() == ["BACKHAUL_PROBE"]
    (problem,) = heartbeat.problems()
    assert problem.startswith("the backhaul cannot be probed: nosuch.invalid: its name cannot be resolved")
    heartbeat.close()


def test_without_a_probe_nothing_is_probed_and_no_loop_is_needed(tmp_path: Path) -> None:
    heartbeat = Heartbeat(HeartbeatConfig(), KeptLog(), tmp_path)
    heartbeat.on_cycle(None, True, 0.0)
    assert heartbeat.view(0.0) is None
    assert heartbeat.state is Light.STEADY
    assert backhaul_line(None) is None
