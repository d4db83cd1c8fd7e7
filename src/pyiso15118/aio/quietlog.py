"""Log lines that remote peers cause, bounded in number: a peer must not fill the disk."""

from __future__ import annotations

import asyncio
import logging

log = logging.getLogger("pyiso15118")

BURST = 10
WINDOW_S = 10.0


class QuietLog:
    """At most ``BURST`` lines in ``WINDOW_S`` seconds; then one that says how many more there were. Needs a loop."""

    def __init__(self, name: str) -> None:
        """``name`` of the EVSE, which begins every line."""
        self._name = name
        self._written = 0
        self._held_back = 0
        self._last = ""
        self._window: asyncio.TimerHandle | None = None

    def note(
        self, level: int, message: str, *args: object, exc_info: BaseException | None = None, code: str | None = None
    ) -> None:
        """As ``logging.log``. ``code``: a name for grep; it is the record's ``code``, and the EVSE is its ``evse``."""
        if not log.isEnabledFor(level):
            return
        if self._window is None:
            self._window = asyncio.get_running_loop().call_later(WINDOW_S, self.flush)
        if self._written < BURST:
            self._written += 1
            extra = {"code": code, "evse": self._name}
            log.log(level, f"%s: {message}", self._name, *args, exc_info=exc_info, extra=extra)
        else:
            self._held_back += 1
            self._last = message % args if self._held_back == 1 else self._last

    def flush(self) -> None:
        """Say how many lines were held back, and begin anew."""
        if self._window is not None:
            self._window.cancel()
            self._window = None
        if self._held_back:
            text = "%s: %s … and %d more lines like these"
            log.warning(text, self._name, self._last, self._held_back - 1, extra={"evse": self._name})
        self._written = self._held_back = 0
