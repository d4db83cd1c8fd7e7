"""One base load out of two: what the transformer measures, and what the customers' meters add up to. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from v2g.units import format_power
from v2g.utility.meter_check import CONTRADICTED_W, agree
from v2g.utility.meter_view import MeteredLoad, Phases

SUBSTITUTE_MARGIN = 0.10
"""Losses, customers without a meter and the age of readings, where only meters tell the base load."""
MEASURED = "transformer measurement"
METERED = "meters"
BOTH = "transformer measurement and meters, the less favourable"
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseLoad:
    """Base load by bus phase in W, positive downstream, None: unknown, which permits no power.

    Charging is limited by ``high_w``, discharging by ``low_w``: the two differ where the base load is not sure.
    """

    low_w: Phases | None = None
    high_w: Phases | None = None
    source: str = UNKNOWN
    notes: tuple[str, ...] = ()


def combine(measured: Phases | float | None, metered: MeteredLoad) -> BaseLoad:
    """``measured`` by phase, as a total (which the meters' phases then divide), or None. What is not finite is None.

    What the transformer measures comes first. Meters stand in for it with 10 % more on either side. Where both are
    known and differ by more than 15 % and 5 kW, in a phase a third of that, each phase takes the less favourable of
    the two in each direction.
    """
    if not _finite(measured):
        measured = None
    meters_w = metered.base_w
    if measured is None and meters_w is None:
        why = "; ".join(metered.notes) or "there are no meters"
        return BaseLoad(notes=(f"the base load is unknown: the transformer does not measure it, and {why}",))
    if measured is None:
        assert meters_w is not None  # noqa: S101 - one of the two is known
        return BaseLoad(
            low_w=_widened(meters_w, -SUBSTITUTE_MARGIN),
            high_w=_widened(meters_w, SUBSTITUTE_MARGIN),
            source=METERED,
            notes=(f"the base load is that of the meters with {SUBSTITUTE_MARGIN:.0%} more on either side",),
        )
    by_phase = measured if isinstance(measured, tuple) else _divided(measured, meters_w)
    notes = () if isinstance(measured, tuple) or meters_w is not None else (_EQUAL_SHARES,)
    contradictions = () if meters_w is None else tuple(_contradictions(by_phase, meters_w))
    if meters_w is None or not contradictions:
        return BaseLoad(low_w=by_phase, high_w=by_phase, source=MEASURED, notes=notes)
    return BaseLoad(
        low_w=_each(min, by_phase, meters_w),
        high_w=_each(max, by_phase, meters_w),
        source=BOTH,
        notes=(*notes, *contradictions),
    )


_EQUAL_SHARES = "only the total of the base load is measured: its phases are taken to be equal"


def _contradictions(measured: Phases, metered: Phases) -> Iterator[str]:
    total_w, sum_w = sum(measured), sum(metered)
    if not agree(sum_w, total_w):
        yield (
            f"base load: the transformer measures {format_power(total_w)}, the meters add up to {format_power(sum_w)}; "
            "the less favourable counts"
        )
        return
    for letter, one_w, other_w in zip("abc", measured, metered, strict=True):
        if not agree(other_w, one_w, CONTRADICTED_W / 3.0):
            yield (
                f"base load of phase {letter}: the transformer measures {format_power(one_w)}, the meters add up to "
                f"{format_power(other_w)}; the less favourable counts. Is every meter's rotation right?"
            )


def _divided(total_w: float, metered: Phases | None) -> Phases:
    if metered is None:
        return (total_w / 3.0,) * 3
    rest_w = (total_w - sum(metered)) / 3.0
    return metered[0] + rest_w, metered[1] + rest_w, metered[2] + rest_w


def _widened(power_w: Phases, share: float) -> Phases:
    a, b, c = (value + share * abs(value) for value in power_w)
    return a, b, c


def _each(pick: Callable[[float, float], float], one: Phases, other: Phases) -> Phases:
    a, b, c = map(pick, one, other)
    return a, b, c


def _finite(measured: Phases | float | None) -> bool:
    if measured is None:
        return False
    return all(map(math.isfinite, measured if isinstance(measured, tuple) else (measured,)))
