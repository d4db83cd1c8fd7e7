"""The device of one AC EVSE under ``wires``: contactor, meter and pilot."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from v2g.clock import Clock
from v2g.config.functions import support_settings
from v2g.config.schema import AcEvse, Config
from v2g.guard.ac_core import AcCore, AcEvseLimits, AcTarget
from v2g.guard.wires_devices import Actuator, DeviceWatch, Pace
from v2g.guard.wires_pilot import PilotErrorNote
from v2g.guard.wires_settings import WiresSettings
from v2g.hardware.ac_evse import RegisterMapAcEvse
from v2g.hardware.modbus import ModbusLink
from v2g.hardware.ports import AcEvseCommand, AcEvseReading, PilotReading, PilotState
from v2g.telemetry import logs

# The meter supervises the vehicle, so that it is read as often as a DC output.
_PACE = Pace(busy_s=0.15, idle_s=0.25)
_TELL_AFTER_S = 0.5
"""A limit is told once it has not been kept for this long: duty and level change together with what is ordered."""


class AcEvseDevices:
    """``decide`` is called with the EVSE's id whenever a reading has come."""

    def __init__(
        self,
        evse: AcEvse,
        core: AcCore,
        output: RegisterMapAcEvse,
        link: ModbusLink,
        clock: Clock,
        decide: Callable[[str], None],
        pilot: Callable[[PilotReading | None], PilotReading | None],
    ) -> None:
        """``pilot``: what the device told of it, completed by what the sensor map has."""
        self.evse_id = evse.id
        self._core = core
        self._driver = output
        self._clock = clock
        self._decide = decide
        self._pilot = pilot
        self._pilot_error = PilotErrorNote(evse.id, signals=output.signals_pilot_error)
        self._problem = ""
        self._problem_since_s = 0.0
        self._problem_told = ""
        self._latch_told = False
        pace = Pace(_PACE.busy_s, _PACE.idle_s, min(0.8, output.watchdog_s / 3))
        self.output: Actuator[AcEvseCommand, AcEvseReading] = Actuator(
            link, clock, output.apply, output.read, self._on_reading, pace
        )

    @property
    def watches(self) -> tuple[DeviceWatch, ...]:
        return (self.output.watch,)

    @property
    def settled(self) -> bool:
        """The device has what it shall do, or cannot be reached."""
        return self.output.settled

    def runs(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """One task a device; until cancelled."""
        return (self.output.run(),)

    def command(self, target: AcTarget) -> None:
        self.output.busy = self._core.busy(self.evse_id)
        if target.command is not None:
            self._pilot_error.note(target.command)
            self.output.want(target.command)
        self._tell_latch()

    def adopt(self, settings: WiresSettings) -> None:
        """Other settings of the guard: they are the vehicle's inverter's business."""

    def _on_reading(self, reading: AcEvseReading) -> None:
        pilot = self._pilot(reading.pilot)
        if pilot is not reading.pilot:
            reading = msgspec.structs.replace(reading, pilot=pilot)
        self._core.observe(reading, sets_pilot=self._driver.sets_pilot)
        self._tell_pilot()
        self._decide(self.evse_id)

    def _tell_pilot(self) -> None:
        problem, now_s = self._pilot_problem(), self._clock.monotonic_s()
        if problem != self._problem:
            self._problem, self._problem_since_s = problem, now_s
        if self._problem == self._problem_told or now_s - self._problem_since_s < _TELL_AFTER_S:
            return
        self._problem_told = problem
        if problem:
            logs.comms_log().error("PILOT_FAULT", f"{self.evse_id}: control pilot: {problem}", evse=self.evse_id)
        else:
            logs.comms_log().info("PILOT_BACK", f"{self.evse_id}: control pilot within its limits", evse=self.evse_id)

    def _pilot_problem(self) -> str:
        verdict = self._core.pilot(self.evse_id)
        if verdict is None:
            return "lost: the EVSE measures none"
        if verdict.state is PilotState.F and self._core.commands_pilot_error(self.evse_id):
            return ""
        return verdict.problem

    def _tell_latch(self) -> None:
        latched = self._core.latched(self.evse_id)
        if (latched is not None) is self._latch_told:
            return
        self._latch_told = latched is not None
        if latched is not None:
            logs.comms_log().error(
                "OVERDRAW",
                f"{self.evse_id}: {latched.text}; its contactor is open until the plug was out",
                evse=self.evse_id,
                bound_by=latched.bound_by,
            )


def ac_limits(evse: AcEvse, config: Config) -> AcEvseLimits:
    """What the site allows, and by what droop its vehicle may leave what it is told."""
    hands_over = evse.der.protocol != "none"
    return AcEvseLimits(
        evse_id=evse.id,
        phases=evse.phases,
        rotation=evse.rotation,
        max_current_a=evse.max_current_a,
        max_charge_w=evse.max_charge_w,
        max_discharge_w=evse.max_discharge_w,
        allow_discharge=evse.allow_discharge,
        droop=support_settings(config.functions).frequency_droop if hands_over else None,
        nominal_hz=config.grid.nominal_frequency_hz,
    )
