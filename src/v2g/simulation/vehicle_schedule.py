"""How a simulated vehicle makes its power profile of a schedule: by price levels, as one that optimises would. Pure.

Of the levels that the EVSE counts, the upper half is too dear to charge at; at the highest the vehicle gives back where
it can.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pyiso15118.schedules import ChargingSchedule, PowerProfile, PowerSlot, PriceLevels, ScheduleTuple

TOO_DEAR = 0.5
"""Level by number of levels: above this the vehicle does not charge."""


def choose(offered: Sequence[ScheduleTuple], charge_w: float, discharge_w: float) -> PowerProfile:
    """The vehicle's profile within the first of ``offered``; its own limits are magnitudes, 0: it does not."""
    chosen = offered[0]
    begin, end = chosen.charging.power.starts_at_unix_s, chosen.charging.power.ends_at_unix_s
    edges = sorted({begin, end, *_edges(chosen.charging, end), *_edges(chosen.discharging, end)})
    slots: list[PowerSlot] = []
    for at, until in pairwise(edges):
        power_w = _power_w(chosen, at, charge_w, discharge_w)
        if slots and slots[-1].power_w == power_w:
            slots[-1] = PowerSlot(duration_s=slots[-1].duration_s + until - at, power_w=power_w)
        else:
            slots.append(PowerSlot(duration_s=until - at, power_w=power_w))
    return PowerProfile(
        starts_at_unix_s=begin,
        slots=tuple(slots) or (PowerSlot(duration_s=1, power_w=0.0),),
        selected_tuple_id=chosen.id,
        tolerance_accepted=True,
    )


def _power_w(chosen: ScheduleTuple, at: int, charge_w: float, discharge_w: float) -> float:
    dear = _dearness(chosen.charging, at)
    if dear >= 1.0 and chosen.discharging is not None:
        return max(-discharge_w, chosen.discharging.power.total_w_at(at))
    return 0.0 if dear > TOO_DEAR else min(charge_w, chosen.charging.power.total_w_at(at))


def _dearness(schedule: ChargingSchedule, at: int) -> float:
    """0 cheapest to 1 dearest; 0 where there are no levels."""
    prices = schedule.prices
    if not isinstance(prices, PriceLevels) or prices.number_of_levels < 1:
        return 0.0
    begin = prices.starts_at_unix_s
    for slot in prices.slots:
        begin += slot.duration_s
        if at < begin:
            return slot.level / prices.number_of_levels
    return 0.0


def _edges(schedule: ChargingSchedule | None, end: int) -> list[int]:
    if schedule is None:
        return []
    edges = []
    lists = [(schedule.power.starts_at_unix_s, [slot.duration_s for slot in schedule.power.slots])]
    if isinstance(schedule.prices, PriceLevels):
        lists.append((schedule.prices.starts_at_unix_s, [slot.duration_s for slot in schedule.prices.slots]))
    for at, seconds in lists:
        for duration_s in seconds:
            at += duration_s
            if at < end:
                edges.append(at)
    return edges
