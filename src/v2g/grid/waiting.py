"""Why the breaker is not closed yet, in words, and the log's lines about it."""

from __future__ import annotations

from v2g.grid.enter_service import EnterService
from v2g.grid.settings import GridSettings
from v2g.grid.synchronisation import SyncState
from v2g.grid.trip import Trip
from v2g.grid.verdict import GridEvent, Inputs

_TOLD_EVERY_S = 1.0
"""A grid on the edge of the window is told this often."""


class Waiting:
    """Tells once what the closing waits for, and again when that changes. Time is an argument."""

    def __init__(self) -> None:
        self._told = ""
        self._told_at_s = float("-inf")

    def over(self) -> None:
        """In service."""
        self._told = ""
        self._told_at_s = float("-inf")

    def no_measurement(self, now_s: float, events: list[GridEvent]) -> str:
        return self._tell(now_s, "measurement", "a measurement of the grid: there are no valid samples", events)

    def words(
        self,
        now_s: float,
        inputs: Inputs,
        trip: Trip | None,
        relay_open: bool,
        entry: EnterService,
        grid: GridSettings,
        sync: SyncState,
        events: list[GridEvent],
    ) -> str:
        """The hardest reason; in the order in which the guard judges them."""
        if inputs.latched or trip is not None:
            kind, words = "latch", "the release of the trip latch: an operator resets it when the cause is gone"
        elif not inputs.permit_service:
            kind, words = "permit", "permit service, which an operator has withdrawn"
        elif inputs.mains_present is False:
            kind, words = "mains", "mains: the loss-of-mains input says that they are gone"
        elif relay_open:
            kind, words = "relay", "the hardware relay, which is open"
        elif not entry.in_window:
            kind, words = "window", _outside(grid, inputs)
        elif not entry.ready:
            kind, words = "delay", f"the grid to hold the enter-service window for {entry.remaining_s:.1f} s more"
        elif not sync.ready:
            kind, words = "synchronisation", f"synchronisation: {sync.reason}"
        else:
            kind, words = "delay", "the next judgement of the enter-service window"
        return self._tell(now_s, kind, words, events)

    def _tell(self, now_s: float, kind: str, words: str, events: list[GridEvent]) -> str:
        if kind != self._told and not 0.0 <= now_s - self._told_at_s < _TOLD_EVERY_S:
            self._told, self._told_at_s = kind, now_s
            events.append(
                GridEvent(
                    level="info",
                    code="ENTER_SERVICE",
                    message=f"the breaker stays open and waits for {words}",
                    fields=(("state", "waiting"), ("waits_for", kind)),
                )
            )
        return words


def _outside(grid: GridSettings, inputs: Inputs) -> str:
    window = grid.enter_service
    estimate = inputs.estimate
    prefix = "the enter-service window"
    if estimate is None:
        return prefix
    low, high, frequency_hz = min(estimate.v_pu), max(estimate.v_pu), estimate.frequency_hz
    if low < window.v_lo_pu:
        return f"{prefix}: voltage {low:.3f} p.u. is below {window.v_lo_pu:g} p.u. ({window.clause})"
    if high > window.v_hi_pu:
        return f"{prefix}: voltage {high:.3f} p.u. is above {window.v_hi_pu:g} p.u. ({window.clause})"
    if frequency_hz is None:
        return f"{prefix}: the frequency is unknown"
    side, limit_hz = ("below", window.f_lo_hz) if frequency_hz < window.f_lo_hz else ("above", window.f_hi_hz)
    return f"{prefix}: frequency {frequency_hz:.3f} Hz is {side} {limit_hz:g} Hz ({window.clause})"
