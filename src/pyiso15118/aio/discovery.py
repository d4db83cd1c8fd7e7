"""SECC discovery over UDP: the server of one EVSE interface, and the vehicle's search."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import cast

from pyiso15118 import sdp
from pyiso15118.aio.network import (
    LOOPBACK,
    Address,
    NetworkError,
    address_of,
    interface_index,
    sdp_client,
    sdp_listener,
)
from pyiso15118.aio.quietlog import QuietLog
from pyiso15118.aio.rate_limit import SourceLimit
from pyiso15118.errors import RemoteProtocolError
from pyiso15118.sdp import SdpRequest, SdpResponse, Security

log = logging.getLogger("pyiso15118")

RETRY_S = 0.25
"""Time between two SDP requests (V2G_SDP_Response_Timeout)."""
ATTEMPTS = 50
FLOOD = "SDP_FLOOD"


EACH_HZ, EACH_BURST = 8.0, 16.0
"""A vehicle asks four times a second."""
ALL_HZ, ALL_BURST = 40.0, 80.0
_LINE_EVERY_S = 10.0
_DISCARD_PORT = 9

Answer = Callable[[SdpRequest, Address], SdpResponse | None]
"""None: whoever asked gets no answer."""


class SdpServer(asyncio.DatagramProtocol):
    """Answers each well-formed request with what ``answer`` says; anything else is ignored and logged.

    Asked must be by unicast address from the link of the server's interface: from a link-local address, which no
    router passes on, or where the EVSE has a ``host`` of its own from any. Requests that come too fast are left out.
    """

    def __init__(self, name: str, answer: Answer, *, link: int | None = None) -> None:
        """``link``: the index of the only interface that is listened to; None: not only link-local sources."""
        self._name = name
        self._answer = answer
        self._link = link
        self._transport: asyncio.DatagramTransport | None = None
        self._last_peer: Address | None = None
        self._log = QuietLog(name)
        self._limit = SourceLimit(each_hz=EACH_HZ, each_burst=EACH_BURST, all_hz=ALL_HZ, all_burst=ALL_BURST)
        self._left_out = 0
        self._left_out_told = 0
        self._counting: asyncio.TimerHandle | None = None
        self.ignored = 0

    @classmethod
    async def listen(cls, name: str, interface: str, host: str | None, port: int, answer: Answer) -> SdpServer:
        """``name`` is for logs. Raises :class:`NetworkError`."""
        link = interface_index(interface) if host is None and interface != LOOPBACK else None
        sock = sdp_listener(interface, host, port)
        try:
            _, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: cls(name, answer, link=link), sock=sock
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

    @property
    def left_out(self) -> int:
        """Requests that came too fast to be answered, since the server was opened."""
        return self._left_out

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        peer = address_of(addr)
        if not self._limit.take(peer.host, time.monotonic()):
            self._leave_out(peer)
            return
        try:
            request = sdp.decode_request(data)
            self._check_source(peer)
        except (RemoteProtocolError, NetworkError) as error:
            self.ignored += 1
            self._log.note(logging.DEBUG, "SDP datagram of %s ignored: %s", peer, error)
            return
        response = self._answer(request, peer)
        if response is None:
            self.ignored += 1
            return
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

    def _check_source(self, peer: Address) -> None:
        source = IPv6Address(peer.host)
        if source.is_multicast or source.is_unspecified or not peer.port:
            raise NetworkError("nobody can be answered there")
        if self._link is not None and not (source.is_link_local and peer.scope_id == self._link):
            raise NetworkError("not from a link-local address of this interface")

    def _leave_out(self, peer: Address) -> None:
        """One line when it begins, one with the number every ten seconds while it goes on."""
        self._left_out += 1
        if self._counting is None:
            text = "%s: SDP requests come too fast, the last from %s: not all are answered"
            log.warning(text, self._name, peer, extra={"code": FLOOD})
            self._left_out_told = self._left_out - 1
            self._counting = asyncio.get_running_loop().call_later(_LINE_EVERY_S, self._tell_left_out)

    def _tell_left_out(self) -> None:
        self._counting = None
        count, self._left_out_told = self._left_out - self._left_out_told, self._left_out
        log.warning("%s: %d SDP requests were left out", self._name, count, extra={"code": FLOOD})

    def solicit(self, peer: Address) -> None:
        """One byte to the discard port of a neighbour, for which the kernel has to find out its MAC address.

        From the port of SDP, since a strict firewall lets nothing else out to vehicles.
        """
        if self._transport is None or self._link is None or peer.scope_id != self._link:
            return
        if IPv6Address(peer.host).is_link_local:
            self._transport.sendto(b"\0", Address(peer.host, _DISCARD_PORT, peer.scope_id).sockaddr())

    def error_received(self, exc: Exception) -> None:
        self._log.note(logging.WARNING, "SDP answer could not be sent: %s", exc)

    def close(self) -> None:
        """Answer no more."""
        if self._counting is not None:
            self._counting.cancel()
            self._tell_left_out()
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
