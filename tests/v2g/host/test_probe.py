"""One probe of a host: an answer, a refusal, silence, a name that is none, an echo."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from v2g.clock import SystemClock
from v2g.host.probe import Probe, ProbeError


def probe(host: str, port: int | None, answer_s: float = 0.9) -> Probe:
    return Probe(host, port, SystemClock().monotonic_s, answer_s)


async def test_an_open_port_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        trip_s = await probe("127.0.0.1", listener.getsockname()[1]).run()
    assert trip_s is not None
    assert 0.0 <= trip_s < 0.9


async def test_a_refusal_is_an_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert await probe("127.0.0.1", port).run() is not None


async def test_silence_is_a_loss() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        held = [socket.socket() for _ in range(4)]
        for each in held:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        # Its queue is full: the kernel drops what comes.
        assert await probe("127.0.0.1", listener.getsockname()[1], 0.2).run() is None
        for each in held:
            each.close()


async def test_a_name_that_is_none_is_told_with_the_remedy() -> None:
    with pytest.raises(ProbeError, match=r"nosuch\.invalid: its name cannot be resolved .*; write its address"):
        await probe("nosuch.invalid", 443).run()


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EHOSTUNREACH])
async def test_a_broken_way_is_a_loss_and_no_mistake(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    async def connect(*_: Any) -> None:
        raise OSError(number, "unreachable")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", connect)
    assert await probe("127.0.0.1", 1).run() is None


class PingSocket:
    """The kernel's ping socket, as far as a test can be without permission: answers go by what is sent."""

    def __init__(self, *_: Any) -> None:
        self.sent = b""

    def __enter__(self) -> PingSocket:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("answers", "heard"),
    [
        (lambda sent: [b"\0\0" + sent[2:]], True),
        (lambda sent: [b"short", b"\0\0" + bytes(len(sent) - 2), b"\0\0" + sent[2:]], True),
        (lambda sent: [b"\x03\x01" + sent[2:]], False),
        (lambda sent: [b"\0\0" + sent[2:6] + struct.pack("!H", 999) + sent[8:]], False),
        (lambda sent: [], False),
    ],
)
async def test_only_the_answer_to_our_echo_counts(
    monkeypatch: pytest.MonkeyPatch, answers: Callable[[bytes], list[bytes]], heard: bool
) -> None:
    queue: list[bytes] = []

    async def send(sock: PingSocket, data: bytes, address: object) -> int:
        queue.extend(answers(data))
        return len(data)

    async def receive(sock: PingSocket, size: int) -> bytes:
        if not queue:
            await asyncio.sleep(60.0)
        return queue.pop(0)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "sock_sendto", send)
    monkeypatch.setattr(loop, "sock_recv", receive)
    made = probe("127.0.0.1", None, 0.2)
    await made._resolve()
    monkeypatch.setattr(socket, "socket", PingSocket)
    assert (await made.run() is not None) is heard


async def test_an_echo_that_is_not_permitted_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    made = probe("127.0.0.1", None)
    await made._resolve()

    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(ProbeError, match="ping_group_range"):
        await made.run()
