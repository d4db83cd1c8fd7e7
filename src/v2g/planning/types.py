"""What a plan is made of, and the plan. Plain values: they travel to the planning process and back as JSON.

Powers in W at the EVSE's AC side, positive charges; energies in Wh within the battery; times in s. A series has one
value for each step; step ``n`` lasts from ``starts_unix_s + n * step_s`` for ``step_s``, and powers are means over it.
"""

from __future__ import annotations

import msgspec

from v2g.thermal.model import ThermalState
from v2g.thermal.parameters import ThermalParameters

STEP_S = 900.0


class PlanVehicle(msgspec.Struct, frozen=True, kw_only=True):
    """One vehicle. ``energy_wh`` may be relative (0 now) where its state of charge is not known."""

    evse_id: str
    max_charge_w: float
    max_discharge_w: float
    """Magnitude."""
    energy_wh: float
    floor_wh: float
    """Min-SoC: discharge stops here. Above ``energy_wh``: it is charged first."""
    ceiling_wh: float
    target_wh: float
    """What the driver wants at departure."""
    capacity_wh: float | None = None
    """None: unknown, and no state of charge is told."""
    departs_in_s: float | None = None
    """From ``starts_unix_s``. None: at the end of the horizon."""
    departure_assumed: bool = False
    efficiency_charge: float = 0.95
    efficiency_discharge: float = 0.95
    phases: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3)
    """Share of its power in each phase of the bus."""
    limit_w: tuple[tuple[float, float], ...] = ()
    """Bounds (lo, hi) by step, as an order makes them; empty: none but the two maxima."""
    taper_from_wh: float | None = None
    """Above so much energy it takes less than ``max_charge_w``, linearly down to ``taper_to_pu`` of it at
    ``capacity_wh``. None: at 80 % of ``capacity_wh``, an assumption of what most batteries do, which no message tells;
    where the capacity is not known there is no taper. ``max_charge_w`` of a vehicle that holds more already is what it
    takes now, tapered."""
    taper_to_pu: float = 0.2


class PlanSite(msgspec.Struct, frozen=True, kw_only=True):
    """Transformer and feeder. Series as long as the plan has steps."""

    base_w: tuple[float, ...]
    base_margin_w: tuple[float, ...]
    """The base load may be so much more."""
    base_var: tuple[float, ...]
    ambient_c: tuple[float, ...]
    params: ThermalParameters
    state: ThermalState
    bias_k: float = 0.0
    """Added to the ambient, as the observer found it."""
    margin_k: float = 0.0
    hot_spot_limit_c: float
    top_oil_limit_c: float
    k_limit_pu: float
    upgraded_paper: bool = False
    lo_w: tuple[float, ...]
    """Net V2G power permitted by everything but the transformer's temperatures: ratings, utility, breaker."""
    hi_w: tuple[float, ...]
    phase_w: float | None = None
    """Most net V2G power in one phase, either way."""
    price: tuple[float, ...] = ()
    """Per kWh; empty: no price signal. Only differences between steps matter."""


class PlanRequest(msgspec.Struct, frozen=True, kw_only=True):
    starts_unix_s: float
    step_s: float = STEP_S
    steps: int
    site: PlanSite
    vehicles: tuple[PlanVehicle, ...]
    deadline_s: float = 30.0
    """Of the whole solution; a better one that would take longer is not waited for."""


class Relaxation(msgspec.Struct, frozen=True, kw_only=True):
    """A wish that cannot be met. ``order``: the rank in which wishes are given up, 1 first.

    ``words`` as a driver reads them: ``62 % at 07:00 instead of 80 %`` (energy where no state of charge is known).
    ``at_unix_s`` is the departure. Times within ``words`` are left to the caller as ``{at}``, whose time zone it is.
    """

    evse_id: str
    what: str
    """``departure target``, ``min-SoC``, ``transformer`` ..."""
    order: int
    wanted: float
    reached: float
    unit: str
    at_unix_s: float | None
    words: str
    because: str = ""
    """Which limit stands in its way."""


class VehiclePlan(msgspec.Struct, frozen=True, kw_only=True):
    evse_id: str
    power_w: tuple[float, ...]
    energy_wh: tuple[float, ...]
    """At the end of each step."""
    unserved_wh: float = 0.0
    """Missing at departure."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """``problem`` not empty: there is no plan, and why; every series is empty then."""

    starts_unix_s: float
    step_s: float
    vehicles: tuple[VehiclePlan, ...] = ()
    net_w: tuple[float, ...] = ()
    load_w: tuple[float, ...] = ()
    """Of the transformer: base load as forecast and net V2G."""
    hot_spot_c: tuple[float, ...] = ()
    """Highest of each step, by the thermal model itself for this plan (not the linear one), margins left out."""
    top_oil_c: tuple[float, ...] = ()
    soc_wh: tuple[float, ...] = ()
    """Energy in all vehicles together at the end of each step, until each departs."""
    loss_of_life_h: float = 0.0
    overload_k: float = 0.0
    """Highest excess over a temperature limit with the margins, by the thermal model; 0: none."""
    overload_base_k: float = 0.0
    """The same without any V2G power."""
    relaxations: tuple[Relaxation, ...] = ()
    rounds: int = 0
    """How often the thermal model was linearised."""
    solve_s: float = 0.0
    limited_by_deadline: bool = False
    simpler: str = ""
    """Not empty: no programme was solved to a plan that keeps all limits, and why. The powers are then those of the
    last one, or an even charge of each vehicle, scaled until they keep them."""
    problem: str = ""
