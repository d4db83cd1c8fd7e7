"""Matched vehicles in the firewall's set of their link, for as long as they are linked.

The lock of ``v2g-tool firewall`` is root's, and kplc-driver is not. It needs none: each change is one transaction of
nft, which the kernel does whole or not at all, and this process makes one after the other. What is left is an apply
that reads the set just before a change here and writes it back just after: a vehicle that was admitted in between is
missing until the next refresh, and one that was withdrawn stays until its time is over. So the time is short,
``ADMIT_S``, and the refresh comes every ``REFRESH_S``. The same holds when this process dies.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Protocol

from v2g.host.firewall import admission
from v2g.host.firewall.nft import FirewallError, Nft
from v2g.host.firewall.words import WordError

ADMIT_S = 30.0
REFRESH_S = 8.0
RETRY_S = 2.0
STOP_WITHIN_S = 2.0


class Firewall(Protocol):
    """Blocking; both raise :class:`FirewallError` or :class:`WordError`."""

    def admit(self, interface: str, mac: str, for_s: float) -> None: ...

    def withdraw(self, interface: str, mac: str) -> None: ...


class NftFirewall:
    """By ``nft``, in the network namespace of this process. ``sets``: of :attr:`Plan.plc_sets`."""

    def __init__(self, sets: Mapping[str, str], make_nft: Callable[[], Nft] = Nft) -> None:
        self._sets = sets
        self._make_nft = make_nft

    def admit(self, interface: str, mac: str, for_s: float) -> None:
        admission.admit(self._make_nft(), contextlib.nullcontext(), self._sets, interface, mac, for_s)

    def withdraw(self, interface: str, mac: str) -> None:
        admission.withdraw(self._make_nft(), contextlib.nullcontext(), self._sets, interface, mac)


class Admission:
    """Brings the sets to what was wished last, one interface after the other, on a thread.

    ``interfaces``: the links that the firewall guards; of others nothing is done. ``on_problem(interface, problem)`` is
    called on the loop after each attempt; empty: it succeeded.
    """

    def __init__(self, interfaces: frozenset[str], firewall: Firewall, on_problem: Callable[[str, str], None]) -> None:
        self._interfaces = interfaces
        self._firewall = firewall
        self._on_problem = on_problem
        self._wished: dict[str, str | None] = {}
        self._there: dict[str, tuple[str, float]] = {}
        self._due: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._nobody = asyncio.Event()
        self._nobody.set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._interfaces and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="firewall admission")

    def wish(self, interface: str, mac: str | None) -> None:
        """Who is linked there now; None: nobody. Returns at once."""
        if interface in self._interfaces and self._wished.get(interface) != mac:
            self._wished[interface] = mac
            self._due[interface] = 0.0
            self._changed.set()

    async def close(self) -> None:
        """Withdraw everybody, within ``STOP_WITHIN_S``; what is left then runs out by itself."""
        for interface in self._wished:
            self.wish(interface, None)
        task, self._task = self._task, None
        if task is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_WITHIN_S):
                await self._nobody.wait()
        task.cancel()
        await asyncio.wait([task])

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            for interface in [one for one, due in self._due.items() if due <= loop.time()]:
                await self._bring(interface)
            pause_s = min(self._due.values(), default=loop.time() + REFRESH_S) - loop.time()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, pause_s)):
                    await self._changed.wait()

    async def _bring(self, interface: str) -> None:
        loop = asyncio.get_running_loop()
        wished = self._wished[interface]
        there, until = self._there.get(interface, (None, 0.0))
        problem = ""
        try:
            if there is not None and there != wished:
                await asyncio.to_thread(self._firewall.withdraw, interface, there)
                self._gone(interface)
        except (FirewallError, WordError) as error:
            problem = str(error)
            if loop.time() >= until:
                self._gone(interface)
        try:
            if wished is not None:
                self._nobody.clear()
                self._there[interface] = (wished, loop.time() + ADMIT_S)
                await asyncio.to_thread(self._firewall.admit, interface, wished, ADMIT_S)
                problem = ""
        except (FirewallError, WordError) as error:
            problem = str(error)
        if wished is not None:
            self._on_problem(interface, problem)
        elif not problem:
            self._on_problem(interface, "")
        if self._wished[interface] != wished:
            return
        if interface in self._there:
            self._due[interface] = loop.time() + (RETRY_S if problem else REFRESH_S)
        else:
            self._due.pop(interface, None)

    def _gone(self, interface: str) -> None:
        self._there.pop(interface, None)
        if not self._there:
            self._nobody.set()
