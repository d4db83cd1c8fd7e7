"""The heartbeat LED: steady while the controller works, flashing while mesh or backhaul lose messages, else off."""

from __future__ import annotations

import asyncio
from pathlib import Path

from v2g.clock import Clock, SystemClock
from v2g.config.places import PlaceError, TcpPlace, probe_place
from v2g.config.schema_mesh import Heartbeat as HeartbeatConfig
from v2g.hardware.led import LEDS, Led, Light
from v2g.hardware.ports import DeviceError
from v2g.host.probe import Probe, ProbeError
from v2g.mesh.watch import LOSS_LIMIT, LOSS_OVER
from v2g.orchestrator.backhaul import Backhaul, BackhaulView
from v2g.sessions.supervisor import Log


class Heartbeat:
    """Of one daemon; without a light in the configuration it does nothing but know its state.

    A light that is not there, or that cannot be written, is told once and keeps nobody from anything. With ``amber``
    that one flashes and ``led`` goes off; without it ``led`` flashes. With ``probe`` it probes the utility's gateway
    from its first cycle on, within the event loop.
    """

    def __init__(
        self, config: HeartbeatConfig, log: Log, directory: Path = LEDS, *, clock: Clock | None = None
    ) -> None:
        self._led = Led(config.led, directory) if config.led else None
        self._amber = Led(config.amber, directory) if config.amber else None
        self._log = log
        self._clock = clock or SystemClock()
        self._every_s = config.probe_every_s
        self._lossy = self._backhaul_lossy = False
        self._troubles: dict[str, str] = {}
        self._probe: Probe | None = None
        self._probing: asyncio.Task[None] | None = None
        self.backhaul: Backhaul | None = None
        self.state = Light.OFF
        if config.probe:
            self._look_at(config.probe)

    def on_cycle(self, loss: float | None, works: bool, now_s: float) -> None:
        """``loss``: share 0..1 of the members' messages of the last minute; None: there is nothing to lose."""
        self._begin_to_probe()
        self._lossy = _lossy(self._lossy, loss)
        self._watch_backhaul(now_s)
        flashes = self._lossy or self._backhaul_lossy
        state = Light.OFF if not works else Light.FLASHING if flashes else Light.STEADY
        self._show(state, now_s)

    def view(self, now_s: float) -> BackhaulView | None:
        """Of the gateway's probe; None: none is configured."""
        return self.backhaul.view(now_s) if self.backhaul is not None else None

    def close(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
        self._show(Light.OFF, 0.0)

    def problems(self) -> tuple[str, ...]:
        """For the status."""
        found = list(self._troubles.values())
        if self.backhaul is not None and self.backhaul.problem:
            found.append(f"the backhaul cannot be probed: {self.backhaul.problem}")
        elif self.backhaul is not None and self._backhaul_lossy:
            found.append(f"the backhaul loses packets: {self.backhaul.target} does not answer all probes")
        return tuple(found)

    # ---- the backhaul ----

    def _look_at(self, probe: str) -> None:
        self.backhaul = Backhaul(probe)
        try:
            place = probe_place(probe)
        except PlaceError as error:
            self.backhaul.problem = f"heartbeat.probe: {error}"
            return
        port = place.port if isinstance(place, TcpPlace) else None
        self._probe = Probe(place.host, port, self._clock.monotonic_s)

    def _begin_to_probe(self) -> None:
        if self._probe is not None and self._probing is None and self.backhaul is not None:
            run = self._run(self._probe, self.backhaul)
            self._probing = asyncio.get_running_loop().create_task(run, name="backhaul probe")

    async def _run(self, probe: Probe, backhaul: Backhaul) -> None:
        while True:
            began_s = self._clock.monotonic_s()
            try:
                trip_s, problem = await probe.run(), ""
            except ProbeError as error:
                trip_s, problem = None, str(error)
            if problem and problem != backhaul.problem:
                self._log.warning("BACKHAUL_PROBE", problem, target=backhaul.target)
            now_s = self._clock.monotonic_s()
            backhaul.add(now_s, trip_s, problem)
            await asyncio.sleep(max(0.1, began_s + self._every_s - now_s))

    def _watch_backhaul(self, now_s: float) -> None:
        if self.backhaul is None:
            return
        loss, before = self.backhaul.loss(now_s), self._backhaul_lossy
        self._backhaul_lossy = _lossy(before, loss)
        if self._backhaul_lossy is before:
            return
        target, share = self.backhaul.target, loss or 0.0
        if self._backhaul_lossy:
            words = f"{target}: {share:.0%} of the last minute's probes got no answer"
            self._log.warning("BACKHAUL_LOSS", words, target=target, loss=round(share, 3))
        else:
            self._log.info("BACKHAUL_LOSS", f"{target} answers again", target=target, loss=round(share, 3))

    # ---- the light ----

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


def _lossy(before: bool, loss: float | None) -> bool:
    """Above 5 % it begins, below 2 % it is over."""
    if loss is None or loss < LOSS_OVER:
        return False
    return before or loss > LOSS_LIMIT
