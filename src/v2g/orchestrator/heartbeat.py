"""The heartbeat LED: steady while the controller works, flashing while the mesh loses messages, off when it stops."""

from __future__ import annotations

from pathlib import Path

from v2g.config.schema_mesh import Heartbeat as HeartbeatConfig
from v2g.hardware.led import LEDS, Led, Light
from v2g.hardware.ports import DeviceError
from v2g.mesh.watch import LOSS_LIMIT, LOSS_OVER
from v2g.sessions.supervisor import Log


class Heartbeat:
    """Of one daemon; without a light in the configuration it does nothing but know its state.

    A light that is not there, or that cannot be written, is told once and keeps nobody from anything. With ``amber``
    that one flashes and ``led`` goes off; without it ``led`` flashes.
    """

    def __init__(self, config: HeartbeatConfig, log: Log, directory: Path = LEDS) -> None:
        self._led = Led(config.led, directory) if config.led else None
        self._amber = Led(config.amber, directory) if config.amber else None
        self._log = log
        self._lossy = False
        self._troubles: dict[str, str] = {}
        self.state = Light.OFF

    def on_cycle(self, loss: float | None, works: bool, now_s: float) -> None:
        """``loss``: share 0..1 of the members' messages of the last minute; None: there is nothing to lose."""
        if loss is None or loss < LOSS_OVER:
            self._lossy = False
        elif loss > LOSS_LIMIT:
            self._lossy = True
        state = Light.OFF if not works else Light.FLASHING if self._lossy else Light.STEADY
        self._show(state, now_s)

    def close(self) -> None:
        self._show(Light.OFF, 0.0)

    def problems(self) -> tuple[str, ...]:
        """For the status."""
        return tuple(self._troubles.values())

    def _show(self, state: Light, now_s: float) -> None:
        self.state = state
        flashes = state is Light.FLASHING
        if self._led is not None:
            self._put(self._led, Light.OFF if flashes and self._amber is not None else state, now_s)
        if self._amber is not None:
            self._put(self._amber, Light.FLASHING if flashes else Light.OFF, now_s)

    def _put(self, led: Led, light: Light, now_s: float) -> None:
        try:
            led.show(light, now_s)
        except DeviceError as error:
            if led.name not in self._troubles:
                self._log.warning("HEARTBEAT_LED", str(error), led=led.name)
            self._troubles[led.name] = str(error)
        else:
            if self._troubles.pop(led.name, None) is not None:
                self._log.info("HEARTBEAT_LED", f"LED {led.name} works again", led=led.name)
