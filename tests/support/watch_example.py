"""A site as the live view is told of it: any number of vehicles, a warm transformer, half an hour of past."""

from __future__ import annotations

from typing import Any

import msgspec

from support.status_example import example_status
from v2g.cli.watch_frame import Snapshot
from v2g.control.messages import EnergyLine, EvseLine, OrderLine, SessionLine, ThermalResult, ThermalSensorLine
from v2g.control.messages_course import AheadPoint, CoursePoint, CourseResult


def thermal(**changes: Any) -> ThermalResult:
    fields: dict[str, Any] = {
        "transformer": "TR-0412", "rated_va": 250e3, "horizon_s": 900.0, "top_oil_c": 81.5, "hot_spot_c": 97.3,
        "ambient_c": 31.0, "k_pu": 0.86, "load_w": 210e3, "base_load_w": 220e3, "ahead_top_oil_c": 84.0,
        "ahead_hot_spot_c": 103.0, "ahead_base_w": 228e3, "ahead_base_margin_w": 9e3, "margin_k": 0.4,
        "hot_spot_margin_k": 2.6, "bias_k": -0.7, "gradient_factor": 1.0, "load_loss_factor": 1.04, "f_hl": 1.4,
        "lo_w": -120e3, "hi_w": 40e3, "lo_source": "thermal K", "hi_source": "thermal hot-spot",
        "lo_binds_in_s": 60.0, "hi_binds_in_s": 900.0, "lo_granted_in_s": None, "hi_granted_in_s": None,
        "base_source": None, "feasible": True, "regime": "normal_cyclic", "regime_left_s": None, "regime_by": "",
        "hot_spot_limit_c": 120.0, "hot_spot_limit_source": "thermal hot-spot", "top_oil_limit_c": 105.0,
        "k_limit_pu": 1.5, "k_limit_source": "thermal K", "upgraded_paper": False, "ageing_rate": 0.916,
        "ageing_today_h": 3.0, "ageing_total_h": 1800.0, "ageing_counted_h": 9000.0, "ageing_budget_h_per_day": None,
        "life_used_pct": 1.0,
        "sensors": (ThermalSensorLine(name="top_oil_c", health="ok", value_c=81.5, read_c=81.5, since_s=7200.0),),
    }  # fmt: skip
    return ThermalResult(**(fields | changes))


def course(**changes: Any) -> CourseResult:
    """Rising from 70 °C; a forecast that cools without V2G and heats with it."""
    past = tuple(
        CoursePoint(
            ago_s=1800.0 - 10.0 * n,
            top_oil_c=60.0 + n * 0.119,
            hot_spot_c=70.0 + n * 0.151,
            load_w=200e3,
            v2g_w=-10e3,
        )
        for n in range(180)
    )
    ahead = tuple(
        AheadPoint(
            in_s=60.0 * n,
            top_oil_c=81.5 + n / 6.0,
            hot_spot_c=97.3 + n * 0.38,
            base_top_oil_c=81.5 - n / 8.0,
            base_hot_spot_c=97.3 - n * 0.3,
            base_w=220e3,
            base_margin_w=9e3,
        )
        for n in range(1, 16)
    )
    return CourseResult(past=changes.get("past", past), ahead=changes.get("ahead", ahead))


def vehicle(number: int, **changes: Any) -> EvseLine:
    energy = EnergyLine(
        needed_wh=5e3,
        surplus_wh=20e3,
        capacity_wh=60e3,
        capacity_assumed=False,
        departs_in_s=5_400.0 + 60.0 * number,
        departure_assumed=number % 2 == 0,
        floor_pct=30.0,
    )
    session = SessionLine(
        state="discharging" if number % 2 else "charging",
        vehicle=changes.pop("vehicle", f"WMIV2G{number:04d}"),
        identity=None,
        service="DC_BPT",
        soc_pct=changes.pop("soc_pct", 40 + number % 60),
        max_charge_w=50e3,
        max_discharge_w=22e3,
        since_s=100.0,
        energy=energy,
    )
    fields: dict[str, Any] = {
        "evse_id": f"US*V2G*E{number}", "interface": "evse1", "tcp_port": 15118, "tls": "strict", "session": session,
        "power_w": -4e3 if number % 2 else 6e3, "setpoint_w": -4e3, "granted_w": -4.2e3 if number % 2 else 6.1e3,
        "bound_by": "EVMaximumDischargePower", "voltage_v": 400.0, "current_a": 10.0, "contactors_closed": True,
        "fault": None,
    }  # fmt: skip
    return EvseLine(**(fields | changes))


def free(number: int, **changes: Any) -> EvseLine:
    return vehicle(
        number, **({"session": None, "power_w": 0.0, "granted_w": 0.0, "setpoint_w": 0.0, "bound_by": None} | changes)
    )


def order(number: int, **changes: Any) -> OrderLine:
    fields: dict[str, Any] = {
        "order_id": number, "mode": "discharge", "power_w": 10e3, "granted_w": -9e3, "evse_id": None,
        "remaining_s": 871.0, "by": "alice",
    }  # fmt: skip
    return OrderLine(**(fields | changes))


def snapshot(
    vehicles: int = 2, free_evses: int = 0, *, heat: ThermalResult | None = None, problem: str = "", **changes: Any
) -> Snapshot:
    """``changes``: of the status."""
    evses = (
        *(vehicle(number) for number in range(1, vehicles + 1)),
        *(free(vehicles + number) for number in range(1, free_evses + 1)),
    )
    status = msgspec.structs.replace(example_status(), **({"evses": evses, "problems": ()} | changes))
    return Snapshot(
        status=status,
        thermal=thermal() if heat is None else heat,
        course=course(),
        taken_s=100.0,
        time_of_day="18:03:59",
        problem=problem,
    )
