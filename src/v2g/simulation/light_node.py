"""Many nodes of a mesh in one process, each with its own session, key and transformer of a kind.

``python -m v2g.simulation.light_node --config light.json``. Mesh and balancing are the controller's own; what is light
is the transformer, a few numbers instead of a plant.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

import msgspec
from msgspec.structs import replace as replace_fields

from v2g import __version__
from v2g.clock import Clock, SystemClock
from v2g.config.paths import MeshPaths, mesh_paths_in
from v2g.host.notify import Notifier
from v2g.mesh.gateway import Role
from v2g.mesh.identity import IdentityError, load_identity, load_trust
from v2g.mesh.messages import Cap
from v2g.mesh.meters import read_meters
from v2g.mesh.node import Verdict
from v2g.mesh.ports import Engine, EngineCounts, LinkStatus, OnMessage
from v2g.mesh.runner import Half, MeshRunner
from v2g.mesh.settings import Credentials, halves
from v2g.mesh.tables import ordered_islands
from v2g.mesh.topology import hops_from
from v2g.mesh.watch import edges_now
from v2g.simulation import light_config as protocol
from v2g.simulation.light_config import LightConfig, LightConfigError, LightNodeConfig, read_light_config
from v2g.simulation.light_model import LightTransformer

PERIOD_S = 0.1
_MAX_LINE_BYTES = 65_536
_RECORD_EVERY_S = 0.5


class _Skewed:
    """The host's clock, with another time of day."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.by_s = 0.0

    def monotonic_s(self) -> float:
        return self._clock.monotonic_s()

    def unix_s(self) -> float:
        return self._clock.unix_s() + self.by_s

    def true_unix_s(self) -> float:
        return self._clock.unix_s()


class _Said:
    """A node's events, on the process's output."""

    def __init__(self, node: str) -> None:
        self._node = node

    def _say(self, level: str, code: str, text: str = "", /, **fields: object) -> None:
        print(f"{self._node} {level}: {code} {text}", flush=True)

    def info(self, code: str, text: str = "", /, **fields: object) -> None:
        self._say("INFO", code, text)

    def warning(self, code: str, text: str = "", /, **fields: object) -> None:
        self._say("WARNING", code, text)

    def error(self, code: str, text: str = "", /, **fields: object) -> None:
        self._say("ERROR", code, text)


class Tap:
    """A wire that remembers: what was said and heard last, so that it can be said again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.counts: EngineCounts = engine.counts
        self._on_message: OnMessage | None = None
        self.heard: dict[str, tuple[str, bytes]] = {}
        """By the last part of the key."""
        self.said: dict[str, bytes] = {}

    async def start(self, keys: tuple[str, ...], on_message: OnMessage) -> None:
        self._on_message = on_message
        await self._engine.start(keys, self._hear)

    async def renew(self) -> None:
        await self._engine.renew()

    async def close(self) -> None:
        await self._engine.close()

    def publish(self, key: str, payload: bytes) -> None:
        if "/state/" in key:
            self.said[key] = payload
        self._engine.publish(key, payload)

    def links(self) -> tuple[LinkStatus, ...]:
        return self._engine.links()

    def alive(self) -> frozenset[str]:
        return self._engine.alive()

    def _hear(self, key: str, payload: bytes) -> None:
        self.heard[key.rsplit("/", 1)[-1]] = key, payload
        if self._on_message is not None:
            self._on_message(key, payload)


class LightNode:
    """One node. Raises :class:`v2g.mesh.identity.IdentityError`."""

    def __init__(self, config: LightNodeConfig, clock: Clock, seed: str) -> None:
        self.name = config.mesh.node
        self.clock = _Skewed(clock)
        self.transformer = LightTransformer(config.model, Random(seed))
        self._config = config
        self._paths: MeshPaths = mesh_paths_in(Path(config.dir))
        self._log = _Said(self.name)
        self.runner: MeshRunner | None = None
        self._obeyed: Verdict | None = None
        self.flood: tuple[float, float] | None = None
        self._flood_owed = 0.0
        self._tap: Tap | None = None
        self._made: MeshRunner | None = self._make()

    async def up(self) -> None:
        if self.runner is None:
            self.runner = self._made or self._make()
            self._made = None
            await self.runner.start()

    async def down(self) -> None:
        runner, self.runner, self._obeyed = self.runner, None, None
        if runner is not None:
            await runner.close()

    def step(self) -> None:
        now_s = self.clock.monotonic_s()
        runner = self.runner
        if runner is None:
            # Cut off or dead: a controller's vehicles go to zero by their lease.
            return
        self._obeyed = runner.verdict()
        self.transformer.step(self._obeyed, now_s)
        runner.step(self.transformer.facts(), self.measured_w())
        self._flood_on(now_s)

    @property
    def obeyed(self) -> Verdict | None:
        """The verdict that its power is by: that of the last step, not what has come since. None: it is down."""
        return self._obeyed or (self.runner.verdict() if self.runner is not None else None)

    def stand_still(self) -> None:
        """Of a node that is down: nobody commands its vehicles."""
        self.transformer.v2g_w = 0.0

    def reload_trust(self) -> None:
        if self.runner is not None:
            self.runner.trust_anew(load_trust(self._paths.ca, self._paths.crl_dir))

    def reading(self) -> protocol.NodeReading:
        runner, transformer, verdict = self.runner, self.transformer, self.obeyed
        now_s = self.clock.monotonic_s()
        if runner is None or verdict is None:
            return replace_fields(
                _DOWN, node=self.name, at_s=now_s, base_w=transformer.base_w, flow_w=transformer.flow_w
            )
        node, engine, links = runner.node, runner.engine, runner.links()
        heard = [each for each in node.book.all_heard() if each.fresh(now_s)]
        edges = edges_now(node.voice, node.book, links, now_s)
        return protocol.NodeReading(
            node=self.name,
            at_s=now_s,
            flow_w=transformer.flow_w,
            base_w=transformer.base_w,
            want_w=transformer.want_w,
            import_w=max(-1e9, min(1e9, verdict.import_w)),
            export_w=max(-1e9, min(1e9, verdict.export_w)),
            import_by=verdict.import_by,
            export_by=verdict.export_by,
            heard=len(heard),
            present=sum(bool(node.book.present(member, now_s)) for member in node.roster.members),
            members=len(node.roster.members),
            links=sum(link.up for link in links),
            islands=len(ordered_islands(node, links, now_s)),
            hops=dict(hops_from(node.voice, edges)),
            states_sent=node.states_sent,
            received=engine.counts.received if engine is not None else 0,
            received_bytes=engine.counts.received_bytes if engine is not None else 0,
            sent=engine.counts.sent if engine is not None else 0,
            sent_bytes=engine.counts.sent_bytes if engine is not None else 0,
            drops={reason.value: count for reason, count in node.opener.counts.items()},
            drops_by_sender=node.opener.drops_by_sender(),
            refusals=node.watch.refusals.total(),
            loss=node.watch.loss,
            round_trips_ms={
                each.voice: round(each.round_trip_s * 1e3, 3) for each in heard if each.round_trip_s is not None
            },
            ages_s={each.voice: now_s - each.at_s for each in node.book.all_heard()},
            missed={each.voice: each.missed for each in node.book.all_heard()},
            role=runner.role.value if runner.role is not Role.NONE else "",
            problem=runner.problem,
        )

    def replay(self, of: str) -> None:
        if self._tap is not None and of in self._tap.heard:
            self._tap.publish(*self._tap.heard[of])

    def _make(self) -> MeshRunner:
        mesh, paths = self._config.mesh, self._paths
        trust = load_trust(paths.ca, paths.crl_dir)
        identity = load_identity(paths.chain, paths.key, trust, mesh.node, self.clock.unix_s())
        credentials = Credentials(identity=identity, trust=trust)
        own, north = halves(mesh, paths, credentials, self.clock, __version__)
        return MeshRunner(replace(own, make_engine=partial(self._tapped, own)), north, self.clock, self._log)

    def _tapped(self, half: Half) -> Engine:
        self._tap = Tap(half.make_engine())
        return self._tap

    def measured_w(self) -> Mapping[str, float]:
        """Of a head, by group: what its meter shows now; NaN: nothing that counts."""
        # A file's age is by the host's clock, whatever this node takes for the time of day.
        return read_meters(self._config.meter, self.clock.true_unix_s)

    def _flood_on(self, now_s: float) -> None:
        if self.flood is None or self._tap is None:
            return
        per_s, until_s = self.flood
        if now_s >= until_s:
            self.flood = None
            return
        self._flood_owed += per_s * PERIOD_S
        while self._flood_owed >= 1.0:
            self._flood_owed -= 1.0
            for key, payload in tuple(self._tap.said.items()):
                self._tap.publish(key, payload)


class LightNodes:
    """All nodes of one process, and its control socket."""

    def __init__(self, config: LightConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self.nodes = {
            each.mesh.node: LightNode(each, clock, f"{config.seed}/{each.mesh.node}") for each in config.nodes
        }
        self._late: deque[float] = deque([0.0])
        self._recorded_at_s = 0.0

    async def run(self, stopped: asyncio.Event, serving: Callable[[], None] = lambda: None) -> None:
        """Until ``stopped``. ``serving`` is called once the control socket answers."""
        path = self._config.control_socket
        _unlink(path)
        server = await asyncio.start_unix_server(self._serve, path, limit=_MAX_LINE_BYTES)
        os.chmod(path, 0o600)  # noqa: PTH101 - it does not wait
        serving()
        starting = asyncio.get_running_loop().create_task(self._start_all())
        try:
            due_s = self._clock.monotonic_s()
            while not stopped.is_set():
                for node in self.nodes.values():
                    node.step()
                    if node.runner is None:
                        node.stand_still()
                self._record()
                due_s += PERIOD_S
                now_s = self._clock.monotonic_s()
                self._late.append(max(0.0, now_s - due_s))
                while len(self._late) > 600:
                    self._late.popleft()
                due_s = max(due_s, now_s - PERIOD_S)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopped.wait(), max(0.001, due_s - now_s))
        finally:
            starting.cancel()
            server.close()
            await asyncio.gather(*(node.down() for node in self.nodes.values()))
            _unlink(path)

    async def _start_all(self) -> None:
        for node in self.nodes.values():
            await node.up()
            if self._config.stagger_s:
                await asyncio.sleep(self._config.stagger_s)

    def _record(self) -> None:
        now_s = self._clock.monotonic_s()
        if not self._config.record or now_s - self._recorded_at_s < _RECORD_EVERY_S:
            return
        self._recorded_at_s = now_s
        with Path(self._config.record).open("ab") as file:
            for node in self.nodes.values():
                verdict = node.obeyed
                row = {
                    "t": now_s,
                    "node": node.name,
                    "flow_w": node.transformer.flow_w,
                    "base_w": node.transformer.base_w,
                    "import_w": max(-1e9, verdict.import_w) if verdict is not None else None,
                }
                file.write(msgspec.json.encode(row) + b"\n")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                try:
                    request = msgspec.json.decode(line, type=protocol.Request)
                    answer = {"ok": True, **await self.handle(request)}
                except KeyError as error:
                    answer = {"ok": False, "error": f"there is no node {error}; there are {', '.join(self.nodes)}"}
                except (ValueError, msgspec.MsgspecError, IdentityError) as error:
                    answer = {"ok": False, "error": str(error)}
                writer.write(msgspec.json.encode(answer) + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def handle(self, request: protocol.Request) -> dict[str, object]:
        """What the control socket answers. Raises KeyError for a node that is not here, ValueError, IdentityError."""
        match request:
            case protocol.Read():
                return {"reading": self._read()}
            case protocol.ReadFlows():
                return {"flows_w": {node.name: node.transformer.flow_w for node in self.nodes.values()}}
            case protocol.ReloadTrust():
                for node in self.nodes.values():
                    node.reload_trust()
                return {}
            case _:
                return await self._command(request, self.nodes[request.node])

    async def _command(self, request: protocol.Request, node: LightNode) -> dict[str, object]:
        match request:
            case protocol.SetModel():
                for name in ("base_w", "want_charge_w", "want_discharge_w"):
                    if (value := getattr(request, name)) is not None:
                        setattr(node.transformer.model, name, value)
            case protocol.SetWire(state="up"):
                await node.up()
            case protocol.SetWire():
                await node.down()
            case protocol.SkewClock():
                node.clock.by_s = request.by_s
            case protocol.Lie():
                node.transformer.under_w, node.transformer.over_w = request.under_w, request.over_w
            case protocol.Flood():
                node.flood = (request.per_s, self._clock.monotonic_s() + request.for_s)
            case protocol.Replay():
                node.replay(request.of)
            case protocol.PutCap():
                self._cap(request, node)
            case protocol.Ping():
                trip_s = await node.runner.ping(request.to) if node.runner is not None else None
                return {"round_trip_s": trip_s}
        return {}

    def _cap(self, request: protocol.PutCap, node: LightNode) -> None:
        if node.runner is None:
            raise ValueError(f"{node.name} is down")
        if request.valid_s <= 0.0:
            node.runner.node.clear_cap(request.group)
            return
        cap = Cap(group=request.group, import_w=request.import_w, export_w=request.export_w, reason="simulated")
        node.runner.node.set_cap(cap, node.clock.unix_s() + request.valid_s)

    def _read(self) -> protocol.ProcessReading:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        late_s, self._late = max(self._late), deque([0.0])
        return protocol.ProcessReading(
            at_s=self._clock.monotonic_s(),
            cpu_s=usage.ru_utime + usage.ru_stime,
            rss_kb=usage.ru_maxrss,
            late_s=late_s,
            nodes=[node.reading() for node in self.nodes.values()],
        )


_DOWN = protocol.NodeReading(
    node="", at_s=0.0, flow_w=0.0, base_w=0.0, want_w=0.0, import_w=0.0, export_w=0.0, import_by="down",
    export_by="down", heard=0, present=0, members=0, links=0, islands=0, hops={}, states_sent=0, received=0,
    received_bytes=0, sent=0, sent_bytes=0, drops={}, drops_by_sender={}, refusals=0, loss=None, round_trips_ms={},
    ages_s={}, missed={}, role="", problem="down",
)  # fmt: skip


def _unlink(path: str) -> None:
    Path(path).unlink(missing_ok=True)


async def _main(config: LightConfig) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    nodes = LightNodes(config, SystemClock())
    notifier = Notifier()
    count = len(nodes.nodes)
    await nodes.run(stopped, partial(notifier.ready, f"{count} light node{'s' if count > 1 else ''}"))


def main(arguments: list[str] | None = None) -> int:
    """Until SIGTERM. 78: its configuration or a certificate cannot be used."""
    parser = argparse.ArgumentParser(prog="light_node", description="Nodes of a mesh with simple transformers.")
    parser.add_argument("--config", type=Path, required=True)
    try:
        config = read_light_config(parser.parse_args(arguments).config)
        asyncio.run(_main(config))
    except (LightConfigError, IdentityError) as error:
        print(f"light_node: {error}", file=sys.stderr)
        return 78
    return 0


if __name__ == "__main__":
    sys.exit(main())
