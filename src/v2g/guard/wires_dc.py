"""The devices of one DC EVSE under ``wires``: its inverter and its output stage."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from v2g.clock import Clock
from v2g.config.schema import DcEvse
from v2g.grid.support import REACTIVE, SupportFunctions, enabled
from v2g.guard.efficiency import EfficiencyEvent, EfficiencyMeter
from v2g.guard.link import Applied, EfficiencyState
from v2g.guard.wires_core import EvseLimits, Target, WiresCore
from v2g.guard.wires_devices import Actuator, DeviceWatch, Pace
from v2g.guard.wires_pilot import PilotErrorNote
from v2g.guard.wires_settings import WiresSettings
from v2g.hardware.dc_evse import RegisterMapEvse
from v2g.hardware.inverter_driver import InverterDriver
from v2g.hardware.inverter_events import AlarmGone, AlarmRaised, StateChanged, events
from v2g.hardware.modbus import ModbusLink
from v2g.hardware.ports import DcEvseCommand, DcEvseReading, InverterCommand, InverterReading, PilotReading
from v2g.telemetry import logs

# W and var alike.
_DEAD_BAND_W = 10.0
_DEAD_BAND = 0.002
_INVERTER_IDLE_S = 0.4
_OUTPUT_PACE = Pace(busy_s=0.15, idle_s=0.25)


class DcEvseDevices:
    """``decide`` is called with the EVSE's id whenever a reading has come."""

    def __init__(
        self,
        evse: DcEvse,
        core: WiresCore,
        inverter: InverterDriver,
        inverter_link: ModbusLink,
        output: RegisterMapEvse,
        output_link: ModbusLink,
        settings: WiresSettings,
        clock: Clock,
        decide: Callable[[str], None],
        pilot: Callable[[PilotReading | None], PilotReading | None],
    ) -> None:
        """``pilot``: what the output stage told of it, completed by what the sensor map has."""
        self.evse_id = evse.id
        self._core = core
        self._driver = inverter
        self._settings = settings
        self._meter = EfficiencyMeter()
        self._dc: DcEvseReading | None = None
        self._decide = decide
        self._pilot = pilot
        self._pilot_error = PilotErrorNote(evse.id, signals=output.signals_pilot_error)
        self._reversion_problem: str | None = None
        self._setpoint_problem: str | None = None
        self._last: InverterReading | None = None
        self._lacks: Mapping[str, str] = {}
        self._lacks_taken = False
        self._support_changed = False
        # A third of the reversion time: one lost refresh must not let the inverter revert.
        poll_s = evse.inverter.poll_s
        pace = Pace(poll_s, max(poll_s, _INVERTER_IDLE_S), min(0.8, evse.inverter.reversion_s / 3))
        self.inverter: Actuator[InverterCommand, InverterReading] = Actuator(
            inverter_link, clock, inverter.apply, inverter.read, self._on_inverter, pace, _nearly_the_same
        )
        pace = Pace(_OUTPUT_PACE.busy_s, _OUTPUT_PACE.idle_s, min(0.8, output.watchdog_s / 3))
        self.output: Actuator[DcEvseCommand, DcEvseReading] = Actuator(
            output_link, clock, output.apply, output.read, self._on_output, pace
        )

    def efficiency(self) -> EfficiencyState:
        return EfficiencyState(evse_id=self.evse_id, bands=self._meter.bands(), problem=self._meter.problem())

    @property
    def watches(self) -> tuple[DeviceWatch, ...]:
        return self.inverter.watch, self.output.watch

    @property
    def settled(self) -> bool:
        """Every device has what it shall do, or cannot be reached."""
        return self.inverter.settled and self.output.settled

    def runs(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """One task a device; until cancelled."""
        return self.inverter.run(), self.output.run()

    def command(self, target: Target) -> None:
        self.inverter.busy = self.output.busy = self._core.busy(self.evse_id)
        applied: Applied = target.applied
        self.inverter.want(InverterCommand(power_w=applied.power_w, reactive_var=applied.reactive_var))
        if target.command is not None:
            self._pilot_error.note(target.command)
            self.output.want(target.command)

    def adopt(self, settings: WiresSettings) -> None:
        """Other settings of the guard."""
        if settings.device.support != self._settings.device.support:
            self._support_changed = True
        self._settings = settings
        self._driver.configure(settings.device)

    def _on_inverter(self, reading: InverterReading) -> None:
        self._tell_reversion()
        self._tell_setpoint()
        _tell_events(self._last, reading)
        # A state that is not told leaves the last one that was, so that it is no event when it is told again.
        self._last = reading if reading.state or self._last is None else replace(reading, state=self._last.state)
        self._take_functions(reading)
        self._measure_efficiency(reading)
        self._core.observe_inverter(reading)
        self._decide(self.evse_id)

    def _on_output(self, reading: DcEvseReading) -> None:
        pilot = self._pilot(reading.pilot)
        if pilot is not reading.pilot:
            reading = msgspec.structs.replace(reading, pilot=pilot)
        self._dc = reading
        self._core.observe_output(reading)
        self._decide(self.evse_id)

    def _measure_efficiency(self, reading: InverterReading) -> None:
        """By the inverter's own DC power, else by what its output stage measures."""
        dc_w, dc_at_s = reading.dc_power_w, reading.as_of_s
        if dc_w is None:
            if self._dc is None:
                return
            dc_w, dc_at_s = self._dc.present_voltage_v * self._dc.present_current_a, self._dc.as_of_s
        rated_w = max(reading.max_charge_w, reading.max_discharge_w)
        event = self._meter.observe(reading.power_w, reading.as_of_s, dc_w, dc_at_s, rated_w)
        if event is not None:
            _tell_efficiency(self.evse_id, event, rated_w)

    def _tell_reversion(self) -> None:
        problem = self._driver.reversion_problem
        if problem == self._reversion_problem:
            return
        self._reversion_problem = problem
        if problem is None:
            logs.comms_log().info("REVERSION_ARMED", "reversion to zero is armed again", evse=self.evse_id)
        else:
            logs.comms_log().warning("NO_REVERSION", f"inverter {self.evse_id} may not discharge: {problem}")

    def _tell_setpoint(self) -> None:
        problem = self._driver.setpoint_problem
        if (problem is None) is (self._setpoint_problem is None):
            return
        self._setpoint_problem = problem
        if problem is None:
            logs.comms_log().info("SETPOINT_TAKEN", "set-points are taken again", evse=self.evse_id)
        else:
            logs.comms_log().error("SETPOINT_NOT_TAKEN", f"inverter {self.evse_id} is ordered to zero: {problem}")

    def _take_functions(self, reading: InverterReading) -> None:
        """What the device lacks is computed here and commanded, as far as it can be."""
        driver, lacks = self._driver, self._driver.lacks
        rated_w = max(reading.max_charge_w, reading.max_discharge_w)
        known = self._lacks_taken and lacks == self._lacks and not self._support_changed
        if lacks is None or rated_w <= 0 or known:
            return
        self._support_changed, self._lacks_taken = False, True
        support = self._settings.device.support
        before, self._lacks = self._lacks, lacks
        self.inverter.watch.lacks = tuple(sorted(lacks))
        computed = enabled(support) & lacks.keys()
        if not driver.takes_reactive_power:
            computed -= REACTIVE
        self._core.support(
            self.evse_id,
            SupportFunctions(support, computed, rated_w, driver.apparent_rating_va, self._settings.nominal_frequency_hz)
            if computed
            else None,
        )
        _tell_functions(self.evse_id, before, lacks, computed)


def _tell_events(before: InverterReading | None, after: InverterReading) -> None:
    log, evse_id = logs.comms_log(), after.evse_id
    for event in events(before, after):
        match event:
            case StateChanged(before=was, after=now):
                log.info("INVERTER_STATE", f"inverter {evse_id}: {now}", evse=evse_id, before=was or "not told")
            case AlarmRaised(name=name):
                log.warning("INVERTER_ALARM", f"inverter {evse_id}: {name}", evse=evse_id)
            case AlarmGone(name=name):
                log.info("INVERTER_ALARM_GONE", f"inverter {evse_id}: {name} is gone", evse=evse_id)


def dc_limits(evse: DcEvse) -> EvseLimits:
    inverter = evse.inverter
    return EvseLimits(
        evse_id=evse.id,
        max_charge_w=min(evse.max_charge_w, inverter.max_charge_w or evse.max_charge_w),
        max_discharge_w=min(evse.max_discharge_w, inverter.max_discharge_w or evse.max_discharge_w),
        max_voltage_v=evse.max_voltage_v,
        max_current_a=evse.max_current_a,
    )


def _nearly_the_same(held: InverterCommand, wanted: InverterCommand) -> bool:
    """Commands that no inverter tells apart. Zero is near to zero only, and charge is never near to discharge."""
    if (held.reactive_var is None) is not (wanted.reactive_var is None):
        return False
    return _near(held.power_w, wanted.power_w) and _near(held.reactive_var or 0.0, wanted.reactive_var or 0.0)


def _near(held: float, wanted: float) -> bool:
    return held == wanted or (held * wanted > 0 and abs(wanted - held) <= max(_DEAD_BAND_W, _DEAD_BAND * abs(held)))


def _tell_efficiency(evse_id: str, event: EfficiencyEvent, rated_w: float) -> None:
    low_w, high_w = (edge * rated_w for edge in event.band)
    said = (
        f"inverter {evse_id}: {100.0 * event.efficiency:.1f} % when it {event.direction}s {low_w:.0f} to {high_w:.0f} W"
    )
    if event.low:
        logs.comms_log().warning("EFFICIENCY_LOW", f"{said}; less than 97 %", evse=evse_id)
    else:
        logs.comms_log().info("EFFICIENCY_BACK", said, evse=evse_id)


def _without(function: str) -> str:
    if function.endswith("_trip") or function == "enter_service":
        return "the guard's breaker does it alone"
    return "commanded by v2g-guard wires alone" if function == "momentary_cessation" else "not done"


def _tell_functions(
    evse_id: str, before: Mapping[str, str], lacks: Mapping[str, str], computed: frozenset[str]
) -> None:
    log = logs.comms_log()
    for function, reason in lacks.items():
        if before.get(function) != reason:
            instead = (
                "computed and commanded by v2g-guard wires instead" if function in computed else _without(function)
            )
            log.warning("FUNCTION_LACKING", f"inverter {evse_id}: no {function}: {reason}; {instead}", evse=evse_id)
    for function in before.keys() - lacks.keys():
        log.info("FUNCTION_CONFIGURED", f"inverter {evse_id} does {function} again", evse=evse_id)
