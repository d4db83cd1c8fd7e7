"""Values under suspicion: what a peer says is made harmless, what the owner says is refused when it cannot be."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import AcLimits, AcPower, DcLimits, EnergyNeeds, MeterReading
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules.wire import MAX_MAGNITUDE, is_number


@lru_cache(maxsize=1024)
def rational(value: float) -> ct.RationalNumberType:
    """``value`` as RationalNumber with as many digits as fit. Kept, for limits go out unchanged many times a second."""
    return ct.RationalNumberType.of(value)


def printable(text: str) -> str:
    """``text`` with everything escaped that is not printable: a peer's words may hold line feeds or terminal codes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def limits_problem(limits: DcLimits | AcLimits) -> str | None:
    """What is impossible about a peer's limits, in words; None if every one is within 0..1e9 and no minimum above
    its maximum."""
    if isinstance(limits, AcLimits):
        return _ac_limits_problem(limits)
    for name in limits.__dataclass_fields__:
        if not 0 <= getattr(limits, name) <= MAX_MAGNITUDE:
            return f"{name} is {getattr(limits, name):g}, must be within 0..1e9"
    for name in limits.__dataclass_fields__:
        if name.startswith("min_"):
            least, most = getattr(limits, name), getattr(limits, name.replace("min_", "max_"))
            if least > most:
                return f"{name} is {least:g}, above the maximum of {most:g}"
    return None


def _ac_limits_problem(limits: AcLimits) -> str | None:
    for name in limits.__dataclass_fields__:
        for value in getattr(limits, name).phases:
            if not 0 <= value <= MAX_MAGNITUDE:
                return f"{name} is {value:g}, must be within 0..1e9"
    for least, most, name in (
        (limits.min_charge_power, limits.max_charge_power, "charge_power"),
        (limits.min_discharge_power, limits.max_discharge_power, "discharge_power"),
    ):
        if least.total > most.total:
            return f"min_{name} is {least.total:g}, above the maximum of {most.total:g}"
    return None


def sane_ac_loop_limits(limits: AcLimits) -> AcLimits:
    """A peer's limits in the charge loop; a direction that is out of range or contradicts itself becomes 0..0."""
    nothing = AcLimits(max_charge_power=AcPower(0.0))
    charge = replace(nothing, max_charge_power=limits.max_charge_power, min_charge_power=limits.min_charge_power)
    if _ac_limits_problem(charge):
        charge = nothing
    discharge = replace(
        nothing, max_discharge_power=limits.max_discharge_power, min_discharge_power=limits.min_discharge_power
    )
    if _ac_limits_problem(discharge):
        discharge = nothing
    return replace(
        charge,
        max_discharge_power=discharge.max_discharge_power,
        min_discharge_power=discharge.min_discharge_power,
    )


def sane_loop_limits(limits: DcLimits, discovered: DcLimits | None) -> DcLimits:
    """A peer's limits in the charge loop, nonsense turned into zero.

    A pair of power or current limits that is out of range or contradicts itself becomes 0..0; a voltage range that
    does becomes the discovered one, and every power and current 0.
    """
    pairs = {"charge_power_w", "charge_current_a", "discharge_power_w", "discharge_current_a"}
    changes: dict[str, float] = {}
    if not (0 <= limits.min_voltage_v <= limits.max_voltage_v <= MAX_MAGNITUDE and limits.max_voltage_v > 0):
        changes |= {f"{end}_{pair}": 0.0 for pair in pairs for end in ("min", "max")}
        changes["min_voltage_v"] = discovered.min_voltage_v if discovered else 0.0
        changes["max_voltage_v"] = discovered.max_voltage_v if discovered else 0.0
    else:
        for pair in pairs:
            if not 0 <= getattr(limits, f"min_{pair}") <= getattr(limits, f"max_{pair}") <= MAX_MAGNITUDE:
                changes |= {f"min_{pair}": 0.0, f"max_{pair}": 0.0}
    return replace(limits, **changes) if changes else limits


def check_limits(limits: DcLimits | None, what: str) -> None:
    """Raises :class:`LocalProtocolError` unless ``limits`` are :class:`DcLimits`, each a number within 0..1e9."""
    if not isinstance(limits, DcLimits):
        raise LocalProtocolError(f"{what} is {limits!r}, must be DcLimits")
    for name in limits.__dataclass_fields__:
        value = getattr(limits, name)
        if not (is_number(value) and 0 <= value <= MAX_MAGNITUDE):
            raise LocalProtocolError(f"{what}: {name} is {value!r}, must be a number within 0..1e9")


def check_ac_limits(limits: AcLimits | None, what: str) -> None:
    """Raises :class:`LocalProtocolError` unless ``limits`` are :class:`AcLimits`, each a number within 0..1e9."""
    if not isinstance(limits, AcLimits):
        raise LocalProtocolError(f"{what} is {limits!r}, must be AcLimits")
    for name in limits.__dataclass_fields__:
        power = getattr(limits, name)
        check_ac_power(f"{what}: {name}", power)
        if min(power.phases) < 0:
            raise LocalProtocolError(f"{what}: {name} is {power!r}, must be a magnitude: 0..1e9 a phase")


def check_ac_power(what: str, power: AcPower | None) -> None:
    """Raises :class:`LocalProtocolError` unless ``power`` is None or :class:`AcPower` of numbers within ±1e9."""
    if power is None:
        return
    if not isinstance(power, AcPower):
        raise LocalProtocolError(f"{what} is {power!r}, must be AcPower")
    check_finite(what, l1=power.l1)
    check_optional(what, l2=power.l2, l3=power.l3)


def check_meter(meter: MeterReading | None, what: str) -> None:
    """Raises :class:`LocalProtocolError` for a reading that MeterInfo cannot carry."""
    if meter is None:
        return
    if not isinstance(meter, MeterReading):
        raise LocalProtocolError(f"{what} is {meter!r}, must be MeterReading")
    check_text(what, meter_id=meter.meter_id)
    if not 1 <= len(meter.meter_id) <= 32:
        raise LocalProtocolError(f"{what}: meter_id has {len(meter.meter_id)} characters, must have 1..32")
    check_integers(
        what,
        2**64 - 1,
        charged_energy_wh=meter.charged_energy_wh,
        discharged_energy_wh=meter.discharged_energy_wh,
        at_unix_s=meter.at_unix_s,
    )
    if meter.signature is not None and len(meter.signature) > 64:
        raise LocalProtocolError(f"{what}: signature has {len(meter.signature)} bytes, at most 64 fit")


def check_finite(what: str, **values: float) -> None:
    """Raises :class:`LocalProtocolError` unless every value is a number within ±1e9."""
    for name, value in values.items():
        if not (is_number(value) and abs(value) <= MAX_MAGNITUDE):
            raise LocalProtocolError(f"{what}: {name} is {value!r}, must be a number within ±1e9")


def check_optional(what: str, **values: float | None) -> None:
    """Raises :class:`LocalProtocolError` unless every value is None or a number within ±1e9."""
    check_finite(what, **{name: value for name, value in values.items() if value is not None})


def check_flags(what: str, **values: bool) -> None:
    """Raises :class:`LocalProtocolError` unless every value is True or False."""
    for name, value in values.items():
        if not isinstance(value, bool):
            raise LocalProtocolError(f"{what}: {name} is {value!r}, must be True or False")


def check_text(what: str, **values: str) -> None:
    """Raises :class:`LocalProtocolError` unless every value is a text."""
    for name, value in values.items():
        if not isinstance(value, str):
            raise LocalProtocolError(f"{what}: {name} is {value!r}, must be a text")


def check_integers(what: str, most: int, **values: int | None) -> None:
    """Raises :class:`LocalProtocolError` unless every value is None or an integer within 0..``most``."""
    for name, value in values.items():
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most):
            raise LocalProtocolError(f"{what}: {name} is {value!r}, must be an integer within 0..{most}")


def check_needs(needs: EnergyNeeds, what: str) -> None:
    """Raises :class:`LocalProtocolError` for energies that are no numbers, and for SOC or times out of range."""
    if not isinstance(needs, EnergyNeeds):
        raise LocalProtocolError(f"{what} is {needs!r}, must be EnergyNeeds")
    check_optional(
        what,
        target_energy_wh=needs.target_energy_wh,
        max_energy_wh=needs.max_energy_wh,
        min_energy_wh=needs.min_energy_wh,
        max_v2x_energy_wh=needs.max_v2x_energy_wh,
        min_v2x_energy_wh=needs.min_v2x_energy_wh,
    )
    check_integers(what, 100, min_soc_pct=needs.min_soc_pct, target_soc_pct=needs.target_soc_pct)
    check_integers(what, 2**32 - 1, departure_time_s=needs.departure_time_s)
