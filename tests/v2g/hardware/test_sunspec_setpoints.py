"""Set-points read back within a deadline, ramp rates, connect and disconnect, choice of the family."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.sunspec_devices import Chain, PlantInverter
from v2g.clock import ManualClock
from v2g.grid.profiles import resolve
from v2g.grid.support import SupportSettings
from v2g.hardware.inverter_driver import DeviceSettings
from v2g.hardware.ports import DeviceError, InverterCommand, InverterReading
from v2g.hardware.registers import Table
from v2g.hardware.setpoint_watch import SOUND_AFTER_S
from v2g.hardware.sunspec.codec import ModelImage, load_model
from v2g.hardware.sunspec.inverter import SunSpecInverter
from v2g.hardware.sunspec.ramp import RampLackingError, ramp_percent

EVSE = "US*V2G*E1"
NO_SUPPORT = DeviceSettings(support=SupportSettings(frequency_droop=None))


class Bench:
    def __init__(self, device: PlantInverter, link: Any, **options: Any) -> None:
        self.device, self.link, self.clock = device, link, device.clock
        self.driver = SunSpecInverter(EVSE, link, device.clock, 3, **options)

    async def run(self, power_w: float, seconds: float) -> InverterReading:
        for _ in range(round(seconds / 0.2)):
            self.device.step(0.2)
            reading = await self.driver.read()
            await self.driver.apply(InverterCommand(power_w=power_w))
        return reading


@pytest.fixture(params=["ieee1547", "legacy"])
def bench(request: pytest.FixtureRequest, memory_link: Any, clock: ManualClock) -> Bench:
    device = PlantInverter(clock, legacy=request.param == "legacy")
    return Bench(device, memory_link(device))


@pytest.fixture
def model(bench: Bench) -> int:
    """Where the set-point is."""
    return 124 if 124 in bench.device.image._starts else 704


# ---- the deadline -----------------------------------------------------------------------------------------------


async def test_a_device_that_forgets_set_points_is_ordered_to_zero_and_carries_a_fault(
    bench: Bench, model: int
) -> None:
    assert (await bench.run(4_400.0, 2.0)).fault is None
    bench.device.deaf_models.add(model)
    reading = await bench.run(8_800.0, 0.8)
    assert (reading.fault, bench.driver.setpoint_problem) == (None, None)
    reading = await bench.run(8_800.0, 0.8)
    assert (reading.fault or "").startswith("set-point not taken: 8800 W written, 4400 W read back")
    assert bench.driver.setpoint_problem == reading.fault
    bench.device.deaf_models.clear()
    reading = await bench.run(8_800.0, 1.0)
    assert (reading.setpoint_w, reading.fault is None) == (0.0, False), "no power is ordered meanwhile"
    reading = await bench.run(8_800.0, SOUND_AFTER_S + 1.0)
    assert (reading.setpoint_w, reading.fault) == (8_800.0, None)


async def test_a_device_that_keeps_an_old_discharge_reverts_by_itself(memory_link: Any, clock: ManualClock) -> None:
    device = PlantInverter(clock)
    bench = Bench(device, memory_link(device))
    await bench.run(-5_000.0, 4.0)
    at = 40000 + device.image._starts[704] + device.image._images[704].model.point("WSetEna").offset
    genuine = device.write
    device.write = lambda address, values: True if address == at else genuine(address, values)  # type: ignore
    assert (await bench.run(0.0, 0.8)).power_w == -5_000.0
    assert (await bench.run(0.0, 5.0)).power_w == 0.0, "its timer is not prolonged"


async def test_zero_that_is_not_taken_is_written_again_while_the_countdown_is_looked_for(
    memory_link: Any, clock: ManualClock, fake_inverter: Any
) -> None:
    device = fake_inverter(clock)
    device.counts = False
    driver = SunSpecInverter(EVSE, memory_link(device), clock, 3)
    await driver.apply(InverterCommand(power_w=0.0))
    for _ in range(7):
        device.put(704, "WSet", 5_000.0)
        clock.advance(0.2)
        await driver.read()
        await driver.apply(InverterCommand(power_w=0.0))
    assert driver.setpoint_problem is not None
    assert device.point(704, "WSet") == 0.0


# ---- ramp rate --------------------------------------------------------------------------------------------------


async def test_the_ramp_rate_is_written_where_the_device_has_it(bench: Bench, model: int) -> None:
    driver = SunSpecInverter(EVSE, bench.link, bench.clock, 3, NO_SUPPORT, ramp_w_s=4_500.0)
    for _ in range(20):
        bench.device.step(0.2)
        await driver.read()
    points = [(121, "WGra"), (124, "WChaGra"), (124, "WDisChaGra")] if model == 124 else [(704, "WRmp")]
    assert [bench.device.point(*point) for point in points] == [20.0] * len(points), "20.45 %/s rounded down"
    assert bench.device.inverter.ramp_pct_s == 20.0
    assert driver.lacks is not None
    assert "ramp_rate" not in driver.lacks


async def test_a_ramp_rate_that_the_device_does_not_keep_is_told(bench: Bench, model: int) -> None:
    bench.device.deaf_models |= {121, 124} if model == 124 else {704}
    driver = SunSpecInverter(EVSE, bench.link, bench.clock, 3, ramp_w_s=4_500.0)
    await driver.read()
    assert "does not keep what was written to" in (driver.lacks or {})["ramp_rate"]


async def test_a_ramp_rate_below_its_resolution_is_told(bench: Bench) -> None:
    driver = SunSpecInverter(EVSE, bench.link, bench.clock, 3, ramp_w_s=100.0)
    await driver.read()
    assert "cannot be lower than 220 W/s" in (driver.lacks or {})["ramp_rate"]


async def test_without_a_ramp_rate_in_the_settings_nothing_is_written(bench: Bench) -> None:
    await bench.run(0.0, 1.0)
    assert not [name for name in bench.device.writes if name.endswith(("Gra", "Rmp"))]
    assert bench.driver.lacks is None


async def test_a_device_without_a_ramp_rate_is_told(memory_link: Any, clock: ManualClock, fake_inverter: Any) -> None:
    driver = SunSpecInverter(EVSE, memory_link(fake_inverter(clock)), clock, ramp_w_s=1000.0)
    await driver.read()
    assert driver.lacks == {"ramp_rate": "its SunSpec model 704 does not implement WRmp"}


@settings(max_examples=examples(60))
@given(ramp_w_s=st.floats(0.1, 1e6), base_w=st.floats(100.0, 1e6), exponent=st.integers(-3, 1))
def test_a_ramp_rate_is_never_faster_than_asked(ramp_w_s: float, base_w: float, exponent: int) -> None:
    image = ModelImage.blank(load_model(121))
    image.set("WGra_SF", exponent)
    image.set("WGra", 0)
    step_w_s = 10.0**exponent / 100.0 * base_w
    try:
        percent = ramp_percent(image, "WGra", ramp_w_s, base_w)
    except RampLackingError:
        assert ramp_w_s < step_w_s
        return
    image.set("WGra", percent)
    written_w_s = (image.number("WGra") or 0.0) / 100.0 * base_w
    assert written_w_s <= ramp_w_s * (1 + 1e-6)
    assert ramp_w_s - written_w_s <= step_w_s * (1 + 1e-6) or image.raw("WGra") == 0xFFFE


# ---- connect, disconnect, limit ---------------------------------------------------------------------------------


async def test_703_disconnects_and_the_sites_settings_do_not_undo_it(memory_link: Any, clock: ManualClock) -> None:
    grid = resolve(nominal_frequency_hz=60.0, category="III", enter_service={"delay_s": 0.0, "ramp_s": 1.0})
    device = PlantInverter(clock)
    bench = Bench(device, memory_link(device), settings=DeviceSettings(support=SupportSettings(), grid=grid))
    await bench.driver.set_connected(False)
    for _ in range(4):
        reading = await bench.run(0.0, 20.0)
        assert not reading.connected
    await bench.driver.set_connected(True)
    assert (await bench.run(0.0, 5.0)).connected


async def test_a_device_without_703_cannot_be_disconnected(memory_link: Any, clock: ManualClock) -> None:
    device = PlantInverter(clock, without_models=frozenset({703}))
    bench = Bench(device, memory_link(device))
    with pytest.raises(DeviceError, match="no 703 ES"):
        await bench.driver.set_connected(False)


async def test_output_is_limited_in_both_families(bench: Bench, model: int) -> None:
    await bench.driver.limit_output(5_500.0)
    inverter = bench.device.inverter
    assert (inverter.limit_enabled, inverter.limit_pct) == (True, 25.0)
    await bench.driver.limit_output(None)
    assert not inverter.limit_enabled


async def test_a_device_without_a_limit_says_so(memory_link: Any, clock: ManualClock, fake_inverter: Any) -> None:
    driver = SunSpecInverter(EVSE, memory_link(fake_inverter(clock)), clock)
    with pytest.raises(DeviceError, match="no 704 WMaxLimPct to limit it by"):
        await driver.limit_output(1000.0)


# ---- which family -----------------------------------------------------------------------------------------------


class Both(Chain):
    """The models of both families in one device."""

    def __init__(self, clock: ManualClock) -> None:
        new, old = PlantInverter(clock).image, PlantInverter(clock, legacy=True).image
        for image in (new, old):
            image.render(Table.HOLDING, {}, clock.monotonic_s())
        images = [new._images[n] for n in new._models] + [old._images[n] for n in old._models if n != 1]
        super().__init__(images)


async def test_a_device_with_both_families_is_driven_by_the_one_that_can_prove_its_reversion(
    memory_link: Any, clock: ManualClock
) -> None:
    device = Both(clock)
    driver = SunSpecInverter(EVSE, memory_link(device), clock)
    await driver.apply(InverterCommand(power_w=0.0))
    assert device.registers[device.addresses[704] + load_model(704).point("WSetEna").offset] == 1
    assert device.registers[device.addresses[124] + load_model(124).point("StorCtl_Mod").offset] == 0


@pytest.mark.parametrize("missing", ["WSet", "WSet_SF", "WSetEna"])
async def test_a_device_with_both_families_whose_704_takes_no_power_is_driven_by_124(
    memory_link: Any, clock: ManualClock, missing: str
) -> None:
    device = Both(clock)
    point = load_model(704).point(missing)
    device.registers[device.addresses[704] + point.offset] = 0xFFFF if point.type == "enum16" else 0x8000
    driver = SunSpecInverter(EVSE, memory_link(device), clock)
    before = dict(device.registers)
    await driver.apply(InverterCommand(power_w=0.0))
    changed = {at for at, word in device.registers.items() if before[at] != word}
    assert device.addresses[124] + load_model(124).point("StorCtl_Mod").offset in changed
    assert not changed & set(range(device.addresses[704], device.addresses[704] + load_model(704).length))
    assert (await driver.read()).max_charge_w == 22_000.0
    assert "124 reverts by InOutWRte_RvrtTms" in (driver.reversion_problem or "")


async def test_a_device_that_is_replaced_by_one_of_the_other_family_goes_on(
    memory_link: Any, clock: ManualClock
) -> None:
    new, old = PlantInverter(clock), PlantInverter(clock, legacy=True)
    bench = Bench(new, memory_link(new), settings=NO_SUPPORT, ramp_w_s=4_500.0)
    assert (await bench.run(0.0, 4.0)).reversion_armed
    for device in (old, new, old):
        bench.link.lose, bench.link.device = 1, device
        bench.device = device
        with pytest.raises(DeviceError):
            await bench.driver.read()
        for _ in range(2):
            device.step(0.2)
            try:
                reading = await bench.driver.read()
            except DeviceError:
                continue
            assert not reading.reversion_armed
        await bench.run(0.0, 4.0)
        reading = await bench.run(5_500.0, 2.0)
        assert reading.power_w == 5_500.0
        assert reading.reversion_armed is (device is new)
        assert bench.driver.identity is not None
        assert ("Storage" in bench.driver.identity.model) is (device is old)
        assert device.inverter.ramp_pct_s == 20.0


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ((1, 701, 702), "no SunSpec model 704"),
        ((1, 103, 120), "no SunSpec model 701, 702, 704, which the driver needs, nor of the older family both"),
        ((1, 120, 124), "no SunSpec model 701, 702, 704"),
        ((701, 702, 704), "no SunSpec model 1"),
    ],
)
async def test_other_models_than_promised_are_refused_by_name(
    memory_link: Any, clock: ManualClock, models: tuple[int, ...], said: str
) -> None:
    device = Chain([ModelImage.blank(load_model(number)) for number in models])
    driver = SunSpecInverter(EVSE, memory_link(device), clock)
    with pytest.raises(DeviceError, match=said):
        await driver.read()
    assert driver.identity is None
    assert (driver.lacks, driver.reversion_problem, driver.setpoint_problem) == (None, None, None)
    assert (driver.takes_reactive_power, driver.apparent_rating_va) == (False, 0.0)


async def test_a_chain_that_ends_without_saying_so_is_an_error(memory_link: Any, clock: ManualClock) -> None:
    device = Chain([ModelImage.blank(load_model(number)) for number in (1, 701)], ends=False)
    driver = SunSpecInverter(EVSE, memory_link(device), clock)
    with pytest.raises(DeviceError, match="exception 2"):
        await driver.read()


async def test_a_model_that_says_another_length_than_before_is_an_error(
    memory_link: Any, clock: ManualClock, fake_inverter: Any
) -> None:
    device = fake_inverter(clock)
    driver = SunSpecInverter(EVSE, memory_link(device), clock)
    await driver.read()
    device.models[701].registers[1] -= 5
    device.place()
    with pytest.raises(DeviceError, match="701 is no longer at"):
        await driver.read()
