"""Light nodes as processes of their own, wires between them that can be cut, and a meter at the head of the feeder."""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import msgspec

from v2g.config.schema_mesh import Mesh
from v2g.mesh.filling import Claimant, fill
from v2g.pki.mesh_ca import MeshAuthority
from v2g.simulation.layout import free_tcp_ports
from v2g.simulation.layout_mesh import HOST, MeshPlan, locator
from v2g.simulation.light_config import (
    LightClient,
    LightConfig,
    LightModel,
    LightNodeConfig,
    NodeReading,
    ProcessReading,
)
from v2g.simulation.line_client import NotReachable

MARGIN_PU = 0.01
RESERVE_PU = 0.02


class CutWire:
    """A relay in the way of one link. Cut: what is open is closed and nobody gets through."""

    def __init__(self, to_port: int) -> None:
        self._to = to_port
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._open = True
        self._ended = False
        self._selector = selectors.DefaultSelector()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        self._open = False

    def heal(self) -> None:
        self._open = True

    def close(self) -> None:
        self._ended = True
        self._thread.join(5.0)

    def _run(self) -> None:
        while not self._ended:
            for key, _ in self._selector.select(0.02):
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._pairs:
                    self._pass(key.fileobj)
            if not self._open:
                for side in list(self._pairs):
                    self._drop(side)
        for side in list(self._pairs):
            self._drop(side)
        self._listener.close()

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        if not self._open:
            near.close()
            return
        try:
            far = socket.create_connection((HOST, self._to), timeout=1.0)
        except OSError:
            near.close()
            return
        for side, other in ((near, far), (far, near)):
            self._pairs[side] = other
            self._selector.register(side, selectors.EVENT_READ)

    def _pass(self, side: socket.socket) -> None:
        try:
            data = side.recv(65_536)
            if data:
                self._pairs[side].sendall(data)
                return
        except OSError:
            pass
        self._drop(side)

    def _drop(self, side: socket.socket) -> None:
        other = self._pairs.pop(side, None)
        for each in (side, other):
            if each is None:
                continue
            self._pairs.pop(each, None)
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(each)
            each.close()


class MeshRig:
    """All nodes of some plans, in as many processes as are asked for. A context manager."""

    def __init__(self, folder: Path, *, per_process: int = 1) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = MeshAuthority(time.time())
        self.wires: dict[frozenset[str], CutWire] = {}
        self._per_process = per_process
        self._configs: list[LightNodeConfig] = []
        self._processes: list[subprocess.Popen[bytes] | None] = []
        self._sockets: list[Path] = []
        self._of_node: dict[str, int] = {}
        # A socket's path has 108 bytes.
        self._short = tempfile.TemporaryDirectory(prefix="v2gm")
        self._meter: threading.Thread | None = None
        self._metering = False
        self.meter_file = folder / "meter"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._metering = False
        if self._meter is not None:
            self._meter.join(5.0)
        for process in self._processes:
            if process is not None and process.poll() is None:
                process.terminate()
        for process in self._processes:
            if process is not None:
                try:
                    process.wait(10.0)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        for wire in self.wires.values():
            wire.close()
        self._short.cleanup()

    def add(
        self,
        plan: MeshPlan,
        models: Mapping[str, LightModel],
        *,
        norths: Mapping[str, Mapping[str, Any]] | None = None,
        cuttable: Sequence[tuple[str, str]] = (),
        authorities: Mapping[str, MeshAuthority] | None = None,
        meter: Mapping[str, Mapping[str, str]] | None = None,
        changes: Callable[[str, dict[str, Any]], None] | None = None,
    ) -> None:
        """Nodes of a plan; links in ``cuttable`` go over a :class:`CutWire`. ``authorities``: of nodes with another
        one; ``meter``: files by group of a head; ``changes``: of a node's section, in place."""
        for pair in cuttable:
            later, earlier = sorted(pair, key=plan.names.index, reverse=True)
            self.wires[frozenset((later, earlier))] = CutWire(plan.ports[earlier])
        for name in plan.names:
            node_dir = self.folder / "pki" / name
            (authorities or {}).get(name, self.authority).write_node(node_dir, name, (HOST,))
            section = plan.section(name, node_dir)
            for neighbour in section["neighbours"]:
                wire = self.wires.get(frozenset((name, neighbour["node"])))
                if wire is not None and "address" in neighbour:
                    neighbour["address"] = locator(wire.port)
            if norths is not None and name in norths:
                section["north"] = norths[name]
            if changes is not None:
                changes(name, section)
            self._configs.append(
                LightNodeConfig(
                    mesh=msgspec.convert(section, Mesh),
                    dir=str(node_dir),
                    model=models[name],
                    meter=dict((meter or {}).get(name, {})),
                )
            )

    def start(self, *, stagger_s: float = 0.0) -> None:
        for at in range(0, len(self._configs), self._per_process):
            part = self._configs[at : at + self._per_process]
            number = len(self._processes)
            self._sockets.append(Path(self._short.name) / f"{number}")
            config = LightConfig(
                control_socket=str(self._sockets[-1]),
                nodes=part,
                record=str(self.folder / f"p{number}.rec"),
                seed=number + 1,
                stagger_s=stagger_s,
            )
            (self.folder / f"p{number}.json").write_bytes(msgspec.json.encode(config))
            self._of_node |= {each.mesh.node: number for each in part}
            self._processes.append(self._spawn(number))
        self.until(lambda: all(each.exists() for each in self._sockets) or self._ended(), 60.0, "all processes serve")
        assert not self._ended(), (self.folder / "p0.out").read_text()

    def _ended(self) -> bool:
        return any(process is not None and process.poll() is not None for process in self._processes)

    def kill(self, node: str) -> None:
        """The node's process, with SIGKILL."""
        process = self._processes[self._of_node[node]]
        assert process is not None
        process.send_signal(signal.SIGKILL)
        process.wait()

    def freeze(self, node: str, *, frozen: bool) -> None:
        process = self._processes[self._of_node[node]]
        assert process is not None
        process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def start_again(self, node: str) -> None:
        number = self._of_node[node]
        self._sockets[number].unlink(missing_ok=True)
        self._processes[number] = self._spawn(number)
        self.until(self._sockets[number].exists, 30.0, f"{node} serves again")

    def ask(self, node: str, **request: Any) -> dict[str, Any]:
        with LightClient(self._sockets[self._of_node[node]], timeout_s=10.0) as client:
            return client.ask(node=node, **request)

    def processes(self) -> list[ProcessReading]:
        found = []
        for socket_path in self._sockets:
            try:
                with LightClient(socket_path, timeout_s=20.0) as client:
                    found.append(client.read())
            except NotReachable:
                continue
        return found

    def read(self) -> dict[str, NodeReading]:
        return {node.node: node for process in self.processes() for node in process.nodes}

    def read_some(self, nodes: Sequence[str], *, without: str) -> dict[str, NodeReading]:
        """Of processes that answer, where ``without`` is stopped."""
        stopped = self._of_node[without]
        found = {}
        for number in sorted({self._of_node[node] for node in nodes} - {stopped}):
            with LightClient(self._sockets[number], timeout_s=20.0) as client:
                found |= {each.node: each for each in client.read().nodes}
        return found

    def read_one(self, node: str) -> NodeReading:
        with LightClient(self._sockets[self._of_node[node]], timeout_s=10.0) as client:
            return next(each for each in client.read().nodes if each.node == node)

    def output(self, node: str) -> str:
        return (self.folder / f"p{self._of_node[node]}.out").read_text(errors="replace")

    def records(self) -> list[dict[str, Any]]:
        rows = []
        for path in sorted(self.folder.glob("p*.rec")):
            for line in path.read_bytes().splitlines():
                with contextlib.suppress(msgspec.DecodeError):
                    rows.append(msgspec.json.decode(line))
        return sorted(rows, key=lambda row: row["t"])

    def until(self, holds: Callable[[], bool], limit_s: float, what: str) -> float:
        """Seconds until it held. Raises AssertionError."""
        began = time.monotonic()
        while time.monotonic() - began < limit_s:
            with contextlib.suppress(NotReachable):
                if holds():
                    return time.monotonic() - began
            time.sleep(0.05)
        raise AssertionError(f"not within {limit_s:g} s: {what}")

    def meter_feeder(self, *, nodes: Sequence[str] | None = None) -> None:
        """Write the sum of the true flows into :attr:`meter_file` twice a second, as a meter would."""
        self._metering = True

        def measure() -> None:
            while self._metering:
                readings = self.read()
                total = sum(each.flow_w for name, each in readings.items() if nodes is None or name in nodes)
                staged = self.meter_file.with_suffix(".new")
                staged.write_text(f"{total:.1f}", encoding="ascii")
                staged.replace(self.meter_file)
                time.sleep(0.5)

        self._meter = threading.Thread(target=measure, daemon=True)
        self._meter.start()

    def _spawn(self, number: int) -> subprocess.Popen[bytes]:
        arguments = [
            sys.executable,
            "-m",
            "v2g.simulation.light_node",
            "--config",
            str(self.folder / f"p{number}.json"),
        ]
        with (self.folder / f"p{number}.out").open("ab") as out:
            return subprocess.Popen(arguments, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)


def optimum(readings: Mapping[str, NodeReading], limit_w: float, rated_w: Mapping[str, float]) -> dict[str, float]:
    """What a central allocation of the same facts gives each: its flow, W. Import side."""
    margins = {name: MARGIN_PU * rated_w[name] for name in readings}
    shares = fill(
        [
            Claimant(
                id=name,
                floor_w=each.base_w + margins[name],
                wish_w=each.base_w + max(0.0, each.want_w) + margins[name],
                groups=("feeder",),
                weight=max(rated_w[name], 1.0),
            )
            for name, each in readings.items()
        ],
        {"feeder": limit_w * (1.0 - RESERVE_PU)},
    )
    return shares


def distance(readings: Mapping[str, NodeReading], best: Mapping[str, float]) -> float:
    """Of what all may take from the optimum, as a share of it."""
    # Who may take nothing yet says so by a number far below zero.
    off = sum(abs(max(0.0, readings[name].import_w) - share_w) for name, share_w in best.items())
    return off / sum(best.values())


def steady(models: Mapping[str, LightModel]) -> dict[str, LightModel]:
    """The same without noise, so that figures can be compared."""
    return {name: msgspec.structs.replace(model, noise_w=0.0) for name, model in models.items()}


@contextlib.contextmanager
def rig_of(folder: Path, plan: MeshPlan, models: Mapping[str, LightModel], **more: Any) -> Iterator[MeshRig]:
    """One plan, each node in a process of its own."""
    with MeshRig(folder) as rig:
        rig.add(plan, models, **more)
        rig.start()
        yield rig


def with_ports(plan: MeshPlan) -> MeshPlan:
    """The same with ports that are free now."""
    return replace(plan, ports=dict(zip(plan.names, free_tcp_ports(len(plan.names)), strict=True)))
