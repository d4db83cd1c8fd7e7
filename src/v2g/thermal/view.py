"""What the thermal engine hands out: the permitted interval and everything that explains it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from v2g.thermal.account import AgeingTotals
from v2g.thermal.ahead import Ahead
from v2g.thermal.limits import Regime, ThermalLimits
from v2g.thermal.sensor_watch import SensorReport


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermalView:
    """``lo_w..hi_w`` is the V2G power permitted over the horizon, until ``expires_at_s``; 0 is always within.

    Temperatures in °C are the estimate's, None where nothing is known. Times ``…_in_s`` count from the view on.
    ``notes`` say in words what is assumed or missing.
    """

    lo_w: float = 0.0
    hi_w: float = 0.0
    lo_source: str = "thermal: transformer load not yet known"
    hi_source: str = "thermal: transformer load not yet known"
    lo_binds_in_s: float | None = None
    """When a power just beyond ``lo_w`` would reach its limit; None where nothing is known."""
    hi_binds_in_s: float | None = None
    lo_granted_in_s: float | None = None
    """Where discharge is refused (``lo_w`` within 2 % of rating of 0): when more may be granted, if things go on as
    forecast; None: not refused, or not within a day."""
    hi_granted_in_s: float | None = None
    base_source: str | None = None
    """The limit that base load alone breaks within the horizon."""
    feasible: bool = True
    expires_at_s: float = inf

    top_oil_c: float | None = None
    hot_spot_c: float | None = None
    ambient_c: float | None = None
    k_pu: float | None = None
    load_w: float | None = None
    base_load_w: float | None = None
    ahead_top_oil_c: float | None = None
    """At the end of the horizon, with the present V2G power going on."""
    ahead_hot_spot_c: float | None = None
    ahead_base_w: float | None = None
    ahead_base_margin_w: float | None = None
    ahead: Ahead | None = None
    """The whole way there; None where the load is not known."""

    regime: Regime = Regime.NORMAL_CYCLIC
    regime_left_s: float | None = None
    """How long the authorisation of an emergency still holds."""
    regime_by: str = ""
    limits: ThermalLimits | None = None
    """In force, narrowed by cold oil and ageing budget."""
    margin_k: float = 0.0
    """Of top-oil at the end of the horizon: what is not measured, and the errors that past predictions had."""
    hot_spot_margin_k: float = 0.0
    """Of the hot-spot: that, and the doubt about the present gradient."""
    bias_k: float = 0.0
    gradient_factor: float = 1.0
    load_loss_factor: float = 1.0
    f_hl: float | None = None

    ageing_rate: float | None = None
    ageing: AgeingTotals | None = None
    sensors: Mapping[str, SensorReport] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
