"""Who is connected to whom, by what all tell: hops and islands. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping


def graph(links_of: Mapping[str, Iterable[str]]) -> Mapping[str, frozenset[str]]:
    """Links hold both ways if either end tells of them. Nodes that only others tell of are in it too."""
    edges: dict[str, set[str]] = {node: set() for node in links_of}
    for node, others in links_of.items():
        for other in others:
            edges[node].add(other)
            edges.setdefault(other, set()).add(node)
    return {node: frozenset(others) for node, others in edges.items()}


def hops_from(start: str, edges: Mapping[str, Collection[str]]) -> Mapping[str, int]:
    """Links to each node that is reached from ``start``, by the shortest way; itself 0."""
    hops = {start: 0}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        for other in sorted(edges.get(node, ())):
            if other not in hops:
                hops[other] = hops[node] + 1
                waiting.append(other)
    return hops


def islands(nodes: Iterable[str], edges: Mapping[str, Collection[str]]) -> tuple[tuple[str, ...], ...]:
    """The nodes by what is connected, the largest island first; who has no link is one of its own."""
    left = dict.fromkeys(sorted(nodes))
    found = []
    while left:
        reached = hops_from(next(iter(left)), edges)
        found.append(tuple(node for node in left if node in reached))
        left = {node: None for node in left if node not in reached}
    return tuple(sorted(found, key=lambda island: (-len(island), island)))
