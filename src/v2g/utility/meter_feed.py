"""The meter feed: a Unix stream socket to which other processes write readings, one JSON object a line.

The socket is ``utility.meter_feed.path`` (``<run_dir>/meters.sock`` where that is empty), mode 0660, open to the
daemon's user and group and to ``utility.meter_feed.group``. A line is of at most 4096 bytes and ends with ``\\n``::

    {"meter": "c17", "at": 1767225600, "power_w": {"a": 230.0, "b": 0.0, "c": 1150.5}}
    {"meter": "c18", "at": "2026-01-01T00:00:00Z", "power_w": {"b": 1.2}, "unit": "kW"}
    {"meter": "c19", "at": "2026-01-01T01:15:00+01:00", "energy_wh": {"a": 51234.5}, "unit": "kWh"}

``meter``
    an id of ``utility.meter_feed.meters``.
``at``
    when it was measured, or when the interval that it is the mean of ended: seconds since 1970 (UTC), or ISO 8601 with
    a time zone. At most 5 s in the future.
``power_w`` or ``energy_wh``
    by phase of the *bus*; phases that the customer lacks are left out, in every line. A single number is a total and is
    shared equally among three phases, which is said. Powers are positive where the customer draws. ``energy_wh`` is a
    register that counts on, import less export; the power is the mean between two readings, 10 s to ``max_age_s``
    apart.
``unit``
    ``W`` (which goes without saying) or ``kW`` with ``power_w``; ``Wh`` or ``kWh`` with ``energy_wh``.

Each line is answered by one: ``{"ok": true}``, with a ``note`` where it was not used though nothing is wrong with it
(it is older than what is known, or was told before), or ``{"error": "..."}``, which names field and remedy. After an
error the connection goes on, but for a line that is too long. A user may write 200 readings at once and 100 a second;
more wait in the socket. At most 16 connections; one that says nothing for two hours ends.

A reading counts for ``max_age_s``; after that its meter is missing and the base load by meters is unknown. A reading
that is a slip between W and kW, or more than the connection carries, is answered with an error and not used.
"""

from __future__ import annotations

import asyncio
import grp
from collections.abc import Callable
from pathlib import Path

import msgspec

from v2g.clock import Clock
from v2g.control.connection import Connection, Paces
from v2g.control.endpoint import Endpoint, EndpointError
from v2g.control.roles import peer
from v2g.control.rpc import RpcError
from v2g.utility.meter_book import MeterBook
from v2g.utility.meter_line import parse
from v2g.utility.meter_reading import ReadingRefused

__all__ = ["EndpointError", "MeterFeedServer", "answer"]

MAX_LINE_BYTES = 4096
MAX_CLIENTS = 16
IDLE_S = 7200.0


def answer(line: bytes, book: MeterBook, now_s: float, unix_s: float) -> bytes:
    """What a line is answered, after it was taken. Never raises."""
    try:
        told = parse(line)
        note = book.take(told.meter, told.reading, now_s, unix_s, fed=True)
    except ReadingRefused as error:
        return msgspec.json.encode({"error": str(error)}) + b"\n"
    return msgspec.json.encode({"ok": True, "note": note} if note else {"ok": True}) + b"\n"


class MeterFeedServer:
    """Serves ``path``; ``on_line`` takes a line and gives its answer."""

    def __init__(self, path: Path, group: str, on_line: Callable[[bytes], bytes], clock: Clock) -> None:
        self.remarks: tuple[str, ...] = ()
        """After :meth:`start`: what does not hold the server up, but somebody should know."""
        self._group = group
        self._on_line = on_line
        self._endpoint = Endpoint(path)
        self._paces = Paces(clock)
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    @property
    def clients(self) -> int:
        return len(self._clients)

    async def start(self) -> None:
        """Raises :class:`EndpointError` where the socket cannot be opened, or another daemon serves it."""
        listener, _ = self._endpoint.open([self._group] if self._group else [])
        if self._group and not _exists(self._group):
            self.remarks = (
                f"utility.meter_feed.group: there is no group {self._group}; its processes cannot write readings until "
                "it is made (groupadd) and the daemon restarted",
            )
        self._server = await asyncio.start_unix_server(self._connected, sock=listener, limit=MAX_LINE_BYTES)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        clients = list(self._clients)
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        self._endpoint.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            _, uid, _ = peer(writer.get_extra_info("socket"))
        except OSError:
            writer.transport.abort()
            return
        connection = Connection(reader, writer, self._paces.of(uid))
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this as a task
        try:
            if len(self._clients) >= MAX_CLIENTS:
                await connection.send(_error(f"the feed has {MAX_CLIENTS} connections already; close some"))
                return
            self._clients.add(task)
            await self._converse(connection)
        except (OSError, TimeoutError):
            pass  # it has gone or does not read: there is nobody to tell
        finally:
            self._clients.discard(task)
            await connection.finish()

    async def _converse(self, connection: Connection) -> None:
        try:
            while (line := await connection.read_line(IDLE_S)) is not None:
                await connection.send(self._on_line(line))
        except RpcError:
            reason = f"a line may have {MAX_LINE_BYTES} bytes at most; write one reading a line"
            await connection.send(_error(reason))


def _error(text: str) -> bytes:
    return msgspec.json.encode({"error": text}) + b"\n"


def _exists(group: str) -> bool:
    try:
        grp.getgrnam(group)
    except KeyError:
        return False
    return True
