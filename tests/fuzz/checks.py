"""What must hold for any input at all, and the failure that says it did not."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

from pyiso15118 import exi
from pyiso15118.exi.codec import document_grammar, fragment_grammar
from pyiso15118.exi.compiler import decoder_of
from pyiso15118.exi.declarations import Struct
from pyiso15118.exi.runtime import READ_BITS, Malformed
from support.cost import counted

MEMORY_PER_BYTE = 128
MEMORY_AT_LEAST = 64 * 1024
"""Bytes a decoder may hold at its peak: so many for each byte of input, and these for any. A list of the smallest
records costs about 60 for each of its bytes; a length field that were believed would cost 2**32."""
MOVES_PER_BIT = 2 * READ_BITS
"""How often a decoder may move each bit of its input on average: a constant, so that time is linear."""


class Finding(Exception):
    """A property that did not hold."""


def require(holds: bool, what: str) -> None:
    """Raise :class:`Finding` unless ``holds``; unlike ``assert`` also under ``-O``."""
    if not holds:
        raise Finding(what)


class Sampler:
    """Runs the costly checks on every ``period``-th input, and keeps count of what was seen."""

    def __init__(self, period: int) -> None:
        self.period = period
        self.inputs = 0
        self.done = 0
        self.counts: Counter[str] = Counter()
        self.peak_bytes = 0
        self.moves_per_bit = 0.0

    def figures(self) -> dict[str, float]:
        """What was seen: inputs accepted and refused, and the worst of the samples."""
        return {**self.counts, "peak_bytes": self.peak_bytes, "moves_per_bit": self.moves_per_bit}

    def due(self) -> bool:
        """Whether this input is one of those looked at closely."""
        self.inputs += 1
        return self.inputs % self.period == 0

    def memory(self, read: Callable[[], Any], size: int, refusals: tuple[type[Exception], ...]) -> None:
        """Require that reading ``size`` bytes holds no more memory than it may."""
        tracemalloc.start()
        try:
            read()
        except refusals:
            pass
        finally:
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        self.counts["memory samples"] += 1
        self.peak_bytes = max(self.peak_bytes, peak)
        allowed = MEMORY_AT_LEAST + MEMORY_PER_BYTE * size
        require(peak <= allowed, f"{peak} bytes held for {size} bytes of input, {allowed} are allowed")

    def moves(self, namespace: str, data: bytes, fragment: bool) -> None:
        """Require that decoding moves no bit more often than it may."""
        moved = bits_moved(namespace, data, fragment)
        self.counts["cost samples"] += 1
        share = moved / (8 * max(len(data), 1))
        self.moves_per_bit = max(self.moves_per_bit, share)
        require(share <= MOVES_PER_BIT, f"each bit moved {share:.0f} times, {MOVES_PER_BIT} are allowed")


def bits_moved(namespace: str, data: bytes, fragment: bool = False) -> int:
    """The work of decoding ``data``, counted in bits, so that no clock decides."""
    grammar = fragment_grammar(namespace) if fragment else document_grammar(namespace)
    p = 8 * len(data) - 8 - grammar.width
    moved = [0]
    x = counted(int.from_bytes(data), moved)
    if p < 0 or data[0] != 0x80:
        return 0
    try:
        _, cls = grammar.start(int(x) >> p & (1 << grammar.width) - 1)
        decoder_of(cls)(x, p)
    except (Malformed, ValueError):
        pass
    return moved[0]


def root_of(namespace: str, data: bytes, fragment: bool) -> str:
    """The element that stands first in ``data``, which has been decoded already."""
    grammar = fragment_grammar(namespace) if fragment else document_grammar(namespace)
    code = int.from_bytes(data) >> 8 * len(data) - 8 - grammar.width & (1 << grammar.width) - 1
    name, _ = grammar.start(code)
    return name


def check_exi(sampler: Sampler, namespace: str, data: bytes, *, fragment: bool = False) -> None:
    """Bytes decode to a message that encoding and decoding give back, or are refused by :class:`exi.ExiError`."""
    decode = exi.decode_fragment if fragment else exi.decode

    def encode(message: Struct) -> bytes:
        if fragment:
            return exi.encode_fragment(message, namespace, root_of(namespace, data, fragment))
        return exi.encode(message, namespace)

    if sampler.due():
        sampler.memory(lambda: decode(namespace, data), len(data), (exi.ExiError,))
        sampler.moves(namespace, data, fragment)
    try:
        message = decode(namespace, data)
    except exi.ExiError as error:
        require(error.bit is not None and 0 <= error.bit <= 8 * len(data), f"refused at bit {error.bit}")
        sampler.counts["refused"] += 1
        return
    sampler.counts["accepted"] += 1
    encoded = encode(message)
    again = decode(namespace, encoded)
    require(again == message, f"decodes to {message}, which encodes to {encoded.hex()} and decodes to {again}")
    require(encode(again) == encoded, f"{encoded.hex()} is no fixed point of decoding and encoding")
