"""``wires`` with inverters of the older SunSpec models and of a vendor's own registers, against the simulated plant."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from support.wired_plant import Bench, MakeBench
from v2g.telemetry import logs

pytestmark = pytest.mark.soak

VENDOR = """
name: vendor
kind: inverter
ratings: { max_charge_w: 22000, max_discharge_w: 22000 }
reversion: { written: reversion_timeout_s, remaining: reversion_remaining_s }
points:
  power_w:               { table: input, address: 100, type: int32 }
  connected:             { table: input, address: 102, bit: 0 }
  anti_islanding:        { table: input, address: 102, bit: 1 }
  reversion_remaining_s: { table: input, address: 103 }
  reversion_timeout_s:   { table: holding, address: 39941, access: rw }
  setpoint_w:            { table: holding, address: 39942, type: int32, access: rw, order: 1 }
"""


async def at_power(bench: Bench, power_w: float) -> None:
    bench.power_w = power_w
    await bench.until(lambda: abs(bench.inverter.power_w - power_w) < 0.02 * abs(power_w))
    await bench.until(lambda: bench.applied == (power_w, None))


async def refused(bench: Bench, why: str) -> None:
    """A discharge is not done, and the image says so."""
    bench.power_w = -9_000.0
    await bench.until(lambda: bench.applied == (0.0, why))
    await asyncio.sleep(0.5)
    assert bench.inverter.power_w >= 0.0


async def test_an_older_device_charges_and_without_a_heartbeat_does_not_discharge(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    logs.configure(tmp_path)
    bench = await make_bench(family="legacy")
    await at_power(bench, 9_000.0)
    await at_power(bench, 4_000.0)
    await refused(bench, "no_reversion")
    told = (tmp_path / "comms.log").read_text()
    assert "NO_REVERSION" in told
    assert "reverts by InOutWRte_RvrtTms, which cannot be seen counting; it has no SunSpec model 715" in told
    await at_power(bench, 5_000.0)


async def test_a_vendors_registers_are_driven_both_ways_and_left_when_the_connection_is_lost(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    path = tmp_path / "vendor.yaml"
    path.write_text(VENDOR)
    bench = await make_bench(
        inverter={"driver": "register_map", "map": str(path), "configure_functions": False}, inverter_map=str(path)
    )
    await at_power(bench, 9_000.0)
    await bench.discharging(-6_000.0)
    for power_w in (-7_000.0, -3_000.0, 8_000.0, -5_000.0):
        await at_power(bench, power_w)
    await bench.device.stop()
    # Three seconds of its own and a tick of the plant.
    assert await bench.until(lambda: bench.inverter.power_w == 0.0) < 4.0
    await bench.until(lambda: bench.applied[0] == 0.0)
    await bench.device.start()
    await at_power(bench, 4_000.0)
