"""AC powers on their way between messages and the owner, in all or per phase; targets bounded by what was offered."""

from __future__ import annotations

from typing import Any

from pyiso15118.checks import limits_problem, rational, sane_ac_loop_limits
from pyiso15118.events import ZERO_POWER, AcLimits, AcPower
from pyiso15118.messages import ac
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules.wire import MAX_MAGNITUDE
from pyiso15118.secc.session import Situation

_SUFFIXES = ("", "_L2", "_L3")


def read_power(mode: Any, name: str, otherwise: AcPower = ZERO_POWER) -> AcPower:
    """The power of elements ``name``, ``name``_L2 and ``name``_L3; ``otherwise`` where the first is left out."""
    first = getattr(mode, name)
    if first is None:
        return otherwise
    second, third = getattr(mode, f"{name}_L2"), getattr(mode, f"{name}_L3")
    return AcPower(float(first), None if second is None else float(second), None if third is None else float(third))


def sent_power(name: str, power: AcPower | None, sign: float = 1.0) -> dict[str, ct.RationalNumberType]:
    """The elements for a power, by name; none without one."""
    if power is None:
        return {}
    values = zip(_SUFFIXES, (power.l1, power.l2, power.l3), strict=True)
    return {f"{name}{suffix}": rational(sign * value) for suffix, value in values if value is not None}


def within(power: AcPower) -> AcPower:
    """A power that the vehicle measured, each phase brought within ±1e9."""
    return _each(power, lambda value: min(max(-MAX_MAGNITUDE, value), MAX_MAGNITUDE))


def discovered_limits(mode: Any, *, bpt: bool) -> AcLimits:
    """The vehicle's limits as sent; those of discharge as magnitudes, for some stacks send them negative."""
    return AcLimits(
        max_charge_power=read_power(mode, "EVMaximumChargePower"),
        min_charge_power=read_power(mode, "EVMinimumChargePower"),
        max_discharge_power=_each(read_power(mode, "EVMaximumDischargePower"), abs) if bpt else ZERO_POWER,
        min_discharge_power=_each(read_power(mode, "EVMinimumDischargePower"), abs) if bpt else ZERO_POWER,
    )


def discovery_problem(vehicle: AcLimits) -> str | None:
    """Why these limits cannot be charged with, in words; None if they can."""
    problem = limits_problem(vehicle)
    return f"the vehicle's {problem}" if problem else None


def vehicle_limits(mode: Any, bpt: bool, discovered: AcLimits | None) -> AcLimits:
    """The vehicle's limits in the loop; impossible ones take power away. Where scheduled mode leaves one out, that of
    parameter discovery holds."""
    known = discovered or AcLimits(max_charge_power=ZERO_POWER)
    discharge, least = ZERO_POWER, ZERO_POWER
    if bpt:
        discharge = _each(read_power(mode, "EVMaximumDischargePower", known.max_discharge_power), abs)
        least = _each(read_power(mode, "EVMinimumDischargePower", known.min_discharge_power), abs)
    return sane_ac_loop_limits(
        AcLimits(
            max_charge_power=read_power(mode, "EVMaximumChargePower", known.max_charge_power),
            min_charge_power=read_power(mode, "EVMinimumChargePower", known.min_charge_power),
            max_discharge_power=discharge,
            min_discharge_power=least,
        )
    )


def evse_ac_limits(situation: Situation) -> AcLimits:
    """The ratings of an EVSE with an AC service, which has some."""
    limits = situation.config.ac_limits
    if limits is None:
        raise TypeError(f"{situation.config.evse_id} has no AC limits, yet serves AC")
    return limits


def cpd_fields(situation: Situation, present: AcPower | None) -> dict[str, Any]:
    """The elements of parameter discovery that every AC service has."""
    config, limits = situation.config, evse_ac_limits(situation)
    ramp, asymmetry = config.ac_power_ramp_w_per_s, config.ac_max_power_asymmetry_w
    return {
        **sent_power("EVSEMaximumChargePower", limits.max_charge_power),
        **sent_power("EVSEMinimumChargePower", limits.min_charge_power),
        "EVSENominalFrequency": rational(config.ac_nominal_frequency_hz or 0.0),
        "MaximumPowerAsymmetry": None if asymmetry is None else rational(asymmetry),
        "EVSEPowerRampLimitation": None if ramp is None else rational(ramp),
        **sent_power("EVSEPresentActivePower", present),
    }


def cpd_mode(situation: Situation, bpt: bool, present: AcPower | None) -> ac.AC_CPDResEnergyTransferMode:
    """The EVSE's ratings for parameter discovery."""
    limits, fields = evse_ac_limits(situation), cpd_fields(situation, present)
    sign = -1.0 if situation.config.negative_discharge_limits else 1.0
    if not bpt:
        return ac.AC_CPDResEnergyTransferMode(**fields)
    return ac.BPT_AC_CPDResEnergyTransferMode(
        **fields,
        **sent_power("EVSEMaximumDischargePower", limits.max_discharge_power, sign),
        **sent_power("EVSEMinimumDischargePower", limits.min_discharge_power, sign),
    )


def bounded(target: AcPower, offered: AcLimits, *, charge: bool, discharge: bool) -> AcPower:
    """A set-point held within what was offered at parameter discovery, phase by phase; a direction that is closed is
    zero.

    A target for all phases together is spread evenly by the vehicle, so no phase of an offer by phase may be passed by
    its share. A target by phase against an offer in all is scaled down as a whole.
    """
    most = offered.max_charge_power if charge else ZERO_POWER
    least = offered.max_discharge_power if discharge else ZERO_POWER
    bounds = [_bounds(most, len(target.phases)), _bounds(least, len(target.phases))]
    values = [min(max(-low, value), high) for value, high, low in zip(target.phases, *bounds, strict=True)]
    up, down = sum(v for v in values if v > 0), -sum(v for v in values if v < 0)
    grow = min(1.0, most.total / up) if up > 0 else 1.0
    shrink = min(1.0, least.total / down) if down > 0 else 1.0
    values = [value * (grow if value > 0 else shrink) for value in values]
    return _like(target, values)


def _bounds(offer: AcPower, phases: int) -> list[float]:
    by_phase = offer.l2 is not None or offer.l3 is not None
    if phases == 1:
        return [len(offer.phases) * min(offer.phases) if by_phase else offer.l1]
    if not by_phase:
        return [offer.l1] * phases
    return [*offer.phases, 0.0, 0.0][:phases]


def _like(power: AcPower, values: list[float]) -> AcPower:
    rest = iter(values)
    return _each(power, lambda _: next(rest))


def _each(power: AcPower, change: Any) -> AcPower:
    return AcPower(
        change(power.l1),
        None if power.l2 is None else change(power.l2),
        None if power.l3 is None else change(power.l3),
    )


LoopMode = (
    ac.BPT_Dynamic_AC_CLResControlMode
    | ac.BPT_Scheduled_AC_CLResControlMode
    | ac.Dynamic_AC_CLResControlMode
    | ac.Scheduled_AC_CLResControlMode
)


def loop_mode(scheduled: bool, bpt: bool, fields: dict[str, Any]) -> LoopMode:
    """The control mode of a loop response from its elements by name."""
    if scheduled:
        return (ac.BPT_Scheduled_AC_CLResControlMode if bpt else ac.Scheduled_AC_CLResControlMode)(**fields)
    return (ac.BPT_Dynamic_AC_CLResControlMode if bpt else ac.Dynamic_AC_CLResControlMode)(**fields)
