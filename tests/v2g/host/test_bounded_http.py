"""One exchange, bounded as a whole. Slow and lying servers over TLS are in tests/v2g/pki/test_enrol_est.py."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from support.cmp_server import tcp_server
from support.http_files import Published, publishing
from v2g.host.bounded_http import Exchange, ExchangeError, Exchanges, Question, exchange


@pytest.fixture
def web() -> Iterator[Published]:
    with publishing() as published:
        yield published


def get(url: str, max_body: int = 1 << 20, timeout_s: float = 2.0) -> Any:
    return exchange(Question(method="GET", url=url), timeout_s=timeout_s, max_body=max_body)


def test_an_answer_has_status_headers_and_body(web: Published) -> None:
    web.answers["x"] = lambda _: b"hello"
    answer = get(web.url("x"))
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"hello", "5")
    assert get(web.url("absent")).status == 404


def test_what_is_asked_reaches_the_server(web: Published) -> None:
    web.answers["x?a=b"] = lambda body: body + b"!"
    question = Question(method="POST", url=web.url("x?a=b"), headers={"Content-Type": "text/plain"}, body=b"hey")
    assert exchange(question, timeout_s=2.0, max_body=100).body == b"hey!"


@pytest.mark.parametrize(("size", "words"), [(4096, "larger than 4 KiB"), (2 << 20, "larger than 2 MiB")])
def test_a_body_beyond_the_bound_is_refused(web: Published, size: int, words: str) -> None:
    web.answers["x"] = lambda _: b"x" * (size + 1)
    with pytest.raises(ExchangeError, match=words):
        get(web.url("x"), max_body=size)
    web.answers["x"] = lambda _: b"x" * size
    assert len(get(web.url("x"), max_body=size).body) == size


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://ca.example/", "neither http nor https"),
        ("ftp://ca.example/", "neither http nor https"),
        ("http://ca.example:port/", "ca.example"),
        ("http://127.0.0.1:1/", "Connection refused"),
        ("http://127.0.0.1:1/a\r\nX-Injected: 1", "127.0.0.1"),
    ],
)
def test_what_cannot_be_asked_is_told(url: str, words: str) -> None:
    with pytest.raises(ExchangeError, match=words):
        get(url)


def endless_continue(connection: socket.socket) -> None:
    connection.recv(65536)
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.01)


def test_a_server_that_never_comes_to_the_point_is_left() -> None:
    began_s = time.monotonic()
    with tcp_server(endless_continue) as port, pytest.raises(ExchangeError, match=r"no whole answer within 0\.5 s"):
        get(f"http://127.0.0.1:{port}/", timeout_s=0.5)
    assert time.monotonic() - began_s < 2.0


def test_an_exchange_can_be_cut_by_another_thread() -> None:
    with tcp_server(lambda connection: time.sleep(10)) as port:
        running = Exchange(Question(method="GET", url=f"http://127.0.0.1:{port}/"), timeout_s=30.0, max_body=10)
        threading.Timer(0.1, running.cut).start()
        began_s = time.monotonic()
        with pytest.raises(ExchangeError):
            running.run()
        assert time.monotonic() - began_s < 5.0


@pytest.fixture
def deaf() -> Iterator[tuple[str, int]]:
    """An address at which connections are never taken."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filling = stack.enter_context(socket.socket())
            filling.setblocking(False)
            with suppress(BlockingIOError):
                filling.connect(listener.getsockname())
        yield listener.getsockname()


@pytest.fixture
def many_addresses(deaf: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", deaf)] * 6
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_all_addresses_of_a_name_share_the_time(many_addresses: None) -> None:
    began_s = time.monotonic()
    with pytest.raises(ExchangeError, match=r"no whole answer within 0\.3 s"):
        get("http://ca.example/", timeout_s=0.3)
    assert time.monotonic() - began_s < 1.2


def test_a_name_whose_first_address_refuses_is_reached_by_the_next(
    web: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.answers["x"] = lambda _: b"hello"
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in (1, web.port)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert get("http://ca.example/x").body == b"hello"


def test_whoever_owns_exchanges_ends_them_also_while_they_connect(many_addresses: None) -> None:
    owned = Exchanges()
    threading.Timer(0.1, owned.close).start()
    began_s = time.monotonic()
    with pytest.raises(ExchangeError):
        owned.exchange(Question(method="GET", url="http://ca.example/"), timeout_s=30.0, max_body=10)
    assert time.monotonic() - began_s < 5.0
    with pytest.raises(ExchangeError, match="not asked while stopping"):
        owned.exchange(Question(method="GET", url="http://ca.example/"), timeout_s=30.0, max_body=10)


def test_secrets_in_headers_are_not_shown(web: Published) -> None:
    question = Question(method="GET", url="http://127.0.0.1:1/", headers={"Authorization": "Basic hush"}, body=b"hush")
    assert "hush" not in repr(question)
    with pytest.raises(ExchangeError) as caught:
        exchange(question, timeout_s=1.0, max_body=10)
    assert "hush" not in str(caught.value)
