"""A small HTTP server for one page that one program reads: bounded in connections, time and size.

GET and HEAD of its path, one answer a connection. On loopback the ``Host`` has to name this host: a browser that was
led here by another name gets nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Final

MOST_CONNECTIONS: Final = 8
MAX_HEAD_BYTES: Final = 8192
PATIENCE_S: Final = 5.0
"""From the connection to the whole question, and again for taking the answer."""
ANSWER_S: Final = 10.0
_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    500: "Internal Server Error",
    503: "Service Unavailable",
}

Answer = Callable[[], Awaitable[bytes]]


class ScrapeServer:
    """Serves ``answer()`` at ``path``. ``on_error`` is told what a scrape failed by. ``local_only``: over TCP."""

    def __init__(
        self,
        path: str,
        content_type: str,
        answer: Answer,
        on_error: Callable[[Exception], None],
        *,
        local_only: bool,
    ) -> None:
        self._path = path
        self._content_type = content_type
        self._answer = answer
        self._on_error = on_error
        self._local_only = local_only
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        return len(self._clients)

    @property
    def port(self) -> int:
        """Of TCP; 0 where it is not open, or serves a Unix socket."""
        sockets = self._server.sockets if self._server is not None else ()
        name = sockets[0].getsockname() if sockets else ()
        return int(name[1]) if isinstance(name, tuple) and len(name) > 1 else 0

    async def serve_tcp(self, host: str, port: int) -> None:
        """Raises ``OSError``."""
        self._server = await asyncio.start_server(self._connected, host, port, limit=MAX_HEAD_BYTES)

    async def serve_socket(self, listener: socket.socket) -> None:
        """A Unix socket that is bound."""
        self._server = await asyncio.start_unix_server(self._connected, sock=listener, limit=MAX_HEAD_BYTES)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        clients = list(self._clients)
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this as a task
        crowded = len(self._clients) >= MOST_CONNECTIONS
        self._clients.add(task)
        try:
            if crowded:
                writer.write(_plain(503, f"{MOST_CONNECTIONS} connections are open already"))
            else:
                writer.write(await self._respond(reader))
            async with asyncio.timeout(PATIENCE_S):
                await writer.drain()
                writer.write_eof()
                # What is still unread when a socket closes resets it, and takes the answer with it.
                await reader.read(MAX_HEAD_BYTES)
        except (OSError, TimeoutError, RuntimeError):
            pass  # it has gone or does not read: there is nobody to tell
        finally:
            self._clients.discard(task)
            with contextlib.suppress(Exception):
                writer.transport.abort()

    async def _respond(self, reader: asyncio.StreamReader) -> bytes:
        try:
            async with asyncio.timeout(PATIENCE_S):
                head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return _plain(400, f"a question of at most {MAX_HEAD_BYTES} bytes was expected")
        except TimeoutError:
            return _plain(408, f"no whole question within {PATIENCE_S:g} s")
        status, words, is_head = self._judge(head)
        if status != 200:
            return _plain(status, words)
        try:
            async with asyncio.timeout(ANSWER_S):
                body = await self._answer()
        except Exception as error:
            self._on_error(error)
            return _plain(500, f"the answer could not be made: {type(error).__name__}; see daemon.log")
        return _head(200, self._content_type, len(body)) + (b"" if is_head else body)

    def _judge(self, head: bytes) -> tuple[int, str, bool]:
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return 400, "this is no HTTP/1 question", False
        method, target, _ = words
        host = next((line.partition(":")[2].strip() for line in lines if line.lower().startswith("host:")), "")
        if self._local_only and host.lower().removesuffix(f":{self.port}") not in _LOCAL_NAMES:
            return 403, "ask this host by 127.0.0.1, [::1] or localhost", False
        if target.partition("?")[0] != self._path:
            return 404, f"there is nothing here; ask for {self._path}", False
        if method not in ("GET", "HEAD"):
            return 405, "only GET is answered", False
        return 200, "", method == "HEAD"


def _plain(status: int, words: str) -> bytes:
    body = f"{words}\n".encode()
    return _head(status, "text/plain; charset=utf-8", len(body)) + body


def _head(status: int, content_type: str, length: int) -> bytes:
    lines = (
        f"HTTP/1.1 {status} {_REASONS[status]}",
        f"Content-Type: {content_type}",
        f"Content-Length: {length}",
        "Cache-Control: no-store",
        "Connection: close",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
