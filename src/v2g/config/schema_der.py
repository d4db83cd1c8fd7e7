"""The section ``evses[].der``: the grid code that the inverter of a vehicle at an AC EVSE is handed."""

from __future__ import annotations

from typing import Literal

import msgspec

from v2g.config.schema_base import Section
from v2g.config.schema_grid import EnterService, TripChange


class Der(Section, frozen=True, kw_only=True):
    """What the guard protects by, with ``grid`` and ``functions``, goes to the vehicle's own inverter. It keeps to it
    by itself; the guard goes on protecting by its own settings."""

    protocol: Literal["none", "sae", "iec", "both"] = "none"
    """``sae``: AC_DER_SAE (IEEE 1547, SAE J3072), which carries all of it; ``iec``: AC_DER_IEC, which has no trips and
    no entering of service; ``both``: the vehicle chooses. Needs ``allow_discharge``."""
    trips: dict[str, TripChange] = msgspec.field(default_factory=dict)
    """As ``grid.trips``, for the vehicle alone: ``{UV1: {time_s: 5}}`` lets it cease before the guard opens."""
    enter_service: EnterService = EnterService()
    """As ``grid.enter_service``, for the vehicle alone."""
