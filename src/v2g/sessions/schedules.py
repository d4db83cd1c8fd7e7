"""The schedules that a vehicle in scheduled mode is offered, made of the plan of the day. Pure.

A schedule is an upper bound, within which the vehicle makes a profile of its own; what it gets at a moment is held
down in the charge loop. So a schedule leaves more room than the plan uses: in each slot the plan's power and
:data:`ALLOWANCE_PU` of the highest limit on top, in either direction, within the limits of that slot. By so much a
vehicle can be steered up at once; for more it has to negotiate anew, for less never.

Prices are levels and no money: nobody here makes a bill, and a currency would promise one. The levels rank the slots
by what the plan does in them, so that a vehicle that optimises by itself charges where the plan would, and gives back
where the plan needs it. EcoG's vehicle refuses a schedule without prices.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from pyiso15118.schedules import (
    ChargingSchedule,
    PowerSchedule,
    PowerSlot,
    PriceLevel,
    PriceLevels,
    ScheduleTuple,
    flat_schedule,
)
from v2g.planning.types import Plan

DAY_S = 86_400
"""A schedule reaches so far, or to a later departure ([V2G20-1563])."""
LONGEST_S = 3 * DAY_S
"""No plan reaches farther; a vehicle that stays longer gets its next schedule in time ([V2G20-1564])."""
MOST_SLOTS = 96
ALLOWANCE_PU = 0.1
MOST_SENT = 2**15 - 1
IDLE_W = 100.0
"""A plan with less than this does nothing with the vehicle."""
CHEAPEST, CHEAP, IDLE, DEAREST = range(4)
"""Price levels: the plan charges with more than half of its highest power, with less, not at all, discharges."""
LEVELS = 3
"""NumberOfPriceLevels: the highest that may stand in a slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerPlan:
    """What the plan has for one vehicle; step ``n`` lasts from ``starts_unix_s + n * step_s`` for ``step_s``.

    ``power_w`` is signed. ``charge_limit_w`` and ``discharge_limit_w`` are magnitudes: what the vehicle may have in
    that step at most, by ratings and headroom. Raises ValueError for series that are empty or of different length, for
    numbers that are none, and for negative limits.
    """

    starts_unix_s: float
    step_s: float
    power_w: tuple[float, ...]
    charge_limit_w: tuple[float, ...]
    discharge_limit_w: tuple[float, ...]

    def __post_init__(self) -> None:
        steps = len(self.power_w)
        if not steps or len(self.charge_limit_w) != steps or len(self.discharge_limit_w) != steps:
            raise ValueError("a power plan needs three series of the same length, of one step at least")
        limits = (*self.charge_limit_w, *self.discharge_limit_w)
        if not all(map(math.isfinite, (self.starts_unix_s, self.step_s, *self.power_w, *limits))):
            raise ValueError("a power plan has a value that is no number")
        if self.step_s < 1.0 or min(limits) < 0.0:
            raise ValueError("a power plan has a step below 1 s or a limit below 0 W")

    @classmethod
    def of(cls, plan: Plan, evse_id: str, charge_limit_w: float, discharge_limit_w: float) -> Self | None:
        """One vehicle's part of ``plan``, within constant limits; None where the plan has none for it."""
        found = next((vehicle for vehicle in plan.vehicles if vehicle.evse_id == evse_id), None)
        if plan.problem or found is None or not found.power_w:
            return None
        return cls(
            starts_unix_s=plan.starts_unix_s,
            step_s=plan.step_s,
            power_w=found.power_w,
            charge_limit_w=(charge_limit_w,) * len(found.power_w),
            discharge_limit_w=(discharge_limit_w,) * len(found.power_w),
        )

    @property
    def ends_unix_s(self) -> float:
        return self.starts_unix_s + self.step_s * len(self.power_w)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Within what a vehicle can be offered schedules. Magnitudes, W.

    ``charge_w`` and ``discharge_w``: what vehicle and EVSE can do; ``discharge_w`` None: nothing but charge.
    ``site_charge_w`` and ``site_discharge_w``: what the site permits at this moment. ``least_*_w``: below it the
    vehicle does nothing at all. ``rated_w``: of the EVSE.
    """

    charge_w: float
    discharge_w: float | None
    site_charge_w: float
    site_discharge_w: float
    least_charge_w: float = 0.0
    least_discharge_w: float = 0.0
    rated_w: float

    @property
    def closed(self) -> bool:
        """The site permits nothing now, in neither direction: no permit, which says nothing of the hours to come."""
        return self.site_charge_w <= 0.0 and self.site_discharge_w <= 0.0


@dataclass(frozen=True, slots=True)
class _Piece:
    duration_s: int
    power_w: float
    charge_w: float
    discharge_w: float

    def joined(self, other: _Piece) -> _Piece:
        """Both as one: the plan's energy stays, and no limit is passed."""
        seconds = self.duration_s + other.duration_s
        mean_w = (self.power_w * self.duration_s + other.power_w * other.duration_s) / seconds
        return _Piece(seconds, mean_w, min(self.charge_w, other.charge_w), min(self.discharge_w, other.discharge_w))


def planned_offer(
    plan: PowerPlan, room: Room, unix_s: float, *, departure_s: int | None = None, max_points: int = MOST_SLOTS + 1
) -> ScheduleTuple | None:
    """``plan`` from ``unix_s`` on as a schedule tuple; None where it is over by then.

    It lasts a day, or until ``departure_s`` seconds from now where that is later; the plan's last step goes on till
    then. ``max_points``: the most entries that the vehicle takes, 12..1024; a list that is exactly full is avoided,
    since libcbv2g misreads one. Slots that differ least are joined where there are too many.
    """
    pieces = _cut(plan, room, unix_s, _reach_s(departure_s))
    if not pieces:
        return None
    return _tuple(_coarse(pieces, min(MOST_SLOTS, max(1, max_points - 1))), room, int(unix_s))


def flat_offer(room: Room, unix_s: float | None, *, departure_s: int | None = None) -> ScheduleTuple:
    """One power for a day or until the departure, as far as vehicle, EVSE and site permit now.

    A site that permits nothing at all now has no permit; the schedule then is what it will be with one, and the loop
    says zero meanwhile. ``unix_s`` None: from when it is sent.
    """
    charge_w, discharge_w = room.charge_w, room.discharge_w
    if not room.closed:
        charge_w = min(charge_w, max(0.0, room.site_charge_w))
        discharge_w = None if discharge_w is None else min(discharge_w, max(0.0, room.site_discharge_w))
    return flat_schedule(
        _sent(charge_w),
        _reach_s(departure_s),
        0 if unix_s is None else int(unix_s),
        discharge_power_w=None if discharge_w is None else 0.0 - _sent(discharge_w),
    )


def differing_s(offered: ScheduleTuple, other: ScheduleTuple, unix_s: float, ahead_s: float, by_w: float) -> float:
    """For how many seconds of the coming ``ahead_s`` two offers differ by more than ``by_w`` in either direction."""
    total_s = 0.0
    for mine, theirs in (
        (offered.charging, other.charging),
        (offered.discharging, other.discharging),
    ):
        edges = sorted({unix_s, unix_s + ahead_s, *_edges((mine, theirs), unix_s, unix_s + ahead_s)})
        apart_s = sum(
            end - begin
            for begin, end in pairwise(edges)
            if abs(_power_at(mine, begin) - _power_at(theirs, begin)) > by_w
        )
        total_s = max(total_s, apart_s)
    return total_s


def coming(plan: PowerPlan, room: Room, unix_s: float, ahead_s: float) -> ScheduleTuple | None:
    """As :func:`planned_offer`, of the next ``ahead_s`` only and with all its slots."""
    pieces = _cut(plan, room, unix_s, math.ceil(ahead_s))
    return _tuple(pieces, room, int(unix_s)) if pieces else None


def _reach_s(departure_s: int | None) -> int:
    return min(LONGEST_S, max(DAY_S, departure_s or 0))


def _cut(plan: PowerPlan, room: Room, unix_s: float, reach_s: int) -> list[_Piece]:
    """From the whole second of ``unix_s`` for ``reach_s``, equal neighbours as one. Empty: the plan is over."""
    begin = int(unix_s)
    if begin >= plan.ends_unix_s:
        return []
    pieces: list[_Piece] = []
    last, at = len(plan.power_w) - 1, begin
    for n in range(max(0, int((begin - plan.starts_unix_s) // plan.step_s)), last + 1):
        end = begin + reach_s
        if n < last:
            end = min(end, math.floor(plan.starts_unix_s + (n + 1) * plan.step_s))
        if end <= at:
            continue
        piece = _Piece(
            end - at,
            plan.power_w[n],
            min(plan.charge_limit_w[n], room.charge_w),
            0.0 if room.discharge_w is None else min(plan.discharge_limit_w[n], room.discharge_w),
        )
        at = end
        if pieces and _alike(pieces[-1], piece):
            pieces[-1] = pieces[-1].joined(piece)
        else:
            pieces.append(piece)
    return pieces


def _alike(one: _Piece, other: _Piece) -> bool:
    mine = one.power_w, one.charge_w, one.discharge_w
    return mine == (other.power_w, other.charge_w, other.discharge_w)


def _coarse(pieces: list[_Piece], most: int) -> list[_Piece]:
    """At most so many: neighbours whose joining moves the least energy become one."""
    pieces = list(pieces)
    while len(pieces) > most:
        moved = [abs(a.power_w - b.power_w) * min(a.duration_s, b.duration_s) for a, b in pairwise(pieces)]
        n = moved.index(min(moved))
        pieces[n : n + 2] = [pieces[n].joined(pieces[n + 1])]
    return pieces


def _tuple(pieces: Sequence[_Piece], room: Room, begin: int) -> ScheduleTuple:
    charge_allowance_w = max(ALLOWANCE_PU * max(piece.charge_w for piece in pieces), room.least_charge_w)
    discharge_allowance_w = max(ALLOWANCE_PU * max(piece.discharge_w for piece in pieces), room.least_discharge_w)
    charging = [_sent(min(p.charge_w, max(0.0, p.power_w) + charge_allowance_w)) for p in pieces]
    discharging = [0.0 - _sent(min(p.discharge_w, max(0.0, -p.power_w) + discharge_allowance_w)) for p in pieces]
    seconds = [piece.duration_s for piece in pieces]
    top_w = max(piece.power_w for piece in pieces)
    levels = [_level(piece.power_w, top_w) for piece in pieces]
    return ScheduleTuple(
        id=1,
        charging=_schedule(seconds, charging, levels, begin, 1),
        discharging=None if room.discharge_w is None else _schedule(seconds, discharging, levels, begin, 2),
    )


def _sent(power_w: float) -> float:
    """A magnitude as it can be sent (15 bits and a power of ten), never more: what both sides know is then alike.
    Zero for what is no number."""
    if not math.isfinite(power_w):
        return 0.0
    unit = 1
    while power_w > MOST_SENT * unit:
        unit *= 10
    return float(math.floor(power_w / unit) * unit)


def _schedule(
    seconds: Sequence[int], powers: Sequence[float], levels: Sequence[int], begin: int, price_id: int
) -> ChargingSchedule:
    return ChargingSchedule(
        power=PowerSchedule(
            starts_at_unix_s=begin,
            slots=tuple(PowerSlot(duration_s=s, power_w=power) for s, power in _runs(seconds, powers)),
        ),
        prices=PriceLevels(
            starts_at_unix_s=begin,
            id=price_id,
            number_of_levels=LEVELS,
            slots=tuple(PriceLevel(duration_s=s, level=int(level)) for s, level in _runs(seconds, levels)),
        ),
    )


def _runs(seconds: Sequence[int], values: Sequence[float]) -> list[tuple[int, float]]:
    """Equal neighbours as one."""
    runs: list[tuple[int, float]] = []
    for duration_s, value in zip(seconds, values, strict=True):
        if runs and runs[-1][1] == value:
            runs[-1] = runs[-1][0] + duration_s, value
        else:
            runs.append((duration_s, value))
    return runs


def _level(power_w: float, top_w: float) -> int:
    if power_w < -IDLE_W:
        return DEAREST
    if power_w <= IDLE_W:
        return IDLE
    return CHEAPEST if power_w > top_w / 2.0 else CHEAP


def _edges(schedules: Iterable[ChargingSchedule | None], begin_s: float, end_s: float) -> Iterable[float]:
    for schedule in schedules:
        if schedule is None:
            continue
        at = schedule.power.starts_at_unix_s
        for slot in schedule.power.slots:
            if begin_s < at < end_s:
                yield at
            at += slot.duration_s
        if begin_s < at < end_s:
            yield at


def _power_at(schedule: ChargingSchedule | None, unix_s: float) -> float:
    return schedule.power.total_w_at(unix_s) if schedule is not None else 0.0
