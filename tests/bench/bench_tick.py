"""Cost of a step, and the real ``tick`` process over 30 s: lateness, memory, and the time to the open contact.

Run ``PYTHONPATH=src:tests python tests/bench/bench_tick.py [seconds]``; writes ``report_tick.md`` beside this file. A
thread plays plant: samples at 3840 Hz in batches of 5 ms, a breaker that opens in 50 ms, a relay's feedback.
"""

from __future__ import annotations

import math
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from support.sensors import TOP_OIL
from support.tick_site import protection
from v2g.grid.estimation import Estimator
from v2g.guard import realtime
from v2g.guard.latch import LatchStore, TripLatch
from v2g.guard.lockout import Lockout
from v2g.guard.permit_service import PermitService
from v2g.guard.phases import EvseChannels
from v2g.guard.status import GuardStatus, Permit
from v2g.guard.status_block import StatusReader, StatusWriter
from v2g.guard.tick import Ports, Tick
from v2g.guard.tick_commands import CommandSocket, send_command
from v2g.guard.tick_settings import TickSettings
from v2g.hardware.breaker import MmapBreakerDevice, MmapBreakerOutput
from v2g.hardware.contact import ContactReader, ContactWriter
from v2g.hardware.waveform import CHANNELS, WaveformReader, WaveformWriter

RATE_HZ = 3840
BATCH = 0.005
EVSE_CHANNELS = ("v_e1_a", "v_e1_b", "v_e1_c")
COLUMNS = len(CHANNELS) + len(EVSE_CHANNELS)
SCALES = dict.fromkeys(CHANNELS + EVSE_CHANNELS, 0.01)
TURN = np.array([0, -2, 2]) * math.pi / 3
CONFIG = """
site: {{id: bench}}
transformer: {{id: T1, rated_kva: 250}}
grid: {{nominal_voltage_v: 277, enter_service: {{delay_s: 1, ramp_s: 1}}}}
relay: {{setting_pu: 1.1, feedback_path: {dir}/relay}}
paths: {{run_dir: {dir}, state_dir: {dir}/state, log_dir: {dir}/log}}
evses:
  - id: US*V2G*E1
    interface: lo
    inverter:
      modbus: {{host: 127.0.0.1, port: 5020}}
      voltage_channels: [v_e1_a, v_e1_b, v_e1_c]
    dc: {{modbus: {{host: 127.0.0.1, port: 5021}}}}
"""


class Plant(threading.Thread):
    """Writes samples against the clock; ``frequency_hz`` may be stepped; notes when the contact parted."""

    def __init__(self, directory: Path) -> None:
        super().__init__(daemon=True)
        self.writer = WaveformWriter.create(directory / "waveform", RATE_HZ, SCALES, extra=EVSE_CHANNELS)
        self.relay = ContactWriter(directory / "relay")
        self.device = MmapBreakerDevice(directory / "breaker")
        self.step_to_hz: float | None = None
        self.frequency_hz = 60.0
        self.stepped_at_s = math.nan
        self.parted_at_s = math.nan
        self.commanded_open_at_s = math.nan
        self.ending = False

    def run(self) -> None:
        angle, written, start_s = 0.0, 0, time.monotonic()
        closed, moving_since_s = False, None
        while not self.ending:
            now_s = time.monotonic()
            if self.step_to_hz is not None and math.isnan(self.stepped_at_s):
                self.frequency_hz, self.stepped_at_s = self.step_to_hz, start_s + written / RATE_HZ
            due = int((now_s - start_s) * RATE_HZ)
            n = min(due - written, 1000)
            if n > 0:
                turns = angle + 2 * math.pi * self.frequency_hz / RATE_HZ * np.arange(1, n + 1)
                angle = float(turns[-1])
                self.writer.write(rows_of(turns), start_s + due / RATE_HZ)
                written = due
            wanted = self.device.commanded(now_s)
            if wanted != closed:
                if moving_since_s is None:
                    moving_since_s = now_s
                    if closed:
                        self.commanded_open_at_s = now_s
                elif now_s - moving_since_s >= 0.05:
                    if closed:
                        self.parted_at_s = now_s
                    closed, moving_since_s = wanted, None
            else:
                moving_since_s = None
            self.device.report(closed, now_s)
            self.relay.report(True, now_s)
            time.sleep(0.001 if self.step_to_hz is not None else BATCH)


def rows_of(angle: Any) -> Any:
    """Three bus voltages, the same on the inverter side and at the EVSE, currents of 100 A and 20 A."""
    rows = np.zeros((len(angle), COLUMNS))
    wave = math.sqrt(2) * np.sin(angle[:, None] + TURN)
    rows[:, 0:3] = rows[:, 9:12] = rows[:, 12:15] = 277 * wave
    rows[:, 3:6], rows[:, 6:9] = 100 * wave, 20 * wave
    return rows


class Silent:
    def event(self, level: str, code: str, message: str, **fields: object) -> None: ...

    def later(self, job: Any) -> None: ...


def step_cost_us(directory: Path) -> dict[str, tuple[float, float, float]]:
    """Name to (p50, p99, max) in microseconds."""
    costs: dict[str, tuple[float, float, float]] = {}
    for rate_hz in (3840, 20000):
        time_s = np.arange(2000) / rate_hz
        wave = np.sqrt(2) * np.sin(2 * np.pi * 60 * time_s[:, None] + TURN)
        estimator = Estimator(rate_hz, 60.0, 277.0)
        volts, amperes = 277 * wave, 100 * wave
        costs[f"estimate alone, {rate_hz} Hz"] = timed(
            lambda: estimator.estimate(volts, amperes, amperes, volts),  # noqa: B023
            3000,
        )

    writer = WaveformWriter.create(directory / "waveform", RATE_HZ, SCALES, extra=EVSE_CHANNELS)
    rows = rows_of(2 * np.pi * 60 * np.arange(38_400 * 2) / RATE_HZ)
    status, commands = StatusWriter(directory / "guard-status"), CommandSocket(directory / "tick.sock")
    device, relay = MmapBreakerDevice(directory / "breaker"), ContactWriter(directory / "relay")
    reader = WaveformReader(directory / "waveform")
    ports = Ports(
        open_waveform=lambda: WaveformReader(directory / "waveform"),
        breaker=MmapBreakerOutput(directory / "breaker"),
        status=status,
        commands=commands,
        events=Silent(),
        open_contact=ContactReader,
        load_settings=lambda: settings,
        unix_s=time.time,
        draw=lambda: 0.5,
        monotonic_s=lambda: now_s,
    )
    settings = TickSettings(
        nominal_voltage_v=277.0,
        nominal_frequency_hz=60.0,
        protection=protection(0.1),
        waveform_max_age_s=0.03,
        evse_channels=(EvseChannels("US*V2G*E1", EVSE_CHANNELS, (0.0, 0.0, 0.0)),),
        relay_feedback=directory / "relay",
        mains_input=directory / "relay",
    )
    latch = TripLatch(LatchStore(directory / "latch.json", ""), 1000.0, 0.0)
    tick = Tick(settings, ports, latch, PermitService(directory / "permit.json"), Lockout(directory / "lockout.json"))
    now_s, taken = 1000.0, []
    for end in range(38, len(rows), 38):
        now_s += 38 / RATE_HZ
        writer.write(rows[end - 38 : end], now_s)
        device.report(device.commanded(now_s), now_s)
        relay.report(True, now_s)
        started = time.perf_counter_ns()
        last = tick.step(now_s)
        taken.append((time.perf_counter_ns() - started) / 1e3)
    assert last.permit is Permit.GRANTED, last
    costs["read of the buffer alone, 3840 Hz"] = timed(lambda: reader.latest(192), 3000)
    costs["whole step through the real files, 3840 Hz, relay, mains input and one EVSE's own voltages"] = spread(
        taken[100:]
    )
    status.close()
    commands.close()
    return costs


def timed(call: Any, times: int) -> tuple[float, float, float]:
    taken = []
    for _ in range(times):
        started = time.perf_counter_ns()
        call()
        taken.append((time.perf_counter_ns() - started) / 1e3)
    return spread(taken[times // 10 :])


def spread(taken: list[float]) -> tuple[float, float, float]:
    return float(np.percentile(taken, 50)), float(np.percentile(taken, 99)), max(taken)


def start_tick(directory: Path) -> subprocess.Popen[bytes]:
    code = "import sys, pathlib; from v2g.guard.tick_main import main; sys.exit(main(pathlib.Path(sys.argv[1])))"
    return subprocess.Popen([sys.executable, "-c", code, str(directory / "etc")])


def wait_for(reader: StatusReader, permit: Permit, timeout_s: float = 15.0) -> GuardStatus:
    end_s = time.monotonic() + timeout_s
    while (status := reader.read(time.monotonic())).permit is not permit:
        if time.monotonic() > end_s:
            raise SystemExit(f"wanted {permit.name}, still {status}")
        time.sleep(0.005)
    return status


WRITER = """
import sys, time
from pathlib import Path
sys.path[:0] = sys.argv[2:]
import numpy as np
from bench_tick import EVSE_CHANNELS, RATE_HZ, SCALES, rows_of
from v2g.hardware.waveform import WaveformWriter
writer = WaveformWriter.create(Path(sys.argv[1]), RATE_HZ, SCALES, extra=EVSE_CHANNELS)
begin, written = time.monotonic(), 0
while True:
    due = int((time.monotonic() - begin) * RATE_HZ)
    writer.write(rows_of(2 * np.pi * 60 / RATE_HZ * np.arange(written, due)), begin + due / RATE_HZ)
    written = due
    time.sleep(0.005)
"""


def writer_lost_ms(directory: Path, reader: StatusReader, number: int) -> float:
    """From the signal to the writer to the first status without a measurement."""
    here = Path(__file__).parent
    places = [str(here), str(here.parent)]
    with subprocess.Popen([sys.executable, "-c", WRITER, str(directory / "waveform"), *places]) as writer:
        while not reader.read(time.monotonic()).measured:
            time.sleep(0.001)
        time.sleep(0.2)
        writer.send_signal(number)
        sent_s = time.monotonic()
        while reader.read(time.monotonic()).measured:
            time.sleep(0.0002)
        lost_s = time.monotonic()
        writer.kill()
    return 1e3 * (lost_s - sent_s)


def memory_kb(pid: int, what: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{what}:\s+(\d+)", text, re.M)
    return int(found[1]) if found else 0


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    lines = ["# tick: cost and lateness", ""]
    lines += [
        f"Host: {platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start, "
        f"Python {platform.python_version()}, numpy {np.__version__}.",
        "",
        "| step | p50 us | p99 us | max us |",
        "|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as name:
        # As the tick runs: other work on the host is not its cost.
        refused: list[str] = []
        realtime.schedule_fifo(realtime.TICK_PRIORITY, refused)
        for what, (p50, p99, worst) in step_cost_us(Path(name)).items():
            lines.append(f"| {what} | {p50:.0f} | {p99:.0f} | {worst:.0f} |")
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        lines += ["", f"Measured {'without' if refused else 'under'} SCHED_FIFO."]
    # As /run is: the pages of a mapped file on a disk are held up while they are written back.
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as name:
        directory = Path(name)
        (directory / "etc").mkdir()
        (directory / "etc" / "v2g.yaml").write_text(CONFIG.format(dir=directory))
        (directory / "etc" / "sensor_map.conf").write_text(TOP_OIL, encoding="utf-8")
        plant = Plant(directory)
        plant.start()
        reader = StatusReader(directory / "guard-status")
        process = start_tick(directory)
        wait_for(reader, Permit.GRANTED)
        # The first seconds fill tables and the allocator's pools.
        time.sleep(5.0)
        before_kb = memory_kb(process.pid, "VmRSS")
        cpu_s = sum(os.sysconf("SC_CLK_TCK") ** -1 * int(v) for v in stat(process.pid))
        time.sleep(seconds)
        cpu_s = sum(os.sysconf("SC_CLK_TCK") ** -1 * int(v) for v in stat(process.pid)) - cpu_s
        growth_kb = memory_kb(process.pid, "VmRSS") - before_kb
        before_adoption = reader.read(time.monotonic())
        adopted = send_command(directory / "tick.sock", "adopt_settings", "bench")
        assert adopted.accepted, adopted.message
        adopting = reader.read(time.monotonic())
        status = reader.read(time.monotonic())
        plant.step_to_hz = 62.5
        tripped = wait_for(reader, Permit.TRIPPED)
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        process.wait(5)
        ended = [line for line in (directory / "log" / "daemon.log").read_text().splitlines() if "TICK_ENDED" in line]
        command_ms = 1e3 * (tripped.trip_at_s - plant.stepped_at_s)
        contact_ms = 1e3 * (plant.parted_at_s - plant.stepped_at_s)
        figures = dict(re.findall(r"(p50_ms|p99_ms|worst_ms)=([\d.]+)", ended[-1]))
        lines += [
            "",
            f"The process over {seconds:.0f} s with the plant's thread beside it, realtime {status.realtime}: "
            f"{status.ticks} ticks, {status.late_ticks} late by more than 5 ms; lateness p50 {figures['p50_ms']} ms, "
            f"p99 {figures['p99_ms']} ms, max {figures['worst_ms']} ms. Processor {100 * cpu_s / seconds:.1f} %, "
            f"resident {before_kb // 1024} MB, growth {growth_kb} kB.",
            "",
            f"New settings adopted while in service: worst lateness {1e3 * before_adoption.worst_lateness_s:.1f} ms "
            f"before, {1e3 * adopting.worst_lateness_s:.1f} ms after.",
            "",
            f"Step to 62.5 Hz: {tripped.trip_element} commanded {command_ms:.0f} ms after the step, contact open after "
            f"{contact_ms:.0f} ms "
            "(limit 160 ms, of it 50 ms the breaker).",
        ]
        process = start_tick(directory)
        again = wait_for(reader, Permit.TRIPPED)
        process.kill()
        process.wait()
        process = start_tick(directory)
        time.sleep(0.5)
        killed = wait_for(reader, Permit.TRIPPED)
        lines += ["", f"After SIGTERM and start: {again.permit.name} {again.trip_element}; after kill -9 and start: "]
        lines[-1] += f"{killed.permit.name} {killed.trip_element}."
        plant.ending = True
        plant.join(1)
        plant.writer.close()
        for what, number in (("killed", signal.SIGKILL), ("stopped", signal.SIGSTOP)):
            taken = [writer_lost_ms(directory, reader, number) for _ in range(10)]
            lines += [
                "",
                f"A writer process that is {what}: "
                f"not measured any more after {min(taken):.1f} to {max(taken):.1f} ms, "
                f"median {float(np.median(taken)):.1f} ms (ten times).",
            ]
        process.send_signal(signal.SIGTERM)
        process.wait(5)
    report = Path(__file__).with_name("report_tick.md")
    report.write_text("\n".join(lines) + "\n")
    print(report.read_text())


def stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]


if __name__ == "__main__":
    main()
