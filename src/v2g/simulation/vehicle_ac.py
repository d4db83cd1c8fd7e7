"""A vehicle at an AC EVSE: its own inverter follows the set-point that the EVSE sends in the charge loop."""

from __future__ import annotations

import asyncio

from pyiso15118 import commands, events
from pyiso15118.aio import EvccConnection
from pyiso15118.der import DerAlarm, DerFunction, DerNameplate, DerState, GridCode, functions_of
from pyiso15118.events import AcLimits, AcPower, EnergyService
from pyiso15118.messages.common_types import evseNotificationType
from v2g.simulation.plant_client import Cable
from v2g.simulation.plant_protocol import Tick
from v2g.simulation.vehicle_body import Vehicle

NOMINAL_V = 277.0
"""What its inverter is built for, line to neutral."""
_NO_LOAD_W = 200.0
_GO_ON = (str(evseNotificationType.ScheduleRenegotiation), str(evseNotificationType.MeteringConfirmation))
"""Notifications that the machine answers by itself while energy flows."""
_LOAD_PATIENCE_S = 1.5
"""How long its inverter may take to come to rest before it leaves pilot state C under load."""


_DER = {"sae": (EnergyService.AC_DER_SAE,), "iec": (EnergyService.AC_DER_IEC,), "none": ()}
_VAR_SHARE = 0.44
"""Of its apparent power, what it can inject or absorb (IEEE 1547-2018 5.2, category B)."""
_VOLTAGES_PU = (0.4, 1.25)
"""Within them it can work at all, of the site's nominal voltage."""


class AcVehicle(Vehicle):
    """``der``: its computer takes a grid code over and hands it to its inverter, which knows no other."""

    _code: GridCode | None = None

    @property
    def services(self) -> tuple[EnergyService, ...]:
        return *_DER[self._config.der], EnergyService.AC_BPT, EnergyService.AC

    @property
    def _rated_w(self) -> float:
        return max(self._config.max_charge_w, self._config.max_discharge_w, 1.0)

    def nameplate(self) -> DerNameplate | None:
        config = self._config
        if config.der == "none":
            return None
        low_pu, high_pu = _VOLTAGES_PU
        return DerNameplate(
            functions=frozenset(DerFunction),
            apparent_va=self._rated_w,
            injected_var=_VAR_SHARE * self._rated_w,
            absorbed_var=_VAR_SHARE * self._rated_w,
            nominal_voltage_v=NOMINAL_V,
            max_voltage_v=high_pu * NOMINAL_V,
            min_voltage_v=low_pu * NOMINAL_V,
            manufacturer="Simulated",
            model="on-board inverter",
            serial_number=config.evccid[-32:],
            software_version="1",
            usable_wh=round(config.battery.capacity_wh),
        )

    async def _act(self, event: events.Event, connection: EvccConnection, cable: Cable) -> None:
        match event:
            case events.EnergyServiceSelected(service=service):
                if not service.is_der:
                    self._code = None
                    await cable.take_over(None, self._rated_w, self._rated_w)
                # State C before the EVSE is asked to close its contactor.
                await cable.drive(0.0, ready=True)
            case events.GridCodeReceived(code=code):
                self._code = code
                await cable.take_over(code, self._rated_w, self._rated_w)
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
            der=self._inverter(tick),
        )

    def _inverter(self, tick: Tick) -> DerState | None:
        if self._config.der == "none":
            return None
        volts = [volt for volt in tick.supply_v if volt > 0.0]
        return DerState(
            present_voltage_v=sum(volts) / len(volts) if volts else 0.0,
            present_frequency_hz=tick.frequency_hz,
            in_service=tick.in_service,
            connected=tick.contactor_closed,
            alarms=DerAlarm(tick.alarms),
            enabled=frozenset() if self._code is None else functions_of(self._code),
            grid_event=not tick.in_service,
        )
