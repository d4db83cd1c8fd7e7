"""What an EVSE may offer its vehicle: ratings and readings become the limits that it is told. Pure.

Powers and currents here are magnitudes unless a name says otherwise; voltages in V at the EVSE's output.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pyiso15118.events import DcLimits
from v2g.dispatch.vehicle import Ratings
from v2g.hardware.ports import DcEvseReading, InverterReading


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseProfile(Ratings):
    """The configured ratings of one EVSE, with its name and voltages."""

    evse_id: str
    max_voltage_v: float
    min_voltage_v: float

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


def _least(value: float, other: float | None) -> float:
    return value if other is None else min(value, other)


def _magnitude(value: float) -> float:
    """A limit as devices and vehicles send it, sign disregarded; what is no number allows nothing."""
    return abs(value) if math.isfinite(value) else 0.0
