"""Where a station's processor time goes: clocks around the doors between its parts, while it works."""

from __future__ import annotations

import functools
import ssl
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from pyiso15118 import exi
from pyiso15118.aio.driver import Connection
from pyiso15118.secc import SeccMachine

clock = time.perf_counter_ns


class Costs:
    """Own time of each part in s: what a part called of another part is taken from it."""

    def __init__(self) -> None:
        self.own_s: defaultdict[str, float] = defaultdict(float)
        self._within: list[int] = []
        self._price_ns = 0

    def begin(self) -> None:
        self._put(ssl.SSLObject, "TLS", "read", "write", "pending")
        self._put(exi, "decode", "decode")
        self._put(exi, "encode", "encode")
        self._put(SeccMachine, "machine", "receive_data", "command", "handle_timer", "next_deadline", "next_event",
                  "data_to_send")  # fmt: skip
        self._put(Connection, "driver", "data_received", "command", "_timer_fired", "_timer_confirmed")

        self._price_ns = self._empty_call_ns()

    def _empty_call_ns(self) -> int:
        """What a clock adds to the part that calls through it, beside what it measures."""
        own_s, self.own_s = self.own_s, defaultdict(float)
        calls = 20_000
        empty = self._timed("", lambda: None)
        prices = []
        for _ in range(9):
            began = clock()
            for _ in range(calls):
                empty()
            prices.append((clock() - began) / calls)
        self.own_s = own_s
        return int(min(prices))

    def _put(self, owner: Any, part: str, *names: str) -> None:
        for name in names:
            setattr(owner, name, self._timed(part, getattr(owner, name)))

    def _timed(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        within = self._within

        @functools.wraps(call)
        def timed(*args: Any, **named: Any) -> Any:
            within.append(0)
            began = clock()
            try:
                return call(*args, **named)
            finally:
                took = clock() - began
                inner = within.pop()
                self.own_s[part] += (took - inner) * 1e-9
                if within:
                    within[-1] += took + self._price_ns

        return timed
