"""Time of a thermal step, of a headroom solve and of an allocation: ``python tests/bench/bench_thermal.py``.

Writes ``report_thermal.md`` beside itself. Best of several rounds, so that other load on the machine counts less.
"""

from __future__ import annotations

import platform
import timeit
from collections.abc import Callable
from math import inf
from pathlib import Path

from v2g.dispatch.allocate import allocate
from v2g.dispatch.orders import Candidate, Mode, Order
from v2g.dispatch.site import interval_bounds, permit_bounds
from v2g.dispatch.vehicle import Ratings, VehicleData, vehicle_bounds
from v2g.hardware.ports import DcEvseReading, Insulation, InverterReading
from v2g.thermal.headroom import permitted_interval
from v2g.thermal.limits import ThermalLimits
from v2g.thermal.model import ThermalState, steady_state, step
from v2g.thermal.parameters import from_nameplate

REPORT = Path(__file__).with_name("report_thermal.md")


def best_us(call: Callable[[], object], number: int) -> float:
    return min(timeit.repeat(call, number=number, repeat=7)) / number * 1e6


def main() -> None:
    params = from_nameplate(
        cooling="ONAN", rated_kva=400.0, top_oil_rise_k=55.0, hot_spot_gradient_k=26.0, loss_ratio_r=5.0
    )
    limits = ThermalLimits(hot_spot_c=120.0, top_oil_c=105.0, k_pu=1.5)
    warm = steady_state(params, 0.9, 30.0)
    hot = ThermalState(100.0, 35.0, 17.0)
    burning = ThermalState(130.0, 40.0, 20.0)
    profile = [300e3 + 2e3 * minute for minute in range(15)]

    def solve(state: ThermalState) -> Callable[[], object]:
        return lambda: permitted_interval(state, params, limits, base_w=profile, base_var=60e3, ambient_c=30.0)

    vehicle = VehicleData(
        expires_at_s=1.0,
        max_charge_w=11e3,
        max_discharge_w=11e3,
        max_charge_a=30.0,
        max_discharge_a=30.0,
        soc_pct=60.0,
    )
    inverter = InverterReading(
        evse_id="E",
        as_of_s=0.0,
        power_w=0.0,
        max_charge_w=22e3,
        max_discharge_w=22e3,
        connected=True,
        reversion_armed=True,
    )
    stage = DcEvseReading(
        evse_id="E",
        as_of_s=0.0,
        present_voltage_v=400.0,
        present_current_a=0.0,
        contactors_closed=True,
        contactors_commanded=True,
        insulation=Insulation.VALID,
        insulation_ohm=1e6,
        connector_locked=True,
        plugged=True,
        max_voltage_v=920.0,
        min_voltage_v=150.0,
        max_current_a=80.0,
        max_power_w=22e3,
    )
    ratings = Ratings(max_charge_w=22e3, max_discharge_w=22e3, max_current_a=80.0, min_soc_pct=30.0)
    order = Order(
        id=1, mode=Mode.DISCHARGE, power_w=500e3, evse_id=None, created_at_s=0.0, expires_at_s=900.0, by="bench"
    )
    site = (*permit_bounds(True, "", inf), *interval_bounds(-300e3, 90e3, "thermal hot-spot", "thermal K", inf))

    def cycle() -> object:
        candidates = [
            Candidate(evse_id=f"US*V2G*E{n}", bounds=vehicle_bounds(ratings, vehicle, stage, inverter, 1.0, 0.5))
            for n in range(64)
        ]
        return allocate([order], candidates, site, 0.5)

    rows = [
        ("thermal step", best_us(lambda: step(warm, params, 0.8, 20.0, 60.0), 20_000)),
        ("headroom, 15 minutes, both ways", best_us(solve(warm), 300)),
        ("headroom, base load over the limit", best_us(solve(hot), 300)),
        ("headroom, no power keeps the limits", best_us(solve(burning), 300)),
        ("bounds and allocation of 64 vehicles", best_us(cycle, 50)),
    ]
    lines = [
        "# Thermal model and dispatch: time in pure Python",
        "",
        f"Python {platform.python_version()}, {platform.machine()}. Written by `python tests/bench/bench_thermal.py`.",
        "",
        "| what | µs |",
        "|---|---:|",
        *(f"| {what} | {us:.2f} |" if us < 10 else f"| {what} | {us:.0f} |" for what, us in rows),
        "",
    ]
    REPORT.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
