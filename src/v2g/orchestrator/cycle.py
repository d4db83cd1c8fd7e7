"""The control cycle: every 100 ms read all, decide, write all; then say what changed.

A cycle that fails writes nothing: leases end within a second and everything goes to zero. The watchdog is fed by
cycles that succeed, so a controller that cannot decide is restarted.
"""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import Callable
from typing import Protocol

from v2g.clock import Clock
from v2g.dispatch.orders import Shortfall
from v2g.guard.link import Image, Setpoints
from v2g.guard.status import GuardStatus
from v2g.orchestrator.denial import denial_words_at
from v2g.orchestrator.recall_words import regime_name
from v2g.orchestrator.site import Site
from v2g.sessions.supervisor import Log, Sessions
from v2g.thermal.limits import Regime
from v2g.thermal.view import ThermalView
from v2g.units import format_power

PERIOD_S = 0.1
PATIENCE_S = 1.0
"""For the cycle that is due."""
DENIAL_OVER_AFTER_S = 60.0
"""A denial that comes back sooner is the same one, so that a limit at its edge does not fill the log."""
_DENIED = {"REVERSE_FLOW_DENIED": "discharge", "FORWARD_FLOW_DENIED": "charge"}


class WiresLink(Protocol):
    """The link to ``v2g-guard wires``."""

    @property
    def image(self) -> Image | None: ...

    @property
    def connected(self) -> bool: ...

    def send(self, setpoints: Setpoints) -> bool: ...


class GuardReader(Protocol):
    """The status block of ``v2g-guard tick``."""

    def read(self, now_s: float) -> GuardStatus: ...


class ControlCycle:
    """Runs :class:`Site` against the world. ``on_cycle`` is called after every cycle that succeeded."""

    def __init__(
        self,
        site: Site,
        sessions: Sessions,
        wires: WiresLink,
        guard: GuardReader,
        clock: Clock,
        *,
        daemon: Log,
        power_quality: Log,
        on_cycle: Callable[[float], None],
    ) -> None:
        self._site = site
        self._sessions = sessions
        self._wires = wires
        self._guard = guard
        self._clock = clock
        self._log = daemon
        self._power_quality = power_quality
        self._on_cycle = on_cycle
        self._began_s: float | None = None
        self._ran = asyncio.Event()
        self._permit_reason: str | None = "starting"
        self._notes: frozenset[str] = frozenset()
        self._regime = Regime.NORMAL_CYCLIC
        self._denied: dict[int, float] = {}

    async def run(self) -> None:
        """For ever, until cancelled. A cycle that was missed is left out, never caught up."""
        due_s = self._clock.monotonic_s()
        try:
            while True:
                self.run_once()
                now_s = self._clock.monotonic_s()
                due_s += PERIOD_S
                if due_s < now_s:
                    due_s = now_s + PERIOD_S if now_s - due_s > PERIOD_S else now_s
                await asyncio.sleep(due_s - now_s)
        finally:
            self._began_s = None
            self._ran.set()

    async def caught_up(self, since_s: float) -> None:
        """Return once no cycle is overdue and one has begun since monotonic ``since_s``, or after :data:`PATIENCE_S`.

        At once before the first cycle and after the last.

        A process that was held up reads its sockets before its timers: what is asked then would be answered from an
        image so old that the guard's word in it counts no more. And what has changed is in no image before the next.
        """
        if self._began_s is None or (
            self._began_s >= since_s and self._clock.monotonic_s() - self._began_s <= PERIOD_S
        ):
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self._ran.wait()

    def run_once(self) -> bool:
        """One cycle. False, and nothing written, if it failed."""
        self._began_s = self._clock.monotonic_s()
        ran, self._ran = self._ran, asyncio.Event()
        try:
            return self._run_once(self._began_s)
        finally:
            ran.set()

    def _run_once(self, now_s: float) -> bool:
        site = self._site
        try:
            image = site.observe(self._wires.image, self._wires.connected, self._guard.read(now_s), now_s)
            decision = site.decide(now_s)
            setpoints, steps = site.step(now_s)
            self._wires.send(setpoints)
            for evse_id, step in steps.items():
                self._sessions.command(evse_id, step.commands)
        except Exception as error:
            self._log.error("CYCLE_FAILED", f"{type(error).__name__}: {error}", traceback=traceback_tail())
            return False
        self._tell_permit(decision.permit_reason if not decision.permitted else None)
        self._tell_regime(image.transformer)
        self._tell_notes(image.transformer.notes)
        self._tell_denials(decision.allocation.shortfalls, image.transformer, now_s)
        self._on_cycle(now_s)
        return True

    def _tell_permit(self, reason: str | None) -> None:
        words = None if reason is None else _without_figures(reason)
        if words == self._permit_reason:
            return
        self._permit_reason = words
        if reason is None:
            self._log.info("PERMIT_GRANTED", "energy may flow")
        else:
            self._log.warning("NO_PERMIT", f"no energy: {reason}")

    def _tell_regime(self, view: ThermalView) -> None:
        """An emergency ends by itself, which no command and no audit line tells."""
        if view.limits is None or view.regime is self._regime:
            return
        self._regime = view.regime
        by = f", authorised by {view.regime_by}" if view.regime_by else ""
        self._log.info("LOADING_REGIME", f"{regime_name(view.regime)}{by}", regime=view.regime.value)

    def _tell_notes(self, notes: tuple[str, ...]) -> None:
        keys = {_without_figures(note): note for note in notes}
        for key, note in keys.items():
            if key not in self._notes:
                self._log.warning("THERMAL", note)
        self._notes = frozenset(keys)

    def _tell_denials(self, shortfalls: tuple[Shortfall, ...], view: ThermalView, now_s: float) -> None:
        for shortfall in shortfalls:
            direction = _DENIED.get(shortfall.code)
            if direction is None:
                continue
            if shortfall.order_id not in self._denied:
                self._power_quality.warning(
                    shortfall.code,
                    f"{direction} of order {shortfall.order_id} cut by {format_power(shortfall.missing_w)}: "
                    + denial_words_at(
                        shortfall.source,
                        view,
                        self._site.thermal_clock,
                        now_s,
                        discharge=direction == "discharge",
                    ),
                    order=shortfall.order_id,
                    missing_w=round(shortfall.missing_w),
                    source=shortfall.source,
                    evse=shortfall.evse_id or "all",
                )
            self._denied[shortfall.order_id] = now_s
        self._denied = {
            order_id: seen_s for order_id, seen_s in self._denied.items() if now_s - seen_s < DENIAL_OVER_AFTER_S
        }


def traceback_tail() -> str:
    """The innermost part of the current exception's traceback, short enough for a log field."""
    return traceback.format_exc()[-900:]


def _without_figures(text: str) -> str:
    """Figures within a text change with every cycle; the words say whether it is a new one."""
    return "".join(character for character in text if not character.isdigit())
