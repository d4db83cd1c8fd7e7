"""One task a device: what it shall do is written at once when it changes and again before it would be forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from v2g.clock import Clock
from v2g.guard.link import DeviceHealth
from v2g.hardware.modbus import ModbusLink
from v2g.hardware.ports import DeviceError
from v2g.telemetry import logs

_Wanted = TypeVar("_Wanted")
_Reading = TypeVar("_Reading")

_AFTER_ERROR_S = 0.1


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between readings, with a vehicle and without, and after which a command is written again."""

    busy_s: float
    idle_s: float
    refresh_s: float = 0.8


class DeviceWatch:
    """Tells comms.log when a device is lost or refuses, and when it is back; gives its state for status."""

    def __init__(self, link: ModbusLink) -> None:
        self.lacks: tuple[str, ...] = ()
        """Functions that the device does not do as the site wants them."""
        self._link = link
        self._failing: set[str] = set()

    def failed(self, what: str, error: Exception) -> None:
        """Any exception: whatever a device provokes in its driver must not take the other devices with it."""
        if what not in self._failing:
            text = str(error) if isinstance(error, DeviceError) else f"{self._link.name}: {error!r}"
            code = "DEVICE_REFUSES" if self._link.state.online else "DEVICE_LOST"
            logs.comms_log().error(code, text, device=self._link.name)
        self._failing.add(what)

    def succeeded(self, what: str) -> None:
        if what in self._failing:
            self._failing.discard(what)
            if not self._failing:
                logs.comms_log().info("DEVICE_BACK", "works again", device=self._link.name)

    def health(self) -> DeviceHealth:
        state = self._link.state
        return DeviceHealth(
            name=self._link.name,
            address=str(self._link.endpoint),
            online=state.online,
            last_answer_s=state.last_answer_s,
            error=state.error,
            timeouts=state.timeouts,
            reconnects=state.reconnects,
            lacks=self.lacks,
        )


class Actuator(Generic[_Wanted, _Reading]):
    """An inverter or a DC output. ``want`` says what it shall do; nothing is written before the first ``want``.

    What is ``near`` to what the device holds is written with the next refresh, not at once: a limit that follows a
    measured voltage changes a little in every cycle. Readings come at their pace; one that is late by as much again
    goes before a change, so that a slow device whose command changes all the time is not blind.
    """

    def __init__(
        self,
        link: ModbusLink,
        clock: Clock,
        write: Callable[[_Wanted], Awaitable[None]],
        read: Callable[[], Awaitable[_Reading]],
        on_reading: Callable[[_Reading], None],
        pace: Pace,
        near: Callable[[_Wanted, _Wanted], bool] = lambda held, wanted: False,
    ) -> None:
        self.watch = DeviceWatch(link)
        self.busy = False
        self._link = link
        self._clock = clock
        self._write = write
        self._read = read
        self._on_reading = on_reading
        self._pace = pace
        self._near = near
        self._changed = asyncio.Event()
        self._wanted: _Wanted | None = None
        self._written: _Wanted | None = None
        self._write_at_s = 0.0
        self._read_at_s = 0.0

    @property
    def settled(self) -> bool:
        """The device has what it shall do, or cannot be reached."""
        return self._wanted == self._written or not self._link.state.online

    def want(self, wanted: _Wanted) -> None:
        if wanted == self._wanted:
            return
        self._wanted = wanted
        if self._written is None or not self._near(self._written, wanted):
            self._write_at_s = 0.0
            self._changed.set()

    async def run(self) -> None:
        while True:
            self._changed.clear()
            await self._write_if_due()
            if not self._changed.is_set() or self._clock.monotonic_s() >= self._read_at_s + self._read_pace_s:
                await self._read_if_due()
            await self._wait()

    @property
    def _read_pace_s(self) -> float:
        return self._pace.busy_s if self.busy else self._pace.idle_s

    async def _write_if_due(self) -> None:
        wanted = self._wanted
        if wanted is None or self._clock.monotonic_s() < self._write_at_s:
            return
        try:
            await self._write(wanted)
        except Exception as error:
            self.watch.failed("write", error)
            self._written = None
            self._write_at_s = self._later(_AFTER_ERROR_S)
            return
        self.watch.succeeded("write")
        self._written = wanted
        # Changed meanwhile: `want` has made it due again, and that must stand.
        if self._wanted is wanted or (self._wanted is not None and self._near(wanted, self._wanted)):
            self._write_at_s = self._clock.monotonic_s() + self._pace.refresh_s

    async def _read_if_due(self) -> None:
        now_s = self._clock.monotonic_s()
        if now_s < self._read_at_s:
            return
        try:
            reading = await self._read()
        except Exception as error:
            self.watch.failed("read", error)
            self._read_at_s = self._later(_AFTER_ERROR_S)
            return
        self._read_at_s = now_s + self._read_pace_s
        self.watch.succeeded("read")
        self._on_reading(reading)

    def _later(self, delay_s: float) -> float:
        return max(self._clock.monotonic_s() + delay_s, self._link.retry_at_s)

    async def _wait(self) -> None:
        if self._changed.is_set():
            # The first attempt after an error must not spin on a device that refuses at once.
            await asyncio.sleep(0)
            return
        due_s = self._read_at_s if self._wanted is None else min(self._read_at_s, self._write_at_s)
        delay_s = due_s - self._clock.monotonic_s()
        if delay_s <= 0:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(delay_s):
                await self._changed.wait()
        except TimeoutError:
            pass
