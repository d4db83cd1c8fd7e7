"""The four logs: ``comms.log``, ``power_quality.log``, ``audit.log`` and ``daemon.log``.

One event is one line, ``time LEVEL: CODE message key=value``. The code is the manual's literal (``SECC_TIMEOUT``), so
that it is found with grep. Under systemd each line also goes to the journal, with the fields CODE, PRIORITY, LOG, EVSE
and SESSION; elsewhere the daemon log and what is wrong go to stderr.

Writing never raises and is bounded: :mod:`v2g.telemetry.repeats` says what is counted instead of written, and how that
is told. The audit log has no such bound here: the control server paces each user, and bounds the lines of calls that
change nothing. Its lines are chained where the process that writes it says so (:func:`chain_audit`).
"""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from v2g.clock import Clock, SystemClock
from v2g.telemetry import line_counts
from v2g.telemetry.audit_file import AuditFile, AuditState
from v2g.telemetry.audit_key import HEAD_FILE, KEY_FILE
from v2g.telemetry.console import Console, to_stderr
from v2g.telemetry.files import LogFile
from v2g.telemetry.lines import body, json_line, plain_code, timestamp
from v2g.telemetry.repeats import Line, Repeats, Told

LOG_NAMES = ("comms", "power_quality", "audit", "daemon")


class EventLog:
    """One of the four logs. ``code`` is a short upper-case name, ``message`` is for people, fields are key=value.

    ``evse`` (or ``evse_id``) and ``session`` say whose the event is, in the journal too.
    """

    __slots__ = ("_fields", "_sink")

    def __init__(self, sink: _Sink, fields: Mapping[str, object]) -> None:
        self._sink = sink
        self._fields = fields

    def info(self, code: str, message: str = "", /, **fields: object) -> None:
        self._sink.emit("info", code, message, {**self._fields, **fields})

    def warning(self, code: str, message: str = "", /, **fields: object) -> None:
        self._sink.emit("warning", code, message, {**self._fields, **fields})

    def error(self, code: str, message: str = "", /, **fields: object) -> None:
        self._sink.emit("error", code, message, {**self._fields, **fields})

    def bind(self, **fields: object) -> Self:
        """A log that adds ``fields`` to every event."""
        return type(self)(self._sink, {**self._fields, **fields})


class _Sink:
    """Where the lines of one log go."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.repeats = Repeats()
        self.file: LogFile | None = None

    def emit(self, level: str, code: str, message: str, fields: Mapping[str, object]) -> None:
        if not _settings.configured and level == "info":
            return
        code = plain_code(str(code))
        line_counts.count(self.name, level, code)
        evse, session = fields.get("evse") or fields.get("evse_id"), fields.get("session")
        line = Line(
            level,
            code,
            body(level, code, str(message), fields),
            str(evse) if isinstance(evse, str) else "",
            str(session) if isinstance(session, str) else "",
            str(message),
            fields,
        )
        with _settings.lock:
            if _settings.reopen_wanted:
                _reopen_now()
            unix_s = _settings.clock.unix_s()
            if self.name == "audit":
                self.write(Told(line), unix_s)
                return
            for told in self.repeats.admit(line, _settings.clock.monotonic_s(), unix_s):
                self.write(told, unix_s)

    def write(self, told: Told, unix_s: float) -> None:
        """Under the lock."""
        line, counted = told.line, _counted(told)
        text = line.body + "".join(f" {name}={value}" for name, value in counted.items())
        whole = f"{timestamp(unix_s)} {text}"
        lost = self.file is not None and not self.file.write(whole, _settings.clock.monotonic_s())
        if _settings.console.journal(self.name, line, text):
            return
        shown = _settings.stderr and (_settings.json or self.name == "daemon" or line.level != "info")
        if not lost and not shown:
            return
        if _settings.json:
            fields = {**line.fields, **counted}
            whole = json_line(self.name, unix_s, line.level, line.code, line.message, fields)
        to_stderr(whole, line.level)


def _counted(told: Told) -> dict[str, object]:
    if not told.count:
        return {}
    name = "repeated" if told.repeated else "left_out"
    return {name: told.count, "since": timestamp(told.since_unix_s)}


class _Settings:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.clock: Clock = SystemClock()
        self.console = Console()
        self.json = False
        self.stderr = True
        self.configured = False
        self.reopen_wanted = False


_settings = _Settings()
_sinks = {name: _Sink(name) for name in LOG_NAMES}


def configure(
    log_dir: Path | None, json: bool = False, stderr: bool = True, clock: Clock | None = None, name: str = ""
) -> None:
    """Open the logs in ``log_dir`` (None: no files). Until then warnings and errors go to stderr.

    Where stderr is the journal, every event goes there. Else, with ``stderr``, the daemon log, and warnings and errors
    of the others go to stderr; with ``json`` every event does, as one JSON object a line. ``name``: of the process, in
    the journal; its program's by default. A directory that is missing is made.
    """
    if log_dir is not None:
        # An unwritable place is told by each file's fallback, with its reason.
        with contextlib.suppress(OSError):
            log_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
    with _settings.lock:
        _settings.clock = clock or SystemClock()
        _settings.console.close()
        _settings.console = Console(name)
        _settings.json = json
        _settings.stderr = stderr
        if not _settings.configured:
            atexit.register(close)
        _settings.configured = True
        for each, sink in _sinks.items():
            if sink.file is not None:
                sink.file.close()
            sink.repeats = Repeats()
            sink.file = None if log_dir is None else LogFile(log_dir / f"{each}.log", _alarm)
            if sink.file is not None:
                sink.file.relief = _relief


def reopen() -> None:
    """Open the files anew before the next line, or with the next :func:`poll`. May be called by a signal handler."""
    _settings.reopen_wanted = True


def poll() -> None:
    """Tell what was counted and is over, and reopen where that was asked for; about once a second. Never raises."""
    with _settings.lock:
        if _settings.reopen_wanted:
            _reopen_now()
        now_s = _settings.clock.monotonic_s()
        for sink in _sinks.values():
            if sink.repeats.waiting:
                for told in sink.repeats.due(now_s):
                    sink.write(told, _settings.clock.unix_s())


def problems() -> tuple[str, ...]:
    """Of the files that cannot be written now, why."""
    return tuple(sink.file.problem for sink in _sinks.values() if sink.file is not None and sink.file.problem)


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
        chained.relief = _relief
        sink.file = chained
    return chained.findings


def audit_state() -> AuditState | None:
    """Where the chain is; None: the audit log is not chained."""
    file = _sinks["audit"].file
    return file.state if isinstance(file, AuditFile) else None


def close() -> None:
    """Tell what was counted, close the files and return to the state before :func:`configure`."""
    atexit.unregister(close)
    with _settings.lock:
        for sink in _sinks.values():
            for told in sink.repeats.rest():
                sink.write(told, _settings.clock.unix_s())
            sink.repeats = Repeats()
            if sink.file is not None:
                sink.file.close()
            sink.file = None
        _settings.console.close()
        _settings.configured = False
        _settings.reopen_wanted = False
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


def _reopen_now() -> None:
    _settings.reopen_wanted = False
    for sink in _sinks.values():
        if sink.file is not None:
            sink.file.reopen()


def _alarm(reason: str) -> None:
    _tell_of_files("error", "LOG_UNWRITABLE", reason)


def _relief(text: str) -> None:
    _tell_of_files("info", "LOG_WRITABLE", text)


def _tell_of_files(level: str, code: str, text: str) -> None:
    """By every way that is open, and never by the file that it is about: its alarm would ask for us again."""
    line = Line(level, code, body(level, code, text, {}), message=text)
    unix_s = _settings.clock.unix_s()
    whole = f"{timestamp(unix_s)} {line.body}"
    if not _settings.console.journal("daemon", line, line.body):
        to_stderr(whole, level)
    file = _sinks["daemon"].file
    if file is not None and not file.problem and not text.startswith(f"{file.path}: "):
        file.write(whole, _settings.clock.monotonic_s())


_logs = {name: EventLog(sink, {}) for name, sink in _sinks.items()}
