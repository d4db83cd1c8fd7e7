"""The older SunSpec family against the plant's inverter in memory: set-points by 124, ratings, limits, states."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.sunspec_devices import Chain, PlantInverter
from v2g.clock import ManualClock
from v2g.grid.profiles import resolve
from v2g.grid.support import SupportSettings, VoltVar, VoltWatt
from v2g.hardware.inverter_driver import DeviceSettings
from v2g.hardware.ports import DeviceError, InverterCommand, InverterReading
from v2g.hardware.sunspec import legacy_status as status
from v2g.hardware.sunspec.codec import ModelImage, load_model
from v2g.hardware.sunspec.inverter import SunSpecInverter

EVSE = "US*V2G*E1"


class Bench:
    def __init__(self, device: PlantInverter, link: Any, **options: Any) -> None:
        self.device, self.link, self.clock = device, link, device.clock
        self.driver = SunSpecInverter(EVSE, link, device.clock, 3, **options)

    async def order(self, power_w: float, seconds: float = 0.6) -> InverterReading:
        """Renewed and read at the pace of ``wires``; the last reading."""
        for _ in range(round(seconds / 0.2)):
            await self.driver.apply(InverterCommand(power_w=power_w))
            self.device.step(0.2)
            reading = await self.driver.read()
        return reading


@pytest.fixture
def bench(memory_link: Any, clock: ManualClock) -> Bench:
    device = PlantInverter(clock, legacy=True)
    return Bench(device, memory_link(device))


@pytest.mark.parametrize(("power_w", "out_pct"), [(-11_000.0, 50.0), (5_500.0, -25.0), (0.0, 0.0)])
async def test_a_power_is_a_window_of_one_point(bench: Bench, power_w: float, out_pct: float) -> None:
    reading = await bench.order(power_w)
    assert (bench.device.point(124, "OutWRte"), bench.device.point(124, "InWRte")) == (out_pct, -out_pct)
    assert bench.device.point(124, "StorCtl_Mod") == 3
    assert bench.device.point(124, "InOutWRte_RvrtTms") == 3
    assert (reading.setpoint_w, reading.setpoint_enabled) == (power_w, True)
    assert reading.power_w == pytest.approx(power_w)
    assert math.copysign(1.0, reading.setpoint_w) == (1.0 if power_w >= 0 else -1.0)


async def test_the_rates_come_before_the_mode_and_in_one_request(bench: Bench) -> None:
    await bench.driver.apply(InverterCommand(power_w=-5_000.0))
    assert bench.device.writes == ["124.OutWRte", "124.StorCtl_Mod"]


async def test_silence_ends_in_zero_by_the_devices_own_timer(bench: Bench) -> None:
    assert (await bench.order(5_500.0)).power_w == 5_500.0
    bench.device.step(3.1)
    bench.device.step(0.2)
    reading = await bench.driver.read()
    assert (reading.power_w, reading.setpoint_w, reading.setpoint_enabled) == (0.0, 0.0, False)
    assert (await bench.order(5_500.0)).power_w == 5_500.0


async def test_a_timer_that_cannot_be_seen_is_no_reversion(bench: Bench) -> None:
    reading = await bench.order(-5_000.0, 6.0)
    assert not reading.reversion_armed
    said = bench.driver.reversion_problem or ""
    assert "InOutWRte_RvrtTms, which cannot be seen counting" in said
    assert "no SunSpec model 715" in said


async def test_a_timer_that_is_not_kept_is_told(bench: Bench) -> None:
    await bench.order(0.0)
    bench.device.lies["124.InOutWRte_RvrtTms"] = 60
    await bench.driver.read()
    assert "keeps 60 s as 124 InOutWRte_RvrtTms, 3 s were written" in (bench.driver.reversion_problem or "")


async def test_measurements_in_our_sign(bench: Bench) -> None:
    reading = await bench.order(-11_000.0)
    assert reading.dc_power_w == pytest.approx(-11_000.0 / bench.device.inverter.efficiency, abs=1.0)
    assert reading.voltage_v == 277.0
    assert reading.frequency_hz == 60.0
    assert reading.temperature_c == pytest.approx(bench.device.inverter.bridge.temperature_c, abs=0.1)
    assert (reading.state, reading.alarms, reading.fault, reading.connected) == ("MPPT", (), None, True)
    assert (reading.max_charge_w, reading.max_discharge_w) == (22_000.0, 22_000.0)
    assert bench.driver.apparent_rating_va == 22_000.0
    assert not bench.driver.takes_reactive_power
    assert not reading.anti_islanding


async def test_power_is_clamped_to_the_ratings(bench: Bench) -> None:
    bench.device.put(120, "MaxDisChaRte", 5_000.0)
    bench.device.put(120, "MaxChaRte", 4_000.0)
    assert (await bench.order(-99_000.0)).setpoint_w == pytest.approx(-5_000.0, abs=3.0)
    assert (await bench.order(99_000.0)).setpoint_w == pytest.approx(4_000.0, abs=3.0)


@pytest.mark.parametrize(
    ("number", "name", "value", "charge_w", "discharge_w"),
    [
        (120, "MaxDisChaRte", 0, 22_000, 0),
        (120, "MaxDisChaRte", None, 22_000, 22_000),
        (120, "MaxChaRte", 0, 0, 22_000),
        (120, "MaxChaRte", None, 22_000, 22_000),
        (120, "WRtg", 0, 22_000, 0),
        (120, "WRtg", None, 22_000, 22_000),
        (121, "WMax", 9_000, 22_000, 9_000),
        (121, "WMax", 0, 22_000, 22_000),
        (124, "WChaMax", 0, 0, 0),
        (124, "WChaMax", None, 0, 0),
        (124, "WChaMax_SF", None, 0, 0),
        (120, "MaxDisChaRte_SF", None, 22_000, 22_000),
    ],
)
async def test_ratings_of_zero_clamp_to_zero_and_untold_ones_give_nothing(
    bench: Bench, number: int, name: str, value: float | None, charge_w: float, discharge_w: float
) -> None:
    bench.device.put(number, name, value)
    reading = await bench.driver.read()
    assert (reading.max_charge_w, reading.max_discharge_w) == (charge_w, discharge_w)
    if not discharge_w:
        assert (await bench.order(-5_000.0)).setpoint_w == 0.0
    if not charge_w:
        assert (await bench.order(5_000.0)).setpoint_w == 0.0


async def test_a_device_without_a_nameplate_gets_no_power(memory_link: Any, clock: ManualClock) -> None:
    images = [image for image in legacy_images() if image.model.id not in (120, 121, 122, 123)]
    driver = SunSpecInverter(EVSE, memory_link(Chain(images)), clock)
    reading = await driver.read()
    assert (reading.max_charge_w, reading.max_discharge_w) == (0.0, 0.0)
    await driver.apply(InverterCommand(power_w=-5_000.0))
    assert (await driver.read()).setpoint_w == 0.0


async def test_nan_is_zero_power(bench: Bench) -> None:
    assert (await bench.order(math.nan)).setpoint_w == 0.0


async def test_a_limit_that_somebody_enabled_in_123_is_honoured(bench: Bench) -> None:
    bench.device.put(123, "WMaxLimPct", 30)
    bench.device.put(123, "WMaxLim_Ena", 1)
    assert (await bench.driver.read()).max_discharge_w == pytest.approx(6_600.0)


async def test_output_is_limited_and_freed_by_123(bench: Bench) -> None:
    await bench.driver.limit_output(5_000.0)
    assert (bench.device.point(123, "WMaxLimPct"), bench.device.point(123, "WMaxLim_Ena")) == (22.72, 1)
    bench.clock.advance(3.0)
    assert (await bench.driver.read()).max_discharge_w <= 5_000.0
    await bench.driver.limit_output(None)
    assert bench.device.point(123, "WMaxLim_Ena") == 0
    bench.device.deaf_models.add(123)
    with pytest.raises(DeviceError, match="does not keep what was written to 123 WMaxLimPct, WMaxLim_Ena"):
        await bench.driver.limit_output(1_000.0)


async def test_it_is_disconnected_and_connected_by_123(bench: Bench) -> None:
    await bench.driver.set_connected(False)
    bench.device.step()
    assert not (await bench.driver.read()).connected
    assert bench.device.inverter.permit_service is False
    await bench.driver.set_connected(True)
    for _ in range(15):
        bench.device.step()
    assert (await bench.driver.read()).connected
    bench.device.deaf_models.add(123)
    with pytest.raises(DeviceError, match=r"123 Conn as written \(disconnect\)"):
        await bench.driver.set_connected(False)


async def test_faults_states_and_vendor_events(bench: Bench) -> None:
    bench.device.inverter.tripped = "GROUND_FAULT"
    bench.device.step()
    reading = await bench.driver.read()
    assert (reading.state, reading.alarms, reading.fault) == ("FAULT", ("GROUND_FAULT",), "FAULT GROUND_FAULT")
    bench.device.inverter.tripped = None
    bench.device.step()
    bench.device.step()
    bench.device.put(103, "EvtVnd2", 1 << 5)
    reading = await bench.driver.read()
    assert (reading.alarms, reading.fault) == (("EvtVnd2 BIT5",), None)


@pytest.mark.parametrize(
    ("number", "name", "value", "connected"),
    [
        (103, "St", 8, True),
        (103, "St", 5, True),
        (103, "St", 2, False),
        (103, "St", 99, False),
        (122, "ECPConn", 0, False),
    ],
)
async def test_what_counts_as_connected(bench: Bench, number: int, name: str, value: int, connected: bool) -> None:
    bench.device.lies[f"{number}.{name}"] = value
    assert (await bench.driver.read()).connected is connected


async def test_every_function_of_the_site_is_told_as_lacking(memory_link: Any, clock: ManualClock) -> None:
    grid = resolve(nominal_frequency_hz=60.0, category="III", enter_service={"delay_s": 1.5, "ramp_s": 4.0})
    site = DeviceSettings(support=SupportSettings(volt_var=VoltVar(), frequency_droop=None), grid=grid)
    device = PlantInverter(clock, legacy=True)
    bench = Bench(device, memory_link(device), settings=site)
    await bench.order(0.0)
    lacks = bench.driver.lacks or {}
    assert set(lacks) == {
        "anti_islanding", "enter_service", "volt_var", "undervoltage_trip", "overvoltage_trip",
        "underfrequency_trip", "overfrequency_trip",
    }  # fmt: skip
    assert "older SunSpec models (103, 124)" in lacks["volt_var"]
    bench.driver.configure(DeviceSettings(support=SupportSettings(volt_watt=VoltWatt(), frequency_droop=None)))
    assert set(bench.driver.lacks or {}) == {"anti_islanding", "volt_watt"}


async def test_charging_from_the_grid_is_allowed_once(bench: Bench) -> None:
    bench.device.put(124, "ChaGriSet", 0)
    await bench.order(1_000.0, 2.0)
    assert bench.device.point(124, "ChaGriSet") == 1
    assert bench.device.writes.count("124.ChaGriSet") == 1


def legacy_images(inverter: int = 103) -> list[ModelImage]:
    """A storage inverter of 10 kW that stands still; floats for 111 to 113."""
    images = {number: ModelImage.blank(load_model(number)) for number in (1, inverter, 120, 121, 122, 123, 124)}
    images[1].set("SN", "7")
    for image in images.values():
        for name, point in image.model.points.items():
            if point.type == "sunssf":
                image.set(name, -2 if name == "InOutWRte_SF" else 0)
    for number, name, value in (
        (inverter, "W", 0), (inverter, "PhVphA", 230), (inverter, "Hz", 50), (inverter, "St", 4), (inverter, "Evt1", 0),
        (120, "WRtg", 10_000), (120, "MaxChaRte", 10_000), (120, "MaxDisChaRte", 10_000), (124, "WChaMax", 10_000),
        (124, "StorCtl_Mod", 0), (124, "OutWRte", 100), (124, "InWRte", 100),
    ):  # fmt: skip
        images[number].set(name, value)
    return list(images.values())


@pytest.mark.parametrize("inverter", [101, 102, 103, 111, 112, 113])
@pytest.mark.parametrize("base", [40000, 50000, 0])
async def test_every_inverter_model_at_every_base_address(
    memory_link: Any, clock: ManualClock, inverter: int, base: int
) -> None:
    driver = SunSpecInverter(EVSE, memory_link(Chain(legacy_images(inverter), base)), clock)
    await driver.apply(InverterCommand(power_w=-2_500.0))
    reading = await driver.read()
    assert (reading.setpoint_w, reading.voltage_v, reading.frequency_hz) == (-2_500.0, 230.0, 50.0)
    assert (reading.state, reading.connected, reading.max_discharge_w) == ("MPPT", True, 10_000.0)


async def test_models_out_of_order_are_no_matter(memory_link: Any, clock: ManualClock) -> None:
    common, *others = legacy_images()
    driver = SunSpecInverter(EVSE, memory_link(Chain([common, *others[::-1]])), clock)
    assert (await driver.read()).voltage_v == 230.0


async def test_a_device_whose_rates_are_not_implemented_is_refused(memory_link: Any, clock: ManualClock) -> None:
    images = legacy_images()
    images[-1].set("InWRte", None)
    driver = SunSpecInverter(EVSE, memory_link(Chain(images)), clock)
    with pytest.raises(DeviceError, match="124 has no InWRte: nothing sets its power"):
        await driver.read()


async def test_a_device_without_a_power_reading_is_refused(memory_link: Any, clock: ManualClock) -> None:
    images = legacy_images(113)
    images[1].set("W", None)
    driver = SunSpecInverter(EVSE, memory_link(Chain(images)), clock)
    with pytest.raises(DeviceError, match="model 113 has no active power"):
        await driver.read()


async def test_shorter_models_lack_what_lies_beyond_their_end(memory_link: Any, clock: ManualClock) -> None:
    images = legacy_images()
    nameplate = images[2]
    end = nameplate.model.point("WHRtg").offset
    nameplate.registers = nameplate.registers[:end]
    nameplate.registers[1] = end - 2
    driver = SunSpecInverter(EVSE, memory_link(Chain(images)), clock)
    reading = await driver.read()
    assert (reading.max_charge_w, reading.max_discharge_w) == (10_000.0, 10_000.0), "of WChaMax and WRtg"


@settings(max_examples=examples(100))
@given(
    exponent=st.integers(-3, 0),
    cha_max_w=st.integers(1, 60_000),
    discharge_w=st.one_of(st.none(), st.integers(0, 60_000)),
    share=st.floats(-1.0, 1.0),
)
def test_rates_never_order_more_than_was_asked_and_read_back_as_written(
    exponent: int, cha_max_w: int, discharge_w: int | None, share: float
) -> None:
    images = {image.model.id: image for image in legacy_images()}
    images[120].set("MaxDisChaRte", discharge_w)
    images[120].set("WRtg", 60_000)
    storage = images[124]
    storage.set("InOutWRte_SF", exponent)
    storage.set("WChaMax", cha_max_w)
    storage.set("StorCtl_Mod", 3)
    charge_w, most_w = status.ratings(images)
    power_w = share * (charge_w if share > 0 else most_w)
    out_pct = status.rates(power_w, images)
    assert out_pct is not None
    storage.set("OutWRte", out_pct)
    storage.set("InWRte", -out_pct)
    shown_w, in_force = status.shown_w(images)
    assert in_force
    step_w = 10.0**exponent / 100.0 * status.rate_base_w(images)
    assert abs(shown_w) <= abs(power_w) * (1 + 1e-6) + 1e-6
    assert abs(power_w - shown_w) <= step_w * (1 + 1e-6) or abs(out_pct) == pytest.approx(32.767)
    assert shown_w * power_w >= 0
