"""Grid codes and an inverter for tests of AC_DER: every function somewhere, none that contradicts another."""

from __future__ import annotations

from dataclasses import replace

from pyiso15118.der import (
    Cessation,
    DerFunction,
    DerNameplate,
    DerState,
    EnterService,
    FrequencyDroop,
    GridCode,
    PowerFactor,
    Ratings,
    TripCurves,
    TripPoint,
    VoltVar,
    VoltWatt,
    WattVar,
)
from pyiso15118.events import ControlMode, EnergyService, MobilityNeedsMode
from pyiso15118.secc.config import ParameterSet, ServiceOffer

RATINGS = Ratings(active_w=10_000.0, apparent_va=11_000.0, injected_var=4_840.0)

CODE = GridCode(
    nominal_voltage_v=230.0,
    nominal_frequency_hz=60.0,
    must_trip=TripCurves(
        over_voltage=(TripPoint(1.2, 0.16), TripPoint(1.1, 13.0)),
        under_voltage=(TripPoint(0.5, 2.0), TripPoint(0.88, 21.0)),
        over_frequency=(TripPoint(62.0, 0.16), TripPoint(61.2, 300.0)),
        under_frequency=(TripPoint(56.5, 0.16), TripPoint(58.5, 300.0)),
    ),
    may_trip=TripCurves(
        over_voltage=(TripPoint(1.2, 0.0), TripPoint(1.1, 12.0)),
        under_voltage=(TripPoint(0.5, 1.0), TripPoint(0.7, 10.0), TripPoint(0.88, 20.0)),
        over_frequency=(TripPoint(61.8, 0.0), TripPoint(61.2, 299.0)),
        under_frequency=(TripPoint(57.0, 0.0), TripPoint(58.8, 299.0)),
    ),
    cessation=Cessation(under_pu=0.5, over_pu=1.1),
    enter_service=EnterService(v_lo_pu=0.917, v_hi_pu=1.05, f_lo_hz=59.5, f_hi_hz=60.1, delay_s=300.0, ramp_s=300.0),
    frequency_droop=FrequencyDroop(db_of_hz=0.036, db_uf_hz=0.017, k_of=0.05, k_uf=0.03, response_s=5.0),
    volt_watt=VoltWatt(points=((1.06, 1.0), (1.1, 0.2)), response_s=10.0),
)
"""IEEE 1547-2018, category III."""
VOLT_VAR = replace(
    CODE, volt_var=VoltVar(points=((0.92, 0.44), (0.98, 0.0), (1.02, 0.0), (1.08, -0.44)), response_s=5.0)
)
WATT_VAR = replace(CODE, watt_var=WattVar(points=((-1.0, 0.4), (0.2, 0.0), (0.5, 0.0), (1.0, -0.4))))
POWER_FACTOR = replace(CODE, power_factor=PowerFactor(power_factor=0.95, over_excited=False))
SET_VAR = replace(CODE, set_var_pu=0.25, discharge_limit_pu=0.6)
NEXT_TO_NOTHING = GridCode(nominal_voltage_v=277.0, nominal_frequency_hz=50.0)
ALL_CODES = (CODE, VOLT_VAR, WATT_VAR, POWER_FACTOR, SET_VAR)

IEC_CODE = replace(
    NEXT_TO_NOTHING,
    nominal_voltage_v=230.0,
    cessation=Cessation(under_pu=0.5, over_pu=1.2),
    frequency_droop=FrequencyDroop(db_of_hz=0.2, db_uf_hz=0.2, k_of=0.05, k_uf=0.04, response_s=2.0),
    volt_watt=VoltWatt(points=((1.06, 1.0), (1.11, 0.0)), response_s=10.0),
    volt_var=VoltVar(points=((0.92, 0.44), (0.98, 0.0), (1.02, 0.0), (1.08, -0.44)), response_s=5.0),
)
"""Nothing but what AC_DER_IEC can say."""

NAMEPLATE = DerNameplate(
    functions=frozenset(DerFunction),
    apparent_va=11_000.0,
    injected_var=4_840.0,
    absorbed_var=4_840.0,
    nominal_voltage_v=230.0,
    max_voltage_v=276.0,
    min_voltage_v=100.0,
    manufacturer="Test",
    model="OBC 11",
    serial_number="1",
    software_version="1.0",
    certified=True,
    certified_at_unix_s=1_700_000_000,
    usable_wh=50_000,
)
AT_WORK = DerState(
    present_voltage_v=229.0,
    present_frequency_hz=60.0,
    in_service=True,
    connected=True,
    enabled=frozenset(DerFunction),
)


def der_offer(service: EnergyService) -> ServiceOffer:
    """In every mode that there is."""
    dynamic, scheduled = ControlMode.DYNAMIC, ControlMode.SCHEDULED
    by_evcc, by_secc = MobilityNeedsMode.BY_EVCC, MobilityNeedsMode.BY_SECC
    modes = ((dynamic, by_evcc), (dynamic, by_secc), (scheduled, by_evcc))
    return ServiceOffer(
        service=service,
        parameter_sets=tuple(
            ParameterSet(id=number, control_mode=mode, mobility_needs_mode=needs, nominal_voltage_v=230)
            for number, (mode, needs) in enumerate(modes, 1)
        ),
    )


def is_close(one: object, other: object, tolerance: float = 2e-3) -> bool:
    """Equal but for what four digits on the wire cost. Of dataclasses, tuples and numbers."""
    if isinstance(one, float | int) and isinstance(other, float | int) and not isinstance(one, bool):
        return abs(one - other) <= tolerance * max(1.0, abs(one))
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(is_close(a, b, tolerance) for a, b in zip(one, other, strict=True))
    fields = getattr(type(one), "__dataclass_fields__", None)
    if fields is not None and type(one) is type(other):
        return all(is_close(getattr(one, name), getattr(other, name), tolerance) for name in fields)
    return one == other
