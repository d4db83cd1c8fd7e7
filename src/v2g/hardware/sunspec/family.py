"""What the drivers of the two SunSpec families have in common: the order of a cycle, and what stops the power.

A reading carries a fault, and zero is commanded whatever is asked for, while a set-point is not seen to be taken
(:mod:`v2g.hardware.setpoint_watch`); local control (715) is a fault as well.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from v2g.clock import Clock
from v2g.hardware.inverter_driver import RAMP_RATE, DeviceSettings
from v2g.hardware.modbus import ModbusLink
from v2g.hardware.ports import DeviceError, InverterCommand, InverterReading
from v2g.hardware.setpoint_watch import SetpointWatch
from v2g.hardware.sunspec.codec import ModelImage, SunSpecError, load_model
from v2g.hardware.sunspec.discovery import ModelLocation, read_span
from v2g.hardware.sunspec.groups import read_model
from v2g.hardware.sunspec.heartbeat import CONTROL, Heartbeat
from v2g.hardware.sunspec.ramp import RampLackingError
from v2g.hardware.sunspec.status import dc_power_w

SLOW_S = 2.0
"""How often ratings and settings are read."""
_DC_PORTS = 714


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverOptions:
    """What the configuration says of one inverter."""

    evse_id: str
    reversion_s: int
    ramp_w_s: float | None = None


@dataclass(frozen=True, slots=True)
class LimitPoints:
    """Where a family limits the active power: value in percent of ``base_w``, and its switch."""

    model: int
    percent: str
    enable: str
    base_w: float


class Family(abc.ABC):
    """One device of one family. Methods raise :class:`DeviceError`; calls are not to overlap."""

    MODELS: ClassVar[tuple[int, ...]]
    """Those that are read by points, where the device has them."""

    def __init__(
        self, options: DriverOptions, link: ModbusLink, clock: Clock, locations: Mapping[int, ModelLocation]
    ) -> None:
        self.locations = locations
        self.setpoints = SetpointWatch()
        self.heartbeat = Heartbeat(link, locations[CONTROL], clock) if CONTROL in locations else None
        self._options = options
        self._link = link
        self._clock = clock
        self._images = {
            number: ModelImage.blank(load_model(number)) for number in self.MODELS if number in self.locations
        }
        self._slow_at_s = 0.0
        self._refused = False
        """The last set-point could not be written."""
        self._ramp_problem: str | None = None

    # ---- what a family tells ------------------------------------------------------------------------------------

    @property
    @abc.abstractmethod
    def function_lacks(self) -> Mapping[str, str] | None:
        """As :attr:`v2g.hardware.sunspec.functions.FunctionsWriter.lacks`."""

    @property
    @abc.abstractmethod
    def reversion_problem(self) -> str | None:
        """Why the device may not discharge, for people."""

    @property
    @abc.abstractmethod
    def takes_reactive_power(self) -> bool: ...

    @property
    @abc.abstractmethod
    def apparent_rating_va(self) -> float: ...

    @abc.abstractmethod
    def configure(self, settings: DeviceSettings) -> None: ...

    @abc.abstractmethod
    async def set_connected(self, connected: bool) -> None:
        """Into service or out of it, read back."""

    @property
    @abc.abstractmethod
    def _limit(self) -> LimitPoints: ...

    @abc.abstractmethod
    def _ratings(self) -> tuple[float, float]:
        """(charge, discharge) in W, magnitudes."""

    @abc.abstractmethod
    async def _fetch_fast(self) -> None: ...

    @abc.abstractmethod
    async def _fetch_slow(self) -> None: ...

    @abc.abstractmethod
    async def _opened(self) -> None:
        """All was fetched over a new connection: the device may have forgotten what was written, or be refused."""

    @abc.abstractmethod
    async def _write_ramp(self, ramp_w_s: float) -> None:
        """Where it differs, read back. Raises :class:`RampLackingError`."""

    @abc.abstractmethod
    async def _command(self, power_w: float, reactive_var: float | None) -> None:
        """``power_w`` within the ratings."""

    @abc.abstractmethod
    def _shown(self) -> tuple[float, bool]:
        """The set-point that was read back in W, positive: into the vehicle; and whether it is in force."""

    @abc.abstractmethod
    async def _tend(self, as_of_s: float) -> None:
        """After each reading: reversion."""

    @abc.abstractmethod
    def _reading(self, as_of_s: float, dc_w: float | None) -> InverterReading: ...

    @abc.abstractmethod
    async def _after(self) -> None:
        """What may take time, when the reading is made."""

    # ---- the cycle ----------------------------------------------------------------------------------------------

    @property
    def lacks(self) -> Mapping[str, str] | None:
        lacks = self.function_lacks
        if self._options.ramp_w_s is None or (lacks is None and self._configures):
            return lacks
        return dict(lacks or {}) | ({RAMP_RATE: self._ramp_problem} if self._ramp_problem else {})

    @property
    @abc.abstractmethod
    def _configures(self) -> bool:
        """Functions are written into it."""

    async def open(self) -> None:
        """Over a new connection, to the same device or for the first time."""
        self._refused = False
        self.setpoints.forget()
        if self.heartbeat is not None:
            self.heartbeat.restart()
            await self.heartbeat.beat(withheld=False)
        await self._slow(self._clock.monotonic_s())
        await self._fetch_fast()
        await self._opened()
        await self._settle_ramp()

    async def read(self) -> InverterReading:
        as_of_s = self._clock.monotonic_s()
        await self._fetch_fast()
        dc_w = await self._dc_power()
        if as_of_s >= self._slow_at_s:
            await self._slow(as_of_s)
        shown_w, enabled = self._shown()
        self.setpoints.look(shown_w, enabled, max(self._ratings()), as_of_s)
        await self._beat()
        await self._tend(as_of_s)
        reading = self._reading(as_of_s, dc_w)
        await self._after()
        return reading

    async def apply(self, command: InverterCommand) -> None:
        max_charge_w, max_discharge_w = self._ratings()
        power_w = min(max(command.power_w, -max_discharge_w), max_charge_w)
        # NaN passes through min and max.
        if self.setpoints.problem is not None or math.isnan(power_w):
            power_w = 0.0
        await self._beat()
        try:
            await self._command(power_w, command.reactive_var)
        except DeviceError:
            self._refused = True
            raise
        self._refused = False

    async def limit_output(self, limit_w: float | None) -> None:
        """See :meth:`v2g.hardware.sunspec.inverter.SunSpecInverter.limit_output`."""
        points = self._limit
        image = self._images.get(points.model)
        if image is not None:
            await self._fetch(points.model)
        step = None if image is None else image.scaled(points.percent, [1])
        if not isinstance(step, int | float) or points.base_w <= 0:
            raise DeviceError(f"it has no {points.model} {points.percent} to limit it by")
        values = {points.enable: 0.0}
        if limit_w is not None:
            percent = min(100.0, 100.0 * max(0.0, limit_w) / points.base_w)
            values = {points.percent: math.floor(percent / step + 1e-9) * step, points.enable: 1.0}
        if refused := await self._keep(points.model, values):
            raise DeviceError(f"it does not keep what was written to {points.model} {', '.join(refused)}")

    async def reset_alarms(self) -> None:
        if self.heartbeat is None:
            raise DeviceError("it has no SunSpec model 715 to reset alarms by; reset them at the device")
        await self.heartbeat.reset_alarms()

    def _faults(self, of_device: str | None) -> str | None:
        local = self.heartbeat is not None and self.heartbeat.local
        told = (
            of_device,
            "under local control (715 LocRemCtl): it obeys no set-point" if local else None,
            self.setpoints.problem,
        )
        return "; ".join(text for text in told if text) or None

    @property
    def _heartbeat_alive(self) -> bool:
        return self.heartbeat is not None and self.heartbeat.alive

    def _without_heartbeat(self, problem: str | None) -> str | None:
        """What is said of a reversion that is not armed."""
        if problem is None or self._heartbeat_alive:
            return None
        reason = "it has no SunSpec model 715" if self.heartbeat is None else self.heartbeat.problem
        return f"{problem}; {reason or 'the heartbeats of 715 are not seen'}"

    async def _beat(self) -> None:
        if self.heartbeat is not None:
            await self.heartbeat.beat(withheld=self._refused or self.setpoints.problem is not None)

    async def _slow(self, now_s: float) -> None:
        await self._fetch_slow()
        self._slow_at_s = now_s + SLOW_S

    async def _settle_ramp(self) -> None:
        if self._options.ramp_w_s is None:
            return
        try:
            await self._write_ramp(self._options.ramp_w_s)
            self._ramp_problem = None
        except (RampLackingError, SunSpecError) as error:
            self._ramp_problem = str(error)
        except DeviceError as error:
            # An exception code is an answer: it does not take the ramp rate, and works without.
            if not self._link.state.online:
                raise
            self._ramp_problem = str(error)

    async def _dc_power(self) -> float | None:
        location = self.locations.get(_DC_PORTS)
        if location is None:
            return None
        try:
            return dc_power_w(await read_model(self._link, location))
        except SunSpecError:
            return None
        except DeviceError:
            if not self._link.state.online:
                raise
            return None

    async def _fetch(self, number: int, first: str = "", last: str = "") -> None:
        """From one point to another, or all of a model of at most 125 registers, in one request."""
        image = self._images[number]
        offset, count = image.model.span(first, last) if first else (0, image.model.length)
        image.load(offset, await read_span(self._link, self.locations[number], offset, count))

    async def _write(self, number: int, first: str, registers: list[int]) -> None:
        offset = self._images[number].model.point(first).offset
        await self._link.write(self.locations[number].address + offset, registers)

    def _encoded(self, number: int, name: str, value: float) -> list[int]:
        try:
            return self._images[number].encode(name, value)
        except SunSpecError as error:
            raise self._link.refuse(str(error)) from None

    async def _keep(self, number: int, values: Mapping[str, float]) -> list[str]:
        """Single points, written where they differ; the names of those that read back otherwise."""
        image = self._images[number]
        wanted = {name: self._encoded(number, name, value) for name, value in values.items()}
        different = [name for name, words in wanted.items() if image.words(name) != words]
        for name in different:
            await self._write(number, name, wanted[name])
        if different:
            await self._fetch(number)
        return [name for name in different if image.words(name) != wanted[name]]
