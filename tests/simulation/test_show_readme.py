"""The five steps of README.md, as a new user types them: each command as it stands there, beside what it says there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.soak

README = Path(__file__).resolve().parents[2] / "README.md"
SECTION = "## Five steps"
ELLIPSIS = "…"
COMMAND_S = 60.0
NUMBER = re.compile(r"\d[\d.,:T+-]*")


def steps() -> list[tuple[str, list[str]]]:
    """Each command of the section with the lines that it prints there."""
    text = README.read_text(encoding="utf-8").split(f"\n{SECTION}\n", 1)[1].split("\n## ", 1)[0]
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found


def pattern_of(line: str, run_dir: Path) -> str:
    """A line of the transcript: words as they are, numbers any, gaps as wide as columns make them."""
    parts = re.split(r"(\d[\d.,:T+-]*|sim/| +)", line.rstrip())
    numbers = r"[-+−]?\d[\d.,:T+-]*"
    as_written = {"sim/": rf"(?:{re.escape(str(run_dir))}|sim)/"}
    return "".join(
        as_written.get(part) or (numbers if NUMBER.fullmatch(part) else " +" if part.isspace() else re.escape(part))
        for part in parts
    )


def matches(printed: str, transcript: list[str], run_dir: Path) -> str | None:
    """None, or the first line of ``transcript`` that is not there in its turn. ``…`` stands for any lines."""
    lines = [line.rstrip() for line in printed.splitlines()]
    at, skipping = 0, False
    for is_gap, group in groupby(transcript, lambda line: line == ELLIPSIS):
        if is_gap:
            skipping = True
            continue
        for wanted in group:
            pattern = re.compile(pattern_of(wanted, run_dir))
            places = range(at, len(lines)) if skipping else range(at, min(at + 1, len(lines)))
            place = next((number for number in places if pattern.fullmatch(lines[number])), None)
            if place is None:
                return wanted
            at, skipping = place + 1, False
    return None if skipping or at == len(lines) else f"(nothing), but there is more: {lines[at]}"


@pytest.fixture(scope="module")
def site(simulate: Any) -> Any:
    simulation = simulate("--est")
    simulation.wait_for("both vehicles in the charge loop", lambda: simulation.charge_loops())
    return simulation


def test_the_five_steps_print_what_the_readme_says(site: Any, tmp_path: Path) -> None:
    (tmp_path / "sim").symlink_to(site.run_dir)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "V2G_CONFIG": str(site.run_dir / "etc"),
        "V2G_SOCKET": str(site.run_dir / "control.sock"),
    }
    found = steps()
    assert len(found) >= 9
    for command, transcript in found:
        if "status" in command and "discharging" in " ".join(transcript):
            site.wait_for("10 kW out of the vehicles", lambda: site.steady(-10_000.0), 15.0)
        if "calibrate-pll" in command:
            site.wait_for("no power", lambda: abs(site.measure().ac_w) < 50.0, 15.0)
        run = subprocess.run(
            ["bash", "-c", command], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=COMMAND_S
        )
        assert run.returncode == 0, f"$ {command}\n{run.stdout}{run.stderr}"
        missing = matches(run.stdout, transcript, site.run_dir)
        assert missing is None, f"$ {command}\n{run.stdout}\nREADME has here: {missing}"


def test_the_manuals_own_spellings_are_among_them() -> None:
    commands = " ; ".join(command for command, _ in steps())
    for words in (
        "v2g-tool --set-harmonic-filter --threshold=0.03",
        "v2g-cert-manager --provision --ca-bundle=",
        "v2g-control --dispatch --mode=discharge --power=10kW",
        "v2g-config --min-soc 30",
    ):
        assert words in commands


@pytest.mark.parametrize(
    ("printed", "transcript", "missing"),
    [
        ("a 1\nb 2.5 kW\nc\n", ["a 7", "b 3.9 kW", "c"], None),
        ("a\nx\ny\nb\n", ["a", ELLIPSIS, "b"], None),
        ("a\nx\n", ["a", ELLIPSIS], None),
        ("a\nx\n", ["a"], "(nothing), but there is more: x"),
        ("a\nx\n", ["a", "y"], "y"),
        ("b\na\n", [ELLIPSIS, "a", "b"], "b"),
        ("", ["a"], "a"),
        ("kept in /r/etc/x\n", ["kept in sim/etc/x"], None),
    ],
)
def test_a_transcript_that_differs_is_found(printed: str, transcript: list[str], missing: str | None) -> None:
    assert matches(printed, transcript, Path("/r")) == missing
