"""The transformer as the control cycle follows it: load in, permitted V2G interval out, once a second. Pure.

Top-oil is re-anchored: at each step the modelled value moves towards a fresh measurement with a time constant of five
minutes, long against the sensor's noise and short against the oil (hours). A measurement far below the model is not
believed; one far above it is taken at once. Until top-oil was measured once, no power is permitted: what the oil went
through before the start cannot be told from the load of this moment. Measured once and lost later, the model goes on.

A sensor that freezes or drifts low would pull the model down with it, minute by minute. So a shadow top-oil follows
measured load and measured ambient alone, from the first measurement on, and is never corrected. Where it is hotter
than the anchored one by more than 10 K, the hotter one counts until they are within 7 K. It only ever takes power away:
where the model is too cool, the anchored state counts as before; where it is too hot (a nameplate worse than the
transformer, wind on the tank) power is lost, and the note says what to correct. While load is not measured, the shadow
moves with the anchored state, since what is assumed then is warm on purpose; without ambient, it keeps the last one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from v2g.config.schema import Transformer
from v2g.config.thermal import thermal_limits, thermal_parameters
from v2g.guard.status import GuardStatus, Permit
from v2g.hardware.ports import Quantity, TransducerReading
from v2g.orchestrator.image import TransformerView
from v2g.thermal.headroom import PermittedInterval, permitted_interval
from v2g.thermal.model import MAX_K_PU, ThermalState, steady_state, step

STEP_S = 1.0
INTERVAL_VALID_S = 3.0
LOAD_MAX_AGE_S = 1.0
TRANSDUCER_MAX_AGE_S = 10.0
"""Without a link to ``wires``; with one, each sensor's own ``max_age_s`` takes it out of the image."""
ANCHOR_TIME_S = 300.0
DISBELIEF_K = 25.0
"""A top-oil reading this far from the model is a broken sensor or a wrong model."""
PLAUSIBLE_C = (-50.0, 150.0)
SHADOW_HOTTER_K = 10.0
"""Shadow above anchored top-oil: more than a wrong parameter or a sunlit sensor commonly explains."""
SHADOW_AGREES_K = 7.0
START_WAIT_S = 3.0
"""So long the start of the model waits for the transducers to be read, then it begins without."""
UNKNOWN_LOAD_K_PU = 1.0
"""Assumed at least while the load is not measured, so that the model errs on the warm side."""


@dataclass(slots=True)
class _Load:
    """Means over one step; K as root mean square, since losses go with its square."""

    count: int = 0
    k_squared: float = 0.0
    transformer_w: float = 0.0
    base_w: float = 0.0
    base_var: float = 0.0

    def add(self, guard: GuardStatus, rated_va: float) -> None:
        self.count += 1
        self.k_squared += (guard.transformer_va / rated_va) ** 2
        self.transformer_w += guard.transformer_w
        self.base_w += guard.transformer_w - guard.feeder_w
        self.base_var += guard.transformer_var - guard.feeder_var

    @property
    def k_pu(self) -> float:
        return math.sqrt(self.k_squared / self.count)


class TransformerModel:
    """Follows one transformer. :meth:`update` every cycle; the state moves once a second."""

    def __init__(self, config: Transformer, horizon_s: float) -> None:
        """Raises :class:`v2g.thermal.parameters.ParameterError` for a nameplate that no transformer has."""
        self._config = config
        self._params = thermal_parameters(config)
        self._limits = thermal_limits(config)
        self._horizon_s = horizon_s
        self._state: ThermalState | None = None
        self._stepped_at_s: float | None = None
        self._waiting_since_s: float | None = None
        self._load_problem = ""
        self._oil_was_measured = False
        self._shadow_oil_c = 0.0
        self._shadow_counts = False
        self._last_ambient_c: float | None = None
        self._last_k_pu = 0.0
        self._load = _Load()
        self._view = TransformerView()

    def update(
        self,
        guard: GuardStatus,
        transducers: Iterable[TransducerReading],
        now_s: float,
        load_problem: str | None = None,
    ) -> TransformerView:
        """This cycle's measurements. Returns the view, renewed once a second.

        ``load_problem``: why the load, although measured, is not believed; it then counts as unknown.
        """
        self._load_problem = load_problem or _load_problem(guard)
        if load_problem is not None:
            self._load = _Load()
        elif _load_known(guard, now_s):
            self._load.add(guard, self._params.rated_va)
        if self._state is None and not self._load.count:
            return self._view
        readings = tuple(transducers)
        if self._state is None and not self._may_start(readings, now_s):
            return self._view
        elapsed_s = STEP_S if self._stepped_at_s is None else now_s - self._stepped_at_s
        if elapsed_s < STEP_S - 1e-6:
            return self._view
        load, self._load = self._load, _Load()
        self._stepped_at_s = now_s
        self._view = self._advance(load, readings, elapsed_s, now_s)
        return self._view

    def _may_start(self, transducers: tuple[TransducerReading, ...], now_s: float) -> bool:
        if self._waiting_since_s is None:
            self._waiting_since_s = now_s
        quantities = (Quantity.TOP_OIL_C, Quantity.AMBIENT_C)
        known = all(_fresh(transducers, quantity, now_s) is not None for quantity in quantities)
        return known or now_s - self._waiting_since_s >= START_WAIT_S

    def _advance(
        self, load: _Load, transducers: tuple[TransducerReading, ...], elapsed_s: float, now_s: float
    ) -> TransformerView:
        notes: list[str] = []
        ambient_c = _fresh(transducers, Quantity.AMBIENT_C, now_s)
        if ambient_c is None:
            ambient_c = self._config.ambient_fallback_c
            notes.append(f"no ambient temperature: {ambient_c:g} °C assumed; check the ambient transducer")
        else:
            self._last_ambient_c = ambient_c
        measured_c = _fresh(transducers, Quantity.TOP_OIL_C, now_s)
        if load.count:
            self._last_k_pu = min(load.k_pu, MAX_K_PU)
        k_pu = self._last_k_pu if load.count else max(self._last_k_pu, UNKNOWN_LOAD_K_PU)
        before = self._state
        if before is None:
            state = steady_state(self._params, k_pu, ambient_c)
        else:
            state = step(before, self._params, k_pu, ambient_c, elapsed_s)
        if measured_c is not None and not self._oil_was_measured:
            self._oil_was_measured = True
            before, state = None, state.with_top_oil(measured_c)
        elif before is not None:
            state = _anchored(state, measured_c, elapsed_s, notes)
        if measured_c is None and self._oil_was_measured:
            notes.append("no top-oil temperature: the thermal model runs on load and ambient alone")
        self._follow_shadow(before, state, load, ambient_c, elapsed_s)
        self._state = state
        if self._shadow_counts:
            if measured_c is not None:
                notes.append(
                    f"top-oil transducer reads {measured_c:.1f} °C, measured load and ambient explain "
                    f"{self._shadow_oil_c:.1f} °C: the hotter one counts; check the top-oil transducer (frozen, loose, "
                    "scale), and if it is right, the nameplate values and the ambient transducer"
                )
            state = state.with_top_oil(self._shadow_oil_c)
        if not load.count:
            notes.append(self._load_problem)
            return self._without_power("transformer load unknown", state, load, ambient_c, tuple(notes), now_s)
        if not self._oil_was_measured:
            notes.append(
                "top-oil was never measured: no V2G power; check the top-oil transducer and top_oil_c in sensor_map"
            )
            return self._without_power("top-oil was never measured", state, load, ambient_c, tuple(notes), now_s)
        interval = permitted_interval(
            state,
            self._params,
            self._limits,
            base_w=load.base_w / load.count,
            base_var=load.base_var / load.count,
            ambient_c=ambient_c,
            horizon_s=self._horizon_s,
        )
        notes += _words(interval)
        return TransformerView(
            lo_w=interval.lo_w,
            hi_w=interval.hi_w,
            lo_source=interval.lo_source,
            hi_source=interval.hi_source,
            expires_at_s=now_s + INTERVAL_VALID_S,
            top_oil_c=state.theta_o_c,
            hot_spot_c=state.hot_spot_c,
            ambient_c=ambient_c,
            k_pu=k_pu,
            load_w=load.transformer_w / load.count,
            base_load_w=load.base_w / load.count,
            notes=tuple(notes),
        )

    def _follow_shadow(
        self, before: ThermalState | None, anchored: ThermalState, load: _Load, ambient_c: float, elapsed_s: float
    ) -> None:
        if before is None or not self._oil_was_measured:
            self._shadow_oil_c = anchored.theta_o_c
        elif load.count:
            shadow = before.with_top_oil(self._shadow_oil_c)
            known_c = ambient_c if self._last_ambient_c is None else self._last_ambient_c
            self._shadow_oil_c = step(shadow, self._params, self._last_k_pu, known_c, elapsed_s).theta_o_c
        else:
            self._shadow_oil_c += anchored.theta_o_c - before.theta_o_c
        hotter_k = self._shadow_oil_c - anchored.theta_o_c
        self._shadow_counts = hotter_k > (SHADOW_AGREES_K if self._shadow_counts else SHADOW_HOTTER_K)

    def _without_power(
        self, why: str, state: ThermalState, load: _Load, ambient_c: float, notes: tuple[str, ...], now_s: float
    ) -> TransformerView:
        known = load.count > 0
        return TransformerView(
            lo_source=f"thermal: {why}",
            hi_source=f"thermal: {why}",
            expires_at_s=now_s + INTERVAL_VALID_S,
            top_oil_c=state.theta_o_c,
            hot_spot_c=state.hot_spot_c,
            ambient_c=ambient_c,
            k_pu=self._last_k_pu if known else None,
            load_w=load.transformer_w / load.count if known else None,
            base_load_w=load.base_w / load.count if known else None,
            notes=notes,
        )


def _anchored(state: ThermalState, measured_c: float | None, elapsed_s: float, notes: list[str]) -> ThermalState:
    if measured_c is None:
        return state
    error_k = measured_c - state.theta_o_c
    if error_k < -DISBELIEF_K:
        notes.append(
            f"top-oil transducer reads {measured_c:.1f} °C, {state.theta_o_c:.1f} °C is expected: not used; check it"
        )
        return state
    if error_k > DISBELIEF_K:
        notes.append(
            f"top oil is {error_k:.0f} K hotter than load and ambient explain: measurement taken; check cooling"
        )
        return state.with_top_oil(measured_c)
    return state.with_top_oil(state.theta_o_c - error_k * math.expm1(-elapsed_s / ANCHOR_TIME_S))


def _words(interval: PermittedInterval) -> list[str]:
    if interval.base_source is None:
        return []
    if interval.feasible:
        return [f"base load alone reaches the {interval.base_source} limit within the horizon; V2G can relieve it"]
    return [f"base load alone breaks the {interval.base_source} limit and V2G cannot prevent it"]


def _load_problem(guard: GuardStatus) -> str:
    if guard.permit is not Permit.GUARD_STALE and guard.measured and not guard.load_measured:
        return (
            "a current channel of the transformer or the V2G feeder is dead or stuck: its load is unknown, no V2G "
            "power; check the current transducers and the driver of the waveform"
        )
    return "transformer load is not measured: no V2G power"


def _load_known(guard: GuardStatus, now_s: float) -> bool:
    return (
        guard.permit is not Permit.GUARD_STALE
        and guard.measured
        and guard.load_measured
        and abs(now_s - guard.as_of_s) <= LOAD_MAX_AGE_S
        and all(
            math.isfinite(value)
            for value in (
                guard.transformer_va,
                guard.transformer_w,
                guard.transformer_var,
                guard.feeder_w,
                guard.feeder_var,
            )
        )
    )


def _fresh(transducers: tuple[TransducerReading, ...], quantity: Quantity, now_s: float) -> float | None:
    low_c, high_c = PLAUSIBLE_C
    for reading in transducers:
        age_s = now_s - reading.as_of_s
        if reading.quantity is quantity and abs(age_s) <= TRANSDUCER_MAX_AGE_S and low_c <= reading.value <= high_c:
            return reading.value
    return None
