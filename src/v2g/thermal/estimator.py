"""What the transformer's state is, from whatever can be measured at the moment: the sensor ladder. Pure.

Every rung says what is assumed, and how uncertain temperatures are with it (``margin_k``):

1. All sensors: the observer.
2. Top-oil lost, stuck, jumped or drifting: open loop with the last bias; the margin widens with time.
3. Ambient lost: the last one, its margin widening until the configured fallback counts.
4. Load lost: no V2G power; the state goes on with the rated load or the last one, whichever is more.
5. Never any top-oil since the first start of this transformer: no V2G power.

The hotter counts wherever two sources contradict each other:

- A shadow follows measured load and measured ambient alone, from the first measurement of top-oil on, and is never
  corrected. Where its top-oil is hotter than the observed one by more than 10 K, it counts until they are within 7 K;
  its winding gradient counts likewise against that of a winding sensor. It only ever takes power away: a sensor that
  freezes or drifts low cannot drag the state down with it. While load is not measured the shadow moves with the
  observer, since what is assumed then is warm on purpose, but down no faster than without any load; without ambient it
  keeps the last one.
- A reading 25 K below what is expected is not believed. One 25 K above it is taken at once, and one that jumped up
  counts for as long as it is there, although the observer does not follow it yet.

*Expected* is the shadow plus the offset that believed readings have had from it over the last hours: what a wrong
nameplate amounts to at present, without what the last minutes of a failing sensor said; or what is observed, where
that is hotter.

What cannot be known stays unknown: with top-oil gone, an ambient transducer that is wrong and steady is believed, but
no further down than 15 K below what it read when top-oil went.
"""

from __future__ import annotations

from dataclasses import replace
from math import exp, expm1, isfinite
from typing import Final

from v2g.thermal.ambient import AmbientLadder
from v2g.thermal.effective import EffectiveParameters
from v2g.thermal.innovation import InnovationMonitor, Verdict
from v2g.thermal.kept import KEPT_VALID_S, Kept, carried, hotter, resumed_c, sound
from v2g.thermal.ladder_words import hot_words, top_oil_words, winding_words
from v2g.thermal.model import MAX_K_PU, ThermalState, steady_state, step
from v2g.thermal.observer import Observer
from v2g.thermal.parameters import ThermalParameters
from v2g.thermal.sensed import (
    AMBIENT,
    TOP_OIL,
    TOP_OIL_NATURE,
    WINDING,
    WINDING_NATURE,
    Estimated,
    EstimatorSettings,
    Sensed,
)
from v2g.thermal.sensor_watch import DISBELIEF_K, Health, SensorReport, SensorWatch

START_WAIT_S: Final = 3.0
"""So long the start waits for the transducers to be read, then it begins without."""
LONGEST_STEP_S: Final = 3_600.0
"""A longer gap is an outage: the load of its end is not that of all of it."""
UNKNOWN_LOAD_K_PU: Final = 1.0
"""Assumed at least while the load is not measured, so that the model errs on the warm side."""
SHADOW_HOTTER_K: Final = 10.0
"""Shadow above what is observed: more than a wrong parameter or a sunlit sensor commonly explains."""
SHADOW_AGREES_K: Final = 7.0
COLDER_THAN_AIR_K: Final = 15.0
"""A first top-oil reading so far below ambient is a cable that is not connected."""
OFFSET_S: Final = 21_600.0
"""With which believed readings teach the offset between them and the shadow."""
_SETTLED: Final = 4.0
"""Oil time constants after which the shadow has forgotten its start, and residuals may be judged."""
_MARGIN_GONE_K: Final = 0.05


class Estimator:
    """Follows one transformer through time."""

    def __init__(self, settings: EstimatorSettings, kept: Kept | None = None, now_unix_s: float = 0.0) -> None:
        """``kept`` younger than :data:`KEPT_VALID_S`: the start is the safer (hotter) of it, carried forward over the
        outage under its own load, and the steady state of the first measured load and ambient; it also counts as a
        measured top-oil, with the margin that the outage has widened. A first reading that is not below what was kept
        decides between the two. Older, or from the future: only its bias and
        gradient factor are taken. With values that no transformer has, it is ignored."""
        self._settings = settings
        self._kept = kept if kept is not None and sound(kept) else None
        self._outage_s = 0.0 if self._kept is None else now_unix_s - self._kept.unix_s
        self._kept_counts = self._kept is not None and 0.0 <= self._outage_s <= KEPT_VALID_S
        self._effective = EffectiveParameters(settings.params, settings.eddy_share)
        self._ambient = AmbientLadder(
            settings.ambient_fallback_c,
            self._kept.ambient_c if self._kept is not None and self._kept_counts else None,
        )
        self._top_oil, self._winding = SensorWatch(TOP_OIL_NATURE), SensorWatch(WINDING_NATURE)
        self._monitor = InnovationMonitor()
        self._observer: Observer | None = None
        self._shadow = ThermalState(0.0, 0.0, 0.0)
        self._shadow_counts = self._shadow_gradient_counts = False
        self._carried_c: float | None = None
        self._oil_was_measured = False
        self._oil_believed = False
        self._oil_health = Health.NEVER_SEEN
        self._oil_since_s = 0.0
        self._offset_k = 0.0
        self._offset_read_c: float | None = None
        self._offset_at_s = 0.0
        self._offset_bias_k = 0.0
        self._filtered_ambient_c = 0.0
        self._transient_k = 0.0
        self._coldest_c = 0.0
        self._settled_at_s = 0.0
        self._margin_k = settings.margin_limit_k
        self._last_k_pu = 0.0
        self._waiting_since_s: float | None = None
        self._now_s: float | None = None
        self._last: Estimated | None = None

    def step(self, sensed: Sensed, now_s: float) -> Estimated | None:
        """One step to ``now_s`` (monotonic; earlier than the last one is ignored and gives the last result). None
        until there was a load and the sensors had :data:`START_WAIT_S` to be read."""
        if not isfinite(now_s) or (self._now_s is not None and now_s <= self._now_s):
            return self._last
        notes: list[str] = []
        k_pu = _load(sensed.k_pu, notes)
        if self._observer is None and not self._may_start(sensed, k_pu, now_s):
            return None
        dt_s = 0.0 if self._now_s is None else now_s - self._now_s
        self._now_s = now_s
        ambient = self._ambient.step(sensed.ambient_c, self._oil_believed, now_s, notes)
        params = self._effective.at(sensed.f_hl, self._ambient.counted_c, now_s, notes)
        counted_k_pu = self._counted_load(k_pu, dt_s, notes)
        observer = self._observer or self._started(params, counted_k_pu, now_s)
        self._resume(observer, sensed.top_oil_c)
        before = observer.estimate.state
        self._move_shadow(params, k_pu, counted_k_pu, dt_s)

        expected_c = None
        if self._oil_was_measured:
            expected_c = max(self._shadow.theta_o_c + self._offset_k, before.theta_o_c)
        driven_c = self._shadow.theta_o_c - self._transient_k
        top_oil = self._top_oil.judge(sensed.top_oil_c, expected_c, now_s, driven_c if self._oil_was_measured else None)
        if not self._oil_was_measured:
            top_oil = self._first_reading(top_oil)
        top_oil = self._judged(top_oil, observer, expected_c, k_pu is not None, dt_s, now_s)
        gradient_k = self._shadow.h1_k - self._shadow.h2_k
        winding = self._winding.judge(sensed.winding_c, before.theta_o_c + gradient_k, now_s, driven_c + gradient_k)
        self._correct(observer, params, counted_k_pu, dt_s, top_oil, winding, k_pu is not None, notes)
        self._follow(observer, before, top_oil, k_pu is not None, now_s)
        self._widen(top_oil, dt_s)
        self._last = self._counted(observer, ambient, top_oil, winding, counted_k_pu, k_pu is not None, notes)
        return self._last

    def kept(self, now_unix_s: float) -> Kept | None:
        """To be stored by the minute; None before the first step, and until top-oil was measured once: it would count
        as measured after a restart."""
        last = self._last
        if last is None or self._observer is None or not self._oil_was_measured:
            return None
        return Kept(
            unix_s=now_unix_s,
            theta_o_c=last.state.theta_o_c,
            h1_k=last.state.h1_k,
            h2_k=last.state.h2_k,
            bias_k=last.bias_k,
            gradient_factor=self._observer.estimate.gradient_factor,
            k_pu=last.k_pu,
            ambient_c=last.ambient_c,
            margin_k=last.margin_k,
        )

    def _may_start(self, sensed: Sensed, k_pu: float | None, now_s: float) -> bool:
        if k_pu is None:
            return False
        if self._waiting_since_s is None:
            self._waiting_since_s = now_s
        known = sensed.top_oil_c is not None and sensed.ambient_c is not None
        return known or now_s - self._waiting_since_s >= START_WAIT_S

    def _counted_load(self, k_pu: float | None, dt_s: float, notes: list[str]) -> float:
        before_pu = self._last_k_pu
        if k_pu is not None:
            self._last_k_pu = k_pu
        if dt_s > LONGEST_STEP_S:
            notes.append(
                f"the thermal model made no step for {dt_s / 3600.0:.1f} h: the higher load of both ends counts; "
                "check why the machine slept"
            )
            return max(before_pu, k_pu if k_pu is not None else UNKNOWN_LOAD_K_PU)
        return k_pu if k_pu is not None else max(before_pu, UNKNOWN_LOAD_K_PU)

    def _started(self, params: ThermalParameters, k_pu: float, now_s: float) -> Observer:
        settings, kept, ambient_c = self._settings, self._kept, self._ambient.counted_c
        bias_k = 0.0 if kept is None else kept.bias_k
        factor = 1.0 if kept is None else kept.gradient_factor
        state = steady_state(params, k_pu, ambient_c)
        if kept is not None and self._kept_counts:
            steady = steady_state(params, k_pu, ambient_c + max(0.0, bias_k))
            was = carried(kept, params, self._outage_s)
            state, self._carried_c = hotter(was, steady), was.theta_o_c
            self._transient_k = state.theta_o_c - steady.theta_o_c
            self._oil_was_measured = True
            widened_k = kept.margin_k + settings.margin_k_per_h * self._outage_s / 3600.0
            self._margin_k = min(settings.margin_limit_k, widened_k)
        self._observer = Observer(state, bias_k=bias_k, gradient_factor=factor, gains=settings.gains)
        self._observer.unsettle()
        self._shadow = state
        self._offset_at_s = now_s
        self._offset_bias_k = bias_k
        self._filtered_ambient_c = ambient_c
        self._settled_at_s = now_s + _SETTLED * params.k11 * params.tau_o_s
        return self._observer

    def _resume(self, observer: Observer, top_oil_c: float | None) -> None:
        carried_c, state = self._carried_c, observer.estimate.state
        if carried_c is None or top_oil_c is None:
            return
        self._carried_c = None
        oil_c = resumed_c(carried_c, top_oil_c, state.theta_o_c)
        self._transient_k += oil_c - state.theta_o_c
        observer.set_state(state.with_top_oil(oil_c))
        self._shadow = self._shadow.with_top_oil(oil_c)

    def _move_shadow(self, params: ThermalParameters, k_pu: float | None, counted_k_pu: float, dt_s: float) -> None:
        """By measured load and the ambient last measured; while the load is unknown only its winding, see _follow."""
        ambient_c = self._ambient.known_c
        moved = step(self._shadow, params, counted_k_pu, ambient_c, dt_s)
        if k_pu is None:
            # No faster down than without any load: a sensor that lies meanwhile must not take the shadow along.
            self._coldest_c = step(self._shadow, params, 0.0, ambient_c, dt_s).theta_o_c
            moved = moved.with_top_oil(self._shadow.theta_o_c)
        self._shadow = moved
        gone = -expm1(-dt_s / (params.k11 * params.tau_o_s))
        self._filtered_ambient_c += (ambient_c - self._filtered_ambient_c) * gone
        self._transient_k -= self._transient_k * gone

    def _first_reading(self, report: SensorReport) -> SensorReport:
        value_c = report.value
        if value_c is None or not self._ambient.measured or value_c >= self._ambient.counted_c - COLDER_THAN_AIR_K:
            return report
        return replace(
            report,
            health=Health.IMPLAUSIBLE,
            value=None,
            words=(
                f"top-oil transducer reads {value_c:.1f} °C, colder than the air of {self._ambient.counted_c:.1f} °C: "
                "not used; check it, its cable and its scale in sensor_map"
            ),
        )

    def _judged(
        self,
        report: SensorReport,
        observer: Observer,
        expected_c: float | None,
        load_known: bool,
        dt_s: float,
        now_s: float,
    ) -> SensorReport:
        """What drift there is, and what follows once from a change of health."""
        monitor, before = self._monitor, self._oil_health
        value_c = report.value
        if value_c is not None and before is Health.JUMPED and expected_c is not None:
            self._offset_k = value_c - self._shadow.theta_o_c
            monitor = self._monitor = InnovationMonitor()
        rise_k = self._shadow.theta_o_c - self._filtered_ambient_c
        if value_c is not None and load_known and self._ambient.measured and now_s >= self._settled_at_s:
            monitor.observe(value_c - self._shadow.theta_o_c, rise_k, dt_s, now_s)
        finding = monitor.finding
        if value_c is not None and finding.verdict is Verdict.SENSOR_DRIFT:
            low = finding.drift_k < 0.0
            report = SensorReport(
                health=Health.DRIFTING,
                value=None if low else value_c,
                read=report.read,
                since_s=self._oil_since_s if before is Health.DRIFTING else now_s,
                words=(
                    f"top-oil transducer drifts by {finding.drift_k_per_day:+.1f} K a day against load and ambient"
                    + (": not used; " if low else ": the hotter reading counts; ")
                    + "compare it and the ambient transducer with a thermometer"
                    + ("" if low else ", and check oil level and coolers")
                ),
            )
            if low and before is not Health.DRIFTING:
                self._offset_k = finding.explained_k(rise_k)
                self._go_open_loop(observer, self._shadow.theta_o_c + self._offset_k, self._offset_k)
        elif report.health is Health.STUCK and before is not Health.STUCK and expected_c is not None:
            self._go_open_loop(observer, expected_c, self._offset_bias_k)
        if report.health is not before:
            self._oil_health, self._oil_since_s = report.health, now_s
        return report

    def _go_open_loop(self, observer: Observer, expected_c: float, bias_k: float) -> None:
        """Without what a sensor taught while it was failing already: as warm as before it, or warmer."""
        state = observer.estimate.state
        observer.set_state(state.with_top_oil(max(state.theta_o_c, expected_c)))
        observer.set_bias(bias_k)

    def _correct(
        self,
        observer: Observer,
        params: ThermalParameters,
        k_pu: float,
        dt_s: float,
        top_oil: SensorReport,
        winding: SensorReport,
        load_known: bool,
        notes: list[str],
    ) -> None:
        value_c = top_oil.value
        at_once = None
        if value_c is not None and not self._oil_was_measured:
            at_once = value_c
        elif value_c is not None and value_c - observer.estimate.state.theta_o_c > DISBELIEF_K:
            at_once = value_c
            notes.append(hot_words(value_c - observer.estimate.state.theta_o_c))
        learn = (
            load_known
            and self._ambient.measured
            and dt_s <= LONGEST_STEP_S
            and not self._shadow_counts
            and not self._shadow_gradient_counts
        )
        estimate = observer.step(
            params,
            k_pu,
            self._ambient.counted_c,
            dt_s,
            value_c if at_once is None else None,
            winding.value,
            learn=learn,
        )
        if at_once is not None:
            observer.set_state(estimate.state.with_top_oil(at_once))
            if not self._oil_was_measured:
                self._oil_was_measured = True
                self._transient_k = at_once - steady_state(params, k_pu, self._ambient.counted_c).theta_o_c
                self._shadow = self._shadow.with_top_oil(at_once)
                self._margin_k = 0.0

    def _follow(
        self, observer: Observer, before: ThermalState, top_oil: SensorReport, load_known: bool, now_s: float
    ) -> None:
        """The shadow where it cannot go alone, and what believed readings teach of its offset."""
        observed_c = observer.estimate.state.theta_o_c
        if not self._oil_was_measured:
            self._shadow = self._shadow.with_top_oil(observed_c)
        elif not load_known:
            along_c = self._shadow.theta_o_c + observed_c - before.theta_o_c
            self._shadow = self._shadow.with_top_oil(max(along_c, self._coldest_c))
        # Only a reading that moves teaches: a frozen one would teach its own offset until it looks sound.
        if top_oil.health is Health.OK and top_oil.value is not None and top_oil.value != self._offset_read_c:
            share = -expm1(-(now_s - self._offset_at_s) / OFFSET_S)
            self._offset_k += share * (top_oil.value - self._shadow.theta_o_c - self._offset_k)
            self._offset_read_c, self._offset_at_s = top_oil.value, now_s
            self._offset_bias_k = observer.estimate.bias_k
        self._oil_believed = top_oil.value is not None

    def _widen(self, top_oil: SensorReport, dt_s: float) -> None:
        settings = self._settings
        if top_oil.value is not None:
            self._margin_k *= exp(-dt_s / settings.gains.oil_s)
            if self._margin_k < _MARGIN_GONE_K:
                self._margin_k = 0.0
        else:
            widened_k = self._margin_k + settings.margin_k_per_h * dt_s / 3600.0
            self._margin_k = min(settings.margin_limit_k, widened_k)

    def _counted(
        self,
        observer: Observer,
        ambient: SensorReport,
        top_oil: SensorReport,
        winding: SensorReport,
        k_pu: float,
        load_known: bool,
        notes: list[str],
    ) -> Estimated:
        estimate, shadow = observer.estimate, self._shadow
        oil_c, h1_k, h2_k = estimate.state.theta_o_c, estimate.state.h1_k, estimate.state.h2_k
        bias_k, factor = estimate.bias_k, estimate.gradient_factor

        hotter_k = shadow.theta_o_c - oil_c
        self._shadow_counts = hotter_k > (SHADOW_AGREES_K if self._shadow_counts else SHADOW_HOTTER_K)
        if self._shadow_counts:
            oil_c, bias_k = shadow.theta_o_c, max(0.0, bias_k)
        explained_c = oil_c
        if top_oil.health in _HOTTER_COUNTS and top_oil.read is not None:
            oil_c = max(oil_c, top_oil.read)
        finding = self._monitor.finding
        wrong_k = finding.explained_k(shadow.theta_o_c - self._filtered_ambient_c)
        notes += top_oil_words(
            top_oil,
            explained_c=explained_c,
            was_measured=self._oil_was_measured,
            shadow_counts=self._shadow_counts,
            settled_k=wrong_k if finding.verdict is Verdict.MODEL_ERROR else None,
        )

        steeper_k = shadow.h1_k - shadow.h2_k - (h1_k - h2_k)
        self._shadow_gradient_counts = winding.health is not Health.NEVER_SEEN and steeper_k > (
            SHADOW_AGREES_K if self._shadow_gradient_counts else SHADOW_HOTTER_K
        )
        if self._shadow_gradient_counts:
            h1_k, h2_k, factor = shadow.h1_k, shadow.h2_k, max(1.0, factor)
        explained_c = oil_c + h1_k - h2_k
        if winding.health is Health.JUMPED and winding.read is not None:
            h1_k += max(0.0, winding.read - explained_c)
        notes += winding_words(winding, explained_c=explained_c, shadow_counts=self._shadow_gradient_counts)

        no_power = ""
        if not load_known:
            no_power = "transformer load unknown"
        elif not self._oil_was_measured:
            no_power = "top-oil was never measured"
        return Estimated(
            state=ThermalState(oil_c, h1_k, h2_k),
            params=self._effective.with_gradient(factor),
            k_pu=k_pu,
            ambient_c=self._ambient.counted_c,
            bias_k=bias_k,
            margin_k=self._margin_k,
            no_power=no_power,
            sensors={TOP_OIL: top_oil, AMBIENT: ambient, WINDING: winding},
            notes=tuple(notes),
        )


_HOTTER_COUNTS: Final = frozenset((Health.JUMPED, Health.DRIFTING))


def _load(k_pu: float | None, notes: list[str]) -> float | None:
    if k_pu is None:
        return None
    if abs(k_pu) <= MAX_K_PU:
        return abs(k_pu)
    if isfinite(k_pu):
        notes.append(f"load of K = {k_pu:g} is no transformer's: not used; check rated_kva (kVA, not MVA)")
    else:
        notes.append("load is not a number: not used; check the current transducers and their scale")
    return None
