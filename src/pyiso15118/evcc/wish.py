"""What power the vehicle wants: its plan for PowerDelivery, and its target current in the scheduled DC loop."""

from __future__ import annotations

from dataclasses import replace

from pyiso15118.commands import UpdateDcVehicle, VehicleState
from pyiso15118.evcc.session import Session, Situation
from pyiso15118.events import DcLimits
from pyiso15118.messages import common_messages as cm
from pyiso15118.schedules import PowerProfile, PowerSlot, ScheduleTuple, follow

DAY_S = 86_400
Channel = cm.channelSelectionType


def max_charge_power_w(vehicle: VehicleState) -> float:
    """Of all phases together."""
    limits = vehicle.limits
    return limits.max_charge_power_w if isinstance(limits, DcLimits) else limits.max_charge_power.total


def max_discharge_power_w(vehicle: VehicleState) -> float:
    """Of all phases together, a magnitude."""
    limits = vehicle.limits
    return limits.max_discharge_power_w if isinstance(limits, DcLimits) else limits.max_discharge_power.total


def wants_discharge(vehicle: VehicleState | None) -> bool:
    return (
        isinstance(vehicle, UpdateDcVehicle) and vehicle.target_current_a is not None and vehicle.target_current_a < 0
    )


def default_profile(offered: ScheduleTuple, vehicle: VehicleState) -> PowerProfile:
    """All that the offer and the vehicle's limits allow, in the direction the vehicle wants."""
    discharge = wants_discharge(vehicle) and offered.discharging is not None
    limit_w = max_discharge_power_w(vehicle) if discharge else max_charge_power_w(vehicle)
    profile = follow(offered, max_power_w=limit_w, discharge=discharge)
    slots = tuple(slot for slot in profile.slots if slot.duration_s > 0)
    return replace(profile, slots=slots or (PowerSlot(duration_s=DAY_S, power_w=0.0),))


def forecast(vehicle: VehicleState, now_unix_s: int) -> PowerProfile:
    """The plan of dynamic mode: as much as the vehicle takes, for a day."""
    slot = PowerSlot(duration_s=DAY_S, power_w=max_charge_power_w(vehicle))
    return PowerProfile(starts_at_unix_s=now_unix_s, slots=(slot,))


def channel(session: Session, vehicle: VehicleState | None, profile: PowerProfile, now_unix_s: int) -> Channel | None:
    """Which path to close where there is one for each direction; None where there is one for both."""
    if not session.has_separate_channels:
        return None
    planned_w = profile.total_w_at(now_unix_s)
    return Channel.Discharge if wants_discharge(vehicle) or planned_w < 0 else Channel.Charge


def target_current_a(situation: Situation, vehicle: UpdateDcVehicle) -> float:
    """What to ask for in the scheduled DC loop: the vehicle's own wish, else its plan; both within the limits of both
    sides and the chosen channel. Zero in standby, without a plan, and where the plan has nothing ([V2G20-1811])."""
    if situation.in_standby:
        return 0.0
    transfer = situation.session.transfer
    voltage_v = max(vehicle.present_voltage_v or vehicle.target_voltage_v, 1.0)
    if vehicle.target_current_a is not None:
        wanted_a = vehicle.target_current_a
    else:
        wanted_a = transfer.profile.total_w_at(situation.secc_unix_s) / voltage_v if transfer.profile else 0.0
    most_a, least_a = _range_a(vehicle.limits, voltage_v)
    evse = transfer.loop_limits or transfer.evse_limits
    if isinstance(evse, DcLimits):
        evse_most_a, evse_least_a = _range_a(evse, voltage_v)
        most_a, least_a = min(most_a, evse_most_a), max(least_a, evse_least_a)
    if not situation.session.service.is_bpt or transfer.channel is Channel.Charge:
        least_a = 0.0
    if transfer.channel is Channel.Discharge:
        most_a = 0.0
    return min(max(wanted_a, least_a), most_a)


def _range_a(limits: DcLimits, voltage_v: float) -> tuple[float, float]:
    return (
        min(limits.max_charge_current_a, limits.max_charge_power_w / voltage_v),
        -min(limits.max_discharge_current_a, limits.max_discharge_power_w / voltage_v),
    )
