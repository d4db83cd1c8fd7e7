"""The class check of the flickermeter over its whole tables, and what power quality costs.

Run ``python tests/bench/bench_quality.py``; takes a minute and writes ``report_quality.md`` beside itself.
"""

from __future__ import annotations

import math
import platform
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.flicker_tables import HZ, LAMPS, RECTANGLES, SEVERITY, SINES, sensation, severity
from v2g.guard.quality import Quality, QualitySettings

REPORT = Path(__file__).with_name("report_quality.md")
RATES_HZ = (3200.0, 3840.0, 10000.0)
SECONDS = 30
TURNS = -np.array([0, 2, -2]) * np.pi / 3


def sensation_line(lamp: str, nominal_hz: float, wave: str, rows: list[tuple[float, float]], rate_hz: float) -> str:
    found = [(sensation(lamp, nominal_hz, wave, hz, change, rate_hz), hz) for hz, change in rows]
    worst, hz = max(found, key=lambda pair: abs(pair[0] - 1.0))
    low, high = min(found)[0], max(found)[0]
    return (
        f"| {lamp} {nominal_hz:g} Hz | {wave} | {rate_hz:g} | {len(rows)} | {low:.3f} to {high:.3f} | "
        f"{worst:.3f} at {hz:g} Hz |"
    )


def severity_lines() -> list[str]:
    lines = []
    for lamp, nominal_hz in LAMPS:
        for changes, change_pct in SEVERITY[lamp]:
            found = [severity(lamp, nominal_hz, changes, change_pct, rate_hz, 660.0) for rate_hz in RATES_HZ]
            lines.append(
                f"| {lamp} {nominal_hz:g} Hz | {changes} | {change_pct} | "
                + " | ".join(f"{pst:.3f}" for pst in found)
                + " |"
            )
    return lines


def cost_line(rate_hz: int) -> str:
    """Everything that the process does with samples, 100 ms at a time."""
    settings = QualitySettings(nominal_voltage_v=277.0, nominal_frequency_hz=60.0, rated_feeder_a=100.0)
    quality, step, taken = Quality(settings, rate_hz, 0.0), rate_hz // 10, []
    for block in range(SECONDS * 10):
        phi = 2 * np.pi * 60.0 * (block * step + np.arange(step)) / rate_hz
        wave = math.sqrt(2) * (np.cos(phi[:, None] + TURNS) + 0.05 * np.cos(5 * (phi[:, None] + TURNS)))
        rows = np.hstack((277.0 * wave, 300.0 * wave, 80.0 * wave))
        began_s = time.process_time()
        quality.feed((block + 1) * step, (block + 1) / 10, rows)
        taken.append(time.process_time() - began_s)
    return f"| {rate_hz} | {100 * sum(taken) / SECONDS:.2f} % | {1e3 * max(taken):.1f} ms |"


def main() -> None:
    lines = [
        "# Power quality: the flickermeter's class check, and cost",
        "",
        f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}. Written by "
        "`python tests/bench/bench_quality.py`. The metering estimator's errors are in report_estimation.md.",
        "",
        "Largest instantaneous sensation for the changes of IEC 61000-4-15:2010 that are to give 1.000 (limit 8 %):",
        "",
        "| lamp | change | samples/s | rows | from, to | worst |",
        "|---|---|---:|---:|---|---|",
    ]
    for lamp, nominal_hz in LAMPS:
        for rate_hz in RATES_HZ:
            rows = list(zip(HZ, SINES[lamp], strict=True))
            lines.append(sensation_line(lamp, nominal_hz, "sine", rows, rate_hz))
            lines.append(sensation_line(lamp, nominal_hz, "rectangle", list(RECTANGLES[lamp]), rate_hz))
    lines += [
        "",
        "Pst over ten minutes of rectangular changes that are to give 1.000 (limit 5 %):",
        "",
        "| lamp | changes a minute | change % | " + " | ".join(f"{rate_hz:g}/s" for rate_hz in RATES_HZ) + " |",
        "|---|---:|---:|" + "---:|" * len(RATES_HZ),
        *severity_lines(),
        "",
        "Metering, flicker of three phases and all limits, share of one core:",
        "",
        "| samples/s | share | longest 100 ms |",
        "|---:|---:|---:|",
        *(cost_line(rate_hz) for rate_hz in (3200, 3840, 10000, 20000)),
        "",
    ]
    REPORT.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
