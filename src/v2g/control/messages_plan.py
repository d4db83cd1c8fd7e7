"""The result of the method ``plan``: what is intended for the coming day. W (positive charges, flow positive
downstream), Wh, °C; a series has one value for each step, times are the site's own as people read them."""

from __future__ import annotations

import msgspec


class RelaxationLine(msgspec.Struct, frozen=True, kw_only=True):
    """A wish that the plan cannot meet. ``evse_id`` empty: of the transformer. ``order``: 1 is given up first."""

    evse_id: str
    what: str
    order: int
    wanted: float
    reached: float
    unit: str
    words: str
    because: str = ""


class PlanVehicleLine(msgspec.Struct, frozen=True, kw_only=True):
    """Energies of the battery; relative to now where ``capacity_wh`` is None."""

    evse_id: str
    departs: str
    """``07:00``; ``07:00 in 2 days`` from 24 h on."""
    departs_unix_s: float
    departure_assumed: bool
    energy_now_wh: float
    energy_at_departure_wh: float
    target_wh: float
    floor_wh: float
    capacity_wh: float | None
    unserved_wh: float
    charged_wh: float
    """In all, at the EVSE's AC side; likewise ``discharged_wh``, a magnitude."""
    discharged_wh: float
    power_w: tuple[float, ...]
    energy_wh: tuple[float, ...]


class PlanResult(msgspec.Struct, frozen=True, kw_only=True):
    """``available`` False: there is no plan that counts, ``problem`` says why; every series is empty then."""

    available: bool
    problem: str = ""
    """Beside a plan: why there is no newer one."""
    age_s: float | None = None
    reason: str = ""
    running_s: float | None = None
    took_s: float | None = None
    starts_unix_s: float = 0.0
    step_s: float = 900.0
    times: tuple[str, ...] = ()
    """When each step begins."""
    base_w: tuple[float, ...] = ()
    net_w: tuple[float, ...] = ()
    load_w: tuple[float, ...] = ()
    hot_spot_c: tuple[float, ...] = ()
    top_oil_c: tuple[float, ...] = ()
    soc_wh: tuple[float, ...] = ()
    rated_va: float = 0.0
    hot_spot_limit_c: float | None = None
    top_oil_limit_c: float | None = None
    k_limit_pu: float | None = None
    loss_of_life_h: float = 0.0
    overload_k: float = 0.0
    overload_base_k: float = 0.0
    rounds: int = 0
    solve_s: float = 0.0
    limited_by_deadline: bool = False
    simpler: str = ""
    """Why it is not that of a linear programme; empty: it is."""
    vehicles: tuple[PlanVehicleLine, ...] = ()
    relaxations: tuple[RelaxationLine, ...] = ()
    notes: tuple[str, ...] = ()
    """What is assumed of the coming day."""
