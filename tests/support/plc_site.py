"""The real ``kplc-driver`` at a simulated line, with an orchestrator that tells it the pilot."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from support.config_dir import two_evses, write_config
from support.plc_peer import Powerline
from v2g.control.messages_plc import PlcLine, PlcState
from v2g.hardware.ports import PilotState
from v2g.plc.link import EvsePilot, Pilots
from v2g.plc.link_client import PlcClient

E1 = "US*V2G*E1"


async def until(condition: Callable[[], object], within_s: float = 10.0) -> float:
    began = time.monotonic()
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)
    return time.monotonic() - began


class Site:
    def __init__(self, folder: Path, **plc: object) -> None:
        self.folder = folder
        self.line = Powerline(folder / "pl1")
        self.config = folder / "etc"
        main = two_evses(paths={name: str(folder / name) for name in ("run_dir", "state_dir", "log_dir")})
        main["evses"][0]["plc"] = {"port": f"unix:{self.line.path}", "reset_modem": False, **plc}
        write_config(self.config, main)
        (folder / "run_dir").mkdir()
        self.client = PlcClient(folder / "run_dir" / "plc.sock")
        self.process: subprocess.Popen[bytes] | None = None
        self.pilot = PilotState.A
        self.pilots_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.line.start()
        self.launch()
        await self.client.start()
        self.pilots_task = asyncio.get_running_loop().create_task(self._tell())

    def launch(self) -> None:
        words = (sys.executable, "-m", "v2g.cli.kplc_driver", "--config", str(self.config))
        self.process = subprocess.Popen(words, cwd=self.folder)

    def end(self, how: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(10.0)

    async def close(self) -> None:
        if self.pilots_task is not None:
            self.pilots_task.cancel()
        await self.client.close()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(5.0)
        self.line.close()

    async def _tell(self) -> None:
        while True:
            self.client.send(Pilots(as_of_s=time.monotonic(), pilots=(EvsePilot(evse_id=E1, state=self.pilot),)))
            await asyncio.sleep(0.1)

    @property
    def now(self) -> PlcLine | None:
        fresh = not self.client.silent(time.monotonic())
        return self.client.lines.get(E1) if fresh else None

    def is_in(self, state: PlcState) -> bool:
        return self.now is not None and self.now.state is state

    async def linked(self) -> float:
        await until(lambda: self.is_in(PlcState.FREE))
        self.pilot = PilotState.B
        await until(lambda: self.is_in(PlcState.WAITING))
        self.line.plug_in()
        return await until(lambda: self.is_in(PlcState.LINKED))

    def log(self) -> str:
        return (self.folder / "log_dir" / "comms.log").read_text()
