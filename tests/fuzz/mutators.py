"""Mutators for what libFuzzer's own, which think in bytes, seldom get past: bit-packed messages and JSON."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

Mutator = Callable[[bytes, int, int], bytes]
"""``(data, max_size, seed) -> data``."""

ODD_VALUES = (
    *(None, True, False, 0, -1, 1, 31, 127, 128, 255, 256, 2**31, 2**32, 2**63, 2**64, 2**70, 0.5, 1e308),
    *("", "OK", "0", "é", "\ud800", "\0", "00", "AA==", "a" * 300, [], {}, [[]], {"": None}),
)


def bitwise(
    mutate: Callable[[bytes, int], bytes], prefix: int, rewrite: Callable[[random.Random, bytes], bytes | None]
) -> Mutator:
    """Change content, bits or bytes; the first ``prefix`` bytes stay where they are when it is bits.

    ``mutate`` is libFuzzer's own, which thinks in bytes: after an insertion the rest of a message is noise. ``rewrite``
    gives the message with other content, or None where the data is no message.
    """

    def custom(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        choice = rng.random()
        if choice < 0.4:
            changed = rewrite(rng, data)
            if changed is not None and len(changed) <= max_size:
                return changed
        if len(data) <= prefix + 1 or choice > 0.7:
            return mutate(data, max_size)
        total = 8 * (len(data) - prefix)
        x = int.from_bytes(data[prefix:])
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            x, total = _change_bits(rng, x, total)
        x, total = x << -total % 8, total + -total % 8
        return (data[:prefix] + x.to_bytes(total // 8))[:max_size]

    return custom


def _change_bits(rng: random.Random, x: int, total: int) -> tuple[int, int]:
    if not total:
        return rng.getrandbits(8), 8
    place = rng.randrange(total + 1)
    low = x & (1 << place) - 1
    kind = rng.randrange(5)
    width = rng.choice((1, 1, 2, 3, 4, 7, 8, 9, 16, 32))
    if kind == 0:
        return x ^ rng.getrandbits(width) << max(place - width, 0), max(total, width)
    if kind == 1:
        return (x >> place << width | rng.getrandbits(width)) << place | low, total + width
    if kind == 2 and place >= width:
        return x >> place << place - width | low & (1 << place - width) - 1, total - width
    if kind == 3:
        span = rng.randrange(1, min(total, 400) + 1)
        start = rng.randrange(total - span + 1)
        copied = x >> start & (1 << span) - 1
        times = rng.choice((1, 1, 1, 2, 8, 40))
        for _ in range(times):
            low, place = low | copied << place, place + span
        return x >> place - span * times << place | low, total + span * times
    ones = (1 << width) - 1 if rng.random() < 0.5 else 0
    return x & ~(((1 << width) - 1) << place) | (ones << place if place + width <= total else 0), total


def json_tree(mutate: Callable[[bytes, int], bytes], prefix: int, words: list[str]) -> Mutator:
    """Change a JSON value somewhere in its tree, or let libFuzzer change its bytes."""

    def custom(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.4:
            return mutate(data, max_size)
        try:
            tree = json.loads(data[prefix:])
        except (ValueError, RecursionError):
            return mutate(data, max_size)
        for _ in range(rng.choice((1, 1, 2, 4))):
            tree = change_tree(rng, tree, words)
        try:
            changed = data[:prefix] + json.dumps(tree).encode()
        except RecursionError:
            return mutate(data, max_size)
        return changed if len(changed) <= max_size else mutate(data, max_size)

    return custom


def change_tree(rng: random.Random, tree: Any, words: list[str]) -> Any:
    """Another tree, of dictionaries, lists and values; what is given stays as it is."""
    if not isinstance(tree, (dict, list)) or not tree or rng.random() < 0.1:
        return _odd_value(rng, tree, words)
    keys = list(tree) if isinstance(tree, dict) else range(len(tree))
    key = rng.choice(keys)
    changed = tree.copy()
    action = rng.random()
    if action < 0.7:
        changed[key] = change_tree(rng, tree[key], words)
    elif action < 0.8:
        del changed[key]
    elif isinstance(changed, list):
        changed[key:key] = [tree[key]] * rng.choice((1, 2, 9, 33))
    elif action < 0.9:
        changed[rng.choice(words)] = changed.pop(key)
    else:
        changed[rng.choice(words)] = tree[rng.choice(keys)]
    return changed


def _odd_value(rng: random.Random, value: Any, words: list[str]) -> Any:
    choice = rng.randrange(5)
    if choice == 0 and isinstance(value, str):
        place = rng.randrange(len(value) + 1)
        return value[:place] + rng.choice(("", "=", "A", "0", "é", "\ud800", value)) + value[place + rng.randrange(3) :]
    if choice == 1 and type(value) is int:
        return value + rng.choice((-1, 1, -256, 2 ** rng.randrange(70)))
    if choice == 2:
        return [value] * rng.randrange(3)
    if choice == 3:
        return rng.choice(words)
    if choice == 4 and rng.random() < 0.1:
        for _ in range(rng.choice((3, 900, 960, 975, 985, 990))):
            value = [value]
        return value
    return rng.choice(ODD_VALUES)
