"""Calibration: Δθor, τo and x from recorded data, with intervals and with the error before and after. Pure.

The oil of the model moves by ``k11·τo``; k11, R and the other constants stay as they are given, and what is wrong with
them goes into the three. An interval holds what chance does to the data, never a sensor that reads wrong all the time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from v2g.thermal.calibration_data import CalibrationData, CalibrationError, Prepared, prepare
from v2g.thermal.calibration_fit import (
    BOUNDS,
    EXPONENT,
    RISE,
    TAU,
    Fit,
    Problem,
    correlation_rows,
    covariance,
    fit,
    simulate,
    student_95,
    vector_of,
    with_vector,
)
from v2g.thermal.calibration_hot_spot import HotSpot, hot_spot
from v2g.thermal.parameters import ThermalParameters

if TYPE_CHECKING:
    from v2g.thermal.calibration_data import Flags, Floats

__all__ = [
    "Calibration",
    "CalibrationData",
    "CalibrationError",
    "Errors",
    "HotSpot",
    "Parameter",
    "calibrate",
]

HELD_OUT_SHARE: Final = 0.25
_MOST_OUTLIERS: Final = 0.2
_LEAST_GAIN: Final = 0.02
_LARGEST_ERROR_K: Final = 5.0
_INITIAL_S: Final = 300.0
_ABSURD_K: Final = 20.0
"""A held-out reading this far from both simulations, before and after, is the sensor's and not the oil's."""
_AT_BOUND: Final = 1e-3
# Half an interval may be so large for a parameter to count as told: Δθor by its value, ln τo, x.
_LIMIT: Final = (0.25, 0.3, 0.15)
# How well a parameter is taken to be known that the data do not tell: IEC 60076-7 has x between 0.8 and 1.0.
_PRIOR_HALF_WIDTH: Final = (0.0, 0.3, 0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """``before`` and ``value`` in ``unit``; ``low`` and ``high`` its 95 % interval, None where the data do not tell it
    and the value before stays, for the reason in ``kept``."""

    name: str
    unit: str
    before: float
    value: float
    low: float | None
    high: float | None
    kept: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Of top-oil simulated open loop from each segment's first readings, in K."""

    rmse_k: float
    mean_abs_k: float
    max_abs_k: float
    readings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What the data say. ``params`` holds them, with the winding's gradient where a sensor told it."""

    params: ThermalParameters
    dtheta_or: Parameter
    tau_o: Parameter
    x: Parameter
    hot_spot: HotSpot
    fitted_before: Errors
    fitted_after: Errors
    held_out_before: Errors
    held_out_after: Errors
    first_s: float
    held_out_from_s: float
    last_s: float
    segments: int
    outliers: int
    """Readings left out: sensor jumps, and what lies far from any transformer's oil."""
    rows_left_out: int
    correlation_s: float
    """How long an error of the fitted model lasts, which decides how much the data really say."""
    remarks: tuple[str, ...]


def calibrate(
    data: CalibrationData, start: ThermalParameters, *, held_out_share: float = HELD_OUT_SHARE
) -> Calibration:
    """Fit on the first part of ``data``, judge on the last ``held_out_share`` of its readings.

    Raises :class:`CalibrationError`, with the remedy: too little or mixed-up data, a result that no transformer has, or
    none that simulates the held-out part better than ``start``.

    About 19 of 20 intervals hold the truth; 18 where disturbances last for hours and the record hardly for a day.
    """
    import numpy as np

    if not 0.05 <= held_out_share <= 0.5:
        raise CalibrationError(f"a held-out share of {held_out_share:g} is outside 0.05..0.5")
    prepared = prepare(data)
    readings = np.flatnonzero(prepared.use)
    split = int(readings[round(len(readings) * (1.0 - held_out_share))])
    fitting, held_out = prepared.part(0, split), prepared.part(split, len(prepared.t_s))

    result, half_widths, kept = _fit_what_can_be_told(Problem(start, fitting), start)
    params = with_vector(start, result.vector)
    outliers = int(fitting.use.sum() - result.used.sum())
    if outliers > _MOST_OUTLIERS * fitting.use.sum():
        raise CalibrationError(
            f"{outliers} of {int(fitting.use.sum())} readings of top-oil fit no transformer that the others describe: "
            "the sensor or the load measurement is wrong for a good part of the time; find when (history), choose "
            "dates without it"
        )
    fitted_before, fitted_after = _errors(start, fitting, result.used), _errors(params, fitting, result.used)
    if fitted_after.rmse_k > _LARGEST_ERROR_K:
        raise CalibrationError(
            f"{fitted_after.rmse_k:.1f} K of error (root mean square) remain even where it was fitted, more than "
            f"{_LARGEST_ERROR_K:g} K: something else than this load and this air heats or cools the oil (sun, fans, "
            "a second unit), or K or the air is measured wrongly; find which, and choose dates without it"
        )
    judged = held_out.use & ~(_far(start, held_out) & _far(params, held_out))
    if not judged.any():
        raise CalibrationError("the last part of the data holds no believable top-oil: check the sensor since then")
    held_before, held_after = _errors(start, held_out, judged), _errors(params, held_out, judged)
    if held_after.rmse_k > (1.0 - _LEAST_GAIN) * held_before.rmse_k:
        raise CalibrationError(
            f"nothing is gained: on the held-out part the error is {held_after.rmse_k:.2f} K (root mean square) with "
            f"the fitted parameters and {held_before.rmse_k:.2f} K with those in use; keep those, or fit over more days"
        )
    told = hot_spot(params, fitting)
    remark = (
        "R and k11 are taken as given, and the transducers as right: what is wrong with them is in the fitted values"
    )
    spacing_s = float(np.median(np.diff(fitting.t_s)))
    return Calibration(
        params=replace(params, dtheta_hr_k=told.gradient_k),
        dtheta_or=_parameter(RISE, "Δθor", "K", result, half_widths, kept, start),
        tau_o=_parameter(TAU, "τo", "min", result, half_widths, kept, start),
        x=_parameter(EXPONENT, "x", "", result, half_widths, kept, start),
        hot_spot=told,
        fitted_before=fitted_before,
        fitted_after=fitted_after,
        held_out_before=held_before,
        held_out_after=held_after,
        first_s=float(prepared.t_s[0]),
        held_out_from_s=float(held_out.t_s[0]),
        last_s=float(prepared.t_s[-1]),
        segments=len(prepared.starts) - 1,
        outliers=prepared.jumps + outliers + int(held_out.use.sum() - judged.sum()),
        rows_left_out=prepared.rows_left_out,
        correlation_s=correlation_rows(result.residual_k) * spacing_s,
        remarks=(remark,),
    )


def _fit_what_can_be_told(
    problem: Problem, start: ThermalParameters
) -> tuple[Fit, tuple[float, float, float], dict[int, str]]:
    """The fit, half-widths of the 95 % intervals, and why a parameter was kept. Gives up x first, then τo, as long as
    that narrows what is said of the rise: where it does not, the data contradict the value that would be kept."""
    free: tuple[int, ...] = (RISE, TAU, EXPONENT)
    kept: dict[int, str] = {}
    result = fit(problem, vector_of(start), free)
    widths = _half_widths(result, len(problem.data.starts) - 1)
    while True:
        lost = next((index for index in (EXPONENT, TAU) if index in free and widths[index] > _LIMIT[index]), None)
        if lost is None:
            break
        free = tuple(index for index in free if index != lost)
        fewer = fit(problem, vector_of(start), free)
        fewer_widths = _half_widths(fewer, len(problem.data.starts) - 1)
        if fewer_widths[RISE] >= widths[RISE]:
            break
        if lost == EXPONENT:
            kept[lost] = f"the load varies too little to tell it (± {min(widths[lost], 9.9):.2g}); it stays"
        else:
            share = 100.0 * math.expm1(min(widths[lost], 2.0))
            kept[lost] = f"load and ambient move too little to tell it (± {share:.0f} %); it stays"
        result, widths = fewer, fewer_widths
    if widths[RISE] > _LIMIT[RISE] * result.vector[RISE]:
        raise CalibrationError(
            f"the top-oil rise cannot be told from these data: {result.vector[RISE]:.0f} ± {widths[RISE]:.0f} K at "
            "rated load; choose days with higher load, or more of them"
        )
    for index in result.free:
        low, high = BOUNDS[index]
        if min(result.vector[index] - low, high - result.vector[index]) <= _AT_BOUND * (high - low):
            raise CalibrationError(
                f"{_shown(index, result.vector[index])} is the last value that a transformer can have, so the data "
                "want one that none has: check the nameplate (rated kVA, loss ratio, cooling mode), which K is "
                "calculated with, and the place of the ambient transducer"
            )
    return result, widths, kept


def _half_widths(result: Fit, segments: int) -> tuple[float, float, float]:
    """Of the 95 % intervals; a parameter that is kept adds what it is not known to the others."""
    import numpy as np

    free = list(result.free)
    jacobian = result.jacobian[:, free]
    # Columns of the size of one, so that what is told by rounding alone shows as such.
    size = np.maximum(np.linalg.norm(jacobian, axis=0), 1e-9)
    if np.linalg.cond(jacobian / size) > 1e6:
        return math.inf, math.inf, math.inf
    squared, degrees = covariance(jacobian, result.residual_k, segments)
    variance = np.diag(squared) * student_95(degrees) ** 2
    for index in {RISE, TAU, EXPONENT} - set(free):
        follows = np.linalg.lstsq(jacobian, result.jacobian[:, index], rcond=None)[0]
        variance = variance + (follows * _PRIOR_HALF_WIDTH[index]) ** 2
    widths = dict(zip(free, np.sqrt(variance).tolist(), strict=True))
    return widths.get(RISE, math.inf), widths.get(TAU, math.inf), widths.get(EXPONENT, math.inf)


def _errors(params: ThermalParameters, data: Prepared, judged: Flags) -> Errors:
    import numpy as np

    error_k = np.abs((data.top_oil_c - simulate(params, data, _initial_c(data, judged)))[judged])
    return Errors(
        rmse_k=float(np.sqrt(np.mean(error_k**2))),
        mean_abs_k=float(np.mean(error_k)),
        max_abs_k=float(np.max(error_k)),
        readings=len(error_k),
    )


def _far(params: ThermalParameters, data: Prepared) -> Flags:
    import numpy as np

    simulated = simulate(params, data, _initial_c(data, data.use))
    return np.asarray(np.abs(data.top_oil_c - simulated) > _ABSURD_K, dtype=bool)


def _initial_c(data: Prepared, judged: Flags) -> Floats:
    """The median of each segment's first minutes; air where nothing was read, and nothing is judged there either."""
    import numpy as np

    initial = data.ambient_c[list(data.starts[:-1])].copy()
    for number, (first, end) in enumerate(zip(data.starts[:-1], data.starts[1:], strict=True)):
        rows = first + np.flatnonzero(judged[first:end])
        if len(rows):
            early = rows[data.t_s[rows] < data.t_s[rows[0]] + _INITIAL_S]
            initial[number] = np.median(data.top_oil_c[early])
    return initial


def _parameter(
    index: int,
    name: str,
    unit: str,
    result: Fit,
    half_widths: tuple[float, float, float],
    kept: dict[int, str],
    start: ThermalParameters,
) -> Parameter:
    before, value = _human(index, vector_of(start)[index]), _human(index, result.vector[index])
    if index in kept:
        return Parameter(name=name, unit=unit, before=before, value=value, low=None, high=None, kept=kept[index])
    middle, half = result.vector[index], half_widths[index]
    low, high = _human(index, middle - half), _human(index, middle + half)
    return Parameter(name=name, unit=unit, before=before, value=value, low=low, high=high)


def _human(index: int, value: float) -> float:
    return math.exp(value) / 60.0 if index == TAU else value


def _shown(index: int, value: float) -> str:
    name, unit = (("Δθor", " K"), ("τo", " min"), ("x", ""))[index]
    return f"{name} = {_human(index, value):.3g}{unit}"
