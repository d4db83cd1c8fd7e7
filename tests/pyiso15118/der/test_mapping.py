"""A grid code through the messages of both protocols and back: what they can say arrives, what they cannot is named."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyiso15118.checks import rational
from pyiso15118.der import (
    Cessation,
    DerFunction,
    EnterService,
    FrequencyDroop,
    GridCode,
    TripCurves,
    TripPoint,
    functions_of,
    grid_code_problem,
    iec,
    iec_bits,
    sae,
    sae_bits,
    sae_functions,
    sae_reading,
)
from pyiso15118.der.checks import ride_through_s, trip_time_s
from pyiso15118.errors import RemoteProtocolError
from pyiso15118.messages import ac_der_iec, ac_der_sae
from support.grid_codes import ALL_CODES, CODE, IEC_CODE, NEXT_TO_NOTHING, RATINGS, is_close

LIMITS = ac_der_sae.GridLimitsType(
    GridNominalFrequency=rational(60),
    GridNominalVoltage=rational(230),
    GridNominalVoltageOffset=rational(0),
    GridMaximumVoltage=rational(276),
    GridMinimumVoltage=rational(0),
)


def limits_for(code: GridCode) -> ac_der_sae.GridLimitsType:
    return ac_der_sae.GridLimitsType(
        GridNominalFrequency=rational(code.nominal_frequency_hz),
        GridNominalVoltage=rational(code.nominal_voltage_v),
        GridNominalVoltageOffset=rational(0),
        GridMaximumVoltage=rational(276),
        GridMinimumVoltage=rational(0),
    )


def changed(message: Any, path: str, value: Any) -> Any:
    """A copy with another value at ``path``."""
    name, _, rest = path.partition(".")
    return msgspec.structs.replace(message, **{name: changed(getattr(message, name), rest, value) if rest else value})


def by_sae(code: GridCode) -> GridCode:
    control = sae.control_of(code, RATINGS)
    return sae_reading.grid_code_of(control, limits_for(code), RATINGS)


def by_iec(code: GridCode) -> GridCode:
    control = iec.control_of(code, RATINGS)
    return iec.grid_code_of(control, code.nominal_frequency_hz, code.nominal_voltage_v, RATINGS)


@pytest.mark.parametrize("code", ALL_CODES, ids=["category III", "volt-var", "watt-var", "power factor", "set-points"])
def test_sae_carries_everything(code: GridCode) -> None:
    read = by_sae(code)
    assert functions_of(read) == functions_of(code)
    assert is_close(read.enter_service, code.enter_service)
    assert is_close(read.frequency_droop, code.frequency_droop)
    for name in ("volt_var", "volt_watt", "watt_var", "power_factor", "set_var_pu", "discharge_limit_pu", "cessation"):
        assert is_close(getattr(read, name), getattr(code, name)), name
    for side in ("over_voltage", "under_voltage", "over_frequency", "under_frequency"):
        over = side.startswith("over")
        for threshold in (0.3, 0.45, 0.6, 0.8, 0.95, 1.05, 1.15, 1.25, 55.0, 57.0, 58.7, 59.0, 61.0, 61.5, 62.5):
            for curves, time_of in (("must_trip", trip_time_s), ("may_trip", ride_through_s)):
                asked = time_of(getattr(getattr(code, curves), side), threshold, over=over)
                told = time_of(getattr(getattr(read, curves), side), threshold, over=over)
                assert told == pytest.approx(asked, rel=1e-3), (curves, side, threshold)


def test_what_is_not_asked_for_is_off_and_stands_as_the_schema_wants_it() -> None:
    read = by_sae(NEXT_TO_NOTHING)
    assert functions_of(read) == {DerFunction.ENTER_SERVICE}
    assert read.enter_service is not None
    assert read.enter_service.delay_s == 0.0


def test_a_single_trip_point_becomes_a_curve_of_two_that_says_the_same() -> None:
    code = replace(NEXT_TO_NOTHING, must_trip=TripCurves(under_voltage=(TripPoint(0.7, 2.0),)))
    curve = sae.control_of(code, RATINGS).VoltageTrip.UnderVoltageMustTripCurve
    times = [float(point.xValue) for point in curve.CurveDataPoints.CurveDataPoint]
    assert len(times) == 2
    assert times[0] < times[1]
    assert is_close(by_sae(code).must_trip.under_voltage, code.must_trip.under_voltage)


def test_times_on_the_other_axis_and_percentages_are_read_by_their_units() -> None:
    control = sae.control_of(CODE, RATINGS)
    unit = ac_der_sae.derUnitType
    points = [(50.0, 2.0), (88.0, 21.0)]
    curve = ac_der_sae.DERCurveType(
        Enable=True,
        xUnit=unit.PercentageV,
        yUnit=unit.s,
        CurveDataPoints=ac_der_sae.CurveDataPointsListType(
            CurveDataPoint=[ac_der_sae.DataTupleType(xValue=rational(x), yValue=rational(y)) for x, y in points]
        ),
    )
    control = changed(control, "VoltageTrip.UnderVoltageMustTripCurve", curve)
    read = sae_reading.grid_code_of(control, LIMITS, RATINGS)
    assert is_close(read.must_trip.under_voltage, CODE.must_trip.under_voltage)


def test_the_loop_says_only_what_changed_and_brings_it_over() -> None:
    nothing = sae.change_of(CODE, CODE, RATINGS)
    assert (nothing.VoltageTrip, nothing.FrequencyTrip, nothing.ActivePowerSupportCLRes) == (None, None, None)
    droop = replace(CODE, frequency_droop=FrequencyDroop(k_of=0.02))
    change = sae.change_of(CODE, droop, RATINGS)
    assert change.VoltageTrip is None
    assert change.ActivePowerSupportCLRes is not None
    assert change.ActivePowerSupportCLRes.VoltWatt is None
    read = sae_reading.changed_by(by_sae(CODE), change, RATINGS)
    assert is_close(read.frequency_droop, droop.frequency_droop)
    assert is_close(read.must_trip, by_sae(CODE).must_trip)


def test_a_withdrawn_permission_to_be_in_service_is_one_word_of_the_loop() -> None:
    assert CODE.enter_service is not None
    withdrawn = replace(CODE, enter_service=replace(CODE.enter_service, permitted=False))
    change = sae.change_of(CODE, withdrawn, RATINGS)
    assert change.EnterServiceCLRes.PermitService is False
    assert change.EnterServiceCLRes.EnterServiceDelay is None
    read = sae_reading.changed_by(by_sae(CODE), change, RATINGS)
    assert read.enter_service is not None
    assert not read.enter_service.permitted
    assert read.enter_service.delay_s == 300.0


def test_curves_draw_injection_positive_and_constant_var_negative() -> None:
    """As in the public vectors (+3000 var at 207 V), and as Table M.25 has it."""
    control = sae.control_of(ALL_CODES[1], RATINGS)
    by_volt = control.ReactivePowerSupportCPDRes.VoltVar.CurveDataPoints.CurveDataPoint
    assert float(by_volt[0].yValue) == pytest.approx(0.44 * RATINGS.apparent_va)
    constant = sae.control_of(ALL_CODES[4], RATINGS).ReactivePowerSupportCPDRes.ConstantVar
    assert float(constant.VarSetpoint) == pytest.approx(-0.25 * 11_000.0 / 4_840.0 * 100.0, rel=1e-3)
    assert float(control.ActivePowerSupportCPDRes.VoltWatt.CurveDataPoints.CurveDataPoint[0].yValue) == 100.0


OVER_VOLTAGE_CURVE = sae.control_of(CODE, RATINGS).VoltageTrip.OverVoltageMustTripCurve
DROOP = "ActivePowerSupportCPDRes.FrequencyDroop.OverFrequencyDroop"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("ActivePowerSupportCPDRes.ConstantWatt.Enable", True, "constant active power"),
        ("VoltageTrip.OverVoltageMustTripCurve.xUnit", ac_der_sae.derUnitType.V, "must be s"),
        ("VoltageTrip.OverVoltageMustTripCurve.yUnit", ac_der_sae.derUnitType.W, "is in W"),
        (f"{DROOP}.PowerReference", ac_der_sae.powerReferenceType.MomentaryPower, "momentary"),
        (f"{DROOP}.DroopFactor_L2", rational(0.01), "by phase"),
        (
            "VoltageTrip.UnderVoltageMustTripCurve.CurveDataPoints_L2",
            OVER_VOLTAGE_CURVE.CurveDataPoints,
            "differs",
        ),
        ("VoltageTrip.UnderVoltageMustTripCurve", OVER_VOLTAGE_CURVE, "wrong side"),
        ("EnterServiceCPDRes.EnterServiceVoltageLow", rational(150), "to enter service"),
    ],
    ids=["constant watt", "no time axis", "unit", "momentary", "droop by phase", "by phase", "side", "window"],
)
def test_what_cannot_be_understood_or_kept_to_is_refused_by_name(path: str, value: Any, words: str) -> None:
    control = changed(sae.control_of(CODE, RATINGS), path, value)
    with pytest.raises(RemoteProtocolError, match=words):
        sae_reading.grid_code_of(control, LIMITS, RATINGS)


def test_iec_carries_what_it_has_words_for_and_names_the_rest() -> None:
    read = by_iec(IEC_CODE)
    assert is_close(read, IEC_CODE)
    assert iec.left_out(IEC_CODE) == ()
    missing = set(iec.left_out(CODE))
    assert {DerFunction.ENTER_SERVICE, DerFunction.UNDER_VOLTAGE_MUST_TRIP, DerFunction.OVER_VOLTAGE_MAY_TRIP} < missing
    assert DerFunction.FREQUENCY_DROOP not in missing


def test_iec_slope_is_forty_percent_a_hertz_for_a_droop_of_five_percent_at_fifty_hertz() -> None:
    """As in EVerest's vector: Fstart 50.1 Hz, Slope 0.4."""
    control = iec.control_of(IEC_CODE, RATINGS)
    assert control.ActivePowerSupport is not None
    over = control.ActivePowerSupport.OverFrequencyWatt
    assert over is not None
    assert float(over.Slope) == pytest.approx(0.4)
    assert float(over.Fstart) == pytest.approx(50.2)


def test_iec_set_points_take_the_place_of_a_curve_while_they_stand() -> None:
    code = replace(IEC_CODE, volt_var=None, set_var_pu=0.25, discharge_limit_pu=0.6)
    mode = ac_der_iec.DER_Dynamic_AC_CLResControlMode(
        EVSETargetActivePower=rational(0),
        EVSEMaximumChargePower=rational(0),
        EVSEMaximumDischargePower=rational(0),
        **iec.set_points_of(code, RATINGS),
    )
    told = iec.with_set_points(by_iec(IEC_CODE), mode, RATINGS)
    assert (told.set_var_pu, told.volt_var) == (pytest.approx(0.25), None)
    assert told.discharge_limit_pu == pytest.approx(0.6)
    none = ac_der_iec.DER_Dynamic_AC_CLResControlMode(
        EVSETargetActivePower=rational(0), EVSEMaximumChargePower=rational(0), EVSEMaximumDischargePower=rational(0)
    )
    assert iec.with_set_points(by_iec(IEC_CODE), none, RATINGS).volt_var is not None


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("Slope", rational(0), "slope"),
        ("HysteresisControl", True, "hysteresis"),
        ("PowerReference", ac_der_iec.powerReferenceType.MomentaryPower, "momentary"),
    ],
)
def test_iec_droops_that_are_not_ours_are_refused(field: str, value: Any, words: str) -> None:
    control = iec.control_of(IEC_CODE, RATINGS)
    control = changed(control, f"ActivePowerSupport.OverFrequencyWatt.{field}", value)
    with pytest.raises(RemoteProtocolError, match=words):
        iec.grid_code_of(control, 50.0, 230.0, RATINGS)


def test_the_bits_are_those_of_the_published_tables() -> None:
    assert (
        sae_bits({DerFunction.CHARGE, DerFunction.UNDER_VOLTAGE_MUST_TRIP, DerFunction.WATT_VAR})
        == 1 | 1 << 19 | 1 << 26
    )
    assert sae_functions(1 << 3 | 1 << 9 | 1 << 31) == {DerFunction.ENTER_SERVICE}
    assert iec_bits({DerFunction.FREQUENCY_DROOP, DerFunction.UNDER_VOLTAGE_CESSATION}) == 0b10_0000_0011
    assert iec_bits({DerFunction.ENTER_SERVICE}) == 0


# ---- any code that can be kept to ---------------------------------------------------------------------------------


def curve(low: float, high: float, *, over: bool, digits: int = 3) -> Any:
    """Points whose times grow towards nominal; a threshold in hertz has the 0.01 Hz that the wire's short leaves."""
    points = st.lists(
        st.tuples(
            st.floats(low, high).map(lambda x: round(x, digits)), st.floats(0.1, 900.0).map(lambda t: round(t, 2))
        ),
        min_size=1,
        max_size=4,
    )

    def ordered(pairs: list[tuple[float, float]]) -> tuple[TripPoint, ...]:
        thresholds = sorted({threshold for threshold, _ in pairs}, reverse=over)
        times = sorted(time_s for _, time_s in pairs)
        return tuple(TripPoint(v, t) for v, t in zip(thresholds, times, strict=False))

    return points.map(ordered)


CODES = st.builds(
    GridCode,
    nominal_voltage_v=st.sampled_from([120.0, 230.0, 277.0]),
    nominal_frequency_hz=st.just(60.0),
    must_trip=st.builds(
        TripCurves,
        over_voltage=curve(1.06, 1.4, over=True),
        under_voltage=curve(0.2, 0.89, over=False),
        over_frequency=curve(60.5, 66.0, over=True, digits=2),
        under_frequency=curve(50.0, 59.4, over=False, digits=2),
    ),
    cessation=st.builds(Cessation, under_pu=st.none() | st.floats(0.1, 0.9), over_pu=st.none() | st.floats(1.05, 1.5)),
    enter_service=st.builds(
        EnterService,
        v_lo_pu=st.floats(0.9, 0.95),
        v_hi_pu=st.floats(1.01, 1.05),
        f_lo_hz=st.floats(59.5, 59.9),
        f_hi_hz=st.floats(60.1, 60.4),
        delay_s=st.floats(0.0, 600.0),
        random_delay_s=st.floats(0.0, 100.0),
        ramp_s=st.floats(0.0, 1000.0),
        permitted=st.booleans(),
    ),
    frequency_droop=st.none()
    | st.builds(
        FrequencyDroop,
        db_of_hz=st.floats(0.01, 1.0),
        db_uf_hz=st.none() | st.floats(0.01, 1.0),
        k_of=st.floats(0.02, 0.1),
        k_uf=st.just(0.05),
        response_s=st.floats(0.2, 10.0),
    ),
    set_var_pu=st.none() | st.floats(-0.4, 0.4),
)


@settings(deadline=None, max_examples=60)
@given(CODES)
def test_any_code_that_can_be_kept_to_is_the_same_after_the_wire(code: GridCode) -> None:
    assert grid_code_problem(code) is None
    control = sae.control_of(code, RATINGS)
    read = sae_reading.grid_code_of(control, limits_for(code), RATINGS)
    assert functions_of(read) == functions_of(code)
    assert is_close(read.enter_service, code.enter_service, 5e-3)
    assert is_close(read.cessation, code.cessation, 5e-3)
    for side in ("over_voltage", "under_voltage", "over_frequency", "under_frequency"):
        over = side.startswith("over")
        for point in getattr(code.must_trip, side):
            beyond = point.threshold * (1.0 + (1e-3 if over else -1e-3))
            asked = trip_time_s(getattr(code.must_trip, side), beyond, over=over)
            told = trip_time_s(getattr(read.must_trip, side), beyond, over=over)
            assert math.isclose(asked, told, rel_tol=1e-2, abs_tol=1e-2)
