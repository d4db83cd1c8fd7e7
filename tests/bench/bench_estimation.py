"""The twenty waveform tests of the reference data over their whole sweep, and the cost of an estimate.

Run ``python tests/bench/bench_estimation.py [ROW ...]``; takes some minutes and writes ``report_estimation.md`` beside
itself (with rows named, it only prints).
"""

from __future__ import annotations

import platform
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import waveform_metering, waveform_rows
from support.waveform_judge import Conditions, Figure
from support.waveform_tests import TURN, load_limits, load_spec
from v2g.grid.estimation import Estimator
from v2g.grid.rate import PhaseJumpDetector, Rocof

SHARED_DATA = Path(__file__).resolve().parents[2] / "../shared/data"
REPORT = Path(__file__).with_name("report_estimation.md")
RATES_HZ = (3200.0, 4000.0, 6400.0, 10000.0)
SNRS_DB = (None, 80.0, 60.0)
SWEPT = Conditions(RATES_HZ, angles_rad=tuple(np.radians(np.arange(0, 360, 15))), snrs_db=SNRS_DB)
COURSE = Conditions(RATES_HZ, angles_rad=tuple(np.radians(np.arange(0, 360, 90) + 7)), snrs_db=SNRS_DB)
LONG = Conditions((3200.0,))
METERING = Conditions((3200.0, 10000.0), angles_rad=tuple(np.radians([7, 130])), snrs_db=SNRS_DB)
COURSES, LONGEST = {"W06", "W07", "W08", "W09", "W19"}, {"W20"}

HEAD = """# Estimation: the waveform tests

Python {python}, numpy {numpy}, {machine}. Written by `python tests/bench/bench_estimation.py` in {minutes:.0f} minutes.

Sweep: 3200, 4000, 6400 and 10000 Hz, f0 50 and 60 Hz, noise none, 80 dB and 60 dB. Thinned where repetition tells
nothing new: the protective estimator sees 24 initial angles, reports at 2 f0 and 0.4 s of a steady signal instead of 5
(an estimate knows of the ones before only the length of its RMS cycle); rows with a course of their own (W06-W09, W19)
4 angles, because the reports themselves sweep the angle; W20 one run at 3200 Hz. Metering: 3200 and 10000 Hz, 2 angles,
3 s of steady signals. Harmonics beyond half the sample rate are left out, as an anti-alias filter would; W15 goes
through such a filter (a 200 us notch is shorter than a sample of 3200 Hz), and without it once, told and not judged.

TVE and FE are against the truth at the report's time tag, the window's centre. RFE is that of the slope over 100 ms,
the least a rate of change is taken over, against the truth at its middle. "(as read)": the limit as the table was
found; without it, as amended. Response times without noise, which would begin and end them by chance.

Each row names its estimator. W05 asks of class M, so of metering alone; its TVE is not judged, metering reports no
phasor. W12's "FE not flagged", 0.4 Hz, is a limit of our own: half of what lies between the continuous range and the
next fast threshold.

| test | estimator | figure | no noise | 80 dB | 60 dB | limit | | worst at; reason |
|---|---|---|---:|---:|---:|---:|---|---|
"""


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def line(name: str, estimator: str, figure: Figure, reason: str) -> str:
    verdict = "told" if figure.limit is None else "pass" if figure.passes else "**fail**"
    told = figure.where if figure.passes else f"{figure.where}: {reason or 'no reason is known'}"
    worst = " | ".join(number(figure.worst.get(snr_db)) for snr_db in SNRS_DB)
    limit = "" if figure.limit is None else f"{number(figure.limit)} {figure.unit}".strip()
    return f"| {figure.row} {name} | {estimator} | {figure.name} | {worst} | {limit} | {verdict} | {told} |"


def cost_lines() -> list[str]:
    lines = ["", "| cost | p50 us |", "|---|---:|"]
    for rate_hz in (3840, 20000):
        wave = np.sqrt(2) * np.sin(2 * np.pi * 60 * np.arange(2000)[:, None] / rate_hz + TURN)
        estimator, volts, amperes = Estimator(rate_hz, 60.0, 277.0), 277 * wave, 100 * wave
        for what, given in {
            "": (volts, amperes, amperes),
            " with the inverter side": (volts, amperes, amperes, volts),
        }.items():
            taken = []
            for _ in range(4000):
                started = time.perf_counter_ns()
                found = estimator.estimate(*given)
                taken.append(time.perf_counter_ns() - started)
            lines.append(f"| estimate{what}, {rate_hz} Hz | {np.percentile(taken, 50) / 1e3:.0f} |")
    detector, rocof, taken = PhaseJumpDetector(60.0), Rocof(), []
    for i in range(4000):
        phasors = tuple((phasor * np.exp(2j * np.pi * 0.6 * i)).item() for phasor in found.v_phasor_pu)
        started = time.perf_counter_ns()
        detector.step(0.01 * i, phasors, 60.0)
        rocof.step(0.01 * i, 60.0)
        taken.append(time.perf_counter_ns() - started)
    return [*lines, f"| phase jumps and rate of change | {np.percentile(taken, 50) / 1e3:.0f} |"]


def main() -> None:
    started_s = time.monotonic()
    limits, wanted, lines, failed = load_limits(SHARED_DATA), sys.argv[1:], [], []
    for row in load_spec(SHARED_DATA)["tests"]:
        name = row["id"]
        if wanted and name not in wanted:
            continue
        conditions = COURSE if name in COURSES else LONG if name in LONGEST else SWEPT
        judged = [("protection", f) for f in waveform_rows.judge(row, limits, conditions)]
        judged += [("metering", f) for f in waveform_metering.judge(row, limits, METERING)]
        for estimator, figure in judged:
            reason = waveform_rows.REASONS.get((name, figure.name), "") if estimator == "protection" else ""
            failed += [] if figure.passes else [f"{name} {estimator} {figure.name}"]
            lines.append(line(row["name"], estimator, figure, reason))
            print(lines[-1], flush=True)
    if wanted:
        return
    head = HEAD.format(
        python=platform.python_version(), numpy=np.__version__, machine=platform.machine(),
        minutes=(time.monotonic() - started_s) / 60,
    )  # fmt: skip
    tail = [
        "",
        f"{len(lines)} figures, {len(failed)} beyond their limit, each with its reason above.",
        *cost_lines(),
        "",
    ]
    REPORT.write_text(head + "\n".join([*lines, *tail]), encoding="utf-8")
    print("\n".join(tail))


if __name__ == "__main__":
    main()
