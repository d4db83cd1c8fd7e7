"""Parameters and results of ``preflight.show`` and ``preflight.run``."""

from __future__ import annotations

import msgspec

from v2g.control.messages import Params
from v2g.host.preflight.model import PreflightLine


class PreflightShowParams(Params, frozen=True, kw_only=True):
    """``fresh``: looked at now, or within the last seconds; else what is in force. Neither changes what is in force."""

    fresh: bool = False


class PreflightResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon found of itself."""

    lines: tuple[PreflightLine, ...]
    level: str
    """``pass``, ``warn`` or ``fail``: the worst of the lines."""
    age_s: float | None
    """Of the lines; None: there are none yet."""
    in_force: bool
    """The lines are what discharge is refused by."""
    refuses: dict[str, str] = msgspec.field(default_factory=dict)
    """By EVSE, why it may not discharge now."""
    config_dir: str = ""
    simulation: bool = False
