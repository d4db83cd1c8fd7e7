"""A wire in memory for tests and trials: named nodes and links between them that are late, lossy, doubling or cut.

Routed hop by hop like Zenoh's: each message goes once over each link of the shortest tree from its sender to all who
hear its key, so that who lies behind a lossy link loses the same messages. Deterministic: time comes as an argument,
chance by a generator that is given.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from math import inf
from random import Random

from v2g.mesh.ports import EngineCounts, EngineError, LinkStatus, OnMessage


@dataclass(slots=True, kw_only=True)
class Wire:
    """One direction of a link; may be changed at any time. Seconds; ``loss`` and ``doubled``: 0..1, of all messages.

    ``reorders``: a message may overtake another, by the jitter; else each waits for the one before it.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    doubled: float = 0.0
    reorders: bool = False
    last_due_s: float = -inf


@dataclass(slots=True)
class _Link:
    ends: tuple[str, str]
    there: Wire
    back: Wire
    up: bool = True
    since_s: float = 0.0

    def wire(self, start: str) -> Wire:
        return self.there if start == self.ends[0] else self.back


class MemoryEngine:
    """One node's end. Made by :meth:`MemoryNet.node`; an :class:`~v2g.mesh.ports.Engine`."""

    def __init__(self, net: MemoryNet, node: str) -> None:
        self.node = node
        self.counts = EngineCounts()
        self.keys: tuple[str, ...] = ()
        self.on_message: OnMessage | None = None
        self._net = net

    @property
    def open(self) -> bool:
        return self.on_message is not None

    async def start(self, keys: tuple[str, ...], on_message: OnMessage) -> None:
        """Raises :class:`EngineError`: it is started already."""
        self.join(keys, on_message)

    async def renew(self) -> None:
        """This wire forgets nothing."""

    async def close(self) -> None:
        self.leave()

    def join(self, keys: tuple[str, ...], on_message: OnMessage) -> None:
        """:meth:`start` without a loop."""
        if self.open:
            raise EngineError(f"{self.node} is started already: close it first")
        self.keys, self.on_message = keys, on_message
        self._net.changed(self.node)

    def leave(self) -> None:
        """Its links are down until it joins again, and what is on the way through it is lost."""
        if self.open:
            self.keys, self.on_message = (), None
            self._net.changed(self.node)

    def publish(self, key: str, payload: bytes) -> None:
        if not self.open:
            self.counts.unsent += 1
            return
        self.counts.sent += 1
        self.counts.sent_bytes += len(payload)
        self._net.publish(self.node, key, payload)

    def links(self) -> tuple[LinkStatus, ...]:
        return self._net.links_of(self.node)

    def alive(self) -> frozenset[str]:
        """Those that live links lead to, not itself."""
        return self._net.reached(self.node) - {self.node}

    def hears(self, key: str) -> bool:
        return any(key == own or (own.endswith("**") and key.startswith(own[:-2])) for own in self.keys)


class MemoryNet:
    """:meth:`advance` delivers. What is published is on its way from then on."""

    def __init__(self, random: Random, now_s: float = 0.0) -> None:
        self.now_s = now_s
        self.crossings = 0
        """Messages that went over a link, doubles too."""
        self._random = random
        self._engines: dict[str, MemoryEngine] = {}
        self._links: dict[tuple[str, str], _Link] = {}
        self._due: list[tuple[float, int, float, str, str, str, str, bytes]] = []
        self._order = count()
        self._trees: dict[str, dict[str, tuple[str, ...]]] = {}

    def node(self, name: str) -> MemoryEngine:
        """The same for the same name."""
        if name not in self._engines:
            self._engines[name] = MemoryEngine(self, name)
        return self._engines[name]

    def link(self, one: str, other: str, there: Wire | None = None, back: Wire | None = None) -> None:
        """A link that is up. Raises ``ValueError`` for one that there is, or from a node to itself."""
        ends = _ends(one, other)
        if one == other or ends in self._links:
            raise ValueError(f"{one} and {other}: a link that there is already, or to itself")
        self.node(one), self.node(other)
        self._links[ends] = _Link((one, other), there or Wire(), back or Wire(), since_s=self.now_s)
        self._trees.clear()

    def wire(self, start: str, end: str) -> Wire:
        """One direction. Raises ``KeyError`` where there is no such link."""
        return self._links[_ends(start, end)].wire(start)

    def set_up(self, one: str, other: str, up: bool) -> None:
        """What is on the way over a link that goes down is lost. Raises ``KeyError`` where there is no such link."""
        link = self._links[_ends(one, other)]
        if link.up != up:
            link.up, link.since_s = up, self.now_s
            self._trees.clear()

    def split(self, *islands: Iterable[str]) -> None:
        """Links between two islands are down, all others up. Who is not named is alone."""
        of = {node: number for number, island in enumerate(islands) for node in island}
        for one, other in self._links:
            self.set_up(one, other, of.get(one, one) == of.get(other, other))

    def heal(self) -> None:
        for one, other in self._links:
            self.set_up(one, other, True)

    def advance(self, now_s: float) -> None:
        """Delivers all that is due until then, in order of time; answers of receivers at once are on their way too.
        Raises ``ValueError`` where time would go backwards."""
        if now_s < self.now_s:
            raise ValueError(f"time goes backwards: from {self.now_s:g} to {now_s:g} s")
        while self._due and self._due[0][0] <= now_s:
            due_s, _, sent_s, source, before, at, key, payload = heappop(self._due)
            self.now_s = max(self.now_s, due_s)
            engine = self._engines[at]
            if not self._is_up(before, at) or self._links[_ends(before, at)].since_s > sent_s:
                continue
            self._forward(source, at, key, payload)
            if engine.on_message is not None and engine.hears(key):
                engine.counts.received += 1
                engine.counts.received_bytes += len(payload)
                engine.on_message(key, payload)
        self.now_s = now_s

    def publish(self, node: str, key: str, payload: bytes) -> None:
        self._forward(node, node, key, payload)

    def links_of(self, node: str) -> tuple[LinkStatus, ...]:
        return tuple(
            LinkStatus(node=other, address=f"memory/{other}", up=self._is_up(*link.ends), since_s=link.since_s)
            for link in self._links.values()
            for other in link.ends
            if node in link.ends and other != node
        )

    def reached(self, node: str) -> frozenset[str]:
        """All that live links lead to, itself too; nobody from a node that is closed."""
        return frozenset(self._tree(node)) if self._engines[node].open else frozenset()

    def changed(self, node: str) -> None:
        """It joined or left."""
        for link in self._links.values():
            if node in link.ends:
                link.since_s = self.now_s
        self._trees.clear()

    def _is_up(self, one: str, other: str) -> bool:
        return self._links[_ends(one, other)].up and self._engines[one].open and self._engines[other].open

    def _forward(self, source: str, at: str, key: str, payload: bytes) -> None:
        for after in self._tree(source).get(at, ()):
            wire, random = self._links[_ends(at, after)].wire(at), self._random
            copies = 2 if wire.doubled and random.random() < wire.doubled else 1
            for _ in range(copies):
                if wire.loss and random.random() < wire.loss:
                    continue
                due_s = self.now_s + wire.delay_s + (random.uniform(0.0, wire.jitter_s) if wire.jitter_s else 0.0)
                if not wire.reorders:
                    wire.last_due_s = due_s = max(due_s, wire.last_due_s)
                self.crossings += 1
                heappush(self._due, (due_s, next(self._order), self.now_s, source, at, after, key, payload))

    def _tree(self, source: str) -> Mapping[str, tuple[str, ...]]:
        """From each node that is reached to those after it, by the fewest hops."""
        tree = self._trees.get(source)
        if tree is None:
            after: dict[str, list[str]] = {source: []}
            beside: dict[str, list[str]] = {}
            for one, other in self._links:
                if self._is_up(one, other):
                    beside.setdefault(one, []).append(other)
                    beside.setdefault(other, []).append(one)
            queue = deque([source])
            while queue:
                at = queue.popleft()
                for neighbour in sorted(beside.get(at, ())):
                    if neighbour not in after:
                        after[neighbour] = []
                        after[at].append(neighbour)
                        queue.append(neighbour)
            tree = self._trees[source] = {node: tuple(nodes) for node, nodes in after.items()}
        return tree


def _ends(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)
