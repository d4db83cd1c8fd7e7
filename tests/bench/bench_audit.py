"""What the audit log costs: ``python tests/bench/bench_audit.py``. Writes ``report_audit.md`` beside itself.

A line with and without its chain, a call over a real socket with both, what the thread that keeps the head costs a
writer, and how fast a log is checked.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from v2g.clock import SystemClock
from v2g.config.schema import Roles
from v2g.control import connection, messages
from v2g.control.server import ControlServer, Method, Role
from v2g.telemetry import audit_file, logs
from v2g.telemetry.audit_check import check_with_files

REPORT = Path(__file__).with_name("report_audit.md")
LINES = 20_000
CALLS = 4_000
ROUNDS = 5
CHECKED = 300_000
FIELDS = {
    "uid": 1000,
    "user": "alice",
    "pid": 4321,
    "role": "operator",
    "method": "dispatch",
    "params": '{"mode":"discharge","power_w":10000.0}',
    "result": '{"order_id":1,"mode":"discharge","requested_w":-10000.0,"granted_w":-10000.0,"duration_s":900.0}',
    "duration_ms": 0.4,
}


def opened(folder: Path, *, chained: bool) -> None:
    logs.configure(folder / "log", stderr=False)
    if chained:
        logs.chain_audit(folder, os.urandom)


def lines_us(folder: Path, *, chained: bool) -> list[float]:
    """Microseconds of each line."""
    opened(folder, chained=chained)
    log, took = logs.audit_log(), []
    for _ in range(LINES):
        began = time.perf_counter_ns()
        log.info("CALL", "", **FIELDS)
        took.append((time.perf_counter_ns() - began) / 1e3)
    logs.close()
    return took


async def calls_us(folder: Path, *, chained: bool) -> float:
    """Microseconds of a call that changes something, over its socket, audited."""
    opened(folder, chained=chained)

    async def cancel(params: messages.CancelParams, caller: Any) -> messages.CancelResult:
        return messages.CancelResult(cancelled=(1,))

    method = Method("cancel", Role.OPERATOR, messages.CancelParams, cancel)
    server = ControlServer(folder / "s", [method], Roles(), logs.audit_log().info, SystemClock())
    await server.start()
    reader, writer = await asyncio.open_unix_connection(str(folder / "s"))

    async def call(name: str, params: dict[str, Any]) -> None:
        writer.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": name, "params": params}).encode() + b"\n")
        assert b'"result"' in await reader.readline()

    await call("hello", {"client": "bench", "protocol": messages.PROTOCOL_VERSION})
    began = time.perf_counter()
    for _ in range(CALLS):
        await call("cancel", {"order_id": 1})
    took = (time.perf_counter() - began) / CALLS * 1e6
    writer.close()
    await server.close()
    logs.close()
    return took


def checked(folder: Path) -> tuple[float, float, int]:
    """Lines a second of plain files and of compressed ones, and bytes a line."""
    opened(folder, chained=True)
    for _ in range(CHECKED):
        logs.audit_log().info("CALL", "", **FIELDS)
    logs.close()
    log = folder / "log/audit.log"

    def rate() -> float:
        began = time.perf_counter()
        verdict = check_with_files(log, [folder / "audit.key"], folder / "audit.head")
        assert verdict.intact
        assert verdict.lines == CHECKED + 1
        return verdict.lines / (time.perf_counter() - began)

    size, plain = log.stat().st_size, rate()
    first, second = folder / "log/audit.log.2.gz", folder / "log/audit.log"
    whole = log.read_bytes()
    cut = whole.index(b"\n", len(whole) * 9 // 10) + 1
    first.write_bytes(gzip.compress(whole[:cut], 6))
    second.write_bytes(whole[cut:])
    return plain, rate(), size // CHECKED


def in_folder(run: Callable[[Path], Any]) -> Any:
    with tempfile.TemporaryDirectory(prefix="v2g") as name:
        return run(Path(name))


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main() -> None:
    # What is measured is a call, not the pace that keeps calls back.
    for name in ("_RATE_HZ", "_CHANGE_RATE_HZ"):
        setattr(connection, name, 1e9)
    audit_file.HEAD_EVERY_S = 2.0
    plain: list[float] = []
    chained: list[float] = []
    eager: list[float] = []
    calls: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(ROUNDS):
        plain += in_folder(lambda folder: lines_us(folder, chained=False))
        chained += in_folder(lambda folder: lines_us(folder, chained=True))
        audit_file.HEAD_EVERY_S = 0.01
        eager += in_folder(lambda folder: lines_us(folder, chained=True))
        audit_file.HEAD_EVERY_S = 2.0
        for way in calls:
            calls[way].append(in_folder(lambda folder, way=way: asyncio.run(calls_us(folder, chained=way))))
    plain_rate, zipped_rate, size = in_folder(checked)

    def row(name: str, values: list[float]) -> str:
        figures = (statistics.median(values), quantile(values, 0.99), quantile(values, 0.9999), max(values))
        return f"| {name} | " + " | ".join(f"{figure:.1f}" for figure in figures) + " |"

    full = 100_000_000 // size
    per_call = {way: statistics.median(values) for way, values in calls.items()}
    REPORT.write_text(
        f"""# What the audit log costs

By `python tests/bench/bench_audit.py`: Python {platform.python_version()}, {os.cpu_count()} cores, others working on
them; {ROUNDS} rounds of {LINES} lines in each way, one after the other.

| a line, µs | median | 99 % | 99.99 % | most |
|---|---|---|---|---|
{row("text alone", plain)}
{row("chained, head every 2 s", chained)}
{row("chained, head every 10 ms", eager)}

| a call that changes something, µs | median of {ROUNDS} |
|---|---|
| audited as text | {per_call[False]:.0f} |
| audited and chained | {per_call[True]:.0f} |

| a check (`v2g-tool audit verify`) | lines a second |
|---|---|
| text | {plain_rate:,.0f} |
| nine tenths of it compressed | {zipped_rate:,.0f} |

- A line has {size} bytes, 54 of them `seq` and `chain`.
- The third row is what keeping the head does to writers at its worst: 200 times as often as it is done. The thread
  asks for the disk (fdatasync of the log, then of the head) and writers do not, but the figures do not show that a
  write never waits in the kernel for the same file to be put there.
- A log of the size at which `etc/logrotate.d/v2g` turns it over (100 MB) is {full:,} lines, checked in
  {full / plain_rate:.1f} s; twelve older ones compressed in {12 * full / zipped_rate:.0f} s. The daemon's own check
  gives a caller 25 s, the daily one 30 minutes, in a process at niceness 15.
""",
        encoding="utf-8",
    )
    print(REPORT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
