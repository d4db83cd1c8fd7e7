"""The wire of a mesh by Eclipse Zenoh: one session a node, as a router, with links to configured neighbours alone.

Routers pass on what others publish; multicast and gossip are off, so that nothing is found that was not named. Links
are TLS with certificates both ways, and access control lets members' messages of this network through and nothing
else. It works per hop: a neighbour passes on what it likes, hence the signed envelopes.

Facts of zenoh 1.10.2: over TLS a neighbour is dialled by host name or IPv4 address, not by an IPv6 literal; a
certificate of the right authority makes a link whatever its name, and access control then passes nothing either way;
it has no setting for revocation lists, so that a revoked certificate makes a link until it expires, and what is said
with it is for the envelopes to drop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable
from functools import partial
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

from v2g.clock import Clock
from v2g.mesh.ports import EngineCounts, EngineError, LinkStatus, OnMessage
from v2g.mesh.zenoh_config import LARGEST_BYTES, ZenohSettings, check, configuration, reason

if TYPE_CHECKING:
    import zenoh

T = TypeVar("T")
PER_KEY: Final = 4
"""Of each key so many messages wait for the event loop at most, the oldest goes first: a loop that is late takes the
latest states of all, and nobody's flood takes another's place."""
MOST_WAITING_BYTES: Final = 8 * 2**20
_LOOK_EVERY_S: Final = 0.25
_CLOSE_S: Final = 2.0
_TOKENS_S: Final = 1.0
_closing: Final = Lock()


class ZenohEngine:
    """An :class:`v2g.mesh.ports.Engine`. Zenoh's threads hand over to the event loop; nothing here waits for them.

    What is not published under a member's name is not handed over.
    """

    def __init__(self, settings: ZenohSettings, clock: Clock) -> None:
        self.counts = EngineCounts()
        self._settings = settings
        self._clock = clock
        self._session: zenoh.Session | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_message: OnMessage | None = None
        self._lock = Lock()
        self._waiting: dict[str, deque[bytes]] = {}
        self._waiting_bytes = 0
        self._woken = False
        self._alive: set[str] = set()
        self._links: dict[str, tuple[str, bool, float | None]] = {
            each.node: (each.address, False, None) for each in settings.neighbours
        }
        self._neighbours = frozenset(self._links)
        self._ends: dict[str, str] = {}
        self._looked_at_s = -_LOOK_EVERY_S
        self._keys: tuple[str, ...] = ()
        self._kept: list[Any] = []
        self._put: Callable[[str, bytes], None] | None = None

    async def start(self, keys: tuple[str, ...], on_message: OnMessage) -> None:
        if self._loop is not None:
            raise EngineError("mesh: this wire was started already: make another")
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._keys = keys
        self._session = await _in_thread(self._open, unwanted=_close)

    async def renew(self) -> None:
        """A node that was stopped for longer than the lease, or whose links came and went, may not be sent everything
        any more, nor be seen alive by all, although its links are up (zenoh 1.10.2, meshes with more than one way).
        To subscribe anew helps, and a new token: it is away for a moment, shorter than anybody acts on."""
        session = self._session
        if session is None:
            return
        with contextlib.suppress(Exception):
            await _in_thread(partial(self._declare, session))
        with contextlib.suppress(Exception):
            found = await _in_thread(partial(self._tokens, session))
            if self._session is session:
                self._alive = found

    async def close(self) -> None:
        session, self._session = self._session, None
        self._on_message = self._put = None
        self._alive.clear()
        now_s = self._clock.monotonic_s()
        self._links = {
            node: (address, False, now_s if up else since_s) for node, (address, up, since_s) in self._links.items()
        }
        if session is None:
            return
        self._kept.clear()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(_in_thread(partial(_close, session)), _CLOSE_S)

    def publish(self, key: str, payload: bytes) -> None:
        if self._put is None or len(payload) > LARGEST_BYTES:
            self.counts.unsent += 1
            return
        try:
            _guarded(partial(self._put, key, payload))
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
            links = _guarded(session.info.links)
        except Exception:  # the session ends meanwhile
            return
        present = {str(link.auth_identifier or link.zid): str(link.dst) for link in links}
        ends = {str(link.auth_identifier or link.zid): f"{link.src} {link.dst}" for link in links}
        for node in present.keys() | self._links.keys():
            address, was_up, since_s = self._links.get(node, ("", False, None))
            up = node in present
            if not up and node not in self._neighbours:
                # Nobody whom we expect: strangers that come and go must not pile up.
                del self._links[node]
                continue
            if up != was_up or (up and ends[node] != self._ends.get(node)):
                # One that went and came between two looks is another.
                since_s = now_s
            self._links[node] = (address or present.get(node, ""), up, since_s)
        self._ends = ends

    def _open(self) -> zenoh.Session:
        import zenoh

        settings = self._settings
        check(settings)
        try:
            session = zenoh.open(zenoh.Config.from_json5(json.dumps(configuration(settings))))
        except Exception as error:
            raise EngineError(f"mesh: no Zenoh session on {', '.join(settings.listen)}: {reason(error)}") from None
        try:
            self._declare(session)
        except Exception as error:
            _close(session)
            raise EngineError(f"mesh: {reason(error)}") from None
        self._put = partial(
            session.put,
            congestion_control=zenoh.CongestionControl.DROP,
            priority=zenoh.Priority.INTERACTIVE_HIGH,
            express=False,  # several in a batch: as quick, and fewer are lost where cores are busy
        )
        return session

    @property
    def _all_tokens(self) -> str:
        return f"{self._settings.prefix}/alive/*"

    def _declare(self, session: zenoh.Session) -> None:
        """Subscribe and be seen, or do it anew. What comes between is lost, as any message may be."""
        before, self._kept = self._kept, []
        for each in before:
            each.undeclare()
        for key in self._keys:
            self._kept.append(session.declare_subscriber(key, self._on_sample))
        tokens = session.liveliness()
        self._kept.append(tokens.declare_subscriber(self._all_tokens, self._on_token, history=True))
        self._kept.append(tokens.declare_token(f"{self._settings.prefix}/alive/{self._settings.node}"))

    def _tokens(self, session: zenoh.Session) -> set[str]:
        """Who is alive now: a death between two subscriptions was told to neither."""
        replies = session.liveliness().get(self._all_tokens, timeout=_TOKENS_S)
        return {_name(str(reply.ok.key_expr)) for reply in replies if reply.ok is not None}

    def _on_sample(self, sample: zenoh.Sample) -> None:
        key = str(sample.key_expr)
        size = len(sample.payload)
        if _name(key) not in self._settings.members or size > LARGEST_BYTES:
            self.counts.dropped += 1
            return
        payload = sample.payload.to_bytes()
        with self._lock:
            waiting = self._waiting.setdefault(key, deque())
            if len(waiting) == PER_KEY:
                self._waiting_bytes -= len(waiting.popleft())
                self.counts.dropped += 1
            if self._waiting_bytes + size > MOST_WAITING_BYTES:
                self.counts.dropped += 1
                return
            waiting.append(payload)
            self._waiting_bytes += size
            woken, self._woken = self._woken, True
        if not woken:
            self._soon(self._hand_over)

    def _hand_over(self) -> None:
        with self._lock:
            self._woken = False
            table, self._waiting, self._waiting_bytes = self._waiting, {}, 0
        for key, waiting in table.items():
            for payload in waiting:
                self.counts.received += 1
                self.counts.received_bytes += len(payload)
                self._take(key, payload)

    def _take(self, key: str, payload: bytes) -> None:
        if self._on_message is None:
            return
        try:
            self._on_message(key, payload)
        except Exception as error:  # one message that is not understood must not take the others with it
            asyncio.get_running_loop().call_exception_handler({"message": f"mesh: {key}", "exception": error})

    def _on_token(self, sample: zenoh.Sample) -> None:
        deleted = "DELETE" in str(sample.kind).upper()
        node = _name(str(sample.key_expr))
        if node in self._settings.members:
            self._soon(partial(self._take_token, node, deleted))

    def _take_token(self, node: str, deleted: bool) -> None:
        if deleted:
            self._alive.discard(node)
        elif self._on_message is not None:
            self._alive.add(node)

    def _soon(self, work: Callable[[], None]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(work)


def _name(key: str) -> str:
    return key.rsplit("/", 1)[-1]


def _close(session: Any) -> None:
    """Several sessions of one process that close at the same moment make Zenoh 1.10.2 panic in its threads."""
    alone = _closing.acquire(timeout=_CLOSE_S)
    try:
        session.close()
    finally:
        if alone:
            _closing.release()


def _guarded(work: Callable[[], T]) -> T:
    """A panic inside Zenoh is no ``Exception`` of Python's, and would pass everybody who expects one."""
    try:
        return work()
    except (Exception, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise EngineError(f"mesh: Zenoh failed: {reason(error)}") from None


async def _in_thread(work: Callable[[], T], unwanted: Callable[[T], None] | None = None) -> T:
    """In a thread that nobody waits for at the end of the process: a wire that hangs must not hold it up.

    ``unwanted``: what is done, in the thread, with a result that nobody waits for any more.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(done: Callable[[], None], else_: Callable[[], None]) -> None:
        if not future.done():
            done()
        else:
            Thread(target=else_, name="mesh", daemon=True).start()

    def run() -> None:
        try:
            result = _guarded(work)
        except Exception as error:
            done, else_ = partial(future.set_exception, error), _nothing
        else:
            done = partial(future.set_result, result)
            else_ = partial(unwanted, result) if unwanted is not None else _nothing
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(deliver, done, else_)

    Thread(target=run, name="mesh", daemon=True).start()
    return await future


def _nothing() -> None:
    return None
