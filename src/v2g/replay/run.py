"""Runs a stimulus through estimator, protection and latch in injected time, with a breaker that takes its time.

Samples arrive in batches of 5 ms, a tick of 10 ms judges what has arrived 3 ms after a batch: as beside a real writer.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from v2g.grid.estimate import Estimate, EstimationError, Validity
from v2g.grid.estimation import Estimator
from v2g.grid.protection import GridEvent, Inputs, Protection, ProtectionSettings
from v2g.grid.settings import SettingsError
from v2g.grid.trip import TICK_PERIOD_S, Trip
from v2g.guard.latch import LatchStore, TripLatch
from v2g.guard.tick_telling import latched
from v2g.replay.breaker import Breaker
from v2g.replay.case_settings import is_entry, protection_settings, settings_of
from v2g.replay.feed import Feed
from v2g.replay.stimulus import Case, ReplayError, Samples, Stimulus
from v2g.replay.synthesis import I_TR, I_V2G, V_BUS, V_INV, CaseStimulus

TICK_OFFSET_S = 0.003
"""From a batch to the tick that judges it."""
MAX_AGE_S = 0.03
"""Samples that cannot be estimated from are bridged for this long, then there is no measurement."""
_PRIMING_S = 1.0


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
    it never did. ``close_commanded_s``: the command that led to ``closed_s``. Times from the stimulus's beginning."""

    trip: Trip | None
    opened_s: float | None
    closed_s: float | None
    close_commanded_s: float | None
    events: tuple[tuple[float, GridEvent], ...]
    steps: tuple[Step, ...]
    """Every ``keep_every``-th tick."""


_PROGRESS_TICKS = 100


def run(
    stimulus: Stimulus,
    settings: ProtectionSettings,
    *,
    in_service: bool = True,
    count_from_s: float = 0.0,
    draw: Callable[[], float] = lambda: 0.5,
    keep_every: int = 0,
    until_open: bool = False,
    progress: Callable[[float], None] = lambda replayed_s: None,
) -> Outcome:
    """``in_service``: begin with a closed breaker (the enter-service criteria count as fulfilled); otherwise open.

    The first three cycles only fill the estimator's window and are not judged. ``until_open``: stop when the breaker
    has opened on a trip. ``progress`` hears each second how far it is. Raises
    :class:`~v2g.replay.stimulus.ReplayError` for a stimulus or settings that the guard refuses.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="v2g-replay-") as place:
            latch = TripLatch(LatchStore(Path(place) / "trip-latch.json", ""), 0.0, 0.0)
            return _Run(stimulus, settings, in_service, draw, latch).run(count_from_s, keep_every, until_open, progress)
    except (EstimationError, SettingsError) as error:
        raise ReplayError(str(error)) from None


class _Run:
    def __init__(
        self,
        stimulus: Stimulus,
        settings: ProtectionSettings,
        in_service: bool,
        draw: Callable[[], float],
        latch: TripLatch,
    ) -> None:
        self._stimulus = stimulus
        self._estimator = Estimator(stimulus.sample_rate_hz, stimulus.nominal_frequency_hz, stimulus.nominal_voltage_v)
        self._protection = _in_service(settings, draw) if in_service else Protection(settings, draw)
        self._breaker = Breaker(settings.opening_time_s, settings.closing_time_s, closed=in_service)
        self._latch = latch
        self._estimate: Estimate | None = None
        self._as_of_s = -math.inf
        self._in_service = in_service

    def run(self, count_from_s: float, keep_every: int, until_open: bool, progress: Callable[[float], None]) -> Outcome:
        stimulus, breaker, rate_hz = self._stimulus, self._breaker, self._stimulus.sample_rate_hz
        feed = Feed(stimulus, self._estimator.window_samples)
        events: list[tuple[float, GridEvent]] = []
        steps: list[Step] = []
        trip: Trip | None = None
        opened_s = closed_s = commanded_s = None
        was_held = self._in_service
        ticks = int((stimulus.duration_s - TICK_OFFSET_S) / TICK_PERIOD_S + 1e-9)
        for tick in range(1, ticks + 1):
            batch_s = tick * TICK_PERIOD_S
            if tick % _PROGRESS_TICKS == 0:
                progress(batch_s)
            now_s = batch_s + TICK_OFFSET_S
            index = round(batch_s * rate_hz)
            was_closed = breaker.closed
            closed = breaker.move(now_s)
            if closed is not was_closed and now_s >= count_from_s:
                if closed and closed_s is None:
                    closed_s = breaker.closed_at_s
                elif not closed and opened_s is None:
                    opened_s = breaker.opened_at_s
            if feed.take(index, closed) is None or (until_open and trip is not None and not closed):
                break
            if index < self._estimator.window_samples:
                continue
            judged_from_s = self._as_of_s
            self._measure(feed.window, batch_s, closed)
            verdict = self._protection.step(
                now_s,
                Inputs(
                    estimate=self._estimate,
                    as_of_s=None if self._estimate is None else self._as_of_s,
                    judged_from_s=judged_from_s if math.isfinite(judged_from_s) else None,
                    breaker_closed=closed,
                    mains_present=feed.mains_present,
                    latched=self._latch.trip is not None,
                ),
            )
            if verdict.trip is not None:
                trip = trip or verdict.trip
                self._latch.set(latched(verdict.trip, 0.0, None, None, ""))
                self._latch.keep()
            held = verdict.close and self._latch.trip is None
            if held and not was_held and commanded_s is None and now_s >= count_from_s:
                commanded_s = now_s
            was_held = held
            breaker.hold(held, now_s)
            events.extend((now_s, event) for event in verdict.events)
            if keep_every and tick % keep_every == 0:
                steps.append(
                    Step(
                        t_s=now_s,
                        v_pu=(0.0, 0.0, 0.0) if self._estimate is None else self._estimate.v_pu,
                        frequency_hz=None if self._estimate is None else self._estimate.frequency_hz,
                        rocof_hz_s=verdict.rocof_hz_s,
                        operation=int(verdict.operation),
                        breaker_closed=closed,
                        waiting_for=verdict.waiting_for,
                    )
                )
        return Outcome(
            trip=trip,
            opened_s=opened_s,
            closed_s=closed_s,
            close_commanded_s=commanded_s,
            events=tuple(events),
            steps=tuple(steps),
        )

    def _measure(self, rows: Samples, as_of_s: float, closed: bool) -> None:
        estimate = self._estimator.estimate(
            rows[:, V_BUS], rows[:, I_TR], rows[:, I_V2G], rows[:, V_INV], inverter_frequency=not closed
        )
        if estimate.validity is Validity.VALID:
            self._estimate, self._as_of_s = estimate, as_of_s
        elif as_of_s - self._as_of_s > MAX_AGE_S:
            self._estimate = None


def _in_service(settings: ProtectionSettings, draw: Callable[[], float]) -> Protection:
    """A protection whose enter service is behind it: nominal estimates and no delay, then the settings as they are."""
    grid = settings.grid
    at_once = replace(grid, enter_service=replace(grid.enter_service, delay_s=0.0, random_delay_s=0.0))
    protection = Protection(replace(settings, grid=at_once), draw)
    closed = False
    now_s = -2.0 * _PRIMING_S
    while now_s < -_PRIMING_S:
        verdict = protection.step(
            now_s,
            Inputs(
                estimate=_nominal(grid.nominal_frequency_hz, closed),
                as_of_s=now_s,
                judged_from_s=now_s - TICK_PERIOD_S,
                breaker_closed=closed,
                mains_present=True,
            ),
        )
        closed = verdict.close
        now_s += TICK_PERIOD_S
    if not closed:
        raise ReplayError(
            f"the guard does not enter service at nominal voltage and frequency with {grid.profile} "
            f"({verdict.waiting_for}); correct its enter-service window"
        )
    protection.adopt(settings)
    return protection


def _nominal(frequency_hz: float, closed: bool) -> Estimate:
    angles = (0.0, -2.0 * math.pi / 3.0, 2.0 * math.pi / 3.0)
    a, b, c = (complex(math.cos(angle), math.sin(angle)) for angle in angles)
    return Estimate(
        Validity.VALID,
        v_pu=(1.0, 1.0, 1.0),
        frequency_hz=frequency_hz,
        phase_frequency_hz=(frequency_hz, frequency_hz, frequency_hz),
        v_phasor_pu=(a, b, c),
        v1_pu=1.0,
        inverter_v_pu=(1.0, 1.0, 1.0) if closed else (0.0, 0.0, 0.0),
        inverter_angle_deg=(0.0, 0.0, 0.0) if closed else (None, None, None),
    )


def run_case(
    case: Case, *, sample_rate_hz: float = 3840.0, opening_time_s: float = 0.05, keep_every: int = 0
) -> Outcome:
    """A case with its own settings, synthesised. Raises :class:`~v2g.replay.stimulus.ReplayError`."""
    return run(
        CaseStimulus.of(case, sample_rate_hz),
        protection_settings(settings_of(case), opening_time_s),
        in_service=not is_entry(case),
        # A closing too early must not pass for the one that is waited for, nor go unnoticed where none may be.
        count_from_s=case.reference_s if case.expect == "CLOSE" else 0.0,
        keep_every=keep_every,
        until_open=not keep_every,
    )


def verdict(case: Case, outcome: Outcome) -> dict[str, object]:
    """``{"id", "tripped", "closed", "element", "t_s"}``: what ``v2g-tool replay grid`` prints as one line. ``t_s`` is
    counted from the reference segment: to the open contact for trips, to the close command for enter service and
    synchronisation; None when neither happened. ``closed`` only for enter-service and synchronisation cases;
    ``element`` is what acted, ``ES`` or ``SYNC`` for a closing, and empty when nothing did."""
    trip = outcome.trip
    said: dict[str, object] = {"id": case.id, "tripped": trip is not None}
    element, at_s = ("", None) if trip is None else (trip.element, outcome.opened_s)
    if is_entry(case):
        said["closed"] = outcome.close_commanded_s is not None
        if trip is None and outcome.close_commanded_s is not None:
            element, at_s = "SYNC" if "sync" in case.settings else "ES", outcome.close_commanded_s
    said["element"] = element
    said["t_s"] = None if at_s is None else round(at_s - case.reference_s, 4)
    return said


def as_expected(case: Case, outcome: Outcome) -> str:
    """Empty when the outcome is what the case expects, else what differs, in words."""
    said = verdict(case, outcome)
    trip = outcome.trip
    if case.expect in ("NO_TRIP", "NO_CLOSE"):
        if trip is not None:
            return f"tripped on {trip.element} at {trip.at_s - case.reference_s:.3f} s, expected is {case.expect}"
        return f"closed at {said['t_s']} s, expected is NO_CLOSE" if said.get("closed") else ""
    at_s = said["t_s"]
    if trip is not None and case.expect == "CLOSE":
        return f"tripped on {trip.element}, expected is CLOSE"
    if not isinstance(at_s, float):
        if trip is not None:
            return f"commanded on {trip.element}, and the contact did not part before the end"
        if case.expect == "TRIP":
            return "did not trip, expected is TRIP"
        return f"did not close from the reference segment on, expected is CLOSE ({_last_said(outcome)})"
    if said["element"] != case.element:
        return f"{said['element']} acted at {at_s:.3f} s, expected is {case.element}"
    tmin_s, tmax_s = case.tmin_s or 0.0, math.inf if case.tmax_s is None else case.tmax_s
    if not tmin_s <= at_s <= tmax_s:
        return f"{case.element} after {at_s:.3f} s, expected {tmin_s:g} to {tmax_s:g} s"
    return ""


def _last_said(outcome: Outcome) -> str:
    reasons = [event.message for _, event in outcome.events]
    return reasons[-1] if reasons else "nothing was said"
