"""The heartbeat of a register map: one further with every command, so that the device sees that somebody is there."""

from __future__ import annotations

import math

from v2g.hardware.register_map import RegisterImage

ROLE = "heartbeat"


def advance_heartbeat(image: RegisterImage) -> None:
    """From the value in ``image`` to the next, within the point's ``min`` and ``max`` and past what means "not
    available"; from none to the first. KeyError for a map without the role."""
    point = image.map.points[ROLE]
    first, last = int(point.min or 0), int(point.max or 0xFFFF)
    beat = image.number(ROLE)
    following = int(beat) + 1 if math.isfinite(beat) else first
    for _ in range(len(point.nan) + 1):
        following = following if first <= following <= last else first
        image.set(ROLE, following)
        if math.isfinite(image.number(ROLE)):
            return
        following += 1
