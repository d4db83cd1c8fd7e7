"""A grid code out of the messages of AC_DER_SAE, as :mod:`pyiso15118.der.sae` reads Annex M.

Time is taken from either axis of a trip curve, by its unit: some stacks draw it on the other one.
"""

from __future__ import annotations

from typing import Any

from pyiso15118.der.checks import grid_code_problem, steps
from pyiso15118.der.sae import control_of, ride_steps
from pyiso15118.der.values import (
    Cessation,
    EnterService,
    FrequencyDroop,
    GridCode,
    Points,
    PowerFactor,
    Ratings,
    TripCurves,
    TripPoint,
    VoltVar,
    VoltWatt,
    WattVar,
)
from pyiso15118.errors import RemoteProtocolError
from pyiso15118.messages import ac_der_sae as sae
from pyiso15118.messages import common_types as ct

_UNIT = sae.derUnitType


def grid_code_of(control: sae.DERControlCPDResType, limits: sae.GridLimitsType, ratings: Ratings) -> GridCode:
    """What the station hands over. ``ratings``: the vehicle's own.

    Raises :class:`RemoteProtocolError` for what contradicts itself, and for what this package cannot say: values that
    differ by phase, a droop of the momentary power, constant active power, a reference voltage that moves by itself.
    """
    return _checked(_read(control, float(limits.GridNominalVoltage), float(limits.GridNominalFrequency), ratings))


def changed_by(code: GridCode, change: sae.DERControlCLResType, ratings: Ratings) -> GridCode:
    """``code`` with what the charge loop says anew. Raises as :func:`grid_code_of`."""
    entry = change.EnterServiceCLRes
    parts = [change.VoltageTrip, change.FrequencyTrip, change.ReactivePowerSupportCLRes, change.ActivePowerSupportCLRes]
    moved = {name: getattr(entry, name) for name in entry.__struct_fields__ if getattr(entry, name) is not None}
    permitted = code.enter_service is None or code.enter_service.permitted
    if all(part is None for part in parts) and moved == {"PermitService": permitted}:
        return code
    whole = control_of(code, ratings)
    whole = sae.DERControlCPDResType(
        VoltageTrip=change.VoltageTrip or whole.VoltageTrip,
        FrequencyTrip=change.FrequencyTrip or whole.FrequencyTrip,
        EnterServiceCPDRes=_over(whole.EnterServiceCPDRes, entry),
        ReactivePowerSupportCPDRes=_over(whole.ReactivePowerSupportCPDRes, change.ReactivePowerSupportCLRes),
        ActivePowerSupportCPDRes=_over(whole.ActivePowerSupportCPDRes, change.ActivePowerSupportCLRes),
    )
    return _checked(_read(whole, code.nominal_voltage_v, code.nominal_frequency_hz, ratings))


def _over(old: Any, change: Any) -> Any:
    if change is None:
        return old
    fields = {name: getattr(old, name) for name in old.__struct_fields__}
    told = {name: getattr(change, name) for name in change.__struct_fields__}
    return type(old)(**fields | {name: value for name, value in told.items() if value is not None})


def _checked(code: GridCode) -> GridCode:
    if problem := grid_code_problem(code):
        raise RemoteProtocolError(f"the grid code contradicts itself: {problem}")
    return code


def _read(control: sae.DERControlCPDResType, volts: float, hz: float, ratings: Ratings) -> GridCode:
    voltage, frequency = control.VoltageTrip, control.FrequencyTrip
    reader = _Reader(volts, ratings)
    reactive, active = control.ReactivePowerSupportCPDRes, control.ActivePowerSupportCPDRes
    if active.ConstantWatt.Enable:
        raise RemoteProtocolError("ConstantWatt is enabled: constant active power is not supported")
    limit, factor = active.LimitMaxDischargePower, reactive.ConstantPowerFactor
    reader.one_value("LimitMaxDischargePower", limit, "PercentageValue")
    reader.one_value("ConstantPowerFactor", factor, "PowerFactorValue")
    reader.one_value("ConstantPowerFactor", factor, "PowerFactorExcitation")
    over_excited = factor.PowerFactorExcitation is sae.powerFactorExcitationType.OverExcited
    return GridCode(
        nominal_voltage_v=volts,
        nominal_frequency_hz=hz,
        must_trip=TripCurves(
            over_voltage=reader.steps("OverVoltageMustTripCurve", voltage, over=True),
            under_voltage=reader.steps("UnderVoltageMustTripCurve", voltage, over=False),
            over_frequency=reader.steps("OverFrequencyMustTripCurve", frequency, over=True),
            under_frequency=reader.steps("UnderFrequencyMustTripCurve", frequency, over=False),
        ),
        may_trip=TripCurves(
            over_voltage=ride_steps(reader.points("OverVoltageMayTripCurve", voltage), over=True),
            under_voltage=ride_steps(reader.points("UnderVoltageMayTripCurve", voltage), over=False),
            over_frequency=ride_steps(reader.points("OverFrequencyMayTripCurve", frequency), over=True),
            under_frequency=ride_steps(reader.points("UnderFrequencyMayTripCurve", frequency), over=False),
        ),
        cessation=Cessation(
            under_pu=reader.ceases("UnderVoltageMomentaryCessationTripCurve", voltage, max),
            over_pu=reader.ceases("OverVoltageMomentaryCessationTripCurve", voltage, min),
        ),
        enter_service=reader.enter_service(control.EnterServiceCPDRes),
        frequency_droop=reader.droop(active.FrequencyDroop),
        volt_var=reader.volt_var(reactive.VoltVar),
        volt_watt=reader.volt_watt(active.VoltWatt),
        watt_var=reader.watt_var(reactive.WattVar),
        power_factor=PowerFactor(power_factor=float(factor.PowerFactorValue), over_excited=over_excited)
        if factor.Enable
        else None,
        set_var_pu=reader.set_var(reactive.ConstantVar),
        discharge_limit_pu=limit.PercentageValue / 100.0 if limit.Enable else None,
    )


class _Reader:
    def __init__(self, volts: float, ratings: Ratings) -> None:
        self._volts, self._ratings = volts, ratings
        if not 1.0 <= volts <= 1e6:
            raise RemoteProtocolError(f"GridNominalVoltage is {volts:g} V, must be within 1..1e6")

    def one_value(self, name: str, function: Any, field: str) -> None:
        """What differs by phase cannot be said in one value."""
        for suffix in ("_L2", "_L3"):
            other = getattr(function, field + suffix)
            if function.Enable and other is not None and other != getattr(function, field):
                raise RemoteProtocolError(f"{name}.{field}{suffix} differs from that of L1, which is not supported")

    def steps(self, name: str, trips: Any, *, over: bool) -> tuple[TripPoint, ...]:
        return steps(self.points(name, trips), over=over)

    def points(self, name: str, trips: Any) -> tuple[TripPoint, ...]:
        """Time on either axis, by the units; voltages become p.u."""
        curve: sae.DERCurveType | None = getattr(trips, name)
        if curve is None or not curve.Enable:
            return ()
        self.one_value(name, curve, "CurveDataPoints")
        pairs = [(float(p.xValue), float(p.yValue)) for p in curve.CurveDataPoints.CurveDataPoint]
        time_first = curve.xUnit is _UNIT.s
        unit = curve.yUnit if time_first else curve.xUnit
        if not (time_first or curve.yUnit is _UNIT.s):
            raise RemoteProtocolError(f"{name} has units {curve.xUnit} and {curve.yUnit}, one of them must be s")
        scale = self._scale(name, unit, {_UNIT.Hz: 1.0} if "Frequency" in name else self._voltages)
        return tuple(TripPoint(y * scale, x) if time_first else TripPoint(x * scale, y) for x, y in pairs)

    def ceases(self, name: str, trips: Any, nearest: Any) -> float | None:
        points = self.points(name, trips)
        return nearest(point.threshold for point in points) if points else None

    @property
    def _voltages(self) -> dict[sae.derUnitType, float]:
        return {_UNIT.V: 1.0 / self._volts, _UNIT.PercentageV: 0.01}

    @property
    def _reactive(self) -> dict[sae.derUnitType, float]:
        """To per unit of apparent power."""
        apparent_va = max(self._ratings.apparent_va, 1.0)
        share = self._ratings.injected_var / apparent_va / 100.0
        return {
            _UNIT.var: 1.0 / apparent_va,
            _UNIT.PercentageEVMaximumConfiguredReactivePower: share,
            _UNIT.PercentageEVMaximumConfiguredApparentPower: 0.01,
        }

    @property
    def _active(self) -> dict[sae.derUnitType, float]:
        return {
            _UNIT.W: 1.0 / max(self._ratings.active_w, 1.0),
            _UNIT.PercentageEVMaximumConfiguredActivePower: 0.01,
        }

    def _scale(self, name: str, unit: sae.derUnitType, known: dict[sae.derUnitType, float]) -> float:
        if unit not in known:
            raise RemoteProtocolError(f"{name} is in {unit}, must be in one of {', '.join(known)}")
        return known[unit]

    def _curve(self, name: str, curve: Any, x_units: dict[Any, float], y_units: dict[Any, float]) -> Points:
        self.one_value(name, curve, "CurveDataPoints")
        x_scale, y_scale = (
            self._scale(f"{name}'s x", curve.xUnit, x_units),
            self._scale(f"{name}'s y", curve.yUnit, y_units),
        )
        points = [(float(p.xValue) * x_scale, float(p.yValue) * y_scale) for p in curve.CurveDataPoints.CurveDataPoint]
        return tuple(points)

    def enter_service(self, entry: sae.EnterServiceCPDResType) -> EnterService:
        def seconds(value: ct.RationalNumberType | None) -> float:
            return 0.0 if value is None else float(value)

        return EnterService(
            v_lo_pu=float(entry.EnterServiceVoltageLow) / self._volts,
            v_hi_pu=float(entry.EnterServiceVoltageHigh) / self._volts,
            f_lo_hz=float(entry.EnterServiceFrequencyLow),
            f_hi_hz=float(entry.EnterServiceFrequencyHigh),
            delay_s=seconds(entry.EnterServiceDelay),
            random_delay_s=seconds(entry.EnterServiceRandomizedDelay),
            ramp_s=seconds(entry.EnterServiceRampTime),
            permitted=entry.PermitService,
        )

    def droop(self, droop: sae.FrequencyDroopType) -> FrequencyDroop | None:
        over, under = droop.OverFrequencyDroop, droop.UnderFrequencyDroop
        if not droop.Enable or (over is None and under is None):
            return None
        for side in (over, under):
            if side is None:
                continue
            for field in ("DroopFactor", "PowerReference"):
                others = (getattr(side, field + suffix) for suffix in ("_L2", "_L3"))
                if any(other is not None and other != getattr(side, field) for other in others):
                    raise RemoteProtocolError(f"FrequencyDroop.{field} differs by phase, which is not supported")
            if side.PowerReference is not sae.powerReferenceType.MaximumActivePower:
                raise RemoteProtocolError("FrequencyDroop of the momentary power is not supported")
        shown = over or under
        return FrequencyDroop(
            db_of_hz=None if over is None else float(over.db),
            db_uf_hz=None if under is None else float(under.db),
            k_of=FrequencyDroop().k_of if over is None else float(over.DroopFactor),
            k_uf=FrequencyDroop().k_uf if under is None else float(under.DroopFactor),
            response_s=0.0 if shown is None else float(shown.OpenLoopResponseTime),
        )

    def volt_var(self, curve: sae.VoltVarType) -> VoltVar | None:
        if not curve.Enable:
            return None
        if curve.AutonomousReferenceVoltageAdjustmentEnable:
            raise RemoteProtocolError("VoltVar with a reference voltage that moves by itself is not supported")
        percent = float(curve.ReferenceVoltage) / self._volts * 0.01
        points = self._curve("VoltVar", curve, self._voltages | {_UNIT.PercentageV: percent}, self._reactive)
        return VoltVar(points=points, response_s=float(curve.OpenLoopResponseTime))

    def volt_watt(self, curve: sae.VoltWattType) -> VoltWatt | None:
        if not curve.Enable:
            return None
        points = self._curve("VoltWatt", curve, self._voltages, self._active)
        return VoltWatt(points=points, response_s=float(curve.OpenLoopResponseTime))

    def watt_var(self, curve: sae.WattVarType) -> WattVar | None:
        if not curve.Enable:
            return None
        return WattVar(points=self._curve("WattVar", curve, self._active, self._reactive))

    def set_var(self, setting: sae.ConstantVarType) -> float | None:
        if not setting.Enable:
            return None
        self.one_value("ConstantVar", setting, "VarSetpoint")
        # Table M.25: negative injects.
        return 0.0 - float(setting.VarSetpoint) * self._scale("ConstantVar", setting.Unit, self._reactive)
