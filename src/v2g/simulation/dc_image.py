"""The simulated DC EVSE on the wire: the built-in register map, rendered from the stage."""

from __future__ import annotations

import threading

from v2g.hardware.ports import DcEvseCommand
from v2g.hardware.register_map import Value
from v2g.simulation.dc_stage import DcStage
from v2g.simulation.evse_image import EvseImage
from v2g.simulation.pilot_wire import pilot_values

MAP_NAME = "v2g-dc-evse"


class DcImage(EvseImage):
    def __init__(self, stage: DcStage, lock: threading.RLock) -> None:
        super().__init__(MAP_NAME, stage, lock)
        self._stage = stage

    def _apply(self, now_s: float) -> None:
        command = DcEvseCommand(
            target_voltage_v=self._image.number("target_voltage_v"),
            current_limit_a=self._image.number("current_limit_a"),
            close_contactors=self._image.flag("close_contactors"),
            test_insulation=self._image.flag("test_insulation"),
            lock_connector=self._image.flag("lock_connector"),
            pilot_error=self._image.flag("pilot_error"),
        )
        self._stage.apply(command, now_s)

    def _truth(self) -> dict[str, Value]:
        stage = self._stage
        return {
            "contactors_closed": stage.contactors.closed,
            "contactors_commanded": stage.command.close_contactors and not stage.watchdog_expired,
            "connector_locked": stage.locked,
            "plugged": stage.plugged,
            "command_alive": not stage.watchdog_expired,
            "insulation": stage.insulation.value,
            "present_voltage_v": stage.voltage_v,
            "present_current_a": stage.current_a,
            "insulation_ohm": stage.measured_ohm,
            "max_voltage_v": stage.max_voltage_v,
            "min_voltage_v": stage.min_voltage_v,
            "max_current_a": stage.max_current_a,
            "max_power_w": stage.max_power_w,
            "charged_energy_wh": stage.charged_wh,
            "discharged_energy_wh": stage.discharged_wh,
            **pilot_values(stage.pilot()),
        }
