"""What it costs to keep vehicles' messages, and to write a line into a log: writes ``report_trace.md``.

    python tests/bench/bench_trace.py

Processor time of this process, so that others on the machine count little. About a minute.
"""

from __future__ import annotations

import platform
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench_sessions import processor

from pyiso15118.aio import Address
from support.fleet import parts
from v2g.orchestrator.trace_book import SessionTrace, TraceBook
from v2g.telemetry import logs

REPORT = Path(__file__).with_name("report_trace.md")
ROUNDS = 7
TURNS = 20_000
LINES = 20_000
REQUEST, RESPONSE = bytes(58), bytes(47)
"""A turn of a DC_BPT charge loop in dynamic mode, V2GTP header included."""
STATION, VEHICLE = Address("fe80::1", 50_000, 2), Address("fe80::2", 40_000, 2)


def per_call_us(count: int, work: Callable[[], None]) -> float:
    """The best of some rounds: what disturbs only adds."""
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        found.append((time.process_time() - began) / count * 1e6)
    return min(found)


def turn() -> float:
    """From a request's bytes until its events are taken and news given, without a stream."""
    parts.prepare()
    bench = parts.TurnBench()

    def turns() -> None:
        for _ in range(TURNS // 4):
            bench.turn()

    return per_call_us(TURNS // 4, turns)


def trace(book: TraceBook) -> SessionTrace:
    return book.opened("US*V2G*E1", VEHICLE, STATION, secured=True)


def kept_us(recording: bool) -> float:
    """Both pieces of a turn, in a ring that is full."""
    book = TraceBook(8, 128 * 1024)
    tap = trace(book)

    def turns() -> None:
        if recording:
            book.record("", 1e9)
        for number in range(TURNS):
            tap.bytes_seen(REQUEST, float(number), sent=False)
            tap.bytes_seen(RESPONSE, float(number), sent=True)

    return per_call_us(TURNS, turns)


def memory_kib(keep_kib: int) -> float:
    tracemalloc.start()
    book = TraceBook(8, keep_kib * 1024)
    tap = trace(book)
    before = tracemalloc.get_traced_memory()[0]
    for number in range(20_000):
        tap.bytes_seen(bytes(bytearray(REQUEST)), float(number) + 0.5, sent=False)
        tap.bytes_seen(bytes(bytearray(RESPONSE)), float(number) + 0.5, sent=True)
    found = (tracemalloc.get_traced_memory()[0] - before) / 1024
    tracemalloc.stop()
    return found


def line_costs(folder: Path) -> list[tuple[str, float]]:
    def writing(level: str, different: bool) -> float:
        logs.configure(folder, stderr=False)
        log = logs.comms_log()

        def lines() -> None:
            # Anew, so that the budget of a code is whole.
            for number in range(LINES // 100):
                if number % 2 == 0 and different:
                    logs.configure(folder, stderr=False)
                for each in range(100):
                    text = f"US*V2G*E1 / WMIV1: charging {each if different else 0}"
                    log.info("SESSION_PHASE", text, evse="US*V2G*E1", session="0A0B0C0D0E0F0A0B")

        found = per_call_us(LINES, lines)
        logs.close()
        return found

    def flood() -> float:
        logs.configure(folder, stderr=False)
        log = logs.comms_log()

        def lines() -> None:
            for each in range(LINES):
                log.info("FLOOD", f"number {each}")

        found = per_call_us(LINES, lines)
        logs.close()
        return found

    return [
        ("a line into its file", writing("info", True)),
        ("a line that repeats the one before", writing("info", False)),
        ("a line beyond its budget", flood()),
    ]


def main() -> None:
    turn_us = turn()
    ring_us, full_us = kept_us(False), kept_us(True)
    with tempfile.TemporaryDirectory() as folder:
        lines = line_costs(Path(folder))
    rows = [
        "# Keeping messages, and writing lines",
        "",
        f"{processor()}; {platform.system()} {platform.release()}; Python {platform.python_version()}. "
        "Written by `python tests/bench/bench_trace.py`. Processor time, the best of "
        f"{ROUNDS} rounds.",
        "",
        "| of one turn of the charge loop | µs | of the turn |",
        "| --- | ---: | ---: |",
        f"| the session's part: request to response and events, without a stream | {turn_us:.0f} | |",
        f"| keep both, in a full ring | {ring_us:.2f} | {ring_us / turn_us:.1%} |",
        f"| record both in full as well | {full_us:.2f} | {full_us / turn_us:.1%} |",
        "",
        "| trace.keep_kib | memory of a session, KiB |",
        "| ---: | ---: |",
        *(f"| {size} | {memory_kib(size):.0f} |" for size in (16, 128, 1024)),
        "",
        "| log | µs |",
        "| --- | ---: |",
        *(f"| {name} | {cost:.1f} |" for name, cost in lines),
        "",
    ]
    REPORT.write_text("\n".join(rows), encoding="utf-8")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
