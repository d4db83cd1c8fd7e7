"""``v2g-orchestrator --simulate --neighbourhood N``: controllers in a mesh, whole ones or light nodes."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from v2g.clock import Clock, SystemClock
from v2g.pki.mesh_ca import MeshAuthority
from v2g.simulation import layout as layouts
from v2g.simulation import layout_mesh
from v2g.simulation.children import Child, ChildSpec
from v2g.simulation.layout import LayoutError
from v2g.simulation.layout_mesh import MeshPlan, Shape
from v2g.simulation.light_config import LightConfig, LightModel
from v2g.simulation.plant_config import Conditions
from v2g.simulation.run_directory import RunDirectory, RunDirectoryError
from v2g.simulation.supervisor import NeighbourhoodOptions, SimulateOptions, Supervisor

NODES_A_PROCESS = 25
_LIGHT_VEHICLE_W = 11_000.0
_LIGHT_BASE_W = (8_000.0, 24_000.0)
_START_TIMEOUT_S = 60.0


def run_neighbourhood(options: SimulateOptions, around: NeighbourhoodOptions) -> int:
    """Until Ctrl-C (exit 0). 1: it cannot run here, or a process of it ended for good."""
    directory = RunDirectory.choose(options.run_dir)
    clock = SystemClock()
    try:
        layouts.require_ipv6_loopback()
        conditions = Conditions(**options.conditions)
        directory.take()
    except (LayoutError, RunDirectoryError, ValueError) as error:
        print(f"v2g-orchestrator --simulate: {error}", file=sys.stderr)
        return 1
    try:
        names = [f"n{number}" for number in range(1, around.nodes + 1)]
        plan = layout_mesh.flat_plan(
            names,
            layouts.free_tcp_ports(around.nodes),
            Shape(around.shape),
            feeder_kw=around.feeder_w / 1e3,
            rated_kw=layouts.RATED_KVA,
        )
        counts = [
            around.vehicles[position] if position < len(around.vehicles) else 0 if around.vehicles else options.vehicles
            for position in range(around.nodes)
        ]
        authority = MeshAuthority(clock.unix_s())
        if around.light:
            return asyncio.run(_run_light(directory.path, plan, authority, counts, clock))
        built = [
            (name, _layout(directory.path / name, plan, name, authority, count, options, conditions, clock))
            for name, count in zip(names, counts, strict=True)
        ]
        return asyncio.run(_run_whole(built, clock))
    except (LayoutError, RunDirectoryError) as error:
        print(f"v2g-orchestrator --simulate: {error}", file=sys.stderr)
        return 1
    finally:
        directory.release()


def _layout(
    run_dir: Path,
    plan: MeshPlan,
    name: str,
    authority: MeshAuthority,
    vehicles: int,
    options: SimulateOptions,
    conditions: Conditions,
    clock: Clock,
) -> layouts.Layout:
    RunDirectory(run_dir).take()
    pki = run_dir / "mesh"
    authority.write_node(pki, name, (layout_mesh.HOST,))
    overlay = run_dir / "mesh.yaml"
    section = {"site": {"id": name, "name": f"Simulated site {name}"}, "mesh": plan.section(name, pki)}
    overlay.write_text(yaml.safe_dump(section, sort_keys=False), encoding="utf-8")
    return layouts.build(
        run_dir,
        # A controller has an EVSE at least; where no vehicle is asked for it stays empty.
        max(1, vehicles),
        None,
        clock,
        overlays=(*options.overlays, overlay),
        conditions=conditions,
        plc=options.plc,
        absent=vehicles == 0,
    )


async def _run_whole(built: Sequence[tuple[str, layouts.Layout]], clock: Clock) -> int:
    """One controller after the other: together they would start too slowly for their watchdogs."""
    sites = [Supervisor(layout, clock, name=name) for name, layout in built]
    interrupted = asyncio.Event()

    def interrupt() -> None:
        if interrupted.is_set():
            for site in sites:
                site.interrupt()
        interrupted.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, interrupt)
    work = loop.create_task(_work(sites))
    waiting = loop.create_task(interrupted.wait())
    try:
        await asyncio.wait((work, waiting), return_when=asyncio.FIRST_COMPLETED)
        return work.result() if work.done() else 0
    finally:
        for task in (work, waiting):
            task.cancel()
        await asyncio.gather(work, waiting, return_exceptions=True)
        await asyncio.gather(*(site.stop_all() for site in sites))


async def _work(sites: Sequence[Supervisor]) -> int:
    for site in sites:
        if not await site.start_all():
            return 1
    print("\nIn another terminal, for any of them:", flush=True)
    for site in sites:
        print(f"    export V2G_SOCKET={site.layout.control_socket}", flush=True)
    print("    v2g-tool mesh\n    v2g-control status\nHere: Ctrl-C ends everything.\n", flush=True)
    over = [asyncio.create_task(child.over.wait()) for site in sites for child in site.children.values()]
    await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
    return 1


async def _run_light(
    run_dir: Path, plan: MeshPlan, authority: MeshAuthority, vehicles: Sequence[int], clock: Clock
) -> int:
    draw = random.Random(len(plan.names))
    models = {
        name: LightModel(
            rated_w=plan.rated_kw[name] * 1e3,
            base_w=draw.uniform(*_LIGHT_BASE_W),
            want_charge_w=count * _LIGHT_VEHICLE_W,
            vehicles=count,
        )
        for name, count in zip(plan.names, vehicles, strict=True)
    }
    pki = run_dir / "mesh"
    nodes = layout_mesh.light_nodes(plan, authority, pki, models)
    (run_dir / "notify").mkdir(mode=0o700, exist_ok=True)
    (run_dir / "log").mkdir(mode=0o700, exist_ok=True)
    processes = [nodes[at : at + NODES_A_PROCESS] for at in range(0, len(nodes), NODES_A_PROCESS)]
    children: list[Child] = []
    began_s = clock.monotonic_s()

    def say(name: str, text: str) -> None:
        with contextlib.suppress(OSError):
            print(f"[{clock.monotonic_s() - began_s:6.1f} s] {name + ': ' if name else ''}{text}", flush=True)

    def keep(name: str, line: str) -> None:
        with contextlib.suppress(OSError), (run_dir / "log" / f"{name}.out").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    for number, part in enumerate(processes, start=1):
        path = run_dir / f"light-{number}.json"
        socket = run_dir / f"light-{number}.sock"
        layout_mesh.write_light(path, LightConfig(control_socket=str(socket), nodes=part, seed=number))
        arguments = [sys.executable, "-m", "v2g.simulation.light_node", "--config", str(path)]
        spec = ChildSpec(name=f"light-{number}", arguments=arguments, watchdog_s=None, ready_timeout_s=_START_TIMEOUT_S)
        children.append(Child(spec, run_dir / "notify", clock, keep, say))
    loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(signal_number, interrupted.set)
    say("", f"{len(nodes)} light nodes in {len(processes)} processes, run directory {run_dir}")
    for child in children:
        child.start()
    try:
        waits = [interrupted.wait(), *(child.over.wait() for child in children)]
        tasks = [loop.create_task(wait) for wait in waits]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        return 0 if interrupted.is_set() else 1
    finally:
        await asyncio.gather(*(child.stop() for child in children))
        say("", "ended; nothing is left running")
