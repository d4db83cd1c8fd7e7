"""One page over HTTP: what is answered, and what nobody can take away from the daemon by it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from v2g.host import scrape_server
from v2g.host.scrape_server import MAX_HEAD_BYTES, MOST_CONNECTIONS, ScrapeServer

PAGE = b"v2g_ready 1\n" * 1000


class Served:
    def __init__(self) -> None:
        self.asked = 0
        self.errors: list[Exception] = []
        self.fails: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.server = ScrapeServer("/metrics", "text/plain", self._page, self.errors.append, local_only=True)

    async def _page(self) -> bytes:
        self.asked += 1
        await self.gate.wait()
        if self.fails is not None:
            raise self.fails
        return PAGE

    async def ask(self, question: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        writer.write(question)
        try:
            return await asyncio.wait_for(reader.read(), 10.0)
        finally:
            writer.close()

    async def get(
        self, path: str = "/metrics", method: str = "GET", host: str = "127.0.0.1"
    ) -> tuple[int, bytes, bytes]:
        answer = await self.ask(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n".encode())
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), head, body


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    made = Served()
    await made.server.serve_tcp("127.0.0.1", 0)
    yield made
    await made.server.close()


async def test_the_page_is_answered_whole_with_its_length_and_type(served: Served) -> None:
    status, head, body = await served.get()
    assert (status, body) == (200, PAGE)
    assert f"Content-Length: {len(PAGE)}".encode() in head
    assert b"Content-Type: text/plain" in head
    assert b"Connection: close" in head
    status, head, body = await served.get(method="HEAD")
    assert (status, body) == (200, b"")
    assert f"Content-Length: {len(PAGE)}".encode() in head
    assert (await served.get("/metrics?name[]=x"))[0] == 200


@pytest.mark.parametrize(
    ("path", "method", "host", "status"),
    [
        ("/", "GET", "127.0.0.1", 404),
        ("/metrics/../etc", "GET", "127.0.0.1", 404),
        ("/metrics", "POST", "127.0.0.1", 405),
        ("/metrics", "GET", "evil.example", 403),
        ("/metrics", "GET", "evil.example:9464", 403),
        ("/metrics", "GET", "", 403),
        ("/metrics", "GET", "localhost", 200),
        ("/metrics", "GET", "[::1]", 200),
    ],
)
async def test_other_questions_are_refused(served: Served, path: str, method: str, host: str, status: int) -> None:
    assert (await served.get(path, method, host))[0] == status
    assert served.asked == (status == 200)


async def test_the_host_may_be_named_with_our_port_and_no_other(served: Served) -> None:
    assert (await served.get(host=f"localhost:{served.server.port}"))[0] == 200
    assert (await served.get(host="localhost:1"))[0] == 403


@pytest.mark.parametrize(
    "question",
    [b"\r\n\r\n", b"GET /metrics\r\n\r\n", b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET  /metrics HTTP/1.1\r\n\r\n"],
)
async def test_what_is_no_http_is_refused_in_words(served: Served, question: bytes) -> None:
    assert b" 400 Bad Request" in await served.ask(question)


async def test_a_head_without_end_is_refused_and_not_kept(served: Served) -> None:
    answer = await served.ask(b"GET /metrics HTTP/1.1\r\nX: " + b"a" * (2 * MAX_HEAD_BYTES) + b"\r\n\r\n")
    assert answer == b"" or b" 400 " in answer
    assert (await served.get())[0] == 200


async def test_who_connects_and_stays_silent_is_let_go(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape_server, "PATIENCE_S", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
    answer = await asyncio.wait_for(reader.read(), 5.0)
    assert b" 408 " in answer
    writer.close()
    async with asyncio.timeout(5.0):
        while served.server.connections:
            await asyncio.sleep(0.01)


async def test_so_many_at_once_and_no_more(served: Served) -> None:
    served.gate.clear()
    waiting = [asyncio.create_task(served.get()) for _ in range(MOST_CONNECTIONS)]
    async with asyncio.timeout(5.0):
        while served.asked < MOST_CONNECTIONS:
            await asyncio.sleep(0.01)
    assert (await served.get())[0] == 503
    served.gate.set()
    assert [status for status, _, _ in await asyncio.gather(*waiting)] == [200] * MOST_CONNECTIONS


async def test_a_page_that_cannot_be_made_is_told_here_and_there(served: Served) -> None:
    served.fails = ZeroDivisionError("secret")
    status, _, body = await served.get()
    assert status == 500
    assert b"ZeroDivisionError" in body
    assert b"secret" not in body
    assert [str(error) for error in served.errors] == ["secret"]
    served.fails = None
    assert (await served.get())[0] == 200


async def test_closing_lets_nobody_wait() -> None:
    made = Served()
    await made.server.serve_tcp("127.0.0.1", 0)
    made.gate.clear()
    asking = asyncio.create_task(made.get())
    async with asyncio.timeout(5.0):
        while not made.asked:
            await asyncio.sleep(0.01)
    await made.server.close()
    with pytest.raises((IndexError, ConnectionError)):
        await asyncio.wait_for(asking, 5.0)
