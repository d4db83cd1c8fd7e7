"""A vehicle at a DC EVSE: a battery behind a contactor of its own."""

from __future__ import annotations

import asyncio

from pyiso15118 import commands, events
from pyiso15118.aio import EvccConnection
from pyiso15118.events import DcLimits, EnergyService
from v2g.simulation.plant_client import Cable
from v2g.simulation.plant_protocol import Tick
from v2g.simulation.vehicle_body import Vehicle

_CONTACTOR_TIME_S = 0.1
_INLET_TOLERANCE_V = 20.0
_NO_LOAD_A = 2.0
_LOAD_PATIENCE_S = 1.5
"""How long a vehicle waits for the EVSE to take the current away before it opens its contactor under load."""


class DcVehicle(Vehicle):
    @property
    def services(self) -> tuple[EnergyService, ...]:
        if self._config.connector == "mcs":
            return EnergyService.MCS_BPT, EnergyService.MCS
        return EnergyService.DC_BPT, EnergyService.DC

    async def _act(self, event: events.Event, connection: EvccConnection, cable: Cable) -> None:
        match event:
            case events.PreChargeReached():
                await self._close_contactor(connection, cable)
            case events.DcChargeLoopAnswered():
                self._in_loop()

    async def _close_contactor(self, connection: EvccConnection, cable: Cable) -> None:
        """On what the vehicle's own sensor says, twice in a row; what the EVSE claims is not enough.

        A voltage that never fits leaves the pre-charge to its timeout.
        """
        fitting = 0
        while not connection.machine.closed:
            cable.fresh.clear()
            await cable.fresh.wait()
            tick = cable.tick
            if not cable.alive or tick is None:
                return
            fitting = fitting + 1 if abs(tick.inlet_v - tick.battery_v) <= _INLET_TOLERANCE_V else 0
            if fitting == 2:
                break
        else:
            return
        await cable.contactor(True)
        await asyncio.sleep(_CONTACTOR_TIME_S)
        if cable.tick is not None:
            connection.command(self._report(cable.tick))
        connection.command(commands.ContactorsClosed())

    async def _part(self, cable: Cable) -> None:
        """After a broken conversation nobody takes the current away at once; breaking it would wear the contactor."""
        give_up_s = self._clock.monotonic_s() + _LOAD_PATIENCE_S
        while cable.alive and cable.tick is not None and cable.tick.contactor_closed:
            if abs(cable.tick.current_a) < _NO_LOAD_A or self._clock.monotonic_s() >= give_up_s:
                await cable.contactor(False)
                return
            await asyncio.sleep(0.05)

    def _report(self, tick: Tick) -> commands.UpdateDcVehicle:
        config = self._config
        most_w = 0.0 if self._full else config.max_charge_w
        give_w = 0.0 if self._empty else config.max_discharge_w
        limits = DcLimits(
            max_charge_power_w=most_w,
            min_charge_power_w=min(config.min_power_w, most_w),
            max_charge_current_a=config.max_current_a,
            max_voltage_v=config.battery.emf_v(1.0) + config.max_current_a * config.battery.resistance_ohm + 5.0,
            min_voltage_v=config.battery.emf_v(0.0) * 0.9,
            max_discharge_power_w=give_w,
            min_discharge_power_w=min(config.min_power_w, give_w),
            max_discharge_current_a=config.max_current_a,
        )
        return commands.UpdateDcVehicle(
            present_voltage_v=tick.battery_v if tick.contactor_closed else tick.inlet_v,
            target_voltage_v=tick.battery_v,
            limits=limits,
            needs=self._needs(),
            present_soc_pct=self._told_soc_pct,
            battery_capacity_wh=self._told_capacity_wh,
        )
