"""What an operator lives with, beside the control cycle: parts that each may fail without the others."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from v2g.control.server import Method
from v2g.orchestrator.course_part import CoursePart
from v2g.orchestrator.maintenance import Maintenance
from v2g.orchestrator.metrics_part import MetricsPart
from v2g.orchestrator.parts import Part, Running
from v2g.orchestrator.paused_sessions import Keeper, PausedSessions
from v2g.orchestrator.preflight_part import PreflightPart
from v2g.orchestrator.trace_part import TracePart
from v2g.orchestrator.versions_part import VersionsPart

__all__ = ["Operations", "Part", "Running"]


class Operations:
    """All parts as one."""

    def __init__(self, running: Running) -> None:
        self._winding = running.winding
        self._paused = PausedSessions(running)
        self._trace = TracePart(running)
        self.tracer = self._trace.tracer
        """Who is shown the bytes of sessions; None: nobody."""
        self._parts: tuple[Part, ...] = (
            CoursePart(running),
            self._paused,
            Maintenance(running),
            PreflightPart(running),
            MetricsPart(running),
            VersionsPart(running),
            self._trace,
        )

    def methods(self) -> tuple[Method[Any], ...]:
        return tuple(method for part in self._parts for method in part.methods())

    async def start(self, stack: AsyncExitStack) -> None:
        for part in self._parts:
            await part.start(stack)

    def before_listening(self, secc: Keeper) -> None:
        """``secc`` is about to open its sockets: paused sessions may be resumed there, maintenance goes on."""
        self._winding.apply()
        self._paused.offer(secc)

    def on_cycle(self, now_s: float) -> None:
        for part in self._parts:
            part.on_cycle(now_s)

    def problems(self) -> tuple[str, ...]:
        return tuple(problem for part in self._parts for problem in part.problems())
