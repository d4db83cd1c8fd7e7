"""``thermal.course``: what is kept of the past, and the forecast as points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from v2g.clock import ManualClock
from v2g.config.schema import Transformer
from v2g.control.messages import NoParams
from v2g.control.messages_course import CourseResult
from v2g.orchestrator.course_part import EVERY_S, KEPT_S, Course, CoursePart
from v2g.telemetry.history import HistoryHealth
from v2g.thermal.ahead import Ahead
from v2g.thermal.view import ThermalView

VIEW = ThermalView(top_oil_c=50.0, hot_spot_c=60.0, load_w=80e3, base_load_w=90e3, expires_at_s=1e9)
AHEAD = Ahead(
    base_w=(90e3, 91e3),
    base_margin_w=(1e3, 2e3),
    top_oil_c=(50.5, 51.0),
    hot_spot_c=(61.0, 62.0),
    base_top_oil_c=(50.2, 50.4),
    base_hot_spot_c=(60.5, 60.9),
)


def test_the_past_is_thinned_and_bounded() -> None:
    course = Course()
    for tenth in range(100 * 10):
        course.add(VIEW, 1000.0 + tenth / 10.0)
    past = course.past(1100.0)
    assert [point.ago_s for point in past] == pytest.approx([100.0 - EVERY_S * n for n in range(10)], abs=0.11)
    for hour in range(3 * 360):
        course.add(VIEW, 2000.0 + 10.0 * hour)
    past = course.past(2000.0 + 10.0 * 3 * 360)
    assert len(past) <= KEPT_S / EVERY_S + 1
    assert past[0].ago_s <= KEPT_S + EVERY_S
    assert past[0].v2g_w == -10e3


def test_what_is_not_known_is_a_gap_and_not_zero() -> None:
    course = Course()
    course.add(replace(VIEW, base_load_w=None, hot_spot_c=float("nan")), 0.0)
    (point,) = course.past(5.0)
    assert (point.ago_s, point.hot_spot_c, point.v2g_w, point.load_w) == (5.0, None, None, 80e3)


def test_a_clock_that_goes_back_begins_anew() -> None:
    course = Course()
    course.add(VIEW, 5000.0)
    course.add(VIEW, 100.0)
    assert [point.ago_s for point in course.past(100.0)] == [0.0]


class Bench:
    """The part within what it sees of a daemon."""

    def __init__(self, view: ThermalView | None) -> None:
        self.clock = ManualClock(monotonic_s=1000.0)
        image = None if view is None else SimpleNamespace(transformer=view)
        site = SimpleNamespace(image=image, thermal_clock=SimpleNamespace(thermal_s=lambda now_s: 10.0 * now_s))
        self.wanted = {"thermal", "thermal.course", "mesh.show"}
        self.told: list[tuple[str, Any]] = []
        self.mesh: Any = SimpleNamespace(result=lambda: "mesh")
        health = HistoryHealth(problem="", dropped_rows=0, written_rows=7, size_bytes=9)
        config = SimpleNamespace(
            transformer=Transformer(id="T1", rated_kva=250.0), dispatch=SimpleNamespace(thermal_horizon_s=900.0)
        )
        running: Any = SimpleNamespace(
            site=site,
            clock=self.clock,
            loaded=SimpleNamespace(config=config),
            around=SimpleNamespace(mesh=self.mesh, chronicle=SimpleNamespace(health=lambda: health)),
            tell=self._tell,
        )
        self.part = CoursePart(running)

    def _tell(self, topic: str, make: Callable[[], Any]) -> None:
        if topic in self.wanted:
            self.told.append((topic, make()))

    def run(self, seconds: float) -> None:
        for _ in range(round(10 * seconds)):
            self.part.on_cycle(self.clock.monotonic_s())
            self.clock.advance(0.1)

    async def course(self) -> CourseResult:
        return await self.part.course(NoParams(), None)  # type: ignore[arg-type]


async def test_past_and_forecast_are_told_in_the_transformers_seconds() -> None:
    bench = Bench(replace(VIEW, ahead=AHEAD))
    bench.part.on_cycle(1000.0)
    bench.clock.advance(2.0)
    result = await bench.course()
    assert [point.ago_s for point in result.past] == [20.0]
    assert [(point.in_s, point.hot_spot_c, point.base_hot_spot_c) for point in result.ahead] == [
        (60.0, 61.0, 60.5),
        (120.0, 62.0, 60.9),
    ]
    assert (result.ahead[1].base_w, result.ahead[1].base_margin_w, result.problem) == (91e3, 2e3, "")


@pytest.mark.parametrize("view", [None, VIEW, replace(VIEW, ahead=AHEAD, expires_at_s=900.0)])
async def test_without_a_fresh_forecast_it_says_why(view: ThermalView | None) -> None:
    bench = Bench(view)
    bench.part.on_cycle(1000.0)
    result = await bench.course()
    assert result.ahead == ()
    assert result.problem.startswith("no forecast: ")


def test_who_watches_is_told_of_temperatures_each_second_and_of_curves_every_five() -> None:
    bench = Bench(replace(VIEW, ahead=AHEAD))
    bench.run(10.05)
    topics = [topic for topic, _ in bench.told]
    assert {topic: topics.count(topic) for topic in bench.wanted} == {
        "thermal": 10,
        "thermal.course": 2,
        "mesh.show": 2,
    }
    first = dict(bench.told)
    assert (first["thermal"].transformer, first["thermal"].hot_spot_c, first["thermal"].history_rows) == ("T1", 60.0, 7)
    assert len(first["thermal.course"].ahead) == 2


def test_nothing_is_made_for_nobody() -> None:
    bench = Bench(VIEW)
    bench.wanted = set()
    bench.mesh.result = None
    bench.run(6.0)
    assert (bench.told, bench.part.problems()) == ([], ())


def test_what_cannot_be_told_is_a_problem_and_stops_no_cycle() -> None:
    bench = Bench(VIEW)
    del bench.mesh.result
    bench.run(0.1)
    assert "AttributeError" in bench.part.problems()[0]
    bench.wanted = set()
    bench.mesh.result = lambda: "mesh"
    bench.run(2.0)
    assert bench.part.problems() == ()
