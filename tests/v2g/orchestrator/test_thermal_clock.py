from __future__ import annotations

import pytest

from v2g.clock import ManualClock
from v2g.orchestrator.local_time import SiteZone
from v2g.orchestrator.thermal_clock import ThermalClock, begin_text, simulated_begin, simulated_speed


def test_the_engine_s_time_is_the_host_s() -> None:
    host = ManualClock()
    clock = ThermalClock(host, SiteZone("UTC"))
    host.advance(90.0)
    moment = clock.moment(host.monotonic_s())
    assert (moment.thermal_s, moment.unix_s) == (host.monotonic_s(), host.unix_s())
    assert moment.local.minute.unix_min == int(host.unix_s() // 60.0)
    assert clock.time_of_day(host.monotonic_s(), 1_800.0) == "22:44"


def test_compressed_time_runs_from_the_start_of_the_clock() -> None:
    host = ManualClock()
    clock = ThermalClock(host, SiteZone("UTC"), speed=60.0)
    assert clock.begin.thermal_s == host.monotonic_s()
    host.advance(10.0)
    moment = clock.moment(host.monotonic_s())
    assert moment.thermal_s - clock.begin.thermal_s == pytest.approx(600.0)
    assert moment.unix_s - clock.begin.unix_s == pytest.approx(600.0)
    assert moment.local.minute.unix_min - clock.begin.local.minute.unix_min == 10


def test_only_a_simulation_compresses_time() -> None:
    asked = {"V2G_SIMULATION_THERMAL_SPEED": "60"}
    assert simulated_speed(asked, simulation=True) == 60.0
    assert simulated_speed(asked, simulation=False) == 1.0
    assert simulated_speed({}, simulation=True) == 1.0


@pytest.mark.parametrize("text", ["fast", "0.5", "-1", "nan", "1e9"])
def test_a_speed_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="give thermal seconds a second"):
        simulated_speed({"V2G_SIMULATION_THERMAL_SPEED": text}, simulation=True)


def test_compressed_time_goes_on_across_a_restart() -> None:
    host = ManualClock()
    told = {"V2G_SIMULATION_THERMAL_BEGIN": begin_text(host)}
    assert simulated_begin(told, simulation=False) is None
    clock = ThermalClock(host, SiteZone("UTC"), speed=60.0, begin=simulated_begin(told, simulation=True))
    host.advance(100.0)
    restarted = ThermalClock(host, SiteZone("UTC"), speed=60.0, begin=simulated_begin(told, simulation=True))
    assert restarted.begin == clock.moment(host.monotonic_s())
    assert restarted.begin.unix_s == pytest.approx(host.unix_s() + 59.0 * 100.0)


@pytest.mark.parametrize("text", ["yesterday", "1", "1 2 3", "nan 5"])
def test_a_begin_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="give monotonic and Unix seconds"):
        simulated_begin({"V2G_SIMULATION_THERMAL_BEGIN": text}, simulation=True)
