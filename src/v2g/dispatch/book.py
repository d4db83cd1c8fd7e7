"""The orders that stand: a bounded book. Time is an argument."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, isfinite
from typing import Final

from v2g.dispatch.orders import Mode, Order

_MOST_POWER_W: Final = 100e6
_LATEST_BEGIN_S: Final = 7 * 86_400.0


class OrderError(ValueError):
    """An order that cannot be taken. The message names what is wrong and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A new order and those of the same target that it replaced."""

    order: Order
    replaced: tuple[Order, ...] = ()


class OrderBook:
    """For each EVSE, and for the whole site, one order that stands, and those that are to begin later.

    A new order replaces the standing one of the same target, which does not come back when the new one ends, and
    likewise a scheduled order those of its target that are scheduled for a part of its time. Ids count up from
    ``first_id`` and are never used twice.
    """

    def __init__(self, *, capacity: int = 512, longest_s: float = 86_400.0, first_id: int = 1) -> None:
        self._capacity = capacity
        self._longest_s = longest_s
        self._next_id = first_id
        self._orders: dict[int, Order] = {}

    def add(
        self,
        *,
        mode: Mode,
        power_w: float,
        evse_id: str | None,
        duration_s: float,
        by: str,
        now_s: float,
        begins_in_s: float = 0.0,
    ) -> Added:
        """Take an order of ``power_w`` (magnitude in W; ignored for idle and auto) for ``duration_s`` from
        ``begins_in_s`` after ``now_s``.

        ``evse_id`` None means all vehicles that have no order of their own. Raises :class:`OrderError`.
        """
        if mode in (Mode.IDLE, Mode.AUTO):
            power_w = 0.0
        elif not (isfinite(power_w) and 0.0 < power_w <= _MOST_POWER_W):
            raise OrderError(
                f"power of {power_w:g} W: give a magnitude above 0 and up to {_MOST_POWER_W / 1e6:g} MW"
                + ("; mode idle means 0 W" if power_w == 0.0 else "")
            )
        if not (isfinite(duration_s) and 0.0 < duration_s <= self._longest_s):
            raise OrderError(f"duration of {duration_s:g} s: give more than 0 and at most {self._longest_s / 3600:g} h")
        if not (isfinite(begins_in_s) and 0.0 <= begins_in_s <= _LATEST_BEGIN_S):
            raise OrderError(
                f"a begin in {begins_in_s:g} s: give a time from now on, at most {_LATEST_BEGIN_S / 86_400:g} days away"
            )
        if not isfinite(now_s):
            raise OrderError(f"time of {now_s} s is not a time")
        self.expire(now_s)
        begins_at_s = now_s + begins_in_s
        order = Order(
            id=self._next_id,
            mode=mode,
            power_w=power_w,
            evse_id=evse_id,
            created_at_s=now_s,
            begins_at_s=begins_at_s,
            expires_at_s=begins_at_s + duration_s,
            by=by[:200],
        )
        replaced = tuple(other for other in self._orders.values() if _gives_way(other, order, now_s))
        if len(self._orders) - len(replaced) >= self._capacity:
            raise OrderError(f"{self._capacity} orders stand already: cancel some, or order the whole site")
        for other in replaced:
            del self._orders[other.id]
        self._next_id += 1
        self._orders[order.id] = order
        return Added(order=order, replaced=replaced)

    @property
    def next_id(self) -> int:
        """The id of the next order."""
        return self._next_id

    def restore(self, orders: Iterable[Order], next_id: int, now_s: float) -> None:
        """Take up where another book left off; of two orders of one target that stand at once the newer stands."""
        for order in sorted(orders, key=lambda order: order.id):
            for other in [other for other in self._orders.values() if _gives_way(other, order, now_s)]:
                del self._orders[other.id]
            self._orders[order.id] = order
        self._next_id = max([self._next_id, next_id, *(order_id + 1 for order_id in self._orders)])

    def cancel(self, order_id: int | None) -> tuple[Order, ...]:
        """Take back one order, or all with None. Returns those that stood; empty if the id is not among them."""
        gone = tuple(o for o in self._sorted() if order_id is None or o.id == order_id)
        for order in gone:
            del self._orders[order.id]
        return gone

    def expire(self, now_s: float) -> tuple[Order, ...]:
        """Drop and return the orders whose time is over, by the clock or because a scheduled one has begun."""
        begun: dict[str | None, float] = {}
        for order in self._orders.values():
            if order.begins_at_s <= now_s < order.expires_at_s:
                begun[order.evse_id] = max(order.begins_at_s, begun.get(order.evse_id, -inf))
        gone = tuple(
            order
            for order in self._sorted()
            # A scheduled one of its target has begun since, and takes its place.
            if not now_s < order.expires_at_s or order.begins_at_s < begun.get(order.evse_id, -inf)
        )
        for order in gone:
            del self._orders[order.id]
        return gone

    def standing(self, now_s: float) -> tuple[Order, ...]:
        """The orders that hold at ``now_s``, oldest first."""
        return tuple(o for o in self._sorted() if o.begins_at_s <= now_s < o.expires_at_s)

    def all(self, now_s: float) -> tuple[Order, ...]:
        """Those that hold at ``now_s``, and those that are to begin later."""
        return tuple(o for o in self._sorted() if now_s < o.expires_at_s)

    def __len__(self) -> int:
        return len(self._orders)

    def _sorted(self) -> list[Order]:
        return sorted(self._orders.values(), key=lambda order: order.id)


def _gives_way(other: Order, order: Order, now_s: float) -> bool:
    if other.evse_id != order.evse_id:
        return False
    if order.begins_at_s <= now_s:
        return other.begins_at_s <= now_s
    return (
        other.begins_at_s > now_s and other.begins_at_s < order.expires_at_s and order.begins_at_s < other.expires_at_s
    )
