"""The simulated AC EVSE on the wire: the built-in register map, rendered from the stage."""

from __future__ import annotations

import threading

from v2g.hardware.ports import AcEvseCommand
from v2g.hardware.register_map import Value
from v2g.simulation.ac_stage import AcStage
from v2g.simulation.evse_image import EvseImage
from v2g.simulation.pilot_wire import pilot_values

MAP_NAME = "v2g-ac-evse"


class AcImage(EvseImage):
    def __init__(self, stage: AcStage, lock: threading.RLock) -> None:
        super().__init__(MAP_NAME, stage, lock)
        self._stage = stage

    def _apply(self, now_s: float) -> None:
        command = AcEvseCommand(
            close_contactor=self._image.flag("close_contactor"),
            lock_connector=self._image.flag("lock_connector"),
            pilot_error=self._image.flag("pilot_error"),
            pilot_duty_pct=self._image.number("pilot_duty_order_pct"),
        )
        self._stage.apply(command, now_s)

    def _truth(self) -> dict[str, Value]:
        stage = self._stage
        values: dict[str, Value] = {
            "contactor_closed": stage.contactor.closed,
            "contactor_commanded": stage.command.close_contactor and not stage.watchdog_expired,
            "connector_locked": stage.locked,
            "plugged": stage.plugged,
            "command_alive": not stage.watchdog_expired,
            "max_current_a": stage.max_current_a,
            "charged_energy_wh": stage.charged_wh,
            "discharged_energy_wh": stage.discharged_wh,
        }
        values |= pilot_values(stage.pilot())
        for position, line in enumerate(("l1", "l2", "l3")):
            values[f"voltage_{line}_v"] = stage.supply_v[position]
            values[f"current_{line}_a"] = stage.current_a[position]
            values[f"power_{line}_w"] = stage.power_w[position]
            values[f"reactive_{line}_var"] = stage.reactive_var[position]
        return values
