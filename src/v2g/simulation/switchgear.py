"""The V2G breaker of the simulated site, contactors and the over-voltage relay: things that move late and may stick."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class Stuck(enum.StrEnum):
    """A mechanism that does not follow its command any more."""

    NO = "no"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(slots=True, kw_only=True)
class Switch:
    """A contact that follows its command after a delay. Times are CLOCK_MONOTONIC seconds.

    A command that is withdrawn before the contact has moved changes nothing (the mechanism had not started), except
    that an opening once begun is completed: a spring-driven breaker cannot be stopped.
    """

    opening_time_s: float
    closing_time_s: float
    opening_is_final: bool = False
    closed: bool = False
    stuck: Stuck = Stuck.NO
    changed_at_s: float | None = None
    opened_under_load: int = 0
    _moves_at_s: float | None = None
    _moves_to: bool = False

    def command(self, close: bool, now_s: float) -> None:
        """What the coil says now; give it at every step."""
        if self._moves_at_s is not None:
            committed = self.opening_is_final and not self._moves_to
            if close == self._moves_to or committed:
                return
            self._moves_at_s = None
        if close != self.closed:
            self._moves_to = close
            self._moves_at_s = now_s + (self.closing_time_s if close else self.opening_time_s)

    def step(self, now_s: float, *, current_a: float = 0.0) -> None:
        """Move the contact when its time has come; ``current_a`` flows through it now (for the wear counter)."""
        if self.stuck is Stuck.OPEN:
            self._move(False, now_s, current_a)
        elif self._moves_at_s is not None and now_s >= self._moves_at_s:
            to, at_s = self._moves_to, self._moves_at_s
            self._moves_at_s = None
            if not (self.stuck is Stuck.CLOSED and not to):
                self._move(to, at_s, current_a)

    def _move(self, closed: bool, at_s: float, current_a: float) -> None:
        if closed == self.closed:
            return
        if not closed and abs(current_a) > 5.0:
            self.opened_under_load += 1
        self.closed = closed
        self.changed_at_s = at_s


def breaker(opening_time_s: float = 0.05, closing_time_s: float = 0.06) -> Switch:
    """The V2G breaker: open at the start, 50 ms to open."""
    return Switch(opening_time_s=opening_time_s, closing_time_s=closing_time_s, opening_is_final=True)


def contactor() -> Switch:
    """A DC contactor."""
    return Switch(opening_time_s=0.02, closing_time_s=0.08)


@dataclass(slots=True, kw_only=True)
class OvervoltageRelay:
    """The hardware relay in series with the V2G breaker: a measurement of its own, a contact of its own.

    One stage: a phase above ``setting_pu`` for ``delay_s`` opens the contact; it closes again after ``reclose_s``
    without any phase above.
    """

    setting_pu: float = 1.10
    delay_s: float = 14.0
    reclose_s: float = 5.0
    closed: bool = True
    stuck: Stuck = Stuck.NO
    testing: bool = False
    """The test button is held: the relay measures 105 % of its setting, whatever the grid has."""
    feedback_lost: bool = False
    changed_at_s: float | None = None
    operations: int = 0
    """How often the contact moved."""
    _above_since_s: float | None = None
    _below_since_s: float | None = None

    def step(self, now_s: float, v_pu: Iterable[float]) -> None:
        """Judge the phase voltages at ``now_s``, per unit of nominal."""
        above = self.testing or max(v_pu) > self.setting_pu
        if above:
            self._below_since_s = None
            if self._above_since_s is None:
                self._above_since_s = now_s
        else:
            self._above_since_s = None
            if self._below_since_s is None:
                self._below_since_s = now_s
        if self._above_since_s is not None and now_s - self._above_since_s >= self.delay_s:
            self._move(False, now_s)
        elif self._below_since_s is not None and now_s - self._below_since_s >= self.reclose_s:
            self._move(True, now_s)
        else:
            self._move(self.closed, now_s)

    def _move(self, closed: bool, now_s: float) -> None:
        if self.stuck is not Stuck.NO:
            closed = self.stuck is Stuck.CLOSED
        if closed != self.closed:
            self.closed = closed
            self.changed_at_s = now_s
            self.operations += 1
