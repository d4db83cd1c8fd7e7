"""Runs a stimulus through estimator, protection and latch in injected time, with a breaker that takes its time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from v2g.grid.protection import GridEvent, ProtectionSettings
from v2g.grid.trip import Trip
from v2g.replay.stimulus import Case, Stimulus


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One tick as it was judged; for tables and pictures."""

    t_s: float
    v_pu: tuple[float, float, float]
    frequency_hz: float | None
    rocof_hz_s: float | None
    operation: int
    breaker_closed: bool
    waiting_for: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """``opened_s``/``closed_s``: when the breaker's contact parted or closed first after the start of counting, None if
    it never did. Times from the stimulus's beginning."""

    trip: Trip | None
    opened_s: float | None
    closed_s: float | None
    events: tuple[tuple[float, GridEvent], ...]
    steps: tuple[Step, ...]
    """Every ``keep_every``-th tick."""


def run(
    stimulus: Stimulus,
    settings: ProtectionSettings,
    *,
    in_service: bool = True,
    count_from_s: float = 0.0,
    draw: Callable[[], float] = lambda: 0.5,
    closing_time_s: float = 0.06,
    keep_every: int = 0,
) -> Outcome:
    """``in_service``: begin with a closed breaker (the enter-service criteria count as fulfilled); otherwise open."""
    raise NotImplementedError


def run_case(case: Case, *, sample_rate_hz: float = 3840.0, opening_time_s: float = 0.05) -> Outcome:
    """A case with its own settings, synthesised. Raises :class:`~v2g.replay.stimulus.ReplayError`."""
    raise NotImplementedError


def verdict(case: Case, outcome: Outcome) -> dict[str, object]:
    """``{"id", "tripped", "closed", "element", "t_s"}``: what ``v2g-tool replay grid`` prints as one line. ``t_s`` is
    counted from the reference segment: to the open contact for trips, to the close command for enter service and
    synchronisation; None when neither happened. ``closed`` only for enter-service and synchronisation cases."""
    raise NotImplementedError


def as_expected(case: Case, outcome: Outcome) -> str:
    """Empty when the outcome is what the case expects, else what differs, in words."""
    raise NotImplementedError
