"""Clients of ``plant.sock``: a blocking one for measurements and faults, and a vehicle's cable."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from pyiso15118.der import GridCode
from v2g.simulation.battery import BatteryModel
from v2g.simulation.line_client import LineClient, NotReachable, RequestRefused
from v2g.simulation.plant_protocol import MAX_LINE_BYTES, Measurement, Tick


class PlantNotReachable(NotReachable):
    """The plant does not answer; the message names its socket."""


class PlantRefused(RequestRefused):
    """The plant answered with an error."""


class PlantClient(LineClient):
    """Raises :class:`PlantNotReachable`, :class:`PlantRefused`."""

    NAME = "plant"
    UNREACHABLE = PlantNotReachable
    REFUSED = PlantRefused

    def measure(self) -> Measurement:
        return msgspec.convert(self.ask(do="measure")["measurement"], Measurement)

    def fault(self, fault: str, **fields: Any) -> int:
        """Returns the fault's number. ``fields`` as in :mod:`v2g.simulation.faults`."""
        return int(self.ask(do="fault", fault=fault, **fields)["id"])

    def clear(self, number: int | None = None) -> None:
        self.ask(do="clear", id=number)


class Cable:
    """A vehicle's plug in an EVSE: its own sensors, its own contactor. ``tick`` is the newest reading."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tick: Tick | None = None
        self.fresh = asyncio.Event()
        """Set with every reading; the reader clears it."""
        self._reader = reader
        self._writer = writer
        self._driven: tuple[float, bool] | None = None
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue(8)
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    @classmethod
    async def plug(cls, path: Path, evse_id: str, name: str, soc: float, battery: BatteryModel) -> Cable:
        """Raises :class:`PlantNotReachable`, :class:`PlantRefused` (something is plugged in already)."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(path), limit=MAX_LINE_BYTES)
        except OSError as error:
            raise PlantNotReachable(f"no plant at {path}: {error.strerror or error}") from None
        cable = cls(reader, writer)
        try:
            await cable._ask(do="plug", evse_id=evse_id, name=name, soc=soc, battery=battery)
        except BaseException:
            await cable.close()
            raise
        return cable

    @property
    def alive(self) -> bool:
        return not self._listening.done()

    async def contactor(self, closed: bool) -> None:
        """Move the vehicle's contactor. Raises :class:`PlantNotReachable`."""
        await self._ask(do="contactor", closed=closed)

    async def drive(self, power_w: float, *, ready: bool) -> None:
        """At an AC EVSE: what the vehicle's inverter shall exchange, positive charges, and pilot state C (ready) or B.
        Sent where it is news. Raises :class:`PlantNotReachable`, :class:`PlantRefused`."""
        if (power_w, ready) != self._driven:
            await self._ask(do="drive", power_w=power_w, ready=ready)
            self._driven = power_w, ready

    async def take_over(self, code: GridCode | None, rated_w: float, rated_va: float) -> None:
        """At an AC EVSE: what the vehicle's inverter keeps to from now on. Raises as :meth:`drive`."""
        await self._ask(do="grid_code", code=code, rated_w=rated_w, rated_va=rated_va)

    async def ready(self, ready: bool) -> None:
        """Pilot state C (ready) or B. Raises :class:`PlantNotReachable`, :class:`PlantRefused`."""
        await self._ask(do="ready", ready=ready)
        self._driven = None

    async def toggle(self, count: int, each_s: float) -> None:
        """``count`` B-C-B changes, ``each_s`` seconds in either state. Raises as :meth:`ready`."""
        for _ in range(count):
            for ready in (True, False):
                await self.ready(ready)
                await asyncio.sleep(each_s)

    async def close(self) -> None:
        """Pull the plug."""
        self._listening.cancel()
        self._writer.close()
        await asyncio.gather(self._listening, return_exceptions=True)

    async def _ask(self, **request: Any) -> None:
        if not self.alive:
            raise PlantNotReachable("the plant is gone")
        try:
            self._writer.write(msgspec.json.encode(request) + b"\n")
            async with asyncio.timeout(2.0):
                await self._writer.drain()
                answer = await self._answers.get()
        except (OSError, TimeoutError) as error:
            raise PlantNotReachable(f"the plant does not answer: {error!r}") from None
        if not answer["ok"]:
            raise PlantRefused(str(answer.get("error")))

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                message = msgspec.json.decode(line)
                if "tick" in message:
                    self.tick = msgspec.convert(message["tick"], Tick)
                    self.fresh.set()
                else:
                    self._answers.put_nowait(message)
        except (OSError, ValueError, asyncio.QueueFull, msgspec.MsgspecError):
            pass
        finally:
            self.fresh.set()
            if self._answers.empty():
                self._answers.put_nowait({"ok": False, "error": "the plant is gone"})
