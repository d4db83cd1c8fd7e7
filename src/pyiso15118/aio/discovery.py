"""SECC discovery over UDP: the server of one EVSE interface, and the vehicle's search."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from pyiso15118 import sdp
from pyiso15118.aio.network import Address, NetworkError, address_of, interface_index, sdp_client, sdp_listener
from pyiso15118.aio.quietlog import QuietLog
from pyiso15118.errors import RemoteProtocolError
from pyiso15118.sdp import SdpRequest, SdpResponse, Security

log = logging.getLogger("pyiso15118")

RETRY_S = 0.25
"""Time between two SDP requests (V2G_SDP_Response_Timeout)."""
ATTEMPTS = 50


class SdpServer(asyncio.DatagramProtocol):
    """Answers each well-formed request with what ``answer`` says; anything else is ignored and logged."""

    def __init__(self, name: str, answer: Callable[[SdpRequest], SdpResponse]) -> None:
        self._name = name
        self._answer = answer
        self._transport: asyncio.DatagramTransport | None = None
        self._last_peer: Address | None = None
        self._log = QuietLog(name)
        self.ignored = 0

    @classmethod
    async def listen(
        cls, name: str, interface: str, host: str | None, port: int, answer: Callable[[SdpRequest], SdpResponse]
    ) -> SdpServer:
        """``name`` is for logs. Raises :class:`NetworkError`."""
        sock = sdp_listener(interface, host, port)
        try:
            _, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: cls(name, answer), sock=sock
            )
        except BaseException:
            sock.close()
            raise
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    @property
    def port(self) -> int:
        """The port that is bound; of use when 0 was asked for."""
        if self._transport is None:
            raise NetworkError(f"{self._name}: the SDP server is not open")
        return address_of(self._transport.get_extra_info("sockname")).port

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        try:
            request = sdp.decode_request(data)
        except RemoteProtocolError as error:
            self.ignored += 1
            self._log.note(logging.DEBUG, "SDP datagram of %s ignored: %s", address_of(addr), error)
            return
        response = self._answer(request)
        peer = address_of(addr)
        self._log.note(
            logging.DEBUG if peer == self._last_peer else logging.INFO,
            "SDP request of %s for %s answered with port %d, %s",
            peer,
            request.security.name,
            response.port,
            response.security.name,
        )
        self._last_peer = peer
        if self._transport is not None:
            self._transport.sendto(sdp.encode(response), addr)

    def error_received(self, exc: Exception) -> None:
        self._log.note(logging.WARNING, "SDP answer could not be sent: %s", exc)

    def close(self) -> None:
        self._log.flush()
        if self._transport is not None:
            self._transport.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """Where a SECC listens, reachable as it stands, and whether with TLS."""

    address: Address
    security: Security


class _Search(asyncio.DatagramProtocol):
    def __init__(self, scope_id: int) -> None:
        self.found: asyncio.Future[Discovered] = asyncio.get_running_loop().create_future()
        self._scope_id = scope_id

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        try:
            response = sdp.decode_response(data)
        except RemoteProtocolError as error:
            log.debug("SDP datagram of %s ignored: %s", address_of(addr), error)
            return
        if not self.found.done():
            scope = self._scope_id if response.host.is_link_local else 0
            address = Address(str(response.host), response.port, scope)
            self.found.set_result(Discovered(address=address, security=response.security))

    def error_received(self, exc: Exception) -> None:
        log.debug("SDP request could not be sent: %s", exc)


async def discover(
    interface: str,
    *,
    security: Security = Security.TLS,
    port: int = sdp.PORT,
    retry_s: float = RETRY_S,
    attempts: int = ATTEMPTS,
) -> Discovered:
    """Ask for a SECC on ``interface`` until one answers. Raises :class:`NetworkError` after ``attempts`` requests.

    On the loopback the request goes to ``::1``, and ``port`` tells several EVSEs apart.
    """
    sock, host = sdp_client(interface)
    scope = interface_index(interface)
    loop = asyncio.get_running_loop()
    try:
        transport, search = await loop.create_datagram_endpoint(lambda: _Search(scope), sock=sock)
    except BaseException:
        sock.close()
        raise
    target = Address(host, port, scope if host != "::1" else 0)
    request = sdp.encode(SdpRequest(security=security))
    try:
        for _ in range(attempts):
            transport.sendto(request, target.sockaddr())
            done, _ = await asyncio.wait((search.found,), timeout=retry_s)
            if done:
                return search.found.result()
    finally:
        transport.close()
    raise NetworkError(f"no SECC answered {attempts} SDP requests to {target} on {interface}")
