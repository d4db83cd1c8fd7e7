"""What ``kplc-driver`` and the orchestrator say to each other over ``<run_dir>/plc.sock``.

As on ``wires.sock``: a Unix stream socket served by the driver, one peer at a time, frames of a 4-byte big-endian
length and one msgpack value. Times are CLOCK_MONOTONIC seconds where a name does not say unix.
"""

from __future__ import annotations

import msgspec

from v2g.control.messages_plc import PlcLine
from v2g.hardware.ports import PilotState

ALIVE_PERIOD_S = 0.2
IMAGE_PERIOD_S = 1.0
SILENT_AFTER_S = 1.0
"""A driver that was not heard for this long is not there: no vehicle is matched then."""


class PlcImage(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """All links, whole: upon connection and every ``IMAGE_PERIOD_S``."""

    as_of_s: float
    lines: tuple[PlcLine, ...]


class PlcChange(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """These links are otherwise now; what is not named is as before."""

    as_of_s: float
    lines: tuple[PlcLine, ...]


class PlcAlive(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Every ``ALIVE_PERIOD_S``."""

    as_of_s: float


class EvsePilot(msgspec.Struct, frozen=True, kw_only=True):
    """``state`` None: unknown. ``toggles``: B-C-B changes that the device itself counted since it was plugged in; None:
    it counts none."""

    evse_id: str
    state: PilotState | None
    toggles: int | None = None


class Pilots(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From the orchestrator: pilots as their EVSEs measure them; every control cycle in which one changed, and every
    ``ALIVE_PERIOD_S``."""

    as_of_s: float
    pilots: tuple[EvsePilot, ...]


FromDriver = PlcImage | PlcChange | PlcAlive
ToDriver = Pilots
