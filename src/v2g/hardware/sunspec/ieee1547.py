"""A bidirectional inverter by SunSpec models 701 to 715 (IEEE 1547-2018 profile).

SunSpec counts power injected into the grid as positive; here its sign is turned.

Reversion: ``WSetRvrt`` = 0 and ``WSetEnaRvrt`` = 1 are written before ``WSetRvrtTms``, read back, and ``WSetRvrtRem``
must be seen counting down. From then on each set-point re-arms the timer, so that an inverter whose master falls
silent goes to zero by itself. A countdown is what can be seen without letting it expire; it does not prove what happens
at its end. A reactive set-point reverts to zero in the same way, without being looked for. A device that does not
revert, or does not show it, counts as armed while the heartbeats of model 715 are seen, with what
:mod:`v2g.hardware.sunspec.heartbeat` says of them.

Ramp rate: ``WRmp``, percent of ``WMax`` per second; the profile has it for increases of generated power only.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from typing import ClassVar

from v2g.clock import Clock
from v2g.hardware.inverter_driver import DeviceSettings
from v2g.hardware.modbus import ModbusLink
from v2g.hardware.ports import DeviceError, InverterReading
from v2g.hardware.sunspec.codec import ModelImage, load_model
from v2g.hardware.sunspec.discovery import ModelLocation, read_span
from v2g.hardware.sunspec.family import DriverOptions, Family, LimitPoints
from v2g.hardware.sunspec.functions import FunctionsWriter
from v2g.hardware.sunspec.ramp import RampLackingError, ramp_percent
from v2g.hardware.sunspec.status import able_to_deliver, apparent_rating_va, fault, hottest_c, lowest, ratings, state

REQUIRED = (1, 701, 702, 704)
_MEASURED, _CAPACITY, _SERVICE, CONTROLS = 701, 702, 703, 704
_SET_POINTS = "WSetEna", "VarSet_SF"
"""From the first to the last point of a reading, scale factors included."""
_WATTS, _VARS = 1, 4
_W_MAX = 1
_DISABLED, _ENABLED = 0, 1
_PROBE_AGAIN_S = 30.0
_EXPIRY_MARGIN_S = 0.5


class _Reversion(enum.Enum):
    UNKNOWN = "unknown"
    PROBING = "probing"
    """Written and read back; the countdown is not seen yet."""
    ARMED = "armed"
    ABSENT = "absent"


async def has_set_point(link: ModbusLink, location: ModelLocation) -> bool:
    """Whether this 704 takes an active power: none of its set-points is mandatory. Raises :class:`DeviceError`."""
    image = ModelImage.blank(load_model(CONTROLS))
    offset, count = image.model.span(*_SET_POINTS)
    image.load(offset, await read_span(link, location, offset, count))
    return _settable(image)


def _settable(image: ModelImage) -> bool:
    return image.number("WSet") is not None and image.integer("WSetEna") is not None


class Ieee1547Family(Family):
    MODELS: ClassVar[tuple[int, ...]] = (_MEASURED, _CAPACITY, _SERVICE, CONTROLS)

    def __init__(
        self,
        options: DriverOptions,
        link: ModbusLink,
        clock: Clock,
        locations: Mapping[int, ModelLocation],
        settings: DeviceSettings | None,
    ) -> None:
        """``settings`` are written into the device and looked at again every minute; None leaves it as it is."""
        super().__init__(options, link, clock, locations)
        self._reversion_s = options.reversion_s
        self._functions = None if settings is None else FunctionsWriter(link, clock, settings)
        self._problem: str | None = None
        self._reversion = _Reversion.UNKNOWN
        self._written_at_s = 0.0
        self._written_w = 0.0
        self._rearmed_at_s = 0.0
        self._probe_from_s = 0.0
        self._last_remaining_s: int | None = None
        self._reactive = False
        """A reactive set-point of ours is enabled."""

    @property
    def _configures(self) -> bool:
        return self._functions is not None

    @property
    def function_lacks(self) -> Mapping[str, str] | None:
        return None if self._functions is None else self._functions.lacks

    def configure(self, settings: DeviceSettings) -> None:
        if self._functions is not None:
            self._functions.configure(settings)

    @property
    def reversion_problem(self) -> str | None:
        return self._without_heartbeat(self._problem)

    @property
    def takes_reactive_power(self) -> bool:
        """It has a reactive set-point in var (704 VarSet)."""
        image = self._images[CONTROLS]
        return all(image.get(name) is not None for name in ("VarSetEna", "VarSetMod", "VarSet"))

    @property
    def apparent_rating_va(self) -> float:
        return apparent_rating_va(self._images[_CAPACITY])

    async def set_connected(self, connected: bool) -> None:
        if _SERVICE not in self._images or self._images[_SERVICE].integer("ES") is None:
            raise DeviceError("it has no 703 ES to connect and disconnect it by; use its own switch")
        if self._functions is not None:
            self._functions.in_service = connected
        if await self._keep(_SERVICE, {"ES": _ENABLED if connected else _DISABLED}):
            raise DeviceError(f"it does not keep 703 ES as written ({'' if connected else 'dis'}connect)")

    @property
    def _limit(self) -> LimitPoints:
        return LimitPoints(CONTROLS, "WMaxLimPct", "WMaxLimPctEna", self._w_max)

    @property
    def _w_max(self) -> float:
        return lowest(self._images[_CAPACITY], "WMaxRtg", "WMax") or 0.0

    def _ratings(self) -> tuple[float, float]:
        return ratings(self._images[_CAPACITY])

    async def _fetch_fast(self) -> None:
        await self._fetch(_MEASURED, "ID", "Tmp_SF")
        await self._fetch_controls()

    async def _fetch_controls(self) -> None:
        await self._fetch(CONTROLS, *_SET_POINTS)

    async def _fetch_slow(self) -> None:
        await self._fetch(_CAPACITY, "ID", "S_SF")
        if _SERVICE in self._images:
            await self._fetch(_SERVICE, "ID", "Hz_SF")

    async def _opened(self) -> None:
        image = self._images[CONTROLS]
        if not _settable(image):
            raise self._link.refuse("its SunSpec model 704 has no active power set-point (WSet, WSet_SF, WSetEna)")
        if self._reversion is not _Reversion.ARMED or not self._reversion_written():
            self._reversion = _Reversion.UNKNOWN
        self._reactive = False
        if self._functions is not None:
            self._functions.connected(self.locations)

    async def _write_ramp(self, ramp_w_s: float) -> None:
        image = self._images[CONTROLS]
        values = {"WRmp": ramp_percent(image, "WRmp", ramp_w_s, self._w_max)}
        if image.integer("WRmpRef") is not None:
            values = {"WRmpRef": _W_MAX} | values
        if refused := await self._keep(CONTROLS, values):
            raise RampLackingError(f"it does not keep what was written to 704 {', '.join(refused)}")

    async def _tend(self, as_of_s: float) -> None:
        self._watch_reversion(as_of_s)
        if self._reversion is _Reversion.UNKNOWN:
            await self._arm()

    async def _after(self) -> None:
        if self._functions is not None:
            await self._functions.advance()

    def _shown(self) -> tuple[float, bool]:
        image = self._images[CONTROLS]
        enabled = image.integer("WSetEna") == _ENABLED
        return (0.0 - (image.number("WSet") or 0.0) if enabled else 0.0), enabled

    async def _command(self, power_w: float, reactive_var: float | None) -> None:
        if self._reversion is _Reversion.UNKNOWN:
            await self._arm()
        # While the countdown is being looked for, a refresh would hide it; the set-point is zero already.
        probing = self._reversion is _Reversion.PROBING and self.setpoints.problem is None
        if probing and power_w == 0 and self._written_w == 0:
            return
        await self._set_point(power_w)
        self._last_remaining_s = None
        if self.takes_reactive_power:
            await self._command_reactive(reactive_var)

    async def _arm(self) -> None:
        """Reversion to zero, then zero power; the countdown is looked for by the readings that follow."""
        image = self._images[CONTROLS]
        self._last_remaining_s = None
        self._probe_from_s = self._clock.monotonic_s()
        if any(image.raw(name) is None for name in ("WSetRvrt", "WSetEnaRvrt", "WSetRvrtTms")):
            self._give_up_reversion("its SunSpec model 704 does not implement WSetRvrt, WSetEnaRvrt and WSetRvrtTms")
            await self._set_point(0.0)
            return
        self._reversion = _Reversion.PROBING
        await self._write(CONTROLS, "WSetRvrt", self._encoded(CONTROLS, "WSetRvrt", 0))
        await self._write(CONTROLS, "WSetEnaRvrt", [_ENABLED])
        await self._write(CONTROLS, "WSetRvrtTms", self._encoded(CONTROLS, "WSetRvrtTms", self._reversion_s))
        self._rearmed_at_s = self._clock.monotonic_s()
        # Writes the timer once more: some devices start it only while the set-point is enabled.
        await self._set_point(0.0)
        await self._fetch_controls()
        if not self._reversion_written():
            self._give_up_reversion("it does not keep WSetRvrt, WSetEnaRvrt and WSetRvrtTms as written")

    async def _set_point(self, power_w: float) -> None:
        image = self._images[CONTROLS]
        timed = self._reversion in (_Reversion.PROBING, _Reversion.ARMED)
        rearm = self._encoded(CONTROLS, "WSetRvrtTms", self._reversion_s)
        # A timer that ran out must run again before power flows; one that runs is only prolonged by a device that took
        # the set-point and is seen to take its set-points, so that a refused one ends in zero.
        prolongs = timed and self.setpoints.problem is None
        if prolongs and self._clock.monotonic_s() - self._rearmed_at_s > self._reversion_s + _EXPIRY_MARGIN_S:
            await self._write(CONTROLS, "WSetRvrtTms", rearm)
        set_point = self._encoded(CONTROLS, "WSet", -power_w)
        # Not known until the device has taken it: a write refused half way must not pass for the zero before it.
        self._written_w = math.nan
        if image.integer("WSetMod") is None:
            await self._write(CONTROLS, "WSet", set_point)
            await self._write(CONTROLS, "WSetEna", [_ENABLED])
        else:
            await self._write(CONTROLS, "WSetEna", [_ENABLED, _WATTS, *set_point])
        self._written_at_s = self._clock.monotonic_s()
        self._written_w = power_w
        held = image.scaled("WSet", set_point)
        self.setpoints.wrote(0.0 - held if isinstance(held, int | float) else power_w, self._written_at_s)
        if prolongs:
            await self._write(CONTROLS, "WSetRvrtTms", rearm)
            self._rearmed_at_s = self._clock.monotonic_s()

    async def _command_reactive(self, reactive_var: float | None) -> None:
        if reactive_var is None or not math.isfinite(reactive_var):
            if self._reactive:
                await self._write(CONTROLS, "VarSetEna", [0])
                self._reactive = False
            return
        image = self._images[CONTROLS]
        rating_va = self.apparent_rating_va
        injected_var = min(max(0.0 - reactive_var, -rating_va), rating_va)
        reverts = all(image.raw(name) is not None for name in ("VarSetRvrt", "VarSetEnaRvrt", "VarSetRvrtTms"))
        if reverts and not self._reactive:
            await self._write(CONTROLS, "VarSetRvrt", self._encoded(CONTROLS, "VarSetRvrt", 0))
            await self._write(CONTROLS, "VarSetEnaRvrt", [_ENABLED])
        await self._write(CONTROLS, "VarSet", self._encoded(CONTROLS, "VarSet", injected_var))
        if not self._reactive:
            await self._write(CONTROLS, "VarSetEna", [_ENABLED, _VARS])
            self._reactive = True
        if reverts:
            await self._write(CONTROLS, "VarSetRvrtTms", self._encoded(CONTROLS, "VarSetRvrtTms", self._reversion_s))

    def _reversion_written(self) -> bool:
        image = self._images[CONTROLS]
        return (
            image.number("WSetRvrt") == 0
            and image.integer("WSetEnaRvrt") == _ENABLED
            and image.integer("WSetRvrtTms") == self._reversion_s
        )

    def _watch_reversion(self, now_s: float) -> None:
        remaining_s = self._images[CONTROLS].integer("WSetRvrtRem")
        if self._reversion is _Reversion.PROBING:
            last_s = self._last_remaining_s
            if remaining_s is not None and last_s is not None and 0 <= remaining_s < last_s <= self._reversion_s:
                self._reversion = _Reversion.ARMED
                self._problem = None
            elif now_s - max(self._probe_from_s, self._written_at_s) > self._reversion_s + 1:
                self._give_up_reversion(f"WSetRvrtRem does not count down ({remaining_s})")
            self._last_remaining_s = remaining_s
        elif self._reversion is _Reversion.ARMED:
            stopped = not remaining_s and now_s - self._written_at_s < self._reversion_s - 1
            if stopped or not self._reversion_written():
                self._reversion = _Reversion.UNKNOWN
                self._problem = "the device dropped its reversion settings"
        elif self._written_w == 0 and not self._heartbeat_alive and now_s - self._probe_from_s > _PROBE_AGAIN_S:
            self._reversion = _Reversion.UNKNOWN

    @property
    def _heartbeat_stands_in(self) -> bool:
        return self._reversion is _Reversion.ABSENT and self._heartbeat_alive

    def _give_up_reversion(self, problem: str) -> None:
        self._reversion = _Reversion.ABSENT
        self._problem = problem

    def _reading(self, as_of_s: float, dc_w: float | None) -> InverterReading:
        measured, control = self._images[_MEASURED], self._images[CONTROLS]
        power_w = measured.number("W")
        if power_w is None:
            raise self._link.refuse("its SunSpec model 701 has no active power (W)")
        setpoint_w, enabled = self._shown()
        max_charge_w, max_discharge_w = self._ratings()
        return InverterReading(
            evse_id=self._options.evse_id,
            as_of_s=as_of_s,
            power_w=0.0 - power_w,
            reactive_var=0.0 - (measured.number("Var") or 0.0),
            voltage_v=measured.number("LNV") or 0.0,
            frequency_hz=measured.number("Hz") or 0.0,
            setpoint_w=setpoint_w,
            setpoint_enabled=enabled,
            reversion_armed=self._reversion is _Reversion.ARMED or self._heartbeat_stands_in,
            reversion_remaining_s=float(control.integer("WSetRvrtRem") or 0),
            max_charge_w=max_charge_w,
            max_discharge_w=max_discharge_w,
            connected=able_to_deliver(measured, self._images.get(_SERVICE)),
            fault=self._faults(fault(measured)),
            anti_islanding=control.integer("AntiIslEna") == _ENABLED,
            dc_power_w=dc_w,
            temperature_c=hottest_c(measured),
            state=state(measured),
            alarms=measured.bits("Alrm"),
        )
