"""The signals that stand, and what they mean together at one moment. No clock of its own: time is an argument.

Where several signals of one kind hold at once, the lowest cap and the highest floor count; of set-points, prices and
carbon intensities the one of the highest priority (OpenADR: 0 is the highest), and of equal ones the newest. A signal
of an operator has the highest priority. Every signal that holds is named.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from v2g.dispatch.constraints import Bound
from v2g.units import format_power
from v2g.utility.signals import PriceSeries, Signal, SignalKind, UtilityView, power_words

OPERATOR, VTN = "operator", "OpenADR"
"""Who signals are from. Those of a VTN are replaced as a whole by :meth:`SignalBook.replace`."""
MOST = {OPERATOR: 500, VTN: 1500}
"""Signals of each at most, so that neither crowds out the other."""
HIGHEST, LOWEST = 0, 1 << 31
"""Priorities; an event without one has the lowest."""

_POWER = (SignalKind.CAP, SignalKind.FLOOR, SignalKind.SETPOINT)
MAX_POWER_W = 1e8
"""100 MW: no distribution transformer carries more, so a value above is in another unit than claimed."""
MAX_PRICE = 1e6
MAX_CARBON_G_KWH = 1e5
_SHOWN = 8


class SignalError(ValueError):
    """A signal that cannot be meant; the message names the value and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A signal with what decides between it and others. ``unit``: of a price, as ``EUR/kWh``; empty: not told.

    ``revision`` changes with the content: an entry that is given again with the same one is no newer than before.
    """

    signal: Signal
    origin: str = OPERATOR
    priority: int = HIGHEST
    unit: str = ""
    revision: str = ""


def check(signal: Signal, unix_s: float, longest_s: float) -> None:
    """Raises :class:`SignalError` for a signal that is empty, over, too long, or out of any plausible range."""
    value, starts_s, ends_s = signal.value, signal.starts_unix_s, signal.ends_unix_s
    if not all(map(math.isfinite, (value, starts_s, ends_s))):
        raise SignalError("value, start and end of a signal must be numbers")
    if not starts_s < ends_s:
        raise SignalError("the signal ends before it starts: check its start and end")
    if ends_s <= unix_s:
        raise SignalError(
            f"the signal was over {unix_s - ends_s:.0f} s ago: check its end, and the clocks of both sides"
        )
    # Unix times of this size have no better resolution than a microsecond.
    if ends_s - starts_s > longest_s + 1e-3:
        raise SignalError(
            f"the signal would hold for {ends_s - starts_s:.0f} s; at most {longest_s:g} s are taken "
            "(utility.longest_signal_s): give a nearer end and renew it"
        )
    if signal.kind in _POWER and abs(value) > MAX_POWER_W:
        raise SignalError(f"{value:g} W is more than {format_power(MAX_POWER_W)}: is the value in another unit?")
    if signal.kind is SignalKind.PRICE and abs(value) > MAX_PRICE:
        raise SignalError(f"a price of {value:g} a kWh is not plausible: is it for another unit of energy?")
    if signal.kind is SignalKind.CARBON and not 0 <= value <= MAX_CARBON_G_KWH:
        raise SignalError(f"carbon intensity {value:g} g/kWh is outside 0..{MAX_CARBON_G_KWH:g}: it is in g a kWh")


class SignalBook:
    """Holds at most ``sum(MOST.values())`` signals."""

    def __init__(self, longest_s: float) -> None:
        """``longest_s``: a signal that claims to hold for longer is refused."""
        self.longest_s = longest_s
        self._entries: dict[str, tuple[int, Entry]] = {}
        self._numbers = itertools.count(1)
        self.revision = 0
        """Another one whenever a signal is given, changed or taken away; the end of one is foreseen and no change."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, signal_id: str) -> Entry | None:
        found = self._entries.get(signal_id)
        return found[1] if found is not None else None

    def add(self, entry: Entry, unix_s: float) -> Entry | None:
        """Take a signal, in place of the one with the same id, which is returned. Raises :class:`SignalError`."""
        check(entry.signal, unix_s, self.longest_s)
        self.expire(unix_s)
        before = self.get(entry.signal.id)
        if before is not None and before.origin != entry.origin:
            raise SignalError(f"the id {entry.signal.id!r} is taken by {before.signal.source}: choose another one")
        if before is None and self._count(entry.origin) >= MOST[entry.origin]:
            raise SignalError(f"there are {MOST[entry.origin]} signals already: withdraw some first")
        self._put(entry)
        return before

    def replace(self, origin: str, entries: Iterable[Entry], unix_s: float) -> tuple[str, ...]:
        """From now on these are all signals of ``origin``. What is not taken is told, with the reason.

        With too many, those that start first are taken.
        """
        notes: list[str] = []
        taken: dict[str, Entry] = {}
        for entry in entries:
            try:
                check(entry.signal, unix_s, self.longest_s)
            except SignalError as error:
                notes.append(f"{entry.signal.source}: {error}")
                continue
            if (known := self.get(entry.signal.id)) is not None and known.origin != origin:
                notes.append(f"{entry.signal.source}: the id {entry.signal.id!r} is taken by {known.signal.source}")
                continue
            taken[entry.signal.id] = entry
        kept = sorted(taken.values(), key=lambda entry: entry.signal.starts_unix_s)
        if len(kept) > MOST[origin]:
            notes.append(f"{len(kept)} signals of {origin} are more than {MOST[origin]}: later ones are left out")
            kept = kept[: MOST[origin]]
        ids = {entry.signal.id for entry in kept}
        for gone in [key for key, (_, entry) in self._entries.items() if entry.origin == origin and key not in ids]:
            del self._entries[gone]
            self.revision += 1
        for entry in kept:
            self._put(entry)
        return tuple(notes)

    def withdraw(self, signal_id: str) -> Entry | None:
        """Remove a signal; None: there is none of that id."""
        found = self._entries.pop(signal_id, None)
        if found is None:
            return None
        self.revision += 1
        return found[1]

    def expire(self, unix_s: float) -> tuple[Entry, ...]:
        """Remove what is over, and return it."""
        over = [entry for _, entry in self._entries.values() if entry.signal.ends_unix_s <= unix_s]
        for entry in over:
            del self._entries[entry.signal.id]
        return tuple(over)

    def standing(self, unix_s: float, origin: str | None = None) -> tuple[Entry, ...]:
        """What holds or will hold, by start."""
        entries = (
            entry
            for _, entry in self._entries.values()
            if entry.signal.ends_unix_s > unix_s and origin in (None, entry.origin)
        )
        return tuple(sorted(entries, key=lambda entry: (entry.signal.starts_unix_s, entry.signal.id)))

    def by_age(self, origin: str) -> tuple[Entry, ...]:
        """All of ``origin``, the oldest first."""
        items = sorted((i for i in self._entries.values() if i[1].origin == origin), key=lambda item: item[0])
        return tuple(entry for _, entry in items)

    def view(self, now_s: float, unix_s: float) -> UtilityView:
        """What holds at ``unix_s``; ends are put on the monotonic clock, which shows ``now_s`` at that moment."""
        active = [
            item
            for item in self._entries.values()
            if item[1].signal.starts_unix_s <= unix_s < item[1].signal.ends_unix_s
        ]
        notes: list[str] = []
        caps = sorted((entry for _, entry in _of(active, SignalKind.CAP)), key=lambda e: e.signal.value)
        floors = sorted((entry for _, entry in _of(active, SignalKind.FLOOR)), key=lambda e: -e.signal.value)
        points = [entry for _, entry in sorted(_of(active, SignalKind.SETPOINT), key=_precedence)]
        for what, others in (("lower cap", caps), ("higher floor", floors), ("set-point before it", points)):
            notes += _outdone(what, [entry.signal for entry in others])
        bounds = _bounds(caps[:1], floors[:1], now_s, unix_s)
        target = points[0].signal if points else None
        return UtilityView(
            bounds=bounds,
            target_w=target.value if target is not None else None,
            target_source=target.source if target is not None else "",
            notes=tuple(notes),
        )

    def limits(self, starts_unix_s: float, step_s: float, steps: int) -> tuple[tuple[float, float], ...]:
        """The highest floor and the lowest cap that reach into each step, W; infinite where there is none.

        A floor above the cap is a contradiction, which permits no power.
        """
        lows, highs = [-math.inf] * steps, [math.inf] * steps
        for _, entry in self._entries.values():
            signal = entry.signal
            if signal.kind not in (SignalKind.CAP, SignalKind.FLOOR):
                continue
            first = max(0, math.floor((signal.starts_unix_s - starts_unix_s) / step_s))
            for n in range(first, min(steps, math.ceil((signal.ends_unix_s - starts_unix_s) / step_s))):
                if signal.kind is SignalKind.CAP:
                    highs[n] = min(highs[n], signal.value)
                else:
                    lows[n] = max(lows[n], signal.value)
        return tuple(zip(lows, highs, strict=True))

    def prices(self, starts_unix_s: float, step_s: float, steps: int) -> PriceSeries | None:
        """The price of each step as its mean over time, where prices are known; carbon intensity where there are none.

        None: neither is known for any step. Prices in another currency than the first one's are left out.
        """
        for kind in (SignalKind.PRICE, SignalKind.CARBON):
            found = [item for item in self._entries.values() if item[1].signal.kind is kind]
            series = _series(found, starts_unix_s, step_s, steps)
            if series is not None:
                return series
        return None

    def _put(self, entry: Entry) -> None:
        known = self._entries.get(entry.signal.id)
        same = known is not None and bool(entry.revision) and known[1].revision == entry.revision
        if not same:
            self.revision += 1
        self._entries[entry.signal.id] = (known[0] if same and known else next(self._numbers), entry)

    def _count(self, origin: str) -> int:
        return sum(entry.origin == origin for _, entry in self._entries.values())


_Item = tuple[int, Entry]


def _of(items: Iterable[_Item], kind: SignalKind) -> list[_Item]:
    return [item for item in items if item[1].signal.kind is kind]


def _precedence(item: _Item) -> tuple[int, int]:
    """Sorts first what counts."""
    return item[1].priority, -item[0]


def _outdone(what: str, signals: Sequence[Signal]) -> list[str]:
    """A line for each that does not count since another does."""
    lines = [
        f"{signal.kind.value} of {signal.source} ({describe(signal)}) does not bind: {what} of {signals[0].source}"
        for signal in signals[1 : 1 + _SHOWN]
    ]
    more = len(signals) - 1 - len(lines)
    return [*lines, f"and {more} more {signals[0].kind.value} signals"] if more > 0 else lines


def _bounds(caps: Sequence[Entry], floors: Sequence[Entry], now_s: float, unix_s: float) -> tuple[Bound, ...]:
    cap = caps[0].signal if caps else None
    floor = floors[0].signal if floors else None
    if cap is not None and floor is not None and cap.value < floor.value:
        reason = f"contradiction: {floor.source} / {cap.source}"
        return (Bound(0.0, 0.0, reason, now_s + (min(cap.ends_unix_s, floor.ends_unix_s) - unix_s)),)
    made = []
    if cap is not None:
        made.append(Bound(-math.inf, cap.value, cap.source, now_s + (cap.ends_unix_s - unix_s)))
    if floor is not None:
        made.append(Bound(floor.value, math.inf, floor.source, now_s + (floor.ends_unix_s - unix_s)))
    return tuple(made)


def describe(signal: Signal, unit: str = "") -> str:
    """What it asks for, without a sign: ``charge at most 20.00 kW``."""
    value = signal.value
    if signal.kind is SignalKind.PRICE:
        return f"{value:g} {unit or 'a kWh'}"
    if signal.kind is SignalKind.CARBON:
        return f"{value:g} g/kWh"
    return power_words(signal.kind, value)


def _series(items: Sequence[_Item], starts_s: float, step_s: float, steps: int) -> PriceSeries | None:
    """By a sweep over the edges of signals and steps, the winner at each on top of a heap."""
    ends_s = starts_s + steps * step_s
    waiting = sorted(
        (item for item in items if item[1].signal.starts_unix_s < ends_s and item[1].signal.ends_unix_s > starts_s),
        key=lambda item: item[1].signal.starts_unix_s,
        reverse=True,
    )
    edges = {starts_s + n * step_s for n in range(steps + 1)}
    for _, entry in waiting:
        edges |= {max(starts_s, entry.signal.starts_unix_s), min(ends_s, entry.signal.ends_unix_s)}
    heap: list[tuple[tuple[int, int], int, Entry]] = []
    unit: str | None = None
    sums, spans = [0.0] * steps, [0.0] * steps
    for begin_s, end_s in itertools.pairwise(sorted(edges)):
        while waiting and waiting[-1][1].signal.starts_unix_s <= begin_s:
            item = waiting.pop()
            heapq.heappush(heap, (_precedence(item), item[0], item[1]))
        while heap and heap[0][2].signal.ends_unix_s <= begin_s:
            heapq.heappop(heap)
        if not heap:
            continue
        entry = heap[0][2]
        unit = _unit(entry) if unit is None else unit
        if _unit(entry) == unit:
            step = min(steps - 1, int((begin_s + end_s - 2 * starts_s) / 2 / step_s))
            sums[step] += entry.signal.value * (end_s - begin_s)
            spans[step] += end_s - begin_s
    if unit is None:
        return None
    means = tuple(total / span if span > 0 else None for total, span in zip(sums, spans, strict=True))
    return PriceSeries(starts_unix_s=starts_s, step_s=step_s, values=means, unit=unit)


def _unit(entry: Entry) -> str:
    return "g/kWh" if entry.signal.kind is SignalKind.CARBON else entry.unit or "1/kWh"
