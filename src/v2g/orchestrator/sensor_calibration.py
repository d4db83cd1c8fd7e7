"""A channel against a reference instrument: what may be calibrated, and the factor that follows. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from v2g.control.server import Refused
from v2g.hardware.registers import RegisterType
from v2g.hardware.sensor_map import BufferSource, Channel, Family, ModbusSource
from v2g.orchestrator.sensor_values import RMS_CHANNELS

SPREAD = 0.02
"""Of the mean: what moves more, highest less lowest, is not compared with an instrument that is read by eye."""
SAME = 0.001
"""Nearer than this nothing is changed: no transducer of class 0.2 and no instrument tells more, and a factor for less
would write down noise."""
RESIDUAL = 0.005
"""Left after a calibration; more is taken back. Of the class of an ordinary transducer."""
FACTORS = (0.9, 1.1)
LEAST = {"V": 20.0, "A": 5.0, "°C": 20.0, "MPa": 10.0}
"""Below this an offset looks like a factor, and the noise of a channel counts."""
_INTEGERS = frozenset(kind for kind in RegisterType if not kind.value.startswith("float"))


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one channel over about a second."""

    mean: float
    spread: float
    """Highest less lowest."""


def summarise(values: Sequence[float]) -> Measured:
    return Measured(math.fsum(values) / len(values), max(values) - min(values))


def require_calibratable(channel: Channel, reference: float, unit: str) -> None:
    """Raises :class:`Refused` for what has no factor, another unit, and a reference near zero."""
    name = channel.name
    if channel.family is Family.CONTACT:
        raise Refused(f"{name} is a contact: it has no factor", code="NO_FACTOR")
    if channel.family is Family.PILOT:
        raise Refused(
            f"{name} is judged by the limits of IEC 61851-1 and not calibrated here: adjust its scale by hand in "
            f"{_file(channel)}",
            code="NO_FACTOR",
        )
    if isinstance(channel.source, BufferSource) and name not in RMS_CHANNELS:
        raise Refused(
            f"the guard does not tell the RMS value of {name}, only the angles of an inverter's own channels, so that "
            f"it cannot be compared; adjust its scale in {_file(channel)} by hand",
            code="RMS_NOT_TOLD",
        )
    if unit != channel.unit:
        raise Refused(
            f"{name} is measured in {channel.unit}, not in {unit}: give the reference like {reference:g}{channel.unit}",
            code="WRONG_UNIT",
        )
    if not abs(reference) >= LEAST[unit]:
        raise Refused(_near_zero(channel, "the reference", reference), code="NEAR_ZERO")


def factor_for(channel: Channel, measured: Measured, reference: float, factor: float) -> float | None:
    """The factor in place of ``factor``; None: what is measured is the reference already.

    Raises :class:`Refused` for a measurement that is not steady or near zero, and for a factor outside
    :data:`FACTORS`.
    """
    mean, unit = measured.mean, channel.unit
    if not abs(mean) >= LEAST[unit]:
        raise Refused(_near_zero(channel, "what is measured", mean), code="NEAR_ZERO")
    if not measured.spread <= max(SPREAD * abs(mean), _count(channel) * 2.0):
        raise Refused(
            f"{channel.name} is not steady: {measured.spread:.3g} {unit} between highest and lowest of {mean:.5g} "
            f"{unit}, {SPREAD:.0%} is allowed; wait until load and voltage rest, nothing was changed",
            code="NOT_STEADY",
        )
    if abs(mean - reference) <= same_within(channel, reference):
        return None
    wanted = round(factor * reference / mean, 6)
    if not FACTORS[0] <= wanted <= FACTORS[1]:
        raise Refused(
            f"{channel.name} measures {mean:.5g} {unit} where the reference shows {reference:.5g} {unit}: that takes a "
            f"factor of {wanted:.4g}, outside {FACTORS[0]:g} to {FACTORS[1]:g}. That is no tolerance but wiring, "
            f"another phase or a wrong ratio: check them, and the scale in {_file(channel)}; nothing was changed",
            code="FACTOR_OUT_OF_RANGE",
        )
    return wanted


def same_within(channel: Channel, reference: float) -> float:
    """So near to ``reference`` nothing is to be gained: :data:`SAME`, and one count of an integer register."""
    return max(SAME * abs(reference), _count(channel))


def residual_problem(channel: Channel, measured: Measured, reference: float) -> str:
    """Why a calibration does not hold; empty when it does."""
    left = measured.mean - reference
    if abs(left) <= max(RESIDUAL * abs(reference), _count(channel)):
        return ""
    return (
        f"measured again {channel.name} shows {measured.mean:.5g} {channel.unit}, {left:+.3g} {channel.unit} from the "
        f"reference, more than {RESIDUAL:.1%}: did it change meanwhile?"
    )


def _count(channel: Channel) -> float:
    """What one count of an integer register is worth; 0 for what has none."""
    source = channel.source
    return abs(channel.scale) if isinstance(source, ModbusSource) and source.type in _INTEGERS else 0.0


def _near_zero(channel: Channel, what: str, value: float) -> str:
    return (
        f"{what}, {value:.4g} {channel.unit}, is too near zero to tell a factor of {channel.name}: at least "
        f"{LEAST[channel.unit]:g} {channel.unit} are needed. Adjust offset in {_file(channel)} by hand if it is that"
    )


def _file(channel: Channel) -> str:
    return channel.place or "sensor_map.conf"
