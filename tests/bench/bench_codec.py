"""Times our codec, and EXIficient in the same run where the peer's wheel and Java are at hand.

    python tests/bench/bench_codec.py            PEER_PYTHON=…/venv/bin/python adds EXIficient

Writes ``report_codec.md`` beside this file. EXIficient is reached as EcoG's stack reaches it: through py4j, JSON text
in and out. Ours goes from struct to bytes and back; a column of its own has our figures with JSON text too.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyiso15118 import exi
from pyiso15118.exi.declarations import Struct
from pyiso15118.messages import Namespace, common_types, dc
from pyiso15118.messages.jsonform import from_json, to_json

REPORT = Path(__file__).with_name("report_codec.md")
SERIES = 40
"""Many short series: the quickest is one that nothing else on the machine disturbed."""
ROUNDS = 500
PEER_ROUNDS = 10

PEER = """
import json, sys, time
from iso15118.shared.exificient_exi_codec import ExificientEXICodec
codec = ExificientEXICodec()
job = json.load(sys.stdin)
answer = {}
for name, text in job["messages"].items():
    data = codec.encode(text, job["namespace"])
    def best(action):
        times = []
        for _ in range(job["series"]):
            start = time.perf_counter()
            for _ in range(job["rounds"]):
                action()
            times.append((time.perf_counter() - start) / job["rounds"])
        return min(times) * 1e6
    best(lambda: codec.encode(text, job["namespace"]))
    best(lambda: codec.decode(data, job["namespace"]))
    answer[name] = {
        "hex": bytes(data).hex(),
        "encode": best(lambda: codec.encode(text, job["namespace"])),
        "decode": best(lambda: codec.decode(data, job["namespace"])),
    }
json.dump(answer, sys.stdout)
sys.stdout.flush()
codec.gateway.shutdown()
"""


def rational(value: float) -> common_types.RationalNumberType:
    return common_types.RationalNumberType.of(value)


def messages() -> dict[str, Struct]:
    """A turn of the bidirectional dynamic charge loop with what a vehicle and a charger usually send."""
    header = common_types.MessageHeaderType(SessionID=bytes(range(8)), TimeStamp=1_700_000_000)
    request = dc.DC_ChargeLoopReq(
        Header=header,
        DisplayParameters=common_types.DisplayParametersType(PresentSOC=50, TargetSOC=80),
        MeterInfoRequested=False,
        EVPresentVoltage=rational(400.5),
        CLReqControlMode=dc.BPT_Dynamic_DC_CLReqControlMode(
            DepartureTime=7200,
            EVTargetEnergyRequest=rational(20000),
            EVMaximumEnergyRequest=rational(30000),
            EVMinimumEnergyRequest=rational(-10000),
            EVMaximumChargePower=rational(11000),
            EVMinimumChargePower=rational(0),
            EVMaximumChargeCurrent=rational(30),
            EVMaximumVoltage=rational(450),
            EVMinimumVoltage=rational(300),
            EVMaximumDischargePower=rational(11000),
            EVMinimumDischargePower=rational(0),
            EVMaximumDischargeCurrent=rational(30),
        ),
    )
    response = dc.DC_ChargeLoopRes(
        Header=header,
        ResponseCode=common_types.responseCodeType.OK,
        EVSEPresentCurrent=rational(-25.5),
        EVSEPresentVoltage=rational(400.4),
        EVSEPowerLimitAchieved=False,
        EVSECurrentLimitAchieved=False,
        EVSEVoltageLimitAchieved=False,
        CLResControlMode=dc.BPT_Dynamic_DC_CLResControlMode(
            EVSEMaximumChargePower=rational(11000),
            EVSEMinimumChargePower=rational(0),
            EVSEMaximumChargeCurrent=rational(30),
            EVSEMaximumVoltage=rational(450),
            EVSEMaximumDischargePower=rational(11000),
            EVSEMinimumDischargePower=rational(0),
            EVSEMaximumDischargeCurrent=rational(30),
            EVSEMinimumVoltage=rational(300),
        ),
    )
    return {"DC_ChargeLoopReq": request, "DC_ChargeLoopRes": response}


def best(actions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Microseconds of each action's quickest series; the actions take turns, so that all see the machine at rest."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(SERIES):
        for name, action in actions.items():
            start = time.perf_counter()
            for _ in range(ROUNDS):
                action()
            times[name].append((time.perf_counter() - start) / ROUNDS)
    return {name: min(series) * 1e6 for name, series in times.items()}


def ours(message: Struct) -> dict[str, Any]:
    data = exi.encode(message)
    text = json.dumps(to_json(message))
    actions: dict[str, Callable[[], object]] = {
        "encode": lambda: exi.encode(message),
        "decode": lambda: exi.decode(Namespace.DC, data),
        "encode_json": lambda: exi.encode(from_json(Namespace.DC, json.loads(text))),
        "decode_json": lambda: json.dumps(to_json(exi.decode(Namespace.DC, data))),
    }
    return {"hex": data.hex(), **best(actions)}


def peers(found: dict[str, Struct]) -> dict[str, Any] | None:
    python = os.environ.get("PEER_PYTHON")
    if not python:
        return None
    job = {
        "namespace": Namespace.DC.value,
        "series": SERIES,
        "rounds": PEER_ROUNDS,
        "messages": {name: json.dumps(to_json(message)) for name, message in found.items()},
    }
    done = subprocess.run([python, "-c", PEER], input=json.dumps(job), capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"EXIficient could not be timed: {done.stderr.strip()[-300:]}", file=sys.stderr)
        return None
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def report(own: dict[str, dict[str, Any]], peer: dict[str, Any] | None) -> str:
    lines = [
        "# EXI codec: microseconds a message",
        "",
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores; quickest of {SERIES} "
        f"series of {ROUNDS} (ours) and {PEER_ROUNDS} (EXIficient) calls. DC_BPT, dynamic control mode.",
        "",
        "| message | bytes | | ours | ours, JSON text in and out | EXIficient over py4j | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, figures in own.items():
        for way in ("encode", "decode"):
            cells = [name, str(len(figures["hex"]) // 2), way, f"{figures[way]:.1f}", f"{figures[way + '_json']:.1f}"]
            if peer is None:
                cells += ["not run", ""]
            else:
                cells += [f"{peer[name][way]:.0f}", f"{peer[name][way] / figures[way]:.0f}"]
            lines.append(f"| {' | '.join(cells)} |")
    if peer is not None:
        same = all(peer[name]["hex"] == figures["hex"] for name, figures in own.items())
        lines += ["", f"Both codecs wrote {'the same bytes' if same else 'DIFFERENT BYTES'}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    found = messages()
    exi.prepare(Namespace.DC)
    text = report({name: ours(message) for name, message in found.items()}, peers(found))
    REPORT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
