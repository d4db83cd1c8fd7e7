"""The frozen image of one control cycle: all that was read before anything is decided. Times are monotonic seconds."""

from __future__ import annotations

from dataclasses import dataclass

from v2g.dispatch.constraints import Bound
from v2g.guard.link import Image
from v2g.guard.status import GuardStatus
from v2g.thermal.view import ThermalView


@dataclass(frozen=True, slots=True, kw_only=True)
class BayImage:
    """One EVSE. ``bounds`` None: no vehicle in its charge loop. ``discharging``: measured so at its inverter or meter.

    ``islanding_watched``: a loss-of-mains input is configured, or the EVSE's inverter detects islands itself.
    ``discharge_refusal``: why its discharge test keeps it from discharging, in words; empty: it does not.
    ``ac_rated_w``: what an AC EVSE carries now, (charge, discharge) in W, magnitudes; None: a DC EVSE.
    """

    evse_id: str
    bounds: tuple[Bound, ...] | None
    fault: str | None = None
    discharging: bool = False
    islanding_watched: bool = False
    discharge_refusal: str = ""
    ac_rated_w: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteImage:
    """``wires`` is the latest image that came over the link, of whatever age; None before the first.

    ``rated_*_w``: of all EVSEs together, magnitudes.
    """

    now_s: float
    wires: Image | None
    wires_connected: bool
    guard: GuardStatus
    transformer: ThermalView
    bays: tuple[BayImage, ...]
    rated_charge_w: float
    rated_discharge_w: float
