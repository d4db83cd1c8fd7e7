"""``python tests/fuzz/fuzz.py TARGET --runs N --seconds S [--corpus DIR]``: fuzz one target, or all of them in turn.

Needs atheris (the extra ``fuzz``). Stops at the first finding, shows it with the input in hexadecimal digits, and exits
with 1; ``--replay FILE`` runs one such input again, given as bytes. Without ``--corpus`` what was learnt is forgotten.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from fuzz.targets import TARGETS

WORKER = Path(__file__).with_name("worker.py")
SOURCES = Path(__file__).resolve().parents[2] / "src"
LOOK_CLOSELY_EVERY = 64
SLOWEST_INPUT_S = 20
MOST_MEMORY_MB = 1024
HEADINGS = (
    *("target", "runs", "seconds", "exec/s", "edges from seeds", "edges at the end", "corpus", "accepted", "refused"),
    *("memory samples", "peak bytes", "moves a bit", "findings"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run came to. ``finding`` tells of the failure and its input; empty where there was none."""

    target: str
    runs: int
    seconds: float
    first_edges: int
    edges: int
    corpus: int
    seen: dict[str, float]
    finding: str

    def row(self) -> list[str]:
        """The cells of the report."""
        seen = self.seen
        return [
            *(self.target, f"{self.runs}", f"{self.seconds:.0f}", f"{self.runs / max(self.seconds, 0.1):.0f}"),
            *(f"{self.first_edges}", f"{self.edges}", f"{self.corpus}"),
            *(f"{seen.get(name, 0):.0f}" for name in ("accepted", "refused", "memory samples", "peak_bytes")),
            f"{seen['moves_per_bit']:.0f}" if seen.get("moves_per_bit") else "–",
            "1" if self.finding else "0",
        ]


def fuzz(target: str, runs: int, seconds: int, corpus: Path | None = None, replay: Path | None = None) -> Outcome:
    """Fuzz a target until it has had ``runs`` inputs, ``seconds`` have passed or something was found."""
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        learnt = home / "learnt" if corpus is None else corpus / target
        for directory in (home / "seeds", learnt):
            directory.mkdir(parents=True, exist_ok=True)
        limits = [f"-runs={runs}", f"-max_total_time={seconds}"]
        command = [
            *(sys.executable, str(WORKER), target, str(1 if replay else LOOK_CLOSELY_EVERY), str(home / "seeds")),
            *(f"-artifact_prefix={home}/", f"-timeout={SLOWEST_INPUT_S}", f"-rss_limit_mb={MOST_MEMORY_MB}"),
            *([str(replay)] if replay else [*limits, str(learnt)]),
        ]
        paths = [str(SOURCES), *filter(None, [os.environ.get("PYTHONPATH")])]
        start = time.monotonic()
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"},
            check=False,
        )
        elapsed = time.monotonic() - start
        output = done.stdout.decode(errors="replace")
        seen = home / "seen.json"
        edges = [int(number) for number in re.findall(r"^#\d+\s+\w+\s+cov: (\d+)", output, re.MULTILINE)]
        executed = re.findall(r"^#(\d+)\s", output, re.MULTILINE)
        sizes = re.findall(r" corp: (\d+)/", output)
        return Outcome(
            target=target,
            runs=int(executed[-1]) if executed else 0,
            seconds=elapsed,
            first_edges=edges[0] if edges else 0,
            edges=edges[-1] if edges else 0,
            corpus=int(sizes[-1]) if sizes else 0,
            seen=json.loads(seen.read_text()) if seen.exists() else {},
            finding=_finding(output, home) if done.returncode else "",
        )


def _finding(output: str, home: Path) -> str:
    """The end of libFuzzer's output from the failure on, and the input."""
    lines = [line for line in output.splitlines() if not re.match(r"#\d+\s|INFO: Instrumenting|0x|\\|stat::", line)]
    begin = next((number for number, line in enumerate(lines) if "Uncaught Python" in line or line[:2] == "=="), -40)
    inputs = [
        f"{artifact.name}: {artifact.read_bytes().hex()}"
        for kind in ("crash", "timeout", "oom", "slow-unit", "leak")
        for artifact in home.glob(f"{kind}-*")
    ]
    return "\n".join([*lines[begin:], *inputs])


def write_report(path: Path, outcomes: list[Outcome]) -> None:
    """Put the outcomes into the table of the report, in place of earlier ones; all else in it stays as it is."""
    lines = path.read_text().splitlines() if path.exists() else ["# Fuzzing", "", "## Figures", ""]
    first = next((number for number, line in enumerate(lines) if line.startswith("| target |")), len(lines))
    last = next((number for number, line in enumerate(lines) if number > first and line[:1] != "|"), len(lines))
    rows = {
        cells[0]: cells for line in lines[first + 2 : last] if (cells := [c.strip() for c in line.split("|")[1:-1]])
    }
    rows |= {outcome.target: outcome.row() for outcome in outcomes}
    ordered = [rows[name] for name in TARGETS if name in rows]
    made = [_line(HEADINGS), _line(["---"] * len(HEADINGS)), *map(_line, ordered)]
    path.write_text("\n".join([*lines[:first], *made, *lines[last:]]) + "\n")


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """The exit code: 0, 1 where something was found, 2 for wrong usage."""
    parser = argparse.ArgumentParser(description="Coverage-guided fuzzing of what reads a stranger's bytes.")
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("--runs", type=int, default=100_000, help="inputs for each target (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=0, help="stop a target after so many seconds (default: never)")
    parser.add_argument("--corpus", type=Path, help="keep what is learnt in DIR/TARGET and start from it")
    parser.add_argument("--report", type=Path, help="write the figures into the table of this Markdown file")
    parser.add_argument("--replay", type=Path, help="run this one input, looking closely")
    arguments = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        parser.error("atheris is not installed: pip install 'v2g-orchestrator[fuzz]'")
    about = f"Python {platform.python_version()}, atheris {importlib.metadata.version('atheris')}"
    print(f"{about}\n{_line(HEADINGS)}")
    failed = False
    for name in TARGETS if arguments.target == "all" else [arguments.target]:
        outcome = fuzz(name, arguments.runs, arguments.seconds, arguments.corpus, arguments.replay)
        print(_line(outcome.row()), flush=True)
        if outcome.finding:
            failed = True
            print(outcome.finding, flush=True)
        if arguments.report and not arguments.replay:
            write_report(arguments.report, [outcome])
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
