"""A vehicle's connection without a stream: events in, commands out, its manners in the test's hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from pyiso15118 import events as ev
from pyiso15118.commands import CableCheckFinished, UpdateDcEvse
from pyiso15118.messages.common_types import evseNotificationType
from pyiso15118.paused import PausedSession
from support.control_world import LIMITS

PAUSE = evseNotificationType.Pause


class EventVehicle:
    """At a DC EVSE, in dynamic mode. ``obeys``: the notifications that it follows, ``after_s`` it was told one.

    ``told``: (loop time, notification, its delay, EVSE's current) of each state of the EVSE it was given.
    """

    peer_address = "[fe80::1]:50000"

    def __init__(
        self,
        evse_id: str,
        evccid: str,
        *,
        obeys: tuple[evseNotificationType, ...] = (PAUSE, evseNotificationType.Terminate),
        after_s: float = 0.5,
        pauses: bool = True,
        certificate: str | None = "ab" * 32,
    ) -> None:
        self.evse_id, self.evccid = evse_id, evccid
        self.peer_identity = (
            None
            if certificate is None
            else SimpleNamespace(subject=f"CN={evccid}", common_name=evccid, fingerprint=certificate)
        )
        self.paused: PausedSession | None = None
        self.told: list[tuple[float, evseNotificationType | None, int, float]] = []
        self.aborted = ""
        self._obeys, self._after_s, self._pauses = obeys, after_s, pauses
        self._queue: asyncio.Queue[ev.Event] = asyncio.Queue()
        self._checked = asyncio.Event()
        self._leaves_at_s: float | None = None
        self._over = False

    async def events(self) -> AsyncIterator[ev.Event]:
        living = asyncio.create_task(self._live())
        try:
            while True:
                event = await self._queue.get()
                yield event
                if isinstance(event, ev.SessionEnded):
                    return
        finally:
            living.cancel()

    def command(self, command: Any) -> None:
        if isinstance(command, CableCheckFinished):
            self._checked.set()
        if not isinstance(command, UpdateDcEvse):
            return
        now_s = asyncio.get_running_loop().time()
        asked = command.notification
        self.told.append((now_s, asked, command.notification_max_delay_s, command.present_current_a))
        if asked in self._obeys and self._leaves_at_s is None:
            self._leaves_at_s = now_s + self._after_s

    def abort(self, reason: str) -> None:
        if not self._over:
            self.aborted = reason
            self._end(ev.EndReason.ABORTED, reason)

    @property
    def charging(self) -> bool:
        return self._checked.is_set()

    def lose(self) -> None:
        """Its connection breaks."""
        self._end(ev.EndReason.PEER_CLOSED, "closed")

    async def _live(self) -> None:
        say = self._queue.put_nowait
        say(ev.SessionStarted(session_id=b"12345678", evccid=self.evccid, evse_id=self.evse_id))
        say(
            ev.EnergyServiceSelected(
                service=ev.EnergyService.DC_BPT, control_mode=ev.ControlMode.DYNAMIC, parameter_set_id=1
            )
        )
        say(ev.VehicleLimitsReceived(limits=LIMITS))
        say(ev.CableCheckRequested())
        await self._checked.wait()
        say(ev.PreChargeRequested(target_voltage_v=400.0, ev_present_voltage_v=400.0))
        await asyncio.sleep(0.4)
        say(ev.PowerDeliveryStarted())
        while self._leaves_at_s is None or asyncio.get_running_loop().time() < self._leaves_at_s:
            say(
                ev.DcChargeLoopReceived(
                    ev_present_voltage_v=400.0,
                    limits=LIMITS,
                    needs=ev.EnergyNeeds(),
                    present_soc_pct=70,
                    battery_capacity_wh=None,
                )
            )
            await asyncio.sleep(0.1)
        say(ev.PowerDeliveryStopped(reason="the vehicle stops"))
        await asyncio.sleep(0.2)
        asked = next((each[1] for each in reversed(self.told) if each[1] is not None), None)
        if asked is PAUSE and self._pauses:
            self.paused = paused_session(self.evse_id, self.evccid)
            self._end(ev.EndReason.PAUSED, "Pause")
        else:
            self._end(ev.EndReason.STOPPED, "Terminate")

    def _end(self, reason: ev.EndReason, detail: str) -> None:
        self._over = True
        self._queue.put_nowait(ev.SessionEnded(reason=reason, detail=detail))


def paused_session(evse_id: str, evccid: str) -> PausedSession:
    return PausedSession(
        session_id=b"12345678",
        peer_binding=b"b" * 64,
        evccid=evccid,
        evse_id=evse_id,
        service=ev.EnergyService.DC_BPT,
        parameter_set_id=1,
    )
