"""One EVSE on its interface: what it is reached by, and what is going on there."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from dataclasses import dataclass, field

from pyiso15118 import sdp
from pyiso15118.aio.discovery import SdpServer
from pyiso15118.aio.driver import Connection
from pyiso15118.aio.network import Address
from pyiso15118.aio.quietlog import QuietLog
from pyiso15118.errors import LocalProtocolError
from pyiso15118.paused import PausedSession
from pyiso15118.secc import SeccConfig, SeccMachine
from pyiso15118.security.profile import TlsEndpoint, TlsProfile
from pyiso15118.security.tls import check_context

NOT_MATCHED = "PLC_NOT_MATCHED"
NO_NEW_SESSION = "NO_NEW_SESSION"
TELL_AGAIN_S = 60.0
_MOST_TOLD = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where one EVSE is reached.

    A session belongs to the EVSE whose socket it arrived on, never to what the vehicle claims. ``sdp_port`` None: no
    discovery. TCP port 0: a free one of 49152..65535, as the standard has it; some vehicles refuse others. ``host``
    overrides the interface's link-local address (``::1`` on the loopback).
    ``tls`` None needs ``allow_plain``, a test mode; with both, vehicles that ask for no TLS are sent to ``plain_port``.
    ``keep_paused_s``: how long a vehicle may resume a session that it paused; 0: never.
    ``max_connections`` counts TLS handshakes; one more ends the oldest of them. ``tls`` must have been made for
    ``profile`` by :func:`pyiso15118.security.server_context`; raises :class:`LocalProtocolError` otherwise.
    """

    config: SeccConfig
    interface: str
    sdp_port: int | None = sdp.PORT
    tcp_port: int = 0
    plain_port: int = 0
    host: str | None = None
    tls: TlsEndpoint | ssl.SSLContext | None = None
    profile: TlsProfile = TlsProfile.STRICT
    allow_plain: bool = False
    max_connections: int = 4
    keep_paused_s: float = 86_400.0

    def __post_init__(self) -> None:
        if self.tls is None and not self.allow_plain:
            raise LocalProtocolError(f"{self.evse_id}: no TLS context given and plain TCP, a test mode, is not allowed")
        if self.tls is not None:
            try:
                check_context(self.profile, self.tls, server_side=True)
            except LocalProtocolError as error:
                raise LocalProtocolError(f"{self.evse_id}: {error}") from None

    @property
    def evse_id(self) -> str:
        """Of its configuration."""
        return self.config.evse_id


class SeccConnection(Connection[SeccMachine]):
    """A vehicle's session at one EVSE."""

    endpoint: Endpoint
    handshake_s: float | None = None
    """From the accepted connection to the end of the TLS handshake and the check of the chain; None: no TLS."""

    @property
    def paused(self) -> PausedSession | None:
        """After ``SessionEnded(PAUSED)``: what the vehicle may resume; None where nothing is left to."""
        return self.machine.paused


@dataclass(slots=True)
class Evse:
    """An endpoint at work. ``active`` until both the stream is closed and its owner has finished.

    ``handshakes``: connections that have no session yet, the oldest first. ``paused`` may be resumed until
    ``paused_until``, in monotonic seconds. ``turned_away``: whose SDP request or connection, why, and when it was told.
    """

    endpoint: Endpoint
    log: QuietLog
    servers: list[asyncio.Server] = field(default_factory=list)
    sdp_server: SdpServer | None = None
    tls_address: Address | None = None
    plain_address: Address | None = None
    problem: str | None = None
    handshakes: dict[asyncio.Task[None], asyncio.Transport] = field(default_factory=dict)
    active: SeccConnection | None = None
    paused: PausedSession | None = None
    paused_until: float = 0.0
    turned_away: dict[tuple[str, str], tuple[str, float]] = field(default_factory=dict)

    def keep(self, paused: PausedSession | None, for_s: float | None = None) -> None:
        """``for_s`` None, or longer than the endpoint keeps any: as long as that."""
        longest_s = self.endpoint.keep_paused_s
        kept_s = longest_s if for_s is None else min(for_s, longest_s)
        self.paused = paused if kept_s > 0 else None
        self.paused_until = time.monotonic() + kept_s

    def resumable(self) -> PausedSession | None:
        return self.paused if time.monotonic() < self.paused_until else None

    def turn_away(
        self, peer: Address, what: str, reason: str, code: str = NOT_MATCHED, level: int = logging.WARNING
    ) -> None:
        """Say that ``what`` of ``peer`` was not answered: once, again when the reason is another or a minute old."""
        now, whose = time.monotonic(), (what, peer.host)
        told = self.turned_away.get(whose)
        if told is not None and told[0] == reason and now - told[1] < TELL_AGAIN_S:
            return
        if len(self.turned_away) >= _MOST_TOLD:
            self.turned_away.clear()
        self.turned_away[whose] = reason, now
        self.log.note(level, "%s of %s not answered: %s", what, peer, reason, code=code)
