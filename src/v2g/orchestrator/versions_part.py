"""Which version each process is of, whether they go together, and what ``v2g-tool firmware`` tells the audit log."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from v2g import __version__
from v2g.control.messages import PROTOCOL_VERSION, NoParams
from v2g.control.messages_firmware import FirmwareNoteParams, FirmwareNoteResult, VersionsResult
from v2g.control.server import Caller, Method, Role
from v2g.guard.status import Permit
from v2g.guard.status_block import LAYOUT
from v2g.guard.status_header import Header, read_header
from v2g.orchestrator.parts import Running

SKEW = "VERSION_SKEW"
LOOK_S = 1.0


def skew_words(own: str, layout: int, tick: Header | None, *, tick_alive: bool, wires: str) -> tuple[str, ...]:
    """What differs, for people. Pure. Of ``tick`` only its layout counts while it is silent: the file outlives it."""
    found = []
    if tick is not None and tick.layout != layout:
        version = f" {tick.version}" if tick.version else ""
        found.append(
            f"v2g-guard tick{version} writes its status in layout {tick.layout}, and this v2g-orchestrator {own} reads "
            f"{layout}: no energy until both are of one version; systemctl restart v2g-guard-tick v2g-orchestrator"
        )
    elif tick is not None and tick_alive and tick.version and tick.version != own:
        found.append(_different("tick", tick.version, own))
    if wires and wires != own:
        found.append(_different("wires", wires, own))
    return tuple(found)


def _different(name: str, version: str, own: str) -> str:
    return (
        f"v2g-guard {name} is of version {version}, and v2g-orchestrator of {own}: they go on together; "
        f"systemctl restart v2g-guard-{name} v2g-orchestrator"
    )


class VersionsPart:
    """A part of the operations."""

    def __init__(self, running: Running) -> None:
        self._site = running.site
        self._status_file = running.paths.guard_status
        self._log = running.log
        self._looked_at_s = -LOOK_S
        self._tick: Header | None = None
        self._tick_alive = False
        self._wires = ""
        self._problems: tuple[str, ...] = ()

    def methods(self) -> tuple[Method[Any], ...]:
        return (
            Method("versions", Role.VIEWER, NoParams, self._versions),
            Method("firmware.note", Role.ENGINEER, FirmwareNoteParams, self._note),
        )

    async def start(self, stack: AsyncExitStack) -> None:
        del stack

    def on_cycle(self, now_s: float) -> None:
        if now_s - self._looked_at_s < LOOK_S:
            return
        self._looked_at_s = now_s
        image = self._site.image
        self._tick = read_header(self._status_file)
        self._tick_alive = image is not None and image.guard.permit is not Permit.GUARD_STALE
        self._wires = image.wires.version if image is not None and image.wires is not None else ""
        found = skew_words(__version__, LAYOUT, self._tick, tick_alive=self._tick_alive, wires=self._wires)
        for words in found:
            if words not in self._problems:
                self._log.warning(SKEW, words)
        self._problems = found

    def problems(self) -> tuple[str, ...]:
        return self._problems

    async def _versions(self, params: NoParams, caller: Caller) -> VersionsResult:
        return VersionsResult(
            orchestrator=__version__,
            protocol=PROTOCOL_VERSION,
            tick=self._tick.version if self._tick is not None and self._tick_alive else "",
            wires=self._wires,
            problems=self._problems,
        )

    async def _note(self, params: FirmwareNoteParams, caller: Caller) -> FirmwareNoteResult:
        # The line itself is the control server's, as for every call that changes something.
        return FirmwareNoteResult()
