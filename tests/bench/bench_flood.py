"""Whether orders without end hold up the control cycle: ``python tests/bench/bench_flood.py``.

It writes ``report_flood.md`` beside itself.

The whole daemon runs here with 32 EVSEs; another process dispatches on as many connections as one user may have, as
fast as it is answered. Measured is when each control cycle begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec

from support.role_policy import whole_daemon
from v2g.clock import SystemClock
from v2g.config.schema import Config
from v2g.control import connection, messages
from v2g.control.server import MAX_CLIENTS_OF_ONE_USER
from v2g.orchestrator.cycle import PERIOD_S, ControlCycle
from v2g.telemetry import logs

REPORT = Path(__file__).with_name("report_flood.md")
EVSES = 32
SECONDS = 15.0
WARM_UP_S = 2.0
WAYS = {
    "nobody calls": (None, None),
    "10,000 status a second wanted": ("status", None),
    "dispatch, 10 a second (as it is)": ("dispatch", None),
    "dispatch, 100 a second (pace of all calls alone)": ("dispatch", 1e9),
    "dispatch, no pace at all": ("dispatch", 1e9),
}


def config() -> Config:
    def evse(number: int) -> dict[str, object]:
        port = 40_000 + number
        modbus = {"modbus": {"host": "127.0.0.1", "port": 1}}
        ports = {"sdp_port": port, "tcp_port": port}
        return {"id": f"US*V2G*E{number}", "kind": "DC", "interface": "lo", "tls": "plain", **ports,
                "inverter": modbus, "dc": modbus}  # fmt: skip

    return msgspec.convert(
        {
            "site": {"id": "flood"},
            "transformer": {"id": "T1", "rated_kva": 1000.0},
            "grid": {"nominal_voltage_v": 277.0},
            "pki": {"allow_plain": True},
            "dispatch": {"default_mode": "idle", "planning": {"enabled": False}},
            "evses": [evse(number) for number in range(1, EVSES + 1)],
        },
        type=Config,
    )


def flood(path: str, method: str, answered: object) -> None:
    """Call for ever on every connection that one user may have."""
    params = {"mode": "charge", "power_w": 5000.0} if method == "dispatch" else {}

    async def one() -> None:
        reader, writer = await asyncio.open_unix_connection(path, limit=1 << 22)

        async def call(name: str, of: dict[str, object]) -> None:
            body = {"jsonrpc": "2.0", "id": 1, "method": name, "params": of}
            writer.write(json.dumps(body).encode() + b"\n")
            await reader.readline()
            answered.value += 1  # type: ignore[attr-defined]

        await call("hello", {"client": "flood", "protocol": messages.PROTOCOL_VERSION})
        while True:
            await call(method, params)

    async def all_of_them() -> None:
        await asyncio.gather(*(one() for _ in range(MAX_CLIENTS_OF_ONE_USER)))

    with contextlib.suppress(OSError, KeyboardInterrupt):
        asyncio.run(all_of_them())


async def cycles(method: str | None, rate_hz: float | None, no_pace: bool) -> tuple[list[float], float, float]:
    """How late each cycle began, in ms, calls answered a second, and the share of a core that this process took."""
    connection._CHANGE_RATE_HZ = rate_hz or 10.0
    connection._RATE_HZ = 1e9 if no_pace else 100.0
    begun: list[float] = []
    run_once = ControlCycle.run_once

    def noted(self: ControlCycle) -> bool:
        begun.append(time.monotonic())
        return run_once(self)

    ControlCycle.run_once = noted  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory(prefix="v2g") as folder:
            logs.configure(Path(folder) / "log", stderr=False)
            daemon = whole_daemon(config(), folder, SystemClock())
            task = asyncio.create_task(daemon.main())
            path = Path(folder) / "control.sock"
            while len(begun) < 4:
                await asyncio.sleep(0.05)
            context = multiprocessing.get_context("spawn")
            answered = context.Value("Q", 0)
            other = context.Process(target=flood, args=(str(path), method, answered), daemon=True)
            if method is not None:
                other.start()
                await asyncio.sleep(WARM_UP_S)
            begun.clear()
            gc.collect()
            before, cpu_s = answered.value, time.process_time()
            await asyncio.sleep(SECONDS)
            rate, share = (answered.value - before) / SECONDS, (time.process_time() - cpu_s) / SECONDS
            if method is not None:
                other.terminate()
                other.join()
            late = [1e3 * (after - first - PERIOD_S) for first, after in itertools.pairwise(begun)]
            daemon.stop()
            await task
            logs.close()
    finally:
        ControlCycle.run_once = run_once  # type: ignore[method-assign]
    return late, rate, share


def main() -> None:
    rows = []
    for name, (method, rate_hz) in WAYS.items():
        late, rate, share = asyncio.run(cycles(method, rate_hz, name.endswith("at all")))
        worst = sorted(abs(each) for each in late)
        spread = f"{statistics.median(worst):.1f} | {worst[int(0.95 * len(worst))]:.1f} | {worst[-1]:.1f}"
        rows.append(f"| {name} | {rate:.0f} | {len(late)} | {spread} | {100 * share:.0f} % |")
        print(rows[-1], flush=True)
    table = "\n".join(rows)
    REPORT.write_text(
        f"""# A flood of calls beside the control cycle

By `python tests/bench/bench_flood.py`: Python {platform.python_version()}, {os.cpu_count()} cores, others working on
them; {EVSES} EVSEs, no vehicles; {MAX_CLIENTS_OF_ONE_USER} connections of one user in another process, {SECONDS:.0f} s
each. A cycle is due every {1e3 * PERIOD_S:.0f} ms; *off* is by how much the time between two was not that.

| | answered a second | cycles | off, median ms | 95 % | most | a core |
|---|---|---|---|---|---|---|
{table}
""",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
