"""``v2g-orchestrator --simulate``: starts plant, guard, daemon and vehicles, and looks after them as systemd would."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from pyiso15118.security import openssl_conf_path
from v2g.clock import Clock, SystemClock
from v2g.orchestrator.thermal_clock import BEGIN_VARIABLE, SPEED_VARIABLE, begin_text
from v2g.simulation import layout as layouts
from v2g.simulation.children import Child, ChildSpec
from v2g.simulation.faults import FaultError, load_scenario
from v2g.simulation.layout import Layout, LayoutError
from v2g.simulation.plant_config import Conditions
from v2g.simulation.run_directory import RunDirectory, RunDirectoryError
from v2g.simulation.vehicle_spec import VehicleSpec

READY_TIMEOUT_S = 20.0
_BESIDES_S = 10.0
"""What a start may take besides: children are awaited one after the other, and one may have to be started again."""
_MAX_OUTPUT_BYTES = 16 << 20
"""Of each child's output; what matters for longer is in the daemons' own logs."""
_DAEMONS = ("tick", "wires", "quality", "kplc-driver", "orchestrator")
_ALWAYS_TOLD = ("ERROR", "Traceback", "Error:")


class SimulateOptions(Protocol):
    """What the command line gives."""

    @property
    def neighbourhood(self) -> NeighbourhoodOptions | None: ...

    @property
    def vehicles(self) -> int: ...

    @property
    def ac_vehicles(self) -> int: ...

    @property
    def specs(self) -> Sequence[VehicleSpec]: ...

    @property
    def demo(self) -> bool: ...

    @property
    def plc(self) -> bool: ...

    @property
    def scenario(self) -> Path | None: ...

    @property
    def run_dir(self) -> Path | None: ...

    @property
    def foreign(self) -> Sequence[str]: ...

    @property
    def overlays(self) -> Sequence[Path]: ...

    @property
    def est(self) -> bool:
        """With the utility's certificate server."""

    @property
    def conditions(self) -> Mapping[str, float]:
        """Fields of :class:`v2g.simulation.plant_config.Conditions`."""


class NeighbourhoodOptions(Protocol):
    """Several controllers in a mesh."""

    @property
    def nodes(self) -> int: ...

    @property
    def shape(self) -> str: ...

    @property
    def feeder_w(self) -> float: ...

    @property
    def substation_w(self) -> float | None:
        """Of a group above the feeder; None: there is none. Of regions: of all together."""

    @property
    def regions(self) -> int:
        """0: the mesh is flat."""

    @property
    def head(self) -> bool:
        """There is a node at the substation, which measures the feeder."""

    @property
    def light(self) -> bool: ...

    @property
    def lean(self) -> bool:
        """Without ``v2g-guard quality``."""

    @property
    def vehicles(self) -> Sequence[int]:
        """Of each node in turn; empty: as many at all."""


def main(options: SimulateOptions) -> int:
    """Until Ctrl-C (exit 0), or until the demonstration is over (0: power reached, 1: not). 1: it cannot run here."""
    if options.neighbourhood is not None:
        from v2g.simulation.neighbourhood import run_neighbourhood

        return run_neighbourhood(options, options.neighbourhood)
    directory = RunDirectory.choose(options.run_dir)
    clock = SystemClock()
    try:
        if options.scenario is not None:
            load_scenario(options.scenario)
        layouts.require_ipv6_loopback()
        conditions = Conditions(**options.conditions)
        foreign = [layouts.parse_foreign(text) for text in options.foreign]
        directory.take()
    except (LayoutError, RunDirectoryError, FaultError, ValueError) as error:
        print(f"v2g-orchestrator --simulate: {error}", file=sys.stderr)
        return 1
    try:
        layout = layouts.build(
            directory.path,
            options.vehicles,
            options.scenario,
            clock,
            ac_vehicles=options.ac_vehicles,
            specs=options.specs,
            foreign=foreign,
            overlays=options.overlays,
            conditions=conditions,
            plc=options.plc,
        )
        return asyncio.run(Supervisor(layout, clock, demo=options.demo, besides=_besides(options, layout, clock)).run())
    except LayoutError as error:
        print(f"v2g-orchestrator --simulate: {error}", file=sys.stderr)
        return 1
    finally:
        directory.release()


def _besides(options: SimulateOptions, layout: Layout, clock: Clock) -> tuple[ChildSpec, ...]:
    if not options.est:
        return ()
    from v2g.simulation import est

    config = est.prepare(layout, clock)
    return (ChildSpec(name="est", arguments=[sys.executable, "-m", "v2g.simulation.est", "--config", str(config)]),)


class Supervisor:
    """One running simulation."""

    def __init__(
        self,
        layout: Layout,
        clock: Clock,
        *,
        demo: bool = False,
        name: str = "",
        quality: bool = True,
        ready_timeout_s: float = READY_TIMEOUT_S,
        besides: Sequence[ChildSpec] = (),
    ) -> None:
        """``name``: of one among several, said before everything that is told of it; ``quality``: with
        ``v2g-guard quality``; ``ready_timeout_s``: how long a child may take until it works; ``besides``: what is
        outside the controller, too."""
        self._besides = tuple(besides)
        self.layout = layout
        self._clock = clock
        self._demo = demo
        self._quality = quality
        self._ready_timeout_s = ready_timeout_s
        self._name = f"{name} " if name else ""
        self._began_s = clock.monotonic_s()
        self._interrupted = asyncio.Event()
        self._files: dict[str, Path] = {}
        self._quiet = False
        self.children: dict[str, Child] = {}

    async def run(self) -> int:
        """Start, serve, stop. The exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.interrupt)
        self._say("", f"run directory {self.layout.run_dir}, logs in {self.layout.log_dir}")
        work = loop.create_task(self._work())
        interrupted = loop.create_task(self._interrupted.wait())
        try:
            await asyncio.wait((work, interrupted), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            return 1 if self._demo else 0
        finally:
            interrupted.cancel()
            await self.stop_all()

    async def _work(self) -> int:
        if not await self.start_all():
            return 1
        if self._demo:
            from v2g.simulation.demo import demonstrate

            return await demonstrate(self.layout, self._clock, lambda text: self._say("", text))
        self._explain()
        over = [asyncio.create_task(child.over.wait()) for child in self.children.values()]
        await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
        return 1

    async def start_all(self) -> bool:
        """Plant and powerline, then guard and daemons, then vehicles. False: one of them cannot run."""
        return await self.start_controller() and await self.start_vehicles()

    async def start_controller(self) -> bool:
        """Without vehicles. False: something cannot run."""
        layout = self.layout
        python = sys.executable
        module = [python, "-m"]
        config = ["--config", str(layout.config_dir)]
        # Physics does not wait for a processor, and vehicles would bring their own.
        plant = ChildSpec(
            name="plant", arguments=[*module, "v2g.simulation.plant", "--config", str(layout.plant_config)], nice=-10
        )
        daemons = [
            ChildSpec(name="tick", arguments=[*module, "v2g.cli.guard", "tick", *config], watchdog_s=1.0),
            ChildSpec(name="wires", arguments=[*module, "v2g.cli.guard", "wires", *config], stop_timeout_s=10.0),
            ChildSpec(
                name="orchestrator",
                arguments=[*module, "v2g.cli.orchestrator", *config],
                stop_timeout_s=30.0,
                environment={
                    "V2G_SIMULATION": "1",
                    SPEED_VARIABLE: f"{layout.conditions.thermal_speed:g}",
                    BEGIN_VARIABLE: begin_text(self._clock),
                },
            ),
        ]
        if self._quality:
            quality = ChildSpec(name="quality", arguments=[*module, "v2g.cli.guard", "quality", *config], nice=5)
            daemons.insert(-1, quality)
        outside = [plant, *self._besides]
        if layout.powerline_config is not None:
            powerline = ["v2g.simulation.powerline", "--config", str(layout.powerline_config)]
            outside.append(ChildSpec(name="powerline", arguments=[*module, *powerline], nice=-10))
            driver = ChildSpec(name="kplc-driver", arguments=[*module, "v2g.cli.kplc_driver", *config], watchdog_s=5.0)
            daemons.insert(-1, driver)
        return await self._start(outside) and await self._start(daemons)

    async def start_vehicles(self) -> bool:
        """Once its controller runs. False: one of them cannot run."""
        vehicles = [
            ChildSpec(
                name=f"vehicle {number}",
                arguments=[sys.executable, "-m", "v2g.simulation.vehicle", "--config", str(vehicle.config)],
                watchdog_s=5.0,
                nice=10,
                environment={"OPENSSL_CONF": str(openssl_conf_path())},
            )
            for number, (_, vehicle) in enumerate(self.layout.vehicles, start=1)
        ]
        return await self._start(vehicles)

    async def _start(self, specs: Sequence[ChildSpec]) -> bool:
        started = []
        for each in specs:
            spec = replace(each, ready_timeout_s=self._ready_timeout_s)
            child = Child(spec, self.layout.notify_dir, self._clock, self._on_line, self._say)
            self.children[spec.name] = child
            self._files[spec.name] = self.layout.log_dir / f"{spec.name.replace(' ', '-')}.out"
            child.start()
            started.append(child)
        for child in started:
            ready = asyncio.create_task(child.ready.wait())
            over = asyncio.create_task(child.over.wait())
            limit_s = self._ready_timeout_s + _BESIDES_S
            await asyncio.wait((ready, over), timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
            over.cancel()
            if not child.ready.is_set():
                self._show_output(child)
                self._say(child.spec.name, f"did not get ready; its output is in {self._files[child.spec.name]}")
                return False
            self._say(child.spec.name, f"ready, pid {child.pid}" + (f": {child.status}" if child.status else ""))
        return True

    async def stop_all(self) -> None:
        """All children, vehicles first."""
        self._say("", "ending (once more Ctrl-C: at once)")
        self._quiet = True
        self._interrupted.clear()
        impatient = asyncio.create_task(self._interrupted.wait())
        children = list(self.children.values())
        vehicles = [child for child in children if child.spec.name.startswith("vehicle")]
        others = [child for child in reversed(children) if child not in vehicles]
        for group in (vehicles, *([child] for child in others)):
            stopping = asyncio.gather(*(child.stop(kill=impatient.done()) for child in group))
            await asyncio.wait((stopping, impatient), return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                await asyncio.gather(*(child.stop(kill=True) for child in children), return_exceptions=True)
            with contextlib.suppress(asyncio.CancelledError):
                await stopping
        impatient.cancel()
        self._say("", "ended; nothing is left running")

    def _explain(self) -> None:
        pids = ", ".join(f"{name} {child.pid}" for name, child in self.children.items() if name in _DAEMONS)
        self._say("", f"running: {pids} (kill one and see)")
        exports = f"export V2G_CONFIG={self.layout.config_dir}\n    "
        if not self._is_default_dir():
            exports += f"export V2G_SOCKET={self.layout.control_socket}\n    "
        command_dir = Path(sys.executable).parent
        prefix = "" if not (command_dir / "v2g-control").exists() else f"{command_dir}/"
        print(
            "\nIn another terminal:\n"
            f"    {exports}{prefix}v2g-control --dispatch --mode=discharge --power=10kW\n"
            f"    {prefix}v2g-control status\n"
            "Here: Ctrl-C ends everything.\n",
            flush=True,
        )

    def _is_default_dir(self) -> bool:
        return RunDirectory.choose(None).path == self.layout.run_dir

    def interrupt(self) -> None:
        """End, or while that goes on: at once."""
        self._interrupted.set()

    def _on_line(self, name: str, line: str) -> None:
        with contextlib.suppress(OSError), self._files[name].open("a", encoding="utf-8") as file:
            if file.tell() < _MAX_OUTPUT_BYTES:
                file.write(line + "\n")
        settled = self.children[name].ready.is_set()
        told = name not in _DAEMONS or any(word in line for word in _ALWAYS_TOLD) or (settled and "WARNING" in line)
        if told and not self._quiet:
            self._say(name, line)

    def _show_output(self, child: Child) -> None:
        path = self._files[child.spec.name]
        with contextlib.suppress(OSError):
            for line in path.read_text(encoding="utf-8").splitlines()[-20:]:
                print(f"    {line}", flush=True)

    def _say(self, name: str, text: str) -> None:
        if self._quiet and name and "killed" not in text:
            return
        age_s = self._clock.monotonic_s() - self._began_s
        # Whoever read our output may be gone; the simulation goes on.
        with contextlib.suppress(OSError):
            print(f"[{age_s:6.1f} s] {self._name}{name + ': ' if name else ''}{text}", flush=True)
