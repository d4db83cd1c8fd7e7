"""The vehicle: connects to a SECC that was discovered and runs an EVCC machine on the stream."""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
import time

from pyiso15118.aio.driver import TLS_SHUTDOWN_S, Connection, StreamProtocol, peer_certificate
from pyiso15118.aio.network import Address, NetworkError
from pyiso15118.aio.preparation import prepare_codec
from pyiso15118.aio.tls_stream import secure
from pyiso15118.commands import VehicleState
from pyiso15118.evcc import EvccConfig, EvccMachine
from pyiso15118.paused import PausedSession
from pyiso15118.protocols import protocol_of
from pyiso15118.security.profile import TlsEndpoint, TlsProfile
from pyiso15118.security.tls import check_context

EvccConnection = Connection[EvccMachine]


async def connect(
    address: Address,
    config: EvccConfig,
    *,
    tls: TlsEndpoint | ssl.SSLContext | None,
    profile: TlsProfile = TlsProfile.STRICT,
    vehicle: VehicleState | None = None,
    paused: PausedSession | None = None,
) -> EvccConnection:
    """Connect and begin the session. ``tls`` None: plain TCP, a test mode. ``vehicle``: its first state, may follow.
    ``paused``: the session to go on with, if the SECC is the one that paused it.

    Raises :class:`NetworkError` if the SECC cannot be reached, :class:`TlsError` if its certificate or cipher is
    outside the profile, and :class:`LocalProtocolError` for a context of another profile and a vehicle that cannot be.
    """
    if tls is not None:
        check_context(profile, tls, server_side=False)
    await prepare_codec(map(protocol_of, config.services), sends="Req")
    started_at = time.monotonic()
    protocol = StreamProtocol()
    sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        async with asyncio.timeout(config.timers.setup_s):
            transport = await _open(sock, address, protocol, tls, config.timers.setup_s)
    except TimeoutError:
        sock.close()
        raise NetworkError(f"no connection to {address} within {config.timers.setup_s:g} s") from None
    except (OSError, ssl.SSLError) as error:
        sock.close()
        raise NetworkError(f"no connection to {address}: {error}") from error
    except BaseException:
        sock.close()
        raise
    machine = EvccMachine(
        config,
        random=secrets.token_bytes,
        unix_offset_s=time.time() - time.monotonic(),
        peer_certificate=peer_certificate(transport),
        paused=paused,
    )
    try:
        connection = Connection(machine, protocol, transport, profile=profile if tls is not None else None)
        connected_at = time.monotonic()
        if vehicle is not None:
            machine.command(vehicle, connected_at)
        machine.start(connected_at, plugged_in_at=started_at)
    except BaseException:
        transport.abort()
        raise
    connection.begin()
    return connection


async def _open(
    sock: socket.socket,
    address: Address,
    protocol: StreamProtocol,
    tls: TlsEndpoint | ssl.SSLContext | None,
    patience_s: float,
) -> asyncio.Transport:
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, address.sockaddr())
    plain, _ = await loop.create_connection(lambda: protocol, sock=sock)
    if tls is None:
        return plain
    try:
        transport = await secure(
            plain, protocol, tls, server_side=False, patience_s=patience_s, shutdown_s=TLS_SHUTDOWN_S
        )
    except BaseException:
        plain.abort()
        raise
    protocol.transport = transport
    return transport
