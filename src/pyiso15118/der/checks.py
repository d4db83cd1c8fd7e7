"""Whether a grid code can be kept to, and whether what an owner says of an inverter can be said."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from pyiso15118.der.functions import DerFunction
from pyiso15118.der.values import DerNameplate, DerState, EnterService, GridCode, Points, TripCurves, TripPoint
from pyiso15118.errors import LocalProtocolError

MOST_POINTS = 10
"""Of a curve, in either schema."""
MOST_S = 100_000.0
_TEXT_CHARS = 32
_ROUNDING = 1e-3
"""What four digits on the wire make of a value."""


def grid_code_problem(code: GridCode) -> str | None:
    """Why nobody can keep to ``code``, in words naming value and rule; None if one can.

    Numbers that cannot be, thresholds on the wrong side of nominal, curves whose points contradict each other, ride
    through that lasts longer than the trip allows, a window to enter service in which the trips act.
    """
    return next(_problems(code), None)


def check_grid_code(code: GridCode, what: str) -> None:
    """Raises :class:`LocalProtocolError` for what is no grid code, or one that nobody can keep to."""
    if not isinstance(code, GridCode):
        raise LocalProtocolError(f"{what} is {code!r}, must be GridCode")
    if problem := grid_code_problem(code):
        raise LocalProtocolError(f"{what}: {problem}")


def check_nameplate(nameplate: DerNameplate, what: str) -> None:
    """Raises :class:`LocalProtocolError` for a nameplate that no message can carry."""
    if not isinstance(nameplate, DerNameplate):
        raise LocalProtocolError(f"{what} is {nameplate!r}, must be DerNameplate")
    for name in ("apparent_va", "injected_var", "absorbed_var", "nominal_voltage_v", "max_voltage_v", "min_voltage_v"):
        if not _is_within(getattr(nameplate, name), 0.0, 1e9):
            raise LocalProtocolError(f"{what}: {name} is {getattr(nameplate, name)!r}, must be a number within 0..1e9")
    for name in ("over_excited_power_factor", "under_excited_power_factor"):
        if not _is_within(getattr(nameplate, name), 0.0, 1.0):
            raise LocalProtocolError(f"{what}: {name} is {getattr(nameplate, name)!r}, must be within 0..1")
    for name in ("manufacturer", "model", "serial_number", "software_version", "hardware_version"):
        text = getattr(nameplate, name)
        if text is not None and len(text) > _TEXT_CHARS:
            raise LocalProtocolError(f"{what}: {name} has {len(text)} characters, at most {_TEXT_CHARS} fit")
    if nameplate.normal_category not in ("A", "B"):
        raise LocalProtocolError(f"{what}: normal_category is {nameplate.normal_category!r}, must be A or B")
    if nameplate.abnormal_category not in ("I", "II", "III"):
        raise LocalProtocolError(f"{what}: abnormal_category is {nameplate.abnormal_category!r}, must be I, II or III")
    unknown = [function for function in nameplate.functions if not isinstance(function, DerFunction)]
    if unknown:
        raise LocalProtocolError(f"{what}: functions has {unknown!r}, must be of DerFunction")


def check_state(state: DerState, what: str) -> None:
    """Raises :class:`LocalProtocolError` for a state that no message can carry."""
    if not isinstance(state, DerState):
        raise LocalProtocolError(f"{what} is {state!r}, must be DerState")
    for name in ("present_voltage_v", "present_frequency_hz"):
        value = getattr(state, name)
        if value is not None and not _is_within(value, 0.0, 1e9):
            raise LocalProtocolError(f"{what}: {name} is {value!r}, must be a number within 0..1e9")


def _problems(code: GridCode) -> Iterator[str]:
    for name in ("nominal_voltage_v", "nominal_frequency_hz"):
        if not _is_within(getattr(code, name), 1.0, 1e6):
            yield f"{name} is {getattr(code, name):g}, must be within 1..1e6"
            return
    nominal_hz = code.nominal_frequency_hz
    yield from _trips("trip", code.must_trip, nominal_hz)
    yield from _trips("ride-through", code.may_trip, nominal_hz)
    yield from _ride_through_against_trip(code)
    under, over = code.cessation.under_pu, code.cessation.over_pu
    if under is not None and not _is_within(under, 0.0, 1.0):
        yield f"momentary cessation below {under:g} p.u., which is not below nominal voltage"
    if over is not None and not _is_within(over, 1.0, 3.0):
        yield f"momentary cessation above {over:g} p.u., which is not above nominal voltage"
    if code.enter_service is not None:
        yield from _enter_service(code.enter_service, code)
    yield from _support(code)


def _trips(what: str, curves: TripCurves, nominal_hz: float) -> Iterator[str]:
    for name, points, nominal, over in (
        ("over-voltage", curves.over_voltage, 1.0, True),
        ("under-voltage", curves.under_voltage, 1.0, False),
        ("over-frequency", curves.over_frequency, nominal_hz, True),
        ("under-frequency", curves.under_frequency, nominal_hz, False),
    ):
        unit = "p.u." if nominal == 1.0 else "Hz"
        if len(points) > MOST_POINTS:
            yield f"{name} {what} has {len(points)} points, at most {MOST_POINTS} fit"
        for point in points:
            if not (_is_within(point.threshold, 0.0, 1e4) and _is_within(point.time_s, 0.0, MOST_S)):
                yield f"{name} {what} has a point {point.threshold:g} {unit} for {point.time_s:g} s, which cannot be"
                return
            if (point.threshold <= nominal) if over else (point.threshold >= nominal):
                yield f"{name} {what} at {point.threshold:g} {unit} is on the wrong side of nominal, {nominal:g} {unit}"
        for deep, shallow in itertools.pairwise(_deepest_first(points, over=over)):
            if deep.time_s > shallow.time_s + _ROUNDING:
                yield (
                    f"{name} {what} contradicts itself: {deep.threshold:g} {unit} for {deep.time_s:g} s lies beyond "
                    f"{shallow.threshold:g} {unit} for {shallow.time_s:g} s and would come later"
                )


def _ride_through_against_trip(code: GridCode) -> Iterator[str]:
    must, may = code.must_trip, code.may_trip
    for name, trip, stay, over in (
        ("over-voltage", must.over_voltage, may.over_voltage, True),
        ("under-voltage", must.under_voltage, may.under_voltage, False),
        ("over-frequency", must.over_frequency, may.over_frequency, True),
        ("under-frequency", must.under_frequency, may.under_frequency, False),
    ):
        for edge in sorted({point.threshold for point in (*stay, *trip)}):
            stays_s = ride_through_s(stay, edge, over=over)
            trips_s = trip_time_s(trip, edge, over=over)
            if stays_s > trips_s * (1.0 + _ROUNDING) + _ROUNDING:
                yield (
                    f"{name} ride-through asks to stay for {stays_s:g} s beyond {edge:g}, where the trip acts after "
                    f"{trips_s:g} s"
                )


def steps(points: tuple[TripPoint, ...], *, over: bool) -> tuple[TripPoint, ...]:
    """Those points that decide, by ascending time: what lies farther out and comes no sooner says nothing."""
    kept: list[TripPoint] = []
    for point in sorted(points, key=lambda p: (p.time_s, p.threshold if over else -p.threshold)):
        if not any(
            other.threshold <= point.threshold if over else other.threshold >= point.threshold for other in kept
        ):
            kept.append(point)
    return tuple(kept)


def trip_time_s(points: tuple[TripPoint, ...], value: float, *, over: bool) -> float:
    """How long it may last until it has to have tripped, just beyond ``value``; infinity where no point acts."""
    return min((p.time_s for p in points if _reaches(p, value, over=over)), default=math.inf)


def ride_through_s(points: tuple[TripPoint, ...], value: float, *, over: bool) -> float:
    """How long it has to stay just beyond ``value``: by the farthest point that it is beyond; 0 where none says so."""
    reached = [p for p in points if _reaches(p, value, over=over)]
    return min(reached, key=lambda p: -p.threshold if over else p.threshold).time_s if reached else 0.0


def _reaches(point: TripPoint, value: float, *, over: bool) -> bool:
    return point.threshold <= value if over else point.threshold >= value


def _deepest_first(points: tuple[TripPoint, ...], *, over: bool) -> list[TripPoint]:
    return sorted(points, key=lambda p: (-p.threshold if over else p.threshold, p.time_s))


def _enter_service(window: EnterService, code: GridCode) -> Iterator[str]:
    values = window.v_lo_pu, window.v_hi_pu, window.f_lo_hz, window.f_hi_hz
    if not all(_is_within(value, 0.0, 1e4) for value in values):
        yield "the window to enter service has a limit that is no number"
        return
    for name, low, high, unit in (
        ("voltage", window.v_lo_pu, window.v_hi_pu, "p.u."),
        ("frequency", window.f_lo_hz, window.f_hi_hz, "Hz"),
    ):
        if not low < high:
            yield f"the window to enter service is empty: {name} {low:g}..{high:g} {unit}"
    for name in ("delay_s", "random_delay_s", "ramp_s"):
        if not _is_within(getattr(window, name), 0.0, MOST_S):
            yield f"{name} to enter service is {getattr(window, name):g}, must be within 0..{MOST_S:g}"
    must = code.must_trip
    for name, edge, points, over in (
        ("lowest voltage", window.v_lo_pu, must.under_voltage, False),
        ("highest voltage", window.v_hi_pu, must.over_voltage, True),
        ("lowest frequency", window.f_lo_hz, must.under_frequency, False),
        ("highest frequency", window.f_hi_hz, must.over_frequency, True),
    ):
        beyond = [
            p.threshold for p in points if (edge > p.threshold + _ROUNDING if over else edge < p.threshold - _ROUNDING)
        ]
        if beyond:
            yield f"the {name} to enter service, {edge:g}, lies where the trip at {beyond[0]:g} acts"


def _support(code: GridCode) -> Iterator[str]:
    droop = code.frequency_droop
    if droop is not None:
        if droop.db_of_hz is None and droop.db_uf_hz is None:
            yield "the frequency droop acts neither above nor below nominal frequency"
        for name in ("db_of_hz", "db_uf_hz"):
            value = getattr(droop, name)
            if value is not None and not _is_within(value, 0.0, code.nominal_frequency_hz):
                yield f"the frequency droop's {name} is {value:g}, must be within 0..{code.nominal_frequency_hz:g}"
        for name in ("k_of", "k_uf"):
            if not _is_within(getattr(droop, name), 1e-4, 1.0):
                yield f"the frequency droop's {name} is {getattr(droop, name):g}, must be within 0.0001..1"
        if not _is_within(droop.response_s, 0.0, MOST_S):
            yield f"the frequency droop's response_s is {droop.response_s:g}, must be within 0..{MOST_S:g}"
    for name, curve in (("volt-var", code.volt_var), ("volt-watt", code.volt_watt), ("watt-var", code.watt_var)):
        if curve is not None:
            yield from _curve(name, curve.points)
            if not _is_within(getattr(curve, "response_s", 0.0), 0.0, MOST_S):
                yield f"the {name} curve's response time is no time"
    if code.power_factor is not None and not _is_within(code.power_factor.power_factor, 0.01, 1.0):
        yield f"the power factor is {code.power_factor.power_factor:g}, must be within 0.01..1"
    if code.set_var_pu is not None and not _is_within(code.set_var_pu, -1.0, 1.0):
        yield f"the reactive set-point is {code.set_var_pu:g} p.u., must be within -1..1"
    if code.discharge_limit_pu is not None and not _is_within(code.discharge_limit_pu, 0.0, 1.0):
        yield f"the limit of discharge is {code.discharge_limit_pu:g} p.u., must be within 0..1"
    reactive = [
        name
        for name, value in (
            ("volt-var", code.volt_var),
            ("watt-var", code.watt_var),
            ("a constant power factor", code.power_factor),
            ("constant reactive power", code.set_var_pu),
        )
        if value is not None
    ]
    if len(reactive) > 1:
        yield f"{' and '.join(reactive)} exclude each other"


def _curve(name: str, points: Points) -> Iterator[str]:
    if not 2 <= len(points) <= MOST_POINTS:
        yield f"the {name} curve has {len(points)} points, must have 2..{MOST_POINTS}"
    if not all(_is_within(x, -10.0, 10.0) and _is_within(y, -1.0 - _ROUNDING, 1.0 + _ROUNDING) for x, y in points):
        yield f"the {name} curve has a point that cannot be: per unit, y within -1..1"
    elif any(one[0] > other[0] for one, other in itertools.pairwise(points)):
        yield f"the {name} curve's points do not ascend"


def _is_within(value: object, low: float, high: float) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and low <= value <= high  # type: ignore[arg-type, operator]
