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
_CHANGE_BURST = 20.0
_CHANGE_RATE_HZ = 10.0
_AUDIT_BURST = 50.0
_AUDIT_RATE_HZ = 1.0
_MAX_USERS = 256


class _Bucket:
    """Tokens: ``burst`` at once, then ``rate_hz`` of them a second."""

    def __init__(self, burst: float, rate_hz: float, now_s: float) -> None:
        self._burst = self._tokens = burst
        self._rate_hz = rate_hz
        self._at_s = now_s

    def level(self, now_s: float) -> float:
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._rate_hz)
        self._at_s = now_s
        return self._tokens

    def take(self, now_s: float) -> float:
        """Take one; how long until there is one for it."""
        self._tokens = self.level(now_s) - 1.0
        return max(0.0, -self._tokens / self._rate_hz)

    def full(self, now_s: float) -> bool:
        return self.level(now_s) >= self._burst


class Pace:
    """What one user may cost, over all of its connections: 200 calls at once, then 100 a second.

    What it keeps back waits unread in the socket. Calls that change something: 20 at once, then 10 a second, besides.
    Calls that change nothing have 50 audit lines at once, then one a second.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        now_s = clock.monotonic_s()
        self._calls = _Bucket(_BURST, _RATE_HZ, now_s)
        self._changes = _Bucket(_CHANGE_BURST, _CHANGE_RATE_HZ, now_s)
        self._lines = _Bucket(_AUDIT_BURST, _AUDIT_RATE_HZ, now_s)
        self._left_out = 0

    def delay_s(self) -> float:
        """Take one call; how long to wait before it is served."""
        return self._calls.take(self._clock.monotonic_s())

    def change_delay_s(self) -> float:
        """Take one call that changes something; how long to wait before it is carried out."""
        return self._changes.take(self._clock.monotonic_s())

    def admit_line(self, changes_something: bool) -> int | None:
        """None: leave this audit line out. Else how many of this user's lines were left out before it."""
        now_s = self._clock.monotonic_s()
        if not changes_something:
            if self._lines.level(now_s) < 1.0:
                self._left_out += 1
                return None
            self._lines.take(now_s)
        left_out, self._left_out = self._left_out, 0
        return left_out

    @property
    def rested(self) -> bool:
        """It has nothing to remember."""
        now_s = self._clock.monotonic_s()
        full = self._calls.full(now_s) and self._changes.full(now_s) and self._lines.full(now_s)
        return full and not self._left_out


class Paces:
    """The pace of each user, kept over connections: a user that comes anew starts where it was."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._paces: dict[int, Pace] = {}

    def of(self, uid: int) -> Pace:
        """Of the many users that one host may have, those that have rested are forgotten first, then the oldest."""
        if uid not in self._paces:
            if len(self._paces) >= _MAX_USERS:
                self._paces = {other: pace for other, pace in self._paces.items() if not pace.rested}
            if len(self._paces) >= _MAX_USERS:
                del self._paces[next(iter(self._paces))]
            self._paces[uid] = Pace(self._clock)
        return self._paces[uid]


class Connection:
    """``greeted``: said hello in our protocol; ``rejected``: ends after this answer; ``topics``: what it is told of."""

    READ_LIMIT = MAX_LINE_BYTES

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pace: Pace) -> None:
        self._reader = reader
        self._writer = writer
        self._pace = pace
        self.greeted = False
        self.rejected = False
        self.topics: frozenset[str] = frozenset()

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
