"""A ramp rate in W/s in the percent per second that SunSpec's ramp points count. Pure."""

from __future__ import annotations

import math

from v2g.hardware.sunspec.codec import ModelImage

_HIGHEST = 0xFFFE


class RampLackingError(Exception):
    """Why the device takes no such ramp rate, for people."""


def ramp_percent(image: ModelImage, name: str, ramp_w_s: float, base_w: float) -> float:
    """What to write: ``ramp_w_s`` in percent of ``base_w`` per second, rounded down to what the point can tell, so
    that the device is never faster than asked. Raises :class:`RampLackingError`."""
    where = f"{image.model.id} {name}"
    step = image.scaled(name, [1])
    if image.raw(name) is None or not isinstance(step, int | float):
        raise RampLackingError(f"its SunSpec model {image.model.id} does not implement {name}")
    if not base_w > 0:
        raise RampLackingError(f"it does not tell the power that {where} is a percentage of")
    units = math.floor(100.0 * ramp_w_s / base_w / step + 1e-9)
    if units < 1:
        raise RampLackingError(f"{where} cannot be lower than {step / 100.0 * base_w:.0f} W/s")
    return min(units, _HIGHEST) * step
