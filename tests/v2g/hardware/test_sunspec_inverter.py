"""The SunSpec inverter driver against a device in memory, in injected time; once over a real server."""

from __future__ import annotations

import math
from typing import Any

import pytest

from v2g.clock import ManualClock, SystemClock
from v2g.hardware.modbus import ModbusEndpoint, ModbusLink
from v2g.hardware.ports import DeviceError, InverterCommand
from v2g.hardware.sunspec.inverter import SunSpecInverter


class Bench:
    def __init__(self, device: Any, link: Any, clock: ManualClock) -> None:
        self.device = device
        self.link = link
        self.clock = clock
        self.driver = SunSpecInverter("US*V2G*E1", link, clock, reversion_s=3)

    async def prove_reversion(self) -> None:
        for _ in range(8):
            reading = await self.driver.read()
            if reading.reversion_armed:
                return
            await self.driver.apply(InverterCommand(power_w=0.0))
            self.clock.advance(0.25)
        raise AssertionError(self.driver.reversion_problem)


@pytest.fixture
def bench(fake_inverter: Any, memory_link: Any, clock: ManualClock) -> Bench:
    device = fake_inverter(clock)
    return Bench(device, memory_link(device), clock)


async def test_reads_in_our_sign_and_units(bench: Bench) -> None:
    await bench.prove_reversion()
    await bench.driver.apply(InverterCommand(power_w=-10_000.0))
    reading = await bench.driver.read()
    assert reading.power_w == -10_000.0
    assert reading.setpoint_w == -10_000.0
    assert bench.device.point(704, "WSet") == 10_000.0
    assert reading.voltage_v == pytest.approx(277.1)
    assert reading.frequency_hz == pytest.approx(60.01)
    assert (reading.max_charge_w, reading.max_discharge_w) == (20_000.0, 15_000.0)
    assert reading.as_of_s == bench.clock.monotonic_s()
    assert reading.connected
    assert reading.fault is None
    assert math.copysign(1.0, reading.reactive_var) == 1.0


async def test_charging_is_negative_for_the_device(bench: Bench) -> None:
    await bench.driver.apply(InverterCommand(power_w=5_000.0))
    assert bench.device.point(704, "WSet") == -5_000.0
    assert bench.device.point(704, "WSetMod") == 1
    assert bench.device.point(704, "WSetEna") == 1
    assert (await bench.driver.read()).power_w == 5_000.0


async def test_reversion_to_zero_is_written_before_its_timer_and_proved_before_it_counts_as_armed(
    bench: Bench,
) -> None:
    reading = await bench.driver.read()
    assert not reading.reversion_armed
    device = bench.device
    revert, enable, timer, power = (
        min(device.writes_to(name)) for name in ("WSetRvrt", "WSetEnaRvrt", "WSetRvrtTms", "WSet")
    )
    assert revert < enable < timer < power
    assert (device.point(704, "WSetRvrt"), device.point(704, "WSetEnaRvrt")) == (0.0, 1.0)
    assert device.point(704, "WSetRvrtTms") == 3
    await bench.prove_reversion()
    assert 0 < (await bench.driver.read()).reversion_remaining_s <= 3


@pytest.mark.parametrize("rounding", [math.floor, math.ceil])
async def test_each_set_point_rearms_and_silence_ends_in_zero(
    fake_inverter: Any, memory_link: Any, clock: ManualClock, rounding: Any
) -> None:
    device = fake_inverter(clock, rounding=rounding)
    bench = Bench(device, memory_link(device), clock)
    await bench.prove_reversion()
    for _ in range(10):
        await bench.driver.apply(InverterCommand(power_w=-8_000.0))
        clock.advance(0.8)
        reading = await bench.driver.read()
        assert reading.power_w == -8_000.0
        assert reading.reversion_armed
    clock.advance(3.0)
    reading = await bench.driver.read()
    assert reading.power_w == 0.0
    assert reading.setpoint_w == 0.0
    await bench.driver.apply(InverterCommand(power_w=-8_000.0))
    assert (await bench.driver.read()).power_w == -8_000.0


async def test_power_is_clamped_to_the_ratings(bench: Bench) -> None:
    await bench.prove_reversion()
    await bench.driver.apply(InverterCommand(power_w=-99_000.0))
    assert bench.device.point(704, "WSet") == 15_000.0
    await bench.driver.apply(InverterCommand(power_w=99_000.0))
    assert bench.device.point(704, "WSet") == -20_000.0


async def test_the_overall_rating_stands_for_discharge_and_never_for_charge(bench: Bench) -> None:
    for name in ("WChaRteMaxRtg", "WDisChaRteMaxRtg"):
        bench.device.put(702, name, None)
    reading = await bench.driver.read()
    assert (reading.max_charge_w, reading.max_discharge_w) == (0.0, 22_000.0)
    await bench.prove_reversion()
    await bench.driver.apply(InverterCommand(power_w=5_000.0))
    assert bench.device.point(704, "WSet") == 0.0


async def test_a_charge_setting_stands_for_a_charge_rating_that_is_not_told(bench: Bench) -> None:
    bench.device.put(702, "WChaRteMaxRtg", None)
    bench.device.put(702, "WChaRteMax", 7_000.0)
    assert (await bench.driver.read()).max_charge_w == 7_000.0


async def test_without_any_rating_nothing_is_allowed(bench: Bench) -> None:
    for name in ("WMaxRtg", "WChaRteMaxRtg", "WDisChaRteMaxRtg"):
        bench.device.put(702, name, None)
    await bench.driver.apply(InverterCommand(power_w=5_000.0))
    assert bench.device.point(704, "WSet") == 0.0


async def test_a_device_without_reversion_says_so_and_still_charges(bench: Bench) -> None:
    for name in ("WSetRvrt", "WSetEnaRvrt", "WSetRvrtTms"):
        bench.device.put(704, name, None)
    await bench.driver.apply(InverterCommand(power_w=4_000.0))
    reading = await bench.driver.read()
    assert not reading.reversion_armed
    assert reading.power_w == 4_000.0
    assert "does not implement" in (bench.driver.reversion_problem or "")


async def test_a_timer_that_stands_still_is_no_reversion(bench: Bench) -> None:
    bench.device.counts = False
    for _ in range(30):
        reading = await bench.driver.read()
        await bench.driver.apply(InverterCommand(power_w=0.0))
        bench.clock.advance(0.2)
        assert not reading.reversion_armed
    said = "WSetRvrtRem does not count down (3); it has no SunSpec model 715"
    assert bench.driver.reversion_problem == said


async def test_settings_that_the_device_does_not_keep_are_no_reversion(bench: Bench) -> None:
    original = bench.device.after_write

    def forgetful(address: int, values: list[int]) -> None:
        original(address, values)
        bench.device.put(704, "WSetEnaRvrt", 0)

    bench.device.after_write = forgetful
    assert not (await bench.driver.read()).reversion_armed
    assert "does not keep" in (bench.driver.reversion_problem or "")


async def test_reversion_that_is_lost_on_the_way_is_noticed_and_armed_again_from_zero(bench: Bench) -> None:
    await bench.prove_reversion()
    await bench.driver.apply(InverterCommand(power_w=-8_000.0))
    bench.device.put(704, "WSetEnaRvrt", 0)
    reading = await bench.driver.read()
    assert not reading.reversion_armed
    assert bench.device.point(704, "WSet") == 0.0
    await bench.prove_reversion()


async def test_one_lost_answer_does_not_cost_the_proof_of_reversion(bench: Bench) -> None:
    await bench.prove_reversion()
    await bench.driver.apply(InverterCommand(power_w=-8_000.0))
    bench.link.lose = 1
    with pytest.raises(DeviceError):
        await bench.driver.read()
    bench.clock.advance(0.2)
    reading = await bench.driver.read()
    assert reading.reversion_armed
    assert reading.power_w == -8_000.0


async def test_a_device_that_restarted_is_armed_anew(bench: Bench) -> None:
    await bench.prove_reversion()
    bench.link.lose = 1
    with pytest.raises(DeviceError):
        await bench.driver.read()
    for name in ("WSetRvrtTms", "WSetEna", "WSet"):
        bench.device.put(704, name, 0)
    assert not (await bench.driver.read()).reversion_armed
    assert bench.device.point(704, "WSetRvrtTms") == 3


async def test_another_device_at_the_same_address_is_discovered_anew(
    fake_inverter: Any, bench: Bench, clock: ManualClock
) -> None:
    await bench.prove_reversion()
    bench.link.lose = 1
    with pytest.raises(DeviceError):
        await bench.driver.read()
    other = fake_inverter(clock, base=50000)
    other.put(701, "LNV", 230.0)
    bench.link.device = other
    with pytest.raises(DeviceError, match="no longer at 40002"):
        await bench.driver.read()
    reading = await bench.driver.read()
    assert reading.voltage_v == 230.0
    assert not reading.reversion_armed


@pytest.mark.parametrize("base", [40000, 50000, 0])
async def test_every_base_address_is_tried(fake_inverter: Any, memory_link: Any, clock: ManualClock, base: int) -> None:
    device = fake_inverter(clock, base=base)
    if base != 40000:
        device.missing = set(range(40000, 40002))
    bench = Bench(device, memory_link(device), clock)
    assert (await bench.driver.read()).voltage_v == pytest.approx(277.1)
    assert bench.driver.identity is not None
    assert bench.driver.identity.manufacturer == "Acme"


async def test_a_device_without_sunspec_is_refused(registers: Any, memory_link: Any, clock: ManualClock) -> None:
    driver = SunSpecInverter("US*V2G*E1", memory_link(registers), clock)
    with pytest.raises(DeviceError, match="no SunSpec marker at 40000, 50000, 0"):
        await driver.read()


async def test_a_model_chain_without_end_is_refused(registers: Any, memory_link: Any, clock: ManualClock) -> None:
    from v2g.hardware.registers import Table

    registers.tables[Table.HOLDING][40000:40002] = [0x5375, 0x6E53]
    driver = SunSpecInverter("US*V2G*E1", memory_link(registers), clock)
    with pytest.raises(DeviceError, match="chain does not end"):
        await driver.read()


async def test_a_device_without_704_is_refused(bench: Bench) -> None:
    bench.device.models[704].registers[0] = 64999
    bench.device.place()
    with pytest.raises(DeviceError, match="no SunSpec model 704"):
        await bench.driver.read()


async def test_a_device_without_a_set_point_is_refused(bench: Bench) -> None:
    bench.device.put(704, "WSet", None)
    with pytest.raises(DeviceError, match=r"no active power set-point"):
        await bench.driver.read()


async def test_a_device_without_a_power_reading_is_refused(bench: Bench) -> None:
    bench.device.before_read = lambda table: None
    bench.device.put(701, "W", None)
    with pytest.raises(DeviceError, match="no active power"):
        await bench.driver.read()


async def test_a_device_that_refuses_set_points_is_not_rearmed_with_its_old_one(bench: Bench) -> None:
    await bench.prove_reversion()
    await bench.driver.apply(InverterCommand(power_w=-8_000.0))
    at = bench.device.addresses[704] + bench.device.models[704].model.point("WSet").offset
    bench.device.missing = {at}
    reading_w = []
    for _ in range(50):
        with pytest.raises(DeviceError):
            await bench.driver.apply(InverterCommand(power_w=0.0))
        bench.device.missing = set()
        reading_w.append((await bench.driver.read()).power_w)
        bench.device.missing = {at}
        bench.clock.advance(0.1)
    assert reading_w[25] == -8_000.0
    assert set(reading_w[31:]) == {0.0}


async def test_a_timer_that_ran_out_runs_again_before_power_flows(bench: Bench) -> None:
    await bench.prove_reversion()
    bench.clock.advance(4.0)
    first = len(bench.device.writes)
    await bench.driver.apply(InverterCommand(power_w=-8_000.0))
    timer, power = bench.device.writes_to("WSetRvrtTms"), bench.device.writes_to("WSet")
    assert next(i for i in timer if i >= first) < power[-1] < timer[-1]


@pytest.mark.parametrize(
    ("number", "name", "value", "connected", "fault"),
    [
        (701, "InvSt", 3, True, None),
        (701, "InvSt", 7, True, None),
        (701, "InvSt", 6, False, "FAULT"),
        (701, "InvSt", 0, False, None),
        (701, "ConnSt", 0, False, None),
        (701, "St", 0, False, None),
        (701, "Alrm", 1 << 7 | 1, True, "GROUND_FAULT OVER_TEMP"),
        (701, "Alrm", 1 << 20, True, "BIT20"),
        (703, "ES", 0, False, None),
    ],
)
async def test_states_and_alarms(
    bench: Bench, number: int, name: str, value: int, connected: bool, fault: str | None
) -> None:
    bench.device.put(number, name, value)
    reading = await bench.driver.read()
    assert (reading.connected, reading.fault) == (connected, fault)


async def test_a_device_that_tells_no_state_is_not_connected(bench: Bench) -> None:
    for name in ("St", "InvSt", "ConnSt"):
        bench.device.put(701, name, None)
    bench.device.put(703, "ES", None)
    assert not (await bench.driver.read()).connected


async def test_dump_shows_every_point(bench: Bench) -> None:
    points = await bench.driver.dump()
    assert points["1.Md"] == "Bi22"
    assert points["702.WMaxRtg"] == 22_000.0
    assert points["701.TmpCab"] is None


async def test_over_a_real_server(serve: Any, fake_inverter: Any) -> None:
    clock = SystemClock()
    served = await serve(fake_inverter(clock))
    link = ModbusLink("inverter", ModbusEndpoint("127.0.0.1", served.port), clock, lambda: 0.0)
    driver = SunSpecInverter("US*V2G*E1", link, clock)
    await driver.apply(InverterCommand(power_w=3_000.0))
    reading = await driver.read()
    assert reading.power_w == 3_000.0
    before = served.requests
    await driver.read()
    assert served.requests - before == 2
    before = served.requests
    await driver.apply(InverterCommand(power_w=2_000.0))
    assert served.requests - before == 2
    await driver.close()
