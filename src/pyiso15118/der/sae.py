"""A grid code as AC_DER_SAE carries it to the vehicle; :mod:`pyiso15118.der.sae_reading` reads it back.

What Annex M leaves open is read so: voltages go out in V, line to neutral, and a percentage is one of
GridNominalVoltage; DroopFactor is IEEE 1547's k, per unit of frequency for a whole rating of power; curves draw what is
injected positive, as all public vectors do, and ConstantVar negative, as Table M.25 has it. A momentary cessation is a
curve of one voltage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pyiso15118.checks import rational
from pyiso15118.der.checks import steps
from pyiso15118.der.values import EnterService, FrequencyDroop, GridCode, PowerFactor, Ratings, TripPoint
from pyiso15118.messages import ac_der_sae as sae

_UNIT = sae.derUnitType
_CESSATION_S = 1000.0
"""How long the curve of a momentary cessation is drawn: longer than any disturbance lasts."""
_AFTER_S = 1.0
"""A curve has two points at least; the second of a single step lies so much later and decides nothing."""
_OFF_UNDER_PU, _OFF_OVER_PU = 0.5, 1.5


def control_of(code: GridCode, ratings: Ratings) -> sae.DERControlCPDResType:
    """The whole grid code, for parameter discovery. ``ratings``: of the vehicle, by its own word."""
    volts, hz = code.nominal_voltage_v, code.nominal_frequency_hz
    must, may, cessation = code.must_trip, code.may_trip, code.cessation
    return sae.DERControlCPDResType(
        VoltageTrip=sae.VoltageTripType(
            OverVoltageMustTripCurve=_trip(must.over_voltage, _UNIT.V, volts, 1.0, over=True),
            UnderVoltageMustTripCurve=_trip(must.under_voltage, _UNIT.V, volts, 1.0, over=False),
            OverVoltageMomentaryCessationTripCurve=_ceases(cessation.over_pu, volts),
            UnderVoltageMomentaryCessationTripCurve=_ceases(cessation.under_pu, volts),
            OverVoltageMayTripCurve=_may(may.over_voltage, _UNIT.V, volts, over=True),
            UnderVoltageMayTripCurve=_may(may.under_voltage, _UNIT.V, volts, over=False),
        ),
        FrequencyTrip=sae.FrequencyTripType(
            OverFrequencyMustTripCurve=_trip(must.over_frequency, _UNIT.Hz, 1.0, hz, over=True),
            UnderFrequencyMustTripCurve=_trip(must.under_frequency, _UNIT.Hz, 1.0, hz, over=False),
            OverFrequencyMayTripCurve=_may(may.over_frequency, _UNIT.Hz, 1.0, over=True),
            UnderFrequencyMayTripCurve=_may(may.under_frequency, _UNIT.Hz, 1.0, over=False),
        ),
        EnterServiceCPDRes=sae.EnterServiceCPDResType(**_enter_service(code)),
        ReactivePowerSupportCPDRes=_reactive(code, ratings),
        ActivePowerSupportCPDRes=_active(code),
    )


def change_of(before: GridCode | None, code: GridCode, ratings: Ratings) -> sae.DERControlCLResType:
    """What the charge loop says after ``before`` was handed over: whole functions, and only those that changed."""
    whole = control_of(code, ratings)
    permitted = code.enter_service is None or code.enter_service.permitted
    if before == code:
        return sae.DERControlCLResType(EnterServiceCLRes=sae.EnterServiceCLResType(PermitService=permitted))
    old = None if before is None else control_of(before, ratings)
    fresh = _Fresh(old)
    same_window = old is not None and _without_permit(old) == _without_permit(whole)
    entry = {"PermitService": permitted} if same_window else _enter_service(code)
    return sae.DERControlCLResType(
        VoltageTrip=fresh.of(whole, "VoltageTrip"),
        FrequencyTrip=fresh.of(whole, "FrequencyTrip"),
        EnterServiceCLRes=sae.EnterServiceCLResType(**entry),
        ReactivePowerSupportCLRes=fresh.parts(whole, "ReactivePowerSupportCPDRes", sae.ReactivePowerSupportCLResType),
        ActivePowerSupportCLRes=fresh.parts(whole, "ActivePowerSupportCPDRes", sae.ActivePowerSupportCLResType),
    )


class _Fresh:
    """What is not as it was."""

    def __init__(self, old: sae.DERControlCPDResType | None) -> None:
        self._old = old

    def of(self, whole: sae.DERControlCPDResType, name: str) -> Any:
        new = getattr(whole, name)
        return None if self._old is not None and getattr(self._old, name) == new else new

    def parts(self, whole: sae.DERControlCPDResType, name: str, kind: Any) -> Any:
        new, old = getattr(whole, name), None if self._old is None else getattr(self._old, name)
        changed = {
            f: getattr(new, f) for f in new.__struct_fields__ if old is None or getattr(old, f) != getattr(new, f)
        }
        return kind(**changed) if changed else None


def _without_permit(control: sae.DERControlCPDResType) -> tuple[Any, ...]:
    entry = control.EnterServiceCPDRes
    return tuple(getattr(entry, name) for name in entry.__struct_fields__ if name != "PermitService")


def _trip(points: tuple[TripPoint, ...], unit: sae.derUnitType, scale: float, nominal: float, *, over: bool) -> Any:
    """A curve that is off stands with points that would trip nothing."""
    enabled = bool(points)
    inert = (TripPoint(nominal * (_OFF_OVER_PU if over else _OFF_UNDER_PU), _CESSATION_S),)
    return _curve(steps(points or inert, over=over), unit, scale, enable=enabled)


def _may(points: tuple[TripPoint, ...], unit: sae.derUnitType, scale: float, *, over: bool) -> Any:
    return _curve(ride_steps(points, over=over), unit, scale) if points else None


def ride_steps(points: tuple[TripPoint, ...], *, over: bool) -> tuple[TripPoint, ...]:
    """By ascending time, which is from the farthest inwards; of two at one time the nearer one asks for as much."""
    ordered = sorted(points, key=lambda p: (p.time_s, -p.threshold if over else p.threshold))
    return tuple(
        point
        for rank, point in enumerate(ordered)
        if rank + 1 == len(ordered) or ordered[rank + 1].time_s > point.time_s
    )


def _ceases(threshold_pu: float | None, volts: float) -> sae.DERCurveType | None:
    if threshold_pu is None:
        return None
    return _curve((TripPoint(threshold_pu, 0.0), TripPoint(threshold_pu, _CESSATION_S)), _UNIT.V, volts)


def _curve(
    points: Sequence[TripPoint], unit: sae.derUnitType, scale: float, *, enable: bool = True
) -> sae.DERCurveType:
    if len(points) == 1:
        points = (points[0], replace(points[0], time_s=points[0].time_s + _AFTER_S))
    return sae.DERCurveType(
        Enable=enable,
        xUnit=_UNIT.s,
        yUnit=unit,
        CurveDataPoints=_list([(point.time_s, point.threshold * scale) for point in points]),
    )


def _list(points: Sequence[tuple[float, float]]) -> sae.CurveDataPointsListType:
    return sae.CurveDataPointsListType(
        CurveDataPoint=[sae.DataTupleType(xValue=rational(x), yValue=rational(y)) for x, y in points]
    )


def _enter_service(code: GridCode) -> dict[str, Any]:
    """Where the code states none, it may enter at once wherever no trip acts: a delay or a ramp must stand."""
    volts, hz, must = code.nominal_voltage_v, code.nominal_frequency_hz, code.must_trip
    window = code.enter_service or EnterService(
        v_lo_pu=max((p.threshold for p in must.under_voltage), default=_OFF_UNDER_PU),
        v_hi_pu=min((p.threshold for p in must.over_voltage), default=_OFF_OVER_PU),
        f_lo_hz=max((p.threshold for p in must.under_frequency), default=hz * _OFF_UNDER_PU),
        f_hi_hz=min((p.threshold for p in must.over_frequency), default=hz * _OFF_OVER_PU),
        delay_s=0.0,
    )
    return {
        "PermitService": window.permitted,
        "EnterServiceVoltageHigh": rational(window.v_hi_pu * volts),
        "EnterServiceVoltageLow": rational(window.v_lo_pu * volts),
        "EnterServiceFrequencyHigh": rational(window.f_hi_hz),
        "EnterServiceFrequencyLow": rational(window.f_lo_hz),
        "EnterServiceDelay": rational(window.delay_s),
        "EnterServiceRandomizedDelay": rational(window.random_delay_s) if window.random_delay_s > 0.0 else None,
        "EnterServiceRampTime": rational(window.ramp_s),
    }


def _reactive(code: GridCode, ratings: Ratings) -> sae.ReactivePowerSupportCPDResType:
    volts, factor = code.nominal_voltage_v, code.power_factor or PowerFactor(power_factor=1.0)
    volt_var, watt_var = code.volt_var, code.watt_var
    excitation = sae.powerFactorExcitationType
    by_volt = volt_var.points if volt_var else ((0.9, 0.0), (1.1, 0.0))
    by_watt = watt_var.points if watt_var else ((0.0, 0.0), (1.0, 0.0))
    set_pct = (code.set_var_pu or 0.0) * ratings.apparent_va / max(ratings.injected_var, 1.0) * 100.0
    return sae.ReactivePowerSupportCPDResType(
        ConstantPowerFactor=sae.ConstantPowerFactorType(
            Enable=code.power_factor is not None,
            PowerFactorValue=rational(factor.power_factor),
            PowerFactorExcitation=excitation.OverExcited if factor.over_excited else excitation.UnderExcited,
        ),
        VoltVar=sae.VoltVarType(
            Enable=volt_var is not None,
            xUnit=_UNIT.V,
            yUnit=_UNIT.var,
            CurveDataPoints=_list([(x * volts, y * ratings.apparent_va) for x, y in by_volt]),
            OpenLoopResponseTime=rational(volt_var.response_s if volt_var else 5.0),
            ReferenceVoltage=rational(volts),
            AutonomousReferenceVoltageAdjustmentEnable=False,
            ReferenceVoltageAdjustmentTimeConstant=0,
        ),
        WattVar=sae.WattVarType(
            Enable=watt_var is not None,
            xUnit=_UNIT.W,
            yUnit=_UNIT.var,
            CurveDataPoints=_list([(x * ratings.active_w, y * ratings.apparent_va) for x, y in by_watt]),
        ),
        ConstantVar=sae.ConstantVarType(
            Enable=code.set_var_pu is not None,
            VarSetpoint=rational(0.0 - set_pct),
            Unit=_UNIT.PercentageEVMaximumConfiguredReactivePower,
        ),
    )


def _active(code: GridCode) -> sae.ActivePowerSupportCPDResType:
    volts, volt_watt = code.nominal_voltage_v, code.volt_watt
    by_volt = volt_watt.points if volt_watt else ((1.0, 1.0), (1.1, 1.0))
    limit_pu = code.discharge_limit_pu
    return sae.ActivePowerSupportCPDResType(
        FrequencyDroop=_droop(code.frequency_droop),
        VoltWatt=sae.VoltWattType(
            Enable=volt_watt is not None,
            xUnit=_UNIT.V,
            yUnit=_UNIT.PercentageEVMaximumConfiguredActivePower,
            CurveDataPoints=_list([(x * volts, y * 100.0) for x, y in by_volt]),
            OpenLoopResponseTime=rational(volt_watt.response_s if volt_watt else 10.0),
        ),
        ConstantWatt=sae.ConstantWattType(
            Enable=False, WattSetpoint=rational(0), Unit=_UNIT.PercentageEVMaximumConfiguredActivePower
        ),
        LimitMaxDischargePower=sae.LimitMaxDischargePowerType(
            Enable=limit_pu is not None, PercentageValue=100 if limit_pu is None else round(limit_pu * 100.0)
        ),
    )


def _droop(droop: FrequencyDroop | None) -> sae.FrequencyDroopType:
    shown = droop or FrequencyDroop()

    def side(db_hz: float | None, k: float) -> sae.FrequencyDroopSettingsType | None:
        if db_hz is None:
            return None
        return sae.FrequencyDroopSettingsType(
            db=rational(db_hz),
            DroopFactor=rational(k),
            PowerReference=sae.powerReferenceType.MaximumActivePower,
            OpenLoopResponseTime=rational(shown.response_s),
        )

    return sae.FrequencyDroop(
        Enable=droop is not None,
        OverFrequencyDroop=side(shown.db_of_hz, shown.k_of),
        UnderFrequencyDroop=side(shown.db_uf_hz, shown.k_uf),
    )
