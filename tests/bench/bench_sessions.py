"""Sessions side by side over TLS 1.3, from one turn without a stream to 500 vehicles: writes ``report_sessions.md``.

    python tests/bench/bench_sessions.py [--quick]

The station is a process on the first core, the vehicles one on the last; the floor is a plain asyncio TLS server that
answers the same bytes with as many, under the same vehicles in the same run. Ten minutes; ``--quick`` takes two and
prints instead of writing.
"""

from __future__ import annotations

import json
import os
import platform
import ssl
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.fleet import scenarios
from support.fleet.run import cores, write_pki

REPORT = Path(__file__).with_name("report_sessions.md")
HOUR_TURNS = 64 * 4 * 3600
CONNECTS = 10_000
PATIENCE = 5
PAUSE_S = 30.0


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


def patiently(scenario: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Again after a while where the machine was too busy with other things. Raises :class:`scenarios.Void` at last."""
    for _ in range(PATIENCE):
        try:
            return scenario()
        except scenarios.Void as void:
            print(f"void, again in {PAUSE_S:g} s: {void}", flush=True)
            time.sleep(PAUSE_S)
    return scenario()


def run_all(folder: Path, quick: bool) -> dict[str, Any]:
    seconds = 5.0 if quick else 30.0
    found: dict[str, Any] = {"turnaround": scenarios.turnaround(2_000 if quick else 50_000)}
    for vehicles in (10, 500) if quick else (10, 64, 500):
        for echo in (True, False):
            name = f"{'floor' if echo else 'ours'} {vehicles}"
            found[name] = patiently(partial(scenarios.load, folder, vehicles, seconds, echo=echo))
            print(name, json.dumps(found[name]), flush=True)
    more: dict[str, Callable[[], dict[str, Any]]] = {
        "at once": lambda: scenarios.load_at_once(folder, 500, seconds),
        "costs": lambda: scenarios.costs(folder, 500, seconds),
        "join": lambda: scenarios.join(folder, 64, 64, 1.0),
        "join at once": lambda: scenarios.join(folder, 64, 64, 0.0),
        "join with a fifth": lambda: scenarios.join(folder, 64, 64, 0.0, hogs=4),
        "stop": lambda: scenarios.stop(folder, 64, (0.4, 0.4, 0.45, 0.45)),
        "stop 500": lambda: scenarios.stop(folder, 500, (0.4,)),
        "hour": lambda: scenarios.hours(folder, 64, 20_000 if quick else HOUR_TURNS),
        "churn": lambda: scenarios.churn(folder, 500 if quick else CONNECTS),
    }
    for name, scenario in more.items():
        judged = name not in ("at once", "costs")
        found[name] = patiently(partial(scenarios.fair, scenario) if judged else scenario)
        print(name, json.dumps(found[name]), flush=True)
    return found


def loads(found: dict[str, Any]) -> list[str]:
    rows = []
    for name, f in found.items():
        if name.startswith(("ours ", "floor ")):
            rows.append(
                [
                    name.split()[0], str(f["vehicles"]), f"{100 * f['cpu_share']:.1f}", f"{f['cpu_us_a_turn']:.0f}",
                    f"{f['median_ms']:.2f}", f"{f['p99_ms']:.1f}", f"{f['max_ms']:.1f}", f"{f['kb_a_vehicle']:.0f}",
                    str(f["timeouts"] + sum(f["lost"].values())), f"{f['late_p99_ms']:.1f}, {f['late_max_ms']:.1f}",
                    f"{100 * f['others_share']:.0f}",
                ]
            )  # fmt: skip
    head = ["", "vehicles", "core, %", "µs CPU a turn", "median ms", "p99 ms", "max ms", "kB a vehicle", "lost"]
    return table([*head, "generator late ms: p99, max", "others on the core, %"], rows)


def report(found: dict[str, Any]) -> str:
    ours, floor, few = found["ours 500"], found["floor 500"], found["ours 10"]
    answered, finished = found["turnaround"]["answered"], found["turnaround"]["finished"]
    costs, join, at_once = found["costs"], found["join"], found["at once"]
    hour, churn = found["hour"], found["churn"]
    quantiles = ("median_us", "p99_us", "max_us")
    own = dict(costs["own_us"])
    rest = costs["all_us"] - sum(own.values())
    named = {
        "TLS": "TLS records (OpenSSL)",
        "decode": "EXI decoding",
        "machine": "state machine, events, the owner's news",
        "encode": "EXI encoding",
        "driver": "driver, with the sending of bytes",
    }
    shares = [[named[part], f"{own[part]:.0f}", f"{100 * own[part] / costs['all_us']:.0f}"] for part in named]
    shares.append(
        ["event loop, polling, reading bytes, the owner's task", f"{rest:.0f}", f"{100 * rest / costs['all_us']:.0f}"]
    )
    lines = [
        "# Sessions: many vehicles, one process, one core",
        "",
        f"{processor()}, {os.cpu_count()} cores; Linux {platform.release()}; Python {platform.python_version()}; "
        f"{ssl.OPENSSL_VERSION}. Written by `python tests/bench/bench_sessions.py`.",
        "",
        "DC_BPT, dynamic control mode. TLS 1.3, profile strict: secp521r1, mutual. The station's process is on core "
        f"{cores()[0]}, the vehicles' on core {cores()[1]}, both before other programs. Every session is set up "
        "message by message with our EVCC; in the loop each vehicle sends its request 4 times a second, at a moment "
        "of its own, and times the response from just before sending to just after reading. Its timeout is 0.5 s, the "
        "station's too.",
        "",
        "## One turn without a stream",
        "",
        *table(
            ["from a request's bytes", "median µs", "p99 µs", "max µs"],
            [
                ["to its response's", *(f"{answered[k]:.0f}" for k in quantiles)],
                ["until events are taken and news given", *(f"{finished[k]:.0f}" for k in quantiles)],
            ],
        ),
        f"{found['turnaround']['turns']} turns.",
        "",
        "## Over TLS",
        "",
        *loads(found),
        "The floor is a plain asyncio TLS server: it answers as many bytes with as many, and knows no protocol. "
        f"Ours to the floor, 500 vehicles: processor time {ours['cpu_us_a_turn'] / floor['cpu_us_a_turn']:.1f}, "
        f"p99 {ours['p99_ms'] / floor['p99_ms']:.2f}, memory {ours['kb_a_vehicle'] / floor['kb_a_vehicle']:.2f}. "
        f"A window in which the generator sent later than {scenarios.LATE_P99_MS:g} ms (p99) or "
        f"{scenarios.LATE_MAX_MS:g} ms (at most) by its own fault is void and measured again.",
        "",
        "Processor time a session at 500 vehicles is "
        f"{ours['cpu_us_a_session_second'] / few['cpu_us_a_session_second']:.2f} times that at 10: the fewer they are, "
        "the colder are the caches at each wake-up.",
        "",
        f"All 500 at the same moment: median {at_once['median_ms']:.0f} ms, p99 {at_once['p99_ms']:.0f} ms, at most "
        f"{at_once['max_ms']:.0f} ms, {at_once['timeouts']} timeouts.",
        "",
        "## Where a turn's processor time goes",
        "",
        "500 vehicles, clocks between the parts, whose own price is in the last row "
        f"({costs['all_us']:.0f} µs a turn with them). {costs['kernel_us']:.0f} µs of all this is the kernel's.",
        "",
        *table(["part", "µs a turn", "%"], shares),
        "## Connecting, stopping, staying",
        "",
        *table(
            ["what", "p99 ms", "max ms", "vehicles' timeouts", "sessions ended"],
            [
                [name, f"{f['p99_ms']:.0f}", f"{f['max_ms']:.0f}", str(f["timeouts"]), str(sum(f["ends"].values()))]
                for name, f in (
                    ("64 in the loop while 64 connect within 1 s", join),
                    ("64 in the loop while 64 connect at the same moment", found["join at once"]),
                    ("the same, the station having a fifth of its core", found["join with a fifth"]),
                    ("64 vehicles, the process stopped twice for 0.4 s, twice for 0.45 s", found["stop"]),
                    ("500 vehicles, the process stopped for 0.4 s", found["stop 500"]),
                )
            ],
        ),
        f"The 64 that connect within a second are in the loop {join['joined_s']:.2f} s after the first of them began, "
        f"those that connect at the same moment after {found['join at once']['joined_s']:.2f} s.",
        "",
        f"64 vehicles, {hour['turns']} turns (an hour at 4 Hz is {HOUR_TURNS}; here each vehicle asks again as soon as "
        f"it is answered, which took {hour['seconds']:.0f} s): memory grew by {hour['growth_kb'] / 1024:.2f} MB, "
        f"{hour['timeouts']} timeouts, {hour['cpu_us_a_turn']:.0f} µs a turn.",
        "",
        f"{sum(churn['reasons'].values())} connects and disconnects in {churn['seconds']:.0f} s, a quarter each before "
        "TLS, after the handshake, silently in the loop and by SessionStop: memory grew by "
        f"{churn['growth_kb'] / 1024:.2f} MB over what it was after 512 to begin with, "
        f"{churn['cpu_ms_a_session']:.1f} ms of processor time a connection.",
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    quick = "--quick" in sys.argv
    with tempfile.TemporaryDirectory() as name:
        write_pki(Path(name))
        text = report(run_all(Path(name), quick))
    if not quick:
        REPORT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
