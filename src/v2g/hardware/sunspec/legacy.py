"""A storage inverter by the older SunSpec models: 101 to 113, 120 to 124.

SunSpec counts power injected into the grid as positive; here its sign is turned.

Set-points: 124 has no power to be set but two rates, which bound a window from ``-InWRte`` (charge) to ``OutWRte``
(discharge). With both bits of ``StorCtl_Mod`` set and ``InWRte`` = ``-OutWRte`` the window is one point, and the device
has no choice: a discharge is a positive ``OutWRte``, a charge a positive ``InWRte``, zero is zero in both. That a
negative rate forces the other direction is a convention of public code that drives such hybrids (README of
ekkehard-lutz/fronius-pv-manager, "Storage controls"); the model itself only calls the rates percentages and gives them
a sign (int16). A device that reads them otherwise shows another power, and its set-point is read back all the same: the
first charge and discharge of a make are to be watched. Rates come out of one request, before the mode. The output limit
of 123 is honoured where somebody enabled it.

Reversion: ``InOutWRte_RvrtTms`` is written and read back, but nothing shows it counting, and the model does not say
where it leads to: to zero or to the device's own rule. So it never counts as armed: such a device discharges only while
the heartbeats of 715 are seen, with what :mod:`v2g.hardware.sunspec.heartbeat` says of them.

None of the site's grid-support and trip functions is written into this family's models: all of them are told as
lacking.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from v2g.clock import Clock
from v2g.hardware.inverter_driver import DeviceSettings
from v2g.hardware.modbus import ModbusLink
from v2g.hardware.ports import DeviceError, InverterReading
from v2g.hardware.sunspec import legacy_status as status
from v2g.hardware.sunspec.codec import SunSpecError
from v2g.hardware.sunspec.discovery import ModelLocation
from v2g.hardware.sunspec.family import DriverOptions, Family, LimitPoints
from v2g.hardware.sunspec.groups import write_points
from v2g.hardware.sunspec.legacy_status import (
    BOTH,
    CONTROLS,
    INVERTERS,
    NAMEPLATE,
    SETTINGS,
    STATUS,
    STORAGE,
)
from v2g.hardware.sunspec.ramp import RampLackingError, ramp_percent
from v2g.hardware.sunspec.wanted import stored_sets

_DISCONNECT, _CONNECT = 0, 1
_GRID = 1
_RATES = ("OutWRte", "InWRte")


def complete(locations: Mapping[int, ModelLocation]) -> bool:
    """The device can be driven by this family."""
    return 1 in locations and STORAGE in locations and any(number in locations for number in INVERTERS)


class LegacyFamily(Family):
    MODELS: ClassVar[tuple[int, ...]] = (*INVERTERS, NAMEPLATE, SETTINGS, STATUS, CONTROLS, STORAGE)

    def __init__(
        self,
        options: DriverOptions,
        link: ModbusLink,
        clock: Clock,
        locations: Mapping[int, ModelLocation],
        settings: DeviceSettings | None,
    ) -> None:
        super().__init__(options, link, clock, locations)
        self._inverter = next(number for number in INVERTERS if number in locations)
        self._settings = settings

    @property
    def _configures(self) -> bool:
        return self._settings is not None

    @property
    def function_lacks(self) -> Mapping[str, str] | None:
        if self._settings is None:
            return None
        reason = f"it has the older SunSpec models ({self._inverter}, {STORAGE}), which have no place for it"
        names = {item.function for item in stored_sets(self._settings) if item.values is not None}
        names |= {"anti_islanding"} | ({"enter_service"} if self._settings.grid is not None else set())
        if self._settings.support.constant_pf is not None:
            names.add("constant_pf")
        return dict.fromkeys(sorted(names), reason)

    def configure(self, settings: DeviceSettings) -> None:
        self._settings = settings

    @property
    def reversion_problem(self) -> str | None:
        storage = self._images[STORAGE]
        told_s = storage.integer("InOutWRte_RvrtTms")
        if told_s is None:
            problem = "its SunSpec model 124 does not implement InOutWRte_RvrtTms"
        elif told_s != self._options.reversion_s:
            problem = f"it keeps {told_s} s as 124 InOutWRte_RvrtTms, {self._options.reversion_s} s were written"
        else:
            problem = "its SunSpec model 124 reverts by InOutWRte_RvrtTms, which cannot be seen counting"
        return self._without_heartbeat(problem)

    @property
    def takes_reactive_power(self) -> bool:
        return False

    @property
    def apparent_rating_va(self) -> float:
        return status.apparent_rating_va(self._images)

    async def set_connected(self, connected: bool) -> None:
        if CONTROLS not in self._images or self._images[CONTROLS].integer("Conn") is None:
            raise DeviceError("it has no 123 Conn to connect and disconnect it by; use its own switch")
        if await self._keep(CONTROLS, {"Conn": _CONNECT if connected else _DISCONNECT}):
            raise DeviceError(f"it does not keep 123 Conn as written ({'' if connected else 'dis'}connect)")

    @property
    def _limit(self) -> LimitPoints:
        return LimitPoints(CONTROLS, "WMaxLimPct", "WMaxLim_Ena", status.output_max_w(self._images))

    def _ratings(self) -> tuple[float, float]:
        return status.ratings(self._images)

    async def _fetch_fast(self) -> None:
        await self._fetch(self._inverter)
        await self._fetch(STORAGE)

    async def _fetch_slow(self) -> None:
        for number in (NAMEPLATE, SETTINGS, STATUS, CONTROLS):
            if number in self._images:
                await self._fetch(number)

    async def _opened(self) -> None:
        storage = self._images[STORAGE]
        if missing := status.missing_points(storage):
            raise self._link.refuse(f"its SunSpec model 124 has no {', '.join(missing)}: nothing sets its power")
        # A device that may charge from its own sources only would ignore every charge.
        if storage.integer("ChaGriSet") not in (None, _GRID):
            await self._keep(STORAGE, {"ChaGriSet": _GRID})

    async def _write_ramp(self, ramp_w_s: float) -> None:
        lacking: list[str] = []
        written = 0
        bases_w = {
            SETTINGS: (status.output_max_w(self._images), ("WGra",)),
            STORAGE: (self._images[STORAGE].number("WChaMax") or 0.0, ("WChaGra", "WDisChaGra")),
        }
        for number, (base_w, names) in bases_w.items():
            if number not in self._images:
                continue
            for name in names:
                try:
                    percent = ramp_percent(self._images[number], name, ramp_w_s, base_w)
                except RampLackingError as error:
                    lacking.append(str(error))
                    continue
                if await self._keep(number, {name: percent}):
                    lacking.append(f"it does not keep what was written to {number} {name}")
                else:
                    written += 1
        if not written:
            raise RampLackingError(", ".join(lacking))

    async def _command(self, power_w: float, reactive_var: float | None) -> None:
        del reactive_var
        storage = self._images[STORAGE]
        # Without a base for percentages the ratings are zero, and so is the power.
        out_pct = status.rates(power_w, self._images) or 0.0
        timing = {"InOutWRte_WinTms": 0, "InOutWRte_RvrtTms": self._options.reversion_s, "InOutWRte_RmpTms": 0}
        values = {"OutWRte": out_pct, "InWRte": 0.0 - out_pct}
        values |= {name: value for name, value in timing.items() if storage.raw(name) is not None}
        try:
            for name, value in values.items():
                storage.set(name, value)
        except SunSpecError as error:
            raise self._link.refuse(str(error)) from None
        await write_points(self._link, self.locations[STORAGE], storage, list(values))
        await self._write(STORAGE, "StorCtl_Mod", [BOTH])
        held_w = 0.0 - out_pct / 100.0 * status.rate_base_w(self._images)
        self.setpoints.wrote(held_w, self._clock.monotonic_s())

    def _shown(self) -> tuple[float, bool]:
        return status.shown_w(self._images)

    async def _tend(self, as_of_s: float) -> None:
        """Nothing of its reversion can be tended: each set-point writes the time anew."""

    async def _after(self) -> None:
        """No function is written into it."""

    def _reading(self, as_of_s: float, dc_w: float | None) -> InverterReading:
        measured = self._images[self._inverter]
        power_w = measured.number("W")
        if power_w is None:
            raise self._link.refuse(f"its SunSpec model {self._inverter} has no active power (W)")
        setpoint_w, in_force = self._shown()
        max_charge_w, max_discharge_w = self._ratings()
        return InverterReading(
            evse_id=self._options.evse_id,
            as_of_s=as_of_s,
            power_w=0.0 - power_w,
            reactive_var=0.0 - (measured.number("VAr") or 0.0),
            voltage_v=status.voltage_v(measured),
            frequency_hz=measured.number("Hz") or 0.0,
            setpoint_w=setpoint_w,
            setpoint_enabled=in_force,
            reversion_armed=self._heartbeat_alive,
            max_charge_w=max_charge_w,
            max_discharge_w=max_discharge_w,
            connected=status.able_to_deliver(measured, self._images),
            fault=self._faults(status.fault(measured)),
            dc_power_w=status.dc_power_w(measured) if dc_w is None else dc_w,
            temperature_c=status.temperature_c(measured),
            state=status.state(measured),
            alarms=status.alarms(measured),
        )
