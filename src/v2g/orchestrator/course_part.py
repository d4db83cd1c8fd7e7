"""``thermal.course``: the last half hour of the transformer, which is kept here, and the forecast that it has now."""

from __future__ import annotations

from collections import deque
from contextlib import AsyncExitStack
from math import inf
from typing import Any, Final

from v2g.control.messages import NoParams, ThermalResult
from v2g.control.messages_course import AheadPoint, CoursePoint, CourseResult
from v2g.control.server import Caller, Method, Role
from v2g.orchestrator.parts import Around, Running
from v2g.orchestrator.thermal_api import thermal_result
from v2g.thermal.ahead import Ahead
from v2g.thermal.view import ThermalView
from v2g.units import finite

KEPT_S: Final = 1_800.0
EVERY_S: Final = 10.0
TOLD_EVERY_S: Final = 1.0
SELDOM_TOLD_EVERY_S: Final = 5.0
_MINUTE_S: Final = 60.0
_NO_FORECAST: Final = "no forecast: load or temperatures of the transformer are not known; see v2g-tool thermal"
_EXPIRED: Final = "no forecast: the thermal model does not answer; see daemon.log"

_Sample = tuple[float, float | None, float | None, float | None, float | None]
"""The transformer's time, then what :class:`CoursePoint` has."""


class Course:
    """Samples of the past. Time goes by the transformer's clock, which a simulation may run faster."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque()
        self._taken_at_s = -inf

    def add(self, view: ThermalView, thermal_s: float) -> None:
        """At most one every :data:`EVERY_S`; a view without temperatures is a gap."""
        if 0.0 <= thermal_s - self._taken_at_s < EVERY_S:
            return
        if thermal_s < self._taken_at_s:
            self._samples.clear()
        self._taken_at_s = thermal_s
        load_w, base_w = finite(view.load_w), finite(view.base_load_w)
        v2g_w = None if load_w is None or base_w is None else load_w - base_w
        self._samples.append((thermal_s, finite(view.top_oil_c), finite(view.hot_spot_c), load_w, v2g_w))
        while self._samples[0][0] < thermal_s - KEPT_S:
            self._samples.popleft()

    def past(self, thermal_s: float) -> tuple[CoursePoint, ...]:
        return tuple(
            CoursePoint(ago_s=max(0.0, thermal_s - at_s), top_oil_c=oil, hot_spot_c=hot, load_w=load, v2g_w=v2g)
            for at_s, oil, hot, load, v2g in self._samples
        )


def ahead_points(ahead: Ahead) -> tuple[AheadPoint, ...]:
    series = (
        ahead.top_oil_c,
        ahead.hot_spot_c,
        ahead.base_top_oil_c,
        ahead.base_hot_spot_c,
        ahead.base_w,
        ahead.base_margin_w,
    )
    return tuple(
        AheadPoint(
            in_s=_MINUTE_S * minute,
            top_oil_c=oil,
            hot_spot_c=hot,
            base_top_oil_c=base_oil,
            base_hot_spot_c=base_hot,
            base_w=base_w,
            base_margin_w=margin_w,
        )
        for minute, (oil, hot, base_oil, base_hot, base_w, margin_w) in enumerate(zip(*series, strict=True), 1)
    )


class CoursePart:
    """A part of the operations."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._site = running.site
        self._clock = running.clock
        self._course = Course()
        self._told_s = self._seldom_told_s = -inf
        self._problem = ""

    def methods(self) -> tuple[Method[Any], ...]:
        return (Method("thermal.course", Role.VIEWER, NoParams, self.course),)

    async def start(self, stack: AsyncExitStack) -> None:
        """Nothing to begin."""

    def on_cycle(self, now_s: float) -> None:
        if self._site.image is not None:
            self._course.add(self._site.image.transformer, self._site.thermal_clock.thermal_s(now_s))
        try:
            self._tell(now_s)
            self._problem = ""
        except Exception as error:
            self._problem = f"who watches is not told of everything ({type(error).__name__}: {error})"

    def problems(self) -> tuple[str, ...]:
        return (self._problem,) if self._problem else ()

    async def course(self, params: NoParams, caller: Caller) -> CourseResult:
        return self._result(self._clock.monotonic_s())

    def _tell(self, now_s: float) -> None:
        """Subscribers, so that who watches need not ask: each question is a line of the audit log."""
        running = self._running
        around = running.around
        if now_s - self._told_s < TOLD_EVERY_S:
            return
        self._told_s = now_s
        if around is not None:
            running.tell("thermal", lambda: self._thermal(around, now_s))
        if now_s - self._seldom_told_s >= SELDOM_TOLD_EVERY_S:
            self._seldom_told_s = now_s
            running.tell("thermal.course", lambda: self._result(now_s))
            if around is not None:
                running.tell("mesh.show", around.mesh.result)

    def _thermal(self, around: Around, now_s: float) -> ThermalResult:
        config = self._running.loaded.config
        view = self._site.image.transformer if self._site.image is not None else ThermalView()
        return thermal_result(
            view,
            config.transformer,
            config.dispatch.thermal_horizon_s,
            around.chronicle.health(),
            now_s,
            self._site.thermal_clock.thermal_s(now_s),
        )

    def _result(self, now_s: float) -> CourseResult:
        view = self._site.image.transformer if self._site.image is not None else None
        ahead, problem = None, _NO_FORECAST
        if view is not None and view.ahead is not None:
            fresh = view.expires_at_s > now_s
            ahead, problem = (view.ahead, "") if fresh else (None, _EXPIRED)
        return CourseResult(
            past=self._course.past(self._site.thermal_clock.thermal_s(now_s)),
            ahead=() if ahead is None else ahead_points(ahead),
            problem=problem,
        )
