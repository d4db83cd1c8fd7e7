"""The site's functions in an inverter: written, adopted, read back; what a device lacks is told, not raised."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.clock import ManualClock
from v2g.grid.profiles import resolve
from v2g.grid.settings import Measured, Side, TripSetting, TripSettings
from v2g.grid.support import (
    ConstantPowerFactor,
    FrequencyDroop,
    Points,
    SupportSettings,
    VoltVar,
    VoltWatt,
    WattVar,
)
from v2g.hardware.inverter_driver import DeviceSettings
from v2g.hardware.ports import DeviceError, InverterCommand
from v2g.hardware.registers import Table
from v2g.hardware.sunspec.discovery import discover
from v2g.hardware.sunspec.functions import ADOPT_WITHIN_S, LOOK_AGAIN_S, FunctionsWriter
from v2g.hardware.sunspec.groups import read_model
from v2g.hardware.sunspec.inverter import SunSpecInverter
from v2g.hardware.sunspec.wanted import momentary_cessation, stored_sets, trip_curve
from v2g.simulation.inverter import SimInverter
from v2g.simulation.sunspec_image import SunSpecImage

EXTREMES = {"UV": (Side.UNDER, Measured.VOLTAGE), "OV": (Side.OVER, Measured.VOLTAGE),
            "UF": (Side.UNDER, Measured.FREQUENCY), "OF": (Side.OVER, Measured.FREQUENCY)}  # fmt: skip


def trips(**elements: tuple[float, float]) -> TripSettings:
    made = []
    for name, (threshold, time_s) in elements.items():
        side, quantity = EXTREMES[name[:2]]
        made.append(TripSetting(name, quantity, side, threshold, time_s, "Table"))
    return TripSettings("III", 60.0, tuple(made))


GRID = resolve(nominal_frequency_hz=60.0, category="III", enter_service={"delay_s": 1.5, "ramp_s": 4.0})
ALL = DeviceSettings(support=SupportSettings(volt_var=VoltVar(), volt_watt=VoltWatt()), grid=GRID)


class Wired:
    """The plant's inverter in memory, as a device for the link of the tests."""

    def __init__(self, clock: ManualClock, without_models: frozenset[int] = frozenset()) -> None:
        self.clock = clock
        self.inverter = SimInverter(rated_w=22_000.0, nominal_voltage_v=277.0, nominal_frequency_hz=60.0)
        self.image = SunSpecImage(self.inverter, "1", threading.RLock(), without_models)
        self.writes: list[int] = []
        self.lies: dict[str, float] = {}

    def read(self, table: Table, address: int, count: int) -> list[int] | None:
        assert count <= 125
        first, length = self.image.span(table)
        if not first <= address <= first + length - count:
            return None
        return self.image.render(table, self.lies, self.clock.monotonic_s())[address - first :][:count]

    def write(self, address: int, values: list[int]) -> bool:
        assert len(values) <= 123
        self.writes.append(address)
        return self.image.write(address, values, self.clock.monotonic_s())


class Bench:
    def __init__(self, wired: Wired, link: Any, settings: DeviceSettings) -> None:
        self.wired, self.link, self.clock = wired, link, wired.clock
        self.writer = FunctionsWriter(link, wired.clock, settings)

    @property
    def functions(self) -> Any:
        return self.wired.inverter.functions

    async def connect(self) -> None:
        self.writer.connected(await discover(self.link))

    async def run(self, seconds: float = 30.0) -> dict[str, str]:
        """Until it is done; the time that devices need passes in steps."""
        for _ in range(round(seconds / 0.2)):
            await self.writer.advance()
            if self.writer.lacks is not None:
                return dict(self.writer.lacks)
            self.clock.advance(0.2)
        raise AssertionError("not done")


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(memory_link: Any, clock: ManualClock) -> MakeBench:
    def make(settings: DeviceSettings = ALL, without: frozenset[int] = frozenset()) -> Bench:
        wired = Wired(clock, without)
        return Bench(wired, memory_link(wired), settings)

    return make


async def test_everything_is_in_force_afterwards(make_bench: MakeBench) -> None:
    bench = make_bench()
    await bench.connect()
    assert await bench.run() == {}
    made = bench.functions
    assert (made.droop.enabled, made.droop.db_of_hz, made.droop.k_of, made.droop.response_s) == (True, 0.036, 0.05, 5.0)
    assert made.volt_var.enabled
    assert made.volt_var.points == ((92, 44), (98, 0), (102, 0), (108, -44))
    assert made.volt_var.response_s == 5.0
    assert (made.volt_watt.enabled, made.volt_watt.points) == (True, ((106, 100), (110, 20)))
    assert not made.watt_var.enabled
    inverter = bench.wired.inverter
    assert (inverter.enter_service_low_pu, inverter.enter_service_high_pu) == (pytest.approx(0.917), 1.05)
    assert (inverter.enter_service_low_hz, inverter.enter_service_high_hz) == (59.5, 60.1)
    assert (inverter.enter_service_delay_s, inverter.enter_service_ramp_s) == (0, 1), "the breaker does it for the site"


async def test_a_device_of_old_settings_does_not_wait_a_second_time_behind_the_breaker(make_bench: MakeBench) -> None:
    bench = make_bench()
    inverter = bench.wired.inverter
    inverter.permit_service = False
    inverter.enter_service_delay_s = inverter.enter_service_ramp_s = inverter.enter_service_random_s = 300.0
    await bench.connect()
    assert await bench.run() == {}
    assert inverter.permit_service
    assert (inverter.enter_service_delay_s, inverter.enter_service_random_s, inverter.enter_service_ramp_s) == (0, 0, 1)


async def test_the_devices_trips_equal_the_sites_in_the_profiles_five_points(make_bench: MakeBench) -> None:
    bench = make_bench()
    await bench.connect()
    await bench.run()
    trips = bench.functions.trips
    assert trips[707].points == ((40, 2), (50, 2), (50, 21), (88, 21), (88, 22))
    assert trips[708].points == ((130, 0.16), (120, 0.16), (120, 13), (110, 13), (110, 14))
    assert trips[709].points == ((55.5, 0.16), (56.5, 0.16), (56.5, 300), (58.5, 300), (58.5, 301))
    assert trips[710].points == ((63, 0.16), (62, 0.16), (62, 300), (61.2, 300), (61.2, 301))
    assert (trips[707].ceases_at_pct, trips[708].ceases_at_pct) == (50, 110)
    assert all(trip.enabled for trip in trips.values())


async def test_a_second_look_writes_nothing_and_a_difference_is_mended(make_bench: MakeBench) -> None:
    bench = make_bench()
    await bench.connect()
    await bench.run()
    bench.wired.writes.clear()
    await bench.writer.advance()
    assert bench.wired.writes == []
    bench.clock.advance(LOOK_AGAIN_S)
    await bench.writer.advance()
    assert bench.wired.writes == []
    bench.wired.image.curves.images[705].set("Crv[1].Pt[1].Var", 30.0)
    bench.wired.image.curves.images[711].set("Ena", 0)
    bench.wired.inverter.anti_islanding = False
    bench.clock.advance(LOOK_AGAIN_S)
    for _ in range(20):
        await bench.writer.advance()
        bench.clock.advance(0.2)
    assert bench.functions.volt_var.points[0] == (92, 44)
    assert bench.functions.droop.enabled
    assert bench.wired.inverter.anti_islanding
    assert bench.writer.lacks == {}


async def test_a_device_that_has_it_already_is_not_written_after_a_new_connection(make_bench: MakeBench) -> None:
    bench = make_bench()
    await bench.connect()
    await bench.run()
    bench.wired.writes.clear()
    await bench.connect()
    await bench.writer.advance()
    assert bench.wired.writes == []


async def test_models_that_are_not_there_are_told_and_the_rest_is_done(make_bench: MakeBench) -> None:
    bench = make_bench(without=frozenset({703, 705, 709, 711, 712}))
    await bench.connect()
    lacks = await bench.run()
    assert set(lacks) == {"enter_service", "volt_var", "underfrequency_trip", "frequency_droop"}
    assert lacks["frequency_droop"] == "it has no SunSpec model 711"
    assert bench.functions.volt_watt.enabled
    assert bench.functions.trips[710].enabled


async def test_a_device_that_refuses_adoption_is_told_and_stays_off(make_bench: MakeBench) -> None:
    droop = FrequencyDroop(k_of=0.04)
    bench = make_bench(DeviceSettings(support=replace(ALL.support, frequency_droop=droop), grid=GRID))
    bench.wired.image.curves.refuses = {705, 711}
    await bench.connect()
    lacks = await bench.run()
    assert set(lacks) == {"volt_var", "frequency_droop"}
    assert "AdptCrvRslt FAILED" in lacks["volt_var"]
    assert "AdptCtlRslt FAILED" in lacks["frequency_droop"]
    assert not bench.functions.volt_var.enabled
    assert not bench.functions.droop.enabled
    assert bench.functions.volt_watt.enabled


async def test_a_device_that_knows_reactive_power_in_percent_of_its_largest_gets_it_so(make_bench: MakeBench) -> None:
    bench = make_bench()
    curves = bench.wired.image.curves
    curves.var_reference, curves.var_max_pu = 1, 0.5
    bench.wired.lies |= {"702.VarMaxInjRtg": 11_000.0, "702.VarMaxAbsRtg": 12_000.0}
    await bench.connect()
    assert await bench.run() == {}
    assert curves.images[705].number("Crv[1].Pt[1].Var") == 88.0
    assert bench.functions.volt_var.points == ((92, 44), (98, 0), (102, 0), (108, -44))
    bench.wired.writes.clear()
    bench.clock.advance(LOOK_AGAIN_S)
    await bench.writer.advance()
    assert bench.wired.writes == []


async def test_a_reactive_power_that_it_does_not_have_is_not_asked_for(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.wired.image.curves.var_reference = 1
    bench.wired.lies |= {"702.VarMaxInjRtg": 5_500.0, "702.VarMaxAbsRtg": 5_500.0}
    await bench.connect()
    assert "AdptCrvRslt FAILED" in (await bench.run())["volt_var"]


async def test_adoption_that_never_ends_is_given_up(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.wired.lies["706.AdptCrvRslt"] = 0
    await bench.connect()
    started_s = bench.clock.monotonic_s()
    lacks = await bench.run()
    assert "did not finish adopting" in lacks["volt_watt"]
    assert bench.clock.monotonic_s() - started_s < ADOPT_WITHIN_S + 5


async def test_a_device_that_adopts_something_else_is_found_out(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.wired.lies["706.Crv[1].Pt[2].V"] = 109.0
    await bench.connect()
    assert "holds other values than written" in (await bench.run())["volt_watt"]


async def test_a_resolution_that_is_too_coarse_is_a_lack(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.wired.image.curves.images[708].set("Tms_SF", 0)
    await bench.connect()
    lacks = await bench.run()
    assert set(lacks) == {"overvoltage_trip"}
    assert "its resolution makes 0 of 0.16" in lacks["overvoltage_trip"]


async def test_without_a_writable_set_nothing_is_forced(make_bench: MakeBench) -> None:
    bench = make_bench()
    for number in (2, 3):
        bench.wired.image.curves.images[706].set(f"Crv[{number}].ReadOnly", 1)
    await bench.connect()
    assert "no stored set that may be written" in (await bench.run())["volt_watt"]


async def test_what_is_not_wanted_is_switched_off_before_the_rest_comes_on(make_bench: MakeBench) -> None:
    bench = make_bench(DeviceSettings(support=SupportSettings(watt_var=WattVar()), grid=GRID))
    bench.functions.volt_var.enabled = True
    bench.wired.image.curves.images[705].set("Ena", 1)
    await bench.connect()
    assert await bench.run() == {}
    assert not bench.functions.volt_var.enabled
    assert bench.functions.watt_var.enabled
    assert bench.functions.watt_var.points == ((0, 0), (0, 0), (0, 0), (20, 0), (50, 0), (100, -44))


async def test_a_constant_power_factor_is_set_for_both_directions_and_withdrawn(make_bench: MakeBench) -> None:
    factor = ConstantPowerFactor(power_factor=0.95, over_excited=False)
    bench = make_bench(DeviceSettings(support=SupportSettings(constant_pf=factor)))
    await bench.connect()
    assert await bench.run() == {}
    for made in (bench.functions.pf_injecting, bench.functions.pf_absorbing):
        assert (made.enabled, made.pf, made.over_excited) == (True, 0.95, False)
    bench.writer = FunctionsWriter(bench.link, bench.clock, DeviceSettings(support=SupportSettings()))
    await bench.connect()
    assert await bench.run() == {}
    assert not bench.functions.pf_injecting.enabled


async def test_without_settings_of_the_site_trips_and_enter_service_stay_as_they_are(make_bench: MakeBench) -> None:
    bench = make_bench(replace(ALL, grid=None))
    before = bench.functions.trips[707].points
    await bench.connect()
    assert await bench.run() == {}
    assert bench.functions.trips[707].points == before
    assert bench.wired.inverter.enter_service_delay_s == 1.0


async def test_other_settings_are_written_from_the_start_even_while_the_ones_before_are(make_bench: MakeBench) -> None:
    bench = make_bench()
    await bench.connect()
    await bench.writer.advance()
    assert bench.writer.lacks is None, "on the way"
    grid = resolve(nominal_frequency_hz=60.0, category="III", trips={"OV1": {"time_s": 5.0}})
    support = SupportSettings(frequency_droop=None, volt_watt=VoltWatt())
    bench.writer.configure(DeviceSettings(support=support, grid=grid))
    assert await bench.run() == {}
    assert bench.functions.trips[708].points == ((130, 0.16), (120, 0.16), (120, 5), (110, 5), (110, 6))
    assert not bench.functions.droop.enabled
    assert not bench.functions.volt_var.enabled
    bench.writer.configure(ALL)
    await bench.writer.advance()
    for _ in range(50):
        bench.clock.advance(0.2)
        await bench.writer.advance()
    assert bench.functions.droop.enabled
    assert bench.functions.trips[708].points[2:] == ((120, 13), (110, 13), (110, 14))


async def test_a_device_that_is_lost_on_the_way_is_an_error_and_is_gone_through_again(make_bench: MakeBench) -> None:
    bench = make_bench()
    await bench.connect()
    await bench.writer.advance()
    bench.link.lose = 1
    bench.clock.advance(0.2)
    with pytest.raises(DeviceError):
        await bench.writer.advance()
    assert bench.writer.lacks is None
    await bench.connect()
    assert await bench.run() == {}


async def test_the_driver_configures_while_it_reads_and_commands(memory_link: Any, clock: ManualClock) -> None:
    wired = Wired(clock, frozenset({711}))
    driver = SunSpecInverter("US*V2G*E1", memory_link(wired), clock, 3, ALL)
    reading = None
    for _ in range(60):
        reading = await driver.read()
        await driver.apply(InverterCommand(power_w=0.0))
        clock.advance(0.2)
    assert reading is not None
    assert reading.reversion_armed
    assert reading.anti_islanding
    assert driver.lacks == {"frequency_droop": "it has no SunSpec model 711"}
    assert driver.takes_reactive_power
    assert driver.apparent_rating_va == 22_000.0


async def test_reactive_power_is_commanded_with_its_reversion(memory_link: Any, clock: ManualClock) -> None:
    wired = Wired(clock)
    driver = SunSpecInverter("US*V2G*E1", memory_link(wired), clock, 3)
    await driver.apply(InverterCommand(power_w=5_000.0, reactive_var=2_000.0))
    made = wired.inverter.functions.var_set
    assert (made.enabled, made.var, made.reversion_s) == (True, -2_000.0, 3), "absorbed here is negative there"
    clock.advance(2.9)
    made.check_timer(clock.monotonic_s())
    assert made.var == -2_000.0
    clock.advance(0.2)
    made.check_timer(clock.monotonic_s())
    assert made.var == 0.0
    await driver.apply(InverterCommand(power_w=5_000.0, reactive_var=-99_000.0))
    assert made.var == 22_000.0
    await driver.apply(InverterCommand(power_w=5_000.0))
    assert not made.enabled


def test_a_single_element_makes_three_points_and_three_make_seven() -> None:
    assert trip_curve(trips(UV1=(0.8, 2.0)), Measured.VOLTAGE, Side.UNDER) == ((70, 2), (80, 2), (80, 3))
    assert len(trip_curve(trips(UV1=(0.8, 2), UV2=(0.5, 1), UV3=(0.2, 0.1)), Measured.VOLTAGE, Side.UNDER)) == 7
    assert trip_curve(trips(UV1=(0.8, 2)), Measured.VOLTAGE, Side.OVER) == ()


def test_where_the_standard_asks_for_no_momentary_cessation_there_is_none() -> None:
    assert momentary_cessation(None, Side.UNDER, 2.0) == ()
    assert momentary_cessation(GRID.ride_through, Side.UNDER, 2.0) == ((50, 0), (50, 2))


def test_the_functions_that_go_off_come_first() -> None:
    values = [item.values is None for item in stored_sets(ALL)]
    assert values == sorted(values, reverse=True)


@st.composite
def volt_vars(draw: st.DrawFn) -> VoltVar:
    v2, v3 = draw(st.floats(0.97, 1.0)), draw(st.floats(1.0, 1.03))
    v1, v4 = draw(st.floats(0.82, v2 - 0.02)), draw(st.floats(v3 + 0.02, 1.18))
    q1, q4 = draw(st.floats(0, 1)), draw(st.floats(-1, 0))
    points: Points = ((v1, q1), (v2, 0.0), (v3, 0.0), (v4, q4))
    return VoltVar(points=points, response_s=draw(st.floats(1, 90)))


@settings(max_examples=examples(25), deadline=None)
@given(
    volt_var=volt_vars(),
    droop=st.builds(
        FrequencyDroop,
        db_of_hz=st.floats(0.1, 1.0),
        db_uf_hz=st.floats(0.1, 1.0),
        k_of=st.floats(0.05, 0.05),
        k_uf=st.floats(0.05, 0.05),
        response_s=st.floats(5, 10),
    ),
)
async def test_what_is_written_is_what_is_read_within_the_devices_resolution(
    volt_var: VoltVar, droop: FrequencyDroop
) -> None:
    from v2g.hardware.modbus import LinkState

    class Link:
        """No more than the writer asks of a link."""

        def __init__(self, wired: Wired) -> None:
            self.wired, self.state = wired, LinkState(online=True)

        async def read(self, table: Table, address: int, count: int) -> list[int]:
            registers = self.wired.read(table, address, count)
            if registers is None:
                raise DeviceError("no such registers")
            return registers

        async def write(self, address: int, registers: list[int]) -> None:
            if not self.wired.write(address, registers):
                raise DeviceError("refused")

        def refuse(self, reason: str) -> DeviceError:
            return DeviceError(reason)

    wired = Wired(ManualClock(0.0))
    bench = Bench(wired, Link(wired), DeviceSettings(support=SupportSettings(volt_var=volt_var, frequency_droop=droop)))
    await bench.connect()
    lacks = await bench.run()
    assert not lacks or all("its resolution" in reason for reason in lacks.values())
    locations = await discover(bench.link)
    if "volt_var" not in lacks:
        kept = await read_model(bench.link, locations[705])
        for number, (v, q) in enumerate(volt_var.points, 1):
            assert kept.number(f"Crv[1].Pt[{number}].V") == pytest.approx(100 * v, abs=0.006)
            assert kept.number(f"Crv[1].Pt[{number}].Var") == pytest.approx(100 * q, abs=0.006)
    if "frequency_droop" not in lacks:
        kept = await read_model(bench.link, locations[711])
        assert kept.number("Ctl[1].DbOf") == pytest.approx(droop.db_of_hz, abs=0.0006)
