"""What an operator lives with, beside the control cycle: parts that each may fail without the others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Protocol

from pyiso15118.aio import SeccServer
from v2g.clock import Clock
from v2g.config.loader import Loaded
from v2g.config.paths import RunPaths
from v2g.control.messages import StatusResult
from v2g.control.server import Method
from v2g.orchestrator.changes import Changes
from v2g.orchestrator.site import Site
from v2g.sessions.supervisor import Sessions
from v2g.telemetry.logs import EventLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What a part may see of the daemon. ``secc`` is None before it listens; ``status`` is the answer of ``status``."""

    loaded: Loaded
    paths: RunPaths
    site: Site
    sessions: Sessions
    clock: Clock
    changes: Changes
    log: EventLog
    simulation: bool
    secc: Callable[[], SeccServer | None]
    status: Callable[[], StatusResult]


class Part(Protocol):
    """One of them."""

    def methods(self) -> tuple[Method[Any], ...]:
        """For the control socket."""
        ...

    async def start(self, stack: AsyncExitStack) -> None:
        """Within the event loop, before vehicles can connect; ``stack`` closes it. Never keeps the daemon from its
        start: what fails is a problem."""
        ...

    def on_cycle(self, now_s: float) -> None:
        """After each control cycle, ten times a second: brief, and never raises."""
        ...

    def problems(self) -> tuple[str, ...]:
        """For the status."""
        ...


class Operations:
    """All parts as one."""

    def __init__(self, running: Running) -> None:
        self._parts: tuple[Part, ...] = ()

    def methods(self) -> tuple[Method[Any], ...]:
        return tuple(method for part in self._parts for method in part.methods())

    async def start(self, stack: AsyncExitStack) -> None:
        for part in self._parts:
            await part.start(stack)

    def on_cycle(self, now_s: float) -> None:
        for part in self._parts:
            part.on_cycle(now_s)

    def problems(self) -> tuple[str, ...]:
        return tuple(problem for part in self._parts for problem in part.problems())
