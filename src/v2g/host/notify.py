"""What a service tells its supervisor: readiness, a status text, the watchdog (``sd_notify(3)``)."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

_READY_TIMEOUT_S = 1.0
_STATUS_MAX_CHARS = 500


class Notifier:
    """Speaks to ``$NOTIFY_SOCKET``; without one every method does nothing. No method raises or blocks for long.

    ``interval_s`` is half of ``$WATCHDOG_USEC``: call :meth:`watchdog` at least that often, and only while the
    service really does its work. It is None where no watchdog is asked for, or where it is meant for another process.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        env = os.environ if environ is None else environ
        self._socket: socket.socket | None = None
        address = env.get("NOTIFY_SOCKET", "")
        if address.startswith(("/", "@")):
            self._address = "\0" + address[1:] if address.startswith("@") else address
            with contextlib.suppress(OSError):
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.interval_s = self._watchdog_interval_s(env) if self._socket is not None else None

    @property
    def enabled(self) -> bool:
        """A supervisor listens."""
        return self._socket is not None

    def ready(self, status: str = "") -> None:
        """The service does its job from now on."""
        self._send("READY=1" + (f"\nSTATUS={_one_line(status)}" if status else ""), _READY_TIMEOUT_S)

    def status(self, text: str) -> None:
        """The line that ``systemctl status`` shows."""
        self._send(f"STATUS={_one_line(text)}", 0.0)

    def watchdog(self) -> None:
        """The service is alive."""
        self._send("WATCHDOG=1", 0.0)

    def stopping(self) -> None:
        """The service begins to end."""
        self._send("STOPPING=1", _READY_TIMEOUT_S)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str, timeout_s: float) -> None:
        if self._socket is None:
            return
        # A supervisor that is gone or slow must not take its service with it.
        with contextlib.suppress(OSError):
            self._socket.settimeout(timeout_s)
            self._socket.sendto(message.encode("utf-8", "replace"), self._address)

    @staticmethod
    def _watchdog_interval_s(env: Mapping[str, str]) -> float | None:
        if env.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            return None
        try:
            usec = int(env.get("WATCHDOG_USEC", "0"))
        except ValueError:
            return None
        return usec / 2e6 if usec > 0 else None


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_STATUS_MAX_CHARS]
