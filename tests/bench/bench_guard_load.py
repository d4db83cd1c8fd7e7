"""Trips of the real ``v2g-guard tick`` under load: 32 inverters polled at 10 Hz and 64 vehicles at 4 Hz beside it.

    python tests/bench/bench_guard_load.py [--quick]

Writes ``report_guard_load.md``: 200 trips each of OF2 and OV2 (category III) and of UV2 in category II, command and
contact times against 160 ms; tick lateness over five minutes of the same load without trips.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.fleet.run import Run, write_pki
from support.sensors import entry
from v2g.guard.link_client import WiresClient
from v2g.guard.status import GuardStatus, Permit
from v2g.guard.status_block import StatusReader
from v2g.guard.tick_commands import send_command
from v2g.simulation.plant_config import PlantConfig, PlantEvse, write_config

REPORT = Path(__file__).with_name("report_guard_load.md")
INVERTERS, VEHICLES = 32, 64
LIMIT_S = 0.160
STEPS: tuple[tuple[str, str, dict[str, float]], ...] = (
    ("OF2", "III", {"f": 62.5}),
    ("OV2", "III", {"v": 1.22}),
    ("UV2", "II", {"v": 0.43}),
)
CONFIG = """
site: {{id: bench}}
transformer: {{id: T1, rated_kva: 800}}
grid: {{nominal_voltage_v: 277, category: {category}, enter_service: {{delay_s: 0, ramp_s: 1}}}}
breaker: {{opening_time_s: 0.05, output_path: {source}/breaker}}
relay: {{setting_pu: 1.10, delay_s: 14, feedback_path: {source}/relay}}
waveform: {{buffer_path: {source}/waveform, max_age_s: {max_age}}}
paths: {{run_dir: {dir}, state_dir: {dir}/state, log_dir: {dir}/log}}
evses:
"""
EVSE = """
  - id: US*V2G*E{number}
    interface: lo
    tcp_port: {tcp}
    sdp_port: {tcp}
    inverter: {{modbus: {{host: 127.0.0.1, port: {inverter}}}, poll_s: 0.09}}
    dc: {{modbus: {{host: 127.0.0.1, port: {dc}}}}}
"""


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextmanager
def child(*words: str, log: Path, stdin: bool = False) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parents[1]), *sys.path])}
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, *words], stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdin else errors, stderr=errors, text=True, env=environment,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            process.wait(10)


class Guard:
    """Source and tick of one category, with the configuration that ``wires`` shares."""

    def __init__(self, folder: Path, category: str, ports: list[int]) -> None:
        self.folder, self.source = folder, folder / "source"
        self.config = folder / "etc"
        for path in (self.source, self.config, folder / "log", folder / "state"):
            path.mkdir(parents=True)
        text = CONFIG.format(category=category, dir=folder, source=self.source, max_age=0.03)
        for number in range(INVERTERS):
            text += EVSE.format(
                number=number + 1, tcp=20_000 + number, inverter=ports[2 * number], dc=ports[2 * number + 1]
            )
        (self.config / "v2g.yaml").write_text(text)
        text = "sensors:\n" + entry("top_oil_c", "127.0.0.1", ports[-1])
        (self.config / "sensor_map.conf").write_text(text, encoding="utf-8")

    def start(self, stack: ExitStack) -> None:
        self.process = stack.enter_context(
            child("-m", "support.trip_source", str(self.source), log=self.folder / "source.out", stdin=True)
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline()
        self.reader = StatusReader(self.folder / "guard-status")
        stack.callback(self.reader.close)
        stack.enter_context(
            child("-m", "v2g.cli.guard", "tick", "--config", str(self.config), log=self.folder / "tick.out")
        )

    def status(self) -> GuardStatus:
        return self.reader.read(time.monotonic())

    def wait(self, *permits: Permit, timeout_s: float = 20.0) -> GuardStatus:
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            status = self.status()
            if status.permit in permits:
                return status
            time.sleep(0.01)
        raise RuntimeError(f"{status.permit.name} after {timeout_s:g} s; {(self.folder / 'tick.out').read_text()}")

    def trip(self, step: dict[str, float], element: str) -> tuple[float, float]:
        """Command and contact, s after the first sample that differs; the latch is released again."""
        self.wait(Permit.GRANTED)
        time.sleep(0.3)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(step) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        status = self.wait(Permit.TRIPPED)
        if status.trip_element != element or answer["contact_s"] is None:
            raise RuntimeError(f"{status.trip_element or 'no trip'} instead of {element}: {answer}")
        end_s = time.monotonic() + 10.0
        while not send_command(self.folder / "tick.sock", "reset_trip", "bench").accepted:
            if time.monotonic() > end_s:
                raise RuntimeError("the latch does not reset")
            time.sleep(0.05)
        return answer["command_s"], answer["contact_s"]


def lateness(guard: Guard, log: str) -> dict[str, float]:
    """The tick's own histogram, as it tells it at its end."""
    line = next(line for line in reversed(log.splitlines()) if "GUARD_TICK_ENDED" in line)
    return {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", line)}


async def polled_hz(wires_sock: Path, seconds: float) -> list[float]:
    """How often each inverter is read, as the images of ``wires`` tell it (ten a second, so no more is seen)."""
    client = WiresClient(wires_sock)
    await client.start()
    seen: dict[str, set[float]] = {}
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        await asyncio.sleep(0.02)
        if client.image is not None:
            for reading in client.image.inverters:
                seen.setdefault(reading.evse_id, set()).add(reading.as_of_s)
    await client.close()
    return [len(moments) / seconds for moments in seen.values()]


def row(name: str, values: list[float]) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"| {name} | {len(values)} | {low * 1e3:.1f} | {middle * 1e3:.1f} | {high * 1e3:.1f} |"


def main() -> int:
    quick = "--quick" in sys.argv
    trips, minutes = (10, 0.5) if quick else (200, 5.0)
    lines = [
        "# The guard under load: trips and lateness",
        "",
        f"Host: {platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}. Beside the",
        f"tick, on the same processors: `v2g-guard wires` polling {INVERTERS} SunSpec inverters at 10 Hz and as many",
        f"DC outputs of a simulated plant, a station with {VEHICLES} ISO 15118-20 sessions over TLS 1.3 at 4 Hz, and",
        "their vehicles. The breaker takes 50 ms. Times count from the first sample that differs.",
        "",
    ]
    with tempfile.TemporaryDirectory(prefix="v2g-load-") as name, ExitStack() as stack:
        folder = Path(name)
        ports = free_ports(2 * INVERTERS + 1)
        plant_dir = folder / "plant"
        plant_dir.mkdir()
        evses = tuple(
            PlantEvse(evse_id=f"US*V2G*E{n + 1}", inverter_port=ports[2 * n], dc_port=ports[2 * n + 1], plugged=True)
            for n in range(INVERTERS)
        )
        write_config(
            folder / "plant.json",
            PlantConfig(run_dir=str(plant_dir), evses=evses, transducers_port=ports[-1], rated_va=800_000.0),
        )
        stack.enter_context(
            child("-m", "v2g.simulation.plant", "--config", str(folder / "plant.json"), log=folder / "plant.out")
        )
        pki = folder / "pki"
        pki.mkdir()
        write_pki(pki)
        fleet = stack.enter_context(Run(pki, VEHICLES))
        joined = fleet.connect(0, VEHICLES, VEHICLES / 10, "all")
        print("vehicles", joined, flush=True)
        results: dict[str, list[tuple[float, float]]] = {}
        for category in ("III", "II"):
            guard = Guard(folder / f"guard-{category}", category, ports)
            with ExitStack() as inner:
                guard.start(inner)
                inner.enter_context(
                    child("-m", "v2g.cli.guard", "wires", "--config", str(guard.config), log=guard.folder / "wires.out")
                )
                realtime = guard.wait(Permit.GRANTED, timeout_s=60.0).realtime
                time.sleep(5.0)
                if category == "III":
                    rates_hz = asyncio.run(polled_hz(guard.folder / "wires.sock", 10.0))
                    before = guard.status()
                    figures = fleet.measure(minutes * 60.0)
                    after = guard.status()
                    lines += [
                        f"Real-time scheduling and locked memory granted: {'yes' if realtime else 'no'}. Vehicles: "
                        f"{figures['turns']} turns in {minutes:g} min, station {figures['cpu_share'] * 100:.0f} % of a "
                        f"core; {len(rates_hz)} inverters read at {min(rates_hz):.1f} to {max(rates_hz):.1f} Hz; "
                        f"vehicles lost {len(fleet.vehicles.ask(do='state')['reasons'])}.",
                        "",
                        f"Load without trips, {minutes:g} min: {after.ticks - before.ticks} ticks, "
                        f"{after.late_ticks - before.late_ticks} late by more than 5 ms.",
                        "",
                    ]
                for element, in_category, step in STEPS:
                    if in_category != category:
                        continue
                    results[element] = [guard.trip({**step, "phase": turn}, element) for turn in range(trips)]
                    print(element, row(element, [contact for _, contact in results[element]]), flush=True)
            tick_log = (guard.folder / "log" / "daemon.log").read_text()
            found = lateness(guard, tick_log)
            lines += [
                f"Tick of category {category}, whole run: {found['ticks']:.0f} ticks, {found['late']:.0f} late by more "
                f"than 5 ms; lateness p50 {found['p50_ms']:g} ms, p99 {found['p99_ms']:g} ms, "
                f"p99.9 {found['p999_ms']:g} ms, maximum {found['worst_ms']:g} ms.",
                "",
            ]
    head = ["| what | trips | min ms | median ms | max ms |", "|---|---:|---:|---:|---:|"]
    table = []
    for element, times in results.items():
        table.append(row(f"{element}: command", [command for command, _ in times]))
        table.append(row(f"{element}: contact parted (limit {LIMIT_S * 1e3:.0f})", [contact for _, contact in times]))
    late = sum(contact > LIMIT_S for times in results.values() for _, contact in times)
    verdict = f"{late} of {sum(map(len, results.values()))} contacts parted later than {LIMIT_S * 1e3:.0f} ms."
    text = "\n".join([*lines, *head, *table, "", verdict, ""])
    print(text)
    if not quick:
        REPORT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
