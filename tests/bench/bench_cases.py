"""Reference cases and recorded events through the guard's own code; writes ``report_cases.md`` beside this file.

Run ``python tests/bench/bench_cases.py [--real-time]``: all cases in injected time take about two minutes. With
``--real-time`` one of each family that lasts at most 30 s is played to the real tick process as well: some five more.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from v2g.grid import profiles
from v2g.replay.case_file import read_cases
from v2g.replay.case_settings import protection_settings, voltage_only
from v2g.replay.comtrade_file import read_comtrade
from v2g.replay.csv_file import read_csv
from v2g.replay.narrate import lines, text, verdict_text
from v2g.replay.record import ReadOptions, Record
from v2g.replay.run import Outcome, as_expected, run, run_case, verdict
from v2g.replay.stimulus import Case

ROOT = Path(__file__).resolve().parents[2]
GRID = ROOT / "../shared/data/grid"
EVENTS = GRID / "events"
REPORT = Path(__file__).with_name("report_cases.md")
REAL_TIME = ROOT / "tests/v2g/replay/test_cases_in_real_time.py"
IBERIA_S = (5570.0, 5640.0)
"""12:32:50 to 12:34:00."""
PRIMARY = ReadOptions(nominal_voltage_v=127_017.0)


@dataclass(frozen=True)
class Judged:
    case: Case
    said: dict[str, object]
    differs: str

    @property
    def margins_s(self) -> tuple[float, float] | None:
        at_s = self.said["t_s"]
        if not isinstance(at_s, float) or self.case.tmin_s is None or self.case.tmax_s is None:
            return None
        return at_s - self.case.tmin_s, self.case.tmax_s - at_s


def judge_all() -> tuple[list[Judged], float, float]:
    """Also the processor time and the time of all stimuli, s."""
    cases = read_cases(GRID / "cases.csv")
    began_s = time.process_time()
    judged = []
    for case in cases:
        outcome = run_case(case)
        judged.append(Judged(case, verdict(case, outcome), as_expected(case, outcome)))
    stimuli_s = sum(segment.d for case in cases for segment in case.segments)
    return judged, time.process_time() - began_s, stimuli_s


def smallest(judged: list[Judged], which: int) -> str:
    found = [(one.margins_s[which], one.case.id) for one in judged if one.margins_s is not None]
    return "-" if not found else "{:.3f} ({})".format(*min(found))


def family_table(judged: list[Judged]) -> Iterator[str]:
    yield "| family | cases | as expected | smallest t - tmin, s | smallest tmax - t, s |"
    yield "|---|---|---|---|---|"
    families = defaultdict(list)
    for one in judged:
        families[one.case.family].append(one)
    for name, members in sorted(families.items()):
        good = sum(not one.differs for one in members)
        yield f"| {name} | {len(members)} | {good} | {smallest(members, 0)} | {smallest(members, 1)} |"
    good = sum(not one.differs for one in judged)
    yield f"| **all** | **{len(judged)}** | **{good}** | {smallest(judged, 0)} | {smallest(judged, 1)} |"


def exceptions(judged: list[Judged]) -> Iterator[str]:
    found = [one for one in judged if one.differs]
    if not found:
        yield "None: no case is excepted."
    for one in found:
        yield f"- {one.case.id} ({one.case.family}): {one.differs}. {one.case.note}"


def told(record: Record, outcome: Outcome) -> Iterator[str]:
    yield "```"
    for line in lines(outcome, duration_s=record.stimulus.duration_s, begins=record.begins, offset_s=record.offset_s):
        yield text(line)
    yield verdict_text(outcome, record.offset_s)
    yield "```"


def iberia() -> Iterator[str]:
    record = read_csv(EVENTS / "iberia_2025-04-28_toledo_2s.csv", ReadOptions()).cut(*IBERIA_S)
    for profile in ("vde-ar-n-4105", "g99", "en50549-1"):
        grid = profiles.resolve(nominal_frequency_hz=50.0, profile=profile, confirmed=True)
        outcome = run(record.stimulus, protection_settings(grid, 0.05), keep_every=1)
        if profile == "vde-ar-n-4105":
            yield "By vde-ar-n-4105, in service at 12:32:50:"
            yield ""
            yield from (f"- {remark}" for remark in record.remarks)
            yield ""
            yield from told(record, outcome)
            dead = [step for step in outcome.steps if step.t_s + record.offset_s >= 5604.0]
            known = sum(step.frequency_hz is not None for step in dead)
            yield ""
            yield (
                f"From 12:33:24 on, when the recorder prints 47.4 down to 46.1 Hz on less than 0.021 p.u., {known} of "
                f"{len(dead)} ticks have a frequency."
            )
        else:
            yield ""
            yield f"By {profile}: {verdict_text(outcome, record.offset_s)}"


def faults() -> Iterator[str]:
    yield "| record | category II | category III |"
    yield "|---|---|---|"
    records: list[tuple[str, Record]] = [
        (path.name, read_csv(path, PRIMARY)) for path in sorted(EVENTS.glob("pow_*.csv"))
    ]
    records += [(f"xtz.cfg, {record.label}", record) for record in read_comtrade(EVENTS / "xtz.cfg", PRIMARY)]
    for name, record in records:
        said = []
        for category in ("II", "III"):
            grid = voltage_only(profiles.resolve(nominal_frequency_hz=60.0, category=category), 50.0)
            said.append(verdict_text(run(record.stimulus, protection_settings(grid, 0.05), keep_every=1)))
        yield f"| {name} | {said[0]} | {said[1]} |"


def real_time() -> Iterator[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-n", "0", "-m", "soak", str(REAL_TIME)]
    environment = os.environ | {"V2G_EVERY_FAMILY": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    cases = {case.id: case for case in read_cases(GRID / "cases.csv")}
    yield "| family | case | expected, s | command, s | contact, s | element | player's worst lateness, s |"
    yield "|---|---|---|---|---|---|---|"
    for found in re.finditer(r"(\{\"id\".*?\}) ?(.*)", done.stdout):
        seen, case = json.loads(found[1]), cases[json.loads(found[1])["id"]]
        wanted = f"{case.tmin_s:g} to {case.tmax_s:g}" if case.tmax_s is not None else "nothing"
        which = ("commanded_closed_s", "closed_s") if case.expect == "CLOSE" else ("commanded_open_s", "opened_s")
        command_s, contact_s = ("-" if seen[name] is None else f"{seen[name]:.3f}" for name in which)
        yield (
            f"| {case.family} | {case.id} | {wanted} | {command_s} | {contact_s} | {found[2] or '-'} | "
            f"{seen['worst_lateness_s']:.4f} |"
        )
    yield ""
    yield f"`{done.stdout.strip().splitlines()[-1]}`"


def main() -> int:
    judged, spent_s, stimuli_s = judge_all()
    ticks = stimuli_s * 100
    parts = [
        "# The reference cases and recorded events, replayed",
        "",
        f"By `python tests/bench/bench_cases.py`. Host: {platform.machine()}, Python {platform.python_version()}. "
        "Waveforms of 3840 samples a second, batches of 5 ms, ticks of 10 ms, a breaker of 50 ms.",
        "",
        f"{len(judged)} cases, {stimuli_s:.0f} s of waveforms, in {spent_s:.0f} s of processor time: "
        f"{spent_s / ticks * 1e6:.0f} us a tick, synthesis included.",
        "",
        *family_table(judged),
        "",
        "Times are to the parted contact, for enter service and synchronisation to the close command.",
        "",
        "## Exceptions",
        "",
        *exceptions(judged),
        "",
        "## The Iberian record, second by second",
        "",
        *iberia(),
        "",
        "## Fault records",
        "",
        "Two 220 kV stations at 50 Hz, by the voltage elements of IEEE 1547-2018 alone, nominal 127.017 kV; its "
        "frequency elements are not scaled. In ygz seg0 only phase a is dead, from the fault on; in seg2 phase a is "
        "low at first and all three are dead after the reclose.",
        "",
        *faults(),
    ]
    if "--real-time" in sys.argv:
        parts += ["", "## In real time, to the breaker's contact", "", *real_time()]
    REPORT.write_text("\n".join(parts) + "\n")
    print(REPORT.read_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
