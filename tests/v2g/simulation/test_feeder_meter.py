"""The meter at a simulated feeder's head: what it adds up, and what it says while somebody does not answer."""

from __future__ import annotations

import asyncio
from math import isnan, nan
from pathlib import Path

import pytest

from support.running_plant import Running
from v2g.simulation.feeder_meter import FeederMeter, LightFlow, PlantFlow
from v2g.simulation.line_client import NotReachable


class Source:
    def __init__(self, value_w: float | None) -> None:
        self.value_w = value_w
        self.closed = 0

    def flow_w(self) -> float:
        if self.value_w is None:
            raise NotReachable("gone")
        return self.value_w

    def close(self) -> None:
        self.closed += 1


def shown(meter: FeederMeter) -> float:
    return float(meter.file.read_text(encoding="ascii"))


def test_it_shows_the_sum(tmp_path: Path) -> None:
    meter = FeederMeter(tmp_path / "meter", [Source(12e3), Source(-20e3), Source(0.0)])
    assert isnan(meter.total_w)
    meter.measure()
    assert meter.total_w == shown(meter) == -8e3
    assert [path.name for path in tmp_path.iterdir()] == ["meter"]


@pytest.mark.parametrize("value_w", [None, nan, float("inf")])
def test_without_one_of_them_the_sum_is_not_known(tmp_path: Path, value_w: float | None) -> None:
    silent = Source(12e3)
    meter = FeederMeter(tmp_path / "meter", [Source(5e3), silent])
    meter.measure()
    silent.value_w = value_w
    meter.measure()
    assert isnan(meter.total_w)
    assert isnan(shown(meter))
    silent.value_w = 1e3
    meter.measure()
    assert shown(meter) == 6e3


def test_a_directory_that_is_gone_does_not_end_it(tmp_path: Path) -> None:
    meter = FeederMeter(tmp_path / "gone" / "meter", [Source(5e3)])
    meter.measure()
    assert meter.total_w == 5e3


async def test_it_closes_its_sources_when_it_ends(tmp_path: Path) -> None:
    source = Source(3e3)
    running = asyncio.create_task(FeederMeter(tmp_path / "meter", [source]).run())
    while not (tmp_path / "meter").exists():
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert source.closed == 1


async def test_it_measures_a_plant_s_transformer(running: Running, tmp_path: Path) -> None:
    meter = FeederMeter(tmp_path / "meter", [PlantFlow(running.run_dir / "plant.sock")])
    await asyncio.to_thread(meter.measure)
    assert meter.total_w == pytest.approx(80e3, rel=0.1)


@pytest.mark.parametrize("source", [PlantFlow, LightFlow])
def test_a_socket_that_is_not_there_is_not_reachable(tmp_path: Path, source: type[PlantFlow | LightFlow]) -> None:
    with pytest.raises(NotReachable, match=r"none\.sock"):
        source(tmp_path / "none.sock").flow_w()
