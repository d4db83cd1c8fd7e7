"""Parameters and results of the control-socket methods about sensors."""

from __future__ import annotations

import msgspec


class SensorsReloadResult(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``sensors.reload``: guard and ``wires`` both work by what was read."""

    message: str
    digest: str
    """Of the guard's settings in force."""
