"""What an EVSE may offer its vehicle, and what a vehicle allows: ratings and readings become limits. Pure.

Powers and currents here are magnitudes unless a name says otherwise; voltages in V at the EVSE's output.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pyiso15118.events import DcLimits
from v2g.dispatch.constraints import Bound
from v2g.hardware.ports import DcEvseReading, InverterReading


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseProfile:
    """The configured ratings of one EVSE. ``inverter_max_*_w``: site limits below the inverter's own rating, or None.

    ``min_soc_pct``: at or below this state of charge its vehicle is not discharged.
    """

    evse_id: str
    max_voltage_v: float
    min_voltage_v: float
    max_current_a: float
    max_charge_w: float
    max_discharge_w: float
    inverter_max_charge_w: float | None = None
    inverter_max_discharge_w: float | None = None
    min_soc_pct: float = 30.0

    @property
    def rated(self) -> DcLimits:
        """The limits offered at parameter discovery when no device is known yet: the configuration's."""
        return offered(self, None, None)


def offered(profile: EvseProfile, evse: DcEvseReading | None, inverter: InverterReading | None) -> DcLimits:
    """The EVSE's capability: configuration, intersected with what its devices say they are rated for.

    A device that is known and rated for nothing offers nothing. Never more than :attr:`EvseProfile.rated`.
    """
    charge_w = _least(profile.max_charge_w, profile.inverter_max_charge_w)
    discharge_w = _least(profile.max_discharge_w, profile.inverter_max_discharge_w)
    current_a, max_v, min_v = profile.max_current_a, profile.max_voltage_v, profile.min_voltage_v
    if evse is not None:
        power_w = _magnitude(evse.max_power_w)
        charge_w, discharge_w = min(charge_w, power_w), min(discharge_w, power_w)
        current_a = min(current_a, _magnitude(evse.max_current_a))
        max_v = min(max_v, _magnitude(evse.max_voltage_v))
        # A device that cannot go as low as configured narrows the range; one that contradicts it keeps it valid.
        min_v = min(max(min_v, _magnitude(evse.min_voltage_v)), max_v)
    if inverter is not None:
        charge_w = min(charge_w, _magnitude(inverter.max_charge_w))
        discharge_w = min(discharge_w, _magnitude(inverter.max_discharge_w))
    return DcLimits(
        max_charge_power_w=charge_w,
        max_charge_current_a=current_a,
        max_voltage_v=max_v,
        min_voltage_v=min_v,
        max_discharge_power_w=discharge_w,
        max_discharge_current_a=current_a,
    )


def within_site(limits: DcLimits, lo_w: float, hi_w: float) -> DcLimits:
    """``limits`` inside the power that the site permits now: ``lo_w <= P <= hi_w``, signed."""
    return replace(
        limits,
        max_charge_power_w=min(limits.max_charge_power_w, max(0.0, hi_w)),
        max_discharge_power_w=min(limits.max_discharge_power_w, max(0.0, -lo_w)),
    )


def rating_bounds(
    profile: EvseProfile, evse: DcEvseReading, inverter: InverterReading, max_age_s: float
) -> tuple[Bound, ...]:
    """The EVSE's and the inverter's ratings as bounds that end when the readings are ``max_age_s`` old."""
    stage_w = _magnitude(evse.max_power_w)
    stage_until_s = evse.as_of_s + max_age_s
    inverter_until_s = inverter.as_of_s + max_age_s
    current_w = _least(profile.max_current_a, _magnitude(evse.max_current_a)) * _magnitude(evse.present_voltage_v)
    return (
        Bound(
            -_least(profile.max_discharge_w, stage_w),
            _least(profile.max_charge_w, stage_w),
            "EVSE rating",
            stage_until_s,
        ),
        Bound(-current_w, current_w, "EVSE current", stage_until_s),
        Bound(
            -_least(_magnitude(inverter.max_discharge_w), profile.inverter_max_discharge_w),
            _least(_magnitude(inverter.max_charge_w), profile.inverter_max_charge_w),
            "inverter rating",
            inverter_until_s,
        ),
    )


def vehicle_bounds(
    profile: EvseProfile, limits: DcLimits, soc_pct: int | None, present_voltage_v: float, expires_at_s: float
) -> tuple[Bound, ...]:
    """What the vehicle allows at ``present_voltage_v``, and min-SoC. An unknown state of charge forbids discharge."""
    voltage_v = _magnitude(present_voltage_v)
    bounds = [
        Bound(
            -_magnitude(limits.max_discharge_power_w), _magnitude(limits.max_charge_power_w), "vehicle", expires_at_s
        ),
        Bound(
            -_magnitude(limits.max_discharge_current_a) * voltage_v,
            _magnitude(limits.max_charge_current_a) * voltage_v,
            "vehicle current",
            expires_at_s,
        ),
    ]
    if soc_pct is None:
        bounds.append(Bound(0.0, math.inf, "min-SoC: state of charge unknown", expires_at_s))
    elif soc_pct <= profile.min_soc_pct:
        bounds.append(Bound(0.0, math.inf, f"min-SoC {profile.min_soc_pct:g} %", expires_at_s))
    return tuple(bounds)


def _least(value: float, other: float | None) -> float:
    return value if other is None else min(value, other)


def _magnitude(value: float) -> float:
    """A limit as devices and vehicles send it, sign disregarded; what is no number allows nothing."""
    return abs(value) if math.isfinite(value) else 0.0
