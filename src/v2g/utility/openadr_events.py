"""What events of OpenADR 3 mean for a site: payloads become signals, with the V2G feeder as the resource.

    payload type               signal     value
    IMPORT_CAPACITY_LIMIT      cap        W; a magnitude, the most that the feeder may import
    EXPORT_CAPACITY_LIMIT      floor      W; a magnitude, the most that it may export: -10 kW for 10
    DISPATCH_SETPOINT          set-point  W; consumption is positive, as the Definitions have it ("amount of consumption
                                          by a resource"), which is charge here; a negative one is discharge
    PRICE                      price      currency a kWh
    GHG                        carbon     g a kWh
    SIMPLE                     cap        level 0: none; 1, 2, 3: ``utility.openadr.simple_caps_w``, refused without

IMPORT_CAPACITY_RESERVATION comes on top of a subscription that is settled elsewhere: alone it is no limit, and it is
not followed. Power needs its unit, KW (or W, MW, which are not of the enumeration): without one a factor of 1000
would be guessed. Prices are for KWH, which is taken where none is told.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

from v2g.utility.openadr_time import Place, TimeError, occurrences, places
from v2g.utility.openadr_wire import Event, PayloadDescriptor, Program, ValuesMap, one_line
from v2g.utility.signal_book import LOWEST, VTN, Entry
from v2g.utility.signals import Signal, SignalKind

AHEAD_S = 604_800.0
"""What begins later is left to a later poll."""
_MOST_OF_ONE = 3000
_MOST = 6000
_NAMED = 3

_KINDS = {
    "IMPORT_CAPACITY_LIMIT": SignalKind.CAP,
    "EXPORT_CAPACITY_LIMIT": SignalKind.FLOOR,
    "DISPATCH_SETPOINT": SignalKind.SETPOINT,
    "PRICE": SignalKind.PRICE,
    "GHG": SignalKind.CARBON,
    "SIMPLE": SignalKind.CAP,
}
_SEVERAL_VALUES = ("PRICE", "GHG")
"""Several values divide their interval into equal parts (User Guide 3.1, 7.3)."""
_WATTS = {"W": 1.0, "KW": 1e3, "MW": 1e6}

Target = str | tuple[str, str]
"""A string as in 3.1, or type and value as in 3.0.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """What this VEN goes by.

    ``targets``: what it is addressed by besides its name, from the VTN's record of it and the configuration.
    ``simple_caps_w``: of SIMPLE levels 1, 2, 3. ``longest_s``: what lasts longer is taken for so long from now, and
    anew with each answer.
    """

    ven_name: str
    longest_s: float
    targets: Collection[Target] = ()
    simple_caps_w: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Followed:
    entries: tuple[Entry, ...]
    notes: tuple[str, ...]
    """What of the events is not followed, and why."""
    refused: frozenset[tuple[str, str]] = frozenset()
    """Event id and payload type (empty: all) of what is there and cannot be followed."""


class _Refused(ValueError):
    """Why a payload is not followed, for people."""


class _Left:
    """What is not followed: each note once, unknown payload types with the events that have them."""

    def __init__(self) -> None:
        self._notes: dict[str, None] = {}
        self._unknown: dict[str, dict[str, None]] = {}
        self.refused: set[tuple[str, str]] = set()

    def note(self, text: str) -> None:
        self._notes[text] = None

    def unknown(self, payload_type: str, event: Event) -> None:
        self._unknown.setdefault(one_line(payload_type, 40), {})[_name(event)] = None

    def all_notes(self) -> tuple[str, ...]:
        lines = []
        for payload_type, names in sorted(self._unknown.items()):
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            lines.append(f"payload type {payload_type} is not followed (in {', '.join([*names][:_NAMED])}{more})")
        return (*self._notes, *lines)


def follow(
    events: Sequence[Event],
    programs: Mapping[str, Program],
    reader: Reader,
    unix_s: float,
    first_seen: Mapping[str, float],
) -> Followed:
    """All events together. ``first_seen``: Unix time by event id, for those that start 'now' without any date."""
    entries: list[Entry] = []
    left = _Left()
    for event in events:
        name, program = _name(event), programs.get(event.program_id)
        if not _is_ours(event, program, reader):
            left.note(f"{name} is not for this VEN: none of its targets is {reader.ven_name!r} or granted to it")
            continue
        if event.reports:
            wanted = ", ".join(sorted({one_line(report.payload_type, 40) for report in event.reports})[:_NAMED])
            left.note(f"{name} asks for reports ({wanted}): this VEN sends none")
        try:
            once = places(event, first_seen.get(event.id, unix_s), reader.ven_name)
            entries += islice(_entries(event, once, _descriptors(event, program), reader, unix_s, left), _MOST_OF_ONE)
        except TimeError as error:
            left.note(f"{name} is not followed: {error}")
            left.refused.add((event.id, ""))
        if len(entries) > _MOST:
            left.note(f"the VTN has more than {_MOST} intervals for this VEN: events after {name} are left out")
            break
    return Followed(tuple(entries), left.all_notes(), frozenset(left.refused))


def still_held(before: Sequence[Entry], followed: Followed, unread: Collection[str]) -> tuple[Entry, ...]:
    """Of the entries ``before``, those of events that are still there and can no longer be understood.

    They hold until their own end: what a VTN says wrongly must not lift the limit that it said before.
    """
    new = {entry.signal.id for entry in followed.entries}
    held = []
    for entry in before:
        _, event_id, _, payload_type, _ = entry.signal.id.split(":")
        lost = event_id in unread or not followed.refused.isdisjoint({(event_id, ""), (event_id, payload_type)})
        if lost and entry.signal.id not in new:
            held.append(entry)
    return tuple(held)


def target_set(targets: Sequence[str | ValuesMap] | None) -> frozenset[Target]:
    """The targets of an object, of either version, in the form of :class:`Reader`."""
    made: set[Target] = set()
    for target in targets or ():
        if isinstance(target, str):
            made.add(target)
        else:
            made |= {(target.type, value) for value in target.values if isinstance(value, str)}
    return frozenset(made)


def _is_ours(event: Event, program: Program | None, reader: Reader) -> bool:
    asked = target_set(event.targets)
    if not event.targets:
        return True
    ours: set[Target] = {reader.ven_name, ("VEN_NAME", reader.ven_name), *reader.targets}
    if program is not None:
        ours.add(("PROGRAM_NAME", program.name))
    # The configuration has plain words, which stand for a value of any type.
    return bool(asked & ours) or any(isinstance(one, tuple) and one[1] in ours for one in asked)


def _name(event: Event) -> str:
    return f"OpenADR event {one_line(event.name or event.id, 64)!r}"


def _descriptors(event: Event, program: Program | None) -> dict[str, PayloadDescriptor]:
    """By payload type; the event's come before the program's."""
    of_program = (program.descriptors if program is not None else None) or ()
    return {
        each.payload_type: each
        for each in (*of_program, *(event.descriptors or ()))
        if each.object_type != "REPORT_PAYLOAD_DESCRIPTOR"
    }


def _entries(
    event: Event,
    once: tuple[Place, ...],
    descriptors: Mapping[str, PayloadDescriptor],
    reader: Reader,
    unix_s: float,
    left: _Left,
) -> Iterator[Entry]:
    intervals = event.intervals or ()
    for place in islice(occurrences(event, once, unix_s, unix_s + AHEAD_S), _MOST_OF_ONE):
        for payload in intervals[place.position].payloads:
            if payload.type not in _KINDS:
                left.unknown(payload.type, event)
                continue
            descriptor = descriptors.get(payload.type)
            try:
                values = _values(payload, descriptor, reader)
                parts = _parts(place, len(values))
            except _Refused as error:
                left.note(f"{payload.type} of {_name(event)} is not followed: {error}")
                left.refused.add((event.id, payload.type))
                continue
            unit = _price_unit(event, descriptor, left) if payload.type == "PRICE" else ""
            for part, value in zip(parts, values, strict=True):
                if value is not None and part.ends_s > max(unix_s, part.starts_s):
                    yield Entry(
                        signal=_signal(event, payload.type, value, part, reader, unix_s),
                        origin=VTN,
                        priority=LOWEST if event.priority is None else min(event.priority, LOWEST),
                        unit=unit,
                        revision=f"{event.modified} {event.priority} {value!r}",
                    )


def _signal(event: Event, payload_type: str, value: float, place: Place, reader: Reader, unix_s: float) -> Signal:
    starts_s, ends_s = place.starts_s, place.ends_s
    if ends_s - starts_s > reader.longest_s:
        starts_s = max(starts_s, unix_s)
        ends_s = min(ends_s, starts_s + reader.longest_s)
    return Signal(
        # The start is part of the name, so that what follows an interval that is over keeps its own.
        id=f"openadr:{event.id}:{place.position}:{payload_type}:{place.starts_s:.0f}",
        kind=_KINDS[payload_type],
        value=value,
        starts_unix_s=starts_s,
        ends_unix_s=ends_s,
        source=_name(event),
    )


def _parts(place: Place, count: int) -> tuple[Place, ...]:
    """Equal parts, without what is cut off. Raises :class:`_Refused`."""
    if count == 1:
        return (Place(place.position, place.starts_s, min(place.ends_s, place.cut_s)),)
    length_s = (place.ends_s - place.starts_s) / count
    if math.isinf(length_s):
        raise _Refused(f"its {count} values share an interval without end")
    edges = [min(place.starts_s + n * length_s, place.cut_s) for n in range(count + 1)]
    return tuple(Place(place.position, begin_s, end_s) for begin_s, end_s in pairwise(edges))


def _values(payload: ValuesMap, descriptor: PayloadDescriptor | None, reader: Reader) -> tuple[float | None, ...]:
    """In our units and signs; None where there is no signal. Raises :class:`_Refused`."""
    if not payload.values:
        raise _Refused("it has no value")
    if len(payload.values) > 1 and payload.type not in _SEVERAL_VALUES:
        raise _Refused(f"it has {len(payload.values)} values instead of one")
    numbers = tuple(_number(value) for value in payload.values)
    units = descriptor.units if descriptor is not None else None
    if payload.type == "SIMPLE":
        return (_simple_cap_w(numbers[0], reader),)
    if payload.type in ("PRICE", "GHG"):
        expected = {"PRICE": (None, "KWH"), "GHG": (None, "GHG")}[payload.type]
        if units not in expected:
            raise _Refused(f"its units are {one_line(str(units), 40)!r}, not {expected[1]}")
        return numbers
    factor = _WATTS.get(units or "")
    if factor is None:
        told = f"its units are {one_line(units, 40)!r}" if units else "no units are told in a payloadDescriptor"
        raise _Refused(f"{told}: it takes KW")
    value_w = numbers[0] * factor
    if payload.type != "DISPATCH_SETPOINT" and value_w < 0:
        raise _Refused(f"{numbers[0]:g} {units} is negative: a capacity limit is a magnitude")
    # 0.0 - x, so that a limit of zero has no sign.
    return (0.0 - value_w if payload.type == "EXPORT_CAPACITY_LIMIT" else value_w,)


def _simple_cap_w(level: float, reader: Reader) -> float | None:
    if level not in (0, 1, 2, 3):
        raise _Refused(f"level {level:g} is none of 0, 1, 2, 3")
    if level == 0:
        return None
    if reader.simple_caps_w is None:
        raise _Refused("what its levels mean is not configured: set utility.openadr.simple_caps_w")
    return reader.simple_caps_w[int(level) - 1]


def _price_unit(event: Event, descriptor: PayloadDescriptor | None, left: _Left) -> str:
    currency = descriptor.currency if descriptor is not None else None
    if descriptor is None or descriptor.units is None:
        left.note(f"PRICE of {_name(event)} has no units: taken for a price a kWh")
    if currency is None:
        left.note(f"PRICE of {_name(event)} has no currency: only differences between prices count")
    return f"{one_line(currency, 16)}/kWh" if currency else ""


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Refused(f"{one_line(str(value), 40)!r} is no number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _Refused("its value is too large for a number")
    return number
