"""Lines that say nothing new are counted instead of written, and the count is told. Pure; one object for each log.

Two bounds. A line that is in all but its time the one before it is a **repeat**: its first is written at once, then
``repeated=N`` tells how many followed, after 10 s, and while they go on after 20 s, 40 s … at most 10 minutes, or as
soon as another line comes. Only neighbours count as repeats, so that "lost, back, lost" stays three lines. Lines that
differ have a **budget** for each code and EVSE (a burst of 200, then 2 a second); ``left_out=N`` tells the rest of them
with the last one as an example, within 10 s after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

FIRST_WINDOW_S = 10.0
LONGEST_WINDOW_S = 600.0
BURST = 200.0
RATE_HZ = 2.0
LEFT_OUT_TOLD_S = 10.0
MAX_BUDGETS = 1024
_OTHERS = ("*", "")


@dataclass(frozen=True, slots=True)
class Line:
    """``body``: level, code, message and fields as text, without the time. ``evse``, ``session``: whose it is; empty:
    nobody's."""

    level: str
    code: str
    body: str
    evse: str = ""
    session: str = ""
    message: str = field(default="", compare=False)
    fields: Mapping[str, object] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Told:
    """To be written now: ``line``, and behind it ``count`` lines that were not, since ``since_unix_s``."""

    line: Line
    count: int = 0
    since_unix_s: float = 0.0
    repeated: bool = True
    """Else: left out for want of budget."""


@dataclass(slots=True)
class _Budget:
    tokens: float
    at_s: float
    left_out: int = 0
    since_unix_s: float = 0.0
    due_s: float = 0.0
    last: Line | None = None


@dataclass(slots=True)
class Repeats:
    """Of one log."""

    _line: Line | None = None
    _count: int = 0
    _since_unix_s: float = 0.0
    _window_s: float = FIRST_WINDOW_S
    _due_s: float = 0.0
    _budgets: dict[tuple[str, str], _Budget] = field(default_factory=dict)
    _left_out_keys: dict[tuple[str, str], None] = field(default_factory=dict)

    def admit(self, line: Line, now_s: float, unix_s: float) -> list[Told]:
        """What is to be written because ``line`` came, in this order; ``now_s`` monotonic."""
        told = self.due(now_s)
        if line == self._line and now_s < self._due_s:
            if not self._count:
                self._since_unix_s = unix_s
            self._count += 1
            return told
        told += self._flush_repeats()
        self._line, self._window_s = None, FIRST_WINDOW_S
        first = self._afford(line, now_s, unix_s)
        if first is None:
            return told
        self._line, self._due_s = line, now_s + FIRST_WINDOW_S
        return [*told, *first]

    def due(self, now_s: float) -> list[Told]:
        """What has to be told without a new line."""
        told: list[Told] = []
        if self._count and now_s >= self._due_s:
            told += self._flush_repeats()
            self._window_s = min(LONGEST_WINDOW_S, self._window_s * 2)
            self._due_s = now_s + self._window_s
        if self._left_out_keys:
            told += self._flush_left_out(lambda budget: now_s >= budget.due_s)
        return told

    def rest(self) -> list[Told]:
        """At the end: all that was counted and not told."""
        return [*self._flush_repeats(), *self._flush_left_out(lambda budget: True)]

    @property
    def waiting(self) -> bool:
        """Something is counted and not told yet."""
        return self._count > 0 or bool(self._left_out_keys)

    def _flush_repeats(self) -> list[Told]:
        if self._line is None or not self._count:
            return []
        told = Told(self._line, self._count, self._since_unix_s)
        self._count = 0
        return [told]

    def _flush_left_out(self, is_due: Callable[[_Budget], bool]) -> list[Told]:
        told = []
        for key in list(self._left_out_keys):
            budget = self._budgets[key]
            if budget.last is not None and is_due(budget):
                told.append(Told(budget.last, budget.left_out, budget.since_unix_s, repeated=False))
                budget.left_out, budget.last = 0, None
                del self._left_out_keys[key]
        return told

    def _afford(self, line: Line, now_s: float, unix_s: float) -> list[Told] | None:
        key = (line.code, line.evse)
        if key not in self._budgets and len(self._budgets) >= MAX_BUDGETS:
            self._forget_idle(now_s)
            if len(self._budgets) >= MAX_BUDGETS:
                key = _OTHERS
        budget = self._budgets.setdefault(key, _Budget(BURST, now_s))
        budget.tokens = min(BURST, budget.tokens + (now_s - budget.at_s) * RATE_HZ)
        budget.at_s = now_s
        if budget.tokens < 1.0 or (budget.left_out and now_s < budget.due_s):
            if not budget.left_out:
                budget.since_unix_s, budget.due_s = unix_s, now_s + LEFT_OUT_TOLD_S
                self._left_out_keys[key] = None
            budget.left_out += 1
            budget.last = line
            return None
        budget.tokens -= 1.0
        return [Told(line)]

    def _forget_idle(self, now_s: float) -> None:
        """Budgets that are whole again by now."""
        idle = [k for k, each in self._budgets.items() if not each.left_out and now_s - each.at_s > BURST / RATE_HZ]
        for key in idle:
            del self._budgets[key]
