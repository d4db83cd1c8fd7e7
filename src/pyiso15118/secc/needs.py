"""Energy and time: what the vehicle needs, as it says so in ScheduleExchange and in the charge loop of either kind."""

from __future__ import annotations

from typing import Any

from pyiso15118.events import EnergyNeeds
from pyiso15118.messages import ac, dc
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules.wire import MAX_MAGNITUDE
from pyiso15118.secc.session import Session

NO_NEEDS = EnergyNeeds()
_ENERGIES = ("target_energy_wh", "max_energy_wh", "min_energy_wh", "max_v2x_energy_wh", "min_v2x_energy_wh")
_WITH_V2X = (dc.BPT_Dynamic_DC_CLReqControlMode, ac.BPT_Dynamic_AC_CLReqControlMode)


def needs_problem(needs: EnergyNeeds) -> str | None:
    """The first energy beyond ±1e9 Wh, in words."""
    for name in _ENERGIES:
        value = getattr(needs, name)
        if value is not None and abs(value) > MAX_MAGNITUDE:
            return f"the vehicle's {name} is {value:g}, must be within ±1e9"
    return None


def schedule_needs(mode: cm.Dynamic_SEReqControlModeType) -> EnergyNeeds:
    """The needs of ScheduleExchange in dynamic mode, as sent."""
    return EnergyNeeds(
        departure_time_s=mode.DepartureTime,
        target_energy_wh=float(mode.EVTargetEnergyRequest),
        max_energy_wh=float(mode.EVMaximumEnergyRequest),
        min_energy_wh=float(mode.EVMinimumEnergyRequest),
        max_v2x_energy_wh=optional(mode.EVMaximumV2XEnergyRequest),
        min_v2x_energy_wh=optional(mode.EVMinimumV2XEnergyRequest),
        min_soc_pct=mode.MinimumSOC,
        target_soc_pct=mode.TargetSOC,
    )


def loop_needs(mode: Any, display: ct.DisplayParametersType | None) -> EnergyNeeds | None:
    """The needs in a charge-loop request, whatever its control mode; None if an energy is beyond ±1e9 Wh."""
    target, most, least = mode.EVTargetEnergyRequest, mode.EVMaximumEnergyRequest, mode.EVMinimumEnergyRequest
    v2x = isinstance(mode, _WITH_V2X)
    needs = EnergyNeeds(
        departure_time_s=mode.DepartureTime if isinstance(mode, ct.Dynamic_CLReqControlModeType) else None,
        target_energy_wh=None if target is None else float(target),
        max_energy_wh=None if most is None else float(most),
        min_energy_wh=None if least is None else float(least),
        max_v2x_energy_wh=optional(mode.EVMaximumV2XEnergyRequest) if v2x else None,
        min_v2x_energy_wh=optional(mode.EVMinimumV2XEnergyRequest) if v2x else None,
        min_soc_pct=display.MinimumSOC if display is not None else None,
        target_soc_pct=display.TargetSOC if display is not None else None,
    )
    return None if needs_problem(needs) else needs


def without_energies(mode: Any, display: ct.DisplayParametersType | None) -> EnergyNeeds:
    """What is left of needs of which an energy cannot be: times and states of charge."""
    return EnergyNeeds(
        departure_time_s=mode.DepartureTime if isinstance(mode, ct.Dynamic_CLReqControlModeType) else None,
        min_soc_pct=display.MinimumSOC if display is not None else None,
        target_soc_pct=display.TargetSOC if display is not None else None,
    )


def battery_capacity_wh(display: ct.DisplayParametersType | None) -> float | None:
    """As the vehicle shows it; None where it does not, or what it shows cannot be."""
    if display is None or display.BatteryEnergyCapacity is None:
        return None
    capacity_wh = float(display.BatteryEnergyCapacity)
    return capacity_wh if 0 <= capacity_wh <= MAX_MAGNITUDE else None


def owner_needs(session: Session, now: float) -> EnergyNeeds:
    """What the loop says where the SECC provides the mobility needs; nothing elsewhere."""
    mobility = session.mobility
    if mobility is None or not session.owner_has_needs:
        return NO_NEEDS
    return EnergyNeeds(
        departure_time_s=departure_time_s(session, now),
        min_soc_pct=mobility.min_soc_pct,
        target_soc_pct=mobility.target_soc_pct,
    )


def departure_time_s(session: Session, now: float) -> int | None:
    """Seconds until the departure that the owner told of, counted from now; never negative."""
    mobility = session.mobility
    if mobility is None or mobility.departure_time_s is None:
        return None
    return max(0, round(mobility.departure_time_s - (now - session.mobility_at)))


def optional(value: ct.RationalNumberType | None) -> float | None:
    """The number, if there is one."""
    return None if value is None else float(value)
