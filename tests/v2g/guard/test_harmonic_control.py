"""The harmonic filter's control against plants whose distortion depends on the steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.guard.harmonic_control import (
    LEAST_CURRENT_PU,
    LOWER_AFTER_S,
    MEMORY_S,
    REFUSED_S,
    STALE_S,
    FeederThd,
    FilterRange,
    FilterReading,
    HarmonicControl,
    feeder_thd,
)
from v2g.guard.quality_report import QualityReport
from v2g.guard.quality_watch import QualityEvent

STEPS = (8_000.0, 10_000.0, 12_000.0, 14_000.0, 16_000.0)


@dataclass
class Inverter:
    power_w: float = 10_000.0
    thd: float = 0.06
    """Of its own current at its normal setting."""
    value: float | None = STEPS[0]
    threshold: float | None = 0.03
    temperature: Callable[[float], float | None] = lambda value: 50.0
    """By what is set."""
    refuses: bool = False
    moves: list[float] = field(default_factory=list)

    def distortion(self) -> float:
        return self.thd * (STEPS[0] / (self.value or STEPS[0])) ** 2


class Bench:
    """Inverters on one feeder; a tick a second, with the measurement a second old as the guard publishes it."""

    def __init__(self, *inverters: Inverter, steps: Sequence[float] = STEPS, limit_c: float = 85.0) -> None:
        self.inverters = {f"E{number}": inverter for number, inverter in enumerate(inverters, start=1)}
        each = FilterRange(steps=tuple(steps), unit="Hz", temperature_limit_c=limit_c, rated_w=22_000.0)
        self.steps = tuple(steps)
        self.control = HarmonicControl(dict.fromkeys(self.inverters, each))
        self.now_s = 1000.0
        self.measured = True
        self.extra_thd = 0.0
        self.events: list[QualityEvent] = []
        self._published: FeederThd | None = None

    @property
    def thd(self) -> float:
        total_w = sum(abs(i.power_w) for i in self.inverters.values())
        own = sum(abs(i.power_w) * i.distortion() for i in self.inverters.values())
        return math.hypot(own / total_w, self.extra_thd) if total_w else 0.0

    def tick(self) -> dict[str, float]:
        self.now_s += 1.0
        published, self._published = self._published, FeederThd(self.now_s, self.thd, self._current_pu())
        if published is not None and published.current_pu < LEAST_CURRENT_PU:
            published = FeederThd(published.as_of_s, None)
        readings = [
            FilterReading(
                evse_id=evse_id,
                value=i.value,
                threshold=i.threshold,
                power_w=i.power_w,
                temperature_c=i.temperature(i.value or 0.0),
            )
            for evse_id, i in self.inverters.items()
        ]
        commands = self.control.decide(readings, published if self.measured else None, self.now_s)
        for evse_id, value in commands.items():
            inverter = self.inverters[evse_id]
            assert value in self.steps
            assert inverter.value in self.steps
            assert abs(self.steps.index(value) - self.steps.index(inverter.value)) == 1
            if inverter.refuses:
                self.control.refused(evse_id, self.now_s)
            else:
                inverter.value = value
                inverter.moves.append(value)
        self.events += self.control.events()
        return commands

    def run(self, seconds: float) -> Bench:
        for _ in range(round(seconds)):
            self.tick()
        return self

    def codes(self, code: str) -> list[dict[str, object]]:
        return [event.fields for event in self.events if event.code == code]

    def _current_pu(self) -> float:
        return sum(abs(i.power_w) for i in self.inverters.values()) / (22_000.0 * len(self.inverters))


def turns(moves: Sequence[float], first: float) -> int:
    """How often the direction changed."""
    ups = [b > a for a, b in pairwise([first, *moves])]
    return sum(a is not b for a, b in pairwise(ups))


def test_it_goes_up_until_the_threshold_holds_and_tells_before_and_after() -> None:
    inverter = Inverter()
    bench = Bench(inverter).run(30)
    assert inverter.moves == [10_000.0, 12_000.0]
    assert bench.thd == pytest.approx(0.0267, abs=1e-4)
    (told,) = bench.codes("HARMONIC_FILTER")
    assert (told["from_hz"], told["to_hz"]) == (8_000.0, 12_000.0)
    assert (told["thd_before_pct"], told["thd_after_pct"]) == (6.0, 2.67)
    assert bench.control.thd_before("E1") == pytest.approx(0.06)
    assert bench.control.active("E1")


def test_each_step_waits_for_measurements_from_after_the_one_before() -> None:
    bench = Bench(Inverter(thd=0.2))
    moved_at_s = [bench.now_s for _ in range(60) if bench.tick()]
    assert len(moved_at_s) == 4
    assert min(b - a for a, b in pairwise(moved_at_s)) >= 4.0


def test_without_a_threshold_the_device_is_left_as_it_is() -> None:
    inverter = Inverter(threshold=None, value=12_000.0)
    Bench(inverter).run(200)
    assert inverter.moves == []


def test_a_lifted_threshold_takes_it_back_in_steps() -> None:
    inverter = Inverter()
    bench = Bench(inverter).run(30)
    inverter.threshold = None
    bench.run(20)
    assert inverter.moves[2:] == [10_000.0, 8_000.0]
    assert bench.codes("HARMONIC_FILTER")[-1]["thd_after_pct"] == 6.0
    assert not bench.control.active("E1")


def test_what_moved_it_up_is_told_with_its_threshold_though_that_was_lifted_before_it_came_to_rest() -> None:
    inverter = Inverter()
    bench = Bench(inverter)
    while not inverter.moves:
        bench.tick()
    inverter.threshold = None
    bench.run(30)
    up, back = bench.events
    assert (up.fields["from_hz"], up.fields["threshold_pct"]) == (8_000.0, 3.0)
    assert (back.fields["to_hz"], back.fields["threshold_pct"]) == (8_000.0, "none")


def test_little_current_holds() -> None:
    inverter = Inverter()
    bench = Bench(inverter).run(30)
    inverter.power_w = 0.04 * 22_000.0
    inverter.thd = 0.5
    bench.run(300)
    assert inverter.value == 12_000.0
    idle = Inverter(power_w=500.0, thd=0.5)
    Bench(idle).run(100)
    assert idle.moves == []


def test_a_lost_measurement_holds_for_a_minute_and_then_goes_back_to_normal() -> None:
    inverter = Inverter()
    bench = Bench(inverter).run(30)
    bench.measured = False
    bench.run(STALE_S - 2)
    assert inverter.value == 12_000.0
    bench.run(10)
    assert inverter.value == 8_000.0
    bench.measured = True
    bench.run(30)
    assert inverter.value == 12_000.0


def test_a_passing_distortion_moves_nothing() -> None:
    inverter = Inverter(thd=0.01)
    bench = Bench(inverter).run(20)
    for _ in range(10):
        inverter.thd = 0.1
        bench.run(2)
        inverter.thd = 0.01
        bench.run(3)
    assert inverter.moves == []


def test_it_comes_down_when_the_distortion_fell_for_good_and_not_before_a_minute() -> None:
    inverter = Inverter()
    bench = Bench(inverter).run(30)
    inverter.thd = 0.02
    bench.run(LOWER_AFTER_S - 5)
    assert inverter.value == 12_000.0
    bench.run(3 * LOWER_AFTER_S)
    assert inverter.value == 8_000.0


def test_a_coarse_step_is_not_lowered_to_what_is_known_to_exceed() -> None:
    steps = (4_000.0, 16_000.0)
    inverter = Inverter(value=4_000.0)
    inverter.distortion = lambda: 0.06 if inverter.value == 4_000.0 else 0.005  # type: ignore[method-assign]
    Bench(inverter, steps=steps).run(1000)
    assert inverter.moves == [16_000.0]


def test_what_is_known_of_a_step_ages() -> None:
    inverter = Inverter(value=4_000.0)
    inverter.distortion = lambda: 0.06 if inverter.value == 4_000.0 else 0.005  # type: ignore[method-assign]
    bench = Bench(inverter, steps=(4_000.0, 16_000.0)).run(300)
    bench.now_s += MEMORY_S
    bench.run(300)
    assert inverter.moves == [16_000.0, 4_000.0, 16_000.0]


def test_the_end_of_the_range_is_told_once_and_held() -> None:
    inverter = Inverter(thd=0.5)
    bench = Bench(inverter).run(300)
    assert inverter.value == STEPS[-1]
    assert bench.control.limited_by("E1") == "end of range"
    assert len(bench.codes("HARMONIC_FILTER_LIMITED")) == 1


def test_an_unknown_temperature_allows_no_step_up_and_says_so() -> None:
    inverter = Inverter(temperature=lambda value: None)
    bench = Bench(inverter).run(60)
    assert inverter.moves == []
    assert bench.control.limited_by("E1") == "temperature unknown"
    assert bench.codes("HARMONIC_FILTER_LIMITED")[0]["temperature_c"] == "unknown"


def test_a_temperature_that_is_lost_holds_for_a_minute_and_then_goes_back_to_normal() -> None:
    bench = Bench(Inverter())
    bench.run(60)
    inverter = bench.inverters["E1"]
    raised = inverter.value
    assert raised is not None
    assert raised > STEPS[0]
    inverter.temperature = lambda value: None
    bench.run(int(STALE_S) - 2)
    assert inverter.value == raised
    bench.run(30)
    assert inverter.value == STEPS[0]
    assert bench.control.limited_by("E1") == "temperature unknown"
    bench.run(300)
    assert inverter.value == STEPS[0], "it does not climb blindly either"
    inverter.temperature = lambda value: 50.0
    bench.run(60)
    assert inverter.value == raised


def test_hot_switches_step_back_and_are_not_tried_again_at_that_power() -> None:
    inverter = Inverter(thd=0.2, temperature=lambda value: 60.0 if value < 14_000.0 else 86.0)
    bench = Bench(inverter).run(600)
    assert inverter.moves == [10_000.0, 12_000.0, 14_000.0, 12_000.0]
    assert bench.control.limited_by("E1") == "temperature"
    inverter.power_w, inverter.temperature = 7_000.0, lambda value: 60.0
    bench.run(60)
    assert inverter.value == STEPS[-1]


def test_a_device_that_refuses_is_left_alone_for_a_while() -> None:
    inverter = Inverter(refuses=True)
    bench = Bench(inverter).run(60)
    assert bench.control.limited_by("E1") == "device"
    inverter.refuses = False
    bench.run(REFUSED_S + 60)
    assert inverter.value == 12_000.0


def test_a_setting_that_the_device_lost_is_made_again() -> None:
    inverter = Inverter()
    bench = Bench(inverter).run(30)
    inverter.value = 8_000.0
    bench.run(30)
    assert inverter.value == 12_000.0


def test_one_that_cannot_be_read_is_not_moved() -> None:
    inverter = Inverter(value=None)
    assert Bench(inverter).run(60).inverters["E1"].moves == []


def test_several_climb_evenly_one_at_a_time_the_one_with_most_power_first() -> None:
    weak, strong, idle = Inverter(power_w=6_000.0), Inverter(power_w=-20_000.0), Inverter(power_w=0.0)
    bench = Bench(weak, strong, idle)
    order = []
    for _ in range(120):
        moved = bench.tick()
        assert len(moved) <= 1
        order += moved
    assert order == ["E2", "E1", "E2", "E1"][: len(order)]
    assert len(order) >= 3
    assert bench.thd <= 0.03
    assert idle.moves == []


plants = st.lists(
    st.builds(
        Inverter,
        power_w=st.floats(3_000.0, 22_000.0).flatmap(lambda w: st.sampled_from((w, -w))),
        thd=st.floats(0.0, 0.25),
        value=st.sampled_from(STEPS),
        threshold=st.floats(0.005, 0.2),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=examples(40), deadline=None)
@given(plants, st.floats(0.0, 0.05), st.lists(st.sampled_from((50.0, 84.0, 90.0)), min_size=5, max_size=5))
def test_a_static_plant_comes_to_rest_below_the_threshold_where_a_step_gives_it(
    inverters: list[Inverter], extra_thd: float, heat_c: list[float]
) -> None:
    heat_c = sorted(heat_c)
    first = [inverter.value or 0.0 for inverter in inverters]
    for inverter in inverters:
        inverter.temperature = lambda value: heat_c[STEPS.index(value)]
    bench = Bench(*inverters)
    bench.extra_thd = extra_thd
    bench.run(900)
    at_rest = [len(inverter.moves) for inverter in inverters]
    bench.run(300)
    assert [len(inverter.moves) for inverter in inverters] == at_rest
    for inverter, begun in zip(inverters, first, strict=True):
        # Down for heat or because little is needed, and up again: never to and fro.
        assert turns(inverter.moves, begun) <= 2 + 2 * len(inverters)
        if bench.thd > (inverter.threshold or 0.0):
            at = STEPS.index(inverter.value or 0.0)
            assert at == len(STEPS) - 1 or heat_c[at + 1] > 85.0 or heat_c[at] > 80.0


def report(thd_pct: tuple[float, ...], rated_pct: tuple[float, ...], **changes: object) -> QualityReport:
    fields = {"as_of_s": 5.0, "thd_i_pct": thd_pct, "harmonics_i_pct": (rated_pct,), **changes}
    return QualityReport(**fields)  # type: ignore[arg-type]


def test_thd_is_that_of_the_worst_phase_that_carries_current() -> None:
    # Phase C has the most THD and 2 % of the rated current.
    measured = feeder_thd(report((4.0, 6.0, 40.0), (2.0, 3.0, 0.8)))
    assert measured is not None
    assert measured.thd == pytest.approx(0.06)
    assert measured.current_pu == pytest.approx(0.5)


def test_no_thd_without_current_and_none_at_all_without_measurement() -> None:
    little = feeder_thd(report((0.0, 0.0, 0.0), (0.2, 0.2, 0.2)))
    assert little is not None
    assert little.thd is None
    assert feeder_thd(None) is None
    assert feeder_thd(report((6.0,) * 3, (3.0,) * 3, not_measured="no samples")) is None
    assert feeder_thd(report((math.nan,) * 3, (3.0,) * 3)) is None
