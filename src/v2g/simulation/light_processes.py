"""Processes of light nodes, started and looked after: the nodes are dealt out to as few as can carry them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from v2g.clock import Clock
from v2g.simulation import layout_mesh
from v2g.simulation.children import Child, ChildSpec
from v2g.simulation.light_config import LightConfig, LightNodeConfig

NODES_A_PROCESS = 25
_START_TIMEOUT_S = 60.0
_MAX_OUTPUT_BYTES = 16 << 20
"""Of each process's output."""
_ALWAYS_TOLD = (" ERROR: ", "Error: ", "light_node: ")


class LightProcesses:
    """All processes of some nodes. Their directories ``etc``, ``log`` and ``notify`` are below ``run_dir``."""

    def __init__(
        self, run_dir: Path, nodes: Sequence[LightNodeConfig], clock: Clock, say: Callable[[str, str], None]
    ) -> None:
        """``say`` gets the name of a process and what happens to it."""
        self.names = tuple(node.mesh.node for node in nodes)
        self.sockets: list[Path] = []
        self._say = say
        self._log_dir = run_dir / "log"
        self._children: list[Child] = []
        for name in ("etc", "log", "notify"):
            (run_dir / name).mkdir(mode=0o700, exist_ok=True)
        for number, at in enumerate(range(0, len(nodes), NODES_A_PROCESS), start=1):
            name = f"light-{number}"
            config, control_socket = run_dir / "etc" / f"{name}.json", run_dir / f"{name}.sock"
            part = list(nodes[at : at + NODES_A_PROCESS])
            layout_mesh.write_light(config, LightConfig(control_socket=str(control_socket), nodes=part, seed=number))
            arguments = [sys.executable, "-m", "v2g.simulation.light_node", "--config", str(config)]
            spec = ChildSpec(name=name, arguments=arguments, watchdog_s=None, ready_timeout_s=_START_TIMEOUT_S)
            self._children.append(Child(spec, run_dir / "notify", clock, self._on_line, say))
            self.sockets.append(control_socket)

    async def start(self) -> bool:
        """False: one of them cannot run."""
        for child in self._children:
            child.start()
        for child in self._children:
            waits = [asyncio.create_task(event.wait()) for event in (child.ready, child.over)]
            await asyncio.wait(waits, timeout=_START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            for task in waits:
                task.cancel()
            if not child.ready.is_set():
                self._say(child.spec.name, f"did not get ready; its output is in {self._file(child.spec.name)}")
                return False
            self._say(child.spec.name, f"ready, pid {child.pid}: {child.status}")
        return True

    async def over(self) -> None:
        """Until one of them will not run again."""
        waits = [asyncio.create_task(child.over.wait()) for child in self._children]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()

    async def stop(self) -> None:
        await asyncio.gather(*(child.stop() for child in self._children))

    def _file(self, name: str) -> Path:
        return self._log_dir / f"{name}.out"

    def _on_line(self, name: str, line: str) -> None:
        with contextlib.suppress(OSError), self._file(name).open("a", encoding="utf-8") as file:
            if file.tell() < _MAX_OUTPUT_BYTES:
                file.write(line + "\n")
        if any(word in line for word in _ALWAYS_TOLD):
            self._say(name, line)
