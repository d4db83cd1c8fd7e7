"""A powerline with EVSEs and vehicles: its process and ``kplc-driver``'s are real, the vehicles' modems are here.

Pilots are told to the driver as the orchestrator tells them.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import yaml

from pyiso15118.slac.addresses import parse_mac
from v2g.clock import SystemClock
from v2g.control.messages_plc import PlcLine, PlcState
from v2g.hardware.ethernet_port import DatagramPort
from v2g.hardware.ports import PilotState
from v2g.plc.link import ALIVE_PERIOD_S, EvsePilot, Pilots
from v2g.plc.link_client import PlcClient
from v2g.simulation import layout as layouts
from v2g.simulation.powerline_client import PowerlineClient
from v2g.simulation.powerline_config import PowerlineConfig, StationConfig, read_config
from v2g.simulation.vehicle_plc import PowerlinePlug, Toggle

START_S = 20.0


class Rig:
    """``async with Rig(4) as rig``: four EVSEs, four vehicles, and ``spare`` more vehicles that are nowhere near."""

    def __init__(self, evses: int, *, spare: int = 0, plc: dict[str, Any] | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="v2g-plc-"))
        self.clock = SystemClock()
        self.layout = layouts.build(self.folder, evses, None, self.clock, plc=True)
        self.evse_ids = [evse.evse_id for evse in self.layout.evses]
        assert self.layout.powerline_config is not None
        config = read_config(self.layout.powerline_config)
        self.vehicles: dict[int, Vehicle] = {}
        ports = {}
        for number, evse in enumerate(self.layout.evses, 1):
            assert evse.line is not None
            ports[number] = evse.line.vehicle_port, evse.line.vehicle_mac
        extra = []
        for number in range(evses + 1, evses + spare + 1):
            path = self.folder / f"plc-v{number}.sock"
            ports[number] = f"unix:{path}", f"02:00:00:ee:00:{number:02x}"
            extra.append(
                StationConfig(
                    name=f"vehicle {number}",
                    kind="unix",
                    address=str(path),
                    modem_mac=f"02:00:00:5e:00:{number:02x}",
                    plugged=False,
                )
            )
        config = msgspec.structs.replace(config, stations=(*config.stations, *extra))
        self._write(config)
        for number, (port, mac) in ports.items():
            self.vehicles[number] = Vehicle(number, port, mac, self.clock)
        if plc:
            (self.layout.config_dir / "conf.d" / "60-plc.yaml").write_text(yaml.safe_dump({"plc": plc}))
        self.client = PlcClient(self.folder / "plc.sock")
        self.pilots: dict[str, PilotState | None] = dict.fromkeys(self.evse_ids, PilotState.A)
        self.toggles = dict.fromkeys(self.evse_ids, 0)
        self._processes: list[asyncio.subprocess.Process] = []
        self._tasks: list[asyncio.Task[None]] = []

    def _write(self, config: PowerlineConfig) -> None:
        assert self.layout.powerline_config is not None
        self.layout.powerline_config.write_bytes(msgspec.json.encode(config))

    async def __aenter__(self) -> Rig:
        assert self.layout.powerline_config is not None
        await self._spawn("v2g.simulation.powerline", str(self.layout.powerline_config))
        await self.until("the powerline is there", lambda: (self.folder / "powerline.sock").exists())
        await self.start_driver()
        await self.client.start()
        self._tasks.append(asyncio.create_task(self._tell_pilots()))
        await self.until(
            "every modem has its key", lambda: len(self.lines) == len(self.evse_ids) and self.all_in(PlcState.FREE)
        )
        return self

    async def start_driver(self) -> None:
        self.driver = await self._spawn("v2g.cli.kplc_driver", str(self.layout.config_dir))

    async def __aexit__(self, *_: object) -> None:
        for vehicle in self.vehicles.values():
            await vehicle.unplug()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.client.close()
        for process in reversed(self._processes):
            if process.returncode is None:
                process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), 10)
                except TimeoutError:
                    process.kill()
                    await process.wait()
        self.layout.port_reservation.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- what is seen ----

    @property
    def lines(self) -> dict[str, PlcLine]:
        return dict(self.client.lines)

    def line(self, number: int) -> PlcLine:
        return self.client.lines[self.evse_ids[number - 1]]

    def all_in(self, state: PlcState) -> bool:
        return all(line.state is state for line in self.client.lines.values())

    def log(self) -> str:
        path = self.layout.log_dir / "comms.log"
        return path.read_text() if path.exists() else ""

    def log_lines(self, code: str, evse: int | None = None) -> list[str]:
        """Those with ``code``, of one EVSE where it is given."""
        of = f" {self.evse_ids[evse - 1]}:" if evse is not None else ""
        return [line for line in self.log().splitlines() if f" {code} " in line and of in line]

    async def until(self, what: str, condition: Callable[[], Any], timeout_s: float = START_S) -> Any:
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        while loop.time() < end_s:
            if found := condition():
                return found
            await asyncio.sleep(0.02)
        lines = "\n".join(map(str, self.client.lines.values()))
        raise AssertionError(f"not within {timeout_s:g} s: {what}\n{lines}\n{self.log()[-4000:]}")

    # ---- what is done ----

    def plug(self, vehicle: int, evse: int, *, toggles: bool = False) -> None:
        """The pilot of the EVSE shows it, and the vehicle begins; ``toggles``: it can prove itself by the pilot."""
        evse_id = self.evse_ids[evse - 1]
        self.pilots[evse_id] = PilotState.B

        async def toggle(count: int, each_s: float) -> None:
            for _ in range(count):
                self.pilots[evse_id] = PilotState.C
                await asyncio.sleep(each_s)
                self.pilots[evse_id] = PilotState.B
                self.toggles[evse_id] += 1
                await asyncio.sleep(each_s)

        self.vehicles[vehicle].plug(toggle=toggle if toggles else None)

    async def unplug(self, vehicle: int, evse: int) -> None:
        self.pilots[self.evse_ids[evse - 1]] = PilotState.A
        self.toggles[self.evse_ids[evse - 1]] = 0
        await self.vehicles[vehicle].unplug()

    async def line_do(self, **request: Any) -> dict[str, Any]:
        """On the powerline's control socket."""

        def ask() -> dict[str, Any]:
            with PowerlineClient(self.folder / "powerline.sock") as line:
                return line.ask(**request)

        return await asyncio.to_thread(ask)

    async def attenuate(self, one: str, other: str, db: float) -> None:
        await self.line_do(do="attenuation", one=one, other=other, db=db)

    async def _spawn(self, module: str, config: str) -> asyncio.subprocess.Process:
        with (self.folder / f"{module}.out").open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, "--config", config, stdout=out, stderr=out
            )
        self._processes.append(process)
        return process

    async def _tell_pilots(self) -> None:
        while True:
            pilots = tuple(
                EvsePilot(evse_id=evse_id, state=state, toggles=self.toggles[evse_id])
                for evse_id, state in self.pilots.items()
            )
            self.client.send(Pilots(as_of_s=self.clock.monotonic_s(), pilots=pilots))
            await asyncio.sleep(ALIVE_PERIOD_S / 2)


class Vehicle:
    """A vehicle's modem and its host, as :mod:`v2g.simulation.vehicle` has them."""

    def __init__(self, number: int, port: str, mac: str, clock: SystemClock) -> None:
        self.number = number
        self.mac = mac
        self.said: list[str] = []
        self.losses: list[str] = []
        self._port = port
        self._clock = clock
        self._running: asyncio.Task[None] | None = None
        self.modem: PowerlinePlug | None = None

    @property
    def linked(self) -> bool:
        return self.modem is not None and self.modem.linked.is_set()

    def plug(self, mac: str = "", toggle: Toggle | None = None) -> None:
        port = DatagramPort(self._port, parse_mac(mac or self.mac))
        self.modem = PowerlinePlug(port, self._clock, self.said.append, self.losses.append, toggle)
        self._running = asyncio.create_task(self.modem.run())

    async def unplug(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
