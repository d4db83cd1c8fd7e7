"""A bidirectional inverter by SunSpec models 701 to 712 (IEEE 1547-2018 profile).

SunSpec counts power injected into the grid as positive; here, and only here, its sign is turned.

Reversion: ``WSetRvrt`` = 0 and ``WSetEnaRvrt`` = 1 are written before ``WSetRvrtTms``, read back, and ``WSetRvrtRem``
must be seen counting down. From then on each set-point re-arms the timer, so that an inverter whose master falls
silent goes to zero by itself. A reactive set-point reverts to zero in the same way, without the proof.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from v2g.clock import Clock
from v2g.hardware.modbus import ModbusLink
from v2g.hardware.ports import InverterCommand, InverterReading
from v2g.hardware.sunspec.codec import ModelImage, SunSpecError, load_model
from v2g.hardware.sunspec.discovery import Identity, ModelLocation, discover, read_identity, read_span
from v2g.hardware.sunspec.functions import FunctionsWriter
from v2g.hardware.sunspec.groups import read_model
from v2g.hardware.sunspec.status import able_to_deliver, apparent_rating_va, fault, ratings
from v2g.hardware.sunspec.wanted import DeviceSettings

_WATTS, _VARS = 1, 4
_ENABLED = 1
_SLOW_S = 2.0
_PROBE_AGAIN_S = 30.0
_EXPIRY_MARGIN_S = 0.5
_REQUIRED = (1, 701, 702, 704)


class _Reversion(enum.Enum):
    UNKNOWN = "unknown"
    PROBING = "probing"
    """Written and read back; the countdown is not seen yet."""
    ARMED = "armed"
    ABSENT = "absent"


class SunSpecInverter:
    """:class:`v2g.hardware.ports.InverterPort`. One task may use it; calls are not to overlap."""

    def __init__(
        self,
        evse_id: str,
        link: ModbusLink,
        clock: Clock,
        reversion_s: int = 3,
        settings: DeviceSettings | None = None,
    ) -> None:
        """``settings`` are written into the device and looked at again every minute; None leaves it as it is."""
        self.evse_id = evse_id
        self.identity: Identity | None = None
        self.reversion_problem: str | None = None
        """Why the reversion is not armed, for people."""
        self._link = link
        self._clock = clock
        self._reversion_s = reversion_s
        self._functions = None if settings is None else FunctionsWriter(link, clock, settings)
        self._generation = -1
        self._locations: dict[int, ModelLocation] = {}
        self._images: dict[int, ModelImage] = {}
        self._slow_at_s = 0.0
        self._reversion = _Reversion.UNKNOWN
        self._written_at_s = 0.0
        self._written_w = 0.0
        self._rearmed_at_s = 0.0
        self._probe_from_s = 0.0
        self._last_remaining_s: int | None = None
        self._reactive = False
        """A reactive set-point of ours is enabled."""

    @property
    def lacks(self) -> Mapping[str, str] | None:
        """:attr:`FunctionsWriter.lacks`; None as well where nothing is written."""
        return None if self._functions is None else self._functions.lacks

    @property
    def takes_reactive_power(self) -> bool:
        """It has a reactive set-point in var (704 VarSet)."""
        image = self._images.get(704)
        return image is not None and all(image.get(name) is not None for name in ("VarSetEna", "VarSetMod", "VarSet"))

    @property
    def apparent_rating_va(self) -> float:
        """0 until it was read."""
        return apparent_rating_va(self._images[702]) if 702 in self._images else 0.0

    async def read(self) -> InverterReading:
        await self._ensure_open()
        as_of_s = self._clock.monotonic_s()
        await self._fetch(701, "ID", "Tmp_SF")
        await self._fetch(704, "WSetEna", "VarSet_SF")
        if as_of_s >= self._slow_at_s:
            await self._fetch_slow()
        self._watch_reversion(as_of_s)
        if self._reversion is _Reversion.UNKNOWN:
            await self._arm()
        reading = self._reading(as_of_s)
        if self._functions is not None:
            await self._functions.advance()
        return reading

    async def apply(self, command: InverterCommand) -> None:
        await self._ensure_open()
        max_charge_w, max_discharge_w = ratings(self._images[702])
        power_w = min(max(command.power_w, -max_discharge_w), max_charge_w)
        if self._reversion is _Reversion.UNKNOWN:
            await self._arm()
        # While the countdown is being looked for, a refresh would hide it; the set-point is zero already.
        if self._reversion is _Reversion.PROBING and power_w == 0 and self._written_w == 0:
            return
        await self._command(power_w)
        self._last_remaining_s = None
        if self.takes_reactive_power:
            await self._command_reactive(command.reactive_var)

    async def close(self) -> None:
        await self._link.close()

    async def dump(self) -> dict[str, object]:
        """Every point of the models known here, scaled, by ``model.point``; for a person to look at."""
        await self._ensure_open()
        points: dict[str, object] = {}
        for location in self._locations.values():
            try:
                image = await read_model(self._link, location)
            except SunSpecError:
                continue
            points |= {f"{location.id}.{name}": value for name, value in image.values()}
        return points

    async def _ensure_open(self) -> None:
        if self._generation == self._link.generation and self._link.state.online:
            return
        known, self.identity = self.identity, None
        if known is not None and await read_identity(self._link, self._locations[1]) == known:
            self.identity = known
        else:
            await self._discover()
        await self._fetch_slow()
        await self._fetch(704, "WSetEna", "VarSet_SF")
        self._check_settable()
        if self._reversion is not _Reversion.ARMED or not self._reversion_written():
            self._reversion = _Reversion.UNKNOWN
        self._reactive = False
        if self._functions is not None:
            self._functions.connected(self._locations)
        self._generation = self._link.generation

    async def _discover(self) -> None:
        self._reversion = _Reversion.UNKNOWN
        self._locations = await discover(self._link)
        missing = [str(number) for number in _REQUIRED if number not in self._locations]
        if missing:
            raise self._link.refuse(f"it has no SunSpec model {', '.join(missing)}, which the driver needs")
        self._images = {
            number: ModelImage.blank(load_model(number)) for number in (701, 702, 703, 704) if number in self._locations
        }
        self.identity = await read_identity(self._link, self._locations[1])

    async def _fetch(self, number: int, first: str, last: str) -> None:
        image = self._images[number]
        offset, count = image.model.span(first, last)
        image.load(offset, await read_span(self._link, self._locations[number], offset, count))

    async def _fetch_slow(self) -> None:
        await self._fetch(702, "ID", "S_SF")
        if 703 in self._images:
            await self._fetch(703, "ID", "Hz_SF")
        self._slow_at_s = self._clock.monotonic_s() + _SLOW_S

    def _check_settable(self) -> None:
        image = self._images[704]
        if image.number("WSet") is None or image.integer("WSetEna") is None:
            raise self._link.refuse("its SunSpec model 704 has no active power set-point (WSet, WSet_SF, WSetEna)")

    async def _write(self, first: str, registers: list[int]) -> None:
        model = self._images[704].model
        await self._link.write(self._locations[704].address + model.point(first).offset, registers)

    def _encoded(self, name: str, value: float) -> list[int]:
        try:
            return self._images[704].encode(name, value)
        except SunSpecError as error:
            raise self._link.refuse(str(error)) from None

    async def _arm(self) -> None:
        """Reversion to zero, then zero power; the countdown is looked for by the readings that follow."""
        image = self._images[704]
        self._last_remaining_s = None
        self._probe_from_s = self._clock.monotonic_s()
        if any(image.raw(name) is None for name in ("WSetRvrt", "WSetEnaRvrt", "WSetRvrtTms")):
            self._give_up_reversion("its SunSpec model 704 does not implement WSetRvrt, WSetEnaRvrt and WSetRvrtTms")
            await self._command(0.0)
            return
        self._reversion = _Reversion.PROBING
        await self._write("WSetRvrt", self._encoded("WSetRvrt", 0))
        await self._write("WSetEnaRvrt", [_ENABLED])
        await self._write("WSetRvrtTms", self._encoded("WSetRvrtTms", self._reversion_s))
        self._rearmed_at_s = self._clock.monotonic_s()
        # Writes the timer once more: some devices start it only while the set-point is enabled.
        await self._command(0.0)
        await self._fetch(704, "WSetEna", "VarSet_SF")
        if not self._reversion_written():
            self._give_up_reversion("it does not keep WSetRvrt, WSetEnaRvrt and WSetRvrtTms as written")

    async def _command(self, power_w: float) -> None:
        image = self._images[704]
        timed = self._reversion in (_Reversion.PROBING, _Reversion.ARMED)
        rearm = self._encoded("WSetRvrtTms", self._reversion_s)
        # A timer that ran out must run again before power flows; one that runs is only prolonged by a device that took
        # the set-point, so that a refused set-point ends in zero.
        if timed and self._clock.monotonic_s() - self._rearmed_at_s > self._reversion_s + _EXPIRY_MARGIN_S:
            await self._write("WSetRvrtTms", rearm)
        set_point = self._encoded("WSet", -power_w)
        if image.integer("WSetMod") is None:
            await self._write("WSet", set_point)
            await self._write("WSetEna", [_ENABLED])
        else:
            await self._write("WSetEna", [_ENABLED, _WATTS, *set_point])
        self._written_at_s = self._clock.monotonic_s()
        self._written_w = power_w
        if timed:
            await self._write("WSetRvrtTms", rearm)
            self._rearmed_at_s = self._clock.monotonic_s()

    async def _command_reactive(self, reactive_var: float | None) -> None:
        if reactive_var is None:
            if self._reactive:
                await self._write("VarSetEna", [0])
                self._reactive = False
            return
        image = self._images[704]
        rating_va = self.apparent_rating_va
        injected_var = min(max(0.0 - reactive_var, -rating_va), rating_va)
        reverts = all(image.raw(name) is not None for name in ("VarSetRvrt", "VarSetEnaRvrt", "VarSetRvrtTms"))
        if reverts and not self._reactive:
            await self._write("VarSetRvrt", self._encoded("VarSetRvrt", 0))
            await self._write("VarSetEnaRvrt", [_ENABLED])
        await self._write("VarSet", self._encoded("VarSet", injected_var))
        if not self._reactive:
            await self._write("VarSetEna", [_ENABLED, _VARS])
            self._reactive = True
        if reverts:
            await self._write("VarSetRvrtTms", self._encoded("VarSetRvrtTms", self._reversion_s))

    def _reversion_written(self) -> bool:
        image = self._images[704]
        return (
            image.number("WSetRvrt") == 0
            and image.integer("WSetEnaRvrt") == _ENABLED
            and image.integer("WSetRvrtTms") == self._reversion_s
        )

    def _watch_reversion(self, now_s: float) -> None:
        remaining_s = self._images[704].integer("WSetRvrtRem")
        if self._reversion is _Reversion.PROBING:
            last_s = self._last_remaining_s
            if remaining_s is not None and last_s is not None and 0 <= remaining_s < last_s <= self._reversion_s:
                self._reversion = _Reversion.ARMED
                self.reversion_problem = None
            elif now_s - max(self._probe_from_s, self._written_at_s) > self._reversion_s + 1:
                self._give_up_reversion(f"WSetRvrtRem does not count down ({remaining_s})")
            self._last_remaining_s = remaining_s
        elif self._reversion is _Reversion.ARMED:
            stopped = not remaining_s and now_s - self._written_at_s < self._reversion_s - 1
            if stopped or not self._reversion_written():
                self._reversion = _Reversion.UNKNOWN
                self.reversion_problem = "the device dropped its reversion settings"
        elif self._written_w == 0 and now_s - self._probe_from_s > _PROBE_AGAIN_S:
            self._reversion = _Reversion.UNKNOWN

    def _give_up_reversion(self, problem: str) -> None:
        self._reversion = _Reversion.ABSENT
        self.reversion_problem = problem

    def _reading(self, as_of_s: float) -> InverterReading:
        measured, control = self._images[701], self._images[704]
        power_w = measured.number("W")
        if power_w is None:
            raise self._link.refuse("its SunSpec model 701 has no active power (W)")
        enabled = control.integer("WSetEna") == _ENABLED
        max_charge_w, max_discharge_w = ratings(self._images[702])
        return InverterReading(
            evse_id=self.evse_id,
            as_of_s=as_of_s,
            power_w=0.0 - power_w,
            reactive_var=0.0 - (measured.number("Var") or 0.0),
            voltage_v=measured.number("LNV") or 0.0,
            frequency_hz=measured.number("Hz") or 0.0,
            setpoint_w=0.0 - (control.number("WSet") or 0.0) if enabled else 0.0,
            setpoint_enabled=enabled,
            reversion_armed=self._reversion is _Reversion.ARMED,
            reversion_remaining_s=float(control.integer("WSetRvrtRem") or 0),
            max_charge_w=max_charge_w,
            max_discharge_w=max_discharge_w,
            connected=able_to_deliver(measured, self._images.get(703)),
            fault=fault(measured),
            anti_islanding=control.integer("AntiIslEna") == _ENABLED,
        )
