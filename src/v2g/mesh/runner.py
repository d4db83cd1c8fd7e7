"""A node, its wire, and where it is a region's gateway the north: composed and kept going. Shell of the mesh.

Used alike by the controller and by the simulation's light nodes. A wire that cannot be had does not stop its owner: it
is tried again, and meanwhile nobody is heard, so everybody counts with the worst.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from v2g.clock import Clock
from v2g.mesh.gateway import Gatekeeper, Role
from v2g.mesh.node import Facts, MeshNode, Outgoing, Verdict
from v2g.mesh.ports import Engine, EngineError, LinkStatus
from v2g.mesh.region import region_cap, region_facts
from v2g.mesh.trust import Trust

RETRY_S: Final = 10.0
RENEW_S: Final = 5.0
MOST_RENEWALS: Final = 4
LONGEST_PAUSE: Final = 12
"""Times :data:`RENEW_S`, between two while members stay missing: they may be down."""
PING_WAIT_S: Final = 2.0
SILENT_S: Final = 30.0
"""A wire that brings nothing for so long, not even back to us what we say, is made anew."""
SETTLE_S: Final = 1.0
"""A link that came back has been up so long when we say anew what we listen to."""
LONGEST_REST_S: Final = 600.0
"""Between two wires that are made anew since somebody is linked and silent: it may be its program that hangs."""
_POLL_S: Final = 0.01


class Log(Protocol):
    """As :class:`v2g.telemetry.logs.EventLog`."""

    def info(self, code: str, text: str = "", /, **fields: object) -> None: ...

    def warning(self, code: str, text: str = "", /, **fields: object) -> None: ...

    def error(self, code: str, text: str = "", /, **fields: object) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """One mesh that a node is in: how its machine and its wire are made. ``keys``: what it listens to."""

    make_node: Callable[[], MeshNode]
    make_engine: Callable[[], Engine]
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class North:
    """Of a gateway: the mesh above, the group that its region is, and all gateways of the region in their order."""

    half: Half
    group: str
    gateways: tuple[str, ...]


class _Wired:
    """One half at work."""

    def __init__(self, half: Half, clock: Clock, log: Log) -> None:
        self._half = half
        self._clock = clock
        self._log = log
        self._engine: Engine | None = None
        self._task: asyncio.Task[None] | None = None
        self.node = half.make_node()
        self.problem = ""
        self._came_at_s = 0.0
        self._spoke_at_s: dict[str, float] = {}
        self._rest_s = 0.0
        self._made_at_s = 0.0

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._keep(), name="mesh")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.close()

    @property
    def engine(self) -> Engine | None:
        return self._engine

    def links(self) -> tuple[LinkStatus, ...]:
        return self._engine.links() if self._engine is not None else ()

    def alive(self) -> frozenset[str]:
        return self._engine.alive() if self._engine is not None else frozenset()

    def step(self, facts: Facts, now_s: float, measured_w: Mapping[str, float]) -> None:
        self.send(self.node.step(facts, self.links(), now_s, self._clock.unix_s(), measured_w))

    def send(self, outgoing: Sequence[Outgoing]) -> None:
        if self._engine is not None:
            for each in outgoing:
                self._engine.publish(each.key, each.payload)

    async def _keep(self) -> None:
        while True:
            engine = self._half.make_engine()
            try:
                await engine.start(self._half.keys, self._on_message)
            except EngineError as error:
                await engine.close()
                if str(error) != self.problem:
                    self.problem = str(error)
                    self._log.error("MESH_DOWN", f"{error}; tried again every {RETRY_S:g} s")
                await asyncio.sleep(RETRY_S)
                continue
            self._engine, self.problem = engine, ""
            self._came_at_s = self._made_at_s = self._clock.monotonic_s()
            roster = self.node.roster
            name = f"{roster.network}/{roster.region}" if roster.region else roster.network
            words = f"{self.node.voice} is in {name} with {len(roster.members)} members"
            self._log.info("MESH_START", words, node=self.node.voice, network=name)
            self.problem = await self._until_ill(engine)
            self._engine = None
            self._log.error("MESH_DOWN", f"{self.problem}; it is made anew")
            await engine.close()

    async def _until_ill(self, engine: Engine) -> str:
        """Why the wire is to be made anew. Members that are missing are looked for by subscribing anew first."""
        renewals, next_at_s = 0, self._clock.monotonic_s() + RENEW_S
        links_since_s: dict[str, float | None] = {}
        came_back_at_s: float | None = None
        while True:
            await asyncio.sleep(1.0)
            now_s = self._clock.monotonic_s()
            if now_s - self._came_at_s >= SILENT_S:
                return f"the wire brought nothing for {SILENT_S:g} s"
            links = [link for link in engine.links() if link.up]
            for link in links:
                if links_since_s.setdefault(link.node, link.since_s) != link.since_s:
                    links_since_s[link.node] = came_back_at_s = link.since_s
            if came_back_at_s is not None and now_s - came_back_at_s >= SETTLE_S:
                came_back_at_s = None
                await engine.renew()
                continue
            missing = self._missing(now_s) if links else frozenset()
            if not missing:
                renewals = 0
                next_at_s = max(next_at_s, now_s + RENEW_S)
                if now_s - self._made_at_s >= LONGEST_REST_S:
                    self._rest_s = 0.0
                continue
            if now_s < next_at_s:
                continue
            settled = {link.node for link in links if link.since_s is not None and now_s - link.since_s > RENEW_S}
            beside = sorted(missing & settled)
            if beside and renewals >= MOST_RENEWALS and now_s - self._made_at_s >= self._rest_s:
                self._rest_s = min(2.0 * max(self._rest_s, SILENT_S), LONGEST_REST_S)
                return f"{', '.join(beside)} is linked and not heard"
            await engine.renew()
            renewals += 1
            next_at_s = self._clock.monotonic_s() + RENEW_S * min(renewals, LONGEST_PAUSE)

    def _missing(self, now_s: float) -> frozenset[str]:
        """Of whom nothing at all arrives. Whose states come and are not believed is not missing on the wire."""
        spoke = {voice for voice, at_s in self._spoke_at_s.items() if now_s - at_s < RENEW_S}
        return self.node.missing(now_s) - spoke

    def _on_message(self, key: str, payload: bytes) -> None:
        self._came_at_s = now_s = self._clock.monotonic_s()
        voice = key.rsplit("/", 1)[-1]
        if "/state/" in key and self.node.roster.member_of(voice) is not None:
            self._spoke_at_s[voice] = now_s
        self.send(self.node.receive(key, payload, now_s, self._clock.unix_s()))


class MeshRunner:
    """:meth:`start` and :meth:`close` in the event loop, :meth:`step` about ten times a second."""

    def __init__(self, half: Half, north: North | None, clock: Clock, log: Log) -> None:
        self._clock = clock
        self._log = log
        self._own = _Wired(half, clock, log)
        self._north_plan = north
        self._north: _Wired | None = None
        self._closing: set[asyncio.Task[None]] = set()
        voice = self._own.node.voice
        self._gatekeeper = Gatekeeper(voice, north.gateways) if north is not None else None
        self.role = Role.NONE if north is None else Role.STANDBY
        self._tokens = 0

    @property
    def node(self) -> MeshNode:
        return self._own.node

    @property
    def north(self) -> MeshNode | None:
        """Of a live gateway."""
        return self._north.node if self._north is not None else None

    @property
    def engine(self) -> Engine | None:
        return self._own.engine

    @property
    def problem(self) -> str:
        """Why a wire is not there; empty: it is."""
        return self._own.problem or (self._north.problem if self._north is not None else "")

    def links(self) -> tuple[LinkStatus, ...]:
        """In the own mesh, then in the north."""
        return self._own.links() + (self._north.links() if self._north is not None else ())

    async def start(self) -> None:
        """Returns at once; the wire comes when it can."""
        self._own.start()

    async def close(self) -> None:
        halves = [self._own, *([self._north] if self._north is not None else [])]
        self._north = None
        await asyncio.gather(*(half.close() for half in halves), *self._closing)

    def step(self, facts: Facts, measured_w: Mapping[str, float] | None = None) -> None:
        """``measured_w``: of a head, the flows of groups by its own meters."""
        now_s = self._clock.monotonic_s()
        self._own.step(facts, now_s, measured_w or {})
        if self._gatekeeper is not None and self._north_plan is not None:
            self._keep_gate(self._gatekeeper, self._north_plan, now_s)
        for node in (self.node, self.north):
            for event in node.events() if node is not None else ():
                getattr(self._log, event.level)(event.code, event.words, **event.fields)

    def trust_anew(self, trust: Trust) -> None:
        """Authorities or revocations have changed."""
        for node in (self.node, self.north):
            if node is not None:
                node.opener.trust_anew(trust)

    def verdict(self) -> Verdict:
        return self.node.verdict(self._clock.monotonic_s())

    async def ping(self, to: str, wait_s: float = PING_WAIT_S) -> float | None:
        """Seconds to a node and back; None: no answer."""
        self._tokens += 1
        token = self._tokens
        began_s = self._clock.monotonic_s()
        self._own.send((self.node.ping(to, token, self._clock.unix_s()),))
        while self._clock.monotonic_s() - began_s < wait_s:
            if (back_s := self.node.pongs.pop(token, None)) is not None:
                return back_s - began_s
            await asyncio.sleep(_POLL_S)
        return None

    def _keep_gate(self, gatekeeper: Gatekeeper, plan: North, now_s: float) -> None:
        heard_at_s = {each.voice: each.at_s for each in self.node.book.all_heard() if each.fresh(now_s)}
        if heard_at_s or len(self.node.roster.members) == 1:
            role = gatekeeper.step(now_s, self._own.alive(), heard_at_s)
        else:
            # Who hears nobody of its region cannot speak for it; another of its gateways may.
            role = Role.STANDBY
        if role is not self.role:
            self._tell_role(role)
            self.role = role
        if role is Role.LIVE and self._north is None:
            self._north = _Wired(plan.half, self._clock, self._log)
            self._north.start()
        elif role is not Role.LIVE and self._north is not None:
            task = asyncio.get_running_loop().create_task(self._north.close(), name="north closes")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            self._north = None
            self.node.clear_cap(plan.group)
        if self._north is None:
            return
        group = self.node.roster.groups[plan.group]
        self._north.step(region_facts(self.node, group, now_s), now_s, {})
        cap = region_cap(group, self._north.node.verdict(now_s))
        self.node.set_cap(cap, self._clock.unix_s() + self.node.settings.valid_s)

    def _tell_role(self, role: Role) -> None:
        words = {
            Role.LIVE: "we speak for the region in the north now",
            Role.STANDBY: "we do not speak for the region: another gateway does, or we hear nobody of it",
            Role.NONE: "we are no gateway",
        }[role]
        self._log.info("MESH_GATEWAY", words, role=role.value)
