"""One vehicle of the load generator: TLS over a plain socket, a true session up to the loop, prepared bytes in it."""

from __future__ import annotations

import socket
import ssl
from typing import Protocol

from support.fleet import parts

READ_BYTES = 65_536
TIMEOUT_S = 0.5
"""What a vehicle grants a charge-loop response."""
HEADER_BYTES = 8


class Fleet(Protocol):
    """What a vehicle needs of those who drive it."""

    period_s: float
    echo: tuple[bytes, int] | None

    def phase(self) -> float: ...
    def at(self, when: float, what: Vehicle) -> None: ...
    def in_loop(self, vehicle: Vehicle, now: float) -> None: ...
    def sent(self, vehicle: Vehicle, late_s: float | None) -> None: ...
    def answered(self, vehicle: Vehicle, took_s: float, now: float) -> bool: ...
    def timed_out(self, vehicle: Vehicle) -> None: ...
    def over(self, vehicle: Vehicle, why: str) -> None: ...


class Vehicle:
    """Connects at once. ``loops``: turns after which it stops of itself, on its machine all the way; None: stays."""

    __slots__ = (
        "awaiting", "closed", "connected", "due", "fd", "fleet", "group", "incoming", "last_response", "loops",
        "outgoing", "port", "quits", "received", "request", "secured", "sent_at", "session", "slot_missed", "sock",
        "tls", "wake_at",
    )  # fmt: skip

    def __init__(
        self, fleet: Fleet, port: int, context: ssl.SSLContext, group: str = "", *, loops: int | None = None,
        quits: str = "",
    ) -> None:  # fmt: skip
        self.fleet = fleet
        self.port = port
        self.group = group
        self.loops = loops
        self.quits = quits
        self.sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        self.fd = self.sock.fileno()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.connect_ex(("::1", port))
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)
        self.connected = self.secured = self.closed = False
        self.session: parts.VehicleSession | None = None
        self.request = b""
        self.last_response = b""
        self.received = bytearray()
        self.awaiting = self.slot_missed = False
        self.sent_at = self.due = 0.0
        self.wake_at: float | None = None

    # ---- from the poll ----

    def writable(self, now: float) -> None:
        """The connection stands, or never will."""
        self.connected = True
        error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self.close(f"connect: errno {error}")
        elif self.quits == "tcp":
            self.close("quit")
        else:
            self._handshake(now)

    def readable(self, now: float) -> None:
        try:
            data = self.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(f"lost: {error.strerror}")
            return
        if not data:
            self.close("lost: end of stream")
            return
        self.incoming.write(data)
        if not self.secured:
            self._handshake(now)
        if self.secured and not self.closed:
            self._read(now)

    # ---- from the agenda ----

    def wake(self, now: float) -> None:
        """A slot of the loop, the end of a response's time, or the machine's timer."""
        self.wake_at = None
        if self.closed:
            return
        if not self.request:
            if self.session is not None:
                self.session.machine.handle_timer(now)
                self._speak(now)
        elif not self.awaiting:
            if now >= self.due:
                self._send_request(now, now - self.due)
            else:
                self._plan(self.due)
        elif now - self.sent_at >= TIMEOUT_S:
            self.fleet.timed_out(self)
            self.close("timed out")
        else:
            self.slot_missed = self.slot_missed or now >= self.due
            self._plan(self.sent_at + TIMEOUT_S)

    def reschedule(self, at: float) -> None:
        """Move the schedule: a slot lies at ``at``."""
        self.due = at
        self._plan(at)

    def close(self, why: str) -> None:
        if not self.closed:
            self.closed = True
            self.sock.close()
            self.fleet.over(self, why)

    # ---- within ----

    def _handshake(self, now: float) -> None:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self.close(f"TLS: {error.reason}")
            return
        self._flush()
        if self.closed:
            return
        self.secured = True
        if self.quits == "tls":
            self.close("quit")
        elif self.fleet.echo is not None:
            self._begin_loop(self.fleet.echo[0], now)
        else:
            self.session = parts.VehicleSession(now, self.loops)
            self._speak(now)

    def _read(self, now: float) -> None:
        tls, received = self.tls, self.received
        try:
            while True:
                data = tls.read(READ_BYTES)
                if not data:
                    self.close("closed by the station")
                    return
                received += data
                if not tls.pending() and not self.incoming.pending:
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.close(f"TLS: {error.reason}")
            return
        if not self.request:
            assert self.session is not None
            self.session.machine.receive_data(bytes(received), now)
            received.clear()
            self._speak(now)
        elif self._is_whole(received):
            self.last_response = bytes(received)
            received.clear()
            took_s, self.awaiting = now - self.sent_at, False
            if self.fleet.answered(self, took_s, now) or self.slot_missed:
                self.slot_missed = False
                self._send_request(now, None)

    def _is_whole(self, received: bytearray) -> bool:
        if self.fleet.echo is not None:
            return len(received) >= self.fleet.echo[1]
        return len(received) >= HEADER_BYTES and len(received) >= HEADER_BYTES + int.from_bytes(received[4:8], "big")

    def _speak(self, now: float) -> None:
        """What the machine wants sent; in the loop its request is kept and sent again and again from here on."""
        session = self.session
        assert session is not None
        for frame in session.frames(now):
            if session.charging and self.loops is None:
                self._begin_loop(frame, now)
                return
            self._write(frame)
        if self.closed:
            return
        if session.end is not None:
            self.close(session.end)
        elif self.quits == "session" and session.charging:
            self.close("quit")
        elif (deadline := session.machine.next_deadline()) is not None:
            self._plan(deadline)

    def _begin_loop(self, request: bytes, now: float) -> None:
        self.request, self.session = request, None
        self.due = now - self.fleet.phase() * self.fleet.period_s
        self._send_request(now, None)
        if not self.closed:
            self.fleet.in_loop(self, now)

    def _send_request(self, now: float, late_s: float | None) -> None:
        """``late_s``: behind the schedule by our own fault; None where the slot waited for the last answer."""
        self.awaiting, self.sent_at = True, now
        self._write(self.request)
        self.fleet.sent(self, late_s)
        if now >= self.due:
            # Answers that come late do not shift the schedule.
            self.due += self.fleet.period_s * (int((now - self.due) / self.fleet.period_s) + 1)
        if not self.closed:
            self._plan(self.due)

    def _plan(self, when: float) -> None:
        if self.wake_at is None or when < self.wake_at:
            self.wake_at = when
            self.fleet.at(when, self)

    def _write(self, data: bytes) -> None:
        self.tls.write(data)
        self._flush()

    def _flush(self) -> None:
        data = self.outgoing.read()
        if not data:
            return
        try:
            if self.sock.send(data) != len(data):
                self.close("the station does not read")
        except OSError as error:
            self.close(f"lost: {error.strerror}")
