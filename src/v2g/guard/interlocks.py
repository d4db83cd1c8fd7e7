"""Interlocks of the V2G breaker: emergency stop, door, winding stress.

Each is a contact, closed while all is well unless ``healthy_open`` names it.

A contact that is open for :data:`DEBOUNCE_TICKS` ticks (20 ms) trips, latched, in whatever state the breaker is, the
start included; so does one that chatters for :data:`CHATTER_S`, as the input of a broken wire beside the mains does. It
is closed again after :data:`QUIET_TICKS` good ticks. A position that is unknown (no file, or not told for 0.5 s) opens
the breaker at once and latches nothing: when the word is back, enter service starts over. No input or output but the
contacts that are handed in.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from v2g.control.guard_words import interlock_words, lost_words
from v2g.grid.trip import Trip

DEBOUNCE_TICKS = 2
QUIET_TICKS = 10
CHATTER_S = 0.5


class ContactPort(Protocol):
    """A contact's position; None when it is unknown. :class:`v2g.hardware.contact.ContactReader` is one."""

    def is_closed(self, now_s: float) -> bool | None: ...

    def close(self) -> None: ...


class Interlock(enum.IntFlag):
    """A set of interlocks; one bit each."""

    NONE = 0
    EMERGENCY_STOP = 1
    DOOR = 2
    WINDING_STRESS = 4

    @property
    def names(self) -> tuple[str, ...]:
        """``("emergency_stop", "door")``; a bit that this version does not know is left out."""
        return tuple(str(each.name).lower() for each in Interlock if each and each in self)


INTERLOCK_NAMES = tuple(str(each.name).lower() for each in Interlock if each)


@dataclass(slots=True)
class _Unhealthy:
    """A contact that is not good, or was not a moment ago: since when, and its last ticks in a row."""

    since_s: float
    bad_ticks: int = 0
    good_ticks: int = 0


class Interlocks:
    """What the contacts say. ``open_contact`` opens the file of one; :meth:`adopt` names them."""

    def __init__(self, open_contact: Callable[[Path], ContactPort]) -> None:
        self._open_contact = open_contact
        self._contacts: dict[Interlock, ContactPort] = {}
        self._healthy_open = Interlock.NONE
        self._unhealthy: dict[Interlock, _Unhealthy] = {}
        self.watched = Interlock.NONE
        self.open = Interlock.NONE
        """Those that are open, debounced."""
        self.lost = Interlock.NONE
        """Those of unknown position."""

    def adopt(self, paths: Mapping[str, Path], healthy_open: Collection[str] = ()) -> None:
        """Watch these contacts by name from now on. ``healthy_open``: those where closed is the bad news.

        Raises ``KeyError`` for a name that is none of :data:`INTERLOCK_NAMES`, and then nothing has changed.
        """
        wanted = {Interlock[name.upper()]: path for name, path in paths.items()}
        inverted = Interlock.NONE
        for name in healthy_open:
            inverted |= Interlock[name.upper()]
        self.close()
        self._contacts = {each: self._open_contact(path) for each, path in wanted.items()}
        self._healthy_open = inverted
        self._unhealthy = {each: since for each, since in self._unhealthy.items() if each in wanted}
        self.watched = Interlock.NONE
        for each in wanted:
            self.watched |= each
        self.open &= self.watched
        self.lost &= self.watched

    @property
    def faulty(self) -> bool:
        """One is open or unknown: the breaker stays open."""
        return bool(self.open or self.lost)

    def refusal(self) -> str:
        """Why a trip may not be reset, in words; empty while every contact is healthy."""
        found = [f"{words.what}: {words.remedy}" for words in map(interlock_words, self.open.names)]
        if self.lost:
            found.append(f"{lost_words(self.lost.names)}: check its wiring and the driver of the input")
        return "; ".join(found)

    def step(self, now_s: float) -> Trip | None:
        """Read the contacts. The trip of the first that has opened since the last step."""
        opened = Interlock.NONE
        lost = Interlock.NONE
        for each, contact in self._contacts.items():
            closed = contact.is_closed(now_s)
            if closed is None:
                lost |= each
                self._unhealthy.pop(each, None)
                self.open &= ~each
                continue
            if self._counts(each, closed is bool(each & self._healthy_open), now_s) and not self.open & each:
                self.open |= each
                opened |= each
        self.lost = lost
        return next((self._trip(each, now_s) for each in Interlock if each and each in opened), None)

    def _counts(self, each: Interlock, bad: bool, now_s: float) -> bool:
        """Whether it counts as open."""
        found = self._unhealthy.get(each)
        if found is None:
            if not bad:
                return False
            found = self._unhealthy[each] = _Unhealthy(now_s)
        found.bad_ticks = found.bad_ticks + 1 if bad else 0
        found.good_ticks = 0 if bad else found.good_ticks + 1
        if found.good_ticks >= QUIET_TICKS:
            del self._unhealthy[each]
            self.open &= ~each
            return False
        return found.bad_ticks >= DEBOUNCE_TICKS or (bad and now_s - found.since_s >= CHATTER_S)

    def close(self) -> None:
        """Let go of the contacts' files."""
        for contact in self._contacts.values():
            contact.close()

    def _trip(self, interlock: Interlock, now_s: float) -> Trip:
        return Trip(
            element=str(interlock.name),
            quantity="position",
            phase="",
            value=0.0,
            threshold=1.0,
            clearing_time_s=0.0,
            picked_up_at_s=self._unhealthy[interlock].since_s,
            at_s=now_s,
            unit="",
            remedy=f"{interlock_words(str(interlock.name)).remedy}, then reset",
        )
