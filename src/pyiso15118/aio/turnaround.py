"""How long a peer takes between a message of ours, once it is written, and its next one."""

from __future__ import annotations

from collections.abc import Callable

from pyiso15118.events import Event, MessageReceived, MessageSent

OnTurnaround = Callable[[float, str, str], None]
"""``(seconds, ours, theirs)``: names of the message that was written and of the one received after it."""


class TurnaroundClock:
    """Of one connection. Times are monotonic seconds; :meth:`look` sees the machine's events in their order."""

    __slots__ = ("_arrived_at", "_ours", "_sent", "_written_at")

    def __init__(self) -> None:
        self._arrived_at = 0.0
        self._written_at: float | None = None
        self._sent = self._ours = ""

    def arrived(self, now: float) -> None:
        """Bytes came; what they complete was received now."""
        self._arrived_at = now

    def written(self, now: float) -> None:
        """What was sent last is with the kernel now."""
        self._written_at, self._ours = now, self._sent

    def look(self, event: Event, tell: OnTurnaround | None) -> None:
        """Events of one step come before :meth:`written` of the same."""
        if isinstance(event, MessageSent):
            self._sent = event.name
        elif isinstance(event, MessageReceived) and self._written_at is not None:
            taken_s, self._written_at = self._arrived_at - self._written_at, None
            if tell is not None:
                tell(max(0.0, taken_s), self._ours, event.name)
