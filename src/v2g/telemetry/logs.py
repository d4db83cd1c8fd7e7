"""The four logs: ``comms.log``, ``power_quality.log``, ``audit.log`` and ``daemon.log``.

One event is one line, ``time LEVEL: CODE message key=value``. The code is the manual's literal (``SECC_TIMEOUT``), so
that it is found with grep. Writing never raises and is bounded: each code of a log has a budget (a burst of 200, then
20 a second) and the next line tells how many were left out. The audit log has no such bound here: the control server
paces each user, and bounds the lines of calls that change nothing. Its lines are chained where the process that writes
it says so (:func:`chain_audit`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, Self

import structlog

from v2g.clock import Clock, SystemClock
from v2g.telemetry.audit_file import AuditFile, AuditState
from v2g.telemetry.audit_key import HEAD_FILE, KEY_FILE
from v2g.telemetry.files import LogFile
from v2g.telemetry.lines import json_line, text_line

LOG_NAMES = ("comms", "power_quality", "audit", "daemon")

_BURST = 200.0
_RATE_HZ = 20.0
_MAX_CODES = 256
_PRIORITY = {"info": "<6>", "warning": "<4>", "error": "<3>"}


class EventLog(structlog.BoundLoggerBase):
    """One of the four logs. ``code`` is a short upper-case name, ``message`` is for people, fields are key=value."""

    def info(self, code: str, message: str = "", /, **fields: object) -> None:
        self._emit("info", code, message, fields)

    def warning(self, code: str, message: str = "", /, **fields: object) -> None:
        self._emit("warning", code, message, fields)

    def error(self, code: str, message: str = "", /, **fields: object) -> None:
        self._emit("error", code, message, fields)

    def bind(self, **fields: object) -> Self:
        """A log that adds ``fields`` to every event."""
        return super().bind(fields={**self._context.get("fields", {}), **fields})

    def _emit(self, level: str, code: str, message: str, fields: Mapping[str, object]) -> None:
        self._proxy_to_logger(level, message, code=code, fields={**self._context.get("fields", {}), **fields})


class _Budget:
    """A token bucket for each code."""

    def __init__(self) -> None:
        self._codes: dict[str, tuple[float, float, int]] = {}

    def admit(self, code: str, now_s: float) -> int | None:
        """None: leave the line out. Else how many lines of this code were left out before it."""
        if code not in self._codes and len(self._codes) >= _MAX_CODES:
            code = "*"
        tokens, last_s, left_out = self._codes.get(code, (_BURST, now_s, 0))
        tokens = min(_BURST, tokens + (now_s - last_s) * _RATE_HZ)
        if tokens < 1.0:
            self._codes[code] = (tokens, now_s, left_out + 1)
            return None
        self._codes[code] = (tokens - 1.0, now_s, 0)
        return left_out


class _Sink:
    """Where the rendered lines of one log go; the logger that structlog wraps."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.budget = _Budget()
        self.file: LogFile | None = None

    def info(self, text: str, json: str) -> None:
        self._write("info", text, json)

    def warning(self, text: str, json: str) -> None:
        self._write("warning", text, json)

    def error(self, text: str, json: str) -> None:
        self._write("error", text, json)

    def _write(self, level: str, text: str, json: str) -> None:
        with _settings.lock:
            lost = self.file is not None and not self.file.write(text, _settings.clock.monotonic_s())
            shown = _settings.stderr and (_settings.json or self.name == "daemon" or level != "info")
            if lost or shown:
                to_stderr(json if _settings.json else text, level)


class _Settings:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.clock: Clock = SystemClock()
        self.json = False
        self.stderr = True
        self.configured = False


_settings = _Settings()
_sinks = {name: _Sink(name) for name in LOG_NAMES}


def configure(log_dir: Path | None, json: bool = False, stderr: bool = True, clock: Clock | None = None) -> None:
    """Open the logs in ``log_dir`` (None: no files). Until then warnings and errors go to stderr.

    ``stderr``: the daemon log, and warnings and errors of the others, also go to stderr; with ``json`` every event
    does, as one JSON object a line. Under systemd each line carries its priority. A directory that is missing is made.
    """
    if log_dir is not None:
        # An unwritable place is told by each file's fallback, with its reason.
        with contextlib.suppress(OSError):
            log_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
    with _settings.lock:
        _settings.clock = clock or SystemClock()
        _settings.json = json
        _settings.stderr = stderr
        _settings.configured = True
        for name, sink in _sinks.items():
            if sink.file is not None:
                sink.file.close()
            sink.budget = _Budget()
            sink.file = None if log_dir is None else LogFile(log_dir / f"{name}.log", _alarm)


def chain_audit(state_dir: Path, random_bytes: Callable[[int], bytes]) -> tuple[str, ...]:
    """From now on the lines of the audit log are chained, with key and head in ``state_dir``. For the one process that
    writes it, when it is sure to be the only one. ``random_bytes``: a cryptographic source.

    What was not as it should be, in words: the chain goes on all the same.
    """
    sink = _sinks["audit"]
    with _settings.lock:
        if sink.file is None:
            return ()
        path = sink.file.path
        sink.file.close()
        chained = AuditFile(path, _alarm, _settings.clock, state_dir / KEY_FILE, state_dir / HEAD_FILE, random_bytes)
        sink.file = chained
    return chained.findings


def audit_state() -> AuditState | None:
    """Where the chain is; None: the audit log is not chained."""
    file = _sinks["audit"].file
    return file.state if isinstance(file, AuditFile) else None


def close() -> None:
    """Close the files and return to the state before :func:`configure`."""
    with _settings.lock:
        for sink in _sinks.values():
            if sink.file is not None:
                sink.file.close()
            sink.file = None
        _settings.configured = False
        _settings.json = False
        _settings.stderr = True
        _settings.clock = SystemClock()


def comms_log() -> EventLog:
    """``comms.log``: ISO 15118, Modbus, mesh and control connections."""
    return _logs["comms"]


def power_quality_log() -> EventLog:
    """``power_quality.log``: trips, refused reverse flow, harmonics."""
    return _logs["power_quality"]


def audit_log() -> EventLog:
    """``audit.log``: who asked for what, and what became of it."""
    return _logs["audit"]


def daemon_log() -> EventLog:
    """``daemon.log`` and the journal: the life of our processes."""
    return _logs["daemon"]


def to_stderr(line: str, level: str = "info") -> None:
    """A line to stderr, with the priority prefix that journald reads; a closed stderr is no error."""
    prefix = _PRIORITY[level] if "JOURNAL_STREAM" in os.environ else ""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{prefix}{line}\n")
        sys.stderr.flush()


def _alarm(reason: str) -> None:
    to_stderr(reason, "error")


def _limit(sink: _Sink, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if not _settings.configured and method == "info":
        raise structlog.DropEvent
    if sink.name == "audit":
        return event
    with _settings.lock:
        left_out = sink.budget.admit(event["code"], _settings.clock.monotonic_s())
    if left_out is None:
        raise structlog.DropEvent
    if left_out:
        event["fields"] = {**event["fields"], "left_out_before": left_out}
    return event


def _render(sink: _Sink, method: str, event: MutableMapping[str, Any]) -> tuple[tuple[str, str], dict[str, Any]]:
    args = (_settings.clock.unix_s(), method, str(event["code"]), str(event["event"]), event["fields"])
    return (text_line(*args), json_line(sink.name, *args) if _settings.json else ""), {}


_logs = {name: EventLog(sink, [_limit, _render], {}) for name, sink in _sinks.items()}
