"""``wires`` against the simulated plant: functions reach the inverter, and power does what the guard's word asks."""

from __future__ import annotations

import asyncio

import pytest

from support.wired_plant import RATED_W, MakeBench, settings_with
from v2g.grid.profiles import resolve
from v2g.grid.settings import Operation
from v2g.grid.support import FrequencyDroop, SupportSettings
from v2g.guard.status import Permit

pytestmark = pytest.mark.soak


async def test_the_inverter_holds_the_sites_functions_and_does_droop_itself(make_bench: MakeBench) -> None:
    bench = await make_bench({"volt_var": {"enabled": True}, "frequency_droop": {"response_s": 0.5, "k_of": 0.04}})
    made = bench.inverter.functions
    took_s = await bench.until(lambda: made.volt_var.enabled and made.droop.enabled and made.trips[710].enabled, 15.0)
    assert took_s < 12.0
    assert made.trips[707].points[1::2] == ((50, 2), (88, 21))
    await bench.discharging()
    assert bench.client.image.devices[0].lacks == ()
    bench.disturb(hz=60.0 + 0.036 + 0.24)
    await bench.until(lambda: abs(bench.inverter.power_w + 9_000 - 0.1 * RATED_W) < 100)
    assert bench.applied == (-9_000, None)
    bench.disturb(v_pu=1.06)
    await bench.until(lambda: abs(bench.inverter.reactive_var - 0.44 * RATED_W * 4 / 6) < 200, 20.0)


async def test_what_it_lacks_is_computed_and_commanded(make_bench: MakeBench) -> None:
    functions = {"volt_var": {"enabled": True, "response_s": 1.0}, "frequency_droop": {"response_s": 0.5}}
    bench = await make_bench(functions, frozenset({705, 711}))
    await bench.discharging()
    await bench.until(lambda: bench.client.image.devices[0].lacks, 15.0)
    assert bench.client.image.devices[0].lacks == ("frequency_droop", "volt_var")
    bench.disturb(hz=60.336)
    await bench.until(lambda: abs(bench.inverter.power_w + 9_000 - 0.1 * RATED_W) < 100)
    assert bench.applied[1] == "frequency_droop"
    bench.disturb(v_pu=1.08)
    await bench.until(lambda: abs(bench.inverter.reactive_var - 0.44 * RATED_W) < 200)
    bench.permit = Permit.TRIPPED
    assert await bench.until(lambda: abs(bench.inverter.power_w) < 1 and bench.inverter.reactive_var == 0) < 0.5


async def test_momentary_cessation_keeps_the_inverter_in_service_and_power_is_back_in_time(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench()
    await bench.until(lambda: bench.inverter.functions.rides_through_low, 15.0)
    await bench.discharging()
    bench.disturb(v_pu=0.3)
    bench.operation = Operation.MOMENTARY_CESSATION
    assert await bench.until(lambda: bench.inverter.power_w == 0) < 0.1
    await asyncio.sleep(0.8)
    assert bench.applied == (0, "momentary_cessation")
    assert bench.inverter.connected
    bench.disturb()
    bench.operation = Operation.CONTINUOUS
    # 80 % of what it was, within 0.4 s after the voltage is back; the plant itself ramps with its rating a second.
    assert await bench.until(lambda: bench.inverter.power_w < -0.8 * 9_000) < 0.4 + 0.8 * 9_000 / RATED_W
    assert bench.inverter.trips == 0


async def test_a_failed_breaker_takes_power_to_zero_and_opens_the_contactors(make_bench: MakeBench) -> None:
    bench = await make_bench()
    await bench.discharging()
    bench.permit = Permit.BREAKER_FAILED
    assert await bench.until(lambda: abs(bench.inverter.power_w) < 1) < 0.6
    assert await bench.until(lambda: not bench.charger.stage.contactors.closed) < 1.5


async def test_settings_that_the_guard_adopts_reach_the_inverter_without_a_restart(make_bench: MakeBench) -> None:
    bench = await make_bench(without=frozenset({711}))
    made = bench.inverter.functions
    await bench.discharging()
    await bench.until(lambda: made.trips[708].enabled and made.trips[710].enabled, 15.0)
    assert made.trips[708].points[2:4] == ((120, 13), (110, 13))
    grid = resolve(
        nominal_frequency_hz=60.0,
        category="III",
        trips={"OV1": {"time_s": 5.0}},
        enter_service={"delay_s": 1.0, "ramp_s": 1.0, "f_hi_hz": 60.5},
    )
    droop = FrequencyDroop(response_s=0.5, k_of=0.04)
    bench.settings = settings_with(grid, SupportSettings(frequency_droop=droop))
    await bench.until(lambda: made.trips[708].points[2:4] == ((120, 5), (110, 5)), 15.0)
    assert bench.inverter.enter_service_high_hz == 60.5
    # What it lacks is computed by the new settings too, and power went on meanwhile.
    assert bench.applied == (-9_000, None)
    bench.disturb(hz=60.0 + 0.036 + 0.24)
    await bench.until(lambda: abs(bench.inverter.power_w + 9_000 - 0.1 * RATED_W) < 100)
    assert bench.applied[1] == "frequency_droop"


async def test_an_inverter_that_trips_by_itself_waits_for_the_sites_delay(make_bench: MakeBench) -> None:
    bench = await make_bench()
    await bench.until(lambda: bench.inverter.functions.trips[710].enabled, 15.0)
    await bench.discharging()
    bench.inverter.tripped = "OVER_FREQUENCY"
    await bench.until(lambda: bench.applied == (0, "device_fault"))
    bench.inverter.tripped = None
    assert await bench.until(lambda: bench.applied == (0, "enter_service")) < 1.0
    assert await bench.until(lambda: bench.applied == (-9_000, None)) == pytest.approx(1.0, abs=0.2)
