"""One transformer, second by second: measurements in, permitted V2G interval out, with all that explains it. Pure.

Estimator (what is its state) → forecast (what will load it) → headroom (what it can carry on top of that) → throttle
(handed out without oscillation); beside them the ageing account and the authorisation of a regime.

An emergency's limits are led back to the normal ones over its last horizon, so that it does not end with a transformer
that is loaded beyond what is permitted a second later. An ageing budget limits normal cyclic loading, and so an
emergency in its last horizon only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, inf, isfinite
from typing import Final

import msgspec

from v2g.thermal.account import AgeingAccount, AgeingTotals
from v2g.thermal.ahead import ahead
from v2g.thermal.authorisation import Authorisation, KeptAuthorisation
from v2g.thermal.calendar import LocalMinute, LocalTime
from v2g.thermal.day_ahead import DayErrors, Outlook, day_ahead
from v2g.thermal.effective import STEEPEST_GRADIENT_K
from v2g.thermal.estimator import Estimator
from v2g.thermal.forecast import Forecast, Forecaster, ForecastMemory, MinuteMeans
from v2g.thermal.headroom import PermittedInterval, permitted_interval, relief_power_w
from v2g.thermal.hindsight import Hindsight
from v2g.thermal.kept import Kept
from v2g.thermal.limits import AGEING, ColdOil, Regime, ThermalLimits
from v2g.thermal.model import ThermalState
from v2g.thermal.parameters import ThermalParameters
from v2g.thermal.recovery import Direction, granted_in_s
from v2g.thermal.sensed import AMBIENT, TOP_OIL, WINDING, Estimated, EstimatorSettings, Sensed
from v2g.thermal.sensor_watch import Health
from v2g.thermal.throttle import Throttle, ThrottleSettings
from v2g.thermal.view import ThermalView

WORTHWHILE_PU: Final = 0.02
"""An end of the interval nearer to 0 than this share of the rated power counts as refused."""
RECOVERY_EVERY_S: Final = 30.0
_MINUTE_S: Final = 60.0
_HINDSIGHT: Final = "bounds top_oil_c"
_DAY_ERRORS: Final = "margins of the day"
_DIRECTIONS: Final[tuple[Direction, ...]] = ("discharge", "charge")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """``limits`` of every regime; ``horizon_s`` as :func:`v2g.thermal.headroom.permitted_interval` takes it."""

    estimator: EstimatorSettings
    limits: Mapping[Regime, ThermalLimits]
    throttle: ThrottleSettings
    cold_oil: ColdOil = field(default_factory=ColdOil)
    horizon_s: float = 900.0
    gradient_doubt: float = 0.1
    """Share by which the hot-spot gradient may be steeper than stated, while no winding sensor is believed. Top-oil
    tells nothing of it; and copper at 120 °C has a seventh more of resistance than at the 75 °C of the nameplate."""
    upgraded_paper: bool = False
    budget_h_per_day: float | None = None

    @property
    def rated_va(self) -> float:
        return self.estimator.params.rated_va


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Means over one step, W and var positive downstream; None: not known. ``v2g_w`` positive charges."""

    sensed: Sensed
    load_w: float | None
    base_w: float | None
    base_var: float | None
    load_problem: str = ""
    """Why the load is not known, in words with the remedy."""


class EngineMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What survives a restart of the controller."""

    estimator: Kept | None = None
    nameplate: str = ""
    """Of which parameters the bias and the gradient factor in ``estimator`` were learned."""
    ageing: AgeingTotals | None = None
    forecast: ForecastMemory | None = None
    authorisation: KeptAuthorisation | None = None


class ThermalEngine:
    """Follows one transformer. :meth:`step` about once a second."""

    def __init__(
        self, settings: EngineSettings, memory: EngineMemory | None = None, *, now_s: float, now_unix_s: float
    ) -> None:
        """Raises ValueError for a horizon that the transformer's constants do not allow, as the headroom does."""
        memory = memory or EngineMemory()
        self._settings = settings
        self._minutes = ceil(settings.horizon_s / _MINUTE_S)
        self._nameplate = str(settings.estimator.params)
        self._kept_before = memory.estimator
        if memory.estimator is not None and memory.nameplate != self._nameplate:
            # What was learned stands for errors of the parameters of that time.
            self._kept_before = msgspec.structs.replace(memory.estimator, bias_k=0.0, gradient_factor=1.0)
        self._estimator = Estimator(settings.estimator, self._kept_before, now_unix_s)
        self._forecaster = Forecaster(rated_va=settings.rated_va, minutes=self._minutes)
        self._hindsight = Hindsight(self._minutes)
        self._day_errors = DayErrors(settings.rated_va)
        self._present: tuple[Measured, Estimated, LocalTime] | None = None
        """Of the last step; None while power is not permitted."""
        self._throttle = Throttle(settings.throttle)
        self._account = AgeingAccount(
            upgraded_paper=settings.upgraded_paper,
            budget_h_per_day=settings.budget_h_per_day,
            totals=memory.ageing,
        )
        self.authorisation = Authorisation()
        self.remarks: list[str] = []
        """What of ``memory`` was dropped, in words."""
        if memory.authorisation is not None:
            why = self.authorisation.recall(memory.authorisation, now_s, now_unix_s)
            self.remarks += [why] if why else []
        if memory.forecast is not None:
            try:
                self._forecaster.recall(memory.forecast)
            except ValueError as error:
                self.remarks.append(f"what was learned of load and ambient is dropped: {error}")
            try:
                self._hindsight.recall(memory.forecast.data.get(_HINDSIGHT, ()))
            except ValueError as error:
                self.remarks.append(f"what was learned of the errors of past top-oil predictions is dropped: {error}")
            try:
                self._day_errors.recall(memory.forecast.data.get(_DAY_ERRORS, ()))
            except ValueError as error:
                self.remarks.append(f"what was learned of the errors of past days is dropped: {error}")
        self._minute = _Minute()
        self._stepped_at_s: float | None = None
        self._recovery = _Recovery()
        params = settings.estimator.params
        self._doubted_params: tuple[ThermalParameters | None, ThermalParameters] = None, params

    def memory(self, now_s: float, now_unix_s: float) -> EngineMemory:
        """To be stored by the minute: small, without what the forecaster has learned."""
        return EngineMemory(
            estimator=self._estimator.kept(now_unix_s) or self._kept_before,
            nameplate=self._nameplate,
            ageing=self._account.totals,
            authorisation=self.authorisation.kept(now_s, now_unix_s),
        )

    def learned(self) -> ForecastMemory:
        """Some 100 kB, to be stored by the hour."""
        memory = self._forecaster.memory()
        more = {_HINDSIGHT: self._hindsight.memory(), _DAY_ERRORS: self._day_errors.memory()}
        return msgspec.structs.replace(memory, data={**memory.data, **more})

    def step(self, measured: Measured, now_s: float, local: LocalTime) -> ThermalView:
        """To ``now_s``, monotonic. ``expires_at_s`` is left to the caller, whose clock it is."""
        estimated = self._estimator.step(measured.sensed, now_s)
        if estimated is None:
            self._present = None
            return ThermalView(notes=(measured.load_problem,) if measured.load_problem else ())
        elapsed_s = 0.0 if self._stepped_at_s is None else now_s - self._stepped_at_s
        self._stepped_at_s = now_s
        rate = self._account.step(estimated.state.hot_spot_c, elapsed_s, local.day)
        finished = self._minute.add(local, measured, estimated.ambient_c)
        if finished is not None:
            self._day_errors.observe(self._forecaster, finished)
            self._forecaster.observe(finished)
        self._look_back(measured, estimated, now_s, local)
        regime = self.authorisation.regime(now_s)
        limits = self._limits(estimated.state.theta_o_c, local.left_of_day_s, now_s)
        view = ThermalView(
            top_oil_c=estimated.state.theta_o_c,
            hot_spot_c=estimated.state.hot_spot_c,
            ambient_c=estimated.ambient_c,
            k_pu=estimated.k_pu if measured.sensed.k_pu is not None else None,
            load_w=measured.load_w,
            base_load_w=measured.base_w,
            regime=regime,
            regime_left_s=self.authorisation.left_s(now_s),
            regime_by=self.authorisation.by(now_s),
            limits=limits,
            margin_k=estimated.margin_k,
            hot_spot_margin_k=estimated.margin_k + self._doubt(estimated) * _gradient_k(estimated.state),
            bias_k=estimated.bias_k,
            gradient_factor=estimated.params.dtheta_hr_k / self._settings.estimator.params.dtheta_hr_k,
            load_loss_factor=estimated.params.load_loss_factor,
            f_hl=measured.sensed.f_hl,
            ageing_rate=rate,
            ageing=self._account.totals,
            sensors=estimated.sensors,
            notes=(*estimated.notes, self._account.note) if self._account.note else estimated.notes,
        )
        problem = self._problem(measured, estimated)
        self._present = (measured, estimated, local) if problem is None else None
        if problem is not None:
            return self._without_power(view, *problem)
        return self._with_power(view, measured, estimated, limits, now_s, local)

    def day_ahead(
        self, calendar: Callable[[float], LocalMinute], now_unix_s: float, steps: int, step_s: float = 900.0
    ) -> Outlook | None:
        """The transformer as a plan of the coming ``steps`` takes it, up to 72 h; ``calendar``: the local minute of a
        Unix time. None while load or temperatures are not known. Limits are those of normal cyclic loading: an
        emergency is authorised for what happens, not planned for.
        """
        if self._present is None:
            return None
        measured, estimated, local = self._present
        base_w, base_var = measured.base_w or 0.0, measured.base_var or 0.0
        near = self._forecaster.predict(local.minute, base_w, base_var, estimated.ambient_c)
        ahead = day_ahead(
            self._forecaster,
            self._day_errors,
            calendar,
            now_unix_s=now_unix_s,
            base_w=base_w,
            base_var=base_var,
            ambient_c=estimated.ambient_c,
            near_margin_w=near.base_margin_w[-1],
            rated_va=self._settings.rated_va,
            steps=steps,
            step_s=step_s,
        )
        doubted = self._doubted(estimated)
        normal = self._normal_limits(local.left_of_day_s)
        return Outlook(
            state=doubted.state,
            params=doubted.params,
            limits=self._settings.cold_oil.narrowed(normal, estimated.state.theta_o_c),
            bias_k=estimated.bias_k,
            margin_k=estimated.margin_k + self._hindsight.margins_k[-1],
            upgraded_paper=self._settings.upgraded_paper,
            ahead=ahead,
        )

    @staticmethod
    def _problem(measured: Measured, estimated: Estimated) -> tuple[str, str] | None:
        if estimated.no_power:
            return estimated.no_power, measured.load_problem
        if measured.base_w is None or measured.load_w is None:
            return "transformer load unknown", measured.load_problem
        return None

    def _without_power(self, view: ThermalView, why: str, note: str) -> ThermalView:
        self._recovery = _Recovery()
        notes = (*view.notes, note) if note and note not in view.notes else view.notes
        return replace(view, lo_source=f"thermal: {why}", hi_source=f"thermal: {why}", feasible=False, notes=notes)

    def _with_power(
        self,
        view: ThermalView,
        measured: Measured,
        estimated: Estimated,
        limits: ThermalLimits,
        now_s: float,
        local: LocalTime,
    ) -> ThermalView:
        base_w, base_var = measured.base_w or 0.0, measured.base_var or 0.0
        forecast = self._forecaster.predict(local.minute, base_w, base_var, estimated.ambient_c)
        around_c = [
            ambient_c + margin_k + estimated.bias_k
            for ambient_c, margin_k in zip(forecast.ambient_c, forecast.ambient_margin_k, strict=True)
        ]
        margin_k = [estimated.margin_k + error_k for error_k in self._hindsight.margins_k]
        doubted = self._doubted(estimated)
        raw = permitted_interval(
            doubted.state,
            doubted.params,
            limits,
            base_w=forecast.base_w,
            base_var=forecast.base_var,
            ambient_c=around_c,
            base_margin_w=forecast.base_margin_w,
            margin_k=margin_k,
            horizon_s=self._settings.horizon_s,
        )
        handed = self._throttle.update(raw, relief_power_w(base_w), now_s)
        v2g_w = (measured.load_w or 0.0) - base_w
        coming = ahead(estimated.state, estimated.params, forecast, estimated.bias_k, v2g_w)
        lo_in_s, hi_in_s = self._recovery.times(
            handed, self._settings, doubted, limits, forecast, around_c, margin_k, now_s
        )
        return replace(
            view,
            lo_w=handed.lo_w,
            hi_w=handed.hi_w,
            lo_source=handed.lo_source,
            hi_source=handed.hi_source,
            lo_binds_in_s=handed.lo_binds_at_s,
            hi_binds_in_s=handed.hi_binds_at_s,
            lo_granted_in_s=lo_in_s,
            hi_granted_in_s=hi_in_s,
            base_source=handed.base_source,
            feasible=handed.feasible,
            ahead_top_oil_c=coming.top_oil_c[-1],
            ahead_hot_spot_c=coming.hot_spot_c[-1],
            ahead_base_w=forecast.base_w[-1],
            ahead_base_margin_w=forecast.base_margin_w[-1],
            ahead=coming,
            margin_k=margin_k[-1],
            hot_spot_margin_k=margin_k[-1] + _gradient_k(doubted.state) - _gradient_k(estimated.state),
            notes=(*view.notes, *_words(handed)),
        )

    def _look_back(self, measured: Measured, estimated: Estimated, now_s: float, local: LocalTime) -> None:
        oil, ambient = estimated.sensors[TOP_OIL], estimated.sensors[AMBIENT]
        self._hindsight.step(
            estimated.params,
            estimated.state.theta_o_c,
            estimated.bias_k,
            estimated.k_pu,
            estimated.ambient_c,
            now_s,
            local.minute.minute,
            known=not estimated.no_power
            and oil.health is Health.OK
            and ambient.value is not None
            and not estimated.margin_k,
        )

    def _doubt(self, estimated: Estimated) -> float:
        return 0.0 if estimated.sensors[WINDING].value is not None else self._settings.gradient_doubt

    def _doubted(self, estimated: Estimated) -> Estimated:
        """With the gradient as steep as it may be."""
        doubt = self._doubt(estimated)
        if not doubt:
            return estimated
        if self._doubted_params[0] is not estimated.params:
            steeper_k = min(estimated.params.dtheta_hr_k * (1.0 + doubt), STEEPEST_GRADIENT_K)
            self._doubted_params = estimated.params, replace(estimated.params, dtheta_hr_k=steeper_k)
        state = estimated.state
        steeper = ThermalState(state.theta_o_c, state.h1_k * (1.0 + doubt), state.h2_k * (1.0 + doubt))
        return replace(estimated, state=steeper, params=self._doubted_params[1])

    def _normal_limits(self, left_of_day_s: float) -> ThermalLimits:
        normal = self._settings.limits[Regime.NORMAL_CYCLIC]
        budget_c = self._account.hot_spot_limit_c(left_of_day_s)
        if budget_c is not None and budget_c < normal.hot_spot_c:
            normal = replace(normal, hot_spot_c=budget_c, hot_spot_source=AGEING)
        return normal

    def _limits(self, top_oil_c: float, left_of_day_s: float, now_s: float) -> ThermalLimits:
        settings, left_s = self._settings, self.authorisation.left_s(now_s)
        limits = normal = self._normal_limits(left_of_day_s)
        if left_s is not None:
            # Who authorises an emergency has accepted what it costs of life; it is counted all the same.
            limits = settings.limits[self.authorisation.regime(now_s)]
            share = left_s / settings.horizon_s
            if share < 1.0:
                limits = replace(
                    limits,
                    hot_spot_c=normal.hot_spot_c + share * (limits.hot_spot_c - normal.hot_spot_c),
                    top_oil_c=normal.top_oil_c + share * (limits.top_oil_c - normal.top_oil_c),
                    k_pu=normal.k_pu + share * (limits.k_pu - normal.k_pu),
                )
        return settings.cold_oil.narrowed(limits, top_oil_c)


def _gradient_k(state: ThermalState) -> float:
    return state.h1_k - state.h2_k


class _Minute:
    """Means of the minute that is under way."""

    def __init__(self) -> None:
        self._local: LocalTime | None = None
        self._count = 0
        self._base_w = self._base_var = self._ambient_c = 0.0

    def add(self, local: LocalTime, measured: Measured, ambient_c: float) -> MinuteMeans | None:
        """Returns the means of the minute before when this value begins another."""
        finished = None
        if self._local is not None and local.minute.unix_min != self._local.minute.unix_min:
            if self._count:
                was, now = self._local.minute, local.minute
                # A minute bears the number of its end; behind a gap that is not the present one's.
                at = now if now.unix_min == was.unix_min + 1 else replace(was, unix_min=was.unix_min + 1)
                finished = MinuteMeans(
                    at=at,
                    base_w=self._base_w / self._count,
                    base_var=self._base_var / self._count,
                    ambient_c=self._ambient_c / self._count,
                )
            self._count = 0
            self._base_w = self._base_var = self._ambient_c = 0.0
        self._local = local
        if measured.base_w is not None and measured.base_var is not None:
            self._count += 1
            self._base_w += measured.base_w
            self._base_var += measured.base_var
            self._ambient_c += ambient_c
        return finished


class _Recovery:
    """When a refused direction may be granted again; looked for every half minute only, since it takes milliseconds."""

    def __init__(self) -> None:
        self._known: dict[Direction, tuple[float, float | None]] = {}
        """By direction: when it was looked for, and at what time it may be granted."""

    def times(
        self,
        interval: PermittedInterval,
        settings: EngineSettings,
        estimated: Estimated,
        limits: ThermalLimits,
        forecast: Forecast,
        around_c: Sequence[float],
        margin_k: Sequence[float],
        now_s: float,
    ) -> tuple[float | None, float | None]:
        """For discharge and charge, seconds from now; None where it is not refused, or not within a day."""
        found: list[float | None] = []
        for direction, end_w in zip(_DIRECTIONS, (-interval.lo_w, interval.hi_w), strict=True):
            if end_w >= WORTHWHILE_PU * settings.rated_va:
                self._known.pop(direction, None)
                found.append(None)
                continue
            looked_s, granted_at_s = self._known.get(direction, (-inf, None))
            if not 0.0 <= now_s - looked_s < RECOVERY_EVERY_S:
                in_s = granted_in_s(
                    estimated.state,
                    estimated.params,
                    limits,
                    base_w=forecast.base_w,
                    base_var=forecast.base_var,
                    ambient_c=around_c,
                    horizon_s=settings.horizon_s,
                    direction=direction,
                    power_w=WORTHWHILE_PU * settings.rated_va,
                    base_margin_w=forecast.base_margin_w,
                    margin_k=margin_k,
                )
                granted_at_s = now_s + in_s if in_s is not None and isfinite(in_s) else None
                self._known[direction] = (now_s, granted_at_s)
            found.append(None if granted_at_s is None else max(0.0, granted_at_s - now_s))
        return found[0], found[1]


def _words(interval: PermittedInterval) -> list[str]:
    if interval.base_source is None:
        return []
    if interval.feasible:
        return [f"base load alone reaches a limit within the horizon ({interval.base_source}); V2G can relieve it"]
    return [f"base load alone breaks a limit ({interval.base_source}) and V2G cannot prevent it"]
