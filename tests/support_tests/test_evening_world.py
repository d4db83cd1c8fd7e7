"""The simulated evenings' own physics and figures, so that what they say of a strategy can be believed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest

from support.evening.courses import COLD, DAY_S, HEAT_WAVE, HOT, Conditions, Step, course, days_before
from support.evening.evenings import EVENINGS
from support.evening.figures import Figures
from support.evening.strategies import StaticLimits, Uncontrolled
from support.evening.vehicles import DAY, EVENING, Kind, Spec, draw
from support.evening.world import Evening, Plugged, Reading, World

pytestmark = pytest.mark.soak

CALM = Conditions(weather=HOT, rated_va=100e3, seed=1)
VEHICLE = Spec(
    evse_id="E1",
    kind=Kind.AC_3_SMALL,
    rated_w=11_000.0,
    phases=(1 / 3, 1 / 3, 1 / 3),
    capacity_wh=50_000.0,
    arrives_s=16 * 3600 + 60,
    departs_s=16 * 3600 + 1_800,
    arrival_soc_pct=50.0,
    target_soc_pct=80.0,
    bidirectional=True,
    min_power_w=4_100.0,
    efficiency=0.9,
    delay_s=3,
    ramp_w_s=5_500.0,
    min_soc_pct=0.0,
    tells_capacity=True,
)


@dataclass
class Told:
    """Gives what a function says, and keeps what was seen."""

    power_w: Callable[[float, Plugged], float]
    rests: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[float, float]] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)

    def powers_w(self, reading: Reading, vehicles: Sequence[Plugged]) -> list[float]:
        if reading.now_s >= 16 * 3600:
            self.readings.append(reading)
        self.seen += [(reading.now_s, each.measured_w) for each in vehicles if each.spec.evse_id == "E1"]
        return [self.power_w(reading.now_s, each) for each in vehicles]


def evening(*vehicles: Spec, conditions: Conditions = CALM, hours: float = 0.55) -> Evening:
    return Evening(
        name="test", conditions=conditions, vehicles=vehicles, begins_h=16.0, ends_h=16.0 + hours, warm_days=1
    )


def run(strategy: Told, *vehicles: Spec, hours: float = 0.55, step_s: int = 3) -> tuple[World, Figures]:
    world = World(evening(*vehicles, hours=hours), control_s=step_s, step_s=step_s)
    return world, world.run(strategy)


def flat(power_w: float) -> Told:
    return Told(lambda now_s, vehicle: power_w)


# ---- vehicles ----


def test_a_vehicle_follows_after_its_delay_and_at_its_ramp() -> None:
    told = flat(11_000.0)
    run(told, VEHICLE, hours=0.05, step_s=1)
    powers = [power_w for at_s, power_w in told.seen if at_s < VEHICLE.arrives_s + 8]
    assert powers == [0.0, 0.0, 0.0, 0.0, 5_500.0, 11_000.0, 11_000.0, 11_000.0]


def test_what_flows_in_is_stored_but_for_the_losses() -> None:
    world, figures = run(flat(8_000.0), VEHICLE)
    assert figures.charged_wh == pytest.approx(8_000.0 * 29 / 60, rel=0.005)
    assert world.energy_wh[0] - 25_000.0 == pytest.approx(0.9 * figures.charged_wh, rel=1e-3)


def test_what_flows_out_costs_more_than_it_gives() -> None:
    world, figures = run(flat(-8_000.0), VEHICLE)
    assert figures.discharged_wh == pytest.approx(8_000.0 * 29 / 60, rel=0.005)
    assert 25_000.0 - world.energy_wh[0] == pytest.approx(figures.discharged_wh / 0.9, rel=1e-3)


@pytest.mark.parametrize("power_w", [4_000.0, -4_000.0])
def test_below_its_minimum_a_vehicle_does_nothing(power_w: float) -> None:
    _, figures = run(flat(power_w), VEHICLE)
    assert figures.charged_wh == figures.discharged_wh == 0.0


def test_one_that_cannot_give_does_not() -> None:
    _, figures = run(flat(-8_000.0), replace(VEHICLE, bidirectional=False))
    assert figures.discharged_wh == 0.0


def test_above_80_percent_it_takes_less() -> None:
    told = flat(11_000.0)
    run(told, replace(VEHICLE, arrival_soc_pct=90.0), hours=0.03)
    assert told.seen[-1][1] == pytest.approx(11_000.0 * 0.575, rel=0.01)


def test_one_that_left_takes_nothing_more() -> None:
    told = flat(11_000.0)
    world, _ = run(told, VEHICLE)
    assert told.seen[-1][0] == VEHICLE.departs_s - 3
    assert world.power_w[0] == 0.0


def test_draws_are_within_what_is_written_down() -> None:
    for times, seed in ((EVENING, 1), (DAY, 2)):
        drawn = draw(60, seed, times)
        assert sum(each.bidirectional for each in drawn) == 40
        assert {kind: sum(each.kind is kind for each in drawn) for kind in Kind} == {
            Kind.AC_1: 21,
            Kind.AC_3_SMALL: 15,
            Kind.AC_3: 9,
            Kind.DC: 15,
        }
        phases = np.array([each.phases for each in drawn if each.kind is Kind.AC_1]).sum(axis=0)
        assert phases.tolist() == [7.0, 7.0, 7.0]
        for each in drawn:
            assert times.arrives_h[0] <= each.arrives_s / 3600.0 <= times.arrives_h[1]
            assert times.departs_h[0] <= each.departs_s / 3600.0 <= times.departs_h[1]
            assert 40_000.0 <= each.capacity_wh <= 100_000.0
            assert 15.0 <= each.arrival_soc_pct <= 70.0 <= each.target_soc_pct <= 90.0
    assert draw(20, 3) == draw(20, 3)
    assert draw(20, 3) != draw(20, 4)
    assert {each.kind for each in draw(4, 5)} == set(Kind)


# ---- load and weather ----


def test_a_course_depends_on_its_conditions_alone() -> None:
    first, again = course(CALM, 7_200), course(CALM, 7_200)
    assert np.array_equal(first.phase_w, again.phase_w)
    assert not np.array_equal(first.phase_w, course(replace(CALM, seed=2), 7_200).phase_w)


@pytest.mark.parametrize("weather", [HOT, COLD])
def test_the_base_load_peaks_in_the_evening_and_as_high_as_asked(weather: object) -> None:
    peaks = []
    for seed in range(5):
        made = course(Conditions(weather=weather, rated_va=100e3, seed=seed), DAY_S)  # type: ignore[arg-type]
        by_hour = made.base_w.reshape(24, 3_600).mean(axis=1)
        assert 18 <= int(by_hour.argmax()) <= 20
        peaks.append(by_hour.max() / 100e3)
    factor = 1.1 if weather is COLD else 1.0
    assert sum(peaks) / 5 == pytest.approx(0.5 * factor, abs=0.05)


def test_steps_cooling_and_sun_are_in_the_load() -> None:
    plain = course(CALM, DAY_S).base_w
    stepped = course(replace(CALM, steps=(Step(from_h=2.0, to_h=3.0, pu=0.5),)), DAY_S).base_w
    assert (stepped - plain)[2 * 3600 : 3 * 3600].mean() == pytest.approx(50_000.0, rel=1e-6)
    assert (stepped - plain)[3 * 3600 :].max() == pytest.approx(0.0, abs=1e-6)
    cooled = course(replace(CALM, weather=HEAT_WAVE), DAY_S).base_w
    assert (cooled - plain)[15 * 3600 : 16 * 3600].mean() > 40_000.0
    sunny = course(replace(CALM, pv_pu=1.45), DAY_S).base_w
    assert sunny[12 * 3600 : 14 * 3600].mean() < -60_000.0
    assert sunny[: 6 * 3600].min() > 0.0


def test_the_days_before_end_where_the_evening_begins() -> None:
    ticks = days_before(CALM, 2, 16 * 3600)
    assert [ticks[0].at_s, ticks[-1].at_s] == [-2 * DAY_S + 60, 16 * 3600]
    assert all(later.at_s - tick.at_s == 60 for tick, later in pairwise(ticks))


def test_what_is_not_measured_is_not_read() -> None:
    told = flat(0.0)
    World(replace(evening(VEHICLE), lost_h=(16.25, 16.5)), control_s=10, step_s=10).run(told)
    lost = [reading.now_s for reading in told.readings if reading.load_w is None]
    assert lost[0] == 16.25 * 3600
    assert lost[-1] == 16.5 * 3600 - 10
    assert all((reading.k_pu is None) == (reading.base_w is None) for reading in told.readings)


def test_the_load_that_is_read_is_base_load_and_vehicles() -> None:
    told = flat(11_000.0)
    run(told, VEHICLE, hours=0.2)
    last = told.readings[-1]
    assert last.load_w is not None
    assert last.base_w is not None
    assert last.load_w - last.base_w == pytest.approx(11_000.0)


# ---- figures ----


def test_a_discharge_below_the_floor_is_found() -> None:
    _, figures = run(flat(-11_000.0), replace(VEHICLE, arrival_soc_pct=40.0, min_soc_pct=38.0))
    assert figures.below_floor_pct == pytest.approx(38.0 - (40.0 - 11.0 / 0.9 / 50.0 * 100.0 * 29 / 60), abs=0.3)
    assert figures.lowest_soc_pct == pytest.approx(38.0 - figures.below_floor_pct, abs=1e-6)
    _, figures = run(flat(-11_000.0), replace(VEHICLE, arrival_soc_pct=90.0))
    assert figures.below_floor_pct == 0.0


def test_reversals_count_from_charge_to_discharge_and_back() -> None:
    _, figures = run(Told(lambda now_s, vehicle: 8_000.0 if now_s % 600 < 300 else -8_000.0), VEHICLE)
    assert figures.reversals_worst_h == 5
    assert figures.reversals_mean_h == pytest.approx(5.0 * 60 / 29, rel=0.01)
    _, figures = run(Told(lambda now_s, vehicle: 8_000.0 if now_s % 600 < 300 else 0.0), VEHICLE)
    assert figures.reversals_worst_h == 0
    assert figures.starts_worst_h == 3


def test_one_that_waits_below_its_minimum_while_another_has_more_is_found() -> None:
    other = replace(VEHICLE, evse_id="E2")
    both = VEHICLE, other
    _, figures = run(Told(lambda now_s, vehicle: 0.0 if vehicle.spec.evse_id == "E2" else 8_000.0), *both)
    assert figures.starved.evse_id == "E2"
    assert figures.starved.longest_s == pytest.approx(1_740.0, abs=10.0)
    _, figures = run(flat(4_100.0), *both)
    assert figures.starved.longest_s <= 5.0
    _, figures = run(flat(0.0), *both)
    assert figures.starved.longest_s == 0.0
    full = replace(other, arrival_soc_pct=80.0)
    _, figures = run(Told(lambda now_s, vehicle: 0.0 if vehicle.spec.evse_id == "E2" else 8_000.0), VEHICLE, full)
    assert figures.starved.longest_s <= 5.0


def test_minutes_over_a_limit_are_counted_apart_from_those_of_the_base_load() -> None:
    heavy = tuple(
        replace(VEHICLE, evse_id=f"E{n}", rated_w=50_000.0, ramp_w_s=50_000.0, capacity_wh=5e5) for n in range(1, 4)
    )
    _, figures = run(flat(50_000.0), *heavy)
    assert figures.over.k_min == pytest.approx(29.0, abs=0.2)
    assert figures.over_beyond.k_min == figures.over.k_min
    assert figures.over_base.k_min == 0.0
    stepped = replace(CALM, steps=(Step(from_h=16.2, to_h=16.4, pu=1.4),))
    world = World(replace(evening(VEHICLE), conditions=stepped), control_s=10, step_s=10)
    figures = world.run(flat(0.0))
    assert figures.over.k_min == figures.over_base.k_min == pytest.approx(12.0, abs=0.2)
    assert figures.over_beyond.k_min == 0.0
    assert figures.k_pu == figures.base_k_pu > 1.5
    assert figures.loss_of_life_h == figures.base_loss_of_life_h > 0.0


def test_what_is_missing_at_departure_is_told() -> None:
    world, figures = run(flat(11_000.0), VEHICLE)
    reached_pct = world.energy_wh[0] / 500.0
    assert figures.wanted_wh == pytest.approx(15_000.0)
    assert figures.missing_wh == pytest.approx(40_000.0 - world.energy_wh[0])
    assert figures.worst_missing_pct == pytest.approx(80.0 - reached_pct)


def test_single_phase_power_is_unbalance() -> None:
    _, figures = run(flat(7_000.0), replace(VEHICLE, phases=(0.0, 1.0, 0.0), min_power_w=1_400.0))
    assert figures.unbalance_w == pytest.approx(7_000.0)


# ---- strategies ----


def test_the_twelve_are_three_sizes_in_three_weathers_and_three_more() -> None:
    assert len(EVENINGS) == 12
    assert len({each.name for each in EVENINGS}) == 12
    assert {(len(each.vehicles), each.conditions.weather.name) for each in EVENINGS[:9]} == {
        (count, weather) for count in (4, 20, 60) for weather in ("hot", "cold", "heat wave")
    }


def test_base_load_alone_keeps_the_limits_and_vehicles_without_control_do_not() -> None:
    each = EVENINGS[3]
    found = World(each, control_s=30, step_s=30).run(Uncontrolled())
    assert found.over_base.total_min == 0.0
    assert found.over.hot_spot_min > 60.0
    assert found.missing_wh == 0.0
    static = World(each, control_s=30, step_s=30).run(StaticLimits(each.rated_va, len(each.vehicles)))
    assert static.over.total_min == 0.0
    assert static.discharged_wh == 0.0
    assert static.missing_wh > 0.0
