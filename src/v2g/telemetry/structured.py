"""structlog, and by it the standard library's logging, into our four logs: what libraries have to say.

``structlog.get_logger(name).warning("text", code="X", evse=…)`` is a line of ours. Without a code it is that of the
library: ``PYISO15118``, or ``LIBRARY`` with its name. Our own code asks :mod:`v2g.telemetry.logs`, which is lighter.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from importlib.machinery import ModuleSpec
from typing import Any, Final

from v2g.telemetry import logs

PACKAGE: Final = "pyiso15118"
LIBRARY: Final = "LIBRARY"


class _Without:
    """A finder by which one package is not there."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        if name.partition(".")[0] == self._package:
            raise ModuleNotFoundError(f"{name} is not wanted here", name=name)
        return None


@contextlib.contextmanager
def _without(package: str) -> Iterator[None]:
    """While it lasts, imports of ``package`` fail as if it was not installed, unless it is loaded already."""
    finder = _Without(package)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


# Its console renderer would take rich's 15 MB into a daemon that has no console.
with _without("rich"):
    import structlog


class _Outlet:
    """The logger that structlog wraps: one library's."""

    def __init__(self, name: str) -> None:
        self._library = name
        self._log = logs.comms_log() if name.partition(".")[0] == PACKAGE else logs.daemon_log()

    def info(self, text: str, **fields: Any) -> None:
        code, fields = self._coded(fields)
        self._log.info(code, text, **fields)

    def warning(self, text: str, **fields: Any) -> None:
        code, fields = self._coded(fields)
        self._log.warning(code, text, **fields)

    def error(self, text: str, **fields: Any) -> None:
        code, fields = self._coded(fields)
        self._log.error(code, text, **fields)

    msg = debug = info
    warn = warning
    critical = exception = failure = fatal = err = error

    def _coded(self, fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        code = fields.pop("code", None)
        if code:
            return str(code), fields
        if self._library.partition(".")[0] == PACKAGE:
            return PACKAGE.upper(), fields
        return LIBRARY, {**fields, "library": self._library or "unnamed"}


def _spoken(logger: object, method: str, event: MutableMapping[str, Any]) -> tuple[tuple[str], dict[str, Any]]:
    """The last processor: text and fields; of an exception its type and words."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()
    if isinstance(error, tuple):
        error = error[1]
    text = str(event.pop("event", ""))
    if isinstance(error, BaseException):
        text += f": {type(error).__name__}: {error}"
    return (text,), dict(event)


def get_logger(name: str) -> Any:
    """structlog's logger of a library."""
    return structlog.get_logger(name)


def configure() -> None:
    """From now on structlog's loggers write into our logs; those of level debug nowhere."""
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _spoken],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *names: _Outlet(str(names[0]) if names else ""),
        cache_logger_on_first_use=True,
    )


class LibraryHandler(logging.Handler):
    """Records of the standard library's logging, by structlog, into our logs."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception:  # a library's mistake in its own text is no reason to lose it
            text = f"{record.msg} {record.args!r}"
        fields = {"code": getattr(record, "code", None), "exc_info": record.exc_info}
        if evse := getattr(record, "evse", None):
            fields["evse"] = evse
        logger = get_logger(record.name)
        if record.levelno >= logging.ERROR:
            logger.error(text, **fields)
        elif record.levelno >= logging.WARNING:
            logger.warning(text, **fields)
        else:
            logger.info(text, **fields)
