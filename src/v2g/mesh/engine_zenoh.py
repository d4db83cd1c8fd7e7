"""The wire of a mesh by Eclipse Zenoh: one session a node, as a router, with links to configured neighbours alone.

Routers pass on what others publish; multicast and gossip are off, so that nothing is found that was not named. Links
are TLS with certificates both ways, and access control lets members' messages of this network through and nothing
else. It works per hop: a neighbour passes on what it likes, hence the signed envelopes.

Facts of zenoh 1.10: over TLS a neighbour is dialled by host name or IPv4 address, not by an IPv6 literal; a
certificate of the right authority makes a link whatever its name, and access control then passes nothing; revocation
lists are not looked at when a link is made.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from v2g.clock import Clock
from v2g.mesh.ports import EngineCounts, EngineError, LinkStatus, OnMessage

if TYPE_CHECKING:
    import zenoh

MOST_KEYS: Final = 4096
PER_KEY: Final = 4
"""Of each key so many messages wait for the event loop at most, the oldest goes first: a loop that is late takes the
latest states of all, and nobody's flood takes another's place."""
LARGEST_BYTES: Final = 65_536
_LOOK_EVERY_S: Final = 0.25
_CLOSE_S: Final = 2.0
_MESSAGES: Final = (
    "put",
    "declare_subscriber",
    "liveliness_token",
    "declare_liveliness_subscriber",
    "liveliness_query",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """``address``: a locator to dial, ``tls/host:port``; empty: it dials us."""

    node: str
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZenohSettings:
    """``listen``: locators like ``tls/[::]:7447``. ``members``: common names whose messages pass.

    ``prefix``: under which all keys of this mesh are.
    """

    node: str
    prefix: str
    listen: tuple[str, ...]
    neighbours: tuple[Neighbour, ...]
    certificate: Path
    key: Path
    ca: Path
    members: frozenset[str]
    lease_s: float = 1.0


class ZenohEngine:
    """An :class:`v2g.mesh.ports.Engine`. Zenoh's threads hand over to the event loop; nothing here waits for them."""

    def __init__(self, settings: ZenohSettings, clock: Clock) -> None:
        self.counts = EngineCounts()
        self._settings = settings
        self._clock = clock
        self._session: zenoh.Session | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_message: OnMessage | None = None
        self._waiting: dict[str, deque[bytes]] = {}
        self._woken = False
        self._alive: set[str] = set()
        self._links: dict[str, tuple[str, bool, float | None]] = {
            each.node: (each.address, False, None) for each in settings.neighbours
        }
        self._looked_at_s = -_LOOK_EVERY_S
        self._keys: tuple[str, ...] = ()
        self._kept: list[Any] = []
        self._token: Any = None
        self._put: Callable[[str, bytes], None] | None = None

    async def start(self, keys: tuple[str, ...], on_message: OnMessage) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._keys = keys
        session = await asyncio.to_thread(self._open)
        self._session = session

    async def renew(self) -> None:
        """A node that was stopped for longer than the lease, or whose links came and went, may not be sent everything
        any more although its links are up (zenoh 1.10, meshes with more than one way); to subscribe anew helps."""
        session = self._session
        if session is not None:
            with contextlib.suppress(Exception):
                await asyncio.to_thread(self._declare, session)

    async def close(self) -> None:
        session, self._session = self._session, None
        self._on_message = self._put = None
        if session is None:
            return
        self._kept.clear()
        self._token = None
        closing = asyncio.get_running_loop().run_in_executor(None, _close, session)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(closing), _CLOSE_S)

    def publish(self, key: str, payload: bytes) -> None:
        if self._session is None or self._put is None or len(payload) > LARGEST_BYTES:
            self.counts.unsent += 1
            return
        try:
            self._put(key, payload)
        except Exception:  # zenoh's own error type has no other base, and what is lost is sent again
            self.counts.unsent += 1
            return
        self.counts.sent += 1
        self.counts.sent_bytes += len(payload)

    def links(self) -> tuple[LinkStatus, ...]:
        now_s = self._clock.monotonic_s()
        if self._session is not None and now_s - self._looked_at_s >= _LOOK_EVERY_S:
            self._looked_at_s = now_s
            self._look(self._session, now_s)
        members = self._settings.members
        return tuple(
            LinkStatus(
                node=node if node in members else "",
                address=address if node in members else f"{address} ({node}, no member)",
                up=up,
                since_s=since_s,
            )
            for node, (address, up, since_s) in self._links.items()
        )

    def alive(self) -> frozenset[str]:
        return frozenset(self._alive)

    def _look(self, session: zenoh.Session, now_s: float) -> None:
        try:
            present = {str(link.auth_identifier or link.zid): str(link.dst) for link in session.info.links()}
        except Exception:  # the session ends meanwhile
            return
        for node in present.keys() | self._links.keys():
            address, was_up, since_s = self._links.get(node, ("", False, None))
            up = node in present
            if up != was_up:
                since_s = now_s
            self._links[node] = (address or present.get(node, ""), up, since_s)

    def _open(self) -> zenoh.Session:
        import zenoh

        settings = self._settings
        for path in (settings.certificate, settings.key, settings.ca):
            try:
                path.read_bytes()
            except OSError as error:
                raise EngineError(f"mesh: {path} cannot be read: {error.strerror}; install it") from None
        try:
            session = zenoh.open(zenoh.Config.from_json5(json.dumps(configuration(settings))))
        except Exception as error:
            raise EngineError(f"mesh: no Zenoh session on {', '.join(settings.listen)}: {_reason(error)}") from None
        try:
            self._declare(session)
            # A token that came and went would look like a death to the others: it is never declared anew.
            self._token = session.liveliness().declare_token(f"{settings.prefix}/alive/{settings.node}")
        except Exception as error:
            _close(session)
            raise EngineError(f"mesh: {_reason(error)}") from None
        self._put = partial(
            session.put,
            congestion_control=zenoh.CongestionControl.DROP,
            priority=zenoh.Priority.INTERACTIVE_HIGH,
            express=True,
        )
        return session

    def _declare(self, session: zenoh.Session) -> None:
        """Subscribe, or do it anew. What comes between is lost, as any message may be."""
        before, self._kept = self._kept, []
        for each in before:
            each.undeclare()
        for key in self._keys:
            self._kept.append(session.declare_subscriber(key, self._on_sample))
        tokens = f"{self._settings.prefix}/alive/*"
        self._kept.append(session.liveliness().declare_subscriber(tokens, self._on_token, history=True))

    def _on_sample(self, sample: zenoh.Sample) -> None:
        payload = sample.payload.to_bytes()
        key = str(sample.key_expr)
        waiting = self._waiting.get(key)
        if waiting is None and len(self._waiting) < MOST_KEYS and len(payload) <= LARGEST_BYTES:
            waiting = self._waiting.setdefault(key, deque(maxlen=PER_KEY))
        if waiting is None or len(payload) > LARGEST_BYTES:
            self.counts.dropped += 1
            return
        self.counts.dropped += len(waiting) == PER_KEY
        waiting.append(payload)
        loop = self._loop
        if not self._woken and loop is not None:
            self._woken = True
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        self._woken = False
        # Zenoh's threads go on meanwhile, into a new table.
        table, self._waiting = self._waiting, {}
        for key, waiting in table.items():
            for payload in tuple(waiting):
                self.counts.received += 1
                self.counts.received_bytes += len(payload)
                if self._on_message is not None:
                    self._on_message(key, payload)

    def _on_token(self, sample: zenoh.Sample) -> None:
        node = str(sample.key_expr).rsplit("/", 1)[-1]
        deleted = "DELETE" in str(sample.kind).upper()
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe((self._alive.discard if deleted else self._alive.add), node)


def _close(session: Any) -> None:
    session.close()


def configuration(settings: ZenohSettings) -> dict[str, Any]:
    """What Zenoh is told, as its JSON5 configuration has it."""
    certificate, key = str(settings.certificate), str(settings.key)
    return {
        "mode": "router",
        "listen": {"endpoints": list(settings.listen)},
        "connect": {
            "endpoints": [each.address for each in settings.neighbours if each.address],
            "timeout_ms": -1,
            "exit_on_failure": False,
        },
        "scouting": {"multicast": {"enabled": False}, "gossip": {"enabled": False}},
        "transport": {
            "link": {
                "protocols": ["tls"],
                "tx": {"lease": round(settings.lease_s * 1e3), "keep_alive": 4},
                "rx": {"max_message_size": 2 * LARGEST_BYTES},
                "tls": {
                    "root_ca_certificate": str(settings.ca),
                    "listen_certificate": certificate,
                    "listen_private_key": key,
                    "connect_certificate": certificate,
                    "connect_private_key": key,
                    "enable_mtls": True,
                    "verify_name_on_connect": True,
                    "close_link_on_expiration": True,
                },
            }
        },
        "access_control": {
            "enabled": True,
            "default_permission": "deny",
            "rules": [
                {
                    "id": "mesh",
                    "permission": "allow",
                    "flows": ["ingress", "egress"],
                    "key_exprs": [f"{settings.prefix}/**"],
                    "messages": list(_MESSAGES),
                }
            ],
            "subjects": [
                {
                    "id": "members",
                    "cert_common_names": sorted(settings.members - {settings.node}) or [settings.node],
                    "link_protocols": ["tls"],
                }
            ],
            "policies": [{"rules": ["mesh"], "subjects": ["members"]}],
        },
    }


def _reason(error: Exception) -> str:
    """Zenoh's errors carry source positions; their first part is for people."""
    return str(error).split(" at /", 1)[0].strip().rstrip(".") or type(error).__name__
