"""The tick: every 10 ms from samples to a breaker command and a permit word.

:meth:`Tick.step` is one pass over injected ports; :func:`run` repeats it against the clock. The order within a step
is measure, decide, hold the breaker output, publish, and only then everything that may take time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from v2g.clock import SleepingClock
from v2g.grid.enter_service import EnterService
from v2g.grid.estimation import Estimate, Validity
from v2g.grid.settings import EnterServiceSettings, Measured, TripSettings
from v2g.grid.trip import TICK_PERIOD_S, Trip, TripLogic, require_young_samples, tick_timing
from v2g.guard import realtime
from v2g.guard.latch import LatchedTrip, ResetRefused, TripLatch
from v2g.guard.lateness import LatenessStats
from v2g.guard.measurement import Measurement, WaveformPort
from v2g.guard.status import GuardStatus, Permit
from v2g.guard.tick_commands import CommandReply, TickCommand
from v2g.hardware.breaker import HOLD_TIMEOUT_S
from v2g.hardware.ports import BreakerOutputPort
from v2g.host.notify import Notifier

PERIOD_S = TICK_PERIOD_S
STALL_S = HOLD_TIMEOUT_S / 2
"""After a gap this long between two commands the breaker may have opened by itself; enter service starts over. Half
of the hold timeout: whatever part of a longer stall falls into one step, this step or the next sees more than that."""
NO_FREQUENCY_AFTER_S = 0.05
"""A healthy voltage without a frequency for this long is a contradiction, and no measurement. One sine of any frequency
has one (clamped); this is for what is none, and short enough to open within the strictest clearing time."""
HEALTHY_VOLTAGE_PU = 0.5
STARTING_S = 2.0
"""For this long after the start a missing measurement is said to be a start, then a fault."""
BREAKER_SLACK_S = 0.1
"""A breaker that is still closed this long after its opening time failed to open."""
FEEDBACK_LOST_AFTER_S = 0.1
"""A breaker that is held closed and said so, and says open or nothing for this long, has opened by itself."""
_COLLECT_EVERY_S = 60.0
_STATUS_EVERY_S = 5.0

_NO_ESTIMATE = Estimate(Validity.VALID)


class StatusPort(Protocol):
    def publish(self, status: GuardStatus) -> None: ...


class CommandPort(Protocol):
    def poll(self, handle: Callable[[TickCommand], CommandReply]) -> None: ...


class EventPort(Protocol):
    """Takes events and jobs without waiting; ``level`` is info, warning or error."""

    def event(self, level: str, code: str, message: str, **fields: object) -> None: ...

    def later(self, job: Callable[[], None]) -> None: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """What the tick is connected to. ``open_waveform`` raises WaveformError until the buffer exists.

    ``monotonic_s`` is read again right before the breaker is held; ``suspended_s`` grows while the host is suspended,
    when CLOCK_MONOTONIC stands still.
    """

    open_waveform: Callable[[], WaveformPort]
    breaker: BreakerOutputPort
    status: StatusPort
    commands: CommandPort
    events: EventPort
    unix_s: Callable[[], float]
    monotonic_s: Callable[[], float] | None = None
    suspended_s: Callable[[], float] = lambda: 0.0


@dataclass(frozen=True, slots=True)
class TickSettings:
    nominal_voltage_v: float
    nominal_frequency_hz: float
    trips: TripSettings
    enter_service: EnterServiceSettings
    opening_time_s: float
    waveform_max_age_s: float
    """Samples older than this are no measurement: the breaker opens."""
    allow_slow: bool = False
    """Accept a ``waveform_max_age_s`` with which the clearing times are not kept."""


class Tick:
    """State of the guard between two passes. Starts open, and closes only when enter service is fulfilled.

    Raises :class:`~v2g.grid.settings.SettingsError` when the breaker is too slow for an element, or the samples may be
    too old for one and that is not allowed by name.
    """

    def __init__(self, settings: TickSettings, ports: Ports, latch: TripLatch) -> None:
        self._ports = ports
        self._latch = latch
        timing = tick_timing(settings.opening_time_s, settings.nominal_frequency_hz)
        self._logic = TripLogic(settings.trips, timing)
        if not settings.allow_slow:
            require_young_samples(timing, settings.trips, settings.waveform_max_age_s)
        self._enter_service = EnterService(settings.enter_service)
        self._measurement = Measurement(
            ports.open_waveform,
            settings.nominal_voltage_v,
            settings.nominal_frequency_hz,
            settings.waveform_max_age_s,
        )
        self._open_within_s = settings.opening_time_s + BREAKER_SLACK_S
        self._in_service = False
        self._judged_as_of_s: float | None = None
        self._held_at_s: float | None = None
        self._suspended_s = ports.suspended_s()
        self._closed_at_s: float | None = None
        self._started_at_s: float | None = None
        self._no_frequency_since_s: float | None = None
        self._opened_at_s: float | None = None
        self._told_measured: bool | None = None
        self._told_in_service = False
        self._told_stuck = False
        self._told_dead: tuple[str, ...] = ()
        self.lateness = LatenessStats()
        self.realtime = False

    def step(self, now_s: float) -> GuardStatus:
        """One pass. ``now_s`` is CLOCK_MONOTONIC at its start. Returns what was published."""
        if self._started_at_s is None:
            self._started_at_s = now_s
        stalled_s = self._stalled_s(now_s)
        estimate = self._measure(now_s)
        trip = self._decide(now_s, estimate, stalled_s)
        if self._ports.monotonic_s is not None and self._held_at_s is not None and stalled_s <= STALL_S:
            # The measurement may have stood still as well.
            stalled_s = self._ports.monotonic_s() - self._held_at_s
            if stalled_s > STALL_S:
                self._start_over()
        self._held_at_s = now_s
        self._ports.breaker.hold(self._in_service, now_s)
        closed = self._ports.breaker.is_closed(now_s)
        opened_itself = self._opened_itself(now_s, closed)
        if opened_itself:
            self._start_over()
            self._ports.breaker.hold(False, now_s)
        status = self._status(now_s, estimate, closed, self._permit(now_s, estimate is not None, closed))
        self._ports.status.publish(status)
        if trip is not None:
            self._keep(trip)
        self._tell_stall(stalled_s, opened_itself, closed)
        self._tell(now_s, status)
        self._ports.commands.poll(self._command)
        return status

    def open(self, now_s: float) -> None:
        """Open the breaker and withdraw the permit: the process ends."""
        self._leave_service()
        self._ports.breaker.hold(False, now_s)
        closed = self._ports.breaker.is_closed(now_s)
        permit = Permit.TRIPPED if self._latch.trip is not None else Permit.BREAKER_OPEN
        self._ports.status.publish(self._status(now_s, None, closed, permit))

    def _measure(self, now_s: float) -> Estimate | None:
        estimate = self._measurement.take(now_s)
        if estimate is None or estimate.frequency_hz is not None or max(estimate.v_pu) < HEALTHY_VOLTAGE_PU:
            self._no_frequency_since_s = None
            return estimate
        if self._no_frequency_since_s is None:
            self._no_frequency_since_s = now_s
        if now_s - self._no_frequency_since_s > NO_FREQUENCY_AFTER_S:
            self._measurement.reason = "the voltage is healthy but has no frequency: check the bus voltage channels"
            return None
        return estimate

    def _stalled_s(self, now_s: float) -> float:
        """Since the breaker was last held, a suspension of the host included."""
        suspended_s = max(self._ports.suspended_s(), self._suspended_s)
        asleep_s, self._suspended_s = suspended_s - self._suspended_s, suspended_s
        return asleep_s + (0.0 if self._held_at_s is None else now_s - self._held_at_s)

    def _opened_itself(self, now_s: float, closed: bool | None) -> bool:
        if not self._in_service:
            self._closed_at_s = None
        elif closed:
            self._closed_at_s = now_s
        return self._closed_at_s is not None and now_s - self._closed_at_s > FEEDBACK_LOST_AFTER_S

    def _decide(self, now_s: float, estimate: Estimate | None, stalled_s: float) -> Trip | None:
        before_s, self._judged_as_of_s = self._judged_as_of_s, self._measurement.as_of_s
        if estimate is None:
            self._start_over()
            return None
        if self._in_service:
            trip = self._logic.step(now_s, estimate.v_pu, estimate.frequency_hz, before_s)
            if trip is not None:
                self._start_over()
                self._latch.set(_latched(trip, self._ports.unix_s()))
                return trip
        stalled = stalled_s > STALL_S
        if stalled:
            self._start_over()
        if not self._in_service:
            ready = self._enter_service.step(now_s, estimate.v_pu, estimate.frequency_hz)
            self._in_service = ready and not stalled and self._latch.trip is None
        return None

    def _start_over(self) -> None:
        self._leave_service()
        self._enter_service.reset()

    def _leave_service(self) -> None:
        self._in_service = False
        self._logic.reset()

    def _permit(self, now_s: float, measured: bool, closed: bool | None) -> Permit:
        if self._latch.trip is not None:
            return Permit.TRIPPED
        if not measured:
            starting = self._told_measured is None and now_s - (self._started_at_s or now_s) < STARTING_S
            return Permit.STARTING if starting else Permit.WAVEFORM_STALE
        if not self._in_service:
            return Permit.ENTER_SERVICE_DELAY if self._enter_service.in_window else Permit.OUT_OF_WINDOW
        return Permit.GRANTED if closed is True else Permit.BREAKER_OPEN

    def _status(self, now_s: float, estimate: Estimate | None, closed: bool | None, permit: Permit) -> GuardStatus:
        trip = self._latch.trip
        shown = estimate or _NO_ESTIMATE
        return GuardStatus(
            as_of_s=now_s,
            permit=permit,
            breaker_commanded_closed=self._in_service,
            breaker_closed=closed,
            v_pu=shown.v_pu,
            frequency_hz=shown.frequency_hz,
            transformer_w=shown.transformer.total_w,
            transformer_var=shown.transformer.total_var,
            transformer_va=shown.transformer.total_va,
            feeder_w=shown.feeder.total_w,
            feeder_var=shown.feeder.total_var,
            measured=estimate is not None,
            load_measured=estimate is not None and self._measurement.load_measured,
            enter_service_remaining_s=0.0 if self._in_service else self._enter_service.remaining_s,
            trip_element=trip.element if trip else "",
            trip_value=trip.value if trip else 0.0,
            trip_at_s=trip.at_s if trip else 0.0,
            ticks=self.lateness.ticks,
            late_ticks=self.lateness.late_ticks,
            worst_lateness_s=self.lateness.worst_s,
            realtime=self.realtime,
        )

    def _keep(self, trip: Trip) -> None:
        unit = "Hz" if trip.quantity is Measured.FREQUENCY else "pu"
        event = self._ports.events.event
        event(
            "error",
            "TRIP",
            f"{trip.element}: breaker opened and latched",
            element=trip.element,
            phase=trip.phase or "all",
            value=round(trip.value, 4),
            limit=trip.threshold,
            unit=unit,
            after_s=round(trip.at_s - trip.picked_up_at_s, 3),
            clearing_time_s=trip.clearing_time_s,
        )
        try:
            self._latch.keep()
        except OSError as error:
            event(
                "error",
                "TRIP_NOT_KEPT",
                f"{self._latch.store.path}: {error.strerror}; a restart would forget this trip, make it writable",
            )
        else:
            self._ports.events.later(self._latch.store.sync)

    def _tell_stall(self, stalled_s: float, opened_itself: bool, closed: bool | None) -> None:
        event = self._ports.events.event
        if stalled_s > STALL_S and self._told_in_service:
            event(
                "error",
                "GUARD_STALLED",
                "the guard or the host stood still, the breaker may have opened by itself; enter service starts over",
                stalled_s=round(stalled_s, 3),
            )
        if opened_itself:
            event(
                "error",
                "BREAKER_OPENED_BY_ITSELF",
                "held closed, its contact says "
                + ("nothing" if closed is None else "open")
                + ": a relay, a person or its driver; enter service starts over",
            )

    def _tell(self, now_s: float, status: GuardStatus) -> None:
        event = self._ports.events.event
        if status.measured != self._told_measured and status.permit is not Permit.STARTING:
            if not status.measured:
                event("error", "WAVEFORM_STALE", f"no measurement, breaker open: {self._measurement.reason}")
            elif self._told_measured is False:
                event("info", "WAVEFORM_BACK", "the grid is measured again; enter service starts over")
            self._told_measured = status.measured
        dead = self._measurement.dead_currents if status.measured else self._told_dead
        if dead != self._told_dead:
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
            self._told_dead = dead
        if self._in_service != self._told_in_service:
            if self._in_service:
                event(
                    "info",
                    "ENTER_SERVICE",
                    "the grid held the enter-service window; breaker commanded closed",
                    v_pu=round(min(status.v_pu), 4),
                    frequency_hz=round(status.frequency_hz or 0.0, 3),
                )
            self._told_in_service = self._in_service
        if status.breaker_commanded_closed:
            self._opened_at_s, self._told_stuck = None, False
            return
        if self._opened_at_s is None:
            self._opened_at_s = now_s
        overdue = now_s - self._opened_at_s > self._open_within_s
        if status.breaker_closed and overdue and not self._told_stuck:
            event("error", "BREAKER_FAILED_TO_OPEN", "commanded open, its contact still says closed")
            self._told_stuck = True

    def _command(self, command: TickCommand) -> CommandReply:
        try:
            released = self._latch.reset(self._enter_service.in_window)
        except ResetRefused as refusal:
            self._ports.events.event("warning", "TRIP_RESET_REFUSED", str(refusal), by=command.by)
            return CommandReply(accepted=False, message=str(refusal))
        if released is None:
            return CommandReply(accepted=True, message="the guard is not tripped")
        self._ports.events.later(self._latch.store.sync)
        self._ports.events.event(
            "warning", "TRIP_RESET", "the trip latch was released", element=released.element, by=command.by
        )
        return CommandReply(accepted=True, message=f"trip {released.element} is reset")


def _latched(trip: Trip, unix_s: float) -> LatchedTrip:
    return LatchedTrip(
        element=trip.element,
        quantity=trip.quantity.value,
        phase=trip.phase,
        value=trip.value,
        threshold=trip.threshold,
        clearing_time_s=trip.clearing_time_s,
        at_s=trip.at_s,
        unix_s=unix_s,
    )


def run(tick: Tick, clock: SleepingClock, notifier: Notifier, stop: Callable[[], bool]) -> None:
    """Step at absolute deadlines every 10 ms until ``stop()``. Missed deadlines are skipped, not made up for.

    Tells the supervisor that it is ready after the first step. Opens the breaker on the way out, however it leaves.
    """
    deadline_s = clock.monotonic_s()
    next_watchdog_s = next_status_s = deadline_s
    next_collect_s = deadline_s + _COLLECT_EVERY_S
    told: Permit | None = None
    try:
        while not stop():
            deadline_s += PERIOD_S
            clock.sleep_until(deadline_s)
            now_s = clock.monotonic_s()
            lateness_s = now_s - deadline_s
            tick.lateness.observe(lateness_s)
            status = tick.step(now_s)
            if told is None:
                notifier.ready(_status_text(status))
            elif status.permit is not told or now_s >= next_status_s:
                notifier.status(_status_text(status))
                next_status_s = now_s + _STATUS_EVERY_S
            told = status.permit
            if notifier.interval_s is not None and now_s >= next_watchdog_s:
                notifier.watchdog()
                next_watchdog_s = now_s + min(notifier.interval_s, 0.1)
            if now_s >= next_collect_s:
                realtime.collect_leftovers()
                next_collect_s = now_s + _COLLECT_EVERY_S
            if lateness_s > PERIOD_S:
                deadline_s += int(lateness_s / PERIOD_S) * PERIOD_S
    finally:
        tick.open(clock.monotonic_s())


def _status_text(status: GuardStatus) -> str:
    frequency = "no frequency" if status.frequency_hz is None else f"{status.frequency_hz:.3f} Hz"
    trip = f" ({status.trip_element})" if status.trip_element else ""
    return (
        f"{status.permit.name}{trip}; {min(status.v_pu):.3f}-{max(status.v_pu):.3f} pu, {frequency}; "
        f"{status.late_ticks} of {status.ticks} ticks late, worst {status.worst_lateness_s * 1e3:.1f} ms"
    )
