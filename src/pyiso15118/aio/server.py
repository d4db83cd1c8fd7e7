"""The charging station: EVSEs on their interfaces, one vehicle session at a time on each."""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from ipaddress import IPv6Address

from pyiso15118 import sdp
from pyiso15118.aio.acceptor import Acceptor
from pyiso15118.aio.discovery import SdpServer
from pyiso15118.aio.driver import TLS_SHUTDOWN_S, StreamProtocol, certified_name, peer_certificate
from pyiso15118.aio.evse import NO_NEW_SESSION, Endpoint, Evse, SeccConnection
from pyiso15118.aio.network import Address, NetworkError, address_of, local_address, tcp_listener
from pyiso15118.aio.preparation import prepare_codec
from pyiso15118.aio.quietlog import QuietLog
from pyiso15118.aio.tap import Tracer
from pyiso15118.aio.tls_stream import secure
from pyiso15118.errors import Iso15118Error, LocalProtocolError
from pyiso15118.messages import Namespace
from pyiso15118.paused import PausedSession
from pyiso15118.protocols import protocol_of
from pyiso15118.sdp import SdpRequest, SdpResponse, Security
from pyiso15118.secc import SeccMachine
from pyiso15118.security.profile import TlsEndpoint, TlsObject
from pyiso15118.security.tls_peer import check_connection

log = logging.getLogger("pyiso15118")

SHUTDOWN_S = 5.0
CANCEL_S = 2.0
"""How long a session's owner may take to end once it has been cancelled."""
HANDSHAKE_S = 5.0
"""So long in all a vehicle may let us wait in the TLS handshake. The slowest take about one second."""
HANDSHAKE_THREADS = 1
"""Handshakes at once, beside the loop. One keeps the other cores free; 64 vehicles are through in 0.2 s."""
SPOOFING = "SPOOFING_SUSPECTED"
RETRY_S = 5.0
"""An EVSE that could not be opened (its modem's interface is not there yet) is tried again this often."""
_SDP_REQUEST = "SDP request"


OnSession = Callable[[SeccConnection], Awaitable[None]]
Admits = Callable[[str, Address], str | None]
"""``(evse_id, peer)``: why it is not served there, for the log; empty: not known yet, it may ask again; None: it is."""


class SeccServer:
    """All EVSEs of a station in one process. ``on_session`` is awaited once per session, each in a task of its own.

    When it returns before the session is over, or raises, the session is aborted. ``async with`` opens and closes.
    ``handshake_threads``: more than one where a check of revocation waits for a network. ``admits`` is asked for each
    SDP request and for each TCP connection, before a handshake; it must be quick. None: everybody is served. ``tracer``
    is shown the bytes of each session.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        on_session: OnSession,
        handshake_threads: int = HANDSHAKE_THREADS,
        *,
        admits: Admits | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        ids = [e.evse_id for e in endpoints]
        if doubled := {i for i in ids if ids.count(i) > 1}:
            raise LocalProtocolError(f"EVSE given twice: {', '.join(sorted(doubled))}")
        self._on_session = on_session
        self._admits = admits
        self._tracer = tracer
        self._threads = handshake_threads
        self._evses = {e.evse_id: Evse(e, QuietLog(e.evse_id)) for e in endpoints}
        self._tasks: set[asyncio.Task[None]] = set()
        self._preparing: asyncio.Task[None] | None = None
        self._retrying: asyncio.Task[None] | None = None
        self._workers: Executor | None = None
        self._closing = False
        self.resting = ""
        """Why no new session is begun at any EVSE, in words; those that run go on. Empty: they are begun."""

    async def __aenter__(self) -> SeccServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Open each EVSE's sockets; one that fails does not keep the others, and is tried again every ``RETRY_S``.

        Raises :class:`NetworkError` naming what failed where none opens, with everything closed.
        """
        if any(evse.servers for evse in self._evses.values()):
            raise LocalProtocolError("the SECC server is open already")
        self._closing = False
        self._workers = ThreadPoolExecutor(self._threads, "tls-handshake")
        try:
            for evse in self._evses.values():
                await self._try_to_open(evse)
            if self.problems and len(self.problems) == len(self._evses):
                raise NetworkError("; ".join(f"{evse_id}: {problem}" for evse_id, problem in self.problems.items()))
        except BaseException:
            await self.close()
            raise
        loop = asyncio.get_running_loop()
        self._preparing = loop.create_task(prepare_codec(self._protocols()), name="SECC codec")
        if self.problems:
            self._retrying = loop.create_task(self._retry(), name="SECC sockets")

    def _protocols(self) -> set[Namespace]:
        offers = [offer for evse in self._evses.values() for offer in evse.endpoint.config.services]
        return {protocol_of(offer.service) for offer in offers}

    @property
    def problems(self) -> Mapping[str, str]:
        """By EVSE, why no vehicle can reach it: interface, address or port, and the remedy. Empty when all are open."""
        return {evse_id: evse.problem for evse_id, evse in self._evses.items() if evse.problem is not None}

    async def close(self) -> None:
        """Close the sockets, abort the sessions and wait for their owners, at most ``SHUTDOWN_S`` seconds.

        An owner that takes longer is cancelled; one that ignores that is left behind, which is logged. The server may
        be started again.
        """
        self._closing = True
        for task in (self._preparing, self._retrying):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        for evse in self._evses.values():
            self._close_sockets(evse)
            for task in list(evse.handshakes):
                self._drop(evse, task)
            if evse.active is not None:
                evse.active.abort("the charging station shuts down")
            evse.log.flush()
        if self._tasks:
            await self._wait_for_owners()
        if self._workers is not None:
            # Not awaited: what one does for a vehicle that is gone may take as long as a token or a responder.
            self._workers.shutdown(wait=False, cancel_futures=True)
            self._workers = None

    async def _wait_for_owners(self) -> None:
        _, late = await asyncio.wait(self._tasks, timeout=SHUTDOWN_S)
        for task in late:
            task.cancel()
        if late:
            _, stuck = await asyncio.wait(late, timeout=CANCEL_S)
            for task in stuck:
                log.error("the owner of session %s ignores that the station shuts down", task.get_name())

    def _close_sockets(self, evse: Evse) -> None:
        if evse.sdp_server is not None:
            evse.sdp_server.close()
        for server in evse.servers:
            server.close()
        evse.servers.clear()
        evse.sdp_server = evse.tls_address = evse.plain_address = evse.problem = None

    def address(self, evse_id: str) -> Address:
        """Where the EVSE takes TLS connections, or plain ones if it has no TLS. Raises :class:`NetworkError`."""
        evse = self._evses[evse_id]
        address = evse.tls_address or evse.plain_address
        if address is None:
            raise NetworkError(f"{evse_id}: not listening")
        return address

    def sdp_port(self, evse_id: str) -> int:
        """The UDP port of the EVSE's discovery. Raises :class:`NetworkError` if it has none."""
        server = self._evses[evse_id].sdp_server
        if server is None:
            raise NetworkError(f"{evse_id}: no SDP server is open")
        return server.port

    def solicit(self, evse_id: str, peer: Address) -> None:
        """Let the kernel find out the MAC address of ``peer``, which asked by multicast, until its next request.

        Only of a neighbour on the EVSE's own link; of anybody else, and without discovery, nothing is done.
        """
        server = self._evses[evse_id].sdp_server
        if server is not None:
            server.solicit(peer)

    def session(self, evse_id: str) -> SeccConnection | None:
        """The session under way at an EVSE."""
        return self._evses[evse_id].active

    def paused(self, evse_id: str) -> PausedSession | None:
        """The session that the EVSE's vehicle paused and may resume."""
        return self._evses[evse_id].resumable()

    def replace_tls(self, evse_id: str, tls: TlsEndpoint | ssl.SSLContext) -> None:
        """Serve with another certificate, key or trust from the next connection on; whoever is connected stays so.

        May be called at any time, before :meth:`start` as well. Raises :class:`LocalProtocolError` for a context of
        another profile, and for an EVSE that was opened without TLS; nothing has changed then.
        """
        evse = self._evses[evse_id]
        if evse.endpoint.tls is None:
            raise LocalProtocolError(
                f"{evse_id}: serves without TLS, a test mode, and cannot begin with it while it runs"
            )
        evse.endpoint = replace(evse.endpoint, tls=tls)

    async def add(self, endpoint: Endpoint) -> None:
        """One more EVSE while the others go on; what keeps it from opening is in :attr:`problems`, and tried again.

        Raises :class:`LocalProtocolError` for an EVSE that is there already.
        """
        if endpoint.evse_id in self._evses:
            raise LocalProtocolError(f"EVSE given twice: {endpoint.evse_id}")
        evse = self._evses[endpoint.evse_id] = Evse(endpoint, QuietLog(endpoint.evse_id))
        if self._closing or self._workers is None:
            return
        await self._try_to_open(evse)
        if evse.problem is not None and (self._retrying is None or self._retrying.done()):
            self._retrying = asyncio.get_running_loop().create_task(self._retry(), name="SECC sockets")

    def keep_paused(self, evse_id: str, paused: PausedSession | None, for_s: float | None = None) -> bool:
        """Let a session be resumed that was paused before this server started, for ``for_s`` seconds or as long as the
        endpoint keeps any; None: let none be. False: there is no such EVSE, or a vehicle is connected there."""
        evse = self._evses.get(evse_id)
        if evse is None or evse.active is not None:
            return False
        evse.keep(paused, for_s)
        return True

    # ---- sockets ----

    async def _retry(self) -> None:
        while self.problems:
            await asyncio.sleep(RETRY_S)
            for evse_id in self.problems:
                await self._try_to_open(self._evses[evse_id])

    async def _try_to_open(self, evse: Evse) -> None:
        try:
            await self._open(evse)
            evse.problem = None
        except (NetworkError, OSError) as error:
            # All or nothing of one EVSE: discovery must not lead to a port that nobody serves.
            for server in evse.servers:
                server.close()
            evse.servers.clear()
            evse.tls_address = evse.plain_address = None
            if evse.problem != str(error):
                log.warning("%s: no vehicle can connect: %s; trying again", evse.endpoint.evse_id, error)
            evse.problem = str(error)

    async def _open(self, evse: Evse) -> None:
        endpoint = evse.endpoint
        if endpoint.tls is not None:
            evse.tls_address = await self._listen(evse, endpoint.tcp_port, secured=True)
        if endpoint.allow_plain:
            port = endpoint.tcp_port if endpoint.tls is None else endpoint.plain_port
            evse.plain_address = await self._listen(evse, port, secured=False)
        if endpoint.sdp_port is not None:
            evse.sdp_server = await SdpServer.listen(
                endpoint.evse_id,
                endpoint.interface,
                endpoint.host,
                endpoint.sdp_port,
                lambda request, peer: self._sdp_traced(evse, request, peer),
            )
        log.info(
            "%s: listening on %s (interface %s, %s)",
            endpoint.evse_id,
            evse.tls_address or evse.plain_address,
            endpoint.interface,
            f"TLS profile {endpoint.profile}" if endpoint.tls else "no TLS: test mode",
        )

    async def _listen(self, evse: Evse, port: int, *, secured: bool) -> Address:
        endpoint = evse.endpoint
        sock = tcp_listener(local_address(endpoint.interface, endpoint.host, port))
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                lambda: Acceptor(partial(self.accept, evse, secured)), sock=sock, backlog=16
            )
        except BaseException:
            sock.close()
            raise
        evse.servers.append(server)
        return address_of(sock.getsockname())

    def _refusal(self, evse: Evse, peer: Address) -> str | None:
        """Why ``peer`` is not served at the EVSE. Whoever cannot be judged is not."""
        if self._admits is None:
            return None
        try:
            return self._admits(evse.endpoint.evse_id, peer)
        except Exception as error:
            evse.log.note(logging.ERROR, "%s cannot be judged: internal error", peer, exc_info=error)
            return f"internal error: {error}"

    def _sdp_traced(self, evse: Evse, request: SdpRequest, peer: Address) -> SdpResponse | None:
        answer = self._sdp_answer(evse, request, peer)
        if answer is not None and self._tracer is not None:
            now = time.monotonic()
            self._tracer.discovered(evse.endpoint.evse_id, peer, sdp.encode(request), sdp.encode(answer), now)
        return answer

    def _sdp_answer(self, evse: Evse, request: SdpRequest, peer: Address) -> SdpResponse | None:
        if self.resting:
            evse.turn_away(peer, _SDP_REQUEST, self.resting, NO_NEW_SESSION, logging.INFO)
            return None
        refusal = self._refusal(evse, peer)
        if refusal is not None:
            if refusal:
                evse.turn_away(peer, _SDP_REQUEST, refusal)
            return None
        evse.turned_away.pop((_SDP_REQUEST, peer.host), None)
        if self._is_stranger(evse, peer):
            evse.log.note(
                logging.WARNING,
                "SDP request of %s not answered: the vehicle at the EVSE is %s, possible spoofing",
                peer,
                evse.active.peer_address if evse.active is not None else None,
                code=SPOOFING,
            )
            return None
        plain, tls = evse.plain_address, evse.tls_address
        if plain is not None and (tls is None or request.security is Security.NONE):
            return SdpResponse(host=IPv6Address(plain.host), port=plain.port, security=Security.NONE)
        if tls is None:
            raise NetworkError(f"{evse.endpoint.evse_id}: not listening")
        return SdpResponse(host=IPv6Address(tls.host), port=tls.port, security=Security.TLS)

    # ---- connections ----

    def accept(self, evse: Evse, secured: bool, protocol: StreamProtocol, transport: asyncio.Transport) -> None:
        """Called for every TCP connection: refuse it, or see it through in a task."""
        transport.pause_reading()
        peer = address_of(transport.get_extra_info("peername") or ("::", 0))
        reason = code = None
        if self._closing:
            reason = "the charging station shuts down"
        elif self.resting:
            evse.turn_away(peer, "connection", self.resting, NO_NEW_SESSION, logging.INFO)
            transport.abort()
            return
        elif (refusal := self._refusal(evse, peer)) is not None:
            evse.turn_away(peer, "connection", refusal or "it is not known yet")
            transport.abort()
            return
        elif evse.active is not None:
            reason = f"the EVSE is busy with {evse.active.peer_address}"
            if self._is_stranger(evse, peer):
                reason, code = f"{reason}, at another address: possible spoofing", SPOOFING
        if reason is not None:
            evse.log.note(logging.WARNING, "connection of %s closed: %s", peer, reason, code=code)
            transport.abort()
            return
        if len(evse.handshakes) >= evse.endpoint.max_connections:
            # Whoever connects and stays silent must not keep a vehicle out.
            oldest, idle = next(iter(evse.handshakes.items()))
            evse.log.note(
                logging.WARNING,
                "connection of %s closed: %d connections are open already, and it is the oldest without a session",
                address_of(idle.get_extra_info("peername") or ("::", 0)),
                len(evse.handshakes),
            )
            self._drop(evse, oldest)
        tls = evse.endpoint.tls if secured else None
        task = asyncio.get_running_loop().create_task(
            self._serve(evse, protocol, transport, tls, time.monotonic()), name=f"{evse.endpoint.evse_id} / {peer}"
        )
        self._tasks.add(task)
        evse.handshakes[task] = transport
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda done: evse.handshakes.pop(done, None))

    @staticmethod
    def _is_stranger(evse: Evse, peer: Address) -> bool:
        """On a cable there is one vehicle: while it has a session, nobody else speaks on the EVSE's link."""
        return evse.active is not None and evse.active.peer_address.host != peer.host

    @staticmethod
    def _drop(evse: Evse, task: asyncio.Task[None]) -> None:
        """End a connection that has no session yet; its task may not even have begun."""
        transport = evse.handshakes.pop(task)
        task.cancel()
        transport.abort()

    async def _serve(
        self,
        evse: Evse,
        protocol: StreamProtocol,
        transport: asyncio.Transport,
        tls: TlsEndpoint | ssl.SSLContext | None,
        accepted_at: float,
    ) -> None:
        peer = address_of(transport.get_extra_info("peername") or ("::", 0))
        connection: SeccConnection | None = None
        try:
            connection = await self._establish(evse, protocol, transport, tls, accepted_at)
            await self._see_through(evse, connection)
        except (OSError, Iso15118Error) as error:
            evse.log.note(logging.WARNING, "connection of %s failed: %s", peer, str(error) or type(error).__name__)
        except Exception as error:
            evse.log.note(logging.ERROR, "connection of %s failed: internal error", peer, exc_info=error)
        finally:
            if connection is None:
                (protocol.transport or transport).abort()

    async def _see_through(self, evse: Evse, connection: SeccConnection) -> None:
        current = asyncio.current_task()
        if current is not None:
            evse.handshakes.pop(current, None)
        evse.active = connection
        try:
            await self._run_owner(connection)
            await connection.closed()
        finally:
            connection.cut()
            evse.active = None
            if connection.tap is not None:
                connection.tap.ended(connection.machine.session.session_id)
            if any(connection.machine.session.session_id):
                # Whoever set up a session is at the connector now: an earlier vehicle's pause is over.
                evse.keep(connection.machine.paused)

    async def _establish(
        self,
        evse: Evse,
        protocol: StreamProtocol,
        transport: asyncio.Transport,
        tls: TlsEndpoint | ssl.SSLContext | None,
        accepted_at: float,
    ) -> SeccConnection:
        endpoint = evse.endpoint
        if tls is not None:
            transport = protocol.transport = await secure(
                transport,
                protocol,
                tls,
                server_side=True,
                patience_s=min(HANDSHAKE_S, endpoint.config.timers.setup_s),
                shutdown_s=TLS_SHUTDOWN_S,
                workers=self._workers,
            )
            await self._check_chain(endpoint, transport, tls)
        if evse.active is not None:
            raise NetworkError("another vehicle was quicker")
        if self.resting:
            raise NetworkError(self.resting)
        machine = SeccMachine(
            endpoint.config,
            random=secrets.token_bytes,
            unix_offset_s=time.time() - time.monotonic(),
            peer_certificate=peer_certificate(transport) if tls is not None else None,
            certified_name=certified_name(endpoint.profile, transport),
            paused=evse.resumable(),
        )
        connection = SeccConnection(machine, protocol, transport, profile=endpoint.profile if tls is not None else None)
        connection.endpoint = endpoint
        connection.handshake_s = time.monotonic() - accepted_at if tls is not None else None
        machine.start(accepted_at)
        if self._tracer is not None:
            connection.tap = self._tracer.opened(
                endpoint.evse_id, connection.peer_address, connection.local_address, secured=tls is not None
            )
        connection.begin()
        if tls is None:
            transport.resume_reading()
        return connection

    async def _check_chain(
        self, endpoint: Endpoint, transport: asyncio.Transport, tls: TlsEndpoint | ssl.SSLContext
    ) -> None:
        """Where the TLS library could not do it during the handshake. Beside the loop, as that."""
        trust, connection = getattr(tls, "trust", None), transport.get_extra_info("ssl_object")
        if trust is not None and isinstance(connection, TlsObject):
            check = partial(check_connection, endpoint.profile, connection, trust)
            await asyncio.get_running_loop().run_in_executor(self._workers, check)

    async def _run_owner(self, connection: SeccConnection) -> None:
        name = f"{connection.endpoint.evse_id} / {connection.peer_address}"
        try:
            await self._on_session(connection)
            connection.abort("the session's owner left")
        except asyncio.CancelledError:
            connection.abort("the charging station shuts down")
            raise
        except Exception as error:
            log.exception("%s: the session's owner failed", name)
            connection.abort(f"the session's owner failed: {error}")
