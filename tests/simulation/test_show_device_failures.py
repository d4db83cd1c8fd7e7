"""Each Modbus fault and each interlock during a 10 kW discharge, DC and AC: what happened, how long, and the way back.

Nobody restarts a process; the order stands throughout, and power comes back by it.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.device_rows import AC_ROWS, DC_ROWS, E1, Row
from support.watched import Watched, bring_back

pytestmark = pytest.mark.soak

REPORT = Path(__file__).parents[1] / "bench" / "report_device_failures.md"
ORDER_W = -10_000.0
LEFT_OUT = [
    "winding stress beyond its limit: the plant has no transducer of it (tests/v2g/guard judges the rule);",
    "values that are no number: the plant's socket speaks JSON, which has none; what stands for them in a register is "
    "tested in tests/v2g/hardware;",
    "an AC EVSE has neither inverter nor insulation monitor nor reversion: those rows are of DC alone.",
]


class Table:
    """``known``: lines of rows that were not measured this time."""

    def __init__(self, known: str) -> None:
        rows = {row.what for row in (*DC_ROWS, *AC_ROWS)}
        lines = [line for line in known.splitlines() if line.startswith("| ")]
        self.lines = {what: line for line in lines if (what := line.split("|")[1].strip()) in rows}

    def add(self, row: Row, *cells: str) -> None:
        self.lines[row.what] = f"| {' | '.join((row.what, *cells))} |"

    def text(self) -> str:
        head = (
            "# Faults of devices, and interlocks\n\n"
            "By `pytest -m soak tests/simulation/test_show_device_failures.py`: one vehicle discharges 10 kW in the\n"
            "whole simulation when the fault comes, and the order stands. Power is what the plant measures at the\n"
            "AC terminals; zero is below 100 W, and it stayed there for 2 s while the fault lasted. Seconds count\n"
            "from the injection (a lockout's from its file, a step's of frequency from the step), those of the way\n"
            "back from the end of the fault, or from what a person did then. No process was restarted. Limits are\n"
            "sums of the design's times; 0.15 s in them is the lateness of a machine without real-time scheduling.\n"
        )
        return head + "".join(self._section(*each) for each in (("DC", DC_ROWS), ("AC", AC_ROWS))) + self._left_out()

    def _section(self, kind: str, rows: Sequence[Row]) -> str:
        return (
            f"\n## {kind}\n\n"
            "| fault | what happened | power zero after s | limit s | power at the end W | breaker, contactors "
            "| back after s | limit s | by |\n|---|---|---|---|---|---|---|---|---|\n"
            + "".join(f"{self.lines[row.what]}\n" for row in rows if row.what in self.lines)
        )

    def _left_out(self) -> str:
        return "\nLeft out:\n\n" + "".join(f"- {reason}\n" for reason in LEFT_OUT) if LEFT_OUT else ""


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    table = Table(REPORT.read_text(encoding="utf-8") if REPORT.exists() else "")
    yield table
    with contextlib.suppress(OSError):
        REPORT.write_text(table.text(), encoding="utf-8")


@pytest.fixture(scope="module")
def dc_site(simulate: Any) -> Any:
    simulation = simulate("--vehicles", "1")
    simulation.wait_for("the vehicle in its charge loop", simulation.charge_loops)
    return simulation


@pytest.fixture(scope="module")
def ac_site(simulate: Any) -> Any:
    simulation = simulate("--vehicles", "0", "--ac-vehicles", "1")
    simulation.wait_for("the vehicle in its charge loop", simulation.charge_loops)
    return simulation


def discharges(site: Any) -> bool:
    return bool(site.steady(ORDER_W))


def make_ready(site: Any) -> None:
    """-10 kW: after a row that came back they flow already."""
    if not discharges(site):
        site.command("v2g-tool", "lockout", "off", "--yes")
        site.clear()
        site.ask(do="unplug", evse_id=E1)
        bring_back(site)
    time.sleep(0.3)


def inject(watched: Watched, row: Row) -> None:
    site = watched.site
    if row.lockout:
        assert site.command("v2g-tool", "lockout", "on").returncode == 0
        written_ns = (site.run_dir / "state" / "lockout.json").stat().st_mtime_ns
        watched.begin_s = time.monotonic() - (time.time() - written_ns / 1e9)
        return
    watched.inject(row.faults)
    if any(fault["fault"] in ("frequency", "interlock") for fault in row.faults):
        watched.begin_s = site.measure().grid.last_event_at_s
    if row.idle:
        assert site.command("v2g-control", "--dispatch", "--mode=idle", "--evse", E1).returncode == 0


def goes_on(site: Any, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        assert discharges(site)
        time.sleep(0.05)


def said(watched: Watched, row: Row) -> str:
    """The EVSE's fault, else the problem or the log line in which ``row.words`` are."""
    evse, problems = watched.site.evse(E1), watched.site.status()["problems"]
    lines = [f"{code} {rest}" for _, _, code, rest in watched.lines()]
    texts = [text for text in (evse.get("fault"), *problems, *lines) if text]
    if not row.words:
        return evse.get("fault") or ""
    found = next((text for text in texts if re.search(row.words, text)), None)
    assert found, texts
    return found


def happened(watched: Watched, row: Row) -> str:
    watched.site.wait_for(f"{row.says} in the logs", lambda: set(row.says) <= {code for _, code in watched.told()}, 4.0)
    assert watched.guard().permit.name == row.permit
    assert row.bound_by in ("", *watched.bound_by())
    words = said(watched, row)
    text = watched.permit() + (f'; "{words}"' if words else "") + watched.epilogue()
    return (text + (f" ({row.note})" if row.note else "")).replace("|", "/")


def positions(site: Any, row: Row) -> str:
    measured = site.measure()
    assert measured.breaker.closed is row.breaker
    charger = measured.chargers[E1]
    if row.contactors is not None:
        site.wait_for("contactors", lambda: site.charger(E1).contactors_closed is row.contactors, 3.0)
        charger = site.charger(E1)
    words = {True: "closed", False: "open"}
    return f"{words[measured.breaker.closed]}, {words[charger.contactors_closed]}"


def repair(site: Any, row: Row) -> str:
    """End the fault, and what a person must do besides."""
    site.clear()
    match row.repair:
        case "reset":
            site.wait_for(
                "the reset", lambda: site.command("v2g-control", "trip", "reset", "--yes").returncode == 0, 5.0
            )
            return "v2g-control trip reset"
        case "unplug":
            site.ask(do="unplug", evse_id=E1)
            return "the plug out and in"
        case "lockout off":
            assert site.command("v2g-tool", "lockout", "off", "--yes").returncode == 0
            return "v2g-tool lockout off"
        case "order":
            site.command("v2g-control", "cancel", "--yes")
            site.command("v2g-control", "--dispatch", "--mode=discharge", "--power=10kW")
            return "the order again"
    return "itself"


def show(site: Any, row: Row, table: Table) -> None:
    make_ready(site)
    daemons = {name: pid for name, pid in site.pids().items() if not name.startswith("vehicle")}
    for fault in row.before:
        site.ask(do="fault", **fault)
    goes_on(site, row.before_s)
    watched = Watched(site)
    inject(watched, row)
    if row.zero is None:
        goes_on(site, row.watch_s)
        zero, zero_limit = "goes on", "none"
    else:
        zero, zero_limit = f"{watched.power_ends(row.zero.limit_s):.3f}", str(row.zero)
    what, where = happened(watched, row), positions(site, row)
    at_end_w = sum(charger.ac_w for charger in site.measure().chargers.values())
    by = repair(site, row)
    begin_s = time.monotonic()
    if row.zero is None and not row.back.parts:
        goes_on(site, 0.5)
        table.add(row, what, zero, zero_limit, f"{at_end_w:.0f}", where, "", "", "")
    else:
        if row.zero is None:
            time.sleep(0.5)
        site.wait_for("-10 kW again by the order that stands", lambda: discharges(site), row.back.limit_s + 20.0)
        back_s = time.monotonic() - begin_s
        table.add(row, what, zero, zero_limit, f"{at_end_w:.0f}", where, f"{back_s:.1f}", str(row.back), by)
        assert back_s <= row.back.limit_s
    assert daemons == {name: pid for name, pid in site.pids().items() if not name.startswith("vehicle")}


def rows(all_rows: Sequence[Row]) -> list[Any]:
    """Every third is shown at each landing; all of them take ten minutes."""
    return [
        pytest.param(row, id=row.what, marks=[pytest.mark.long] if number % 3 else [])
        for number, row in enumerate(all_rows)
    ]


@pytest.mark.parametrize("row", rows(DC_ROWS))
def test_a_fault_during_a_dc_discharge(dc_site: Any, table: Table, row: Row) -> None:
    show(dc_site, row, table)


@pytest.mark.parametrize("row", rows(AC_ROWS))
def test_a_fault_during_an_ac_discharge(ac_site: Any, table: Table, row: Row) -> None:
    show(ac_site, row, table)
