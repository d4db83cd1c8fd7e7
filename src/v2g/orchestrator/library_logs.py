"""What libraries say by structlog and by the standard library's logging, into our logs."""

from __future__ import annotations

import logging

from v2g.telemetry import structured


def bridge_library_logs() -> None:
    """From now on. Warnings and errors of all, and what ``pyiso15118`` says of its sessions."""
    structured.configure()
    root = logging.getLogger()
    root.handlers = [structured.LibraryHandler()]
    root.setLevel(logging.WARNING)
    logging.getLogger(structured.PACKAGE).setLevel(logging.INFO)
