"""A vehicle at an AC EVSE: its own inverter follows the set-point that the EVSE sends in the charge loop."""

from __future__ import annotations

import asyncio

from pyiso15118 import commands, events
from pyiso15118.aio import EvccConnection
from pyiso15118.events import AcLimits, AcPower, EnergyService
from pyiso15118.messages.common_types import evseNotificationType
from v2g.simulation.plant_client import Cable
from v2g.simulation.plant_protocol import Tick
from v2g.simulation.vehicle_body import Vehicle

_NO_LOAD_W = 200.0
_GO_ON = (str(evseNotificationType.ScheduleRenegotiation), str(evseNotificationType.MeteringConfirmation))
"""Notifications that the machine answers by itself while energy flows."""
_LOAD_PATIENCE_S = 1.5
"""How long its inverter may take to come to rest before it leaves pilot state C under load."""


class AcVehicle(Vehicle):
    services = (EnergyService.AC_BPT, EnergyService.AC)

    async def _act(self, event: events.Event, connection: EvccConnection, cable: Cable) -> None:
        match event:
            case events.EnergyServiceSelected():
                # State C before the EVSE is asked to close its contactor.
                await cable.drive(0.0, ready=True)
            case events.AcChargeLoopAnswered(target_active_power=target):
                self._in_loop()
                await cable.drive(self._power_w(target), ready=True)
            case events.StopRequested(notification=notification) if notification not in _GO_ON:
                await cable.drive(0.0, ready=True)

    def _power_w(self, target: AcPower | None) -> float:
        """Told, or in scheduled mode planned where it is told nothing; within what its battery takes and has."""
        config = self._config
        told_w = target.total if target is not None else self._planned_w()
        if config.ignores_limits:
            told_w = config.max_charge_w if told_w >= 0.0 else -config.max_discharge_w
        most_w = 0.0 if self._full else config.max_charge_w
        least_w = 0.0 if self._empty else -config.max_discharge_w
        return min(max(told_w, least_w), most_w)

    async def _part(self, cable: Cable) -> None:
        if not cable.alive:
            return
        await cable.drive(0.0, ready=True)
        give_up_s = self._clock.monotonic_s() + _LOAD_PATIENCE_S
        while cable.alive and cable.tick is not None and abs(sum(cable.tick.ac_w)) > _NO_LOAD_W:
            if self._clock.monotonic_s() >= give_up_s:
                break
            await asyncio.sleep(0.05)
        if cable.alive:
            await cable.drive(0.0, ready=False)

    def _report(self, tick: Tick) -> commands.UpdateAcVehicle:
        config = self._config
        most_w = 0.0 if self._full else config.max_charge_w
        give_w = 0.0 if self._empty else config.max_discharge_w
        return commands.UpdateAcVehicle(
            limits=AcLimits(
                max_charge_power=AcPower(most_w),
                min_charge_power=AcPower(min(config.min_power_w, most_w)),
                max_discharge_power=AcPower(give_w),
                min_discharge_power=AcPower(min(config.min_power_w, give_w)),
            ),
            needs=self._needs(),
            present_active_power=AcPower(sum(tick.ac_w)),
            present_soc_pct=self._told_soc_pct,
            battery_capacity_wh=self._told_capacity_wh,
        )
