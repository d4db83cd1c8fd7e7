"""SunSpec meters over Modbus TCP: one task and one connection each.

Phases of the meter are turned to those of the bus here, and the sign of a meter that counts the other way. After a
timeout the connection is closed (:mod:`v2g.hardware.modbus`), so that a late answer is never taken for the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from v2g.clock import Clock
from v2g.config.schema_meters import Meter
from v2g.hardware.modbus import LinkTiming, ModbusEndpoint, ModbusLink
from v2g.hardware.ports import DeviceError
from v2g.hardware.sunspec.meter import MeterReading, SunSpecMeter
from v2g.utility.meter_book import MeterBook
from v2g.utility.meter_reading import Reading, ReadingRefused, to_bus
from v2g.utility.meter_view import Phases

_BACKOFF_MAX_S = 30.0
_THREE = 3


def timing(meter: Meter) -> LinkTiming:
    """Meters are slow, and often behind a gateway; attempts to reconnect come well within ``max_age_s``."""
    return LinkTiming(
        request_timeout_s=2.0,
        connect_timeout_s=3.0,
        tls_connect_timeout_s=5.0,
        backoff_first_s=0.5,
        backoff_max_s=min(_BACKOFF_MAX_S, meter.max_age_s / 2.0),
    )


def link_to(meter: Meter, endpoint: ModbusEndpoint, clock: Clock, jitter: Callable[[], float]) -> ModbusLink:
    return ModbusLink(f"meter {meter.id}", endpoint, clock, jitter, timing(meter))


class MeterPoll:
    """Reads one meter for ever and writes it into ``book``. ``jitter`` gives numbers in [0, 1)."""

    def __init__(
        self,
        meter: Meter,
        link: ModbusLink,
        book: MeterBook,
        clock: Clock,
        jitter: Callable[[], float],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._meter = meter
        self._link = link
        self._device = SunSpecMeter(link, clock)
        self._book = book
        self._clock = clock
        self._jitter = jitter
        self._pause = pause

    async def run(self) -> None:
        # Many meters started at once are read one after the other.
        await self._pause(self._meter.poll_s * self._jitter())
        due_s = self._clock.monotonic_s()
        try:
            while True:
                await self.once()
                now_s = self._clock.monotonic_s()
                # A device that takes longer than poll_s for its answers gets a rest as well.
                due_s = max(due_s + self._meter.poll_s, now_s + 0.1 * self._meter.poll_s, self._link.retry_at_s)
                await self._pause(due_s - now_s)
        finally:
            await self._link.close()

    async def once(self) -> None:
        """One read. What goes wrong is in the book, for people."""
        meter = self._meter
        try:
            told = await self._device.read()
            power_w, remark = on_bus(told, meter)
        except DeviceError as error:
            self._book.lose(meter.id, str(error))
            return
        now_s, unix_s = self._clock.monotonic_s(), self._clock.unix_s()
        reading = Reading(at_unix_s=unix_s - (now_s - told.as_of_s), power_w=power_w, remark=remark)
        try:
            self._book.take(meter.id, reading, now_s, unix_s)
        except ReadingRefused:
            pass  # the book says why, wherever the meter is shown


def on_bus(told: MeterReading, meter: Meter) -> tuple[Phases, str]:
    """By phase of the bus, positive: the customer draws; and what was assumed. Raises :class:`DeviceError`."""
    letters, remark = meter.rotation, told.remark
    if told.legs == _THREE and len(letters) == 1:
        raise DeviceError(
            f"meter {meter.id} has three phases ({told.wiring}, model {told.model}), and its rotation is {letters!r}: "
            "write the bus phases at its A, B and C, such as abc"
        )
    if told.legs == 1 and len(letters) > 1:
        remark = f"it has one phase, taken to be {letters[0]} of the bus; say so with rotation: {letters[0]}"
    sign = 1.0 if meter.import_is_positive else -1.0
    return to_bus([sign * value for value in told.power_w[: told.legs]], letters), remark
