"""The hot-spot factor: fitted where a winding sensor tells it, else the range that it can have. Pure.

Δθhr = H·g: hot-spot factor times the gradient of average winding over average oil at rated load. Top-oil says nothing
of it. Of H, IEC 60076-7 is quoted with 1.0 to 2.1 by size, impedance and winding design, usually 1.1 for distribution
and 1.3 for power transformers. Second-hand: the standard was not at hand (Alliander's public documentation calls
1.1 to 1.3 realistic).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from v2g.thermal.calibration_fit import covariance, first_order, outlier_limit_k, steps_of, student_95
from v2g.thermal.limits import SizeClass, size_class
from v2g.thermal.parameters import ThermalParameters

if TYPE_CHECKING:
    from v2g.thermal.calibration_data import Flags, Floats, Prepared

FACTOR_RANGE: Final = (1.0, 2.1)
USUAL_FACTOR_DISTRIBUTION: Final = 1.1
USUAL_FACTOR_POWER: Final = 1.3
REFERENCE_AMBIENT_C: Final = 20.0
_Y_UNCERTAINTY: Final = 0.15
_LEAST_S: Final = 6 * 3600.0
_LARGEST_HALF_WIDTH: Final = 0.3
_GRADIENT_RANGE_K: Final = (2.0, 80.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HotSpot:
    """``gradient_k`` Δθhr in K between ``low_k`` and ``high_k``; ``factor`` H likewise; hot-spots in °C at rated load,
    20 °C ambient and the fitted top-oil rise."""

    measured: bool
    """A winding sensor told it, and the range is a 95 % interval; else the nameplate's value and the range of H."""
    gradient_k: float
    low_k: float
    high_k: float
    average_gradient_k: float
    """g, from the nameplate's Δθhr and the usual H."""
    usual_factor: float
    factor: float
    factor_low: float
    factor_high: float
    hot_spot_c: float
    hot_spot_low_c: float
    hot_spot_high_c: float
    remark: str


def hot_spot(params: ThermalParameters, data: Prepared) -> HotSpot:
    """``params``: with the oil's parameters as fitted, the gradient as on the nameplate."""
    usual = USUAL_FACTOR_DISTRIBUTION if size_class(params.rated_va) is SizeClass.DISTRIBUTION else USUAL_FACTOR_POWER
    average_k = params.dtheta_hr_k / usual
    told = _from_winding(params, data)
    if isinstance(told, str):
        low, high = FACTOR_RANGE
        remark = (
            f"{told}: the gradient of the nameplate stays; as H = {usual:g} is usual for this size and {low:g} to "
            f"{high:g} is possible, H·g lies between {low * average_k:.1f} and {high * average_k:.1f} K"
        )
        return _result(params, average_k, (params.dtheta_hr_k, low * average_k, high * average_k), False, remark)
    gradient_k, half_width_k = told
    low_k, high_k = max(gradient_k - half_width_k, 0.0), gradient_k + half_width_k
    remark = (
        f"from the winding sensor, taken as one at the hot-spot; its interval counts the winding exponent "
        f"y = {params.y:g} as known within ±{_Y_UNCERTAINTY:g}"
    )
    return _result(params, average_k, (gradient_k, low_k, high_k), True, remark)


def _result(
    params: ThermalParameters, average_k: float, gradients_k: tuple[float, float, float], measured: bool, remark: str
) -> HotSpot:
    rated_oil_c = REFERENCE_AMBIENT_C + params.dtheta_or_k
    gradient_k, low_k, high_k = gradients_k
    return HotSpot(
        measured=measured,
        gradient_k=gradient_k,
        low_k=low_k,
        high_k=high_k,
        average_gradient_k=average_k,
        usual_factor=params.dtheta_hr_k / average_k,
        factor=gradient_k / average_k,
        factor_low=low_k / average_k,
        factor_high=high_k / average_k,
        hot_spot_c=rated_oil_c + gradient_k,
        hot_spot_low_c=rated_oil_c + low_k,
        hot_spot_high_c=rated_oil_c + high_k,
        remark=remark,
    )


def _from_winding(params: ThermalParameters, data: Prepared) -> tuple[float, float] | str:
    """Δθhr and its 95 % half-width in K, or why it cannot be told."""
    import numpy as np

    if not data.use_winding.any():
        return "there is no winding sensor in these data, and top-oil does not tell the hot-spot"
    used = data.use_winding & (_since_start_s(data) >= _settling_s(params))
    spacing_s = float(np.median(np.diff(data.t_s)))
    if used.sum() * spacing_s < _LEAST_S:
        return f"the winding sensor has less than {_LEAST_S / 3600:.0f} hours of settled readings"
    over_oil_k = data.winding_c - data.top_oil_c
    gradient_k, residual_k, kept = _robust_slope(unit_response(params, data)[used], over_oil_k[used])
    if not _GRADIENT_RANGE_K[0] <= gradient_k <= _GRADIENT_RANGE_K[1]:
        return f"the winding sensor gives Δθhr = {gradient_k:.1f} K, which no transformer has"
    variance, degrees = covariance(unit_response(params, data)[used][kept][:, None], residual_k, 0)
    half_width_k = student_95(degrees) * float(variance[0, 0]) ** 0.5
    by_y = [
        _robust_slope(unit_response(replace(params, y=params.y + change), data)[used], over_oil_k[used])[0]
        for change in (-_Y_UNCERTAINTY, _Y_UNCERTAINTY)
        if 1.0 <= params.y + change <= 2.5
    ]
    half_width_k = float(np.hypot(half_width_k, max(abs(other - gradient_k) for other in by_y)))
    if half_width_k > _LARGEST_HALF_WIDTH * gradient_k:
        return f"the load is too low or too even for the winding sensor to tell it (Δθhr ± {half_width_k:.0f} K)"
    return gradient_k, half_width_k


def unit_response(params: ThermalParameters, data: Prepared) -> Floats:
    """Hot-spot over top-oil at every row for Δθhr = 1 K, from the steady state of each segment's first row."""
    import numpy as np

    dt_s = steps_of(data)
    firsts = list(data.starts[:-1])
    gradient = (params.load_loss_factor * data.k_squared) ** (0.5 * params.y)
    response = np.zeros(len(dt_s))
    for share, time_constant_s in (
        (params.k21, params.k22 * params.tau_w_s),
        (1.0 - params.k21, params.tau_o_s / params.k22),
    ):
        increments = -np.expm1(-dt_s / time_constant_s) * share * gradient
        increments[firsts] = share * gradient[firsts]
        response += first_order(np.cumsum(dt_s) / time_constant_s, increments[:, None], data.starts)[:, 0]
    return response


def _settling_s(params: ThermalParameters) -> float:
    slow_s = params.tau_o_s / params.k22 if params.k21 > 1.0 else 0.0
    return 3.0 * max(params.k22 * params.tau_w_s, slow_s)


def _since_start_s(data: Prepared) -> Floats:
    import numpy as np

    lengths = np.diff(data.starts)
    return data.t_s - np.repeat(data.t_s[list(data.starts[:-1])], lengths)


def _robust_slope(response: Floats, over_oil_k: Floats) -> tuple[float, Floats, Flags]:
    """Through zero; (slope, residuals kept, which were kept)."""
    import numpy as np

    loaded = response > 0.5 * float(np.max(response))
    slope = float(np.median(over_oil_k[loaded] / response[loaded]))
    for _ in range(6):
        residual_k = over_oil_k - slope * response
        kept = np.abs(residual_k) <= outlier_limit_k(residual_k)
        slope = float(response[kept] @ over_oil_k[kept]) / float(response[kept] @ response[kept])
    return slope, (over_oil_k - slope * response)[kept], kept
