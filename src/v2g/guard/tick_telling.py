"""What ``tick`` tells in power_quality.log: changes only, never the same thing twice."""

from __future__ import annotations

from v2g.control.guard_words import interlock_words, lost_words
from v2g.grid.estimate import Estimate
from v2g.grid.trip import Trip
from v2g.grid.verdict import GridEvent
from v2g.guard.breaker_watch import Left
from v2g.guard.interlocks import Interlock
from v2g.guard.latch import LatchedTrip, TripLatch
from v2g.guard.phases import PHASE_MISMATCH
from v2g.guard.status import GuardStatus, Permit
from v2g.guard.tick_operator import EventPort
from v2g.guard.tick_settings import TickSettings


class Telling:
    def __init__(self, events: EventPort) -> None:
        self._events = events
        self._measured: bool | None = None
        self._failed = False
        self._dead: tuple[str, ...] = ()
        self._phase_problem = ""
        self._interlocks = Interlock.NONE, Interlock.NONE

    @property
    def nothing_yet(self) -> bool:
        """Nothing was said about the measurement: the guard is starting."""
        return self._measured is None

    def settings(self, settings: TickSettings) -> None:
        """At the start and after a change."""
        event = self._events.event
        protection = settings.protection
        if protection is None:
            event("error", "NO_SETTINGS", f"the breaker stays open: {settings.unset}")
            return
        grid = protection.grid
        event(
            "info",
            "SETTINGS",
            f"the guard protects by {grid.profile} ({grid.standard})",
            digest=settings.digest,
            adjusted="; ".join(grid.adjusted) or "nothing",
        )
        for remark in grid.remarks:
            event("warning", "SETTINGS_REMARK", remark)

    def trip(self, trip: Trip, latch: TripLatch, cycles: int) -> None:
        """Tell a new trip and keep it."""
        event = self._events.event
        if trip.element == PHASE_MISMATCH:
            code = "PHASE_MISMATCH"
            message = (
                f"{PHASE_MISMATCH}: phase {trip.phase} {trip.value:.1f} deg (limit {trip.threshold:g} deg for "
                f"{cycles} cycles): {trip.remedy}; check the wiring of the inverter-side and bus voltage transducers; "
                "the breaker is open and latched"
            )
        else:
            code = "TRIP"
            message = f"{trip.element}: breaker opened and latched" + (f"; {trip.remedy}" if trip.remedy else "")
        event(
            "error",
            code,
            message,
            element=trip.element,
            phase=trip.phase or "all",
            value=round(trip.value, 4),
            limit=trip.threshold,
            unit=trip.unit or "none",
            after_s=round(trip.at_s - trip.picked_up_at_s, 3),
            clearing_time_s=trip.clearing_time_s,
        )
        try:
            latch.keep()
        except OSError as error:
            event(
                "error",
                "TRIP_NOT_KEPT",
                f"{latch.store.path}: {error.strerror}; a restart would forget this trip, make it writable",
            )
        else:
            self._events.later(latch.store.sync)

    def stall(self, stalled_s: float) -> None:
        self._events.event(
            "error",
            "GUARD_STALLED",
            "the guard or the host stood still, the breaker may have opened by itself; enter service starts over",
            stalled_s=round(stalled_s, 3),
        )

    def left(self, left: Left) -> None:
        self._events.event(
            "error",
            "BREAKER_OPENED_BY_ITSELF",
            f"held closed, its contact says {left.value}: a relay, a person or its driver; enter service starts over",
        )

    def interlocks(self, opened: Interlock, lost: Interlock, starting: bool) -> None:
        """What changed of the interlocks. While the guard is starting, nobody has told their positions yet."""
        event, before = self._events.event, self._interlocks
        lost = before[1] if starting else lost
        for name in (opened & ~before[0]).names:
            event("error", "INTERLOCK_OPEN", interlock_words(name).what, interlock=name)
        for name in (lost & ~before[1]).names:
            event(
                "error",
                "INTERLOCK_LOST",
                f"{lost_words((name,))}: the breaker is open; check its wiring and the driver of the input",
                interlock=name,
            )
        for name in ((before[0] | before[1]) & ~(opened | lost)).names:
            event("info", "INTERLOCK_BACK", f"the interlock {name} is healthy again", interlock=name)
        self._interlocks = opened, lost

    def judged(self, events: tuple[GridEvent, ...]) -> None:
        for each in events:
            self._events.event(each.level, each.code.upper(), each.message, **dict(each.fields))

    def state(self, status: GuardStatus, failed: bool, reason: str, dead: tuple[str, ...], phase_problem: str) -> None:
        """What changed since the last tick: measurement, dead currents, a breaker that does not open."""
        event = self._events.event
        if status.measured != self._measured and status.permit is not Permit.STARTING:
            if not status.measured:
                event("error", "WAVEFORM_STALE", f"no measurement, breaker open: {reason}")
            elif self._measured is False:
                event("info", "WAVEFORM_BACK", "the grid is measured again; enter service starts over")
            self._measured = status.measured
        if status.measured and dead != self._dead:
            if dead:
                event(
                    "error",
                    "CURRENTS_DEAD",
                    "transformer currents without any noise beside a live bus: the load is unknown; check the current "
                    "transformers and their converter",
                    channels=",".join(dead),
                )
            else:
                event("info", "CURRENTS_BACK", "the transformer currents are measured again")
            self._dead = dead
        if phase_problem != self._phase_problem:
            self._phase_problem = phase_problem
            event("warning", "PHASE_UNKNOWN", f"the phase of an inverter is not watched: {phase_problem}")
        if failed != self._failed:
            self._failed = failed
            if failed:
                event(
                    "error",
                    "BREAKER_FAILED_TO_OPEN",
                    "commanded open, its contact still says closed; inverters and contactors are stopped: open it by "
                    "hand, then repair it",
                )
            else:
                event("info", "BREAKER_OPENED_LATE", "the breaker that failed to open is open now")


def latched(
    trip: Trip, unix_s: float, estimate: Estimate | None, rocof_hz_s: float | None, profile: str
) -> LatchedTrip:
    """A trip as it is kept, with what was measured."""
    return LatchedTrip(
        element=trip.element,
        quantity=trip.quantity,
        phase=trip.phase,
        value=trip.value,
        threshold=trip.threshold,
        clearing_time_s=trip.clearing_time_s,
        at_s=trip.at_s,
        unix_s=unix_s,
        unit=trip.unit,
        remedy=trip.remedy,
        profile=profile,
        v_pu=None if estimate is None else estimate.v_pu,
        frequency_hz=None if estimate is None else estimate.frequency_hz,
        rocof_hz_s=rocof_hz_s,
        feeder_a=None if estimate is None else estimate.feeder_a,
        transformer_a=None if estimate is None else estimate.transformer_a,
        inverter_angle_deg=(None, None, None) if estimate is None else estimate.inverter_angle_deg,
    )
