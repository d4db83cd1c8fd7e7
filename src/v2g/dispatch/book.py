"""The orders that stand: a bounded book. Time is an argument."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Final

from v2g.dispatch.orders import Mode, Order

_MOST_POWER_W: Final = 100e6


class OrderError(ValueError):
    """An order that cannot be taken. The message names what is wrong and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A new order and the one of the same target that it replaced, if any."""

    order: Order
    replaced: Order | None


class OrderBook:
    """At most one order for each EVSE and one for the whole site.

    A new order replaces the standing one of the same target, which does not come back when the new one ends. Ids
    count up from ``first_id`` and are never used twice.
    """

    def __init__(self, *, capacity: int = 512, longest_s: float = 86_400.0, first_id: int = 1) -> None:
        self._capacity = capacity
        self._longest_s = longest_s
        self._next_id = first_id
        self._by_target: dict[str | None, Order] = {}

    def add(
        self, *, mode: Mode, power_w: float, evse_id: str | None, duration_s: float, by: str, now_s: float
    ) -> Added:
        """Take an order of ``power_w`` (magnitude in W; ignored for idle) for ``duration_s`` from ``now_s``.

        ``evse_id`` None means all vehicles that have no order of their own. Raises :class:`OrderError`.
        """
        if mode is Mode.IDLE:
            power_w = 0.0
        elif not (isfinite(power_w) and 0.0 < power_w <= _MOST_POWER_W):
            raise OrderError(
                f"power of {power_w:g} W: give a magnitude above 0 and up to {_MOST_POWER_W / 1e6:g} MW"
                + ("; mode idle means 0 W" if power_w == 0.0 else "")
            )
        if not (isfinite(duration_s) and 0.0 < duration_s <= self._longest_s):
            raise OrderError(f"duration of {duration_s:g} s: give more than 0 and at most {self._longest_s / 3600:g} h")
        if not isfinite(now_s):
            raise OrderError(f"time of {now_s} s is not a time")
        self.expire(now_s)
        replaced = self._by_target.get(evse_id)
        if replaced is None and len(self._by_target) >= self._capacity:
            raise OrderError(f"{self._capacity} orders stand already: cancel some, or order the whole site")
        order = Order(
            id=self._next_id,
            mode=mode,
            power_w=power_w,
            evse_id=evse_id,
            created_at_s=now_s,
            expires_at_s=now_s + duration_s,
            by=by[:200],
        )
        self._next_id += 1
        self._by_target[evse_id] = order
        return Added(order=order, replaced=replaced)

    @property
    def next_id(self) -> int:
        """The id of the next order."""
        return self._next_id

    def restore(self, orders: Iterable[Order], next_id: int) -> None:
        """Take up where another book left off; of two orders of one target the newer stands."""
        for order in sorted(orders, key=lambda order: order.id):
            self._by_target[order.evse_id] = order
        self._next_id = max([self._next_id, next_id, *(order.id + 1 for order in self._by_target.values())])

    def cancel(self, order_id: int | None) -> tuple[Order, ...]:
        """Take back one order, or all with None. Returns those that stood; empty if the id is not among them."""
        gone = tuple(o for o in self._sorted() if order_id is None or o.id == order_id)
        for order in gone:
            del self._by_target[order.evse_id]
        return gone

    def expire(self, now_s: float) -> tuple[Order, ...]:
        """Drop and return the orders whose time is over."""
        gone = tuple(o for o in self._sorted() if not now_s < o.expires_at_s)
        for order in gone:
            del self._by_target[order.evse_id]
        return gone

    def standing(self, now_s: float) -> tuple[Order, ...]:
        """The orders that hold at ``now_s``, oldest first."""
        return tuple(o for o in self._sorted() if now_s < o.expires_at_s)

    def __len__(self) -> int:
        return len(self._by_target)

    def _sorted(self) -> list[Order]:
        return sorted(self._by_target.values(), key=lambda order: order.id)
