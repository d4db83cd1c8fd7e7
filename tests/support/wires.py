"""A ``WiresCore`` with one EVSE, healthy readings and an order in force."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from v2g.grid.protection import Block
from v2g.guard.link import EvseSetpoint, PowerSetpoint, Setpoints
from v2g.guard.view import GuardView
from v2g.guard.wires_core import EvseLimits, Target, WiresCore
from v2g.hardware.ports import DcEvseCommand, DcEvseReading, Insulation, InverterReading

E1, E2 = "US*V2G*E1", "US*V2G*E2"
LIMITS = EvseLimits(E1, max_charge_w=22_000, max_discharge_w=18_000, max_voltage_v=800, max_current_a=50)
T0 = 1000.0
LOADED = DcEvseCommand(target_voltage_v=400, current_limit_a=40, close_contactors=True, lock_connector=True)


def inverter(**changes: Any) -> InverterReading:
    healthy = InverterReading(
        evse_id=E1, as_of_s=T0, power_w=0, reversion_armed=True, max_charge_w=20_000, max_discharge_w=15_000,
        connected=True, anti_islanding=True,
    )  # fmt: skip
    return msgspec.structs.replace(healthy, **changes)


def output(**changes: Any) -> DcEvseReading:
    healthy = DcEvseReading(
        evse_id=E1, as_of_s=T0, present_voltage_v=400, present_current_a=0, contactors_closed=True,
        contactors_commanded=True, insulation=Insulation.VALID, insulation_ohm=1e6, connector_locked=True, plugged=True,
        max_voltage_v=900, min_voltage_v=150, max_current_a=60, max_power_w=30_000,
    )  # fmt: skip
    return msgspec.structs.replace(healthy, **changes)


def setpoints(
    power_w: float = -10_000,
    command: DcEvseCommand | None = LOADED,
    sequence: int = 1,
    lease_s: float = 1.0,
    now_s: float = T0,
    evse_id: str = E1,
) -> Setpoints:
    power = PowerSetpoint(evse_id=evse_id, power_w=power_w, source="order 1", expires_at_s=now_s + lease_s)
    evses = ()
    if command is not None:
        evses = (EvseSetpoint(evse_id=evse_id, command=command, source="session", expires_at_s=now_s + lease_s),)
    return Setpoints(sequence=sequence, sent_at_s=now_s, powers=(power,), evses=evses)


def core_with(power_w: float = -10_000, command: DcEvseCommand = LOADED, **changes: Any) -> WiresCore:
    core = WiresCore([LIMITS], T0 - 100, **changes)
    core.observe_inverter(inverter())
    core.observe_output(output())
    core.accept(setpoints(power_w, command), T0)
    return core


def guard(**changes: Any) -> GuardView:
    """Everything permitted, the grid at its nominal values."""
    granted = GuardView(
        permit=True, stop="", open_contactors=False, blocks=Block.NONE, curtail_charge=1.0, curtail_discharge=1.0,
        service_fraction=1.0, v_pu=1.0, frequency_hz=60.0,
    )  # fmt: skip
    return replace(granted, **changes)


def one(core: WiresCore, now_s: float = T0, **changes: Any) -> Target:
    return core.decide(guard(**changes), now_s)[E1]


def applied(core: WiresCore, now_s: float = T0, **changes: Any) -> tuple[float, str | None]:
    target = one(core, now_s, **changes)
    return target.applied.power_w, target.applied.bound_by
