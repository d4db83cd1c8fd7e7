"""States and settings of the EVSE's machine."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from pyiso15118.slac.addresses import Mac
from pyiso15118.slac.timers import EvseSlacTimers


class EvseState(enum.StrEnum):
    KEYING = "keying"
    FREE = "free"
    WAITING = "waiting"
    MATCHING = "matching"
    JOINING = "joining"
    LINKED = "linked"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseSlacConfig:
    """``evse_mac``: of the host's interface, as vehicles see it. ``calibration_db``: taken off every carrier group."""

    evse_mac: Mac
    parallel_matchings: int = 5
    calibration_db: float = 0.0
    num_sounds: int = 10
    needs_pilot: bool = True
    """False: nobody tells who is plugged in, and every vehicle on the line is answered."""
    validate: bool = False
    """Toggles of the pilot can be counted; otherwise CM_VALIDATE is answered with "not required"."""
    timers: EvseSlacTimers = field(default_factory=EvseSlacTimers)
