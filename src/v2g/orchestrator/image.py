"""The frozen image of one control cycle: all that was read before anything is decided. Times are monotonic seconds."""

from __future__ import annotations

from dataclasses import dataclass

from v2g.dispatch.constraints import Bound
from v2g.dispatch.energy import Energy
from v2g.dispatch.inputs import BALANCED, Aim, Group, Phases
from v2g.guard.link import Image
from v2g.guard.status import GuardStatus
from v2g.thermal.view import ThermalView
from v2g.utility.base_load import BaseLoad
from v2g.utility.meter_view import MeteredLoad
from v2g.utility.signals import UtilityView

_NO_UTILITY = UtilityView()
_NO_METERS = MeteredLoad()
_NO_BASE = BaseLoad()
_NO_AIM = Aim(enabled=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BayImage:
    """One EVSE. ``bounds`` None: no vehicle in its charge loop. ``discharging``: measured so at its inverter or meter.

    ``islanding_watched``: a loss-of-mains input is configured, or the EVSE's inverter detects islands itself.
    ``discharge_refusal``: why its discharge test keeps it from discharging, in words; empty: it does not.
    ``preflight_refusal``: likewise, why the preflight does.
    ``ac_rated_w``: what an AC EVSE carries now, (charge, discharge) in W, magnitudes; None: a DC EVSE.
    """

    evse_id: str
    bounds: tuple[Bound, ...] | None
    fault: str | None = None
    discharging: bool = False
    islanding_watched: bool = False
    discharge_refusal: str = ""
    preflight_refusal: str = ""
    ac_rated_w: tuple[float, float] | None = None
    rated_w: tuple[float, float] = (0.0, 0.0)
    """(charge, discharge) by the configuration, W, magnitudes."""
    energy: Energy | None = None
    min_soc_from: str = ""
    """Whose min-SoC counts for its vehicle."""
    min_charge_w: float = 0.0
    min_discharge_w: float = 0.0
    phases: Phases = BALANCED
    """Share of its power in each phase of the bus."""
    measured_w: float | None = None
    """At the inverter or meter, positive charges; None: not known."""


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
    groups: tuple[Group, ...] = ()
    """Limits of phases and feeders."""
    utility: UtilityView = _NO_UTILITY
    meters: MeteredLoad = _NO_METERS
    base: BaseLoad = _NO_BASE
    """By phase, of what transformer and meters measure."""
    aim: Aim = _NO_AIM
    mesh: tuple[Bound, ...] = ()
    """What neighbouring transformers leave us of the limits above; empty: there is no mesh."""
    rated_charge_w: float
    rated_discharge_w: float
