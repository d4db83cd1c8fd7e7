"""The section ``dispatch``: what is done without a central command, and within which bounds."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from v2g.config.schema_base import Percent, Positive, Section


class Planning(Section, frozen=True, kw_only=True):
    """The plan of the coming day, made by a process of its own. Without one the allocation goes on by itself."""

    enabled: bool = True
    """Whether there is a plan."""
    every_s: Annotated[float, Meta(ge=30, le=3600)] = 300.0
    """Between two plans, where nothing asks for one sooner."""
    deadline_s: Annotated[float, Meta(ge=2, le=240)] = 30.0
    """A plan that is not there by then is given up, and the last one stands for as long as it is good."""
    horizon_h: Annotated[float, Meta(ge=24, le=72)] = 24.0
    """At least; it reaches to the last departure, up to 72 h."""


class Dispatch(Section, frozen=True, kw_only=True):
    default_mode: Literal["auto", "idle"] = "auto"
    """What a vehicle without an order does: ``auto`` serves its driver and the transformer, ``idle`` nothing."""
    min_soc_pct: Percent = 30.0
    """No discharge of a vehicle whose state of charge is at or below this, where its EVSE or itself has no other."""
    min_soc_by_vehicle: dict[str, Percent] = msgspec.field(default_factory=dict)
    """By the identity that a vehicle's certificate proves, or its EVCCID: an identity that is only claimed can raise
    the value of its EVSE and not lower it."""
    max_soc_pct: Annotated[float, Meta(ge=10, le=100)] = 100.0
    """No charge at or above this, unless the vehicle's own target is higher."""
    setpoint_lease_s: Annotated[float, Meta(gt=0.2, le=5)] = 1.0
    """A set-point that is not renewed becomes zero after this."""
    thermal_horizon_s: Annotated[float, Meta(ge=60, le=1680)] = 900.0
    """How far ahead the transformer must stay inside its limits with a constant power; 28 min is what every cooling
    class can be solved for."""
    ramp_pu_s: Annotated[float, Meta(ge=0.002, le=10)] = 0.5
    """How fast a vehicle's power may rise, per unit of its EVSE's rating a second. It falls at once."""
    dwell_s: Annotated[float, Meta(ge=30, le=800)] = 240.0
    """Where not all vehicles can have their minimum power at once: so long one keeps its turn, and nobody waits for
    much more than three times that. Likewise the rest between charge and discharge of ``auto``."""
    unbalance_w: Positive | None = None
    """By how much the V2G power of one phase may differ from that of another; None: not limited."""
    peak_shaving_pu: Annotated[float, Meta(gt=0, le=1.5)] = 0.8
    """Without a plan: load of the transformer, per unit of its rating, that ``auto`` does not pass by charging, and
    above which it discharges what vehicles have to spare."""
    assumed_capacity_kwh: Positive = 50.0
    """Of a battery whose vehicle does not tell."""
    assumed_stay_h: Annotated[float, Meta(gt=0, le=72)] = 8.0
    """Of a vehicle that does not tell when it leaves."""
    planning: Planning = Planning()
    """The plan of the coming day."""
