"""From the start of v2g-orchestrator to READY, and the memory of the daemons at rest.

    python tests/bench/bench_start.py

Writes ``report_start.md`` beside this file. The daemons are those of a simulation with one EVSE and no vehicle; the
orchestrator is killed again and again, and its supervisor starts it anew. Bare Python in the same run is the yardstick.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

REPORT = Path(__file__).with_name("report_start.md")
STARTS = 12
REST_S = 20.0
"""Until what a start has left behind is settled."""
WAIT_S = 60.0
NAMES = {
    "v2g.cli.orchestrator": "v2g-orchestrator",
    "v2g.cli.guard tick": "v2g-guard tick",
    "v2g.cli.guard wires": "v2g-guard wires",
    "v2g.cli.guard quality": "v2g-guard quality",
}
GUARDING = ("v2g-orchestrator", "v2g-guard tick", "v2g-guard wires")
TICKS_HZ = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Started:
    pid: int
    unix_s: float
    cpu_s: float


def daemons(run_dir: Path) -> dict[str, Started]:
    booted_unix_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().decode().replace("\0", " ")
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        for command, name in NAMES.items():
            if f"-m {command} --config {run_dir}/" in words:
                cpu_s = (int(fields[11]) + int(fields[12])) / TICKS_HZ
                found[name] = Started(int(folder.name), booted_unix_s + int(fields[19]) / TICKS_HZ, cpu_s)
    return found


def ready_at(log: Path) -> list[float]:
    lines = log.read_text().splitlines() if log.exists() else []
    return [datetime.fromisoformat(line.split()[0]).timestamp() for line in lines if " READY " in line]


def start_again(run_dir: Path, starts: int) -> tuple[float, float]:
    """Seconds from the process's start to READY, and CPU seconds until a moment after it."""
    log = run_dir / "log" / "daemon.log"
    give_up_s = time.monotonic() + WAIT_S
    while len(ready_at(log)) <= starts:
        if time.monotonic() > give_up_s:
            raise SystemExit("the daemon did not become READY")
        time.sleep(0.02)
    started = daemons(run_dir)["v2g-orchestrator"]
    return ready_at(log)[-1] - started.unix_s, started.cpu_s


def memory_mb(pid: int) -> dict[str, float]:
    rows = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return {row[0].rstrip(":"): int(row[1]) / 1024 for row in rows}


def bare_python_s() -> float:
    begin_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - begin_s


def measure(run_dir: Path) -> str:
    starts = []
    for number in range(STARTS):
        starts.append(start_again(run_dir, number))
        time.sleep(1.0)
        if number < STARTS - 1:
            os.kill(daemons(run_dir)["v2g-orchestrator"].pid, signal.SIGKILL)
    bare_s = min(bare_python_s() for _ in range(10))
    time.sleep(REST_S)
    memory = {name: memory_mb(started.pid) for name, started in sorted(daemons(run_dir).items())}
    wall_s, cpu_s = ([start[column] for start in starts] for column in (0, 1))
    median_s = statistics.median(wall_s)
    lines = [
        "# Start and memory",
        "",
        f"`tests/bench/bench_start.py`, Python {platform.python_version()}, {os.cpu_count()} cores, {STARTS} starts of "
        "the orchestrator beside a simulated plant with one EVSE and no vehicle.",
        "",
        "| from the start of the process to READY | min | median | max |",
        "|---|---|---|---|",
        f"| by the clock, s | {min(wall_s):.2f} | {median_s:.2f} | {max(wall_s):.2f} |",
        f"| processor until just after it, s | {min(cpu_s):.2f} | {statistics.median(cpu_s):.2f} | {max(cpu_s):.2f} |",
        f"| in starts of a bare Python ({1e3 * bare_s:.0f} ms) | {min(wall_s) / bare_s:.0f} | "
        f"{median_s / bare_s:.0f} | {max(wall_s) / bare_s:.0f} |",
        "",
        f"Memory after {REST_S:.0f} s at rest, MB. Private: what would be free without the process. Proportional: "
        "shared pages divided among those who share them (PSS), the simulation's processes among them.",
        "",
        "| process | private | proportional | locked |",
        "|---|---|---|---|",
    ]
    for name, found in memory.items():
        private = found["Private_Dirty"] + found["Private_Clean"]
        lines.append(f"| {name} | {private:.1f} | {found['Pss']:.1f} | {found.get('Locked', 0.0):.1f} |")
    for words, names in (("orchestrator, tick and wires", GUARDING), ("all four", tuple(NAMES.values()))):
        private = sum(memory[name]["Private_Dirty"] + memory[name]["Private_Clean"] for name in names)
        lines.append(f"| {words} | {private:.1f} | {sum(memory[name]['Pss'] for name in names):.1f} | |")
    return "\n".join(lines) + "\n"


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="v2g-start-"))
    run_dir = folder / "run"
    command = Path(sys.executable).with_name("v2g-orchestrator")
    words = [command, "--simulate", "--vehicles", "0", "--foreign", "lo:strict", "--no-plc", "--run-dir", run_dir]
    simulation = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        report = measure(run_dir)
    finally:
        simulation.send_signal(signal.SIGINT)
        simulation.wait(30.0)
        shutil.rmtree(folder, ignore_errors=True)
    REPORT.write_text(report)
    print(report)


if __name__ == "__main__":
    main()
