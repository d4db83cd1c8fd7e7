"""Model 715: heartbeats of both sides as evidence, local control, alarms; on the plant's inverter in memory."""

from __future__ import annotations

from typing import Any

import pytest

from support.sunspec_devices import PlantInverter
from v2g.clock import ManualClock
from v2g.hardware.ports import DeviceError, InverterCommand, InverterReading
from v2g.hardware.sunspec.inverter import SunSpecInverter

REVERSION = ("704.WSetRvrt", "704.WSetEnaRvrt", "704.WSetRvrtTms", "704.WSetRvrtRem")


class Bench:
    def __init__(self, device: PlantInverter, link: Any) -> None:
        self.device, self.link, self.clock = device, link, device.clock
        self.driver = SunSpecInverter("US*V2G*E1", link, device.clock, 3)

    async def run(self, power_w: float, seconds: float) -> InverterReading:
        for _ in range(round(seconds / 0.2)):
            self.device.step(0.2)
            reading = await self.driver.read()
            await self.driver.apply(InverterCommand(power_w=power_w))
        return reading


class Unreverting(PlantInverter):
    """It has the heartbeats of 715, and no reversion in 704."""

    def read(self, table: Any, address: int, count: int) -> list[int] | None:
        words = super().read(table, address, count)
        image, start = self.image._images[704], 40000 + self.image._starts[704]
        for name in REVERSION:
            point = image.model.point(name.partition(".")[2])
            at = start + point.offset - address
            missing = {"int32": [0x8000, 0], "uint32": [0xFFFF] * 2, "enum16": [0xFFFF]}[point.type]
            if words is not None and 0 <= at < count:
                words[at : at + point.size] = missing
        return words


@pytest.fixture
def bench(memory_link: Any, clock: ManualClock) -> Bench:
    device = Unreverting(clock)
    return Bench(device, memory_link(device))


async def test_heartbeats_of_both_sides_stand_for_a_reversion(bench: Bench) -> None:
    reading = await bench.run(0.0, 1.0)
    assert not reading.reversion_armed
    assert "does not implement WSetRvrt" in (bench.driver.reversion_problem or "")
    assert "heartbeats of 715 are not seen yet" in (bench.driver.reversion_problem or "")
    reading = await bench.run(0.0, 4.0)
    assert reading.reversion_armed
    assert bench.driver.reversion_problem is None
    reading = await bench.run(-5_000.0, 2.0)
    assert (reading.reversion_armed, reading.power_w) == (True, -5_000.0)


async def test_it_counts_once_a_second(bench: Bench) -> None:
    await bench.run(0.0, 10.0)
    counts = [name for name in bench.device.writes if name.startswith("715")]
    assert 10 <= len(counts) <= 11
    assert bench.device.point(715, "ControllerHb") == len(counts)


async def test_silence_ends_the_power_of_a_device_that_watches_the_heartbeat(bench: Bench) -> None:
    await bench.run(-5_000.0, 6.0)
    assert bench.device.inverter.power_w == -5_000.0
    for _ in range(20):
        bench.device.step(0.2)
    assert bench.device.inverter.power_w == 0.0


async def test_a_der_whose_own_heartbeat_stands_still_is_not_armed(bench: Bench) -> None:
    await bench.run(0.0, 6.0)
    bench.device.lies["715.DERHb"] = 12
    reading = await bench.run(0.0, 4.0)
    assert not reading.reversion_armed
    assert "715 DERHb is not seen counting (12)" in (bench.driver.reversion_problem or "")
    assert (await bench.run(-5_000.0, 1.0)).reversion_armed is False
    # One step is none: it may have been read before.
    bench.device.lies["715.DERHb"] = 13
    assert not (await bench.run(0.0, 1.2)).reversion_armed
    del bench.device.lies["715.DERHb"]
    assert (await bench.run(0.0, 4.0)).reversion_armed


@pytest.mark.parametrize(("step", "armed"), [(1, True), (-1, False), (0, False)])
async def test_only_a_count_that_goes_up_or_to_zero_is_a_heartbeat(bench: Bench, step: int, armed: bool) -> None:
    for second in range(8):
        bench.device.lies["715.DERHb"] = 1000 + second * step
        reading = await bench.run(0.0, 1.0)
    assert reading.reversion_armed is armed


async def test_a_der_that_resets_its_count_to_zero_stays_armed(bench: Bench) -> None:
    await bench.run(0.0, 6.0)
    for second in range(12):
        bench.device.lies["715.DERHb"] = second % 4
        assert (await bench.run(0.0, 1.0)).reversion_armed


async def test_a_second_controller_that_counts_is_noticed_at_once(bench: Bench) -> None:
    assert (await bench.run(0.0, 6.0)).reversion_armed
    bench.device.lies["715.ControllerHb"] = 77
    reading = await bench.run(0.0, 1.2)
    assert not reading.reversion_armed
    assert "715 ControllerHb reads 77 where" in (bench.driver.reversion_problem or "")


@pytest.mark.parametrize("missing", ["ControllerHb", "DERHb"])
async def test_a_715_without_heartbeats_is_no_evidence(memory_link: Any, clock: ManualClock, missing: str) -> None:
    device = Unreverting(clock)
    device.inverter.reversion_dead = missing == "DERHb"
    device.put(715, missing, None)
    bench = Bench(device, memory_link(device))
    reading = await bench.run(0.0, 6.0)
    assert not reading.reversion_armed
    assert f"715 does not implement {missing}" in (bench.driver.reversion_problem or "")


async def test_a_heartbeat_that_the_device_refuses_is_told_and_read_on(bench: Bench) -> None:
    bench.device.refused.add(715)
    reading = await bench.run(1_000.0, 4.0)
    assert (reading.power_w, reading.reversion_armed) == (1_000.0, False)
    assert "exception 2" in (bench.driver.reversion_problem or "")


async def test_a_refused_set_point_withholds_the_heartbeat(bench: Bench) -> None:
    await bench.run(-5_000.0, 6.0)
    bench.device.refused.add(704)
    before = bench.device.writes.count("715.ControllerHb")
    for _ in range(25):
        with pytest.raises(DeviceError):
            await bench.driver.apply(InverterCommand(power_w=0.0))
        bench.device.step(0.2)
        reading = await bench.driver.read()
    assert bench.device.writes.count("715.ControllerHb") - before <= 1
    assert reading.power_w == 0.0, "the device left the set-point that it does not replace"


async def test_a_new_connection_must_show_the_heartbeats_anew(bench: Bench) -> None:
    assert (await bench.run(0.0, 6.0)).reversion_armed
    bench.link.lose = 1
    with pytest.raises(DeviceError):
        await bench.driver.read()
    assert not (await bench.driver.read()).reversion_armed
    assert (await bench.run(0.0, 5.0)).reversion_armed


async def test_the_count_goes_to_zero_before_it_means_not_implemented(bench: Bench) -> None:
    bench.device.put(715, "ControllerHb", 0xFFFFFFFD)
    await bench.run(0.0, 2.0)
    assert bench.device.point(715, "ControllerHb") in (0, 1)
    assert (await bench.run(0.0, 4.0)).reversion_armed


async def test_local_control_is_a_fault_and_no_evidence(bench: Bench) -> None:
    await bench.run(0.0, 6.0)
    bench.device.put(715, "LocRemCtl", 1)
    reading = await bench.run(0.0, 1.2)
    assert reading.fault == "under local control (715 LocRemCtl): it obeys no set-point"
    assert not reading.reversion_armed
    bench.device.put(715, "LocRemCtl", 0)
    assert (await bench.run(0.0, 1.2)).fault is None


async def test_alarms_are_reset_only_when_somebody_asks(bench: Bench) -> None:
    await bench.run(-1_000.0, 6.0)
    assert "715.AlarmReset" not in bench.device.writes
    await bench.driver.reset_alarms()
    assert bench.device.writes.count("715.AlarmReset") == 1


async def test_without_715_alarms_cannot_be_reset(memory_link: Any, clock: ManualClock) -> None:
    device = PlantInverter(clock, without_models=frozenset({715}))
    bench = Bench(device, memory_link(device))
    with pytest.raises(DeviceError, match="no SunSpec model 715"):
        await bench.driver.reset_alarms()


async def test_a_reversion_that_is_proved_is_not_looked_for_in_715(memory_link: Any, clock: ManualClock) -> None:
    device = PlantInverter(clock)
    bench = Bench(device, memory_link(device))
    reading = await bench.run(0.0, 2.0)
    assert reading.reversion_armed
    assert 0 < reading.reversion_remaining_s <= 3


async def test_the_plants_dead_reversion_has_no_heartbeat_either(memory_link: Any, clock: ManualClock) -> None:
    device = PlantInverter(clock)
    device.inverter.reversion_dead = True
    bench = Bench(device, memory_link(device))
    assert not (await bench.run(0.0, 10.0)).reversion_armed
    assert "WSetRvrtRem does not count down" in (bench.driver.reversion_problem or "")
