"""Where lines are shown beside the files: the journal, natively, or stderr; never both."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from v2g.telemetry.journal import PRIORITIES, SOCKET, Journal, is_journal
from v2g.telemetry.repeats import Line

_FACILITY = "3"
"""daemon, of syslog."""


class Console:
    """``name``: what ``journalctl -t`` finds. The journal is used where stderr is connected to it."""

    def __init__(self, name: str = "", journal_socket: Path = SOCKET) -> None:
        self._name = name or Path(sys.argv[0] if sys.argv else "").name or "v2g"
        self._journal = Journal(journal_socket) if is_journal(os.environ) else None

    @property
    def native(self) -> bool:
        """Lines go to the journal with their fields."""
        return self._journal is not None

    def journal(self, log: str, line: Line, text: str) -> bool:
        """``text``: level, code and what follows, without the time. False: it has to go to stderr, if anywhere."""
        if self._journal is None:
            return False
        fields = {
            "MESSAGE": text,
            "PRIORITY": PRIORITIES[line.level],
            "SYSLOG_FACILITY": _FACILITY,
            "SYSLOG_IDENTIFIER": self._name,
            "LOG": log,
            "CODE": line.code,
        }
        if line.evse:
            fields["EVSE"] = line.evse
        if line.session:
            fields["SESSION"] = line.session
        return self._journal.send(fields)

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()


def to_stderr(line: str, level: str = "info") -> None:
    """A line to stderr, with the priority prefix that journald reads; a closed stderr is no error."""
    prefix = f"<{PRIORITIES[level]}>" if "JOURNAL_STREAM" in os.environ else ""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{prefix}{line}\n")
        sys.stderr.flush()
