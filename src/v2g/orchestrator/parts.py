"""What a part of the operations is, and what it may see of the daemon."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pyiso15118.aio import SeccServer
from pyiso15118.security import InForce, TlsError, TlsProfile
from v2g.clock import Clock
from v2g.config.loader import Loaded
from v2g.config.paths import RunPaths
from v2g.control.messages import StatusResult
from v2g.control.server import Method
from v2g.orchestrator.changes import Changes
from v2g.orchestrator.chronicle import Chronicle
from v2g.orchestrator.credentials import Credentials
from v2g.orchestrator.heartbeat import Heartbeat
from v2g.orchestrator.site import Site
from v2g.orchestrator.winding_down import WindingDown
from v2g.sessions.supervisor import Sessions
from v2g.telemetry.logs import EventLog

if TYPE_CHECKING:
    from v2g.orchestrator.mesh_absent import MeshPlace


@dataclass(frozen=True, slots=True)
class Around:
    """What works beside the control cycle, for who tells of it."""

    mesh: MeshPlace
    credentials: Credentials
    chronicle: Chronicle
    heartbeat: Heartbeat


def _nobody_asked(topic: str, make: Callable[[], Any]) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What a part may see of the daemon. ``secc`` is None before it listens; ``status`` is the answer of ``status``.

    ``unreachable``: by EVSE, why no vehicle can connect; ``in_force``: by TLS profile, what a handshake with ourselves
    proved."""

    loaded: Loaded
    paths: RunPaths
    site: Site
    sessions: Sessions
    clock: Clock
    changes: Changes
    log: EventLog
    simulation: bool
    secc: Callable[[], SeccServer | None]
    winding: WindingDown
    status: Callable[[], StatusResult]
    unreachable: Callable[[], Mapping[str, str]] = dict
    in_force: Callable[[], Mapping[TlsProfile, InForce | TlsError]] = dict
    around: Around | None = None
    tell: Callable[[str, Callable[[], Any]], None] = _nobody_asked
    """``(topic, make)``: to who has subscribed to the topic; without any, nothing is made."""


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
