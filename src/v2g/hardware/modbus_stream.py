"""One open connection of a Modbus device, plain or in TLS, with at most one request under way."""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

from v2g.hardware.mbap import FrameReader, WrongAnswer, frame

_TLS_CLOSE_S = 0.5
_LAST_TRANSACTION = 0xFFFF


class ConnectionEnded(Exception):
    """The connection ended before the answer. ``cause`` is what the transport told, if anything."""

    def __init__(self, cause: Exception | None) -> None:
        super().__init__("the device closed the connection")
        self.cause = cause


class ModbusStream(asyncio.Protocol):
    """Whatever is not the one answer that is waited for ends the connection: what follows cannot be trusted either.

    Transaction 0 fits every request: gateways to serial lines are known to answer so. It is safe because nothing else
    can be under way here, and because a request that was given up takes the connection with it.
    """

    def __init__(self, unit: int) -> None:
        self.open = False
        self.answered = False
        self.end_cause: Exception | None = None
        """Why the connection ended, where the transport or the frame told."""
        self._unit = unit
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader()
        self._transaction = 0
        self._pending: asyncio.Future[bytes] | None = None

    def ask(self, pdu: bytes) -> asyncio.Future[bytes]:
        """Send; the future gets the PDU of the answer, :class:`ConnectionEnded` or :class:`WrongAnswer`."""
        if self._transport is None or not self.open:
            raise ConnectionEnded(self.end_cause)
        self._transaction = self._transaction % _LAST_TRANSACTION + 1
        self._pending = asyncio.get_running_loop().create_future()
        self._transport.write(frame(self._transaction, self._unit, pdu))
        return self._pending

    def abort(self) -> None:
        """At once: nothing that is under way arrives any more."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """With TLS, its closing message is sent as well."""
        self.open = False
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.open = True

    def data_received(self, data: bytes) -> None:
        if not self.open:
            return
        self._reader.feed(data)
        try:
            while (answer := self._reader.next()) is not None:
                pending = self._pending
                if pending is None or pending.done():
                    raise WrongAnswer("it sent what nobody asked for")
                if answer.transaction not in (self._transaction, 0):
                    raise WrongAnswer(f"it answered transaction {answer.transaction} instead of {self._transaction}")
                if answer.unit != self._unit:
                    raise WrongAnswer(f"unit {answer.unit} answered instead of {self._unit}")
                self.answered = True
                pending.set_result(answer.pdu)
            if not self._reader.empty and (self._pending is None or self._pending.done()):
                raise WrongAnswer("it sent more than the answer")
        except WrongAnswer as error:
            self.end_cause = error
            self._fail(error)
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self.end_cause = self.end_cause or exc
        self._fail(ConnectionEnded(exc))

    def _fail(self, error: Exception) -> None:
        if self._pending is not None and not self._pending.done():
            self._pending.set_exception(error)


async def open_stream(
    host: str, port: int, unit: int, context: ssl.SSLContext | None, server_name: str
) -> ModbusStream:
    """Raises OSError (ssl.SSLError among them). ``server_name``: what the certificate must bear; empty: ``host``."""
    loop = asyncio.get_running_loop()
    if context is None:
        _, stream = await loop.create_connection(lambda: ModbusStream(unit), host, port)
    else:
        _, stream = await loop.create_connection(
            lambda: ModbusStream(unit),
            host,
            port,
            ssl=context,
            server_hostname=server_name or host,
            ssl_shutdown_timeout=_TLS_CLOSE_S,
        )
    return stream
