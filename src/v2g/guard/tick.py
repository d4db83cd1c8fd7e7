"""The tick: every 10 ms from samples to a breaker command and a permit word.

:meth:`Tick.step` is one pass over injected ports; :func:`run` repeats it against the clock. The order within a step
is measure, decide (:class:`~v2g.grid.protection.Protection`), hold the breaker output, publish, and only then
everything that may take time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from v2g.clock import SleepingClock
from v2g.grid.estimate import Estimate, Validity
from v2g.grid.protection import Inputs, Protection, Verdict
from v2g.grid.settings import FREQUENCY_CYCLES, SettingsError
from v2g.grid.synchronisation import PerPhaseAngle
from v2g.grid.trip import PHASES, TICK_PERIOD_S, Trip
from v2g.guard import realtime
from v2g.guard.breaker_watch import BreakerWatch, Left
from v2g.guard.interlocks import ContactPort, Interlocks
from v2g.guard.latch import TripLatch
from v2g.guard.lateness import LatenessStats
from v2g.guard.lockout import Lockout
from v2g.guard.measurement import Measurement, WaveformPort
from v2g.guard.permit_service import PermitService
from v2g.guard.phases import EvsePhases
from v2g.guard.status import GuardStatus, Permit
from v2g.guard.tick_commands import Handle
from v2g.guard.tick_operator import EventPort, Operator
from v2g.guard.tick_settings import TickSettings
from v2g.guard.tick_telling import Telling, latched
from v2g.hardware.breaker import HOLD_TIMEOUT_S
from v2g.hardware.ports import BreakerOutputPort
from v2g.hardware.waveform import WaveformError
from v2g.host.notify import Notifier

PERIOD_S = TICK_PERIOD_S
STALL_S = HOLD_TIMEOUT_S / 2
"""After a gap this long between two commands the breaker may have opened by itself; enter service starts over. Half
of the hold timeout: whatever part of a longer stall falls into one step, this step or the next sees more than that."""
STARTING_S = 2.0
"""For this long after the start a missing measurement is said to be a start, then a fault."""
BREAKER_OPENED = "BREAKER_OPENED"
"""The element of a trip that the guard did not command: the breaker's own position says open."""
_COLLECT_EVERY_S = 60.0
_STATUS_EVERY_S = 5.0

_NO_ESTIMATE = Estimate(Validity.VALID)
_OUT_OF_SERVICE = Verdict(close=False)


class StatusPort(Protocol):
    def publish(self, status: GuardStatus) -> None: ...


class CommandPort(Protocol):
    def poll(self, handle: Handle) -> None: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """What the tick is connected to. ``open_waveform`` raises WaveformError until the buffer exists.

    ``load_settings`` reads the configuration again (on the background thread; raises ConfigError, SettingsError).
    ``draw`` returns a number of [0, 1). ``monotonic_s`` is read again right before the breaker is held; ``suspended_s``
    grows while the host is suspended, when CLOCK_MONOTONIC stands still. ``unix_s`` is for people only.
    """

    open_waveform: Callable[[], WaveformPort]
    breaker: BreakerOutputPort
    status: StatusPort
    commands: CommandPort
    events: EventPort
    open_contact: Callable[[Path], ContactPort]
    load_settings: Callable[[], TickSettings]
    unix_s: Callable[[], float]
    draw: Callable[[], float]
    monotonic_s: Callable[[], float] | None = None
    suspended_s: Callable[[], float] = lambda: 0.0


class Tick:
    """State of the guard between two passes. Starts open, and closes only when enter service is fulfilled.

    Raises :class:`~v2g.grid.settings.SettingsError` when the breaker is too slow for an element, or the samples may be
    too old for one and that is not allowed by name. Without settings it runs, and the breaker stays open.
    """

    def __init__(
        self, settings: TickSettings, ports: Ports, latch: TripLatch, permit_service: PermitService, lockout: Lockout
    ) -> None:
        self._ports = ports
        self._latch = latch
        self._permit_service = permit_service
        self._lockout = lockout
        self._interlocks = Interlocks(ports.open_contact)
        self._protection: Protection | None = None
        self._telling = Telling(ports.events)
        self._operator = Operator(self, latch, permit_service, lockout, ports.events, ports.load_settings, ports.unix_s)
        self._watch = BreakerWatch()
        self._relay: ContactPort | None = None
        self._mains: ContactPort | None = None
        self._estimate: Estimate | None = None
        self._verdict = _OUT_OF_SERVICE
        self._breaker_closed: bool | None = None
        self._relay_closed: bool | None = None
        self._mains_present: bool | None = None
        self._judged_as_of_s: float | None = None
        self._held_at_s: float | None = None
        self._suspended_s = ports.suspended_s()
        self._started_at_s: float | None = None
        self._start_over_next = False
        self._apart_at_s = 0.0
        self.lateness = LatenessStats()
        self.realtime = False
        self._settings = settings
        self._take(settings)

    @property
    def settings(self) -> TickSettings:
        """Those in force."""
        return self._settings

    def step(self, now_s: float) -> GuardStatus:
        """One pass. ``now_s`` is CLOCK_MONOTONIC at its start. Returns what was published."""
        if self._started_at_s is None:
            self._started_at_s = now_s
        was_in_service = self._verdict.close
        stalled_s = self._stalled_s(now_s)
        left = self._read_contacts(now_s)
        if stalled_s > STALL_S:
            # The hold may have timed out: no wonder that it is open.
            left = None
        estimate = self._estimate = self._measurement.take(now_s, inverter_frequency=not was_in_service)
        interlock = self._interlocks.step(now_s)
        trip = (interlock if self._latch.trip is None else None) or self._own_trip(now_s, estimate, left)
        start_over = stalled_s > STALL_S or left is not None or self._start_over_next
        self._start_over_next = False
        self._judge(now_s, trip is not None, start_over)
        told = self._verdict.events
        trip = trip or self._verdict.trip
        if self._ports.monotonic_s is not None and self._held_at_s is not None and stalled_s <= STALL_S:
            # Measuring and judging may have stood still as well.
            stalled_s = self._ports.monotonic_s() - self._held_at_s
            if stalled_s > STALL_S:
                self._judge(now_s, trip is not None, start_over=True)
                told += self._verdict.events
        if trip is not None:
            self._latch.set(latched(trip, self._ports.unix_s(), estimate, self._verdict.rocof_hz_s, self._profile()))
        self._held_at_s = now_s
        self._ports.breaker.hold(self._verdict.close, now_s)
        status = self._status(now_s, estimate, self._permit(now_s, estimate is not None))
        self._ports.status.publish(status)

        if trip is not None:
            cycles = self._settings.protection.phase_cycles if self._settings.protection is not None else 0
            self._telling.trip(trip, self._latch, cycles)
        if stalled_s > STALL_S and was_in_service:
            self._telling.stall(stalled_s)
        if left is Left.UNKNOWN:
            self._telling.left(left)
        self._telling.interlocks(self._interlocks.open, self._interlocks.lost, self._starting(now_s))
        self._telling.judged(told)
        dead = self._measurement.dead_currents if status.measured else ()
        self._telling.state(status, self._watch.failed, self._measurement.reason, dead, self._phases.problem)
        self._operator.step(now_s, estimate, self._relay_closed)
        self._ports.commands.poll(self._operator.handle)
        return status

    def open(self, now_s: float) -> None:
        """Open the breaker and withdraw the permit: the process ends."""
        self._verdict = _OUT_OF_SERVICE
        self._ports.breaker.hold(False, now_s)
        self._breaker_closed = self._ports.breaker.is_closed(now_s)
        permit = Permit.TRIPPED if self._latch.trip is not None else Permit.BREAKER_OPEN
        self._ports.status.publish(self._status(now_s, None, permit))

    def adopt(self, settings: TickSettings) -> None:
        """Work by other settings from the next step on. Raises SettingsError, and then nothing has changed."""
        nominal = (self._settings.nominal_voltage_v, self._settings.nominal_frequency_hz)
        before = self._settings.factors
        try:
            self._measurement.correct(settings.factors)
            self._take(settings)
        except WaveformError as error:
            raise SettingsError(str(error)) from None
        finally:
            if self._settings is not settings:
                self._measurement.correct(before)
        if nominal != (settings.nominal_voltage_v, settings.nominal_frequency_hz):
            self._start_over_next = True

    def reset_refusal(self) -> str:
        """Which enter-service conditions do not hold, in words; empty when all do."""
        protection, estimate = self._settings.protection, self._estimate
        if protection is None:
            return f"the guard has no settings: {self._settings.unset}"
        if estimate is None:
            return f"the grid is not measured: {self._measurement.reason}"
        window = protection.grid.enter_service
        if not window.contains(estimate.v_pu, estimate.frequency_hz):
            beyond = [
                f"voltage of phase {phase} {v_pu:.3f} p.u. ({window.v_lo_pu:g} to {window.v_hi_pu:g})"
                for phase, v_pu in zip(PHASES, estimate.v_pu, strict=True)
                if not window.v_lo_pu <= v_pu <= window.v_hi_pu
            ]
            hertz = estimate.frequency_hz
            if hertz is None or not window.f_lo_hz <= hertz <= window.f_hi_hz:
                said = "unknown" if hertz is None else f"{hertz:.3f} Hz"
                beyond.append(f"frequency {said} ({window.f_lo_hz:g} to {window.f_hi_hz:g} Hz)")
            return (
                f"the grid is outside the enter-service window: {', '.join(beyond)}; wait until it is back, then reset "
                "again"
            )
        if self._mains_present is False:
            return "the loss-of-mains input says that the mains are gone: close the upstream switch first"
        if self._relay_closed is False:
            return "the hardware relay is open: reset it first"
        if self._watch.failed:
            return "the breaker failed to open and is still closed: open it by hand first"
        return self._interlocks.refusal()

    def angles(self, channels: tuple[str, str, str]) -> PerPhaseAngle:
        """Of other channels against the bus, degrees. Raises WaveformError."""
        return self._measurement.angles(channels)

    def relay_proved(self) -> None:
        if self._protection is not None:
            self._protection.relay_proved()

    def _starting(self, now_s: float) -> bool:
        return now_s - (self._started_at_s or now_s) < STARTING_S

    def _take(self, settings: TickSettings) -> None:
        settings.require_young_samples()
        if settings.protection is not None:
            if self._protection is None:
                self._protection = Protection(settings.protection, self._ports.draw)
            else:
                self._protection.adopt(settings.protection)
        old, self._settings = self._settings, settings
        if settings is old or _measured_by(settings) != _measured_by(old):
            self._measurement = Measurement(self._ports.open_waveform, *_measured_by(settings), settings.factors)
        for contact in (self._relay, self._mains):
            if contact is not None:
                contact.close()
        open_contact = self._ports.open_contact
        self._relay = None if settings.relay_feedback is None else open_contact(settings.relay_feedback)
        self._mains = None if settings.mains_input is None else open_contact(settings.mains_input)
        self._interlocks.adopt(settings.interlocks, settings.healthy_open)
        self._phases = _evse_phases(settings)
        self._telling.settings(settings)

    def _stalled_s(self, now_s: float) -> float:
        """Since the breaker was last held, a suspension of the host included."""
        suspended_s = max(self._ports.suspended_s(), self._suspended_s)
        asleep_s, self._suspended_s = suspended_s - self._suspended_s, suspended_s
        return asleep_s + (0.0 if self._held_at_s is None else now_s - self._held_at_s)

    def _read_contacts(self, now_s: float) -> Left | None:
        self._breaker_closed = self._ports.breaker.is_closed(now_s)
        self._relay_closed = None if self._relay is None else self._relay.is_closed(now_s)
        self._mains_present = None if self._mains is None else self._mains.is_closed(now_s) is True
        protection = self._settings.protection
        opening_time_s = 0.0 if protection is None else protection.opening_time_s
        return self._watch.step(now_s, self._verdict.close, self._breaker_closed, opening_time_s)

    def _own_trip(self, now_s: float, estimate: Estimate | None, left: Left | None) -> Trip | None:
        """What only the tick can see: the breaker's position, and inverters with transducers of their own."""
        if not self._verdict.close or self._latch.trip is not None:
            self._apart_at_s = now_s
            return None
        if left is Left.OPENED:
            return Trip(
                element=BREAKER_OPENED,
                quantity="position",
                phase="",
                value=0.0,
                threshold=1.0,
                clearing_time_s=0.0,
                picked_up_at_s=now_s,
                at_s=now_s,
                unit="",
                remedy="held closed, opened by a relay, a person or its own protection; find out why, then reset",
            )
        if estimate is None or not self._breaker_closed:
            self._apart_at_s = now_s
        # Windows that reach back to the open breaker tell nothing of the closed one.
        if not now_s - self._apart_at_s > FREQUENCY_CYCLES / self._settings.nominal_frequency_hz:
            self._phases.reset()
            return None
        return self._phases.step(now_s, self._measurement.angles)

    def _judge(self, now_s: float, tripped: bool, start_over: bool) -> None:
        protection = self._protection
        if protection is None:
            self._verdict = _OUT_OF_SERVICE
            return
        before_s, self._judged_as_of_s = self._judged_as_of_s, self._measurement.as_of_s
        self._verdict = protection.step(
            now_s,
            Inputs(
                estimate=self._estimate,
                as_of_s=self._measurement.as_of_s,
                judged_from_s=before_s,
                breaker_closed=self._breaker_closed,
                mains_present=self._mains_present,
                relay_closed=self._relay_closed,
                permit_service=self._permit_service.enabled,
                latched=tripped or self._latch.trip is not None,
                start_over=start_over
                or self._watch.failed
                or self._operator.testing
                or self._lockout.locked
                or self._interlocks.faulty,
            ),
        )

    def _permit(self, now_s: float, measured: bool) -> Permit:
        verdict = self._verdict
        if self._watch.failed:
            return Permit.BREAKER_FAILED
        if self._lockout.locked:
            return Permit.LOCKOUT
        if self._latch.trip is not None:
            return Permit.TRIPPED
        if self._interlocks.faulty:
            return Permit.INTERLOCK
        if self._protection is None:
            return Permit.NO_SETTINGS
        if self._operator.testing:
            return Permit.TESTING
        if not self._permit_service.enabled:
            return Permit.PERMIT_OFF
        if not measured:
            starting = self._telling.nothing_yet and self._starting(now_s)
            return Permit.STARTING if starting else Permit.WAVEFORM_STALE
        if verdict.close:
            return Permit.GRANTED if self._breaker_closed is True else Permit.BREAKER_OPEN
        if self._relay_closed is False:
            return Permit.RELAY_OPEN
        if not verdict.in_window:
            return Permit.OUT_OF_WINDOW
        waits = verdict.enter_service_remaining_s > 0.0 or self._mains_present is False
        return Permit.ENTER_SERVICE_DELAY if waits else Permit.NOT_SYNCHRONOUS

    def _profile(self) -> str:
        protection = self._settings.protection
        return "" if protection is None else protection.grid.profile

    def _status(self, now_s: float, estimate: Estimate | None, permit: Permit) -> GuardStatus:
        trip, verdict = self._latch.trip, self._verdict
        shown = estimate or _NO_ESTIMATE
        return GuardStatus(
            as_of_s=now_s,
            permit=permit,
            breaker_commanded_closed=verdict.close,
            breaker_closed=self._breaker_closed,
            v_pu=shown.v_pu,
            frequency_hz=shown.frequency_hz,
            transformer_w=shown.transformer.total_w,
            transformer_var=shown.transformer.total_var,
            transformer_va=shown.transformer.total_va,
            feeder_w=shown.feeder.total_w,
            feeder_var=shown.feeder.total_var,
            measured=estimate is not None,
            load_measured=estimate is not None and self._measurement.load_measured,
            enter_service_remaining_s=verdict.enter_service_remaining_s,
            trip_element=trip.element if trip else "",
            trip_value=trip.value if trip else 0.0,
            trip_unit=trip.unit if trip else "",
            trip_phase=trip.phase if trip else "",
            trip_at_s=trip.at_s if trip else 0.0,
            ticks=self.lateness.ticks,
            late_ticks=self.lateness.late_ticks,
            worst_lateness_s=self.lateness.worst_s,
            lateness_counts=tuple(self.lateness.told.counts),
            lateness_sum_s=self.lateness.told.total,
            realtime=self.realtime,
            operation=int(verdict.operation),
            blocks=int(verdict.blocks),
            curtail_charge=verdict.curtail_charge,
            curtail_discharge=verdict.curtail_discharge,
            service_fraction=verdict.service_fraction,
            permit_service=self._permit_service.enabled,
            relay_closed=self._relay_closed,
            mains_present=self._mains_present,
            rocof_hz_s=verdict.rocof_hz_s,
            v1_pu=shown.v1_pu,
            transformer_a=shown.transformer_a,
            feeder_a=shown.feeder_a,
            inverter_v_pu=shown.inverter_v_pu,
            inverter_angle_deg=shown.inverter_angle_deg,
            profile=self._profile(),
            settings_digest=self._settings.digest,
            interlocks=self._interlocks.watched,
            interlocks_open=self._interlocks.open,
            interlocks_lost=self._interlocks.lost,
            locked_by=self._lockout.names,
        )


def _measured_by(settings: TickSettings) -> tuple[float, float, float]:
    return settings.nominal_voltage_v, settings.nominal_frequency_hz, settings.waveform_max_age_s


def _evse_phases(settings: TickSettings) -> EvsePhases:
    protection = settings.protection
    if protection is None:
        return EvsePhases((), 0.0, 0, settings.nominal_frequency_hz)
    limit_deg = protection.phase_limit_deg
    return EvsePhases(
        settings.evse_channels,
        protection.grid.sync.dtheta_deg if limit_deg is None else limit_deg,
        protection.phase_cycles,
        settings.nominal_frequency_hz,
    )


def run(
    tick: Tick,
    clock: SleepingClock,
    notifier: Notifier,
    stop: Callable[[], bool],
    feed: Callable[[], None] = lambda: None,
) -> None:
    """Step at absolute deadlines every 10 ms until ``stop()``. Missed deadlines are skipped, not made up for.

    Tells the supervisor that it is ready after the first step, and feeds the watchdog after every one. Opens the
    breaker on the way out, however it leaves.
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
            feed()
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
