"""The interoperability table: its cells, and the report of those that ran."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path

from support.ecog import Cell

REPORT = Path(__file__).resolve().parents[1] / "bench" / "report_interop.md"
SERVICES = ("AC", "AC_BPT", "DC", "DC_BPT")
MODES = ("scheduled", "dynamic")
CELLS = [Cell(service, mode, tls) for service in SERVICES for mode in MODES for tls in (False, True)]
KEEP = "V2G_INTEROP_REPORT"


@dataclass(frozen=True)
class Row:
    title: str
    cell: Cell
    turns: int
    session_s: float
    test_s: float


@dataclass
class Table:
    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.rows.append(row)

    def write(self) -> None:
        """Keep the report, where one was asked for and every cell ran in both directions."""
        if os.environ.get(KEEP) == "1" and len(self.rows) >= 2 * len(CELLS):
            REPORT.write_text(self.text())

    def text(self) -> str:
        lines = [
            "# The package alone against EcoG iso15118 0.31.2",
            "",
            f"Written by `{KEEP}=1 pytest -m interop`: Python {platform.python_version()}, {os.cpu_count()} cores.",
            "Turns of the charge loop are counted in our events and in the peer's log, and are the same in both.",
            "Seconds of the session are from SessionSetup to SessionStop; those of the test hold the peer's start.",
        ]
        for title in dict.fromkeys(row.title for row in self.rows):
            lines += [
                "",
                f"## {title}",
                "",
                "| service | control mode | transport | charge-loop turns | session s | test s |",
                "|---|---|---|---:|---:|---:|",
            ]
            lines += [
                f"| {row.cell.service} | {row.cell.mode} | {row.cell.transport} | {row.turns} "
                f"| {row.session_s:.1f} | {row.test_s:.1f} |"
                for row in self.rows
                if row.title == title
            ]
        return "\n".join(lines) + "\n"
