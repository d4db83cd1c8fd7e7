"""An outcome in words: a line for every second in which something changes, and the verdict."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from v2g.grid.settings import Operation
from v2g.grid.trip import Trip
from v2g.replay.run import Outcome, Step

SHORT_S = 20.0
"""Records up to this long are told cycle by cycle."""
_V_MOVED_PU = 0.02
_F_MOVED_HZ = 0.1
_DIGITS = re.compile(r"[-+]?[\d.]+")
_OPERATION = {
    Operation.CONTINUOUS: "",
    Operation.MANDATORY: "mandatory operation",
    Operation.PERMISSIVE: "permissive operation",
    Operation.MOMENTARY_CESSATION: "momentary cessation",
    Operation.CEASE: "ceases",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """``t_s``: begin of the second (or cycle); the figures are those at its end."""

    t_s: float
    clock: str
    v_pu: tuple[float, float, float]
    frequency_hz: float | None
    breaker_closed: bool
    operation: str
    waiting_for: str
    notes: tuple[str, ...]
    """What the guard and the breaker did in it."""


def lines(outcome: Outcome, *, duration_s: float, begins: datetime | None = None, offset_s: float = 0.0) -> list[Line]:
    """From the kept steps. ``begins``: the clock time of the stimulus's start; ``offset_s``: its time in the file."""
    return list(_lines(outcome, 0.02 if duration_s <= SHORT_S else 1.0, begins, offset_s))


def _lines(outcome: Outcome, pitch_s: float, begins: datetime | None, offset_s: float) -> Iterator[Line]:
    said: tuple[object, ...] | None = None
    shown: Step | None = None
    notes = _notes(outcome)
    for number, steps in groupby(outcome.steps, key=lambda step: int(step.t_s / pitch_s)):
        at_s, step = number * pitch_s, _last(steps)
        happened = []
        while notes and notes[0][0] < at_s + pitch_s:
            happened.append(notes.pop(0)[1])
        state = _state(step)
        if state == said and not happened and shown is not None and not _moved(shown, step):
            continue
        said, shown = state, step
        yield Line(
            t_s=round(at_s + offset_s, 3),
            clock="" if begins is None else _clock(begins + timedelta(seconds=at_s), pitch_s),
            v_pu=step.v_pu,
            frequency_hz=step.frequency_hz,
            breaker_closed=step.breaker_closed,
            operation=_OPERATION[Operation(step.operation)],
            waiting_for=step.waiting_for,
            notes=tuple(happened),
        )


def _notes(outcome: Outcome) -> list[tuple[float, str]]:
    notes: list[tuple[float, str]] = []
    if outcome.trip is not None:
        notes.append((outcome.trip.at_s, f"TRIP {_what(outcome.trip)}; breaker commanded open, latched"))
    notes += [(at_s, f"{event.level.upper()} {event.code}: {event.message}") for at_s, event in outcome.events]
    if outcome.opened_s is not None:
        notes.append((outcome.opened_s, "the breaker's contact parts"))
    return sorted(notes, key=lambda note: note[0])


def _what(trip: Trip) -> str:
    phase = f" of phase {trip.phase}" if trip.phase else ""
    figures = f"{trip.value:.4g} {trip.unit}, threshold {trip.threshold:g} {trip.unit}" if trip.unit else "lost"
    return f"{trip.element}: {trip.quantity}{phase} {figures}"


def _last(steps: Iterator[Step]) -> Step:
    *_, last = steps
    return last


def _clock(moment: datetime, pitch_s: float) -> str:
    return moment.strftime("%H:%M:%S") if pitch_s >= 1.0 else moment.strftime("%H:%M:%S.%f")[:-4]


def _state(step: Step) -> tuple[object, ...]:
    return (
        step.breaker_closed,
        step.operation if step.breaker_closed else None,
        _DIGITS.sub("", step.waiting_for),
        step.frequency_hz is None,
    )


def _moved(shown: Step, step: Step) -> bool:
    if max(abs(a - b) for a, b in zip(shown.v_pu, step.v_pu, strict=True)) > _V_MOVED_PU:
        return True
    if shown.frequency_hz is None or step.frequency_hz is None:
        return False
    return abs(shown.frequency_hz - step.frequency_hz) > _F_MOVED_HZ


def text(line: Line) -> str:
    """``12:33:22  0.941 0.928 0.933 pu  47.476 Hz  closed, mandatory operation`` and what was done, below it."""
    volts = " ".join(f"{v:.3f}" for v in line.v_pu)
    frequency = "no frequency" if line.frequency_hz is None else f"{line.frequency_hz:.3f} Hz"
    state = "closed" if line.breaker_closed else "open"
    if line.breaker_closed and line.operation:
        state += f", {line.operation}"
    if line.waiting_for:
        state += f", waits: {line.waiting_for}"
    notes = "".join(f"\n    {note}" for note in line.notes)
    return f"{line.clock or f'{line.t_s:8.2f} s'}  {volts} pu  {frequency:>12}  {state}{notes}"


def verdict_text(outcome: Outcome, offset_s: float = 0.0) -> str:
    """What the guard would have done in the end."""
    trip = outcome.trip
    if trip is None:
        if outcome.opened_s is None:
            return "No trip: the breaker stays closed."
        return f"No trip, and the breaker opens at {outcome.opened_s + offset_s:.3f} s."
    opened = (
        "the record ends before the contact parts"
        if outcome.opened_s is None
        else f"the contact parts at {outcome.opened_s + offset_s:.3f} s"
    )
    return (
        f"TRIP {_what(trip)}, picked up at {trip.picked_up_at_s + offset_s:.3f} s, commanded at "
        f"{trip.at_s + offset_s:.3f} s; {opened}. The trip latches."
    )
