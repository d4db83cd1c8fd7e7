"""One client of the control plane: bounded lines in, bounded answers out, and a pace it cannot exceed."""

from __future__ import annotations

import asyncio
import contextlib

from v2g.clock import Clock
from v2g.control.rpc import MAX_LINE_BYTES, ErrorCode, RpcError

_MAX_UNREAD_BYTES = 1 << 20
_SEND_TIMEOUT_S = 10.0
_FINISH_TIMEOUT_S = 1.0
_BURST = 200.0
_RATE_HZ = 100.0


class Pace:
    """A token bucket: a burst of 200 calls, then 100 a second. What it keeps back waits unread in the socket."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tokens = _BURST
        self._at_s = clock.monotonic_s()

    def delay_s(self) -> float:
        """Take one call; how long to wait before it is served."""
        now_s = self._clock.monotonic_s()
        self._tokens = min(_BURST, self._tokens + (now_s - self._at_s) * _RATE_HZ) - 1.0
        self._at_s = now_s
        return max(0.0, -self._tokens / _RATE_HZ)


class Connection:
    """``greeted``: said hello in our protocol; ``rejected``: ends after this answer; ``subscribed``: is notified."""

    READ_LIMIT = MAX_LINE_BYTES

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pace: Pace) -> None:
        self._reader = reader
        self._writer = writer
        self._pace = pace
        self.greeted = False
        self.rejected = False
        self.subscribed = False

    async def read_line(self, timeout_s: float | None) -> bytes | None:
        """The next line that is not empty; None when the peer has ended, or said nothing in time.

        Raises :class:`RpcError` for a line that is too long.
        """
        while True:
            try:
                line = await asyncio.wait_for(self._reader.readuntil(b"\n"), timeout_s)
            except (asyncio.IncompleteReadError, TimeoutError):
                return None
            except asyncio.LimitOverrunError:
                reason = f"a line may have {MAX_LINE_BYTES} bytes at most"
                raise RpcError(ErrorCode.INVALID_REQUEST, reason) from None
            delay_s = self._pace.delay_s()
            if delay_s > 0:
                await asyncio.sleep(delay_s)
            if line.strip():
                return line

    async def send(self, line: bytes) -> None:
        """Send one answer. A peer that is gone raises OSError, one that does not read TimeoutError."""
        if self._writer.transport.is_closing():
            raise ConnectionResetError
        self._writer.write(line)
        await asyncio.wait_for(self._writer.drain(), _SEND_TIMEOUT_S)

    def notify(self, line: bytes) -> None:
        """Send without waiting; a peer that left too much unread is dropped."""
        transport = self._writer.transport
        if transport.is_closing():
            return
        if transport.get_write_buffer_size() + len(line) > _MAX_UNREAD_BYTES:
            transport.abort()
            return
        self._writer.write(line)

    async def finish(self) -> None:
        """Let the peer read what was sent, for a moment, then end."""
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), _FINISH_TIMEOUT_S)

    def abort(self) -> None:
        """End now."""
        self._writer.transport.abort()
