"""Standing orders kept across a restart: ``<state_dir>/orders.json``, written whole at every change.

Times are kept as Unix time, since CLOCK_MONOTONIC starts anew with each boot. What cannot be read, has run out, or
contradicts the clock (a clock that went back) is dropped and said: no order means no power.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from v2g.clock import Clock
from v2g.dispatch.orders import Mode, Order
from v2g.host.files import replace_file
from v2g.host.kept import Kept, decode_kept

RETRY_S = 5.0
_MAX_FILE_BYTES = 1 << 20
_SHIFTED_S = 1.0
"""A clock that was put right by more makes the kept times wrong."""


class _KeptOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: int
    mode: Mode
    power_w: Annotated[float, msgspec.Meta(ge=0)]
    evse_id: str | None
    created_unix_s: float
    expires_unix_s: float
    by: str
    begins_unix_s: float | None = None
    """None: when it was given."""


class _Kept(Kept, frozen=True, kw_only=True, forbid_unknown_fields=True):
    next_id: int
    orders: tuple[_KeptOrder, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """``problem`` says in words what was dropped and why, or is empty."""

    orders: tuple[Order, ...] = ()
    next_id: int = 1
    problem: str = ""


class OrderStore:
    """The file. Written to a temporary and renamed into place, so that it is either the old one or the new one."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._saved: tuple[int, tuple[Order, ...]] | None = None
        self._saved_shift_s = 0.0
        self._problem = ""
        self._retry_at_s = -math.inf

    def load(self) -> Restored:
        """The orders that still stand. Never raises: an unreadable file gives no order and says so."""
        try:
            with self._path.open("rb") as file:
                kept = decode_kept(file.read(_MAX_FILE_BYTES), _Kept)
        except FileNotFoundError:
            return Restored()
        except (OSError, msgspec.MsgspecError) as error:
            return Restored(problem=f"{self._path} cannot be read, its orders are dropped: {error}")
        now_s, unix_s = self._clock.monotonic_s(), self._clock.unix_s()
        standing = [order for order in kept.orders if order.created_unix_s <= unix_s < order.expires_unix_s]
        early = [order.id for order in kept.orders if order.created_unix_s > unix_s]
        return Restored(
            orders=tuple(
                Order(
                    id=order.id,
                    mode=order.mode,
                    power_w=order.power_w,
                    evse_id=order.evse_id,
                    created_at_s=now_s - (unix_s - order.created_unix_s),
                    expires_at_s=now_s + (order.expires_unix_s - unix_s),
                    begins_at_s=now_s + ((order.begins_unix_s or order.created_unix_s) - unix_s),
                    by=order.by,
                )
                for order in standing
            ),
            next_id=kept.next_id,
            problem=f"the clock is before the orders {early} were given: dropped" if early else "",
        )

    @property
    def problem(self) -> str:
        """Why the last orders could not be kept; empty when they were."""
        return self._problem

    def save(self, orders: Iterable[Order], next_id: int) -> None:
        """Keep these. Does nothing when neither they nor the clock changed since the last call.

        Where they cannot be written, :attr:`problem` says why, and each later call tries again, once a
        ``RETRY_S``: orders stand without a file,
        and a full disk is no reason to stop the cycle at it ten times a second.
        """
        orders = tuple(orders)
        now_s = self._clock.monotonic_s()
        if now_s < self._retry_at_s:
            return
        shift_s = self._clock.unix_s() - self._clock.monotonic_s()
        if self._saved == (next_id, orders) and abs(shift_s - self._saved_shift_s) <= _SHIFTED_S:
            self._problem = ""
            return
        kept = _Kept(
            next_id=next_id,
            orders=tuple(
                _KeptOrder(
                    id=order.id,
                    mode=order.mode,
                    power_w=order.power_w,
                    evse_id=order.evse_id,
                    created_unix_s=order.created_at_s + shift_s,
                    expires_unix_s=order.expires_at_s + shift_s,
                    begins_unix_s=max(order.begins_at_s, order.created_at_s) + shift_s,
                    by=order.by,
                )
                for order in orders
            ),
        )
        try:
            replace_file(self._path, msgspec.json.encode(kept) + b"\n")
        except OSError as error:
            self._problem = f"orders cannot be kept across a restart: {error}"
            self._retry_at_s = now_s + RETRY_S
            return
        self._problem = ""
        self._saved, self._saved_shift_s = (next_id, orders), shift_s
