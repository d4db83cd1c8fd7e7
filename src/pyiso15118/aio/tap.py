"""Who wants to see the bytes of sessions: V2GTP as it is above TLS, and discovery's datagrams."""

from __future__ import annotations

from typing import Protocol

from pyiso15118.aio.network import Address


class Tap(Protocol):
    """Of one connection. Called within the event loop for each piece of the stream: it must be quick.

    One that raises is told in the log and called no more; the session goes on.
    """

    def bytes_seen(self, data: bytes, at: float, *, sent: bool) -> None:
        """``data`` was received, or ``sent``, at ``at`` (monotonic, s)."""

    def ended(self, session_id: bytes) -> None:
        """The connection is over; ``session_id`` is zeros where no session was set up."""


class Tracer(Protocol):
    """Of a station."""

    def opened(self, evse_id: str, vehicle: Address, station: Address, *, secured: bool) -> Tap | None:
        """A vehicle's connection is about to move bytes; None: nobody wants to see them."""

    def discovered(self, evse_id: str, vehicle: Address, request: bytes, response: bytes, at: float) -> None:
        """An SDP request was answered."""
