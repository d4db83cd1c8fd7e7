"""SunSpec model 715: the heartbeats of controller and DER, local control, reset of alarms.

The model says of ``ControllerHb`` and ``DERHb`` that each side increments its own every second, with resets to zero.
It does not say that a DER leaves its set-point when ``ControllerHb`` stands still, nor after what time, and no point
tells it. That it does is an assumption, made where the reversion of 704 is absent (DESIGN section 4): it is for the
maker's manual or a trial at the device to confirm it. What is seen here shows only that the device keeps up the
exchange: what we count in ``ControllerHb`` is read back as written, three times in a row (nobody else counts there),
and ``DERHb`` counts, seen twice and not longer ago than 3 s. A ``DERHb`` that stands still ends it, and is to be seen
twice again. While a set-point is refused or not seen to be taken, ``ControllerHb`` is not advanced, so that a device
that watches it leaves an order that it does not replace.
"""

from __future__ import annotations

from v2g.clock import Clock
from v2g.hardware.modbus import ModbusLink
from v2g.hardware.ports import DeviceError
from v2g.hardware.sunspec.codec import ModelImage, load_model
from v2g.hardware.sunspec.discovery import ModelLocation, read_span

CONTROL = 715
PERIOD_S = 1.0
KEPT_TIMES = 3
ADVANCED_TIMES = 2
FRESH_S = 3.0
_LOCAL = 1
_RESET = 1
_AFTER_RESET = 4
"""As far as a count can be when it is read after its reset to zero: it is looked at once a second."""
_WRAP = 0xFFFFFFFF
"""Means "not implemented", so that the count goes to zero before it."""


class Heartbeat:
    """Of one device. One task may use it, the one that owns the connection."""

    def __init__(self, link: ModbusLink, location: ModelLocation, clock: Clock) -> None:
        self.local = False
        """Somebody at the device controls it: it obeys no set-point."""
        self.problem: str | None = None
        """Why it is not alive, for people."""
        self._link = link
        self._location = location
        self._clock = clock
        self._image = ModelImage.blank(load_model(CONTROL))
        self._due_s = 0.0
        self._written: int | None = None
        self._kept = 0
        self._der: int | None = None
        self._advanced = 0
        self._advanced_at_s = 0.0

    @property
    def alive(self) -> bool:
        """Both counts are seen; what that shows, and what it does not, is in the module's text."""
        fresh = self._clock.monotonic_s() - self._advanced_at_s <= FRESH_S
        return self._kept >= KEPT_TIMES and self._advanced >= ADVANCED_TIMES and fresh and not self.local

    def restart(self) -> None:
        """A new connection: all is to be seen anew, from now on."""
        self._due_s = 0.0
        self._written = self._der = None
        self._kept = self._advanced = 0

    async def beat(self, withheld: bool) -> None:
        """Once a second: look, then count. ``withheld``: only look. Raises :class:`DeviceError` for a lost device."""
        now_s = self._clock.monotonic_s()
        if now_s < self._due_s:
            return
        # Late by more than a beat: the rhythm starts anew, no beat is made up for.
        self._due_s = self._due_s + PERIOD_S if now_s - self._due_s < PERIOD_S else now_s + PERIOD_S
        try:
            self._image.load(0, await read_span(self._link, self._location, 0, self._image.model.length))
            self._look(now_s)
            if not withheld and self._image.integer("ControllerHb") is not None:
                await self._count()
        except DeviceError as error:
            self._kept = 0
            self.problem = f"715: {error}"
            if not self._link.state.online:
                raise

    async def reset_alarms(self) -> None:
        """``AlarmReset``: latched alarms go, where their cause has gone. Raises :class:`DeviceError`."""
        if self._image.raw("AlarmReset") is None:
            raise DeviceError("its SunSpec model 715 does not implement AlarmReset; reset the alarms at the device")
        await self._link.write(self._location.address + self._image.model.point("AlarmReset").offset, [_RESET])

    async def _count(self) -> None:
        told = self._image.integer("ControllerHb") or 0
        count = (told if self._written is None else self._written) + 1
        count = 0 if count >= _WRAP else count
        point = self._image.model.point("ControllerHb")
        await self._link.write(self._location.address + point.offset, self._image.encode("ControllerHb", count))
        self._written = count

    def _look(self, now_s: float) -> None:
        self.local = self._image.integer("LocRemCtl") == _LOCAL
        told, der = self._image.integer("ControllerHb"), self._image.integer("DERHb")
        if self._written is not None:
            self._kept = self._kept + 1 if told == self._written else 0
        if der is not None and self._der is not None and (der > self._der or der <= _AFTER_RESET < self._der):
            self._advanced += 1
            self._advanced_at_s = now_s
        elif now_s - self._advanced_at_s > FRESH_S:
            self._advanced = 0
        self._der = der
        self.problem = None if self.alive else self._why(told, der)

    def _why(self, told: int | None, der: int | None) -> str:
        if told is None or der is None:
            missing = " and ".join(n for n, v in (("ControllerHb", told), ("DERHb", der)) if v is None)
            return f"its SunSpec model 715 does not implement {missing}"
        if self.local:
            return "it is under local control (715 LocRemCtl)"
        if self._written is not None and told != self._written:
            return f"715 ControllerHb reads {told} where {self._written} was written; does another controller count?"
        if self._kept >= KEPT_TIMES and self._advanced < ADVANCED_TIMES:
            return f"715 DERHb is not seen counting ({der})"
        return "the heartbeats of 715 are not seen yet"
