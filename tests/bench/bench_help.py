"""What each ``--help`` costs, beside a Python that does nothing: ``python tests/bench/bench_help.py``.

Writes ``report_help.md`` beside itself. Processor time, the least of several runs: what else runs on the host adds to
every other figure.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from v2g.cli.programs import PROGRAMS, every_command

REPORT = Path(__file__).with_name("report_help.md")
RUNS = 3
LIMIT_S = 0.25


def least_s(*command: str) -> float:
    """Of :data:`RUNS` runs."""
    took = []
    for _ in range(RUNS):
        before_s = spent_s()
        subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, check=True)
        took.append(spent_s() - before_s)
    return min(took)


def spent_s() -> float:
    """Processor time of all processes that were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    nothing_s = least_s("-c", "pass")
    rows = []
    for program in PROGRAMS:
        rows.append((f"{program.name} --help", least_s("-m", program.module, "--help")))
    verbs = [found for found in every_command() if len(found.words) == 2]
    modules = {program.name: program.module for program in PROGRAMS}
    for found in verbs:
        rows.append((f"{found.name} --help", least_s("-m", modules[found.words[0]], found.words[1], "--help")))
    rows.sort(key=lambda row: -row[1])
    late = [name for name, took_s in rows if took_s > LIMIT_S]
    lines = "\n".join(f"| `{name}` | {took_s:.3f} | {took_s / nothing_s:.1f} |" for name, took_s in rows)
    verdict = f"Above it: {', '.join(late)}." if late else "None is above it."
    REPORT.write_text(
        f"""# What a command's help costs

By `python tests/bench/bench_help.py`, on {os.cpu_count()} processors: processor time, the least of {RUNS} runs;
`python -c pass` takes {nothing_s:.3f} s. Wanted: below {LIMIT_S:g} s. {verdict}

| command | processor, s | times `python -c pass` |
|---|---|---|
{lines}
"""
    )
    print(f"slowest {rows[0][0]}: {rows[0][1]:.3f} s, {rows[0][1] / nothing_s:.1f} times python -c pass")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
