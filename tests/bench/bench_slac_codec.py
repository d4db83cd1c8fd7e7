"""Times the codec of powerline frames, and pyslac's in the same run where it is at hand.

    python tests/bench/bench_slac_codec.py       PEER_PYTHON=…/venv/bin/python adds pyslac

Writes ``report_slac_codec.md`` beside this file. It needs the recorded frames of ``../shared/data/slac``. Times are
CPU time of the quickest series. Beside it stands what a frame costs at least: :mod:`struct` taking it to pieces, with
nothing checked and no object made. pyslac checks neither Ethertype, length nor fixed values.
"""

from __future__ import annotations

import json
import os
import platform
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyiso15118.slac import decode_frame, encode_frame

REPORT = Path(__file__).with_name("report_slac_codec.md")
RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data" / "slac" / "frames.jsonl"
SERIES = 60
ROUNDS = 500
BARE = {
    "CM_SLAC_PARM.REQ": "<6s6s2sBHHBB8s",
    "CM_START_ATTEN_CHAR.IND": "<6s6s2sBHHBBBBB6s8s",
    "CM_MNBC_SOUND.IND": "<6s6s2sBHHBB17sB8s8x16s",
    "CM_ATTEN_PROFILE.IND": "<6s6s2sBHH6sBB58s",
    "CM_ATTEN_CHAR.IND": "<6s6s2sBHHBB6s8s17s17sBB58s",
    "CM_SLAC_MATCH.CNF": "<6s6s2sBHHBBH17s6s17s6s8s8x7sx16s",
}
PEER = """
import json, sys, time
from pyslac import messages
from pyslac.layer_2_headers import EthernetHeader, HomePlugHeader
job = json.load(sys.stdin)
kinds = {
    "CM_SLAC_PARM.REQ": messages.SlacParmReq,
    "CM_START_ATTEN_CHAR.IND": messages.StartAtennChar,
    "CM_MNBC_SOUND.IND": messages.MnbcSound,
    "CM_ATTEN_PROFILE.IND": messages.AttenProfile,
    "CM_ATTEN_CHAR.IND": messages.AtennChar,
    "CM_SLAC_MATCH.CNF": messages.MatchCnf,
}
def best(action):
    times = []
    for _ in range(job["series"]):
        start = time.process_time()
        for _ in range(job["rounds"]):
            action()
        times.append((time.process_time() - start) / job["rounds"])
    return min(times) * 1e6
answer = {}
for name, text in job["frames"].items():
    data, kind = bytes.fromhex(text), kinds[name]
    def decode():
        return EthernetHeader.from_bytes(data), HomePlugHeader.from_bytes(data), kind.from_bytes(data)
    parts = decode()
    answer[name] = {"decode": best(decode), "encode": best(lambda: b"".join(part.pack_big() for part in parts))}
json.dump(answer, sys.stdout)
"""


def best(action: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Microseconds of CPU time a call."""
    times = []
    for _ in range(SERIES):
        start = time.process_time()
        for _ in range(rounds):
            action()
        times.append((time.process_time() - start) / rounds)
    return min(times) * 1e6


def peers(frames: dict[str, bytes]) -> dict[str, Any]:
    python = os.environ.get("PEER_PYTHON")
    if not python:
        return {}
    job = {"frames": {name: data.hex() for name, data in frames.items()}, "series": SERIES, "rounds": ROUNDS}
    done = subprocess.run([python, "-c", PEER], input=json.dumps(job), capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"pyslac could not be timed: {done.stderr.strip()[-300:]}", file=sys.stderr)
        return {}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def rows(frames: dict[str, bytes]) -> list[str]:
    found = peers(frames)
    lines = []
    for name, data in frames.items():
        frame, pieces = decode_frame(data), struct.Struct(BARE[name])
        bare = best(lambda pieces=pieces, data=data: pieces.unpack_from(data))  # type: ignore[misc]
        decode = best(lambda data=data: decode_frame(data))  # type: ignore[misc]
        encode = best(lambda frame=frame: encode_frame(frame))  # type: ignore[misc]
        peer = found.get(name)
        theirs = [f"{peer['decode']:.1f}", f"{peer['encode']:.1f}"] if peer else ["not run", "not run"]
        cells = [name, str(len(data)), f"{decode:.1f}", f"{encode:.1f}", f"{bare:.2f}", *theirs]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    recorded = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    everything = [bytes.fromhex(row["hex"]) for row in recorded]
    decoded = [decode_frame(data) for data in everything]
    decode_us = best(lambda: [decode_frame(data) for data in everything], 1) / len(everything)
    encode_us = best(lambda: [encode_frame(frame) for frame in decoded], 1) / len(everything)
    firsts = {row["name"]: bytes.fromhex(row["hex"]) for row in reversed(recorded) if row["name"] in BARE}
    text = [
        "# Codec of powerline frames: microseconds a frame",
        "",
        f"`python tests/bench/bench_slac_codec.py`, Python {platform.python_version()}, {platform.machine()}, "
        f"{os.cpu_count()} cores, others working on them; CPU time of the quickest of {SERIES} series.",
        "",
        f"All {len(everything)} recorded frames: {decode_us:.1f} µs to decode ({1e6 / decode_us:,.0f} a second), "
        f"{encode_us:.1f} µs to encode ({1e6 / encode_us:,.0f} a second). 1,000 frames of noise a second are "
        f"{decode_us / 10:.1f} % of a core where all of them are decoded.",
        "",
        "| message | bytes | decode | encode | `struct` alone | pyslac decode | pyslac encode |",
        "|---|---|---|---|---|---|---|",
        *rows({name: firsts[name] for name in BARE}),
        "",
        "pyslac checks neither Ethertype, length nor fixed values, and gives attributes that can be changed; ours are",
        "checked against the layout, frozen, and written back byte by byte.",
    ]
    REPORT.write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
