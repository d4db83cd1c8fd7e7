"""What metrics cost: ``python tests/bench/bench_metrics.py``.

A scrape of a site of 64 EVSEs whose vehicles discharge, beside the control cycle of the same site; and what is counted
with each charge-loop turn, beside the turn itself (request decoded, answered, events taken). Times of a processor,
alternating in one run, so that what else the machine does falls on both. Writes ``report_metrics.md`` beside itself.
"""

from __future__ import annotations

import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench_cycle import LOOP, LOOP_EVERY, Bench, Silent

from pyiso15118 import events as ev
from pyiso15118.aio.tcp_info import TcpState, tcp_state
from pyiso15118.aio.turnaround import TurnaroundClock
from support.fleet import parts
from v2g.config.schema_mesh import Heartbeat as HeartbeatConfig
from v2g.control.messages_mesh import MeshResult
from v2g.control.messages_pki import PkiStatusResult
from v2g.orchestrator.heartbeat import Heartbeat
from v2g.orchestrator.metrics_part import MetricsPart
from v2g.orchestrator.status import Daemon, build
from v2g.sessions.supervisor import SessionInfo, Sessions
from v2g.sessions.turnaround import SessionTiming, StationTiming
from v2g.telemetry import line_counts
from v2g.telemetry.metrics_text import render

REPORT = Path(__file__).with_name("report_metrics.md")
EVSES = (2, 64)
SCRAPES = 200
TURNS = 20_000
CODES = 60


def part_of(bench: Bench, folder: Path, sessions: Sessions) -> MetricsPart:
    site, clock = bench.site, bench.clock
    daemon = Daemon(started_at_s=0.0, ready=True, simulation=False)
    infos = {
        evse_id: SessionInfo(
            evse_id=evse_id,
            evccid="BENCH",
            identity=None,
            peer="",
            started_at_s=0.0,
            timing=SessionTiming(evse_id, None, sessions.timing, clock.monotonic_s, lambda *_: None),
        )
        for evse_id in site.bays
    }
    for info in infos.values():
        assert info.timing is not None
        info.timing.observe(0.2, "DC_ChargeLoopRes", "DC_ChargeLoopReq")
    return MetricsPart(
        SimpleNamespace(  # type: ignore[arg-type]
            loaded=SimpleNamespace(config=site.config),
            paths=SimpleNamespace(run_dir=folder, state_dir=folder, log_dir=folder),
            site=site,
            sessions=sessions,
            clock=clock,
            log=Silent(),
            status=lambda: build(site, infos.get, daemon, clock.monotonic_s()),
            around=SimpleNamespace(
                mesh=SimpleNamespace(result=lambda: MeshResult(problem="none")),
                credentials=SimpleNamespace(status=lambda: PkiStatusResult(profiles=())),
                chronicle=SimpleNamespace(health=bench.chronicle.health, queued_rows=0),
                heartbeat=Heartbeat(HeartbeatConfig(), Silent(), folder, clock=clock),
            ),
        )
    )


def timed(step: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds of this thread's processor."""
    began = time.thread_time()
    result = step()
    return (time.thread_time() - began) * 1e3, result


def scrapes(evses: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench = Bench(evses, folder)
        sessions = Sessions(bench.site.bays, Silent(), lambda *_: None, bench.clock)
        part = part_of(bench, folder, sessions)
        for service in ("setup", "DC", "DC_BPT", "AC_BPT"):
            for stage in ("charge_loop", "other"):
                sessions.timing.observe(service, stage, 0.2)
        for number in range(CODES):
            line_counts.count("comms", "info", f"CODE_{number}")
        cycles, pages, renders, observed = [], [], [], []
        text = b""
        for number in range(SCRAPES + 10):
            if number % LOOP_EVERY == 0:
                bench.tell(LOOP)
            decode_s, cycle_s = bench.run()
            cycles.append((decode_s + cycle_s) * 1e3)
            observed.append(timed(lambda: part.on_cycle(bench.clock.monotonic_s()))[0])
            page_ms, page = timed(part.page)
            render_ms, text = timed(lambda page=page: render(page))
            pages.append(page_ms)
            renders.append(render_ms)
        bench.chronicle.close(bench.site, bench.clock.monotonic_s())
    return {
        "cycle": statistics.median(cycles[10:]),
        "on_cycle": statistics.median(observed[10:]),
        "page": statistics.median(pages[10:]),
        "render": statistics.median(renders[10:]),
        "first": pages[0] + renders[0],
        "samples": sum(not line.startswith(b"#") for line in text.splitlines()),
        "bytes": len(text),
    }


def turns() -> dict[str, float]:
    parts.prepare()
    bench = parts.TurnBench()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        vehicle = socket.create_connection(listener.getsockname())
        stream, _ = listener.accept()

        class Connection:
            on_turnaround: Callable[[float, str, str], None] | None = None
            handshake_s = 0.03

            def round_trip(self) -> TcpState | None:
                return tcp_state(stream)

        connection, now = Connection(), [0.0]
        timing = SessionTiming("US*V2G*E1", connection, StationTiming(), lambda: now[0], lambda *_: None)
        timing.service = "DC_BPT"
        clock = TurnaroundClock()
        received = ev.MessageReceived(name="DC_ChargeLoopReq", message=None, payload=b"")
        sent = ev.MessageSent(name="DC_ChargeLoopRes", message=None, payload=b"")
        other = ev.SessionEnded(reason=ev.EndReason.STOPPED, detail="")

        def count() -> None:
            # As in one turn: what came, three events, what was written.
            now[0] += 0.2
            clock.arrived(time.monotonic())
            clock.look(received, connection.on_turnaround)
            clock.look(other, connection.on_turnaround)
            clock.look(sent, connection.on_turnaround)
            clock.written(time.monotonic())

        for _ in range(1000):
            bench.turn()
            count()
        whole, counted, overhead = [], [], []
        for _ in range(TURNS):
            began = time.perf_counter()
            bench.turn()
            turned = time.perf_counter()
            count()
            done = time.perf_counter()
            whole.append((turned - began) * 1e6)
            counted.append((done - turned) * 1e6)
            overhead.append((time.perf_counter() - done) * 1e6)
        vehicle.close()
        stream.close()
    floor = statistics.median(overhead)
    return {"turn": statistics.median(whole) - floor, "count": statistics.median(counted) - floor}


def memory_mb() -> dict[str, float]:
    """Resident, of a fresh process: with the part loaded, and after one scrape's imports."""
    code = (
        "import asyncio, ssl, msgspec, v2g.orchestrator.main\n"
        "def mb():\n"
        "    return int(open('/proc/self/statm').read().split()[1]) * 4096 / 1e6\n"
        "before = mb()\n"
        "from v2g.telemetry.metrics import Page\n"
        "from v2g.telemetry.metrics_text import render\n"
        "import v2g.orchestrator.metrics_around, v2g.orchestrator.metrics_site, v2g.orchestrator.metrics_labels\n"
        "render(Page({}))\n"
        "print(mb() - before)\n"
    )
    found = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(5)
    ]
    return {"first_scrape": statistics.median(found)}


def main() -> None:
    found = {evses: scrapes(evses) for evses in EVSES}
    turned, memory = turns(), memory_mb()
    rows = [
        ("collecting the page, in the event loop, ms", "page", "{:.2f}"),
        ("writing the text, on a thread, ms", "render", "{:.2f}"),
        ("the first scrape, both and what is imported, ms", "first", "{:.0f}"),
        ("samples", "samples", "{:.0f}"),
        ("bytes", "bytes", "{:.0f}"),
        ("control cycle of the same site, ms", "cycle", "{:.2f}"),
        ("counting a cycle, ms", "on_cycle", "{:.4f}"),
    ]
    shares = " | ".join(f"{found[n]['page'] / found[n]['cycle']:.2f}" for n in EVSES)
    lines = [
        "# What metrics cost",
        "",
        f"Python {platform.python_version()}, {platform.machine()}. Written by `python tests/bench/bench_metrics.py`: "
        f"medians of {SCRAPES} scrapes and {TURNS} turns, each beside what it is compared with, in times of a "
        "processor.",
        "",
        "| what | 2 EVSEs | 64 EVSEs |",
        "|---|---:|---:|",
        *(f"| {what} | {' | '.join(form.format(found[n][key]) for n in EVSES)} |" for what, key, form in rows),
        f"| collecting, of a control cycle | {shares} |",
        "",
        "| of one charge-loop turn | µs |",
        "|---|---:|",
        f"| request decoded, answered, events taken | {turned['turn']:.1f} |",
        f"| turnaround counted, by session and by service; the round trip once a second | {turned['count']:.2f} |",
        f"| share | {100.0 * turned['count'] / turned['turn']:.2f} % |",
        "",
        f"Memory that the first scrape costs beside the daemon's: {memory['first_scrape']:.1f} MB; none before it.",
    ]
    REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
