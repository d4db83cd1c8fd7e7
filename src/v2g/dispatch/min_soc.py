"""Which min-SoC counts for a vehicle: the site's, its EVSE's, or its own by its identity. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MAX_VEHICLES: Final = 1000
MAX_VEHICLE_CHARS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class MinSoc:
    """``pct`` of the battery, and whose value it is, for people."""

    pct: float
    whose: str

    def __str__(self) -> str:
        return f"min-SoC {self.pct:g} % ({self.whose})"


@dataclass(frozen=True, slots=True, kw_only=True)
class MinSocSettings:
    """What is set, in %. ``by_vehicle``: by the subject of a certificate, or by EVCCID."""

    site_pct: float
    by_evse: Mapping[str, float] = field(default_factory=dict)
    by_vehicle: Mapping[str, float] = field(default_factory=dict)

    def of(self, evse_id: str, identity: str | None, evccid: str, own_pct: float | None = None) -> MinSoc:
        """The value for one vehicle.

        ``identity``: what its certificate proves; its value replaces that of EVSE or site. ``evccid``: what it claims;
        its value counts only where it is higher, since anybody may claim it. ``own_pct``: the vehicle's MinimumSOC,
        where it is higher still.
        """
        found = MinSoc(pct=self.site_pct, whose="site")
        if evse_id in self.by_evse:
            found = MinSoc(pct=self.by_evse[evse_id], whose=f"EVSE {evse_id}")
        if identity is not None and identity in self.by_vehicle:
            found = MinSoc(pct=self.by_vehicle[identity], whose=f"vehicle {identity}, authenticated")
        claimed_pct = self.by_vehicle.get(evccid) if evccid else None
        if claimed_pct is not None and claimed_pct > found.pct:
            found = MinSoc(pct=claimed_pct, whose=f"vehicle {evccid}, not authenticated")
        if own_pct is not None and found.pct < own_pct <= 100.0:
            found = MinSoc(pct=own_pct, whose="the vehicle's own")
        return found


def vehicle_id_problem(vehicle: str) -> str:
    """Why this can be no vehicle's identity or EVCCID; empty: it can."""
    if not vehicle or vehicle != vehicle.strip():
        return "is empty" if not vehicle.strip() else "begins or ends with a blank"
    if not vehicle.isprintable():
        return "has control characters"
    if len(vehicle) > MAX_VEHICLE_CHARS:
        return f"has {len(vehicle)} characters, more than {MAX_VEHICLE_CHARS}"
    return ""
