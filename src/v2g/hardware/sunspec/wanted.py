"""What the site's settings are in an inverter's points: SunSpec models 703 and 705 to 712. Pure.

Conventions of the models: voltages in percent of VNom, powers in percent of WMax, reactive power in percent of what
DeptRef names, injection positive, frequencies in Hz, droops per unit of the nominal frequency. The shapes of the curves
are those of the SunSpec Modbus IEEE 1547-2018 profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from v2g.grid.settings import GridSettings, Measured, Operation, RideThroughSettings, Side, TripSettings
from v2g.grid.support import FrequencyDroop, Points, VoltVar, VoltWatt, WattVar
from v2g.hardware.inverter_driver import DeviceSettings

VOLT_VAR, VOLT_WATT, FREQUENCY_DROOP, WATT_VAR = 705, 706, 711, 712
W_MAX_PCT, VAR_MAX_PCT, VA_MAX_PCT = 0, 1, 3
_REACTIVE = 1
_DISABLED, _ENABLED = 0, 1
_SHORTEST_RAMP_S = 1
_TRIPS = {
    707: (Measured.VOLTAGE, Side.UNDER, "undervoltage_trip"),
    708: (Measured.VOLTAGE, Side.OVER, "overvoltage_trip"),
    709: (Measured.FREQUENCY, Side.UNDER, "underfrequency_trip"),
    710: (Measured.FREQUENCY, Side.OVER, "overfrequency_trip"),
}
_BEYOND_PCT, _BEYOND_HZ, _BEYOND_S = 10.0, 1.0, 1.0
"""How far the first and the last point of a trip curve lie outside those that carry its settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSet:
    """One stored curve or control. ``values`` None: the function is to be off."""

    model: int
    function: str
    values: Mapping[str, float] | None
    """By point name within the set."""
    optional: frozenset[str] = frozenset()
    """Points that are left out where the device does not implement them."""

    @property
    def group(self) -> str:
        return "Ctl" if self.model == FREQUENCY_DROOP else "Crv"


def stored_sets(settings: DeviceSettings) -> tuple[StoredSet, ...]:
    """In the order of writing: what goes off before what comes on, since reactive modes exclude each other."""
    support = settings.support
    sets = [
        StoredSet(
            model=VOLT_VAR,
            function="volt_var",
            values=_volt_var(support.volt_var) if support.volt_var else None,
            optional=frozenset({"Pri", "VRef", "VRefAutoEna", "RspTms"}),
        ),
        StoredSet(
            model=WATT_VAR,
            function="watt_var",
            values=_watt_var(support.watt_var) if support.watt_var else None,
            optional=frozenset({"Pri"}),
        ),
        StoredSet(
            model=VOLT_WATT,
            function="volt_watt",
            values=_volt_watt(support.volt_watt) if support.volt_watt else None,
            optional=frozenset({"RspTms"}),
        ),
        StoredSet(
            model=FREQUENCY_DROOP,
            function="frequency_droop",
            values=_droop(support.frequency_droop) if support.frequency_droop else None,
        ),
    ]
    sets.sort(key=lambda item: item.values is not None)
    if settings.grid is not None:
        sets += _trip_sets(settings.grid)
    return tuple(sets)


def in_var_max(values: Mapping[str, float], var_max_per_va: float) -> dict[str, float] | None:
    """The same reactive curve in percent of the largest reactive power; None where that cannot hold it."""
    if values.get("DeptRef") != VA_MAX_PCT or not var_max_per_va > 0.0:
        return None
    scaled = {name: value / var_max_per_va if name.endswith(".Var") else value for name, value in values.items()}
    if any(abs(value) > 100.0 for name, value in scaled.items() if name.endswith(".Var")):
        return None
    return scaled | {"DeptRef": VAR_MAX_PCT}


ENTER_SERVICE_OPTIONAL = frozenset({"ESRndTms", "ESRmpTms"})
"""A device without them has nothing of its own to be taken back."""


def enter_service(grid: GridSettings) -> dict[str, float]:
    """Model 703, by point: the site's window, without a delay or a ramp of the device's own.

    Delay, random delay and ramp of IEEE 1547-2018 4.10.3 are done for the whole site at the V2G breaker, behind which
    the device is dead until they are over: it would only wait a second time. What comes back by itself while the
    breaker stays closed waits in :class:`v2g.guard.wires_core.WiresCore`.
    """
    settings = grid.enter_service
    return {
        "ES": _ENABLED,
        "ESVHi": 100.0 * settings.v_hi_pu,
        "ESVLo": 100.0 * settings.v_lo_pu,
        "ESHzHi": settings.f_hi_hz,
        "ESHzLo": settings.f_lo_hz,
        "ESDlyTms": 0,
        "ESRndTms": 0,
        "ESRmpTms": _SHORTEST_RAMP_S,
    }


def trip_curve(trips: TripSettings, quantity: Measured, side: Side) -> Points:
    """(threshold, clearing time) from the fastest element outward, thresholds in percent or Hz.

    For two elements these are five points: the second carries the fast element (UV2), the fourth the slow one (UV1);
    the others make steps of them. The device's must-trip settings equal the site's: whichever is first trips, and the
    guard's breaker is no later than the device. Empty without an element.
    """
    scale = 100.0 if quantity is Measured.VOLTAGE else 1.0
    elements = sorted(
        (e for e in trips.elements if e.quantity is quantity and e.side is side), key=lambda element: element.time_s
    )
    if not elements:
        return ()
    outward = 1.0 if side is Side.OVER else -1.0
    step = _BEYOND_PCT if quantity is Measured.VOLTAGE else _BEYOND_HZ
    x = max(0.0, elements[0].threshold * scale + outward * step)
    points: list[tuple[float, float]] = []
    for element in elements:
        points += [(x, element.time_s), (element.threshold * scale, element.time_s)]
        x = element.threshold * scale
    return (*points, (x, elements[-1].time_s + _BEYOND_S))


def momentary_cessation(ride_through: RideThroughSettings | None, side: Side, until_s: float) -> Points:
    """(percent, s): horizontal at the voltage beyond which the DER ceases at once; empty where it need not."""
    regions = [
        region
        for region in (ride_through.voltage if ride_through else ())
        if region.operation is Operation.MOMENTARY_CESSATION and (region.lo_pu > 1.0) is (side is Side.OVER)
    ]
    if not regions:
        return ()
    over = side is Side.OVER
    edge = min(r.lo_pu for r in regions) if over else max(r.hi_pu for r in regions)
    return ((100.0 * edge, 0.0), (100.0 * edge, until_s))


def _trip_sets(grid: GridSettings) -> list[StoredSet]:
    sets = []
    for model, (quantity, side, function) in _TRIPS.items():
        curve = trip_curve(grid.trips, quantity, side)
        if not curve:
            continue
        axis = "V" if quantity is Measured.VOLTAGE else "Hz"
        values = _points("MustTrip.", curve, axis, "Tms")
        optional: frozenset[str] = frozenset()
        if quantity is Measured.VOLTAGE:
            ceasing = momentary_cessation(grid.ride_through, side, curve[-2][1])
            values |= _points("MomCess.", ceasing, axis, "Tms")
            optional = frozenset(name for name in values if name.startswith("MomCess."))
        sets.append(StoredSet(model=model, function=function, values=values, optional=optional))
    return sets


def _volt_var(settings: VoltVar) -> dict[str, float]:
    return {
        "DeptRef": VA_MAX_PCT,
        "Pri": _REACTIVE,
        "VRef": 100.0,
        "VRefAutoEna": _DISABLED,
        "RspTms": settings.response_s,
        **_points("", _percent(settings.points), "V", "Var"),
    }


def _watt_var(settings: WattVar) -> dict[str, float]:
    points = settings.points
    # The profile's curve has the absorbing half first; unused it is zero.
    padded = ((0.0, 0.0),) * 3 + points if len(points) == 3 else points
    return {"DeptRef": VA_MAX_PCT, "Pri": _REACTIVE, **_points("", _percent(padded), "W", "Var")}


def _volt_watt(settings: VoltWatt) -> dict[str, float]:
    return {
        "DeptRef": W_MAX_PCT,
        "RspTms": settings.response_s,
        **_points("", _percent(settings.points), "V", "W"),
    }


def _droop(settings: FrequencyDroop) -> dict[str, float]:
    return {
        "DbOf": settings.db_of_hz,
        "DbUf": settings.db_uf_hz,
        "KOf": settings.k_of,
        "KUf": settings.k_uf,
        "RspTms": settings.response_s,
    }


def _percent(points: Points) -> Points:
    return tuple((100.0 * x, 100.0 * y) for x, y in points)


def _points(prefix: str, points: Points, x_name: str, y_name: str) -> dict[str, float]:
    values: dict[str, float] = {f"{prefix}ActPt": len(points)}
    for number, (x, y) in enumerate(points, 1):
        values[f"{prefix}Pt[{number}].{x_name}"] = x
        values[f"{prefix}Pt[{number}].{y_name}"] = y
    return values
