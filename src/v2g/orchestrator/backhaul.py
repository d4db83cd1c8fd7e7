"""The backhaul as a probe of the utility's gateway sees it: how much of a minute got no answer. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

WINDOW_S: Final = 60.0
FEWEST: Final = 10
"""Fewer answers and losses than these say nothing about a share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackhaulView:
    """``loss``: share 0..1 of the last minute's probes; None: too few yet. ``round_trip_s``: of the last answer within
    the minute."""

    target: str
    loss: float | None
    round_trip_s: float | None
    probes: int
    lost: int
    """Both since the start."""
    problem: str = ""


class Backhaul:
    """``target``: for people. Times are monotonic seconds."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.problem = ""
        """Why no probe can be made."""
        self._probes: deque[tuple[float, float | None]] = deque()
        self._made = self._lost = 0

    def add(self, now_s: float, round_trip_s: float | None, problem: str = "") -> None:
        """One probe's outcome; ``round_trip_s`` None: no answer in time. ``problem``: it could not even be made."""
        self._made += 1
        self._lost += round_trip_s is None
        self.problem = problem
        self._probes.append((now_s, round_trip_s))
        self._forget(now_s)

    def loss(self, now_s: float) -> float | None:
        self._forget(now_s)
        if len(self._probes) < FEWEST:
            return None
        return sum(trip_s is None for _, trip_s in self._probes) / len(self._probes)

    def view(self, now_s: float) -> BackhaulView:
        loss = self.loss(now_s)
        return BackhaulView(
            target=self.target,
            loss=loss,
            round_trip_s=next((trip_s for _, trip_s in reversed(self._probes) if trip_s is not None), None),
            probes=self._made,
            lost=self._lost,
            problem=self.problem,
        )

    def _forget(self, now_s: float) -> None:
        while self._probes and now_s - self._probes[0][0] > WINDOW_S:
            self._probes.popleft()
