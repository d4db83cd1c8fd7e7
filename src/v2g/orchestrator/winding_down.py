"""Ends all sessions in order, for a stop of the daemon and for maintenance, and admits no new ones meanwhile.

The order and its bounds are :mod:`v2g.sessions.drain`'s; the control cycle goes on all the while and carries it out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pyiso15118.events import EndReason
from pyiso15118.paused import PausedSession
from v2g.clock import Clock
from v2g.orchestrator.site import Site
from v2g.sessions.drain import Drain, Seen
from v2g.sessions.supervisor import Log, SessionInfo, Sessions

POLL_S = 0.05
PAUSED, STOPPED, TERMINATED = "paused", "stopped", "terminated"
_BECAME = {EndReason.PAUSED: PAUSED, EndReason.STOPPED: STOPPED}
_UNANSWERED = "it did not follow in time"
_ENDED = "the controller ends all sessions, and this vehicle did not end its own in time"


class Listener(Protocol):
    """Of :class:`pyiso15118.aio.SeccServer`: ``resting`` says why no new session is begun."""

    resting: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What became of one session: ``paused``, ``stopped`` (the vehicle's own SessionStop) or ``terminated``, with the
    reason in ``words`` where it was not the vehicle's doing. ``power_w``: measured at the beginning; None: unknown."""

    info: SessionInfo
    power_w: float | None
    became: str
    words: str = ""


class WindingDown:
    """Of one daemon. ``secc`` gives its listener, None before it listens."""

    def __init__(
        self, site: Site, sessions: Sessions, clock: Clock, secc: Callable[[], Listener | None], log: Log
    ) -> None:
        self._site = site
        self._sessions = sessions
        self._clock = clock
        self._secc = secc
        self._log = log
        self._reason = ""
        self._ended: dict[str, tuple[SessionInfo, EndReason]] = {}
        self._running: asyncio.Task[tuple[Drained, ...]] | None = None
        sessions.watch(self)

    # ---- who is let in ----

    @property
    def reason(self) -> str:
        """Why no new session is admitted; empty: they are."""
        return self._reason

    def close(self, reason: str) -> None:
        """Admit no new session from now on; those that run go on."""
        self._reason = reason
        self.apply()

    def apply(self) -> None:
        """To a listener that has come since."""
        listener = self._secc()
        if listener is not None:
            listener.resting = self._reason

    def resume(self) -> None:
        """Sessions may begin and go on again. Does nothing once the daemon stops."""
        if self._site.stopping:
            return
        if self._running is not None:
            self._running.cancel()
            self._running = None
        self._site.drain = None
        self.close("")

    # ---- the end of those that run ----

    def began(self, info: SessionInfo, session_id: bytes, *, resumed: bool) -> None:
        pass

    def ended(self, info: SessionInfo, reason: EndReason, paused: PausedSession | None) -> None:
        self._ended[info.evse_id] = info, reason

    async def drain(self) -> tuple[Drained, ...]:
        """Bring all sessions to their end; a second call waits for the same end. Power stays at zero until
        :meth:`resume`; where that comes meanwhile, nothing is told."""
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._drain(), name="drain")
        # Whoever asked may leave: what has begun is brought to its end all the same.
        running = self._running
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            if running.cancelled():
                return ()
            raise

    async def stop(self) -> None:
        """The daemon stops: no orders any more, no sessions."""
        settings = self._site.config.sessions
        self._site.stopping = True
        self.close("the controller stops")
        self._log.info(
            "STOPPING",
            f"power of {self._sessions.count} vehicles goes to zero, then they are asked to {settings.on_stop}",
            on_stop=settings.on_stop,
        )
        try:
            await self.drain()
        except Exception as error:
            # A daemon that is told to end ends: what is left of sessions goes with it.
            self._log.error("INTERNAL_ERROR", f"sessions could not be ended in order: {type(error).__name__}: {error}")
            for evse_id in self._site.bays:
                self._sessions.abort(evse_id, _ENDED)

    async def _drain(self) -> tuple[Drained, ...]:
        site, settings = self._site, self._site.config.sessions
        now_s = self._clock.monotonic_s()
        power_w = {evse_id: site.known_w(evse_id, now_s) for evse_id in site.bays}
        self._ended.clear()
        there = dict(self._sessions.active)
        site.drain = drain = Drain(
            pause=settings.on_stop == "pause",
            delay_s=settings.notification_delay_s,
            ramp_pu_s=site.config.dispatch.ramp_pu_s,
            began_at_s=now_s,
        )
        while not drain.over:
            now_s = self._clock.monotonic_s()
            for evse_id in drain.step(self._seen(now_s), now_s):
                self._sessions.abort(evse_id, _ENDED)
            # One whose handshake was under way when the door was closed.
            there |= {evse_id: info for evse_id, info in self._sessions.active.items() if evse_id not in there}
            await asyncio.sleep(POLL_S)
        drained = tuple(self._outcome(evse_id, info, power_w[evse_id], drain) for evse_id, info in there.items())
        self._tell(drained)
        return drained

    def _seen(self, now_s: float) -> Mapping[str, Seen]:
        active = self._sessions.active
        return {
            evse_id: Seen(
                in_session=evse_id in active,
                power_w=self._site.known_w(evse_id, now_s),
                rests=bay.rests(now_s),
                released=bay.procedure is None and not bay.releasing,
                may_pause=evse_id in active and self._may_pause(active[evse_id]),
            )
            for evse_id, bay in self._site.bays.items()
        }

    def _may_pause(self, info: SessionInfo) -> bool:
        settings = self._site.config.sessions
        return info.certificate is not None and info.evse_id not in settings.never_pause

    def _outcome(self, evse_id: str, info: SessionInfo, power_w: float | None, drain: Drain) -> Drained:
        info, reason = self._ended.get(evse_id, (info, EndReason.ABORTED))
        became = _BECAME.get(reason, TERMINATED)
        words = ""
        if became == TERMINATED:
            words = _UNANSWERED if evse_id in drain.forced else f"its session ended otherwise: {reason.value}"
        return Drained(info=info, power_w=power_w, became=became, words=words)

    def _tell(self, drained: tuple[Drained, ...]) -> None:
        for each in drained:
            log = self._log.warning if each.became == TERMINATED else self._log.info
            text = f"{each.info}: {each.became}" + (f": {each.words}" if each.words else "")
            log(
                "SESSION_DRAINED",
                text,
                evse=each.info.evse_id,
                session=each.info.session,
                became=each.became,
            )
