"""The guard's decision of one tick: close or open, trip, ride through, curtail, and what discharge is refused for.

Pure: :class:`Inputs` in, :class:`Verdict` out, time as an argument. ``v2g-guard tick`` feeds it from the waveform
buffer, ``v2g-tool replay`` from a file, the tests from synthesised waveforms: it is one and the same code.
"""

from __future__ import annotations

from collections.abc import Callable

from v2g.grid.alarm import GridAlarms
from v2g.grid.enter_service import EnterService
from v2g.grid.estimate import Estimate, Validity
from v2g.grid.overcurrent import Curtailment, Overcurrent, adding
from v2g.grid.rate import PhaseJump, PhaseJumpDetector, Rocof
from v2g.grid.relay_watch import RelayWatch
from v2g.grid.ride_through import RideThrough
from v2g.grid.settings import FREQUENCY_CYCLES, Operation
from v2g.grid.synchronisation import PhaseWatch, Synchronisation, SyncState, corrected
from v2g.grid.ten_minutes import TenMinuteVoltage
from v2g.grid.trip import Trip, TripLogic, tick_timing
from v2g.grid.verdict import Block, GridEvent, Inputs, ProtectionSettings, RelaySettings, Verdict
from v2g.grid.waiting import Waiting

__all__ = [
    "Block",
    "GridEvent",
    "Inputs",
    "Protection",
    "ProtectionSettings",
    "RelaySettings",
    "Verdict",
]

MAINS_LOST_TICKS = 2
"""The loss-of-mains input must be false this often in a row: one false reading is none."""
_OLDEST_S = 1.0
"""A time of the samples that is farther off than this is none."""


class Protection:
    """All functions of the guard. One call a tick, in service or not.

    ``draw`` returns a number of [0, 1): the randomised enter-service delay. Raises
    :class:`~v2g.grid.settings.SettingsError` when the breaker is too slow for an element.

    Elements besides the profile's table: ``81 unknown`` (a healthy voltage without a frequency), ``LOM`` (loss-of-mains
    input), ``50``/``51`` over-current, ``Phase Mismatch``.
    What is not a trip and does not latch: no measurement, permit service off, the relay open; the breaker opens and
    enter service starts over.
    """

    def __init__(self, settings: ProtectionSettings, draw: Callable[[], float]) -> None:
        self._timed = _Timed(settings)
        self._settings = settings
        self._enter_service = EnterService(settings.grid.enter_service, draw)
        self._curtailment = Curtailment(settings.feeder, settings.transformer)
        self._relay = RelayWatch(settings.relay)
        self._alarms = GridAlarms(settings.grid)
        self._ten_minutes = TenMinuteVoltage()
        self._rocof = Rocof()
        self._phase_jumps = PhaseJumpDetector(settings.grid.nominal_frequency_hz)
        self._waiting = Waiting()
        self._rocof_hz_s: float | None = None
        self._as_of_s: float | None = None
        self._in_service = False
        self._apart_at_s = 0.0
        """When the contact was last apart: windows that reach back to then tell nothing of the closed breaker."""
        self._mains_false = 0
        self._mains_false_at_s = 0.0
        self._told_mains_lost = False

    def step(self, now_s: float, inputs: Inputs) -> Verdict:
        """Judge one tick. Never raises, whatever the figures."""
        events: list[GridEvent] = []
        estimate = inputs.estimate
        if estimate is not None and estimate.validity is not Validity.VALID:
            estimate = None
        self._watch_mains(now_s, inputs.mains_present, events)
        highest_pu = None if estimate is None else max(estimate.v_pu)
        blocks = self._relay.step(now_s, highest_pu, inputs.relay_closed, events)
        if estimate is None:
            return self._blind(now_s, blocks, events)

        believed_hz = self._measure(now_s, inputs, estimate, events)
        frequency_hz = estimate.frequency_hz
        operation = Operation.CONTINUOUS
        if self._timed.ride_through is not None:
            operation = self._timed.ride_through.step(now_s, estimate.v_pu, believed_hz).operation
        self._curtailment.step(
            now_s, estimate.feeder_a, estimate.transformer_a, estimate.feeder.w, estimate.transformer.w
        )
        overcurrent = self._overcurrent(now_s, estimate)

        trip: Trip | None = None
        was_in_service = self._in_service
        if was_in_service:
            if not (inputs.latched or not inputs.permit_service):
                trip = self._trip(now_s, inputs, estimate, overcurrent)
            if trip is not None or inputs.latched or not inputs.permit_service or self._relay.is_open:
                self._leave()
        if inputs.start_over:
            self._leave()
        waiting_for = ""
        if not self._in_service:
            sync = self._judge_entry(now_s, inputs, estimate)
            may_enter = not (was_in_service or inputs.start_over or inputs.latched)
            if may_enter and self._enter_service.ready and sync.ready:
                self._enter(now_s, estimate, sync, events)
            else:
                waiting_for = self._waiting.words(
                    now_s, inputs, trip, self._relay.is_open, self._enter_service, self._settings.grid, sync, events
                )
        self._alarms.ride_through(now_s, operation, estimate.v_pu, believed_hz, self._in_service, events)
        if self._alarms.no_new_discharge(now_s, frequency_hz):
            blocks |= Block.NEW_DISCHARGE
        return Verdict(
            close=self._in_service,
            trip=trip,
            operation=operation,
            blocks=blocks,
            curtail_charge=self._curtailment.charge,
            curtail_discharge=self._curtailment.discharge,
            service_fraction=self._enter_service.fraction(now_s) if self._in_service else 0.0,
            in_window=self._settings.grid.enter_service.contains(estimate.v_pu, frequency_hz),
            enter_service_remaining_s=0.0 if self._in_service else self._enter_service.remaining_s,
            rocof_hz_s=self._rocof_hz_s,
            waiting_for=waiting_for,
            events=tuple(events),
        )

    def adopt(self, settings: ProtectionSettings) -> None:
        """New settings from now on: in service stays in service, every timer starts anew. Raises SettingsError and
        then keeps the old ones.

        What is known of the grid and the relay's failure stay: the ten-minute voltage, alarms that are on, the ramp.
        """
        timed = _Timed(settings)
        if settings.grid.nominal_frequency_hz != self._settings.grid.nominal_frequency_hz:
            self._rocof = Rocof()
            self._phase_jumps = PhaseJumpDetector(settings.grid.nominal_frequency_hz)
            self._rocof_hz_s = None
        self._timed = timed
        self._settings = settings
        self._enter_service.adopt(settings.grid.enter_service)
        self._curtailment = Curtailment(
            settings.feeder, settings.transformer, self._curtailment.charge, self._curtailment.discharge
        )
        self._relay.adopt(settings.relay)
        self._alarms.adopt(settings.grid)
        self._mains_false = 0

    def relay_proved(self) -> None:
        """A test has seen the hardware relay open: it has not failed any more."""
        self._relay.proved()

    @property
    def _window_s(self) -> float:
        return FREQUENCY_CYCLES / self._settings.grid.nominal_frequency_hz

    def _blind(self, now_s: float, blocks: Block, events: list[GridEvent]) -> Verdict:
        self._leave()
        waiting_for = self._waiting.no_measurement(now_s, events)
        return Verdict(
            close=False,
            blocks=blocks | Block.NEW_DISCHARGE,
            curtail_charge=self._curtailment.charge,
            curtail_discharge=self._curtailment.discharge,
            enter_service_remaining_s=self._enter_service.remaining_s,
            waiting_for=waiting_for,
            events=tuple(events),
        )

    def _measure(self, now_s: float, inputs: Inputs, estimate: Estimate, events: list[GridEvent]) -> float | None:
        """The frequency, unknown while a phase jump is inside its windows."""
        as_of_s = inputs.as_of_s
        if as_of_s is None or not abs(now_s - as_of_s) <= _OLDEST_S:
            as_of_s = now_s
        self._as_of_s = as_of_s
        tag_s = as_of_s - estimate.centre_age_s
        jump = self._phase_jumps.step(tag_s, estimate.v_phasor_pu, estimate.frequency_hz)
        believed_hz = None if self._phase_jumps.settling else estimate.frequency_hz
        if jump is not None:
            self._rocof.reset()
            events.append(_jumped(jump))
        # Left out, not forgotten: a ramp that looks like a jump at first must not lose its rate of change.
        self._rocof_hz_s = self._rocof.step(tag_s, believed_hz)
        self._ten_minutes.step(now_s, estimate.v_pu)
        self._alarms.step(now_s, estimate.v_pu, believed_hz, events)
        return believed_hz

    def _watch_mains(self, now_s: float, present: bool | None, events: list[GridEvent]) -> None:
        if present is not False:
            self._mains_false = 0
        else:
            if self._mains_false == 0:
                self._mains_false_at_s = now_s
            self._mains_false = min(self._mains_false + 1, MAINS_LOST_TICKS)
        lost = self._mains_false >= MAINS_LOST_TICKS
        if lost != self._told_mains_lost and (lost or present is not False):
            self._told_mains_lost = lost
            events.append(
                GridEvent(
                    level="error" if lost else "info",
                    code="LOM",
                    message="the loss-of-mains input says that the mains are gone"
                    if lost
                    else "the loss-of-mains input says that the mains are back",
                    fields=(("state", "lost" if lost else "back"),),
                )
            )

    def _overcurrent(self, now_s: float, estimate: Estimate) -> Trip | None:
        feeder = self._timed.feeder.step(now_s, estimate.feeder_a)
        adds = adding(self._settings.feeder, estimate.feeder_a, estimate.feeder.w, estimate.transformer.w)
        a, b, c = (amps if add else 0.0 for amps, add in zip(estimate.transformer_a, adds, strict=True))
        transformer = self._timed.transformer.step(now_s, (a, b, c))
        return feeder if feeder is not None else transformer

    def _trip(self, now_s: float, inputs: Inputs, estimate: Estimate, overcurrent: Trip | None) -> Trip | None:
        if self._mains_false >= MAINS_LOST_TICKS:
            return Trip(
                element="LOM",
                quantity="mains",
                phase="",
                value=0.0,
                threshold=0.0,
                clearing_time_s=self._settings.grid.islanding_s,
                picked_up_at_s=self._mains_false_at_s,
                at_s=now_s,
                unit="",
                remedy="the mains are gone: check the upstream switch, or the loss-of-mains input and its driver",
            )
        trip = self._timed.trips.step(
            now_s,
            estimate.v_pu,
            estimate.frequency_hz,
            inputs.judged_from_s,
            as_of_s=self._as_of_s,
            centre_age_s=estimate.centre_age_s,
            rocof_hz_s=self._rocof_hz_s,
            v_10min_pu=self._ten_minutes.rms_pu,
        )
        if trip is not None:
            return trip
        if overcurrent is not None:
            return overcurrent
        if inputs.breaker_closed is False:
            self._apart_at_s = now_s
        if not now_s - self._apart_at_s > self._window_s:
            self._timed.phases.reset()
            return None
        mismatch = self._timed.phases.step(now_s, estimate.inverter_angle_deg)
        if mismatch is None:
            return None
        return Trip(
            element="Phase Mismatch",
            quantity="phase",
            phase=mismatch.phase,
            value=mismatch.angle_deg,
            threshold=mismatch.limit_deg,
            clearing_time_s=0.0,
            picked_up_at_s=now_s - mismatch.cycles / self._settings.grid.nominal_frequency_hz,
            at_s=now_s,
            unit="deg",
            remedy=mismatch.likely,
        )

    def _judge_entry(self, now_s: float, inputs: Inputs, estimate: Estimate) -> SyncState:
        held = not inputs.permit_service or inputs.mains_present is False or self._relay.is_open
        judge = self._enter_service.hold if held else self._enter_service.step
        judge(now_s, estimate.v_pu, estimate.frequency_hz)
        return self._timed.sync.step(
            now_s,
            estimate.v_pu,
            estimate.frequency_hz,
            estimate.inverter_v_pu,
            estimate.inverter_frequency_hz,
            corrected(estimate.inverter_angle_deg, self._settings.phase_offset_deg),
        )

    def _enter(self, now_s: float, estimate: Estimate, sync: SyncState, events: list[GridEvent]) -> None:
        self._in_service = True
        self._apart_at_s = now_s
        self._enter_service.enter(now_s)
        self._timed.trips.reset()
        self._timed.phases.reset()
        self._waiting.over()
        events.append(
            GridEvent(
                level="info",
                code="ENTER_SERVICE",
                message="the grid held the enter-service window; breaker commanded closed"
                + (" in step with the live inverter side" if sync.live else ""),
                fields=(
                    ("state", "closed"),
                    ("v_pu", round(min(estimate.v_pu), 4)),
                    ("frequency_hz", round(estimate.frequency_hz or 0.0, 3)),
                ),
            )
        )

    def _leave(self) -> None:
        self._in_service = False
        self._timed.trips.reset()
        self._timed.phases.reset()
        self._timed.sync.reset()
        self._enter_service.reset()


class _Timed:
    """What starts anew with new settings. Raises SettingsError."""

    def __init__(self, settings: ProtectionSettings) -> None:
        grid = settings.grid
        self.trips = TripLogic(grid.trips, tick_timing(settings.opening_time_s, grid.nominal_frequency_hz))
        self.ride_through = RideThrough(grid.ride_through) if grid.ride_through is not None else None
        self.feeder = Overcurrent(settings.feeder)
        self.transformer = Overcurrent(settings.transformer)
        self.sync = Synchronisation(grid.sync, settings.closing_time_s)
        limit_deg = grid.sync.dtheta_deg if settings.phase_limit_deg is None else settings.phase_limit_deg
        self.phases = PhaseWatch(limit_deg, settings.phase_cycles, grid.nominal_frequency_hz, settings.phase_offset_deg)


def _jumped(jump: PhaseJump) -> GridEvent:
    a, b, c = jump.phase_deg
    return GridEvent(
        level="info",
        code="PHASE_JUMP",
        message="the phase angle of the grid has jumped",
        fields=(
            ("sequence_deg", round(jump.sequence_deg, 1)),
            ("a_deg", round(a, 1)),
            ("b_deg", round(b, 1)),
            ("c_deg", round(c, 1)),
        ),
    )
