"""Our controller's pure parts, put together as the orchestrator does: thermal engine, plan, dispatcher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from time import perf_counter
from typing import Final

from support.closed_loop import local
from support.evening.courses import DAY_S
from support.evening.planned import PLAN_EVERY_S, Planned, Planner
from support.evening.vehicles import DC_STAGE_EFFICIENCY, HOUR_S, SITE_MIN_SOC_PCT, Kind, Spec
from support.evening.world import LIMITS, MIDNIGHT, Evening, Plugged, Reading, nameplate
from v2g.config.schema_dispatch import Dispatch
from v2g.dispatch.ac_vehicle import AcRatings, ac_vehicle_bounds
from v2g.dispatch.constraints import Bound
from v2g.dispatch.dispatcher import Dispatcher, Settings, Vehicle
from v2g.dispatch.energy import Wants, energy_of
from v2g.dispatch.site import interval_bounds
from v2g.dispatch.soc_watch import BatteryWatch
from v2g.dispatch.vehicle import SOC_MAX_AGE_S, Ratings, VehicleData, vehicle_bounds
from v2g.orchestrator.aims import StandingPlan, aim_of
from v2g.orchestrator.phase_limits import phase_groups
from v2g.thermal.engine import EngineSettings, Measured, ThermalEngine
from v2g.thermal.limits import Regime, SizeClass, limits_of
from v2g.thermal.sensed import EstimatorSettings, Sensed
from v2g.thermal.throttle import ThrottleSettings
from v2g.thermal.view import ThermalView
from v2g.utility.signals import UtilityView

DEFAULTS: Final = Dispatch()
UNBALANCE_PU: Final = 0.2
"""Of the transformer's rating: by so much may the V2G power of two phases differ."""
_VALID_S: Final = 3.0
_SAYS_S: Final = 5.0
_SOC_EVERY_S: Final = 10.0
_DC_V, _LN_V = 400.0, 230.0
_NO_UTILITY: Final = UtilityView()
_OWN_LEAST_PCT: Final = 10.0
"""What EVMinimumEnergyRequest covers where the driver has asked for no min-SoC."""


@dataclass(slots=True)
class Device:
    """The readings of one EVSE's devices: healthy, and as rated."""

    max_power_w: float
    max_charge_w: float
    max_discharge_w: float
    max_current_a: float
    as_of_s: float = 0.0
    present_voltage_v: float = _DC_V
    voltage_v: tuple[float, float, float] = (_LN_V, _LN_V, _LN_V)
    pilot: None = None
    connected: bool = True
    reversion_armed: bool = True


class Ours:
    """``planner``: None for a controller that has no plan at all."""

    def __init__(self, evening: Evening, planner: Planner | None, *, plan_every_s: float = PLAN_EVERY_S) -> None:
        self._evening, self._rated_va = evening, evening.rated_va
        params = nameplate(evening.rated_va)
        self._settings = EngineSettings(
            estimator=EstimatorSettings(params=params),
            limits={regime: limits_of(regime, SizeClass.DISTRIBUTION) for regime in Regime},
            throttle=ThrottleSettings.of_rating(params.rated_va),
        )
        began_s = -evening.warm_days * DAY_S
        self._engine = ThermalEngine(self._settings, now_s=began_s, now_unix_s=MIDNIGHT + began_s)
        self._seen_at_s = 0.0
        self._dispatcher = Dispatcher(
            Settings(
                ramp_pu_s=DEFAULTS.ramp_pu_s,
                dwell_s=DEFAULTS.dwell_s,
                unbalance_w=UNBALANCE_PU * self._rated_va,
                rated_w=self._rated_va,
            )
        )
        self._wants = Wants(
            min_soc_pct=SITE_MIN_SOC_PCT,
            max_soc_pct=DEFAULTS.max_soc_pct,
            assumed_capacity_wh=1e3 * DEFAULTS.assumed_capacity_kwh,
            assumed_stay_s=HOUR_S * DEFAULTS.assumed_stay_h,
        )
        self._planned = Planned(evening, planner, plan_every_s)
        self._batteries = [BatteryWatch() for _ in evening.vehicles]
        self._soc_told = [(-inf, 0.0)] * len(evening.vehicles)
        self._bounds = [_bounds_of(spec) for spec in evening.vehicles]
        self.parts_s = {"thermal engine": 0.0, "bounds and energy": 0.0, "dispatcher": 0.0}
        self.steps = 0
        self.rests: dict[str, str] = {}

    @property
    def planned(self) -> Planned:
        return self._planned

    def powers_w(self, reading: Reading, vehicles: Sequence[Plugged]) -> list[float]:
        began_s = perf_counter()
        view = self._follow(reading)
        if not vehicles:
            self._seen_at_s = reading.now_s
            return []
        engine_s = perf_counter()
        now_s, until_s = reading.now_s, reading.now_s + _VALID_S
        offered = [self._offer(vehicle, now_s) for vehicle in vehicles]
        site = interval_bounds(min(0.0, view.lo_w), max(0.0, view.hi_w), view.lo_source, view.hi_source, until_s)
        base_w = reading.base_phase_w
        groups = phase_groups(
            [(each.evse_id, each.phases) for each in offered],
            rated_w=self._rated_va,
            k_pu=LIMITS.k_pu,
            base_w=None if base_w is None else (base_w, base_w),
            feeder_w=None,
            as_of_s=now_s,
        )
        offered_s = perf_counter()
        plan = self._planned.plan(reading, self._engine, vehicles, offered)
        if plan is None:
            self._planned.without_s += now_s - self._seen_at_s
        self._seen_at_s = now_s
        aim = aim_of(DEFAULTS, reading.base_w, self._rated_va, StandingPlan(plan=plan), _NO_UTILITY, reading.unix_s)
        planned_s = perf_counter()
        allocation = self._dispatcher.step(offered, (), site, groups, aim, now_s)
        self.parts_s["thermal engine"] += engine_s - began_s
        self.parts_s["bounds and energy"] += offered_s - engine_s
        self.parts_s["dispatcher"] += perf_counter() - planned_s
        self.steps += 1
        self.rests = {grant.evse_id: grant.bound_by or "" for grant in allocation.grants if not grant.power_w}
        return [grant.power_w for grant in allocation.grants]

    def _follow(self, reading: Reading) -> ThermalView:
        sensed = Sensed(k_pu=reading.k_pu, ambient_c=reading.ambient_c, top_oil_c=reading.top_oil_c)
        measured = Measured(
            sensed=sensed,
            load_w=reading.load_w,
            base_w=reading.base_w,
            base_var=reading.base_var,
            load_problem="" if reading.load_w is not None else "transformer load is not measured: no V2G power",
        )
        return self._engine.step(measured, reading.now_s, local(reading.unix_s))

    def _offer(self, vehicle: Plugged, now_s: float) -> Vehicle:
        spec = vehicle.spec
        if now_s - self._soc_told[vehicle.index][0] >= _SOC_EVERY_S:
            self._soc_told[vehicle.index] = now_s, vehicle.soc_pct
        data = self._batteries[vehicle.index].judge(
            told(vehicle, self._soc_told[vehicle.index], now_s),
            self._wants,
            vehicle.charged_wh,
            vehicle.discharged_wh,
            now_s,
        )
        return Vehicle(
            evse_id=spec.evse_id,
            bounds=self._bounds[vehicle.index](data, self._wants, now_s),
            rated_charge_w=spec.rated_w,
            rated_discharge_w=spec.rated_w if spec.bidirectional else 0.0,
            energy=energy_of(data, self._wants, now_s),
            min_charge_w=spec.min_power_w,
            min_discharge_w=spec.min_power_w,
            phases=spec.phases,
            measured_w=vehicle.measured_w,
        )


def told(vehicle: Plugged, soc: tuple[float, float], now_s: float) -> VehicleData:
    """What the vehicle says in its charge loop; its state of charge as it said it last, with the time."""
    spec = vehicle.spec
    capacity_wh, energy_wh = spec.capacity_wh, vehicle.energy_wh
    least_wh = capacity_wh * (spec.min_soc_pct or _OWN_LEAST_PCT) / 100.0
    dc = spec.kind is Kind.DC
    return VehicleData(
        expires_at_s=now_s + _SAYS_S,
        max_charge_w=vehicle.max_charge_w,
        max_discharge_w=vehicle.max_discharge_w,
        max_charge_a=vehicle.max_charge_w / _DC_V if dc else 0.0,
        max_discharge_a=vehicle.max_discharge_w / _DC_V if dc else 0.0,
        soc_pct=soc[1],
        soc_expires_at_s=soc[0] + SOC_MAX_AGE_S,
        min_soc_pct=spec.min_soc_pct or None,
        min_energy_wh=least_wh - energy_wh,
        max_energy_wh=capacity_wh - energy_wh,
        min_charge_w=spec.min_power_w,
        min_discharge_w=spec.min_power_w,
        target_energy_wh=capacity_wh * spec.target_soc_pct / 100.0 - energy_wh,
        target_soc_pct=spec.target_soc_pct if spec.tells_capacity else None,
        capacity_wh=capacity_wh if spec.tells_capacity else None,
        departs_at_s=spec.departs_s,
    )


def _bounds_of(spec: Spec) -> Callable[[VehicleData, Wants, float], tuple[Bound, ...]]:
    """The bounds of what this vehicle says, at an EVSE that fits it."""
    single = spec.kind is Kind.AC_1
    amps = spec.rated_w / _DC_V if spec.kind is Kind.DC else spec.rated_w / (_LN_V if single else 3.0 * _LN_V)
    device = Device(spec.rated_w, spec.rated_w, spec.rated_w, amps)
    if spec.kind is Kind.DC:
        ratings = Ratings(
            max_charge_w=spec.rated_w,
            max_discharge_w=spec.rated_w,
            max_current_a=amps,
            inverter_efficiency=DC_STAGE_EFFICIENCY,
            min_soc_pct=SITE_MIN_SOC_PCT,
        )

        def dc_bounds(data: VehicleData, wants: Wants, now_s: float) -> tuple[Bound, ...]:
            device.as_of_s = now_s
            return vehicle_bounds(ratings, data, device, device, _VALID_S, now_s, wants=wants)

        return dc_bounds
    ac = AcRatings(
        max_charge_w=spec.rated_w,
        max_discharge_w=spec.rated_w,
        max_current_a=amps,
        phases=1 if single else 3,
        nominal_voltage_v=_LN_V,
        allow_discharge=True,
        min_soc_pct=SITE_MIN_SOC_PCT,
    )

    def ac_bounds(data: VehicleData, wants: Wants, now_s: float) -> tuple[Bound, ...]:
        device.as_of_s = now_s
        return ac_vehicle_bounds(ac, data, device, _VALID_S, now_s, bidirectional=spec.bidirectional, wants=wants)

    return ac_bounds
