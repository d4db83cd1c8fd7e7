from __future__ import annotations

from dataclasses import replace
from math import nan, sqrt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.control_world import World
from v2g.dispatch.orders import Grant
from v2g.guard.status import GuardStatus, Permit
from v2g.hardware.ports import InverterReading
from v2g.orchestrator.recorder import Recorder
from v2g.telemetry.history import EvseMinute, History, MinuteRow, TripRow, read_minutes
from v2g.thermal.sensor_watch import Health, SensorReport
from v2g.thermal.view import ThermalView

E1, E2 = "US*V2G*E1", "US*V2G*E2"
START_S = 1_764_000_000.0
"""A minute begins here; the row of this minute is START_MIN + 1."""
START_MIN = int(START_S // 60)

GUARD = GuardStatus(
    as_of_s=0.0,
    permit=Permit.GRANTED,
    breaker_commanded_closed=True,
    breaker_closed=True,
    transformer_w=60e3,
    transformer_var=20e3,
    feeder_w=-15e3,
    feeder_var=1e3,
    measured=True,
    load_measured=True,
)


def sensor(read: float | None) -> SensorReport:
    return SensorReport(health=Health.OK, value=read, read=read, since_s=0.0)


VIEW = ThermalView(
    lo_w=-40e3,
    hi_w=90e3,
    top_oil_c=52.0,
    hot_spot_c=63.0,
    ambient_c=21.5,
    k_pu=0.3,
    load_w=60e3,
    base_load_w=75e3,
    bias_k=-1.5,
    f_hl=1.2,
    ageing_rate=0.01,
    sensors={"top_oil_c": sensor(51.75), "ambient_c": sensor(21.5)},
)


class Site:
    """Cycles every 100 ms, and what comes out of them."""

    def __init__(self) -> None:
        self.minutes: list[MinuteRow] = []
        self.evses: dict[int, tuple[EvseMinute, ...]] = {}
        self.trips: list[TripRow] = []
        self.unix_s, self.now_s = START_S, 1000.0
        self.view, self.guard, self.guard_age_s = VIEW, GUARD, 0.02
        self.powers: dict[str, float] = {}
        self.inverter_age_s = 0.05
        self.grants: dict[str, Grant] = {}
        self.bays: dict[str, Any] = {E1: SimpleNamespace(procedure=None), E2: SimpleNamespace(procedure=None)}
        self.recorder = Recorder(self, self.bays)

    def put_minute(self, row: MinuteRow, evses: tuple[EvseMinute, ...] = ()) -> None:
        self.minutes.append(row)
        self.evses[row.unix_min] = evses

    def put_trip(self, row: TripRow) -> None:
        self.trips.append(row)

    def run(self, seconds: float, period_s: float = 0.1) -> None:
        for _ in range(round(seconds / period_s)):
            self.recorder.add(
                self.view,
                msgspec.structs.replace(self.guard, as_of_s=self.now_s - self.guard_age_s),
                [
                    InverterReading(
                        evse_id=evse_id,
                        as_of_s=self.now_s - self.inverter_age_s,
                        power_w=power_w,
                        max_charge_w=22e3,
                        max_discharge_w=22e3,
                        connected=True,
                        reversion_armed=True,
                        anti_islanding=True,
                    )
                    for evse_id, power_w in self.powers.items()
                ],
                self.grants,
                self.bays,
                self.unix_s,
                self.now_s,
            )
            self.unix_s = round(self.unix_s + period_s, 3)
            self.now_s = round(self.now_s + period_s, 3)

    def vehicle(self, evse_id: str, soc_pct: int | None, granted_w: float) -> None:
        self.bays[evse_id] = SimpleNamespace(procedure=SimpleNamespace(evccid="WMIV1", soc_pct=soc_pct))
        self.grants[evse_id] = Grant(evse_id=evse_id, power_w=granted_w, bound_by=None, order_id=1)


@pytest.fixture
def site() -> Site:
    return Site()


def test_a_minute_comes_out_when_the_next_one_begins(site: Site) -> None:
    site.run(60.0)
    assert site.minutes == []
    site.run(0.1)
    (row,) = site.minutes
    assert row.unix_min == START_MIN + 1
    values = msgspec.structs.asdict(row)
    assert {name: pytest.approx(value) for name, value in values.items() if value is not None} == {
        "unix_min": START_MIN + 1,
        **{"base_w": 75e3, "base_var": 19e3, "load_w": 60e3, "v2g_w": -15e3, "k_pu": 0.3, "f_hl": 1.2},
        **{"ambient_read_c": 21.5, "top_oil_read_c": 51.75, "ambient_c": 21.5, "top_oil_c": 52.0, "hot_spot_c": 63.0},
        **{"bias_k": -1.5, "lo_w": -40e3, "hi_w": 90e3, "ageing_rate": 0.01},
    }
    assert row.winding_read_c is None
    assert site.evses[row.unix_min] == ()


def test_the_frequency_comes_with_its_extremes_and_a_dead_input_is_none(site: Site) -> None:
    for frequency_hz, seconds in ((60.02, 30.0), (59.4, 0.1), (61.2, 0.1), (0.0, 5.0), (None, 5.0), (60.02, 20.0)):
        site.guard = msgspec.structs.replace(GUARD, frequency_hz=frequency_hz)
        site.run(seconds)
    (row,) = site.minutes
    assert row.frequency_hz == pytest.approx(60.02, abs=0.005)
    assert (row.frequency_min_hz, row.frequency_max_hz) == (59.4, 61.2)
    site.guard_age_s = 0.5
    site.run(120.0)
    stale = site.minutes[-1]
    assert (stale.frequency_hz, stale.frequency_min_hz, stale.frequency_max_hz) == (None, None, None)


def test_means_are_weighted_by_time_k_is_a_root_mean_square_and_the_interval_the_narrowest(site: Site) -> None:
    site.run(30.0)
    site.view = replace(VIEW, k_pu=0.9, load_w=120e3, lo_w=-10e3, hi_w=120e3)
    site.run(0.1)
    site.view = replace(VIEW, k_pu=0.9, load_w=120e3, lo_w=-50e3, hi_w=70e3)
    site.run(30.5, period_s=0.5)
    (row,) = site.minutes
    assert row.k_pu == pytest.approx(sqrt((0.09 + 0.81) / 2), rel=2e-3)
    assert row.load_w == pytest.approx(90e3, rel=5e-3)
    assert (row.lo_w, row.hi_w) == (-10e3, 70e3)


def test_what_was_not_measured_is_missing_and_not_zero(site: Site) -> None:
    site.view = ThermalView(hi_w=5.0)
    site.guard = msgspec.structs.replace(GUARD, measured=False, load_measured=False)
    site.run(60.1)
    (row,) = site.minutes
    present = {name for name, value in msgspec.structs.asdict(row).items() if value is not None}
    assert present == {"unix_min", "lo_w", "hi_w"}


def test_a_stale_guard_measures_nothing(site: Site) -> None:
    site.guard_age_s = 0.5
    site.run(60.1)
    assert (site.minutes[0].v2g_w, site.minutes[0].base_var) == (None, None)


@pytest.mark.parametrize(("known_s", "kept"), [(17.0, False), (19.0, True)])
def test_a_value_known_for_less_than_a_third_of_the_minute_is_missing(site: Site, known_s: float, kept: bool) -> None:
    site.view = replace(VIEW, f_hl=None)
    site.run(60.0 - known_s)
    site.view = replace(VIEW, f_hl=2.0)
    site.run(known_s + 0.1)
    assert site.minutes[0].f_hl == (pytest.approx(2.0) if kept else None)


def test_values_that_are_no_numbers_do_not_spoil_the_minute(site: Site) -> None:
    site.run(30.0)
    site.view = replace(VIEW, load_w=nan, k_pu=nan, lo_w=nan, hi_w=nan)
    site.powers = {E1: nan}
    site.run(30.1)
    (row,) = site.minutes
    assert (row.load_w, row.k_pu, row.lo_w) == (pytest.approx(60e3), pytest.approx(0.3), -40e3)


def test_an_evse_with_a_vehicle_has_its_power_grant_and_last_soc(site: Site) -> None:
    site.vehicle(E1, 62, -8000.0)
    site.powers = {E1: -7900.0, E2: 0.2, "unknown": 5e3}
    site.run(30.0)
    site.vehicle(E1, 61, -4000.0)
    site.powers[E1] = -3900.0
    site.run(30.1)
    (evse,) = site.evses[START_MIN + 1]
    assert (evse.evse_id, evse.vehicle, evse.soc_pct, evse.unix_min) == (E1, "WMIV1", 61, START_MIN + 1)
    assert evse.power_w == pytest.approx(-5900.0, rel=1e-2)
    assert evse.granted_w == pytest.approx(-6000.0, rel=1e-2)


def test_power_without_a_vehicle_is_recorded_too_and_a_silent_inverter_is_unknown(site: Site) -> None:
    site.powers = {E2: 350.0}
    site.run(60.0)
    site.vehicle(E1, None, 0.0)
    site.inverter_age_s = 3.0
    site.run(60.1)
    (first,) = site.evses[START_MIN + 1]
    assert (first.evse_id, first.vehicle, first.power_w, first.soc_pct) == (E2, "", pytest.approx(350.0), None)
    (second,) = site.evses[START_MIN + 2]
    assert (second.evse_id, second.power_w, second.granted_w) == (E1, None, 0.0)


def test_a_vehicle_that_left_within_the_minute_is_still_in_it_and_not_in_the_next(site: Site) -> None:
    site.vehicle(E1, 80, 0.0)
    site.run(20.0)
    site.bays[E1] = SimpleNamespace(procedure=None)
    site.run(100.1)
    assert [row.vehicle for row in site.evses[START_MIN + 1]] == ["WMIV1"]
    assert site.evses[START_MIN + 2] == ()


def trip(element: str, at_s: float) -> GuardStatus:
    return msgspec.structs.replace(
        GUARD, trip_element=element, trip_at_s=at_s, trip_value=1.21, trip_unit="pu", trip_phase="b"
    )


def test_a_trip_is_recorded_once_with_the_time_at_which_it_was(site: Site) -> None:
    site.run(10.0)
    site.guard = trip("OV2", site.now_s - 0.06)
    site.run(30.0)
    (row,) = site.trips
    assert row == TripRow(unix_s=row.unix_s, element="OV2", value=1.21, unit="pu", phase="b")
    assert row.unix_s == pytest.approx(START_S + 10.0 - 0.06)


def test_a_status_that_is_missing_for_a_moment_makes_no_second_trip_and_a_new_one_does(site: Site) -> None:
    site.guard = tripped = trip("OV2", site.now_s)
    site.run(1.0)
    site.guard = GUARD
    site.run(1.0)
    site.guard = tripped
    site.run(1.0)
    assert len(site.trips) == 1
    site.guard = trip("OV2", site.now_s)
    site.run(1.0)
    assert [row.element for row in site.trips] == ["OV2", "OV2"]


def test_in_compressed_time_a_trip_has_the_minute_of_its_moment() -> None:
    site = Site()
    site.recorder = Recorder(site, site.bays, speed=60.0)
    site.guard = trip("OF2", site.now_s - 2.0)
    site.run(0.1)
    assert [row.unix_s for row in site.trips] == [pytest.approx(START_S - 120.0)]


def test_a_trip_from_before_the_start_has_its_own_time(site: Site) -> None:
    site.guard = trip("UF1", site.now_s - 3600.0)
    site.run(0.2)
    assert [row.unix_s for row in site.trips] == [pytest.approx(START_S - 3600.0)]


def test_a_minute_that_was_hardly_seen_is_none(site: Site) -> None:
    site.unix_s += 45.0
    site.run(15.0)
    site.run(60.0)
    site.run(0.1)
    assert [row.unix_min - START_MIN for row in site.minutes] == [2]


def test_a_pause_counts_as_one_second_and_leaves_its_minutes_out(site: Site) -> None:
    for seconds in (30.0, 10.0, 31.0):
        site.run(seconds)
        site.unix_s += 600.0
        site.now_s += 600.0
    assert [row.unix_min - START_MIN for row in site.minutes] == [1, 21]


def test_a_clock_set_ahead_ends_the_minute(site: Site) -> None:
    site.run(40.0)
    site.unix_s += 7200.0
    site.run(60.0)
    assert [row.unix_min - START_MIN for row in site.minutes] == [1, 121]


def test_a_clock_set_back_comes_by_the_same_minutes_again(site: Site) -> None:
    site.run(90.0)
    site.unix_s -= 90.0
    site.view = replace(VIEW, load_w=10e3)
    site.run(120.1)
    assert [row.unix_min - START_MIN for row in site.minutes] == [1, 2, 1, 2]
    assert site.minutes[2].load_w == pytest.approx(10e3)


def test_a_clock_that_trembles_at_the_minute_does_not_replace_a_whole_one_by_a_moment(site: Site) -> None:
    site.run(60.1)
    site.unix_s -= 0.4
    site.run(1.0)
    site.run(60.0)
    assert [row.unix_min - START_MIN for row in site.minutes] == [1, 2]


def test_at_the_end_the_minute_under_way_is_handed_over(site: Site) -> None:
    site.run(30.0)
    site.recorder.close()
    site.recorder.close()
    assert [row.unix_min - START_MIN for row in site.minutes] == [1]


@given(steps=st.lists(st.tuples(st.floats(0.0, 30.0), st.floats(-1e5, 1e5)), min_size=1, max_size=60))
def test_means_lie_between_the_extremes_whatever_the_steps(steps: list[tuple[float, float]]) -> None:
    site = Site()
    for step_s, load_w in steps:
        site.view = replace(VIEW, load_w=load_w)
        site.unix_s += step_s
        site.now_s += step_s
        site.run(0.1)
    site.recorder.close()
    loads = [load_w for _, load_w in steps]
    for row in site.minutes:
        assert row.load_w is None or min(loads) - 1e-3 <= row.load_w <= max(loads) + 1e-3
    assert len({row.unix_min for row in site.minutes}) == len(site.minutes)


def test_what_the_real_site_knows_goes_into_a_real_file(world: World, tmp_path: Path) -> None:
    history = History(tmp_path / "h.sqlite", keep_days=400, max_bytes=64 << 20)
    recorder = Recorder(history, world.site.bays)
    for n in range(300):
        world.clock.advance(0.1)
        assert world.cycle.run_once()
        image, decision = world.site.image, world.site.decision
        assert image is not None
        assert image.wires is not None
        assert decision is not None
        recorder.add(
            VIEW,
            image.guard,
            image.wires.inverters,
            decision.grants,
            world.site.bays,
            START_S + n * 0.1,
            world.clock.monotonic_s(),
        )
    recorder.close()
    history.start()
    history.close(10.0)
    (row,) = read_minutes(tmp_path / "h.sqlite", 0, 1 << 40)
    assert (row.load_w, row.v2g_w) == (pytest.approx(60e3), 0.0)
