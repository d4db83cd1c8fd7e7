"""The protocol of a connection that was just accepted, for whoever decides what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from pyiso15118.aio.driver import StreamProtocol


class Acceptor(StreamProtocol):
    """Hands itself and its transport to ``accept``, which may refuse it."""

    def __init__(self, accept: Callable[[StreamProtocol, asyncio.Transport], None]) -> None:
        super().__init__()
        self._accept = accept

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._accept(self, cast(asyncio.Transport, transport))
