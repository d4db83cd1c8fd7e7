"""A grid code as AC_DER_IEC carries it, and back.

The schema has no trip curves and no window to enter service: :func:`left_out` names what it cannot say. What its text
leaves open is read so: voltages in V, line to neutral; Slope per unit of the reference power and Hz; a response with
PT1 is told by its time constant, of which 90 % of a step take ln 10; ``var`` and ``W`` of curves are absolute, drawn
with the discharge power that the vehicle named, which also stands for its apparent power, injected positive.
"""

from __future__ import annotations

import math
from typing import Any

from pyiso15118.checks import rational
from pyiso15118.der.checks import grid_code_problem
from pyiso15118.der.functions import IEC_BITS, DerFunction, functions_of
from pyiso15118.der.values import (
    Cessation,
    FrequencyDroop,
    GridCode,
    PowerFactor,
    Ratings,
    VoltVar,
    VoltWatt,
    WattVar,
)
from pyiso15118.errors import RemoteProtocolError
from pyiso15118.messages import ac_der_iec as iec

_UNIT = iec.curveDataPointsUnitType
_LN_10 = math.log(10.0)
_IN_LOOP = frozenset({DerFunction.DISCHARGE_LIMIT})
"""Has no bit, and an element in the charge loop."""


def left_out(code: GridCode) -> tuple[DerFunction, ...]:
    """What ``code`` asks for and this schema has no words for."""
    return tuple(sorted(functions_of(code) - IEC_BITS.keys() - _IN_LOOP))


def ratings_of(active_w: float) -> Ratings:
    """What per-unit values are of, on both sides: the schema has no apparent power."""
    return Ratings(active_w=active_w, apparent_va=active_w, injected_var=active_w)


# ---- to the vehicle -----------------------------------------------------------------------------------------------


def control_of(code: GridCode, ratings: Ratings) -> iec.DERControlType:
    """What parameter discovery can say of ``code``."""
    volts = code.nominal_voltage_v
    return iec.DERControlType(
        ZeroCurrent=_zero_current(code.cessation, volts),
        ReactivePowerSupport=_reactive(code, ratings),
        ActivePowerSupport=_active(code),
    )


def set_points_of(code: GridCode, ratings: Ratings) -> dict[str, Any]:
    """What the charge loop says each time: elements of the response's control mode by name."""
    fields: dict[str, Any] = {}
    if code.discharge_limit_pu is not None:
        fields["DSOMaximumDischargePower"] = rational(code.discharge_limit_pu * ratings.active_w)
    if code.set_var_pu is not None:
        fields["DSOQSetpoint"] = iec.DSOQSetpointType(
            DSOQSetpointValue=rational(code.set_var_pu * ratings.apparent_va),
            PT1ResponseReactivePower=False,
            StepResponseTimeConstantReactivePower=rational(0),
        )
    if code.power_factor is not None:
        over = code.power_factor.over_excited
        fields["DSOCosPhiSetpoint"] = iec.DSOCosPhiSetpointType(
            DSOCosPhiSetpointValue=rational(code.power_factor.power_factor),
            Excitation=_excitation(1.0 if over else -1.0),
            PT1ResponseReactivePower=False,
            StepResponseTimeConstantReactivePower=rational(0),
        )
    return fields


def _excitation(injected: float) -> iec.powerFactorExcitationType:
    kind = iec.powerFactorExcitationType
    return kind.OverExcited if injected > 0.0 else kind.UnderExcited


def _zero_current(cessation: Cessation, volts: float) -> iec.ZeroCurrentType | None:
    """Back with the voltage: the limits of recovery are those of cessation."""
    if cessation == Cessation():
        return None
    over = None if cessation.over_pu is None else rational(cessation.over_pu * volts)
    under = None if cessation.under_pu is None else rational(cessation.under_pu * volts)
    return iec.ZeroCurrentType(
        OverVoltageLimit=over,
        UnderVoltageLimit=under,
        OverVoltageRecoveryLimit=over,
        UnderVoltageRecoveryLimit=under,
        PT1ResponseActivePower=False,
        StepResponseTimeConstantActivePower=rational(0),
        PT1ResponseReactivePower=False,
        StepResponseTimeConstantReactivePower=rational(0),
    )


def _reactive(code: GridCode, ratings: Ratings) -> iec.ReactivePowerSupportType | None:
    if code.volt_var is not None:
        points = [(x * code.nominal_voltage_v, y * ratings.apparent_va) for x, y in code.volt_var.points]
        return iec.ReactivePowerSupportType(VoltVar=_curve(_UNIT.V, points, code.volt_var.response_s))
    if code.watt_var is not None:
        points = [(x * ratings.active_w, y * ratings.apparent_va) for x, y in code.watt_var.points]
        return iec.ReactivePowerSupportType(WattVar=_curve(_UNIT.W, points, 0.0))
    return None


def _curve(x_unit: iec.curveDataPointsUnitType, points: list[tuple[float, float]], response_s: float) -> Any:
    return iec.DERCurveType(
        xUnit=x_unit,
        yUnit=_UNIT.var,
        CurveDataPoints=iec.CurveDataPointsListType(
            CurveDataPoint=[
                iec.DataTupleType(
                    xValue=rational(x),
                    yValue=iec.SetpointExcitationType(SetpointValue=rational(y)),
                )
                for x, y in points
            ]
        ),
        PT1ResponseReactivePower=response_s > 0.0,
        StepResponseTimeConstantReactivePower=rational(response_s / _LN_10),
    )


def _active(code: GridCode) -> iec.ActivePowerSupportType | None:
    droop, volt_watt = code.frequency_droop, code.volt_watt
    if droop is None and volt_watt is None:
        return None
    hz, volts = code.nominal_frequency_hz, code.nominal_voltage_v
    over = under = None
    if droop is not None and droop.db_of_hz is not None:
        over = _frequency_watt(hz + droop.db_of_hz, 1.0, droop.k_of, droop.response_s, hz)
    if droop is not None and droop.db_uf_hz is not None:
        under = _frequency_watt(hz - droop.db_uf_hz, -1.0, droop.k_uf, droop.response_s, hz)
    return iec.ActivePowerSupportType(
        UnderFrequencyWatt=under,
        OverFrequencyWatt=over,
        VoltWatt=None if volt_watt is None else _volt_watt(volt_watt, volts),
    )


def _frequency_watt(start_hz: float, side: float, k: float, response_s: float, nominal_hz: float) -> Any:
    """It stops where power has moved by twice its reference: from all out to all in."""
    return iec.FrequencyWattType(
        Fstart=rational(start_hz),
        Fstop=rational(start_hz + side * 2.0 * k * nominal_hz),
        Slope=rational(1.0 / (k * nominal_hz)),
        PowerReference=iec.powerReferenceType.MaximumDischargePower,
        HysteresisControl=False,
        PT1ResponseActivePower=response_s > 0.0,
        StepResponseTimeConstantActivePower=rational(response_s / _LN_10),
    )


def _volt_watt(curve: VoltWatt, volts: float) -> iec.VoltWattType:
    """From the last point with all of the power to where the line through the next one meets zero."""
    start, then = _falling(curve)
    drop = start[1] - then[1]
    zero_pu = then[0] if drop <= 0.0 else start[0] + start[1] * (then[0] - start[0]) / drop
    return iec.VoltWattType(
        PowerReference=iec.powerReferenceType.MaximumDischargePower,
        UStart=rational(start[0] * volts),
        UStop=rational(zero_pu * volts),
        PT1ResponseActivePower=curve.response_s > 0.0,
        StepResponseTimeConstantActivePower=rational(curve.response_s / _LN_10),
    )


def _falling(curve: VoltWatt) -> tuple[tuple[float, float], tuple[float, float]]:
    for one, other in zip(curve.points, curve.points[1:], strict=False):
        if other[1] < one[1]:
            return one, other
    return curve.points[-1], curve.points[-1]


# ---- from the station ---------------------------------------------------------------------------------------------


def grid_code_of(control: iec.DERControlType, nominal_hz: float, nominal_v: float, ratings: Ratings) -> GridCode:
    """What the station hands over. ``nominal_v``: the service parameter EVSENominalVoltage, which DERControl lacks.

    Raises :class:`RemoteProtocolError` for what contradicts itself, and for what this package cannot say: dynamic
    current at a fault, a power factor by active power, a reference to momentary power, hysteresis.
    """
    for name in ("OvervoltageFaultRideThrough", "UndervoltageFaultRideThrough"):
        if getattr(control, name) is not None:
            raise RemoteProtocolError(f"{name}: dynamic current at a fault is not supported")
    zero, reactive, active = control.ZeroCurrent, control.ReactivePowerSupport, control.ActivePowerSupport
    volt_var = watt_var = None
    if reactive is not None:
        if reactive.WattCosPhi is not None:
            raise RemoteProtocolError("WattCosPhi: a power factor by active power is not supported")
        if reactive.VoltVar is not None:
            points, response_s = _read_curve("VoltVar", reactive.VoltVar, _UNIT.V, nominal_v, ratings)
            volt_var = VoltVar(points=points, response_s=response_s)
        if reactive.WattVar is not None:
            points, _ = _read_curve("WattVar", reactive.WattVar, _UNIT.W, ratings.active_w, ratings)
            watt_var = WattVar(points=points)
    code = GridCode(
        nominal_voltage_v=nominal_v,
        nominal_frequency_hz=nominal_hz,
        cessation=Cessation() if zero is None else _read_zero(zero, nominal_v),
        frequency_droop=None if active is None else _read_droop(active, nominal_hz),
        volt_watt=None if active is None or active.VoltWatt is None else _read_volt_watt(active.VoltWatt, nominal_v),
        volt_var=volt_var,
        watt_var=watt_var,
    )
    return _checked(code)


def with_set_points(code: GridCode, mode: Any, ratings: Ratings) -> GridCode:
    """``code`` with what a charge-loop response says. Raises as :func:`grid_code_of`."""
    q, cos_phi, limit = mode.DSOQSetpoint, mode.DSOCosPhiSetpoint, mode.DSOMaximumDischargePower
    set_var_pu = None if q is None else float(q.DSOQSetpointValue) / max(ratings.apparent_va, 1.0)
    factor = None
    if cos_phi is not None:
        over = cos_phi.Excitation is iec.powerFactorExcitationType.OverExcited
        factor = PowerFactor(power_factor=float(cos_phi.DSOCosPhiSetpointValue), over_excited=over)
    limit_pu = None if limit is None else min(1.0, abs(float(limit)) / max(ratings.active_w, 1.0))
    if (set_var_pu, factor, limit_pu) == (code.set_var_pu, code.power_factor, code.discharge_limit_pu):
        return code
    return _checked(
        GridCode(
            nominal_voltage_v=code.nominal_voltage_v,
            nominal_frequency_hz=code.nominal_frequency_hz,
            cessation=code.cessation,
            frequency_droop=code.frequency_droop,
            volt_watt=code.volt_watt,
            # A set-point by the operator takes the place of a curve.
            volt_var=code.volt_var if q is None and cos_phi is None else None,
            watt_var=code.watt_var if q is None and cos_phi is None else None,
            set_var_pu=set_var_pu,
            power_factor=factor,
            discharge_limit_pu=limit_pu,
        )
    )


def _checked(code: GridCode) -> GridCode:
    if problem := grid_code_problem(code):
        raise RemoteProtocolError(f"the grid code contradicts itself: {problem}")
    return code


def _read_zero(zero: iec.ZeroCurrentType, volts: float) -> Cessation:
    def read(value: Any) -> float | None:
        return None if value is None else float(value) / volts

    return Cessation(under_pu=read(zero.UnderVoltageLimit), over_pu=read(zero.OverVoltageLimit))


def _read_curve(name: str, curve: iec.DERCurveType, x_unit: Any, x_of: float, ratings: Ratings) -> tuple[Any, float]:
    if curve.xUnit is not x_unit or curve.yUnit is not _UNIT.var:
        raise RemoteProtocolError(f"{name} has units {curve.xUnit} and {curve.yUnit}, must be {x_unit} and var")
    points = []
    for point in curve.CurveDataPoints.CurveDataPoint:
        y = float(point.yValue.SetpointValue)
        if point.yValue.Excitation is not None:
            over = point.yValue.Excitation is iec.powerFactorExcitationType.OverExcited
            y = math.copysign(y, 1.0 if over else -1.0)
        points.append((float(point.xValue) / max(x_of, 1.0), y / max(ratings.apparent_va, 1.0)))
    return tuple(points), _response_s(
        curve.PT1ResponseReactivePower, float(curve.StepResponseTimeConstantReactivePower)
    )


def _response_s(pt1: bool, constant_s: float) -> float:
    return constant_s * _LN_10 if pt1 else constant_s


def _read_droop(active: iec.ActivePowerSupportType, nominal_hz: float) -> FrequencyDroop | None:
    over, under = active.OverFrequencyWatt, active.UnderFrequencyWatt
    shown = over or under
    if shown is None:
        return None
    for side in (over, under):
        if side is None:
            continue
        if side.HysteresisControl or side.PowerReference is not iec.powerReferenceType.MaximumDischargePower:
            raise RemoteProtocolError("a frequency-watt with hysteresis, or of momentary power, is not supported")
        if not float(side.Slope) > 0.0:
            raise RemoteProtocolError(f"a frequency-watt has a slope of {float(side.Slope):g}, must be above 0")
    usual = FrequencyDroop()
    return FrequencyDroop(
        db_of_hz=None if over is None else round(float(over.Fstart) - nominal_hz, 4),
        db_uf_hz=None if under is None else round(nominal_hz - float(under.Fstart), 4),
        k_of=usual.k_of if over is None else 1.0 / (float(over.Slope) * nominal_hz),
        k_uf=usual.k_uf if under is None else 1.0 / (float(under.Slope) * nominal_hz),
        response_s=_response_s(shown.PT1ResponseActivePower, float(shown.StepResponseTimeConstantActivePower)),
    )


def _read_volt_watt(curve: iec.VoltWattType, volts: float) -> VoltWatt:
    if curve.PowerReference is not iec.powerReferenceType.MaximumDischargePower:
        raise RemoteProtocolError("a volt-watt of momentary power is not supported")
    return VoltWatt(
        points=((float(curve.UStart) / volts, 1.0), (float(curve.UStop) / volts, 0.0)),
        response_s=_response_s(curve.PT1ResponseActivePower, float(curve.StepResponseTimeConstantActivePower)),
    )
