"""The frozen image of one control cycle: all that was read before anything is decided. Times are monotonic seconds."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from v2g.dispatch.constraints import Bound
from v2g.guard.link import Image
from v2g.guard.status import GuardStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerView:
    """The thermal model's word: ``lo_w..hi_w`` is the V2G power permitted over the horizon until ``expires_at_s``.

    Temperatures are the model's, in °C; None where nothing is known. ``notes`` say in words what is assumed or missing.
    """

    lo_w: float = 0.0
    hi_w: float = 0.0
    lo_source: str = "thermal: transformer load not yet known"
    hi_source: str = "thermal: transformer load not yet known"
    expires_at_s: float = inf
    top_oil_c: float | None = None
    hot_spot_c: float | None = None
    ambient_c: float | None = None
    k_pu: float | None = None
    load_w: float | None = None
    base_load_w: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BayImage:
    """One EVSE. ``bounds`` None: no vehicle in its charge loop. ``discharging``: measured so at its inverter.

    ``islanding_watched``: a loss-of-mains input is configured, or the inverter detects islands itself.
    """

    evse_id: str
    bounds: tuple[Bound, ...] | None
    fault: str | None = None
    discharging: bool = False
    islanding_watched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteImage:
    """``wires`` is the latest image that came over the link, of whatever age; None before the first.

    ``rated_*_w``: of all EVSEs together, magnitudes.
    """

    now_s: float
    wires: Image | None
    wires_connected: bool
    guard: GuardStatus
    transformer: TransformerView
    bays: tuple[BayImage, ...]
    rated_charge_w: float
    rated_discharge_w: float
