"""``v2g-orchestrator --simulate --neighbourhood N``: controllers in a mesh, whole ones or light nodes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from math import isfinite
from pathlib import Path
from random import Random
from typing import Any

import yaml
from msgspec.structs import replace

from v2g.clock import Clock, SystemClock
from v2g.pki.mesh_ca import MeshAuthority
from v2g.simulation import layout as layouts
from v2g.simulation import layout_mesh
from v2g.simulation.feeder_meter import FeederMeter, LightFlow, PlantFlow
from v2g.simulation.layout import Layout, LayoutError
from v2g.simulation.layout_mesh import HEAD, MeshPlan, Shape
from v2g.simulation.layout_sizes import RATED_KVA
from v2g.simulation.light_config import LightModel
from v2g.simulation.light_processes import LightProcesses
from v2g.simulation.plant_config import Conditions
from v2g.simulation.run_directory import RunDirectory, RunDirectoryError
from v2g.simulation.supervisor import NeighbourhoodOptions, SimulateOptions, Supervisor

METER_FILE = "feeder-meter"
_LIGHT_VEHICLE_W = 11_000.0
_MOST_BASE_W = 16_000.0
_BASE_PU = 0.45
"""Of the limit: what all base loads are together where nobody says it. The rest is for vehicles."""
_TELL_EVERY_S = 10.0
PROCESSORS_EACH = 0.4
"""Measured: of one controller with its plant and two vehicles, most of it the plant and the guard's tick."""
_READY_TIMEOUT_S = 60.0
"""Of any process of a controller: those that run already leave it less of the processor than it would have alone."""
_OVERLAY = "60-mesh.yaml"
Plans = list[tuple[MeshPlan, Mapping[str, Any] | None]]
"""Of each mesh, what its gateways say in the north.  None: it is flat."""


def run_neighbourhood(options: SimulateOptions, around: NeighbourhoodOptions) -> int:
    """Until Ctrl-C (exit 0). 1: it cannot run here, or a process of it ended for good."""
    directory = RunDirectory.choose(options.run_dir)
    with contextlib.ExitStack() as stack:
        try:
            layouts.require_ipv6_loopback()
            conditions = _conditions(options.conditions)
            directory.take()
            stack.callback(directory.release)
            ports, reservation = layout_mesh.reserve_ports(ports_needed(around))
            stack.enter_context(reservation)
            parts = plans(ports, around)
            names = [name for plan, _ in parts for name in plan.names if name not in plan.heads]
            bases_w = base_loads(names, around)
            if "base_load_w" in options.conditions:
                bases_w = dict.fromkeys(names, conditions.base_load_w)
            counts = vehicle_counts(names, around, options.vehicles)
            _forget_former(directory.path)
            neighbourhood = NeighbourhoodRun(directory.path, parts, around, SystemClock())
            if around.light:
                return asyncio.run(neighbourhood.run_light(bases_w, counts))
            taken = set(ports)
            for name in names:
                sub = RunDirectory(directory.path / name)
                sub.take()
                stack.callback(sub.release)
                own = replace(conditions, base_load_w=bases_w[name])
                layout = neighbourhood.add_controller(sub.path, name, counts[name], options, own, taken)
                stack.enter_context(layout.port_reservation)
                taken |= layout.plant_ports
            return asyncio.run(neighbourhood.run_whole())
        except (LayoutError, RunDirectoryError) as error:
            print(f"v2g-orchestrator --simulate: {error}", file=sys.stderr)
            return 1


def ports_needed(around: NeighbourhoodOptions) -> int:
    """Of all listeners; each region has two gateways, which listen in the north as well."""
    return around.nodes + around.head + 2 * around.regions


def plans(ports: Sequence[int], around: NeighbourhoodOptions) -> Plans:
    """One plan, or one for each region. Raises :class:`LayoutError`: nodes cannot be dealt out to regions evenly."""
    names = tuple(f"n{number}" for number in range(1, around.nodes + 1))
    feeder_kw = around.feeder_w / 1e3
    substation_kw = around.substation_w / 1e3 if around.substation_w is not None else None
    if not around.regions:
        all_names = (HEAD, *names) if around.head else names
        plan = layout_mesh.flat_plan(
            all_names,
            ports,
            Shape(around.shape),
            feeder_kw=feeder_kw,
            rated_kw=RATED_KVA,
            head=HEAD if around.head else None,
            substation_kw=substation_kw,
        )
        return [(plan, None)]
    size, left = divmod(len(names), around.regions)
    if left or size < 2:
        raise LayoutError(
            f"{len(names)} nodes do not make {around.regions} regions of the same size, two nodes or more"
        )
    found = layout_mesh.region_plans(
        around.regions,
        size,
        ports,
        feeder_kw=feeder_kw,
        substation_kw=substation_kw if substation_kw is not None else feeder_kw * around.regions,
        rated_kw=RATED_KVA,
    )
    return list(found.values())


def base_loads(names: Sequence[str], around: NeighbourhoodOptions) -> dict[str, float]:
    """Uneven, the same at each run, and together well below the limit: W by node."""
    limit_w = around.feeder_w * max(1, around.regions)
    if around.substation_w is not None:
        limit_w = min(limit_w, around.substation_w)
    mean_w = min(_MOST_BASE_W, _BASE_PU * limit_w / len(names))
    draw = Random(len(names))
    raw = [draw.uniform(0.5, 1.5) for _ in names]
    return {name: round(mean_w * each * len(raw) / sum(raw)) for name, each in zip(names, raw, strict=True)}


def vehicle_counts(names: Sequence[str], around: NeighbourhoodOptions, everywhere: int) -> dict[str, int]:
    """By node. Nodes that ``around.vehicles`` has no number for have none; without any number all have the same."""
    given = around.vehicles
    return {
        name: (given[position] if position < len(given) else 0) if given else everywhere
        for position, name in enumerate(names)
    }


def crowded(controllers: int, processors: int) -> str:
    """Why not all of them will be on time; empty: they will."""
    needed = controllers * PROCESSORS_EACH
    if needed <= processors:
        return ""
    return (
        f"{controllers} controllers need about {needed:.1f} processors and there are {processors}: "
        "expect late ticks and lost sessions; take fewer, or --light"
    )


class NeighbourhoodRun:
    """One of them, with its authority: what is written for it, and what runs of it."""

    def __init__(self, run_dir: Path, parts: Plans, around: NeighbourhoodOptions, clock: Clock) -> None:
        self._run_dir = run_dir
        self._parts = parts
        self._around = around
        self._clock = clock
        self._began_s = clock.monotonic_s()
        self._authority = MeshAuthority(clock.unix_s())
        self._sites: list[Supervisor] = []

    def add_controller(
        self,
        run_dir: Path,
        name: str,
        vehicles: int,
        options: SimulateOptions,
        conditions: Conditions,
        besides: Collection[int],
    ) -> Layout:
        """Everything that a whole controller needs on disk. Raises :class:`LayoutError`."""
        layout = layouts.build(
            run_dir,
            # A controller has an EVSE at least; where no vehicle is asked for it stays empty.
            max(1, vehicles),
            None,
            self._clock,
            overlays=options.overlays,
            conditions=conditions,
            plc=options.plc and vehicles > 0,
            absent=vehicles == 0,
            besides=besides,
        )
        pki = run_dir / "pki" / "mesh"
        self._authority.write_node(pki, name, (layout_mesh.HOST,))
        section = {
            "site": {"id": name, "name": f"Simulated site {name}"},
            "mesh": self._parts[0][0].section(name, pki),
        }
        drop_in = layout.config_dir / "conf.d" / _OVERLAY
        drop_in.write_text(yaml.safe_dump(section, sort_keys=False), encoding="utf-8")
        site = Supervisor(
            layout, self._clock, name=name, quality=not self._around.lean, ready_timeout_s=_READY_TIMEOUT_S
        )
        self._sites.append(site)
        return layout

    async def run_whole(self) -> int:
        """All that were added, and the head where there is one. The exit code."""
        head = self._light({HEAD: _head_model()}) if self._around.head else None
        meter = FeederMeter(self._run_dir / METER_FILE, [PlantFlow(site.layout.plant_socket) for site in self._sites])

        async def work() -> int:
            self._say("", f"{len(self._sites)} controllers, run directory {self._run_dir}")
            if words := crowded(len(self._sites), len(os.sched_getaffinity(0))):
                self._say("", words)
            if head is not None and not await head.start():
                return 1
            # One after the other: together they would start too slowly for their watchdogs. Vehicles do not wait for
            # each other, but for a machine that has time for them.
            for site in self._sites:
                if not await site.start_controller():
                    return 1
            for site in self._sites:
                if not await site.start_vehicles():
                    return 1
            print("\nIn another terminal, for any of them:", flush=True)
            for site in self._sites:
                print(f"    export V2G_SOCKET={site.layout.control_socket}", flush=True)
            print("    v2g-tool mesh\n    v2g-control status\nHere: Ctrl-C ends everything.\n", flush=True)
            overs = [child.over.wait() for site in self._sites for child in site.children.values()]
            await _any([self._watch(meter), *overs, *([head.over()] if head is not None else [])])
            return 1

        def impatient() -> None:
            for site in self._sites:
                site.interrupt()

        try:
            return await _until_interrupted(work(), impatient)
        finally:
            await asyncio.gather(*(site.stop_all() for site in self._sites))
            if head is not None:
                await head.stop()

    async def run_light(self, bases_w: Mapping[str, float], vehicles: Mapping[str, int]) -> int:
        """Light nodes alone. The exit code."""
        models = {
            name: LightModel(
                rated_w=RATED_KVA * 1e3,
                base_w=base_w,
                want_charge_w=vehicles[name] * _LIGHT_VEHICLE_W,
                vehicles=vehicles[name],
            )
            for name, base_w in bases_w.items()
        }
        nodes = self._light(models | ({HEAD: _head_model()} if self._around.head else {}))
        meter = FeederMeter(self._run_dir / METER_FILE, [LightFlow(path) for path in nodes.sockets])

        async def work() -> int:
            self._say("", f"{len(nodes.names)} light nodes, run directory {self._run_dir}")
            if not await nodes.start():
                return 1
            sockets = "".join(f"    {path}\n" for path in nodes.sockets)
            print(
                f"\nTheir control sockets (requests: v2g.simulation.light_config):\n{sockets}"
                "Here: Ctrl-C ends everything.\n",
                flush=True,
            )
            await _any([self._watch(meter), nodes.over()])
            return 1

        try:
            return await _until_interrupted(work(), lambda: None)
        finally:
            await nodes.stop()
            self._say("", "ended; nothing is left running")

    def _light(self, models: Mapping[str, LightModel]) -> LightProcesses:
        """Nodes of all plans that have a model. Their meter is of the one feeder, so heads are in flat plans alone."""
        file = self._run_dir / METER_FILE
        pki = self._run_dir / "pki"
        nodes = [
            node
            for plan, norths in self._parts
            for node in layout_mesh.light_nodes(plan, self._authority, pki, models, norths, meter_file=file)
        ]
        return LightProcesses(self._run_dir, nodes, self._clock, self._say)

    async def _watch(self, meter: FeederMeter) -> None:
        """Keep the meter going, and tell now and then what it shows."""
        running = asyncio.get_running_loop().create_task(meter.run())
        try:
            while True:
                await asyncio.sleep(_TELL_EVERY_S)
                self._say("feeder", self.flow_words(meter.total_w))
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            meter.file.unlink(missing_ok=True)

    def flow_words(self, total_w: float) -> str:
        around = self._around
        limit_w = around.feeder_w
        if around.substation_w is not None:
            limit_w = around.substation_w if around.regions else min(limit_w, around.substation_w)
        elif around.regions:
            limit_w *= around.regions
        what = f"{total_w / 1e3:.1f} kW flow" if isfinite(total_w) else "not known what flows, somebody does not answer"
        return f"{what}; the limit is {limit_w / 1e3:.1f} kW"

    def _say(self, name: str, text: str) -> None:
        # Whoever read our output may be gone; the simulation goes on.
        with contextlib.suppress(OSError):
            age_s = self._clock.monotonic_s() - self._began_s
            print(f"[{age_s:6.1f} s] {name + ': ' if name else ''}{text}", flush=True)


def _head_model() -> LightModel:
    return LightModel(rated_w=0.0, base_w=0.0, noise_w=0.0)


def _conditions(given: Mapping[str, float]) -> Conditions:
    """Raises :class:`LayoutError`."""
    try:
        return Conditions(**given)
    except ValueError as error:
        raise LayoutError(str(error)) from None


def _forget_former(run_dir: Path) -> None:
    """Keys of the controllers of a run before this one that could not end by itself."""
    for folder in run_dir.glob("n*"):
        if RunDirectory(folder).is_one:
            former = RunDirectory(folder)
            former.take()
            former.release()


async def _until_interrupted(work: Coroutine[Any, Any, int], impatient: Callable[[], None]) -> int:
    """The work's exit code, or 0 at the first Ctrl-C; each further one calls ``impatient``."""
    loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()

    def interrupt() -> None:
        if interrupted.is_set():
            impatient()
        interrupted.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, interrupt)
    working = loop.create_task(work)
    waiting = loop.create_task(interrupted.wait())
    try:
        await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else 0
    finally:
        for task in (working, waiting):
            task.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)


async def _any(works: Sequence[Coroutine[Any, Any, object]]) -> None:
    """Until the first of them ends; the others are cancelled. What it raised is raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
