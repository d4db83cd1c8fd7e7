"""What libraries say by the standard library's logging, into our logs."""

from __future__ import annotations

import logging

from v2g.telemetry import logs


class _LibraryHandler(logging.Handler):
    """Records of the standard library's logging into our logs."""

    def emit(self, record: logging.LogRecord) -> None:
        log = logs.comms_log() if record.name.startswith("pyiso15118") else logs.daemon_log()
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        code = getattr(record, "code", None) or record.name.split(".")[0].upper()
        if record.levelno >= logging.ERROR:
            log.error(code, text)
        elif record.levelno >= logging.WARNING:
            log.warning(code, text)
        else:
            log.info(code, text)


def bridge_library_logs() -> None:
    """From now on. Warnings and errors of all, and what ``pyiso15118`` says of its sessions."""
    root = logging.getLogger()
    root.handlers = [_LibraryHandler()]
    root.setLevel(logging.WARNING)
    logging.getLogger("pyiso15118").setLevel(logging.INFO)
