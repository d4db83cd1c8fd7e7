"""The report of EcoG's stack on our codec and on its own."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path

from support.josev_pair import Session

REPORT = Path(__file__).resolve().parents[1] / "bench" / "report_josev.md"
KEEP = "V2G_JOSEV_REPORT"
SESSIONS = 7
"""Of the other tests of tests/interop/test_josev_codec.py."""

MEASURED: dict[str, Callable[[Session], float]] = {
    "codec, wall: two encodings, two decodings (median)": Session.codec_ms,
    "… (fastest tenth)": lambda session: session.codec_ms(0.1),
    "the pair, wall: request to next request (median)": Session.pair_ms,
    "… (fastest tenth) ": lambda session: session.pair_ms(0.1),
    "CPU, both Python processes (mean)": lambda session: session.cpu_ms("own_s"),
    "CPU, both Java processes (mean)": lambda session: session.cpu_ms("java_s"),
    "CPU, all (mean)": lambda session: session.cpu_ms("own_s", "java_s"),
}


def write(ours: Session, theirs: Session, attempts: int, others: list[tuple[str, Session]]) -> None:
    """Keep the report, where one was asked for and every other session ran."""
    if os.environ.get(KEEP) == "1" and len(others) >= SESSIONS:
        REPORT.write_text(text(ours, theirs, attempts, others))


def text(ours: Session, theirs: Session, attempts: int, others: list[tuple[str, Session]]) -> str:
    lines = [
        "# EcoG iso15118 0.31.2 on pyiso15118.josev.Codec",
        "",
        f"Written by `{KEEP}=1 pytest -m interop tests/interop/test_josev_codec.py`:"
        f" Python {platform.python_version()}, {os.cpu_count()} cores.",
        "EcoG's EVCC at EcoG's SECC, each in a netns of its own; no delay between turns of the charge loop.",
        "",
        f"## One charge-loop pair: {ours.cell}",
        "",
        "Request and response, in ms, measured in the processes themselves; one session ran after the other. Where the",
        "machine has other work, CPU time and the fastest tenth say most.",
        "Java with `-XX:TieredStopAtLevel=1 -XX:+UseSerialGC`, which takes half the CPU time of its defaults here.",
        "",
        "| | our codec | EcoG's codec (EXIficient 1.55) | ratio |",
        "|---|---:|---:|---:|",
        f"| pairs | {ours.pairs} | {theirs.pairs} | |",
    ]
    for name, measure in MEASURED.items():
        mine, other = measure(ours), measure(theirs)
        lines.append(f"| {name.strip()} | {mine:.2f} | {other:.2f} | {f'{other / mine:.0f}' if mine else ''} |")
    lines += [
        "",
        f"EcoG's codec came through at attempt {attempts}: on a busy machine its Java halts for longer than the stack",
        "waits for an answer, and the session fails.",
        "",
        "The processes on our codec had an empty folder for a PATH, started no other program (so says an audit hook",
        "that is older than the first import of the stack) and never loaded py4j's gateway. Their PYTHONPATH held this",
        "package and msgspec.",
        "",
        "## Sessions to SessionStopRes",
        "",
        "| vehicle's and station's codec | service, mode, transport | pairs | signed fragments encoded |",
        "|---|---|---:|---|",
    ]
    for codecs, session in [("ours, ours", ours), ("EcoG's, EcoG's", theirs), *others]:
        signed = [f"{side} {', '.join(names)}" for side, names in session.signed().items() if names]
        lines.append(f"| {codecs} | {session.cell} | {session.pairs} | {'; '.join(signed) or 'none'} |")
    return "\n".join(lines) + "\n"
