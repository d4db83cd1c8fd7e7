"""The guard's settings as a grid code for a vehicle's inverter. Pure.

Trips, ride-through, momentary cessation and entering service are those of :mod:`v2g.grid.settings`, droop and curves
those of :mod:`v2g.grid.support`. A ride-through that lasts longer than a trip allows ends with the trip. What a grid
code has no words for is named: voltages averaged over ten minutes, rates of change of frequency.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from pyiso15118.der import (
    Cessation,
    EnterService,
    FrequencyDroop,
    GridCode,
    PowerFactor,
    TripCurves,
    TripPoint,
    VoltVar,
    VoltWatt,
    WattVar,
)
from pyiso15118.der.checks import ride_through_s, trip_time_s
from v2g.grid.settings import (
    FrequencyRegion,
    GridSettings,
    Measured,
    Operation,
    RideThroughSettings,
    Side,
    TripSetting,
    VoltageRegion,
)
from v2g.grid.support import SupportSettings

_SIDES = (("over_voltage", True), ("under_voltage", False), ("over_frequency", True), ("under_frequency", False))
_KEYS = {
    (Measured.VOLTAGE, Side.OVER): "over_voltage",
    (Measured.VOLTAGE, Side.UNDER): "under_voltage",
    (Measured.FREQUENCY, Side.OVER): "over_frequency",
    (Measured.FREQUENCY, Side.UNDER): "under_frequency",
}
LONGEST_S = 100_000.0


@dataclass(frozen=True, slots=True)
class HandedOver:
    """``left_out``: trip elements that no vehicle can be told, by name."""

    code: GridCode
    left_out: tuple[str, ...]


def grid_code(settings: GridSettings, support: SupportSettings, nominal_voltage_v: float) -> HandedOver:
    """What a vehicle's inverter has to keep to here. ``nominal_voltage_v``: line to neutral."""
    elements = settings.trips.elements
    must = _curves({key: _points(elements, key) for key, _ in _SIDES})
    ride = settings.ride_through
    window = settings.enter_service
    code = GridCode(
        nominal_voltage_v=nominal_voltage_v,
        nominal_frequency_hz=settings.nominal_frequency_hz,
        must_trip=must,
        may_trip=TripCurves() if ride is None else _may_trip(ride, must, settings.nominal_frequency_hz),
        cessation=Cessation() if ride is None else _cessation(ride),
        enter_service=EnterService(
            v_lo_pu=window.v_lo_pu,
            v_hi_pu=window.v_hi_pu,
            f_lo_hz=window.f_lo_hz,
            f_hi_hz=window.f_hi_hz,
            delay_s=window.delay_s,
            random_delay_s=window.random_delay_s,
            ramp_s=0.0 if window.random_delay_s > 0.0 else window.ramp_s,
        ),
        **_support(support),  # type: ignore[arg-type]
    )
    return HandedOver(code, tuple(e.element for e in elements if (e.quantity, e.side) not in _KEYS))


def _points(elements: tuple[TripSetting, ...], key: str) -> tuple[TripPoint, ...]:
    return tuple(TripPoint(e.threshold, e.time_s) for e in elements if _KEYS.get((e.quantity, e.side)) == key)


def _curves(points: dict[str, tuple[TripPoint, ...]]) -> TripCurves:
    return TripCurves(**points)


def _may_trip(ride: RideThroughSettings, must: TripCurves, nominal_hz: float) -> TripCurves:
    voltage, frequency = ride.voltage, ride.frequency
    asked = {
        "over_voltage": tuple(TripPoint(r.lo_pu, r.base_s) for r in voltage if _asks(r) and r.lo_pu >= 1.0),
        "under_voltage": tuple(TripPoint(r.hi_pu, r.base_s) for r in voltage if _asks(r) and r.hi_pu <= 1.0),
        "over_frequency": tuple(
            TripPoint(r.lo_hz, r.ride_through_s) for r in frequency if _asks(r) and r.lo_hz >= nominal_hz
        ),
        "under_frequency": tuple(
            TripPoint(r.hi_hz, r.ride_through_s) for r in frequency if _asks(r) and r.hi_hz <= nominal_hz
        ),
    }
    return _curves({key: _within(asked[key], getattr(must, key), over=over) for key, over in _SIDES})


def _asks(region: VoltageRegion | FrequencyRegion) -> bool:
    return region.operation is not Operation.CONTINUOUS


def _within(stay: tuple[TripPoint, ...], trip: tuple[TripPoint, ...], *, over: bool) -> tuple[TripPoint, ...]:
    """At every edge of either: no longer than until the trip acts. An edge that changes nothing is none."""
    if not any(point.time_s > 0.0 for point in stay):
        return ()
    edges = sorted(
        {p.threshold for p in (*stay, *trip) if ride_through_s(stay, p.threshold, over=over) > 0.0 or p in stay}
    )
    points = [
        TripPoint(
            edge,
            min(ride_through_s(stay, edge, over=over), trip_time_s(trip, edge, over=over), LONGEST_S),
        )
        for edge in (reversed(edges) if over else edges)
    ]
    # From the farthest inwards; of neighbours that ask for as much the nearer one says it for both.
    return tuple(
        point
        for point, nearer in itertools.zip_longest(points, points[1:])
        if nearer is None or not math.isclose(point.time_s, nearer.time_s)
    )


def _cessation(ride: RideThroughSettings) -> Cessation:
    ceasing = [region for region in ride.voltage if region.operation is Operation.MOMENTARY_CESSATION]
    under = [region.hi_pu for region in ceasing if region.hi_pu <= 1.0]
    over = [region.lo_pu for region in ceasing if region.lo_pu >= 1.0]
    return Cessation(under_pu=max(under, default=None), over_pu=min(over, default=None))


def _support(support: SupportSettings) -> dict[str, object]:
    droop, volt_var, volt_watt = support.frequency_droop, support.volt_var, support.volt_watt
    watt_var, factor = support.watt_var, support.constant_pf
    return {
        "frequency_droop": droop
        and FrequencyDroop(
            db_of_hz=droop.db_of_hz,
            db_uf_hz=droop.db_uf_hz,
            k_of=droop.k_of,
            k_uf=droop.k_uf,
            response_s=droop.response_s,
        ),
        "volt_var": volt_var and VoltVar(points=volt_var.points, response_s=volt_var.response_s),
        "volt_watt": volt_watt and VoltWatt(points=volt_watt.points, response_s=volt_watt.response_s),
        "watt_var": watt_var and WattVar(points=watt_var.points),
        "power_factor": factor and PowerFactor(power_factor=factor.power_factor, over_excited=factor.over_excited),
    }
